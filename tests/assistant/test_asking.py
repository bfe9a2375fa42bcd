from __future__ import annotations

import pytest

from assistant.asking import Printer
from assistant.records import Answer, Passages, Proved, Sentence

QUESTION = "Which tools?"
SAID = ["Two tools lead.", "They are these:", "- PyTorch", "- Keras", "Both are free."]


def test_items_stand_on_lines_of_their_own_and_a_sentence_behind_them_begins_a_paragraph(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sentences = tuple(Sentence(text, supported=True) for text in SAID)
    answer = Answer(QUESTION, "answered", sentences)
    shown = Printer().show([Passages((), QUESTION), *map(Proved, sentences), answer])
    assert shown == answer
    assert capsys.readouterr().out.strip() == "Two tools lead. They are these:\n- PyTorch\n- Keras\n\nBoth are free."


def test_code_stands_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    sentences = tuple(Sentence(text, supported=True) for text in ("Load it:", "```\nimport torch\n```", "That is all."))
    Printer().show([Passages((), QUESTION), *map(Proved, sentences), Answer(QUESTION, "answered", sentences)])
    assert capsys.readouterr().out.strip() == "Load it:\n```\nimport torch\n```\n\nThat is all."


def test_a_sentence_that_begins_with_a_figure_is_no_item(capsys: pytest.CaptureFixture[str]) -> None:
    sentences = tuple(Sentence(text, supported=True) for text in ("Most do.", "80 % of papers use it.", "Few do not."))
    Printer().show([Passages((), QUESTION), *map(Proved, sentences), Answer(QUESTION, "answered", sentences)])
    assert capsys.readouterr().out.strip() == "Most do. 80 % of papers use it. Few do not."
    assert Answer(QUESTION, "answered", sentences).text.strip() == "Most do. 80 % of papers use it. Few do not."
