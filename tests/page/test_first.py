"""The first visit: with guides, and without a library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

from ingest.library import Library
from tests.page.test_app import answers, ask, button, good, texts

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
    app.text_input[0].set_value(str(tmp_path / "nowhere"))
    next(b for b in app.button if b.label == "Read this folder").click().run()
    assert "nowhere" in texts(good(app))
    guides = tmp_path / "mine"
    guides.mkdir()
    (guides / "tea.md").write_text("# Tea\n\nGreen tea is brewed at 80 °C for two minutes.\n")
    (guides / "empty.md").write_text("")
    app.text_input[0].set_value(str(guides))
    next(b for b in app.button if b.label == "Read this folder").click().run()
    for _ in range(300):
        if app.chat_input:
            break
        app.run()
    assert answers(ask(app, "How is green tea brewed?"))[0]["status"] == "answered"
    assert [d.path for d in Library(place).documents()] == ["tea.md"]
