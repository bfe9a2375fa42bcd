// The parts of an answer as assistant/page/layout.py cut it: sentences with their numbers, tables, items, code.
// `turn` is {data, owner, open, doubts}.

function marks(turn, sentence) {
  const all = element("span", "notes");
  for (const n of sentence.notes) {
    const place = turn.data.places[n - 1];
    const label = `Footnote ${n}: ${whereOf(place).join(", ")}`;
    const mark = button("note", String(n), label, () => openPanel(turn.owner, n - 1));
    mark.dataset.place = n - 1;
    peeking(mark, turn, n - 1);
    mark.setAttribute("aria-expanded", String(turn.open === n - 1));
    all.append(mark);
  }
  return all;
}

function doubt(turn, sentence, into, node) {
  const id = `why-${turn.data.id}-${turn.doubts++}`;
  node.classList.add("unsupported", ...(sentence.doubted ? ["doubted"] : []));
  node.setAttribute("aria-describedby", id);
  const sign = element("span", "doubt");
  sign.tabIndex = 0;
  sign.setAttribute("role", "note");
  sign.append(element("span", "sign", sentence.doubted ? "in doubt" : "not supported"));
  const short = sentence.doubted ? "Perhaps supported by the guides" : "Not supported by the guides";
  const why = element("span", "why", `${short}${sentence.why ? ": " + sentence.why : ""}.`);
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

// The sentences of one unit, one after the other, with the numbers behind the last: they all rest on the same words.
function drawUnit(turn, into, numbers, skip = 0) {
  numbers.forEach((number, i) => {
    const sentence = turn.data.sentences[number];
    const next = turn.data.sentences[numbers[i + 1]];
    const goesOn = next && String(next.notes) === String(sentence.notes);
    drawSentence(turn, into, goesOn ? { ...sentence, notes: [] } : sentence, i ? sentence.text : sentence.text.slice(skip));
    into.append(" ");
  });
}

function drawList(turn, into, block) {
  const list = element(block.items[0].number ? "ol" : "ul", "items");
  list.setAttribute("role", "list");
  for (const { of, skip, number, depth } of block.items) {
    const item = element("li", number ? "item numbered" : "item");
    item.style.marginInlineStart = `${depth * 1.1}rem`;
    if (number) item.append(element("span", "number", number + " "));
    drawUnit(turn, item, of, skip);
    list.append(item);
  }
  into.append(list);
}

function drawRows(turn, into, block) {
  const table = element("div", "table");
  table.setAttribute("role", "table");
  if (block.header) drawRow(new Pen(), table, block.header, true);
  for (const { text, of } of block.rows) {
    drawRow(new Pen(), table, text, false);
    const cells = table.lastChild.querySelectorAll(".td");
    const cell = cells[cells.length - 1] ?? table.lastChild;
    const node = element("span", "sentence");
    node.append(...cell.childNodes);
    const said = of.map((i) => turn.data.sentences[i]);
    const worst = said.find((s) => !s.supported && !s.doubted) ?? said.find((s) => !s.supported);
    const last = said[said.length - 1];
    finish(turn, cell, worst ? { ...last, supported: false, doubted: worst.doubted, why: worst.why } : last, node);
  }
  into.append(scrolling(table));
}

function drawCodeOf(turn, into, block) {
  const box = element("div", "code-block");
  const pre = element("pre");
  pre.tabIndex = 0;
  for (const [kind, text] of block.tokens) pre.append(kind ? element("span", "tk-" + kind, text) : text);
  const copy = button("plain copy-code", "Copy code", "", async () => saidSo(copy, await copyText(block.text), "Copy code"));
  box.append(pre);
  const under = element("div", "under");
  under.append(copy);
  for (const number of block.of) {
    const sentence = turn.data.sentences[number];
    if (!sentence.supported) doubt(turn, sentence, under, pre);
    under.append(marks(turn, sentence));
  }
  box.append(under);
  into.append(box);
}

// What each guide says, by name: every guide has a card of its own.
function drawSides(turn, into, block) {
  const box = element("section", "sides");
  box.setAttribute("aria-label", "What each guide says");
  for (const { guide, of } of block.sides) {
    const card = element("div", "side");
    card.append(element("h3", "title", guide));
    const said = element("p");
    of.forEach((number, i) => {
      const sentence = turn.data.sentences[number];
      const next = turn.data.sentences[of[i + 1]];
      const goesOn = next && String(next.notes) === String(sentence.notes);
      drawSentence(turn, said, goesOn ? { ...sentence, notes: [] } : sentence, sentence.said || sentence.text);
      said.append(" ");
    });
    card.append(said);
    box.append(card);
  }
  into.append(box);
}

const BLOCKS = { list: drawList, table: drawRows, code: drawCodeOf, sides: drawSides };

function drawAnswer(turn, into) {
  for (const block of turn.data.blocks) {
    if (BLOCKS[block.kind]) BLOCKS[block.kind](turn, into, block);
    else {
      const node = element(block.kind === "heading" ? "h3" : "p");
      drawUnit(turn, node, block.of, block.skip);
      into.append(node);
    }
  }
  if (turn.data.pending) into.append(element("p", "pending", turn.data.pending));
}
