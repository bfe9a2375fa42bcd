"""The page on a telephone, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.page.test_browser import EGGS, ask, marked

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
