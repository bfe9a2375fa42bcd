from __future__ import annotations

import pytest

from assistant.expects import expected, holds


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("how much does an ML engineer make?", "figure"),
        ("salary of a data scientist", "figure"),
        ("when did AlphaGo win", "date"),
        ("who coined the term", "name"),
        ("which library should I use", "name"),
        ("list the types of learning", "list"),
        ("what are the steps", "list"),
        ("why use ReLU", "reason"),
        ("how do i load llama in 4 bit", "code"),
        ("what does min_samples_leaf do", "code"),
        ("What is backpropagation?", "definition"),
    ],
)
def test_what_is_asked_for_is_read_off_the_question(question: str, kind: str) -> None:
    assert kind in expected(question)


def test_a_figure_that_the_question_has_itself_is_no_answer() -> None:
    assert not holds("figure", "A 7B model can be tuned.", "how much does a 7B model cost?")
    assert holds("figure", "Tuning a 7B model costs $50.", "how much does a 7B model cost?")


def test_a_sentence_without_a_year_is_no_date() -> None:
    assert not holds("date", "AlphaGo beat the champion.", "when did AlphaGo win?")
    assert holds("date", "AlphaGo beat the champion in 2016.", "when did AlphaGo win?")
