from __future__ import annotations

from pathlib import Path

import pytest

from assistant import Assistant


@pytest.fixture(scope="module")
def guide(corpus_library: Path) -> Assistant:
    return Assistant(corpus_library)


def test_what_the_guides_say_plainly_is_answered(guide: Assistant) -> None:
    request, verdict = guide.prepare("Who coined the term machine learning?")
    assert verdict.answerable
    assert verdict.chance > 0.5
    assert request.passages


def test_what_has_nothing_to_do_with_them_is_not(guide: Assistant) -> None:
    _, verdict = guide.prepare("What is the best recipe for a sourdough bread?")
    assert not verdict.answerable
    assert verdict.chance < guide.prepare("Who coined the term machine learning?")[1].chance / 2


def test_a_refusal_says_what_was_looked_for_and_which_words_are_nowhere(guide: Assistant) -> None:
    _, verdict = guide.prepare("What is the best recipe for a sourdough bread?")
    assert "sourdough bread" in verdict.reason
    assert "sourdough" in verdict.reason.split(";", 1)[1]


def test_a_near_miss_is_less_likely_than_its_answerable_neighbour(guide: Assistant) -> None:
    _, there = guide.prepare("What does a machine learning engineer earn in the United States?")
    _, absent = guide.prepare("What does a machine learning engineer earn in Portugal?")
    assert absent.chance < there.chance


def test_a_model_is_asked_where_the_quoting_writer_already_gives_up(corpus_library: Path, guide: Assistant) -> None:
    from assistant.ranking import calibration

    thresholds = calibration()["reranked"]["threshold"]
    assert thresholds["loose"] < thresholds["strict"]
