from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from assistant import Answer, Assistant
from assistant.judge import Remembered, leans, lists_sources, set_apart
from assistant.records import Cite, Passages, Request, Stop, Text
from assistant.retrieve import calibration
from tests.assistant.conftest import passage
from tests.assistant.writers.test_quotes import lines


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


@pytest.mark.parametrize(
    "text",
    ["It drops units.", "Even so, it helps.", "The second is slower.", "This is why.", "And a small set may do."],
)
def test_a_sentence_that_points_back_leans(text: str) -> None:
    assert leans(text)


@pytest.mark.parametrize("text", ["Dropout drops units.", "This-and-that is a name.", "The first-order term counts."])
def test_a_sentence_that_names_what_it_is_about_does_not(text: str) -> None:
    assert not leans(text)


@pytest.mark.parametrize(
    ("section", "lists"),
    [
        ("Dropout > Sources", True),
        ("References", True),
        ("A > What to read next", True),
        ("Data sources", False),
        ("Sources of bias", False),
    ],
)
def test_a_section_that_names_other_works_is_known_by_its_heading(section: str, lists: bool) -> None:
    assert lists_sources(passage("a.md", section, "Srivastava and others, 2014.")) is lists


def test_what_other_works_are_named_for_is_hardly_an_answer(guide: Assistant) -> None:
    request, _ = guide.prepare("What is layer normalization?")
    chances = [(max(of), lists_sources(p)) for p, of in zip(request.passages, request.evidence, strict=True)]
    assert not max(chances)[1]
    assert guide.ask("What is layer normalization?").text.startswith("Layer normalisation rescales")


def test_a_word_that_stands_somewhere_in_the_guides_is_not_blamed_for_a_refusal(guide: Assistant) -> None:
    _, verdict = guide.prepare("How do I cook rice for dinner this day?")
    assert not verdict.answerable
    assert "rice" in verdict.reason.split(";", 1)[1]
    assert "day" not in verdict.reason.split(";", 1)[1]


def test_a_near_miss_is_less_likely_than_its_answerable_neighbour(guide: Assistant) -> None:
    _, there = guide.prepare("What does a machine learning engineer earn in the United States?")
    _, absent = guide.prepare("What does a machine learning engineer earn in Portugal?")
    assert absent.chance < there.chance


def test_a_model_is_asked_where_the_quoting_writer_already_gives_up(corpus_library: Path, guide: Assistant) -> None:
    thresholds = calibration()["reranked"]["threshold"]
    assert thresholds["loose"] < thresholds["strict"]


def test_a_text_that_comes_up_again_is_not_embedded_again_until_it_is_forgotten() -> None:
    embedded: list[str] = []

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        embedded.extend(texts)
        return np.array([[len(text), 1] for text in texts], dtype=np.float32)

    remembered = Remembered(embed, most=2)
    assert remembered(["a", "bb", "a"]).tolist() == [[1, 1], [2, 1], [1, 1]]
    assert remembered(["bb", "a"]).tolist() == [[2, 1], [1, 1]]
    assert embedded == ["a", "bb"]
    assert remembered(["ccc", "a"]).tolist() == [[3, 1], [1, 1]]
    assert remembered(["bb"]).tolist() == [[2, 1]]
    assert embedded == ["a", "bb", "ccc", "bb"]


@pytest.fixture
def never_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    for mode in ("plain", "reranked"):
        monkeypatch.setitem(calibration()[mode]["threshold"], "sure", 1.1)


def test_between_an_answer_and_nothing_the_nearest_is_shown_as_such(guide: Assistant, never_sure: None) -> None:
    events = list(guide.stream("Who coined the term machine learning?"))
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert isinstance(events[0], Passages)
    assert events[0].nearest
    assert answer.status == "nearest"
    assert any("Arthur Samuel" in note.quote for note in answer.footnotes)
    assert answer.to_markdown().startswith("*The guides do not say this outright. The nearest they come:*")
    assert Answer.from_json(answer.to_json()) == answer


@pytest.mark.parametrize(("question", "status"), [("what is dropout", "answered"), ("who invented dropout", "nearest")])
def test_what_a_section_of_its_own_defines_is_answered_whatever_the_likelihood_says(
    guide: Assistant, never_sure: None, question: str, status: str
) -> None:
    assert guide.ask(question).status == status


@pytest.mark.parametrize(
    ("question", "status"),
    [
        ("difference between L1 and L2 regularisation", "answered"),
        ("batch norm vs layer norm in Lisbon", "nearest"),
        ("batch normalisation or dropout", "nearest"),
    ],
)
def test_two_things_that_a_table_sets_side_by_side_are_compared_if_nothing_else_is_asked(
    guide: Assistant, never_sure: None, question: str, status: str
) -> None:
    assert guide.ask(question).status == status


def test_a_table_tells_two_things_apart_by_its_columns_or_by_a_row_for_each() -> None:
    header = "| | Bagging | Boosting |"
    columns = lines("a.md", "row", header, "| Trees | deep | shallow |", "| Order | none | in turn |", header=header)
    assert set_apart(columns, ("bagging", "boosting")) == [1, 2]
    rows = lines(
        "a.md", "row", "| Bagging | deep |", "| Stacking | any |", "| Boosting | shallow |", header="| Way | Trees |"
    )
    assert set_apart(rows, ("bagging", "boosting")) == [0, 2]
    assert set_apart(rows, ("bagging", "pruning")) == []


def test_what_is_not_in_the_guides_is_no_nearest_either(guide: Assistant, never_sure: None) -> None:
    assert guide.ask("What is the best recipe for a sourdough bread?").status == "not_in_guides"


def test_a_model_decides_by_itself_among_the_passages(guide: Assistant, never_sure: None) -> None:
    class Model:
        name = "a model"

        def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
            place = next(i for i, p in enumerate(request.passages) if "Arthur Samuel" in p.text)
            unit = next(
                i for i, u in enumerate(request.passages[place].units) if "Samuel" in text_of(request, place, i)
            )
            yield Text(text_of(request, place, unit))
            yield Cite(((place, unit),))
            yield Stop()

    def text_of(request: Request, place: int, unit: int) -> str:
        passage = request.passages[place]
        return passage.text[passage.units[unit].start - passage.start : passage.units[unit].end - passage.start]

    answer = Assistant(guide.library, Model()).ask("Who coined the term machine learning?")
    assert answer.status == "answered"
