from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune.ideas import Place
from finetune.leakage import Held, held
from ingest.errors import FootnoteError

TEXT = "Dropout lowers overfitting. It drops half of the units."


@pytest.fixture
def known(tmp_path: Path) -> Held:
    row = {
        "question": "what does dropout do to overfitting?",
        "history": ["is regularisation worth it for small nets"],
        "evidence": [{"document": "guides/dropout.md", "quote": "lowers overfitting"}],
    }
    (tmp_path / "questions.jsonl").write_text(json.dumps(row) + "\n")
    return held(tmp_path / "questions.jsonl", {"dropout.md": TEXT, "other/dropout.txt": TEXT})


@pytest.mark.parametrize(
    "question",
    [
        "What does dropout do to overfitting",
        "does dropout do anything to overfitting?",
        "what does dropuot do to overfiting",
    ],
)
def test_near_copies_of_a_question_are_known(known: Held, question: str) -> None:
    assert known.is_near(question)


def test_earlier_questions_of_a_conversation_count_too(known: Held) -> None:
    assert known.is_near("Is regularisation worth it for small nets?")


def test_other_questions_about_the_same_thing_are_free(known: Held) -> None:
    assert not known.is_near("How many units does dropout switch off?")
    assert not known.is_near("What is bagging?")


def test_a_unit_that_overlaps_evidence_is_held_and_its_neighbour_is_not(known: Held) -> None:
    assert known.holds([Place("dropout.md", 0, 27)])
    assert not known.holds([Place("dropout.md", 28, 55)])
    assert not known.holds([Place("other/dropout.txt", 0, 27)])


def test_a_damaged_question_set_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("{")
    with pytest.raises(FootnoteError, match="is no question set"):
        held(tmp_path / "q.jsonl", {})
