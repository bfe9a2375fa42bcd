"""A thumbs-down becomes a question of the evaluation, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from assistant.evaluation.questions import read
from tests.page.test_browser import ask

Visit = Callable[..., Any]


def test_an_answer_that_fell_short_is_kept_as_a_test_question(visit: Visit, served: tuple[str, Path]) -> None:
    page = visit()
    ask(page, "How often should a hive be inspected?")
    page.get_by_test_id("stFeedback").locator("button").nth(1).click()
    page.get_by_role("button", name="Keep as a test question").click()
    unit = page.locator(".unit").nth(1)
    plain = unit.evaluate("node => getComputedStyle(node).backgroundColor")
    unit.click()
    page.mouse.move(0, 0)
    assert unit.get_attribute("aria-pressed") == "true"
    assert unit.evaluate("node => getComputedStyle(node).backgroundColor") != plain
    assert unit.evaluate("node => getComputedStyle(node).display") == "block", "each unit has a line of its own"
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_text("Kept in").wait_for()
    [kept] = read(served[1] / "questions.jsonl")
    assert [evidence.quote for evidence in kept.evidence] == [unit.inner_text().removeprefix("✓ ")]
