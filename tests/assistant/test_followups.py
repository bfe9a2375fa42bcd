from __future__ import annotations

import pytest

from assistant.followups import leans, understand

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
    ["and why?", "How much does it cost?", "What about those with a GPU?", "which one is faster", "Any examples?"],
)
def test_questions_that_lean_are_recognised(question: str) -> None:
    assert leans(question)


@pytest.mark.parametrize(
    "question",
    [
        "How long does it take to learn deep learning?",
        "Is it possible to train random forests without feature scaling?",
    ],
)
def test_an_idle_it_is_not_a_pointer(question: str) -> None:
    assert not leans(question)
