from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter

from assistant.evaluation.predictions import ALWAYS, NEVER, RECIPE, RECIPE_MMR, TOP, Prediction, answer_floors, recipes
from assistant.evaluation.questions import Evidence, Question
from assistant.evaluation.score import (
    auc,
    cause,
    difference,
    measure,
    ndcg,
    overlap,
    score,
    wilson,
)
from assistant.records import Sentence
from tests.assistant.evaluation.making import answer, evidence, many, note, passage, predicted, refused
from tests.conftest import ROOT
from tests.fakes import BagOfWords

DRAW = np.random.default_rng(7)


def test_the_interval_of_a_mean_is_that_of_theory_where_theory_knows_it() -> None:
    values = DRAW.normal(3, 2, 400)
    found = score(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_the_interval_holds_the_truth_about_95_times_in_a_hundred() -> None:
    samples = [score(DRAW.binomial(1, 0.8, 120).astype(float)) for _ in range(300)]
    assert 0.90 <= np.mean([found.low <= 0.8 <= found.high for found in samples]) <= 0.99


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.integers(0, 5))
def test_questions_to_which_a_score_does_not_apply_change_nothing(values: list[float], missing: int) -> None:
    padded = np.array(values + [math.nan] * missing)
    assert score(padded) == score(np.array(values))
    assert score(padded).low <= score(padded).value + 1e-9
    assert score(padded).value <= score(padded).high + 1e-9


def test_scoring_again_gives_the_same_interval() -> None:
    values = DRAW.random(50)
    assert score(values) == score(values.copy())
    assert score(values, "p95") == score(values.copy(), "p95")


def test_a_rate_of_nothing_out_of_few_still_has_an_interval() -> None:
    found = score(np.zeros(36), rate=True)
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(0.0964, abs=1e-3)
    assert score(np.ones(36), rate=True).low == pytest.approx(1 - 0.0964, abs=1e-3)
    assert wilson(20, 40) == pytest.approx((0.352, 0.648), abs=0.001)
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)  # as tables have it


def test_nothing_scored_is_no_score() -> None:
    assert score(np.array([math.nan])).n == 0


def test_medians_have_intervals_too() -> None:
    found = score(DRAW.exponential(1.0, 500), "p50")
    assert found.low < math.log(2) < found.high
    assert found.high - found.low < 0.3


def test_a_difference_is_better_or_worse_by_what_the_score_means() -> None:
    before = DRAW.random(60)
    after = before + 0.1 + 0.05 * DRAW.random(60)
    up = difference(before, after, better=1)
    assert up.verdict == "better"
    assert up.low > 0.1
    assert difference(before, after, better=-1).verdict == "worse"
    assert difference(after, before, better=1).verdict == "worse"
    assert difference(before, after, better=0).verdict == "different"


def test_pairs_see_what_two_intervals_would_not() -> None:
    before = DRAW.random(80)  # spread over 0 to 1, so that its interval is about 0.12 wide
    after = before + DRAW.normal(0.02, 0.01, 80)
    assert score(after).low < score(before).high
    assert difference(before, after, better=1).verdict == "better"


def test_no_difference_is_seen_in_noise_in_equals_or_in_one_question_of_many() -> None:
    before = DRAW.binomial(1, 0.5, 200).astype(float)
    one_more = before.copy()
    one_more[np.flatnonzero(before == 0)[0]] = 1
    for after in (before, one_more, DRAW.permutation(before)):
        assert difference(before, after, better=1).verdict == "no difference seen"


def test_noise_is_called_a_difference_about_one_time_in_twenty() -> None:
    called = [
        difference(DRAW.random(60), DRAW.random(60), better=1).verdict != "no difference seen" for _ in range(300)
    ]
    assert np.mean(called) < 0.11


def test_of_very_few_pairs_nothing_is_claimed() -> None:
    assert difference(np.zeros(4), np.ones(4), better=1).verdict == "no difference seen"
    assert difference(np.array([math.nan]), np.ones(1), better=1).n == 0


def test_only_questions_that_both_answered_are_compared() -> None:
    found = difference(np.array([0, math.nan, 1.0]), np.array([0.5, 9, math.nan]), better=1)
    assert (found.n, found.before, found.after) == (1, 0, 0.5)


def test_the_area_counts_pairs_in_order_and_ties_half() -> None:
    found = auc(np.array([0.9, 0.5, 0.4]), np.array([0.5, 0.1]))
    assert found.value == pytest.approx((2 + 1.5 + 1) / 6)
    assert found.low <= found.value <= found.high
    assert auc(np.array([]), np.array([1.0])).n == 0


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
    found = measure(predicted(FACT, said, first_word=0.5, cited=5, invalid=2))
    assert (found["sentences"], found["words"], found["sentences_supported"]) == (2, 4, 0)
    assert (found["total"], found["first_word"], found["dollars"], found["invalid_footnotes"]) == (1.5, 0.5, 0.25, 2)
    assert found["tokens_per_second"] == 9


def test_sentences_in_doubt_are_counted_apart_from_supported_ones() -> None:
    sentences = (Sentence("a", True), Sentence("b", False, doubted=True), Sentence("c", False), Sentence("d", False))
    found = measure(predicted(FACT, replace(answer(), sentences=sentences)))
    assert (found["sentences_supported"], found["sentences_doubted"]) == (0.25, 0.25)


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


ASKED = "How is dropout related to overfitting?"


@dataclass(frozen=True)
class Guide:
    path: str
    title: str = ""


class Shelf:
    """As much of a library as the recipe needs: the shipped guides as they are."""

    def documents(self) -> list[Guide]:
        return [Guide(file.name) for file in sorted((ROOT / "corpus" / "guides").glob("*.md"))]

    def text(self, path: str) -> str:
        return (ROOT / "corpus" / "guides" / path).read_text(encoding="utf-8")


class Bag(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [list(map(float, v)) for v in BagOfWords().embed(texts)]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def _recipe(name: str = RECIPE_MMR) -> Callable[[Question], Prediction]:
    return recipes(Shelf(), BagOfWords())[name]  # type: ignore[arg-type]


def test_the_recipe_finds_what_langchain_finds_by_it() -> None:
    library = Shelf()
    splitter = RecursiveCharacterTextSplitter(chunk_size=500, chunk_overlap=50)
    store = InMemoryVectorStore(Bag())
    for stored in library.documents():
        store.add_documents(splitter.split_documents([Document(library.text(stored.path))]))
    theirs = store.max_marginal_relevance_search(ASKED, k=5, fetch_k=20, lambda_mult=0.5)
    ours = _recipe()(Question("a", "fact", ASKED))
    assert [p.text for p in ours.retrieved] == [d.page_content for d in theirs]
    nearest = store.similarity_search(ASKED, k=20)
    by_similarity = _recipe(RECIPE)(Question("a", "fact", ASKED))
    assert [p.text for p in by_similarity.retrieved] == [d.page_content for d in nearest]
    assert sum(len(p.text) for p in by_similarity.retrieved) > 5000  # as far as is looked


def test_the_recipes_chunks_are_the_documents_own_words() -> None:
    library = Shelf()
    ask = _recipe()
    for asked in ("learning rate", "salary of an engineer", "random forest"):
        found = ask(Question("a", "fact", asked)).retrieved
        assert len(found) == 5
        for p in found:
            assert library.text(p.document)[p.start : p.end] == p.text
            assert len(p.text) <= 500


def test_the_recipe_is_asked_with_the_history_in_front() -> None:
    ask = _recipe()
    alone = ask(Question("a", "follow", "and that one?"))
    after = ask(Question("a", "follow", "and that one?", history=(ASKED,)))
    assert alone.retrieved != after.retrieved


def test_a_floor_decides_by_its_own_score_whatever_the_model_decided() -> None:
    asked = Question("a", "fact", "?", facts=("x",))
    sure, unsure = passage("the x", score=0.9), passage("the x", score=0.2)
    for said in (answer(("y", ())), refused()):
        assert answer_floors([predicted(asked, said, sure)])[0].answered
        assert not answer_floors([predicted(asked, said, unsure)])[0].answered


def test_floors_answer_where_their_best_passage_is_likely_always_and_never() -> None:
    found = {(p.model, p.question.id): measure(p) for p in answer_floors(many(8))}
    assert [found[name, "q3"]["false_answers"] for name in (TOP, ALWAYS, NEVER)] == [1, 1, 0]
    assert [found[name, "q7"]["false_answers"] for name in (TOP, ALWAYS, NEVER)] == [0, 1, 0]
    assert [found[name, "q0"]["false_refusals"] for name in (TOP, ALWAYS, NEVER)] == [0, 0, 1]
    assert found[TOP, "q0"]["all_facts"] == 1


def test_the_top_passage_is_quoted_to_the_character() -> None:
    prediction = predicted(
        Question("a", "fact", "?", facts=("x",)), answer(("y", ())), passage("the x", 40), passage("z")
    )
    top = answer_floors([prediction])[0].answer
    assert top is not None
    assert (top.text, top.footnotes[0].start, top.footnotes[0].end) == ("the x", 40, 45)


def test_a_floor_that_found_nothing_does_not_answer() -> None:
    found = answer_floors([predicted(Question("a", "fact", "?", facts=("x",)), refused())])
    assert [p.answered for p in found] == [False] * 3


@pytest.mark.parametrize("status", ["failed"])
def test_what_failed_has_no_floor(status: str) -> None:
    assert answer_floors([predicted(Question("a", "fact", "?"), answer(status=status))]) == []  # type: ignore[arg-type]
