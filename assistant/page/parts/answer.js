// One question and its answer. `data` comes from assistant/page/view.py; what the reader does goes back as a trigger.

function drawPassage(turn, passage) {
  const place = turn.data.places[passage.place];
  const card = button("passage", "", "", () => openPanel(turn.owner, passage.place));
  card.dataset.place = passage.place;
  const head = element("span", "line");
  head.append(element("span", "title", place.title), element("span", "score", `${passage.words}, ${passage.percent} %`));
  head.lastChild.title = "The chance that the answer stands in this passage, fitted on questions with known answers";
  const start = element("span", "start");
  new Pen().inline(start, passage.start);
  card.append(head, element("span", "path", place.path.join(" › ")), start);
  return card;
}

function fold(className, summary, open) {
  const node = element("details", className);
  node.open = open;
  node.append(element("summary", "", summary));
  return node;
}

function drawFound(turn) {
  const { passages, sentences, writing, status } = turn.data;
  const cited = passages.filter((p) => p.cited);
  const rest = passages.filter((p) => !p.cited);
  const guides = new Set(passages.map((p) => turn.data.places[p.place].document)).size;
  const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
  if (writing && !cited.length) {
    const node = fold("found", `Found ${count(passages.length, "passage")} in ${count(guides, "guide")}`, !sentences.length);
    node.append(...passages.map((p) => drawPassage(turn, p)));
    return node;
  }
  const found = `${count(cited.length, "passage")} cited` + (rest.length ? `, ${rest.length} also found` : "");
  const summary = cited.length ? found : "Also found";
  const node = fold("found", summary, turn.foundOpen || false);
  node.ontoggle = () => (turn.foundOpen = node.open);
  node.append(...cited.map((p) => drawPassage(turn, p)));
  if (cited.length && rest.length) {
    const also = fold("also", `Also found (${rest.length})`, false);
    also.append(...rest.map((p) => drawPassage(turn, p)));
    node.append(also);
  } else node.append(...rest.map((p) => drawPassage(turn, p)));
  return node;
}

function drawNearest(turn, into) {
  const near = turn.data.nearest;
  if (!near.length) return;
  into.append(element("p", "lead", "The nearest there is to read:"));
  const list = element("ul", "nearest");
  for (const index of near) {
    const place = turn.data.places[index];
    const item = element("li");
    const open = button("heading", "", "", () => openPanel(turn.owner, index));
    open.dataset.place = index;
    const section = place.path[place.path.length - 1];
    open.append(element("span", "title", section || place.title));
    if (section) open.append(element("span", "of", place.title));
    item.append(open);
    list.append(item);
  }
  into.append(list);
}

const STATES = { not_in_guides: "Not in the guides", refused: "The model declined to answer", failed: "Not finished" };

function drawState(turn, into) {
  const { status, detail } = turn.data;
  if (!STATES[status]) {
    if (detail) into.append(element("p", "detail", detail));
    return;
  }
  const box = element("section", "state " + status);
  box.append(element("h3", "", STATES[status]));
  if (detail) box.append(element("p", "", detail));
  if (status === "not_in_guides") drawNearest(turn, box);
  into.append(box);
}

function drawMeta(turn) {
  const meta = element("footer", "meta");
  meta.append(element("span", "", turn.data.meta));
  if (turn.data.copy) {
    const copy = button("plain", "Copy", "Copy the answer with its footnotes", async () =>
      saidSo(copy, await copyText(turn.data.copy, turn.data.rich), "Copy"),
    );
    meta.append(copy);
  }
  const link = button("plain", "Copy link", "Copy link to this answer", async () =>
    saidSo(link, await copyText(location.href.split("#")[0] + `#a${turn.data.id}`), "Copy link"),
  );
  meta.append(link);
  return meta;
}

// A button says for a moment what came of it.
function saidSo(button, done, name) {
  button.textContent = done ? "Copied" : "Could not copy";
  setTimeout(() => (button.textContent = name), 1600);
}

// Text, and where the clipboard takes it the same as HTML: a word processor gets the footnotes as such.
async function copyText(text, rich) {
  try {
    if (!rich || !window.ClipboardItem) await navigator.clipboard.writeText(text);
    else {
      const as = (kind, what) => ({ [kind]: new Blob([what], { type: kind }) });
      await navigator.clipboard.write([new ClipboardItem({ ...as("text/plain", text), ...as("text/html", rich) })]);
    }
    return true;
  } catch {
    const area = element("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

// How a question was read that goes on from the ones before; one click has it read as it stands.
function drawUnderstood({ data, alone }) {
  const line = element("p", "understood", `Understood as: ${data.understood}`);
  if (data.follows) line.append(" ", button("plain", "Ask it on its own", "", alone));
  return line;
}

function drawTurn(turn) {
  const { data } = turn;
  const article = element("article", data.writing ? "writing" : "");
  article.setAttribute("aria-busy", String(data.writing));
  article.append(element("h2", "question", data.question));
  if (data.understood) article.append(drawUnderstood(turn));
  if (data.head) article.append(element("p", "head", data.head));
  const body = element("div", "answer");
  turn.doubts = 0;
  drawAnswer(turn, body);
  article.append(body);
  if (data.writing) {
    const wait = element("p", "wait", data.wait);
    wait.setAttribute("role", "status");
    article.append(wait);
  } else drawState(turn, article);
  if (data.passages.length) article.append(drawFound(turn));
  if (!data.writing) article.append(drawMeta(turn));
  return article;
}

const BACK = "footnote-back"; // where a reader of a whole guide came from: [?c=…, #a…]
const STOOD = "footnote-stood"; // where a page stood that is being reloaded: [address, scrolled]

// Where a page that was just opened begins: where its address says, where it stood before, or with the last question.
function arrived(turn, root) {
  if (turn.data.writing) return void (turn.data.last && fromItsBeginning(turn, root));
  const back = JSON.parse(sessionStorage.getItem(BACK) || "[]");
  if (back[0] === location.search && !location.hash && back[1]) history.replaceState(history.state, "", back[1]);
  if (back[0] === location.search) sessionStorage.removeItem(BACK);
  const there = addressed(location.hash);
  if (there?.id === turn.data.id && panels.landed !== location.href) {
    panels.landed = location.href;
    turn.placed = true;
    turn.owner.show();
    if (there.n) openPanel(turn.owner, there.n - 1, { focus: "", address: false });
  } else if (turn.data.last && !there && !stoodHere(turn)) fromItsBeginning(turn, root);
}

function stoodHere(turn) {
  const scroller = () => document.querySelector('[data-testid="stMain"]');
  if (!panels.leaving) {
    panels.leaving = true;
    addEventListener("pagehide", () =>
      sessionStorage.setItem(STOOD, JSON.stringify([location.href, scroller()?.scrollTop || 0])),
    );
  }
  const [href, top] = JSON.parse(sessionStorage.getItem(STOOD) || "[]");
  sessionStorage.removeItem(STOOD);
  if (href !== location.href) return false;
  turn.placed = true;
  settled(() => (scroller().scrollTop = top));
  return true;
}

// A long answer is read from its question on, not from its end; once the reader scrolls, the page is theirs.
function fromItsBeginning(turn, root) {
  if (!turn.reader) {
    turn.reader = () => (turn.placed = true);
    for (const way of ["wheel", "touchmove", "keydown", "pointerdown"]) addEventListener(way, turn.reader, { once: true });
  }
  settled(() => {
    const article = root.querySelector("article");
    const { top } = article.getBoundingClientRect();
    if (!turn.placed && !panels.owner && (top < 40 || top > 160)) article.scrollIntoView({ block: "start" });
  });
}

export default function ({ data: { picture, ...data }, parentElement, setTriggerValue }) {
  const root = parentElement;
  const turn = (root.footnoteTurn ??= { open: -1, drawn: "" });
  turn.data = data;
  const find = (index) => root.querySelector(`[data-place="${index}"]`);
  turn.alone = () => setTriggerValue("alone", true);
  turn.owner = {
    id: data.id,
    like: root.host ?? root,
    places: data.places,
    notes: data.places.flatMap((place, i) => (place.n ? [i] : [])),
    read: (place) => {
      sessionStorage.setItem(BACK, JSON.stringify([location.search, location.hash]));
      closePanel(false, false);
      setTriggerValue("read", { doc: place.document, start: place.start, end: place.end, hash: place.hash });
    },
    picture: (index) => setTriggerValue("picture", index),
    show: () => root.querySelector("article").scrollIntoView({ block: "start" }),
    focus: (index) => find(index)?.focus(),
    reveal: (index) => find(index)?.scrollIntoView({ block: "nearest" }),
    shown: (index) => {
      turn.open = index;
      for (const node of root.querySelectorAll(".note")) node.setAttribute("aria-expanded", String(+node.dataset.place === index));
    },
  };
  (panels.owners ??= new Map()).set(data.id, turn.owner);
  if (picture) gotPicture(data.places[picture.place], picture);
  if (panels.owner?.id === data.id) {
    panels.owner = turn.owner;
    themed(panels.host, turn.owner.like);
  }
  const drawing = JSON.stringify(data);
  if (drawing !== turn.drawn) {
    const held = root.activeElement?.dataset?.place;
    const old = root.querySelector("article");
    const drawn = drawTurn(turn);
    if (old) old.replaceWith(drawn);
    else root.append(drawn);
    turn.drawn = drawing;
    if (data.last) window.footnoteAsked?.clear?.();
    if (held !== undefined) find(held)?.focus({ preventScroll: true });
    arrived(turn, root);
  }
  return () => {
    panels.owners.delete(data.id);
    if (panels.owner === turn.owner) closePanel(false, false);
  };
}
