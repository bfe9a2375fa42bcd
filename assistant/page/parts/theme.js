// Light, dark, or as the system has it. Streamlit reads the choice when a page is opened, for each address by itself.

const THEMES = { System: null, Light: "Light", Dark: "Dark" };
const PLACES = ["/", "/ask", "/read", "/evaluation"];

function themeKeys() {
  const own = Object.keys(localStorage).filter((key) => key.startsWith("stActiveTheme-"));
  return [...new Set([...own, ...[...PLACES, location.pathname].map((place) => `stActiveTheme-${place}-v2`)])];
}

export default function ({ parentElement: root }) {
  if (root.querySelector(".themes")) return;
  const now = JSON.parse(localStorage.getItem(`stActiveTheme-${location.pathname}-v2`) ?? "null") ?? "System";
  const group = document.createElement("div");
  group.className = "themes";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Theme");
  for (const [name, value] of Object.entries(THEMES)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.setAttribute("aria-pressed", String(name === now));
    button.onclick = () => {
      for (const key of themeKeys()) value ? localStorage.setItem(key, JSON.stringify(value)) : localStorage.removeItem(key);
      location.reload();
    };
    group.append(button);
  }
  root.append(group);
}
