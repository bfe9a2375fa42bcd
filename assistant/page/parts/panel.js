// The source beside the answer. There is one panel on the page; whichever answer opens it owns it.

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

// `owner` is {id, like, places, notes, read(place), focus(index), reveal(index), shown(index)}
function openPanel(owner, index) {
  const place = owner.places[index];
  if (!panels.host) {
    panels.host = element("div");
    panels.host.id = "footnote-source";
    panels.host.attachShadow({ mode: "open" });
    document.body.append(panels.host);
    panels.host.addEventListener("keydown", (event) => event.key === "Escape" && closePanel(true));
  }
  if (panels.owner && panels.owner.id !== owner.id) panels.owner.shown(-1);
  Object.assign(panels, { owner, index });
  themed(panels.host, owner.like);
  const style = element("style", "", CSS);
  const aside = element("aside", "panel");
  aside.setAttribute("aria-labelledby", "panel-title");
  aside.append(panelHead(owner, index, place), panelBody(place), panelFoot(owner, place));
  panels.host.shadowRoot.replaceChildren(style, aside);
  document.documentElement.classList.add("footnote-open");
  owner.shown(index);
  const title = panels.host.shadowRoot.getElementById("panel-title");
  title.focus({ preventScroll: true });
  scrollToMark(panels.host.shadowRoot);
  settled(() => panels.owner?.id === owner.id && panels.index === index && panels.owner.reveal(index));
}

function scrollToMark(root) {
  const body = root.querySelector(".body");
  const mark = root.querySelector("mark:not(.m)");
  if (!mark) return;
  const where = mark.getBoundingClientRect().top - body.getBoundingClientRect().top;
  body.scrollTop = Math.max(0, where - body.clientHeight * 0.3);
}

function closePanel(backToNumber) {
  const { host, owner, index } = panels;
  if (!owner) return;
  host.shadowRoot.replaceChildren();
  document.documentElement.classList.remove("footnote-open");
  panels.owner = null;
  owner.shown(-1);
  if (backToNumber) owner.focus(index);
}

function panelHead(owner, index, place) {
  const head = element("header");
  const row = element("div", "row");
  const title = element("h2", "", place.title);
  title.id = "panel-title";
  title.tabIndex = -1;
  row.append(place.n ? element("span", "number", place.n) : element("span", "kind", "Also found"), title);
  row.append(button("icon", "×", "Close the source (Esc)", () => closePanel(true)));
  head.append(row);
  const path = element("p", "path");
  place.path.forEach((step) => path.append(element("span", "", step)));
  if (place.path.length) head.append(path);
  if (place.said) {
    const said = element("p", "said", place.said);
    said.setAttribute("role", "status");
    head.append(said);
  }
  return head;
}

function panelBody(place) {
  const body = element("div", "body");
  body.tabIndex = 0;
  body.setAttribute("role", "region");
  body.setAttribute("aria-label", "The words in their place");
  const text = element("div", place.opens ? "text" : "text more-before");
  if (!place.closes) text.classList.add("more-after");
  const from = place.before.length;
  drawText(text, place.before + place.quote + place.after, { from, to: from + place.quote.length, inCode: place.in_code });
  body.append(text);
  return body;
}

function panelFoot(owner, place) {
  const foot = element("footer");
  const steps = element("div", "steps");
  const at = owner.notes.indexOf(panels.index);
  if (at >= 0 && owner.notes.length > 1) {
    const step = (by) => openPanel(owner, owner.notes[(at + by + owner.notes.length) % owner.notes.length]);
    steps.append(button("icon", "‹", "Previous footnote", () => step(-1)));
    steps.append(element("span", "count", `${at + 1} of ${owner.notes.length}`));
    steps.append(button("icon", "›", "Next footnote", () => step(1)));
  }
  foot.append(steps);
  if (place.found) foot.append(button("plain", "Open the whole guide", "", () => owner.read(place)));
  return foot;
}
