from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant import Assistant
from assistant.records import Passage
from assistant.retrieve import WEIGHTS, Query, Reranker, fused, lexical, rarity
from ingest.errors import FootnoteError, LibraryError
from ingest.library import Library, Words
from ingest.sync import sync
from tests.assistant.pairs import RELATED, UNRELATED

ROOT = Path(__file__).resolve().parents[2]
ARTICLES = (
    "deep-learning-careers",
    "machine-learning-course",
    "ml-and-dl-in-2026",
    "nested-circles",
    "which-one-to-learn",
)


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    assert rarity(1, 1000) > rarity(500, 1000) > 0


def test_a_word_in_the_heading_counts_beside_the_text_only() -> None:
    query = Query({"dropout": 1.0, "rate": 1.0}, {})
    assert lexical(query, Words(frozenset({"rate", "high"}), frozenset({"rate", "high", "dropout"}))) == (0.5, 1.0)


def test_an_abbreviation_is_found_by_its_long_form_but_not_by_half_of_it() -> None:
    query = Query({"rag": 1.0}, {"rag": [("retriev", "augment", "generat")]})
    assert lexical(query, Words(*[frozenset({"retriev", "augment", "generat"})] * 2))[0] == 1.0
    assert lexical(query, Words(*[frozenset({"retriev", "generat"})] * 2))[0] == 0.0


def test_where_no_word_of_the_question_is_found_meaning_alone_decides() -> None:
    nothing = np.zeros(2)
    assert np.argmax(fused(np.array([0.4, 0.5]), nothing, nothing)) == 1


def test_words_overrule_a_small_difference_in_meaning_only_when_most_of_them_are_found() -> None:
    cosine = np.array([0.50, 0.58])
    assert np.argmax(fused(cosine, np.array([1.0, 0.0]), np.array([1.0, 0.0]))) == 0
    assert np.argmax(fused(cosine, np.array([0.2, 0.0]), np.array([0.2, 0.0]))) == 1


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


@pytest.fixture(scope="module")
def guide(corpus_library: Path) -> Assistant:
    return Assistant(corpus_library)


def test_the_passage_with_the_answer_comes_first(guide: Assistant) -> None:
    best = guide.search("who coined the term machine learning")[0]
    assert "Arthur Samuel" in best.text
    assert best.document == "guides/ml-and-dl-in-2026.md"


def test_every_passage_is_its_documents_text_to_the_character(guide: Assistant) -> None:
    for passage in guide.search("how do random forests work", k=20):
        assert guide.library.text(passage.document)[passage.start : passage.end] == passage.text
        assert all(passage.start <= unit.start < unit.end <= passage.end for unit in passage.units)


def test_passages_come_best_first_and_scores_are_chances(guide: Assistant) -> None:
    scores = [passage.score for passage in guide.search("what is overfitting", k=10)]
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert scores == sorted(scores, reverse=True)


def test_k_is_how_many_there_are_at_most(guide: Assistant) -> None:
    assert len(guide.search("learning", k=3)) == 3
    assert guide.search("learning", k=0) == []
    assert 0 < len(guide.search("learning", k=100_000)) <= guide.library.count()


def test_a_follow_up_is_searched_with_what_it_points_to(guide: Assistant) -> None:
    history = ["How do I load Llama in 4 bit for QLoRA?"]
    assert any("bfloat16" in p.text for p in guide.search("Which compute dtype does it use?", k=3, history=history))


@pytest.fixture(scope="module")
def articles(tmp_path_factory: pytest.TempPathFactory) -> Assistant:
    """The five guides that the pairs of questions were written over; without the reranker, which takes 30 s here."""
    folder = tmp_path_factory.mktemp("articles")
    for name in ARTICLES:
        shutil.copy(ROOT / "corpus" / "guides" / f"{name}.md", folder)
    sync([folder], folder / "library")
    return Assistant(folder / "library", rerank=False)


def place(passage: Passage) -> tuple[str, int]:
    return passage.document, passage.start


def test_of_sixty_changes_of_subject_at_most_one_finds_anything_else_than_asked_alone(articles: Assistant) -> None:
    mixed = [
        question
        for before, question in UNRELATED
        if place(articles.search(question, k=1, history=[before])[0]) != place(articles.search(question, k=1)[0])
    ]
    assert len(UNRELATED) == 60
    assert len(mixed) <= 1, mixed


def test_of_sixty_follow_ups_fifty_four_find_what_they_find_in_a_persons_words(articles: Assistant) -> None:
    right = [
        place(articles.search(alone, k=1)[0]) in map(place, articles.search(question, k=3, history=[before]))
        for before, question, alone in RELATED
    ]
    assert len(right) == 60
    assert sum(right) >= 54


def test_a_question_answered_on_its_own_ends_what_was_asked_before_it(guide: Assistant) -> None:
    first = guide.ask("How much does it cost to fine-tune a 7B model?")
    second = guide.ask("What is overfitting?", history=[first])
    assert second.understood == "What is overfitting?"
    third = guide.ask("How do I avoid it?", history=[first, second])
    assert third.understood == "What is overfitting? How do I avoid it?"


def test_a_slip_of_the_finger_finds_what_was_meant(guide: Assistant) -> None:
    typed = guide.search("share of papers in pytroch", k=2)
    assert all("PyTorch" in passage.text for passage in typed)
    assert guide.search("tensrflow or pytroch for reserch", k=1)[0].score > 0.5


def test_an_identifier_is_found_as_it_stands(guide: Assistant) -> None:
    assert any("bnb_4bit_quant_type" in p.text for p in guide.search("bnb_4bit_quant_type", k=3))


def test_the_search_can_be_narrowed_to_documents_and_kinds(guide: Assistant) -> None:
    found = guide.search("deep learning", documents=["guides/nested-circles.md"], kinds=["code"])
    assert found
    assert {p.document for p in found} == {"guides/nested-circles.md"}
    assert all("```" in p.text or "=" in p.text for p in found)


@pytest.mark.parametrize(
    "question",
    [
        "dropout",
        "?!…",
        'NEAR("a" b) OR * AND -x',
        "'; DROP TABLE chunk; --",
        "¿Qué es el aprendizaje automático?",
        "机器学习",
        "learning " * 400,
        "\x00\x1b[31m",
    ],
)
def test_an_odd_question_gets_passages_or_nothing_but_no_error(guide: Assistant, question: str) -> None:
    assert len(guide.search(question, k=5)) <= 5


def test_a_library_without_a_passage_is_no_library_to_search(tmp_path: Path) -> None:
    (tmp_path / "guides").mkdir()
    (tmp_path / "guides" / "only.md").write_text("---\ntitle: nothing but a title\n---\n")
    sync([tmp_path / "guides"], tmp_path / "library")
    with pytest.raises(LibraryError, match="is empty"):
        Assistant(tmp_path / "library").search("anything")


def test_an_abbreviation_that_a_guide_explains_finds_its_long_form(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Ways\n\nA Quantum Foam Sieve (QFS) is one way.\n\nOthers are plain.")
    (tmp_path / "b.md").write_text("# Use\n\nEvery quantum foam sieve needs cooling to four degrees.\n\nThat is all.")
    sync([tmp_path / "a.md", tmp_path / "b.md"], tmp_path / "library")
    assert "cooling" in Assistant(tmp_path / "library").search("does a QFS need cooling", k=1)[0].text


def test_a_reader_sees_what_was_ingested_after_it_was_opened(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Cats\n\nCats purr when they are content.")
    sync([tmp_path / "a.md"], tmp_path / "library")
    guide = Assistant(Library(tmp_path / "library"))
    assert guide.search("what do cats do")[0].document == "a.md"
    (tmp_path / "b.md").write_text("# Owls\n\nOwls turn their heads by 270 degrees.")
    sync([tmp_path / "b.md"], tmp_path / "library")
    assert guide.search("how far do owls turn their heads")[0].document == "b.md"


def test_the_same_words_in_two_places_are_one_passage_that_names_both(tmp_path: Path) -> None:
    words = "Gradient clipping caps the norm of the gradient so that one bad batch cannot throw the weights off."
    (tmp_path / "a.md").write_text(f"# Tricks\n\n{words}")
    (tmp_path / "b.md").write_text(f"# Recipes\n\n{words}")
    (tmp_path / "c.md").write_text("# Other\n\nGradient checkpointing trades time for memory.")
    sync([tmp_path / name for name in ("a.md", "b.md", "c.md")], tmp_path / "library")
    first, second = Assistant(tmp_path / "library").search("what does gradient clipping do")
    assert {first.document, *(document for document, _, _ in first.also)} == {"a.md", "b.md"}
    assert second.document == "c.md"
    assert second.also == ()


def test_the_same_words_with_another_figure_stay_two_passages(tmp_path: Path) -> None:
    words = "In a survey of last year the median salary of a machine learning engineer in the country was found to be"
    (tmp_path / "a.md").write_text(f"# Pay\n\n{words} $148,000 before tax.")
    (tmp_path / "b.md").write_text(f"# Wages\n\n{words} $131,000 before tax.")
    sync([tmp_path / "a.md", tmp_path / "b.md"], tmp_path / "library")
    assert len(Assistant(tmp_path / "library").search("median salary of a machine learning engineer")) == 2
