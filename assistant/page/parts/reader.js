// A whole guide, scrolled to the words that led here, with its sections, and beside it the page of a PDF as it looks.

export default function ({ data, parentElement: root, setTriggerValue }) {
  if (root.footnoteDrawn !== data.key) {
    root.footnoteDrawn = data.key;
    root.querySelector(".reader")?.remove();
    root.append(drawReader(data));
    const mark = root.querySelector("mark:not(.m)");
    if (mark) requestAnimationFrame(() => setTimeout(() => mark.scrollIntoView({ block: "center" }), 60));
  }
  if (data.sheet) drawSheet(root.querySelector(".reader"), data, setTriggerValue);
}

function drawReader(data) {
  const reader = element("div", data.sheet ? "reader with-sheet" : "reader");
  const text = element("div", "reader-text");
  text.setAttribute("role", "document");
  text.setAttribute("aria-label", data.title);
  drawText(text, data);
  const headings = [...text.querySelectorAll(".h")];
  if (headings.length) reader.append(drawOutline(headings));
  reader.append(text);
  return reader;
}

const LEVELS = 3; // of headings in the list: the deepest are for whoever reads there

function drawOutline(headings) {
  const level = (heading) => Number(heading.className.match(/h(\d)/)[1]);
  const top = Math.min(...headings.map(level));
  const outline = element("nav", "outline");
  outline.setAttribute("aria-label", "Sections");
  for (const heading of headings.filter((one) => level(one) < top + LEVELS)) {
    heading.tabIndex = -1;
    const words = [...heading.childNodes].filter((n) => !n.classList?.contains("m")).map((n) => n.textContent).join("");
    const step = element("button", `step level${level(heading) - top + 1}`, words.trim());
    step.type = "button";
    step.onclick = () => {
      heading.scrollIntoView({ block: "start" });
      heading.focus({ preventScroll: true });
    };
    outline.append(step);
  }
  const fold = element("details", "headings");
  fold.append(element("summary", "", "Sections"), outline);
  return fold;
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
