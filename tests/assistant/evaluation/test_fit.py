"""The threshold of the proving is fitted, and changed sentences are noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assistant.evaluation.fit import CHANGES, Pair, fit_proof, main_proof, noticed, pairs, rates

SENTENCES = [
    "In 2016 the library Keras was used by 30 % of the teams and PyTorch by 70 % of them.",
    "Training is done on 12 machines, and testing is not done on 40 machines.",
]


@pytest.fixture
def squad(tmp_path: Path) -> Path:
    corpus = {
        "id": "p",
        "title": "Nets",
        "text": "Dropout drops half of the units. Boosting adds trees to an ensemble.",
    }
    asked = {
        "id": "q",
        "text": "What does boosting add?",
        "answerable": True,
        "answers": ["trees"],
        "gold_passage": "p",
    }
    (tmp_path / "corpus.jsonl").write_text(json.dumps(corpus) + "\n")
    (tmp_path / "queries.jsonl").write_text(json.dumps(asked) + "\n" + json.dumps(asked | {"answerable": False}) + "\n")
    return tmp_path


def test_a_question_and_its_answer_become_a_statement_beside_the_right_and_a_wrong_sentence(squad: Path) -> None:
    true, false = pairs(squad)
    assert (true.statement, true.source, true.true) == (
        "trees does boosting add.",
        "Boosting adds trees to an ensemble.",
        True,
    )
    assert (false.source, false.true) == ("Dropout drops half of the units.", False)
    assert true.coverage == 1.0 > false.coverage


def test_the_threshold_parts_true_from_false() -> None:
    pair = {True: Pair("t", "s", "s", True), False: Pair("t", "s", "s", False)}
    scored = [(pair[True], 0.8), (pair[True], 0.65), (pair[False], 0.5), (pair[False], -1.0)]
    assert 0.5 < fit_proof(scored) <= 0.65
    assert rates(scored, 0.6) == (1.0, 0.0)


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_noticed_and_no_change_is_not(change: str) -> None:
    found, count = noticed(SENTENCES, change)
    assert count
    assert found == (0 if change == "nothing" else count)


def test_the_report_says_threshold_and_rates(squad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main_proof(squad)
    assert "threshold 0." in capsys.readouterr().out
