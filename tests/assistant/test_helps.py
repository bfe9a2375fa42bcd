"""What is offered where the guides do not answer, and a guide in its own sentences. One small library for all."""

from __future__ import annotations

import re

import pytest

from assistant import Assistant
from assistant.helps import language, mended, near_questions, other_language
from assistant.records import SHOWN
from assistant.summary import asked_for
from ingest.library import Library
from ingest.sync import sync

NETS = """# Neural networks: a short guide

## What backpropagation is

Backpropagation computes the gradient of the loss for every weight, from the output back to the input. It is run after
every batch. Then the optimiser changes the weights.

## What dropout is

Dropout is a method that sets half of the activations to zero at random while the network is trained. It helps.

## How to choose a learning rate

A good learning rate is found by trying rates from 0.0001 to 0.1 on a short run and taking the largest stable one.

## Sources

Srivastava and others, "Dropout: a simple way to prevent neural networks from overfitting", published in 2014.
"""
FILLING = "It is read about in many a book on the matter, and the longer one reads of it the more there is. " * 12
NETS = re.sub(r"(?m)^(?=## (?!What back))", FILLING + "\n\n", NETS)  # so that each section is a passage of its own
BEES = "# Keeping bees\n\nA strong colony of bees holds 40,000 of them in June, and the queen lays 2,000 eggs a day.\n"


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Assistant:
    folder = tmp_path_factory.mktemp("helps")
    (folder / "guides").mkdir()
    (folder / "guides" / "nets.md").write_text(NETS)
    (folder / "guides" / "bees.md").write_text(BEES)
    sync([folder / "guides"], folder / "library")
    return Assistant(folder / "library")


@pytest.mark.parametrize("question", ["What is backpropogation?", "How does backprop work?"])
def test_a_slip_is_mended_before_it_is_refused_and_the_page_is_told(guide: Assistant, question: str) -> None:
    answer = guide.ask(question, history=["What does a bee eat?"])
    assert answer.status in SHOWN
    assert "backpropagation" in answer.understood
    assert "gradient" in answer.text


def test_what_is_not_clearly_a_slip_is_left(guide: Assistant) -> None:
    for question, term in (
        ("What is a droplet?", "droplet"),
        ("Who is Lin?", "lin"),
        ("What is a colon?", "colon"),
        ("A b12", "b12"),
    ):
        assert mended(guide.library, question, [term]) == question


def test_only_the_chosen_guides_are_asked_and_a_refusal_says_so(guide: Assistant) -> None:
    question = "How many eggs does the queen lay a day?"
    assert guide.ask(question).status in SHOWN
    answer = guide.ask(question, documents=["nets.md"])
    assert {p.document for p in answer.passages} == {"nets.md"}
    assert answer.status == "not_in_guides"
    assert "1 other guide was not asked" in answer.detail


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ("Was ist Überanpassung?", "de"),
        ("¿Qué es el sobreajuste?", "es"),
        ("Что такое переобучение?", "ru"),
        ("What is BERT?", "en"),
        ("LoRA vs QLoRA", "en"),
        ("pip install torch", "en"),
    ],
)
def test_a_language_is_told_by_its_words(question: str, code: str) -> None:
    assert language(question) == code


def test_a_question_in_another_language_is_told_which_the_guides_are_in(guide: Assistant) -> None:
    answer = guide.ask("Wie viele Zähne hat ein Haifisch?")
    assert "The guides are in English, and this question seems to be in German" in answer.detail
    assert other_language(guide.library, "What is overfitting?") == ""


def test_questions_are_offered_that_the_guides_answer_and_none_that_was_asked(guide: Assistant) -> None:
    answer = guide.ask("What is dropout?")
    offered = guide.near(answer)
    assert "What is dropout?" not in offered
    assert "What is backpropagation?" in offered
    assert all(guide.ask(question).status == "answered" for question in offered)
    assert near_questions(guide.library, ["What is dropout?"], answer.passages, lambda question: False) == []


def test_a_guide_is_summed_up_in_its_own_sentences_each_with_its_footnote(guide: Assistant) -> None:
    answer = guide.ask("Summarise the guide Neural networks")
    text = guide.library.text("nets.md")
    assert answer.status == "answered"
    assert [s.supported for s in answer.sentences] == [True] * 3
    for sentence in answer.sentences:
        [note] = sentence.footnotes
        assert note.quote == text[note.start : note.end]
    sections = [note.section.rsplit(" > ", 1)[-1] for note in answer.footnotes]
    assert sections == ["What backpropagation is", "What dropout is", "How to choose a learning rate"]


def test_only_what_names_one_guide_is_taken_for_a_summary(guide: Assistant) -> None:
    library: Library = guide.library
    for question in ("Please summarise “Keeping bees”.", "summary of bees.md", "Give me an overview of keeping bees"):
        assert asked_for(question, library) == "bees.md", question
    assert asked_for("Summarise this guide", library, ["nets.md"]) == "nets.md"
    for question in ("Summarise the guide", "Summarise dropout", "What is a summary of bees?", "Sum up 2 and 3"):
        assert asked_for(question, library) == "", question
