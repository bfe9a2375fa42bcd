// A whole guide, scrolled to the words that led here, with its headings beside it.

export default function ({ data, parentElement: root }) {
  if (root.footnoteDrawn === data.key) return;
  root.footnoteDrawn = data.key;
  root.querySelector(".reader")?.remove();
  const reader = element("div", "reader");
  const text = element("div", "reader-text");
  text.setAttribute("role", "document");
  text.setAttribute("aria-label", data.title);
  const from = data.quote ? data.before.length : -1;
  const found = drawText(text, data.before + data.quote + data.after, { from, to: from + data.quote.length });
  const outline = element("nav", "outline");
  outline.setAttribute("aria-label", "Headings");
  for (const heading of text.querySelectorAll(".h1, .h2, .h3")) {
    heading.tabIndex = -1;
    const level = heading.className.match(/h(\d)/)[1];
    const words = [...heading.childNodes].filter((n) => !n.classList?.contains("m")).map((n) => n.textContent).join("");
    const step = element("button", `step level${level}`, words.trim());
    step.type = "button";
    step.onclick = () => {
      heading.scrollIntoView({ block: "start" });
      heading.focus({ preventScroll: true });
    };
    outline.append(step);
  }
  const fold = element("details", "headings");
  fold.append(element("summary", "", "Headings"), outline);
  reader.append(fold, text);
  root.append(reader);
  const mark = found.find((node) => !node.classList.contains("m"));
  if (mark) requestAnimationFrame(() => setTimeout(() => mark.scrollIntoView({ block: "center" }), 60));
}
