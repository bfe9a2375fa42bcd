// A report as it was written, in a frame of its own in which nothing runs and from which nothing leads into this page.

export default function ({ data, parentElement: root }) {
  if (root.footnoteDrawn === data.key) return;
  root.footnoteDrawn = data.key;
  root.querySelector("iframe")?.remove();
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "");
  frame.title = data.title;
  frame.style.cssText = "width: 100%; height: 85vh; border: 1px solid var(--st-border-color, #ddd8cc); border-radius: 10px;";
  frame.srcdoc = data.html;
  root.append(frame);
}
