// Text becomes DOM, never by way of HTML: every node is made by createElement or createTextNode.
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
  constructor(from = -1, to = -1) {
    this.at = 0;
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
    for (const [part, extra] of pieces(text, classes)) this.write(into, part, extra);
  }
}

const FENCE = /^\s*(```|~~~)/;
const HEADING = /^(#{1,6}[ \t]+)/;
const ITEM = /^([ \t]*)([-*+][ \t]+|\d{1,3}[.)][ \t]+)/;
const ROW = /^[ \t]*\|/;
const RULE = /^[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(\|[ \t:|-]*)?\n?$/;
const QUOTED = /^(>[ \t]?)+/;
const FRONT = /^---\n(?:[\w-]+:.*\n|[ \t]+.*\n)+---(?:\n|$)/; // what some guides say of themselves before they begin

function kindOf(line) {
  if (!line.trim()) return "gap";
  if (FENCE.test(line)) return "fence";
  if (HEADING.test(line)) return "heading";
  if (ROW.test(line)) return "row";
  if (RULE.test(line)) return "rule";
  if (ITEM.test(line)) return "item";
  if (QUOTED.test(line)) return "quoted";
  return "text";
}

// The lines of a text, as blocks: {kind, lines}. A code block holds its fences.
function blocks(text, inCode = false) {
  const found = [];
  let code = inCode ? { kind: "code", lines: [] } : null;
  if (code) found.push(code);
  const front = inCode ? null : text.match(FRONT);
  if (front) found.push({ kind: "front", lines: [front[0]] });
  for (const line of text.slice(front ? front[0].length : 0).match(/[^\n]*\n|[^\n]+$/g) || []) {
    const kind = kindOf(line);
    const last = found[found.length - 1];
    if (code) {
      code.lines.push(line);
      if (kind === "fence") code = null;
    } else if (kind === "fence") {
      code = { kind: "code", lines: [line] };
      found.push(code);
    } else if (kind === "row" && last && last.kind === "table") last.lines.push(line);
    else if (kind === "text" && last && ["text", "item", "quoted"].includes(last.kind)) last.lines.push(line);
    else found.push({ kind: kind === "row" ? "table" : kind, lines: [line] });
  }
  return found;
}

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

function drawCode(pen, into, lines, inCode) {
  const pre = element("pre");
  pre.tabIndex = 0;
  lines.forEach((line, i) => {
    const edge = (i === 0 && !inCode) || i === lines.length - 1;
    pen.write(pre, line, edge && FENCE.test(line) ? "m" : "");
  });
  into.append(pre);
}

function drawFront(pen, into, text) {
  const node = element("div", "front");
  const end = text.lastIndexOf("\n---");
  pen.write(node, text.slice(0, 4), "m");
  pen.write(node, text.slice(4, end));
  pen.write(node, text.slice(end), "m");
  into.append(node);
}

function drawBlock(pen, into, block, inCode) {
  const text = block.lines.join("");
  if (block.kind === "gap" || block.kind === "rule") {
    const gap = element("span", "m");
    pen.write(gap, text);
    into.append(gap);
    if (block.kind === "rule") into.append(element("hr"));
  } else if (block.kind === "code") drawCode(pen, into, block.lines, inCode);
  else if (block.kind === "table") drawTable(pen, into, block.lines);
  else if (block.kind === "front") drawFront(pen, into, text);
  else {
    const [marker, name, className, style] = shapeOf(block.kind, text);
    const node = element(name, className);
    if (style) node.style.marginInlineStart = style;
    pen.write(node, marker, block.kind === "item" && /\d/.test(marker) ? "number" : "m");
    pen.inline(node, text.slice(marker.length));
    into.append(node);
  }
}

function shapeOf(kind, text) {
  if (kind === "heading") {
    const marker = text.match(HEADING)[1];
    return [marker, "div", "h h" + marker.trim().length];
  }
  if (kind === "item") {
    const [marker, indent, sign] = text.match(ITEM);
    const depth = Math.min(4, Math.floor(indent.replace(/\t/g, "    ").length / 2));
    return [marker, "div", /\d/.test(sign) ? "item numbered" : "item", `${depth * 1.1}rem`];
  }
  if (kind === "quoted") return [text.match(QUOTED)[0], "div", "quoted"];
  return ["", "p", ""];
}

// Draws a whole text; returns where the marks are.
function drawText(into, text, { from = -1, to = -1, inCode = false } = {}) {
  const pen = new Pen(from, to);
  blocks(text, inCode).forEach((block, i) => drawBlock(pen, into, block, inCode && i === 0));
  return [...into.querySelectorAll("mark")];
}
