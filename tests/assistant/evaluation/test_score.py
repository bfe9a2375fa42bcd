from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.evaluation.questions import Evidence, Question
from assistant.evaluation.score import cause, measure, ndcg, overlap
from tests.assistant.evaluation.making import answer, evidence, note, passage, predicted, refused

FACT = Question("a", "fact", "?", facts=(r"12 levels", r"seed \d"), evidence=(evidence(10, 20), evidence(50, 60)))
NONE = Question("n", "none", "?", near=True)


def test_facts_count_where_they_stand_within_so_many_characters_of_passages_in_order() -> None:
    first, second = passage("x" * 990 + "12 levels"), passage("SEED 4", 5000)
    found = measure(predicted(FACT, None, first, second))
    assert found["facts_1000"] == 0.5  # it ends at character 999, and the next passage behind it
    assert found["all_facts_1000"] == 0
    assert found["all_facts_2500"] == 1
    turned = measure(predicted(FACT, None, second, first))
    assert turned["facts_1000"] == 0.5  # cut off at 1,000 now
    assert turned["facts_2500"] == 1


def test_retrieval_is_scored_by_the_first_passage_that_holds_at_least_half_of_the_evidence() -> None:
    others = [passage("nothing", 1000 + n) for n in range(3)]
    found = measure(predicted(FACT, None, others[0], passage("y" * 10, 4), others[1], passage("z" * 10, 15)))
    assert found["hit_1"] == 0  # the second has 4 of 10, the fourth half
    assert found["hit_5"] == 1
    assert found["mrr"] == 1 / 4
    assert found["ndcg_10"] == pytest.approx((1 / math.log2(5)) / (1 + 1 / math.log2(3)))


def test_a_quote_of_another_guide_serves_if_it_holds_the_same_facts() -> None:
    own = Evidence("a.md", "it has 12 levels", 10, 26)
    same, less = Evidence("b.md", "12 levels there", 0, 15), Evidence("c.md", "levels", 0, 6)
    question = Question("a", "fact", "?", facts=("12 levels",), evidence=(own,), also=(less, same))
    assert measure(predicted(question, None, passage("12 levels there", 0, "b.md")))["hit_1"] == 1
    assert measure(predicted(question, None, passage("levels", 0, "c.md")))["hit_1"] == 0


def test_a_passage_that_was_folded_into_another_counts_where_it_stood() -> None:
    folded = passage("else", 0, "b.md", also=(("a.md", 8, 22),))
    assert measure(predicted(FACT, None, folded))["hit_1"] == 1


def test_where_documents_as_a_whole_are_looked_for_each_counts_once() -> None:
    question = Question("a", "search", "?", evidence=(Evidence("b.md", "", 0, 999),))
    same = [passage("x", n, "a.md") for n in range(5)]
    found = measure(predicted(question, None, *same, passage("y", 5, "b.md")))
    assert found["mrr"] == 1 / 2
    assert "facts_1000" not in found


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_ndcg_lies_between_nothing_and_all_and_falls_as_evidence_falls(ranks: list[int]) -> None:
    value = ndcg(ranks)
    assert 0 <= value <= 1 + 1e-12
    assert ndcg([rank + 1 if rank else 0 for rank in ranks]) <= value + 1e-12


def test_ndcg_is_one_where_the_first_passages_hold_all_evidence() -> None:
    assert ndcg([1, 2, 3]) == ndcg([1, 1, 1]) == ndcg([2, 1, 1]) == 1


spans = st.tuples(st.just("a"), st.integers(0, 50), st.integers(0, 50)).map(
    lambda s: (s[0], min(s[1:]), max(s[1:]) + 1)
)


@given(spans, spans)
def test_overlap_is_the_same_both_ways_and_never_without_a_common_character(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]
    assert overlap(one, other) == overlap(other, one)
    assert overlap(one, one)
    if overlap(one, other):
        assert set(range(*one[1:])) & set(range(*other[1:]))


def test_evidence_that_was_not_found_in_the_library_overlaps_nothing() -> None:
    assert not overlap(("a", -1, -1), ("a", 0, 5))


def test_facts_are_recalled_from_the_text_and_from_the_quotes_that_are_shown() -> None:
    said = answer(("It has 12 Levels.", (note(10, 20),)), ("See there.", (note(52, 58, quote="seed 9"),)))
    found = measure(predicted(FACT, said))
    assert found["facts_recalled"] == found["all_facts"] == 1
    assert found["facts_in_text"] == 0.5
    assert found["footnote_precision"] == found["footnote_recall"] == 1


def test_what_was_not_answered_recalls_nothing_and_is_a_false_refusal() -> None:
    found = measure(predicted(FACT, refused()))
    assert found["all_facts"] == found["footnote_recall"] == 0
    assert found["false_refusals"] == 1
    assert "sentences_supported" not in found
    assert "footnote_precision" not in found


def test_an_answer_to_what_is_not_in_the_guides_is_a_false_answer_and_scored_for_nothing_else() -> None:
    found = measure(predicted(NONE, answer(("It is 5.", (note(0, 9),)))))
    assert found["false_answers"] == found["false_answers_near"] == 1
    assert not {"facts_recalled", "footnote_precision", "hit_1", "false_refusals"} & found.keys()
    assert measure(predicted(NONE, refused()))["false_answers"] == 0


def test_an_answer_that_failed_on_the_way_is_scored_for_retrieval_only() -> None:
    found = measure(predicted(FACT, answer(status="failed"), passage("z" * 20, 5)))
    assert found["hit_1"] == 1
    assert not {"false_refusals", "facts_recalled", "invalid_footnotes"} & found.keys()


def test_a_conflict_is_shown_only_with_all_its_figures() -> None:
    question = Question("c", "compare", "?", facts=("80", "90"), evidence=(evidence(0, 5),), conflict=True)
    one, both = answer(("It is 80.", (note(0, 5),))), answer(("80 or 90.", (note(0, 5),)))
    assert [measure(predicted(question, said))["conflicts_shown"] for said in (one, both)] == [0, 1]
    assert "conflicts_shown" not in measure(predicted(FACT, both))


def test_footnotes_beside_the_evidence_cost_precision_and_missing_ones_recall() -> None:
    found = measure(predicted(FACT, answer(("x", (note(10, 20), note(300, 310), note(10, 20, "b.md"))))))
    assert found["footnote_precision"] == pytest.approx(1 / 3)
    assert found["footnote_recall"] == 0.5


def test_support_length_time_and_price_are_taken_from_the_answer() -> None:
    usage = {"dollars": 0.25, "tokens_per_second": 9}
    said = answer(("one two three", ()), ("four", ()), supported=False, seconds={"total": 1.5}, usage=usage)
    found = measure(predicted(FACT, said, first_word=0.5, invalid=2))
    assert (found["sentences"], found["words"], found["sentences_supported"]) == (2, 4, 0)
    assert (found["total"], found["first_word"], found["dollars"], found["invalid_footnotes"]) == (1.5, 0.5, 0.25, 2)
    assert found["tokens_per_second"] == 9


@pytest.mark.parametrize(
    ("question", "said", "why"),
    [
        (FACT, answer(("12 levels, seed 4", ())), ""),
        (FACT, refused(), "not found, not answered"),
        (FACT, answer(status="not_in_guides", passages=(passage("12 levels, seed 4"),)), "found, not answered"),
        (FACT, answer(("x", ()), passages=(passage("12 levels, seed 4"),)), "found, not in the answer"),
        (FACT, answer(("x", ())), "not found"),
        (NONE, answer(("x", ())), "false answer"),
        (NONE, refused(), ""),
        (FACT, answer(status="failed"), "failed"),
    ],
)
def test_where_an_answer_went_wrong_is_told(question: Question, said: object, why: str) -> None:
    prediction = predicted(question, said)  # type: ignore[arg-type]
    assert cause(prediction, measure(prediction)) == why
