"""What a question asks: follow-ups that stand alone, halves and sides of one question."""

from __future__ import annotations

import pytest

from assistant.asked import MOST_PARTS, Understood, besides, halves, leaning, sides, understand

QLORA = "How do I load Llama in 4 bit for QLoRA?"


def test_a_question_without_history_stays_as_it_is() -> None:
    assert understand("Which dtype does it use?", []).text == "Which dtype does it use?"


def test_a_question_that_points_back_gets_the_question_it_points_to_in_front() -> None:
    assert understand("Which compute dtype does it use?", [QLORA]).text == f"{QLORA} Which compute dtype does it use?"


def test_a_chain_of_follow_ups_keeps_what_it_is_about_and_the_last_step() -> None:
    understood = understand("and the optimizer?", ["What is overfitting?", QLORA, "Which compute dtype does it use?"])
    assert understood.text == f"{QLORA} Which compute dtype does it use? and the optimizer?"
    assert "overfitting" not in understood.text


def test_however_long_the_chain_the_question_is_not_drowned_in_it() -> None:
    understood = understand("and then?", [QLORA, *(f"and step {i}?" for i in range(50))])
    assert understood.text == f"{QLORA} and step 47? and step 48? and step 49? and then?"


def test_a_new_subject_is_not_mixed_with_the_old_one() -> None:
    question = "Which salaries do data scientists earn in the United States?"
    assert understand(question, [QLORA]).text == question


@pytest.mark.parametrize(
    "question",
    ["and why?", "How much does it cost?", "What about those with a GPU?", "which one is faster", "In India?", "Why?"],
)
def test_words_that_point_back_lean(question: str) -> None:
    assert leaning(question) == "leans"


@pytest.mark.parametrize(
    "question",
    [
        "How long does it take to learn deep learning?",
        "Is it possible to train random forests without feature scaling?",
        "Which salaries do data scientists earn in the United States?",
    ],
)
def test_an_idle_it_is_not_a_pointer(question: str) -> None:
    assert leaning(question) == "stands"


@pytest.mark.parametrize(
    "question",
    ["What is overfitting?", "Which compute dtype?", "What about Claude?", "What is PCA and how does it work?"],
)
def test_what_may_stand_alone_or_lean_is_looked_for_both_ways(question: str) -> None:
    assert leaning(question) == "may lean"
    assert {reading.topic for reading in understand(question, [QLORA]).readings} == {QLORA, ""}


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("Adam or SGD?", ("Adam", "SGD")),
        ("precision vs recall", ("precision", "recall")),
        ("What is the difference between bagging and boosting?", ("bagging", "boosting")),
        (
            "How does batch normalisation differ from layer normalisation?",
            ("batch normalisation", "layer normalisation"),
        ),
        ("Why is a GRU preferred over an LSTM in small models?", ("GRU", "LSTM")),
        ("compare k-means with DBSCAN", ("k-means", "DBSCAN")),
    ],
)
def test_two_things_that_are_compared_are_the_sides_of_a_question(question: str, found: tuple[str, str]) -> None:
    assert sides(question) == found


@pytest.mark.parametrize(
    "question", ["What is dropout?", "How do training and test error behave?", "or not?", "a vs the"]
)
def test_a_question_that_compares_nothing_has_no_sides(question: str) -> None:
    assert sides(question) == ()


def test_a_question_of_two_halves_is_taken_apart_and_the_second_leans_on_the_first() -> None:
    question = "What is an autoencoder and how is it trained?"
    assert halves(question) == ["What is an autoencoder", "how is it trained?"]
    assert [part.text for part in besides(Understood(question))] == [
        "What is an autoencoder",
        "What is an autoencoder how is it trained?",
    ]


def test_what_only_lists_is_one_question() -> None:
    assert besides(Understood("How do recall and precision behave under class imbalance?")) == []


def test_however_much_is_asked_at_once_only_so_much_is_looked_for() -> None:
    assert len(besides(Understood(" ".join(f"What is thing {i}?" for i in range(40))))) == MOST_PARTS


def test_what_a_follow_up_leans_on_is_not_looked_for_again() -> None:
    asked = understand("What does it cost and how long does it take?", [QLORA])
    assert [part.question for part in besides(asked)] == ["What does it cost", "how long does it take?"]
