// Text becomes DOM, never by way of HTML: every node is made by createElement or createTextNode. Which part of a guide is
// a heading, an item, a table or code is what ingest found; nothing is looked for again here.
// Every character of the text stands in the DOM, in order; markup such as ** is there and hidden. So the words of a
// quote can be marked to the character, and textContent of what is drawn is the text itself.

const LONGEST = 4000; // characters of one paragraph in which markup is looked for
const INLINE = new RegExp(
  [
    "(`+)(?!`)([^`\\n]+?)\\1(?!`)", // 1 2 code
    "(\\*\\*)(?=\\S)([^\\n]+?)(?<=\\S)\\3", // 3 4 strong
    "(?<![\\w*])(\\*|_)(?=[^\\s*_])([^*_\\n]+?)(?<=\\S)\\5(?![\\w*])", // 5 6 emphasis
    "(!?\\[)([^\\[\\]\\n]*)(\\]\\()([^()\\s]*)(\\))", // 7 8 9 10 11 link, image
  ].join("|"),
  "g",
);

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// A run of text as pieces: [text, class]; class "m" is markup that is not shown.
function pieces(text, classes = "") {
  if (text.length > LONGEST) return [[text, classes]];
  const out = [];
  const put = (part, extra) => part && out.push([part, [classes, extra].filter(Boolean).join(" ")]);
  let at = 0;
  for (const m of text.matchAll(INLINE)) {
    put(text.slice(at, m.index), "");
    at = m.index + m[0].length;
    if (m[1]) [m[1], m[2], m[1]].forEach((part, i) => put(part, i === 1 ? "code" : "m"));
    else if (m[3] || m[5]) {
      const mark = m[3] || m[5];
      put(mark, "m");
      out.push(...pieces(m[4] || m[6], [classes, m[3] ? "strong" : "em"].filter(Boolean).join(" ")));
      put(mark, "m");
    } else {
      put(m[7], "faint");
      put(m[8], "");
      put(m[9] + m[10] + m[11], "faint url");
    }
  }
  put(text.slice(at), "");
  return out;
}

// Draws text from a position in it on; what lies between `from` and `to` is marked.
class Pen {
  constructor(from = -1, to = -1, literal = false) {
    this.at = 0;
    this.literal = literal; // no character of the text is markup
    this.from = from;
    this.to = to;
  }

  write(into, text, classes = "") {
    const cuts = [this.from, this.to].map((cut) => cut - this.at).filter((cut) => cut > 0 && cut < text.length);
    let start = 0;
    for (const stop of [...new Set(cuts), text.length].sort((a, b) => a - b)) {
      this.#put(into, text.slice(start, stop), classes, this.at + start);
      start = stop;
    }
    this.at += text.length;
  }

  #put(into, text, classes, at) {
    if (!text) return;
    let node = document.createTextNode(text);
    if (classes) {
      const span = element(classes === "code" ? "code" : "span", classes);
      span.append(node);
      node = span;
    }
    if (at >= this.from && at < this.to) {
      const mark = element("mark", classes.split(" ").includes("m") ? "m" : "");
      mark.append(node);
      node = mark;
    }
    into.append(node);
  }

  inline(into, text, classes = "") {
    if (this.literal) return this.write(into, text, classes);
    for (const [part, extra] of pieces(text, classes)) this.write(into, part, extra);
  }
}

const FENCE = /^\s*(```|~~~)/;
const HEADING = /^#{1,6}[ \t]+/;
const UNDERLINE = /\n[ \t]*[=~^"'*+#-]{3,}[ \t]*$/;
const ITEM = /^[ \t]*(?:[-*+•◦▪●○‣·–][ \t]+|(\(?(?:\d{1,3}|[a-zA-Z])[.)]|\[\d{1,3}\])[ \t]+)/;
const ROW = /^[ \t]*\|/;
const RULE = /^[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(\|[ \t:|-]*)?\n?$/;
const QUOTED = /^[ \t]*(>[ \t]?)+/;
const DRAWN_LINE = /^[ \t]*([-*_=])(?:[ \t]*\1){2,}[ \t]*$/;

function drawRow(pen, into, line, head) {
  const row = element("div", head ? "tr head" : "tr");
  row.setAttribute("role", "row");
  const parts = line.match(/\\\||[^|\\]+|\\|\||/g).filter(Boolean);
  const closing = parts.map((part) => part !== "|" && part.trim() !== "").lastIndexOf(true);
  let cell = null;
  parts.forEach((part, i) => {
    if (part !== "|" && (cell || part.trim())) return pen.inline(cell || row, part);
    pen.write(row, part, "m");
    cell = null;
    if (part !== "|" || i > closing) return;
    cell = element("span", "td");
    cell.setAttribute("role", head ? "columnheader" : "cell");
    row.append(cell);
  });
  into.append(row);
}

function scrolling(table) {
  const wrap = element("div", "wide");
  wrap.tabIndex = 0;
  wrap.setAttribute("role", "group");
  wrap.setAttribute("aria-label", "Table");
  wrap.append(table);
  return wrap;
}

function drawTable(pen, into, lines) {
  const table = element("div", "table");
  table.setAttribute("role", "table");
  const ruled = lines.findIndex((line) => RULE.test(line));
  lines.forEach((line, i) => {
    if (RULE.test(line)) pen.write(table, line, "m");
    else drawRow(pen, table, line, i < ruled);
  });
  into.append(scrolling(table));
}

function drawCode(pen, into, text) {
  const pre = element("pre");
  pre.tabIndex = 0;
  const lines = text.match(/[^\n]*\n|[^\n]+$/g) || [];
  lines.forEach((line, i) => pen.write(pre, line, (i === 0 || i === lines.length - 1) && FENCE.test(line) ? "m" : ""));
  into.append(pre);
}

// Rows between bars become a table; whatever else a guide lines up keeps its lines as they are.
function drawAligned(pen, into, text) {
  const lines = text.match(/[^\n]*\n|[^\n]+$/g) || [];
  if (lines.every((line) => ROW.test(line) || RULE.test(line))) drawTable(pen, into, lines);
  else drawCode(pen, into, text);
}

function drawHeading(pen, into, text, level) {
  const node = element("div", `h h${Math.min(6, level || 2)}`);
  node.setAttribute("role", "heading");
  node.setAttribute("aria-level", String(Math.min(6, (level || 2) + 1)));
  const marker = (text.match(HEADING) || [""])[0];
  const end = UNDERLINE.test(text) ? text.search(UNDERLINE) : text.length;
  pen.write(node, marker, "m");
  pen.inline(node, text.slice(marker.length, end));
  pen.write(node, text.slice(end), "m");
  into.append(node);
}

// Items that follow one another are one list, what lies between them is part of the item above.
function drawItem(pen, into, text, level) {
  let list = into.lastElementChild;
  if (!list?.classList.contains("items")) {
    list = element("ul", "items");
    list.setAttribute("role", "list");
    into.append(list);
  }
  const [marker, number] = text.match(ITEM) || [""];
  const node = element("li", number ? "item numbered" : "item");
  node.style.marginInlineStart = `${Math.min(4, Math.max(0, level - 1)) * 1.1}rem`;
  pen.write(node, marker, number ? "number" : "m");
  pen.inline(node, text.slice(marker.length));
  list.append(node);
}

function drawParagraph(pen, into, text) {
  const quoted = !pen.literal && QUOTED.test(text);
  const node = element("p", quoted ? "quoted" : "");
  if (!quoted) pen.inline(node, text);
  else
    for (const line of text.match(/[^\n]*\n|[^\n]+$/g)) {
      const marker = (line.match(QUOTED) || [""])[0];
      pen.write(node, marker, "m");
      pen.inline(node, line.slice(marker.length));
    }
  into.append(node);
}

function drawAside(pen, into, text) {
  const ruled = DRAWN_LINE.test(text);
  const node = element("div", ruled ? "m" : "front");
  const [, first, within, last] = text.match(/^(---\n)?([^]*?)(\n---\s*)?$/);
  pen.write(node, first || "", "m");
  pen.write(node, within);
  pen.write(node, last || "", "m");
  into.append(node);
  if (ruled) into.append(element("hr"));
}

function drawGap(pen, into, text) {
  const list = into.lastElementChild?.classList.contains("items") ? into.lastElementChild.lastElementChild : into;
  const gap = element("span", "m");
  pen.write(gap, text);
  list.append(gap);
}

const KINDS = { gap: drawGap, heading: drawHeading, question: drawHeading, paragraph: drawParagraph, item: drawItem,
  table: drawAligned, code: drawCode, front_matter: drawAside, furniture: drawAside };

// Draws a run of a guide, {pieces, from, to, inline, kept}: pieces are [kind, text, level]. Returns where the marks are.
function drawText(into, { pieces, from = -1, to = -1, inline = false, kept = false }) {
  const pen = new Pen(from, to, !inline);
  into.classList.toggle("kept", kept);
  for (const [kind, text, level] of pieces) (KINDS[kind] || drawParagraph)(pen, into, text, level);
  return [...into.querySelectorAll("mark")];
}
