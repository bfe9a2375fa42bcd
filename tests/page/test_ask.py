"""A thumbs-down becomes a question of the evaluation, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from assistant.evaluation.questions import read
from assistant.helps import starting_questions
from assistant.records import SHOWN
from ingest.library import Library
from ingest.sync import sync
from tests.fakes import BagOfWords
from tests.page.test_app import answers, button, good, texts
from tests.page.test_app import ask as asked_in
from tests.page.test_browser import ask

# The first visit: with guides, and without a library.

Open = Callable[..., AppTest]


def test_the_first_visit_offers_questions_that_the_guides_themselves_raise(open_: Open, library: Path) -> None:
    app = open_()
    offered = [b.label for b in app.button if (b.key or "").startswith("starter-")]
    assert 2 <= len(offered) <= 5
    assert "How often should a hive be inspected?" in offered or "What does a hive weigh before winter?" in offered
    assert "Why does a loaf stay flat?" in offered
    assert "3 guides" in texts(app)
    button(app, "starter-").click().run()
    assert [turn["question"] for turn in answers(app)] == [offered[0]]


def test_without_a_library_the_page_shows_how_to_make_one_and_makes_it(open_: Open, tmp_path: Path) -> None:
    place = tmp_path / "fresh"
    app = open_(place)
    assert "nothing to ask yet" in texts(app)
    assert any("starter guides" in b.label for b in app.button)
    tea = "# Tea\n\nGreen tea is brewed at 80 °C for two minutes.\n"
    app.file_uploader[0].set_value([("tea.md", tea.encode(), "text/markdown"), ("empty.md", b"", "text/markdown")])
    app.run()
    for _ in range(300):
        if app.chat_input:
            break
        app.run()
    assert answers(asked_in(app, "How is green tea brewed?"))[0]["status"] in SHOWN
    assert [d.path for d in Library(place).documents()] == ["tea.md"]
    assert Library(place).roots() == [str(place / "uploads")]


def test_a_visitor_can_have_the_starter_guides_and_uploads_read_and_no_path_of_the_server(
    open_: Open, tmp_path: Path
) -> None:
    app = open_(tmp_path / "fresh")
    assert [b.label for b in app.button if "ead" in b.label] == ["Read the starter guides"]
    assert not app.text_input
    assert not app.text_area
    assert not app.chat_input


@pytest.mark.parametrize("length", [4001, 90_000])
def test_a_question_that_cannot_be_asked_is_in_the_box_again_with_the_reason(open_: Open, length: int) -> None:
    app = open_()
    app.chat_input[0].set_value("x" * length).run()
    assert answers(good(app)) == []
    assert [f"{length:,}" in error.value for error in app.error] == [True]
    assert app.chat_input[0].proto.value == "x" * length
    app.run()
    assert not app.error
    [turn] = answers(asked_in(app, "How often should a hive be inspected?"))
    assert turn["status"] in SHOWN


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


def test_a_heading_that_names_its_question_is_turned_into_it(tmp_path: Path) -> None:
    headings = ("What dropout is", "What kernels are", "How to choose a rate", "When to stop training")
    said = "A sentence about it. " * 60
    text = "# Guide\n\n" + "\n\n".join(f"## {h}\n\n{said}" for h in headings)
    (tmp_path / "guides").mkdir()
    (tmp_path / "guides" / "guide.md").write_text(text)
    sync([tmp_path / "guides"], tmp_path / "library", embedder=BagOfWords())
    found = starting_questions(Library(tmp_path / "library"), 3)
    assert {question.split()[0] for question in found} == {"What", "How", "When"}
    assert "How do I choose a rate?" in found
    assert "When should I stop training?" in found
