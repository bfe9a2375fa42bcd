"""Whole journeys through the page in a real browser: on a desk, on a tablet, on a telephone, in light and dark."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.page.conftest import serving
from tests.page.test_browser import BOX, EGGS, ask, marked

Visit = Callable[..., Any]
Shoot = Callable[[Any, str], None]

AXE = Path(sys.prefix) / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = """async () => {
  const { violations, passes } = await axe.run(document, { resultTypes: ["violations", "passes"] });
  const serious = violations.filter((v) => ["serious", "critical"].includes(v.impact));
  return [passes.length, serious.map((v) => [v.id, ...v.nodes.map((n) => n.html.slice(0, 200))])];
}"""
SIZES = {"desk": (1440, 900), "tablet": (1024, 768), "telephone": (390, 800)}
OPEN = "#footnote-source aside"
PEEK = "#footnote-source .peek"
# Where a number can be hit: so many points apart, and still the number.
HIT = """(note, apart) => {
  const { left, right, top, bottom } = note.getBoundingClientRect();
  const [x, y, by] = [(left + right) / 2, (top + bottom) / 2, apart / 2 - 1];
  const hit = ([x, y]) => note.getRootNode().elementFromPoint(x, y) === note;
  return [[x - by, y], [x + by, y], [x, y - by], [x, y + by]].every(hit);
}"""
FOCUSED = "() => { let e = document.activeElement; while (e?.shadowRoot) e = e.shadowRoot.activeElement; return e; }"


def serious(page: Any) -> Any:
    """What axe-core finds that keeps people out."""
    page.add_script_tag(path=str(AXE))
    passed, found = page.evaluate(SERIOUS)
    assert passed > 15, "axe has looked at the page"
    return found


def label_in_focus(page: Any) -> str:
    return str(page.evaluate(f"({FOCUSED})()?.getAttribute('aria-label') ?? ''"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_a_question_its_footnotes_and_the_way_back(visit: Visit, shots: Shoot, size: str, dark: bool) -> None:
    width, height = SIZES[size]
    page = visit(width=width, height=height, dark=dark)
    article = ask(page, "What is the secret of ripe honey?")
    answered = page.url
    notes = article.locator(".note")
    assert notes.count() > 1
    assert notes.first.evaluate(HIT, 44 if size == "telephone" else 24)
    notes.first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert "refractometer" in page.locator(PEEK).inner_text()
    assert "Keeping bees › Honey" in page.locator(PEEK).inner_text()
    page.keyboard.press("ArrowRight")
    assert label_in_focus(page).startswith("Footnote 2:")
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    assert "refractometer" in marked(page)
    aside = page.locator(OPEN).bounding_box()
    thread = page.locator('[class*="st-key-thread"]').bounding_box()
    beside = thread["x"] + thread["width"] <= aside["x"]
    assert beside == (size == "desk"), "it makes room for its source on a wide screen only"
    assert (aside["y"] > height / 4) == (size == "telephone"), "on a telephone the source is a sheet"
    page.get_by_label("Next footnote").focus()
    page.keyboard.press("n")
    page.locator(f"{OPEN} mark", has_text="Riper honey").wait_for()
    assert label_in_focus(page) == "Next footnote", "the focus stays where it was"
    shots(page, f"{size}-{'dark' if dark else 'light'}")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    if AXE.is_file():
        assert serious(page) == []
    assert page.url.endswith("-2")
    page.go_back()
    page.locator(OPEN).wait_for(state="detached")
    assert page.url == answered
    page.go_forward()
    page.locator(f"{OPEN} mark", has_text="Riper honey").wait_for()
    page.locator(BOX).focus() if size != "telephone" else None
    page.keyboard.press("Escape")
    page.locator(OPEN).wait_for(state="detached")


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not here: make browser")
def test_the_first_page_and_a_guide_keep_nobody_out(visit: Visit) -> None:
    for dark in (False, True):
        page = visit(dark=dark)
        page.locator(BOX).wait_for()
        assert serious(page) == []
        page = visit("/read?doc=orchard.txt", dark=dark)
        page.locator(".reader-text").wait_for()
        assert serious(page) == []


# Each frame, from Enter on: which question and answer are on the page, and where the last one begins.
FRAMES = """() => {
  window.frames_ = [];
  const began = performance.now();
  const look = () => {
    const roots = [document, ...[...document.querySelectorAll("*")].map((n) => n.shadowRoot).filter(Boolean)];
    const articles = roots.flatMap((root) => [...root.querySelectorAll("article")]).filter((a) => a.offsetHeight);
    const said = roots.map((root) => root.querySelector(".region")?.textContent).find(Boolean) || "";
    const last = articles[articles.length - 1];
    const state = !last ? "nothing" : last.className || "finished";
    window.frames_.push([performance.now() - began, state, last ? last.getBoundingClientRect().top : 0, said]);
    requestAnimationFrame(look);
  };
  document.addEventListener("keydown", () => requestAnimationFrame(look), { once: true, capture: true });
}"""


def test_a_question_is_there_at_once_and_nothing_flashes_or_jumps_until_its_answer_is_said(
    chromium: Any, small_library: Path, tmp_path: Path
) -> None:
    library = Path(shutil.copytree(small_library, tmp_path / "library"))
    with serving(library, tmp_path / "log", Path(__file__).with_name("impatient.py")) as url:
        page = chromium.new_page()
        page.set_default_timeout(90_000)
        page.goto(url)
        page.wait_for_function("window.footnoteAsked?.root?.isConnected")
        page.locator(BOX).fill(EGGS)
        page.evaluate(FRAMES)
        page.keyboard.press("Enter")
        page.locator("article footer.meta").wait_for()
        page.get_by_role("status").filter(has_text="The answer is there:").wait_for(state="attached")
        page.wait_for_timeout(500)
        frames = page.evaluate("window.frames_")
        page.close()
    states = [state for _, state, _, _ in frames]
    assert states[0] == "asked", "in the first frame after Enter"
    assert [state for state, _ in groupby(states)] == ["asked", "writing", "finished"], "and nothing in between"
    tops = [top for _, state, top, _ in frames if state != "asked"]
    assert max(tops) - min(tops) < 2, tops


def test_a_pdf_shows_the_page_with_the_words_marked_beside_the_text(visit: Visit, shots: Shoot) -> None:
    page = visit()
    article = ask(page, "What is the cider press cleaned with?")
    article.locator(".note").first.click()
    assert "soda" in marked(page)
    assert page.locator(f"{OPEN} .path").inner_text().endswith("page 2")
    drawn = "img => img.complete && img.naturalWidth > 500"
    image = page.locator(f"{OPEN} .sheet img")
    image.wait_for()
    assert image.evaluate(drawn)
    assert "Page 2" in image.get_attribute("alt")
    shots(page, "pdf")
    address = page.url
    page.get_by_role("button", name="Open the whole guide").click()
    page.locator(".reader .sheet img").wait_for()
    page.get_by_text("Page 2 of 2").wait_for()
    page.get_by_role("button", name="Previous page").click()
    page.get_by_text("Page 1 of 2").wait_for()
    page.get_by_text("all asked").wait_for()
    assert "soda" in "".join(page.locator(".reader mark").all_text_contents())
    shots(page, "pdf-guide")
    page.get_by_role("button", name="Back to the conversation").click()
    page.locator(f"{OPEN} mark").first.wait_for()
    assert page.url == address, "back at the very footnote"


def test_a_plain_text_guide_is_drawn_by_its_sections_and_keeps_its_lines(visit: Visit, shots: Shoot) -> None:
    page = visit("/read?doc=orchard.txt")
    page.locator(".reader summary").click()
    assert page.locator(".reader .step").all_inner_texts() == ["Keeping an orchard", "Pruning", "Spraying"]
    shown = page.locator(".reader-text").inner_text()
    assert "A *snake_case_name* and __init__ stay as they were typed." in shown
    assert page.locator(".reader pre").inner_text().splitlines()[0] == "    def litres(trees: int) -> float:"
    assert page.title() == "Keeping an orchard"
    shots(page, "plain-text")


def test_back_and_forward_lead_through_conversations_and_a_reload_stays_where_it_was(visit: Visit) -> None:
    page = visit(height=500)
    ask(page, EGGS)
    page.wait_for_function(f"document.title === {EGGS!r}")
    first = page.url
    page.get_by_role("button", name="New conversation").click()
    page.locator("article").first.wait_for(state="detached")
    page.locator(".footnote-title").wait_for()
    ask(page, "What is the secret of ripe honey?").locator(".note").nth(1).click()
    second = page.url
    assert second.endswith("-2")
    page.reload()
    page.locator(f"{OPEN} mark", has_text="Riper honey").wait_for()
    assert page.url == second
    page.goto(first)
    page.locator("article .question", has_text="eggs").wait_for()
    page.go_back()
    page.locator("article .question", has_text="honey").wait_for()
    page.go_forward()
    page.locator("article .question", has_text="eggs").wait_for()
    assert page.url == first


def test_on_a_telephone_the_sidebar_closes_after_a_choice(visit: Visit) -> None:
    page = visit(width=390, height=800)
    ask(page, EGGS)
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("button", name="New conversation").click()
    page.locator("article").first.wait_for(state="detached")
    page.locator(".footnote-title").wait_for()
    sidebar = "document.querySelector('[data-testid=stSidebar]')"
    page.wait_for_function(f"{sidebar}.getBoundingClientRect().right <= 0 || {sidebar}.ariaExpanded === 'false'")
    assert page.get_by_test_id("stExpandSidebarButton").is_visible()


def test_at_twice_the_size_all_is_still_there(visit: Visit) -> None:
    page = visit(width=720, height=450)  # what is left of 1440 by 900 at 200 %
    article = ask(page, EGGS)
    article.locator(".note").first.click()
    assert "2,000 eggs" in marked(page)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    box = page.locator(OPEN).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 720
    assert page.locator(f"{OPEN} .body").bounding_box()["height"] > 100
    page.get_by_label("Close the source").click()
    assert page.locator(BOX).is_visible()


def test_whoever_has_a_link_that_is_not_theirs_is_told(visit: Visit) -> None:
    mine, other = visit(), visit(apart=True)
    ask(mine, EGGS)
    other.goto(mine.url)
    other.get_by_text("not one of yours").wait_for()
    assert other.locator("article").count() == 0
