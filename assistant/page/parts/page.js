// Once a page: the browser keeps its owner's mark, and the question box is ready to type in.

export default function ({ data }) {
  if (data.mark) document.cookie = `${data.cookie}=${data.mark}; path=/; max-age=31536000; samesite=strict`;
  if (!data.focus || window.footnoteFocused === data.focus) return;
  window.footnoteFocused = data.focus;
  let tries = 0;
  const focus = () => {
    const box = document.querySelector('[data-testid="stChatInputTextArea"]');
    if (box && document.activeElement === document.body) box.focus();
    else if (!box && tries++ < 30) setTimeout(focus, 100);
  };
  focus();
}
