// Once a page: the browser keeps its owner's mark and what is typed, and files may be dropped anywhere.

const BOX = '[data-testid="stChatInputTextArea"]';
const DRAFT = "footnote-draft";
const shared = (window.footnotePage ??= {}); // what is listened to once, however often a page is drawn

const box = () => document.querySelector(BOX);

function put(text) {
  const found = box();
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(found, text);
  found.dispatchEvent(new Event("input", { bubbles: true }));
}

// What was typed and not asked yet is in the box again after a reload.
function keepDraft(asked) {
  const draft = localStorage.getItem(DRAFT) ?? "";
  if (draft && draft.trim() === asked.trim()) localStorage.removeItem(DRAFT);
  else if (draft && box() && !box().value && !shared.drafted) put(draft);
  if (box()) shared.drafted = true;
}

// Why nothing goes on, beside the box, while the server does not answer.
function watchServer() {
  shared.disabled = box()?.disabled ? (shared.disabled ?? 0) + 1 : 0; // Streamlit does so while it is cut off
  const note = document.getElementById("footnote-cut");
  document.documentElement.classList.toggle("footnote-cut", shared.disabled > 1);
  if (shared.disabled < 2) return note?.remove();
  if (note) return;
  const said = document.createElement("p");
  said.id = "footnote-cut";
  said.setAttribute("role", "alert");
  said.textContent = "The server does not answer. What you typed is kept here, and can be asked when it is back.";
  box().closest('[data-testid="stChatInput"]')?.before(said);
}

function dropped(event) {
  const field = document.querySelector('[data-testid="stFileUploaderDropzoneInput"]');
  const files = event.dataTransfer?.files;
  document.documentElement.classList.remove("footnote-dropping");
  if (!files?.length || event.target.closest?.('[data-testid="stFileUploaderDropzone"]')) return;
  event.preventDefault();
  if (!field) return;
  field.files = files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

function listen() {
  if (shared.listening) return;
  shared.listening = true;
  document.addEventListener("input", (event) => {
    if (!event.target.matches?.(BOX)) return;
    event.target.value ? localStorage.setItem(DRAFT, event.target.value) : localStorage.removeItem(DRAFT);
  });
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    document.documentElement.classList.add("footnote-dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.documentElement.classList.remove("footnote-dropping");
  });
  document.addEventListener("drop", dropped);
  setInterval(watchServer, 1000);
}

function ready(data, tries = 0) {
  if (!box()) return void (tries < 30 && setTimeout(() => ready(data, tries + 1), 100));
  keepDraft(data.asked ?? "");
  if (!data.focus || window.footnoteFocused === data.focus) return;
  window.footnoteFocused = data.focus;
  if (document.activeElement === document.body) box().focus();
}

export default function ({ data }) {
  if (data.mark) document.cookie = `${data.cookie}=${data.mark}; path=/; max-age=31536000; samesite=strict`;
  listen();
  ready(data);
}
