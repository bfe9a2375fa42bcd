from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.rerank import WEIGHTS, Reranker
from ingest.errors import FootnoteError

needs_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason="the reranker's weights are not in this checkout")

PASSAGES = [
    "Regularisation > Dropout\nDuring training, dropout sets a random part of the units to zero at each step, so that "
    "no unit can rely on another one. At test time all of them are used.",
    "Optimisation > Learning rate\nToo large a learning rate makes the loss jump about; too small a one makes training "
    "crawl. A common start for Adam is 0.001.",
    "Careers > Salaries\n| Role | Median |\n| Data analyst | $72,000 |\n| ML engineer | $141,000 |",
    "Trees > Random forests\nA random forest averages many deep trees, each grown on its own sample of the rows and "
    "with a few columns to choose from at each split.",
    "Set-up > Installing\nCreate a virtual environment, activate it and run `pip install torch` inside it.",
]
QUESTIONS = [
    ("why does dropout turn units off?", 0),
    ("what learning rate should I start with for adam", 1),
    ("How much does an ML engineer earn?", 2),
    ("what is a random forest", 3),
    ("how do i install pytorch", 4),
]


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    return Reranker()


@needs_weights
@pytest.mark.parametrize(("question", "right"), QUESTIONS)
def test_the_passage_that_answers_scores_highest(reranker: Reranker, question: str, right: int) -> None:
    assert int(np.argmax(reranker.score(question, PASSAGES))) == right


@needs_weights
def test_a_question_that_no_passage_answers_scores_lower_than_nearly_all_that_are_answered(reranker: Reranker) -> None:
    answered = [reranker.score(question, PASSAGES).max() for question, _ in QUESTIONS]
    not_answered = [
        reranker.score(question, PASSAGES).max()
        for question in ("who won the world cup in 1998?", "how do I bake sourdough bread", "capital of mongolia")
    ]
    assert np.greater.outer(answered, not_answered).mean() > 0.9


@needs_weights
@settings(max_examples=20, deadline=None)
@given(st.permutations(range(len(PASSAGES))), st.integers(1, len(PASSAGES)))
def test_a_score_does_not_depend_on_the_company(reranker: Reranker, order: list[int], count: int) -> None:
    alone = reranker.score("what is a random forest", PASSAGES)
    assert np.array_equal(
        reranker.score("what is a random forest", [PASSAGES[i] for i in order[:count]]), alone[order[:count]]
    )


@needs_weights
def test_no_passages_have_no_scores(reranker: Reranker) -> None:
    assert reranker.score("dropout", []).shape == (0,)


@needs_weights
def test_long_and_strange_inputs_are_cut_not_refused(reranker: Reranker) -> None:
    scores = reranker.score("why " * 5000, ["", "word " * 5000, "\x00 ∑ 学習", "a\nb"])
    assert np.isfinite(scores).all()
    long = "filler words follow here " * 300
    same = reranker.score("what is dropout", [PASSAGES[0] + long, PASSAGES[0] + long + " and an end that is not read"])
    assert same[0] == same[1]


def test_weights_that_are_not_there_are_named_with_the_way_to_do_without(tmp_path: Path) -> None:
    with pytest.raises(FootnoteError, match="--no-rerank"):
        Reranker(tmp_path / "model.onnx")
