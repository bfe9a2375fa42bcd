// Once a page: the browser keeps its owner's mark and what is typed, and files may be dropped anywhere.

const BOX = '[data-testid="stChatInputTextArea"]';
const shared = (window.footnotePage ??= {}); // what is listened to once, however often a page is drawn

const box = () => document.querySelector(BOX);

function put(text) {
  const found = box();
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(found, text);
  found.dispatchEvent(new Event("input", { bubbles: true }));
}

// What was typed and not asked yet is kept for each conversation: it is in the box again when one comes back to it.
const draftOf = (conversation) => `footnote-draft-${conversation}`;

function keep(text) {
  text ? localStorage.setItem(draftOf(shared.now), text) : localStorage.removeItem(draftOf(shared.now));
}

// `focus` is the conversation that is open, `begun` the one that this visit began last: what was typed on while it did
// is a part of it.
function keepDraft({ focus, begun, asked }) {
  const found = box();
  const isNew = shared.box !== found;
  const goesOn = begun === focus && shared.begun !== begun && !isNew;
  const arrived = shared.now !== focus || isNew;
  if (goesOn) keep("");
  Object.assign(shared, { now: focus, begun, box: found });
  const draft = localStorage.getItem(draftOf(focus)) ?? "";
  if (draft && draft.trim() === asked.trim()) keep("");
  else if (goesOn || (isNew && found.value)) keep(found.value);
  else if (arrived && found.value !== draft) put(draft);
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
    if (event.target.matches?.(BOX) && shared.now) keep(event.target.value);
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
  keepDraft(data);
  if (!data.focus || window.footnoteFocused === data.focus) return;
  window.footnoteFocused = data.focus;
  if (document.activeElement === document.body) box().focus();
}

export default function ({ data }) {
  if (data.mark) document.cookie = `${data.cookie}=${data.mark}; path=/; max-age=31536000; samesite=strict`;
  listen();
  ready(data);
}
