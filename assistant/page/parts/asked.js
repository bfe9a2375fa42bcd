// What was just asked is on the page at once, until its answer is begun; what came of it is said to whoever cannot see.

const BOX = '[data-testid="stChatInputTextArea"]';
const asked = (window.footnoteAsked ??= {}); // shared by all visits of the page in this tab

function drawAsked(question) {
  const text = question.trim();
  if (!text || text.length > asked.limit || !asked.root?.isConnected) return;
  const article = element("article", "asked");
  article.append(element("h2", "question", text), element("p", "wait", "Looking through the guides…"));
  asked.root.querySelector("article")?.remove();
  asked.root.append(article);
  document.documentElement.classList.add("footnote-asked");
  article.scrollIntoView({ block: "nearest" });
}

asked.clear = () => {
  asked.root?.querySelector("article")?.remove();
  document.documentElement.classList.remove("footnote-asked");
};

function watch() {
  if (asked.watching) return;
  asked.watching = true;
  const typed = () => document.querySelector(BOX)?.value || "";
  const keys = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.matches?.(BOX);
  document.addEventListener("keydown", (event) => keys(event) && drawAsked(typed()), true);
  document.addEventListener("click", (event) => {
    const on = (what) => event.target.closest?.(what);
    if (on('[data-testid="stChatInputSubmitButton"]')) drawAsked(typed());
    else if (on(OFFERED)) drawAsked(on("button").innerText);
    if (innerWidth < 700 && on(CHOICES)) setTimeout(closeSidebar, 50);
  }, true);
}

const OFFERED = '[class*="st-key-starter-"] button, [class*="st-key-offered-"] [data-testid="stButton"] button';

// On a telephone the list lies over what was chosen from it.
const CHOICES = ["open-", "new", "read-", "evaluation"].map((key) => `[data-testid="stSidebar"] [class*="st-key-${key}"] button`).join();

function closeSidebar() {
  document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
}

export default function ({ data, parentElement: root }) {
  let region = root.querySelector(".region");
  if (!region) {
    region = element("p", "region");
    region.setAttribute("role", "status");
    root.append(region);
  }
  const waiting = asked.root !== root && asked.root?.querySelector("article");
  if (waiting) root.append(waiting);
  Object.assign(asked, { root, limit: data.limit });
  if (data.refused) asked.clear(); // else the answer that takes its place does it
  watch();
  if (region.textContent !== data.said) region.textContent = data.said;
}
