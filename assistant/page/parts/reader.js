// A whole guide, scrolled to the words that led here, with its sections, and beside it the page of a PDF as it looks. Of
// a very long guide it is a window: `up` and `down` are where those around it begin, `above` how many headings stand there.

export default function ({ data, parentElement: root, setTriggerValue }) {
  if (root.footnoteDrawn !== data.key) {
    root.footnoteDrawn = data.key;
    root.querySelector(".reader")?.remove();
    const go = (at, edge) => {
      root.footnoteEdge = edge; // at which the reader goes on
      setTriggerValue("go", at);
    };
    root.append(drawReader(data, go));
    const mark = root.querySelector("mark:not(.m)");
    const edge = root.footnoteEdge;
    delete root.footnoteEdge;
    if (edge) settled(() => root.querySelector(".reader-text").scrollIntoView({ block: edge }));
    else if (mark) requestAnimationFrame(() => setTimeout(() => mark.scrollIntoView({ block: "center" }), 60));
  }
  if (data.sheet) drawSheet(root.querySelector(".reader"), data, setTriggerValue);
}

function drawReader(data, go) {
  const reader = element("div", data.sheet ? "reader with-sheet" : "reader");
  const text = element("div", "reader-text");
  text.setAttribute("role", "document");
  text.setAttribute("aria-label", data.title);
  drawText(text, data);
  if (data.headings.length) reader.append(drawOutline(data, text, go));
  if (data.up !== null) reader.append(button("plain on", "Show what comes before", "", () => go(data.up, "end")));
  reader.append(text);
  if (data.down !== null) reader.append(button("plain on", "Show what comes next", "", () => go(data.down, "start")));
  return reader;
}

const LEVELS = 3; // of headings in the list: the deepest are for whoever reads there

function drawOutline(data, text, go) {
  const fold = element("details", "headings");
  const summary = element("summary", "", "Sections");
  const outline = element("nav", "outline");
  outline.setAttribute("aria-label", "Sections");
  summary.onclick = () => outline.firstChild || drawSteps(outline, data, text, go);
  fold.append(summary, outline);
  return fold;
}

function drawSteps(outline, { headings, above }, text, go) {
  const shown = text.querySelectorAll(".h");
  const top = headings.reduce((least, [, level]) => Math.min(least, level), 6);
  headings.forEach(([label, level, at], i) => {
    if (level >= top + LEVELS) return;
    const step = element("button", `step level${level - top + 1}`, label);
    step.type = "button";
    step.onclick = () => {
      const heading = shown[i - above];
      if (!heading) return go(at, "start");
      heading.tabIndex = -1;
      heading.scrollIntoView({ block: "start" });
      heading.focus({ preventScroll: true });
    };
    outline.append(step);
  });
}

// `sheet` is {page, pages, url, top, said}.
function drawSheet(reader, data, setTriggerValue) {
  const { page, pages } = data.sheet;
  const side = element("div", "beside");
  const sheet = element("figure", "sheet");
  drawPicture(sheet, { page, title: data.title }, data.sheet);
  const steps = element("div", "steps");
  const turn = (sign, label, to) => {
    const step = button("icon", sign, label, () => setTriggerValue("turn", to));
    step.disabled = to < 1 || to > pages;
    return step;
  };
  steps.append(turn("‹", "Previous page", page - 1), element("span", "count", `Page ${page} of ${pages}`));
  steps.append(turn("›", "Next page", page + 1));
  side.append(steps, sheet);
  reader.querySelector(".beside")?.remove();
  reader.prepend(side);
}
