// The passages of an answer, unit by unit: the reader picks the words that a right answer should have quoted.

export default function ({ data, parentElement: root, setStateValue }) {
  if (root.footnoteDrawn === data.key) return;
  root.footnoteDrawn = data.key;
  root.querySelector(".picker")?.remove();
  const picked = new Set();
  const picker = element("div", "picker");
  data.passages.forEach((passage, p) => {
    const box = element("section", "from");
    box.append(element("h3", "", passage.title));
    passage.units.forEach((unit, u) => {
      const id = `${p}.${u}`;
      const choice = element("button", "unit");
      choice.type = "button";
      choice.setAttribute("aria-pressed", "false");
      new Pen().inline(choice, unit);
      choice.onclick = () => {
        const on = !picked.has(id);
        picked[on ? "add" : "delete"](id);
        choice.setAttribute("aria-pressed", String(on));
        setStateValue("picked", [...picked]);
      };
      box.append(choice);
    });
    picker.append(box);
  });
  root.append(picker);
}
