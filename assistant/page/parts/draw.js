// The parts of an answer: sentences with their numbers, tables, items, code. `turn` is {data, owner, open, doubts}.

const KINDS = [["table", /^\s*\|/], ["code", /^\s*(```|~~~)/], ["item", /^\s*([-*+]|\d{1,3}[.)])\s/], ["heading", /^#{1,6}\s/]];

function kindOfSentence(text) {
  return (KINDS.find(([, pattern]) => pattern.test(text)) || ["prose"])[0];
}

// Sentences that belong together: prose to a paragraph, rows to a table, items to a list, guides that differ side by side.
function groups(sentences) {
  const found = [];
  for (const sentence of sentences) {
    const kind = sentence.guide ? "sides" : sentence.code ? "code" : kindOfSentence(sentence.text);
    const last = found[found.length - 1];
    const joins = last && last.kind === kind && kind !== "heading" && !(kind === "code" && !sentence.code);
    const sameTable = kind !== "table" || (last && last.header === sentence.header);
    if (joins && sameTable) last.sentences.push(sentence);
    else found.push({ kind, header: sentence.header, sentences: [sentence] });
  }
  for (const group of found) {
    const guides = new Set(group.sentences.map((sentence) => sentence.guide));
    if (group.kind === "sides" && guides.size < 2) group.kind = kindOfSentence(group.sentences[0].text);
  }
  return found;
}

function marks(turn, sentence) {
  const all = element("span", "notes");
  for (const n of sentence.notes) {
    const place = turn.data.places[n - 1];
    const label = `Footnote ${n}: ${[place.title, ...place.path].join(", ")}`;
    const mark = button("note", String(n), label, () => openPanel(turn.owner, n - 1));
    mark.dataset.place = n - 1;
    mark.setAttribute("aria-expanded", String(turn.open === n - 1));
    all.append(mark);
  }
  return all;
}

function doubt(turn, sentence, into, node) {
  const id = `why-${turn.data.id}-${turn.doubts++}`;
  node.classList.add("unsupported");
  node.setAttribute("aria-describedby", id);
  const sign = element("span", "doubt");
  sign.tabIndex = 0;
  sign.setAttribute("role", "note");
  sign.append(element("span", "sign", "not supported"));
  const why = element("span", "why", `Not supported by the guides${sentence.why ? ": " + sentence.why : ""}.`);
  why.id = id;
  sign.append(why);
  into.append(sign);
}

// A sentence with its numbers, into a paragraph, an item or a cell.
function drawSentence(turn, into, sentence, text) {
  const node = element("span", "sentence");
  new Pen().inline(node, text);
  finish(turn, into, sentence, node);
}

function finish(turn, into, sentence, node) {
  into.append(node);
  if (!sentence.supported) doubt(turn, sentence, into, node);
  if (!sentence.notes.length) return;
  const last = sentence.supported && node.lastChild?.nodeType === Node.TEXT_NODE ? node.lastChild : null;
  if (!last) return void into.append(marks(turn, sentence));
  // The numbers stay on the line of the last word.
  const space = last.data.trimEnd().lastIndexOf(" ");
  const tail = element("span", "tail");
  tail.append(last.splitText(space + 1), marks(turn, sentence));
  node.append(tail);
}

function drawItems(turn, into, group) {
  for (const sentence of group.sentences) {
    const [marker, indent, sign] = sentence.text.match(ITEM) || ["", "", "- "];
    const node = element("div", /\d/.test(sign) ? "item numbered" : "item");
    node.style.marginInlineStart = `${Math.min(4, Math.floor(indent.length / 2)) * 1.1}rem`;
    if (/\d/.test(sign)) node.append(element("span", "number", marker));
    drawSentence(turn, node, sentence, sentence.text.slice(marker.length));
    into.append(node);
  }
}

function drawRows(turn, into, group) {
  const table = element("div", "table");
  table.setAttribute("role", "table");
  const header = group.header.trim();
  const rows = group.sentences.filter((s) => !RULE.test(s.text));
  if (header && !rows.some((s) => s.text.trim() === header)) drawRow(new Pen(), table, header, true);
  for (const sentence of rows) {
    drawRow(new Pen(), table, sentence.text.trim(), sentence.text.trim() === header);
    const cells = table.lastChild.querySelectorAll(".td");
    const cell = cells[cells.length - 1] ?? table.lastChild;
    const node = element("span", "sentence");
    node.append(...cell.childNodes);
    finish(turn, cell, sentence, node);
  }
  into.append(scrolling(table));
}

function drawCodeOf(turn, into, group) {
  const box = element("div", "code");
  const pre = element("pre");
  pre.tabIndex = 0;
  const lines = group.sentences.map((s) => s.text).join("\n").split(/(?<=\n)/);
  lines.forEach((line) => new Pen().write(pre, line, FENCE.test(line) ? "m" : ""));
  box.append(pre);
  const under = element("div", "under");
  for (const sentence of group.sentences) {
    if (!sentence.supported) doubt(turn, sentence, under, pre);
  }
  const notes = [...new Set(group.sentences.flatMap((s) => s.notes))];
  under.append(marks(turn, { notes }));
  box.append(under);
  into.append(box);
}

// What each guide says, by name: every guide has a column of its own.
function drawSides(turn, into, group) {
  const box = element("section", "sides");
  box.setAttribute("aria-label", "What each guide says");
  const columns = new Map();
  for (const sentence of group.sentences) {
    if (!columns.has(sentence.guide)) {
      const side = element("div", "side");
      side.append(element("h3", "title", sentence.guide));
      columns.set(sentence.guide, side);
    }
    const said = element("p");
    drawSentence(turn, said, sentence, sentence.said);
    columns.get(sentence.guide).append(said);
  }
  box.append(...columns.values());
  into.append(box);
}

function drawAnswer(turn, into) {
  for (const group of groups(turn.data.sentences)) {
    if (group.kind === "item") drawItems(turn, into, group);
    else if (group.kind === "sides") drawSides(turn, into, group);
    else if (group.kind === "table") drawRows(turn, into, group);
    else if (group.kind === "code") drawCodeOf(turn, into, group);
    else {
      const node = element(group.kind === "heading" ? "h3" : "p");
      for (const sentence of group.sentences) {
        const text = group.kind === "heading" ? sentence.text.replace(/^#+\s*/, "") : sentence.text;
        drawSentence(turn, node, sentence, text);
        node.append(" ");
      }
      into.append(node);
    }
  }
  if (turn.data.pending) into.append(element("p", "pending", turn.data.pending));
}

