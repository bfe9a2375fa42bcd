"""The page in a real browser, from outside: what a reader sees, clicks and types."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingest.library import Library

Visit = Callable[..., Any]
Shoot = Callable[[Any, str], None]

BOX = '[data-testid="stChatInputTextArea"]'
EGGS = "How many eggs does the queen lay a day in early summer?"


def ask(page: Any, question: str) -> Any:
    """Asks, waits until the answer is finished, and gives its article."""
    page.locator(BOX).fill(question)
    page.keyboard.press("Enter")
    # By its question: on a busy machine what stood here before goes only when the next is there.
    article = page.locator("article", has=page.locator(".question", has_text=question)).last
    article.locator("footer.meta").wait_for()
    return article


def marked(page: Any) -> str:
    """The highlighted words of the open source."""
    page.locator("#footnote-source mark").first.wait_for(state="attached")
    return "".join(page.locator("#footnote-source mark").all_text_contents())


def test_a_click_on_a_footnote_shows_the_quote_in_its_place(
    visit: Visit, served: tuple[str, Path], shots: Shoot
) -> None:
    page = visit()
    article = ask(page, EGGS)
    note = article.locator(".note").first
    sentence = article.locator(".sentence").first
    note.click()
    quote = marked(page)
    text = Library(served[1]).text("bees.md")
    assert quote in text
    assert "2,000 eggs" in quote
    assert quote.replace("**", "") in sentence.inner_text()
    shown = "".join(page.locator("#footnote-source .text").all_text_contents())
    assert shown in text, "what stands around the quote is the guide's own text"
    assert len(shown) > len(quote) + 100
    assert page.locator("#footnote-source .path").inner_text().endswith("The hive")
    shots(page, "source")
    page.locator("#footnote-source [aria-label^=Close]").click()
    assert page.locator("#footnote-source aside").count() == 0


def test_next_and_previous_lead_through_the_footnotes(visit: Visit) -> None:
    page = visit()
    article = ask(page, "What is the secret of ripe honey?")
    article.locator(".note").first.click()
    assert "refractometer" in marked(page)
    page.get_by_label("Next footnote").click()
    page.locator("#footnote-source mark", has_text="Riper honey keeps for years.").wait_for()
    page.get_by_label("Previous footnote").click()
    page.locator("#footnote-source mark", has_text="refractometer").wait_for()


def test_opening_a_footnote_needs_nothing_from_the_server(visit: Visit) -> None:
    page = visit()
    article = ask(page, EGGS)
    page.evaluate("WebSocket.prototype.send = () => {}")
    before = time.perf_counter()
    article.locator(".note").first.click()
    assert "2,000 eggs" in marked(page)
    assert time.perf_counter() - before < 5.0
    for passage in article.locator(".passage").all():
        passage.dispatch_event("click")
        assert marked(page)


def test_the_first_answer_is_there_in_half_a_second_once_the_page_is_warm(visit: Visit) -> None:
    page = visit()
    ask(page, EGGS)
    own = []  # what the page adds to the time that the answer itself took
    for question in (
        "When do drones leave the hive?",
        "What does a hive weigh before winter?",
        "When is linden harvested?",
    ):
        before = time.perf_counter()
        article = ask(page, question)
        took = re.search(r"([\d.]+) s", article.locator("footer.meta").inner_text())
        assert took
        own.append(time.perf_counter() - before - float(took[1]))
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # how many others wait for each processor
    assert min(own) < busy, f"{own} with {busy:.1f} at each processor; far below half a second where nobody else is"


def test_a_hostile_guide_and_a_hostile_question_do_nothing(visit: Visit, shots: Shoot) -> None:
    page = visit()
    article = ask(page, "What did the attacker plant? <img src=x onerror='window.hacked=9'> $x$ :smile: **b**")
    ask(page, "What are the planted price, the planted picture and the planted signs?")
    for open_ in article.locator("summary").all():
        open_.click()
    article.locator("[data-place]").first.click()
    page.wait_for_timeout(300)
    guide = page.locator('[class*="st-key-read-"]').get_by_role("button", name=re.compile("^Notes on"))
    guide.wait_for()
    shots(page, "hostile")
    guide.click()
    page.locator(".reader-text").wait_for()
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    title = page.locator('[class*="st-key-entry"] button').first.inner_text().replace("\u200b", "")
    assert title == "What did the attacker plant? <img src=x onerror='window.hacked=9'> $x$ :smile:…"
    assert "<script>window.hacked = 1</script>" in page.locator(".reader-text").inner_text()
    assert page.locator(".reader-text :is(a, img, script, iframe, svg)").count() == 0
    assert page.locator(".katex, a[href*='example.com'], img[src*='example.com'], iframe").count() == 0


def test_what_is_drawn_is_the_text_to_the_character(visit: Visit, served: tuple[str, Path]) -> None:
    """Every guide, read whole: hiding markup loses no character, wherever the marked words begin and end."""
    library = Library(served[1])
    page = visit()
    for document, (start, end) in {"bees.md": (0, 40), "bread.md": (200, 640), "hostile.md": (500, 760)}.items():
        text = library.text(document)
        page.goto(f"{served[0]}/read?doc={document}&start={start}&end={end}")
        page.locator(".reader-text").wait_for()
        assert page.locator(".reader-text").evaluate("node => node.textContent") == text
        assert "".join(page.locator(".reader-text mark").all_text_contents()) == text[start:end]


def test_the_link_to_a_guide_knows_its_words(visit: Visit) -> None:
    page = visit()
    ask(page, EGGS).locator(".note").first.click()
    quote = marked(page)
    page.get_by_role("button", name="Open the whole guide").click()
    page.locator(".reader-text mark").first.wait_for()
    assert "".join(page.locator(".reader-text mark").all_text_contents()) == quote
    assert page.get_by_text("has changed since").count() == 0
    assert "/read?" in page.url
    assert all(f"{name}=" in page.url for name in ("doc", "start", "end", "hash"))
    page.goto(re.sub(r"hash=\w+", "hash=0123456789abcdef", page.url))
    page.get_by_text("has changed since").wait_for()
    assert page.locator(".reader-text mark").count() == 0


def test_a_question_that_is_too_long_stays_in_the_box(visit: Visit) -> None:
    page = visit()
    question = "What is " + "very " * 850 + "long?"
    page.locator(BOX).fill(question)
    page.keyboard.press("Enter")
    page.get_by_text("has between 1 and 4,000 characters").wait_for()
    assert page.locator(BOX).input_value() == question
    page.locator(BOX).fill(EGGS)
    page.keyboard.press("Enter")
    page.locator("article footer.meta").wait_for()


def test_a_reload_keeps_the_conversation_and_its_footnotes(visit: Visit) -> None:
    page = visit()
    ask(page, EGGS)
    page.reload()
    page.locator("article .note").first.click()
    assert "2,000 eggs" in marked(page)
    assert page.locator("article .question").inner_text() == EGGS


def test_nobody_sees_the_conversation_of_another(visit: Visit) -> None:
    mine, other = visit(), visit(apart=True)
    ask(mine, "What is the secret of ripe honey?")
    address = mine.url
    other.goto(address)
    other.locator(BOX).wait_for()
    other.get_by_text("Ask your guides").first.wait_for()
    assert other.locator("article").count() == 0
    assert "secret" not in other.locator("body").inner_text()
    mine.reload()
    mine.locator("article").wait_for()


def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit()
    page.wait_for_function(f"document.activeElement === document.querySelector('{BOX}')")
    page.keyboard.type(EGGS)
    page.keyboard.press("Enter")
    note = page.locator("article .note").first
    note.wait_for()
    page.locator("article footer.meta").wait_for()
    focused = "() => { let e = document.activeElement; while (e?.shadowRoot) e = e.shadowRoot.activeElement;"
    focused += " return e?.className }"
    for _ in range(60):
        page.keyboard.press("Shift+Tab")
        if page.evaluate(focused) == "note":
            break
    assert page.evaluate(focused) == "note"
    page.keyboard.press("Enter")
    assert marked(page)
    assert "panel-title" in page.evaluate("document.activeElement.shadowRoot.activeElement.id")
    page.keyboard.press("Escape")
    assert page.locator("#footnote-source aside").count() == 0
    assert page.evaluate(focused) == "note"


def test_an_uploaded_guide_can_be_asked_about_and_stays_in_the_librarys_folder(
    visit: Visit, served: tuple[str, Path], tmp_path: Path
) -> None:
    guide = "# Sharpening chisels\n\nA bench chisel is ground at an angle of 25 degrees and honed at 30 degrees.\n"
    page = visit()
    file = {"name": "../../up/chisels.md", "mimeType": "text/markdown", "buffer": guide.encode()}
    page.locator('[data-testid="stFileUploaderDropzoneInput"]').set_input_files(file)
    page.get_by_text("1 added").first.wait_for(state="attached")
    assert [p.name for p in served[1].glob("uploads/*")] == ["chisels.md"]
    article = ask(page, "At what angle is a bench chisel ground and honed?")
    article.locator(".note").first.click()
    assert "25 degrees" in marked(page)
    page.keyboard.press("Escape")
    row = page.locator('[class*="st-key-guide-"]').filter(has_text="Sharpening chisels")
    row.get_by_role("button", name=re.compile("^About")).click()
    page.get_by_role("button", name="Take out of the library").click()
    page.get_by_text("1 removed").first.wait_for(state="attached")
    assert list(served[1].glob("uploads/*")) == []


def test_a_text_that_is_pasted_becomes_a_guide_and_only_the_web_is_fetched(
    visit: Visit, served: tuple[str, Path]
) -> None:
    page = visit()
    page.get_by_role("button", name="From the web, or as text").click()
    page.get_by_label("Address of a page").fill("file:///etc/hosts")
    page.get_by_role("button", name="Fetch and read").click()
    page.get_by_text("is no address of the web").wait_for()
    page.get_by_label("Or a text, by the name of").fill("Honing / planes")
    page.get_by_placeholder("Paste it here").fill("A plane's iron is honed at 35 degrees.")
    page.get_by_role("button", name="Keep and read").click()
    page.get_by_text("1 added").first.wait_for(state="attached")
    assert Library(served[1]).text("Honing-planes.md").startswith("# Honing / planes\n\nA plane")
    row = page.locator('[class*="st-key-guide-"]').filter(has_text="Honing / planes")
    assert "read " in row.inner_text()
    row.get_by_role("button", name=re.compile("^About")).click()
    page.get_by_role("button", name="Take out of the library").click()
    page.get_by_text("1 removed").first.wait_for(state="attached")


DROP = """([name, text]) => {
  const files = new DataTransfer();
  files.items.add(new File([text], name, { type: "text/markdown" }));
  const how = { dataTransfer: files, bubbles: true, cancelable: true };
  for (const kind of ["dragover", "drop"]) document.querySelector(".stMain").dispatchEvent(new DragEvent(kind, how));
}"""


def test_a_file_dropped_anywhere_is_read_and_asks_before_it_replaces_another(
    visit: Visit, served: tuple[str, Path]
) -> None:
    page = visit()
    page.get_by_text("all asked").wait_for()
    page.locator('[data-testid="stFileUploaderDropzoneInput"]').wait_for(state="attached")
    page.wait_for_function(f"document.activeElement === document.querySelector('{BOX}')")
    page.evaluate(DROP, ["planes.md", "# Planes\n\nA plane's iron is ground at 25 degrees.\n"])
    page.get_by_text("1 added").first.wait_for(state="attached")
    page.evaluate(DROP, ["planes.md", "# Planes\n\nA plane's iron is ground at 28 degrees.\n"])
    page.get_by_role("button", name="Keep both").wait_for()
    assert "25 degrees" in (served[1] / "uploads" / "planes.md").read_text()
    page.get_by_role("button", name="Replace").click()
    page.get_by_text("1 changed").first.wait_for(state="attached")
    assert [path.name for path in served[1].glob("uploads/*")] == ["planes.md"]
    assert "28 degrees" in Library(served[1]).text("planes.md")
    row = page.locator('[class*="st-key-guide-"]').filter(has_text="Planes")
    row.get_by_role("button", name=re.compile("^About")).click()
    page.get_by_role("button", name="Take out of the library").click()
    page.get_by_text("1 removed").first.wait_for(state="attached")


def test_what_is_typed_and_the_theme_are_there_after_a_reload(visit: Visit) -> None:
    page = visit()
    page.locator(BOX).fill("What is not asked y")
    page.locator(BOX).press("e")
    page.locator(".themes").get_by_role("button", name="Dark").click()
    page.wait_for_function(f"document.querySelector('{BOX}')?.value === 'What is not asked ye'")
    dark = "() => getComputedStyle(document.querySelector('.stApp') ?? document.body).backgroundColor"
    assert page.evaluate(dark) == "rgb(22, 24, 27)"
    page.locator(".themes").get_by_role("button", name="System").click()
    page.wait_for_function(f"({dark})() === 'rgb(252, 251, 248)'")
    page.wait_for_function(TYPED, arg="What is not asked ye")
    ask(page, EGGS)
    page.reload()
    page.locator("article footer.meta").wait_for()
    page.wait_for_timeout(500)
    assert page.locator(BOX).input_value() == "", "what was asked is not typed again"


TYPED = "text => document.querySelector('[data-testid=\"stChatInputTextArea\"]')?.value === text"


def test_what_is_typed_is_kept_for_each_conversation_and_a_follow_up_asked_on_its_own(visit: Visit) -> None:
    page = visit()
    ask(page, "What does a hive weigh before winter?")
    article = ask(page, "And how often should it be inspected?")
    article.get_by_role("button", name="Ask it on its own").click()
    page.locator('[class*="st-key-version-"]').wait_for()
    page.locator("article .understood").wait_for(state="detached")
    page.locator(BOX).fill("typed below the hive")
    page.get_by_role("button", name="New conversation").click()
    page.locator(".footnote-title").wait_for()
    page.wait_for_function(TYPED, arg="")
    page.locator(BOX).fill("typed for a new one")
    page.go_back()
    page.wait_for_function(TYPED, arg="typed below the hive")
    page.get_by_role("button", name="New conversation").click()
    page.wait_for_function(TYPED, arg="typed for a new one")


def test_a_copied_answer_has_its_footnotes_as_html_too(visit: Visit, context: Any) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visit()
    article = ask(page, EGGS)
    article.get_by_role("button", name="Copy the answer").click()
    article.get_by_text("Copied").wait_for()
    kinds = page.evaluate(
        """async () => { const [item] = await navigator.clipboard.read();
        return Promise.all(["text/plain", "text/html"].map(async (kind) => (await item.getType(kind)).text())) }"""
    )
    assert "[^1]" in kinds[0]
    assert "<blockquote>" in kinds[1]
    assert "2,000 eggs" in kinds[1]


def test_all_text_stands_out_in_light_and_dark(visit: Visit, shots: Shoot) -> None:
    """Text stands out from what is behind it by 4.5 to 1 at least, in light and dark."""
    for dark in (False, True):
        page = visit(dark=dark)
        article = ask(page, EGGS)
        article.locator("summary").first.click()
        page.get_by_role("button", name="Edit").first.click()
        page.get_by_test_id("stBaseButton-primaryFormSubmit").wait_for()
        article.locator(".note").first.click()
        marked(page)
        shots(page, "dark" if dark else "light")
        low = page.evaluate(CONTRAST)
        assert low == [], low


CONTRAST = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color) => { context.clearRect(0, 0, 1, 1); context.fillStyle = color; context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data; return { c: [r, g, b], a: a / 255 }; };
  const light = ({ c }) => c.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const up = (node) => node.parentElement ?? node.getRootNode().host;
  const behind = (node) => { for (let n = node; n; n = up(n)) {
    const color = rgb(getComputedStyle(n).backgroundColor); if (color.a > 0.98) return color; } return rgb("#fff"); };
  const low = [];
  const roots = [document, ...[...document.querySelectorAll("*")].map((n) => n.shadowRoot).filter(Boolean)];
  for (const root of roots) for (const node of root.querySelectorAll("article *, aside *, form button *")) {
    const text = [...node.childNodes].some((n) => n.data?.trim());
    if (!text || !node.getClientRects().length) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(`${node.className || node.tagName}: ${ratio.toFixed(2)} ${node.textContent}`);
  }
  return low;
}"""


def test_the_report_is_shown_in_a_frame_where_nothing_runs(visit: Visit, served: tuple[str, Path]) -> None:
    run = served[1].parent / "runs" / "today"
    run.mkdir(parents=True)
    (run / "report.html").write_text("<h1>The report</h1><script>top.hacked = 1; document.body.append('ran')</script>")
    page = visit("/evaluation")
    inside = page.frame_locator("iframe[title=today]").locator("body")
    inside.get_by_text("The report").wait_for()
    assert "ran" not in inside.inner_text()
    assert page.evaluate("window.hacked") is None


# The page on a telephone, in a real browser.

Visit = Callable[..., Any]
Shoot = Callable[[Any, str], None]


def test_on_a_narrow_screen_nothing_runs_over_the_edge(visit: Visit, shots: Shoot) -> None:
    page = visit(width=375, height=720)
    page.wait_for_function("document.querySelector('.footnote-title')?.getBoundingClientRect().top > 0")
    article = ask(page, "Which months are acacia, linden and heather honey harvested in?")
    wide = "() => document.documentElement.scrollWidth - innerWidth"
    assert page.evaluate(wide) <= 0
    shots(page, "narrow")
    article.locator(".note").first.click()
    marked(page)
    box = page.locator("#footnote-source aside").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 375
    page.wait_for_function(SIGHT)  # the sentence and its source are seen together
    assert page.evaluate(wide) <= 0
    shots(page, "narrow-source")


SIGHT = """() => {
  const roots = [...document.querySelectorAll("*")].map((n) => n.shadowRoot).filter(Boolean);
  const note = roots.map((root) => root.querySelector(".note[aria-expanded=true]")).find(Boolean);
  const panel = document.querySelector("#footnote-source").shadowRoot.querySelector("aside");
  const { top, bottom } = note.getBoundingClientRect();
  return top > 0 && bottom < panel.getBoundingClientRect().top;
}"""


def test_a_long_conversation_is_shown_from_its_last_question_on(visit: Visit) -> None:
    page = visit(width=375, height=500)
    ask(page, EGGS)
    question = ask(page, "Which months are acacia, linden and heather honey harvested in?").locator(".question")
    begins = "node => { const { top } = node.getBoundingClientRect(); return top > 40 && top < 160 }"
    for _ in range(100):
        if question.evaluate(begins):
            break
        page.wait_for_timeout(100)
    page.wait_for_timeout(500)
    assert question.evaluate(begins)
