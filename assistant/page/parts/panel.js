// The source beside the answer, and the words that a number shows before it is opened. There is one panel on the page;
// whichever answer opens it owns it. Its address is the page's own with #a12-3 behind it: footnote 3 of answer 12.

const THEME = ["background-color", "secondary-background-color", "text-color", "primary-color", "border-color",
  "font", "code-font"].map((name) => "--st-" + name);
const panels = (window.footnotePanels ??= {}); // shared by all mounted answers

function button(className, text, label, onclick) {
  const node = element("button", className, text);
  node.type = "button";
  if (label) {
    node.setAttribute("aria-label", label);
    node.title = label;
  }
  node.onclick = onclick;
  return node;
}

// The page goes on growing for a moment, and what we scroll to has to stay in sight.
function settled(scroll) {
  for (const soon of [0, 150, 400, 800]) setTimeout(scroll, soon);
}

function themed(host, like) {
  const style = getComputedStyle(like);
  for (const name of THEME) host.style.setProperty(name, style.getPropertyValue(name));
}

function panelHost() {
  if (panels.host) return panels.host;
  const host = (panels.host = element("div"));
  host.id = "footnote-source";
  host.attachShadow({ mode: "open" }).append(element("style", "", CSS));
  document.body.append(host);
  document.addEventListener("keydown", onKey);
  addEventListener("popstate", atAddress);
  addEventListener("hashchange", atAddress);
  return host;
}

// Where an answer, or a footnote of it, is to be found: {id, n}, n from 1 or 0.
function addressed(hash) {
  const found = hash.match(/^#a(\d+)(?:-(\d+))?$/);
  return found && { id: found[1], n: Number(found[2] || 0) };
}

function putAddress(hash, anew) {
  if (location.hash === hash) return;
  const url = location.pathname + location.search + hash;
  history[anew ? "pushState" : "replaceState"](history.state, "", url);
}

// Back and Forward: the source of the footnote in the address is open, or none is.
function atAddress() {
  const there = addressed(location.hash);
  const owner = there && panels.owners?.get(there.id);
  if (!there || !there.n) closePanel(false, false);
  if (!owner) return;
  if (there.n) openPanel(owner, there.n - 1, { address: false });
  else owner.show();
}

// `owner` is {id, like, places, notes, read(place), picture(index), focus(index), reveal(index), show(), shown(index)}.
// `focus` says where the focus goes: "title", or the label of what was pressed, or "" where it stays where it is.
function openPanel(owner, index, { focus = "title", address = true } = {}) {
  const place = owner.places[index];
  if (!place) return;
  hidePeek();
  const { shadowRoot } = panelHost();
  const wasOpen = Boolean(panels.owner);
  if (panels.owner && panels.owner.id !== owner.id) panels.owner.shown(-1);
  Object.assign(panels, { owner, index });
  themed(panels.host, owner.like);
  const aside = element("aside", "panel");
  aside.setAttribute("aria-labelledby", "panel-title");
  aside.append(panelHead(place));
  if (place.page && place.found) aside.append(panelSheet(owner, index, place));
  aside.append(panelBody(place), panelFoot(owner, place));
  shadowRoot.querySelector("aside")?.remove();
  shadowRoot.append(aside);
  document.documentElement.classList.add("footnote-open");
  owner.shown(index);
  if (address) putAddress(place.n ? `#a${owner.id}-${place.n}` : `#a${owner.id}`, !wasOpen);
  const held = [...aside.querySelectorAll("[aria-label]")].find((node) => node.getAttribute("aria-label") === focus);
  if (focus) (held ?? shadowRoot.getElementById("panel-title")).focus({ preventScroll: true });
  scrollToMark(shadowRoot);
  settled(() => panels.owner?.id === owner.id && panels.index === index && panels.owner.reveal(index));
}

function scrollToMark(root) {
  const body = root.querySelector(".body");
  const mark = root.querySelector("mark:not(.m)");
  if (!mark) return;
  const where = mark.getBoundingClientRect().top - body.getBoundingClientRect().top;
  body.scrollTop = Math.max(0, body.scrollTop + where - body.clientHeight * 0.3);
}

function closePanel(backToNumber, address = true) {
  const { host, owner, index } = panels;
  hidePeek();
  if (!owner) return;
  host.shadowRoot.querySelector("aside")?.remove();
  document.documentElement.classList.remove("footnote-open");
  panels.owner = null;
  owner.shown(-1);
  if (address) putAddress("", false);
  if (backToNumber) owner.focus(index);
}

function step(by, focus) {
  const { owner, index } = panels;
  const at = owner.notes.indexOf(index);
  const next = at < 0 ? 0 : (at + by + owner.notes.length) % owner.notes.length;
  if (owner.notes.length) openPanel(owner, owner.notes[next], { focus });
}

// Esc closes from anywhere. With the arrows, or n and p, one goes from number to number, and through open sources.
function onKey(event) {
  const at = event.composedPath()[0];
  if (event.key === "Escape") {
    if (document.querySelector('[role="dialog"]')) return;
    const shown = hidePeek();
    if (panels.owner) closePanel(true);
    if (shown) event.stopPropagation();
    return;
  }
  const by = { ArrowRight: 1, n: 1, ArrowLeft: -1, p: -1 }[event.key];
  if (!by || event.ctrlKey || event.metaKey || event.altKey || typing(at)) return;
  const inside = panels.owner && at.getRootNode() === panels.host.shadowRoot;
  if (at.classList?.contains("note")) stepNumbers(at, by);
  else if (inside) step(by, at.getAttribute("aria-label") || "title");
  else if (panels.owner && !event.key.startsWith("Arrow")) step(by, "");
  else return;
  event.preventDefault();
}

function typing(node) {
  return Boolean(node.closest?.("input, textarea, select, [contenteditable=true], [role=listbox], [role=radiogroup]"));
}

function stepNumbers(mark, by) {
  const marks = [...mark.getRootNode().querySelectorAll(".note")];
  const next = marks[(marks.indexOf(mark) + by + marks.length) % marks.length];
  next.focus();
  if (panels.owner) openPanel(next.turn.owner, Number(next.dataset.place), { focus: "" });
}

// What a number stands for, as soon as it is pointed at or has the focus: the words, and where they stand.
const PEEK_CHARACTERS = 320;

function peeking(mark, turn, index) {
  const place = turn.data.places[index];
  const quote = place.quote.split(/\s+/).join(" ");
  mark.removeAttribute("title");
  mark.setAttribute("aria-description", quote);
  mark.turn = turn;
  const show = () => showPeek(mark, place, quote);
  mark.onpointerenter = (event) => event.pointerType !== "touch" && (panels.peekSoon = setTimeout(show, 120));
  mark.onpointerleave = leavePeek;
  mark.onfocus = () => mark.matches(":focus-visible") && show();
  mark.onblur = hidePeek;
}

function showPeek(mark, place, quote) {
  hidePeek();
  const host = panelHost();
  themed(host, mark.turn.owner.like);
  const peek = element("div", "peek");
  peek.setAttribute("role", "tooltip");
  const short = quote.length > PEEK_CHARACTERS ? quote.slice(0, PEEK_CHARACTERS).replace(/\s\S*$/, "") + " …" : quote;
  peek.append(element("p", "words", short), element("p", "from", whereOf(place).join(" › ")));
  peek.onpointerenter = () => clearTimeout(panels.peekSoon);
  peek.onpointerleave = leavePeek;
  host.shadowRoot.append(peek);
  const at = mark.getBoundingClientRect();
  const { width, height } = peek.getBoundingClientRect();
  const above = at.top - height - 8;
  peek.style.left = `${Math.max(8, Math.min(at.left - 24, innerWidth - width - 8))}px`;
  peek.style.top = `${above > 8 ? above : at.bottom + 8}px`;
}

function leavePeek() {
  clearTimeout(panels.peekSoon);
  panels.peekSoon = setTimeout(hidePeek, 180);
}

function hidePeek() {
  clearTimeout(panels.peekSoon);
  const peek = panels.host?.shadowRoot.querySelector(".peek");
  peek?.remove();
  return Boolean(peek);
}

function whereOf(place) {
  return [place.title, ...place.path, ...(place.page ? [`page ${place.page}`] : []), ...(place.reading ? [place.reading] : [])];
}

function panelHead(place) {
  const head = element("header");
  const row = element("div", "row");
  const title = element("h2", "", place.title);
  title.id = "panel-title";
  title.tabIndex = -1;
  row.append(place.n ? element("span", "chip", place.n) : element("span", "kind", "Also found"), title);
  row.append(button("icon", "×", "Close the source (Esc)", () => closePanel(true)));
  head.append(row);
  const path = element("p", "path");
  whereOf(place).slice(1).forEach((step) => path.append(element("span", "", step)));
  if (path.childNodes.length) head.append(path);
  if (place.address) head.append(originOf(place.address));
  if (place.said) {
    const said = element("p", "said", place.said);
    said.setAttribute("role", "status");
    head.append(said);
  }
  return head;
}

// Where the guide was fetched: an address of the web, which opens apart and is told nothing of this page.
function originOf(address) {
  const line = element("p", "origin");
  const link = element("a", "", address.replace(/^https?:\/\/|[?#].*$|\/$/g, ""));
  Object.assign(link, { href: address, target: "_blank", rel: "noopener noreferrer" });
  line.append(link);
  return line;
}

function panelBody(place) {
  const body = element("div", "body");
  body.tabIndex = 0;
  body.setAttribute("role", "region");
  body.setAttribute("aria-label", "The words in their place");
  const text = element("div", place.opens ? "text" : "text more-before");
  if (!place.closes) text.classList.add("more-after");
  drawText(text, place);
  body.append(text);
  return body;
}

function panelSheet(owner, index, place) {
  const sheet = element("figure", "sheet");
  const known = panels.pictures?.get(pictureKey(place));
  if (known) drawPicture(sheet, place, known);
  else {
    sheet.append(element("figcaption", "", `Page ${place.page} is being drawn…`));
    owner.picture(index);
  }
  return sheet;
}

// The page of a PDF as it looks, its words marked: {url, top, said}. The server draws it when it is first asked for.
function pictureKey(place) {
  return `${place.document} ${place.start} ${place.hash}`;
}

function drawPicture(sheet, place, { url, top, said }) {
  sheet.replaceChildren();
  if (said) return void sheet.append(element("figcaption", "", said));
  const view = element("div", "view");
  view.tabIndex = 0;
  view.setAttribute("role", "group");
  view.setAttribute("aria-label", `Page ${place.page} as it looks`);
  const image = element("img");
  image.alt = `Page ${place.page} of ${place.title}; the words of the footnote are marked`;
  image.onload = () => (view.scrollTop = Math.max(0, image.clientHeight * top - view.clientHeight * 0.35));
  image.src = url;
  view.append(image);
  sheet.append(view);
}

function gotPicture(place, picture) {
  (panels.pictures ??= new Map()).set(pictureKey(place), picture);
  const shown = panels.owner?.places[panels.index];
  const sheet = panels.host?.shadowRoot.querySelector(".sheet");
  if (shown && sheet && pictureKey(shown) === pictureKey(place)) drawPicture(sheet, place, picture);
}

function panelFoot(owner, place) {
  const foot = element("footer");
  const steps = element("div", "steps");
  const at = owner.notes.indexOf(panels.index);
  if (at >= 0 && owner.notes.length > 1) {
    steps.append(button("icon", "‹", "Previous footnote", () => step(-1, "Previous footnote")));
    steps.append(element("span", "count", `${at + 1} of ${owner.notes.length}`));
    steps.append(button("icon", "›", "Next footnote", () => step(1, "Next footnote")));
  }
  foot.append(steps);
  if (place.found) foot.append(button("plain", "Open the whole guide", "", () => owner.read(place)));
  return foot;
}
