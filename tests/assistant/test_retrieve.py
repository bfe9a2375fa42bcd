from __future__ import annotations

from pathlib import Path

import pytest

from assistant import Assistant
from ingest.library import Library
from ingest.sync import sync


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
        "learning " * 5000,
        "\x00\x1b[31m",
    ],
)
def test_an_odd_question_gets_passages_or_nothing_but_no_error(guide: Assistant, question: str) -> None:
    assert len(guide.search(question, k=5)) <= 5


def test_an_empty_library_finds_nothing(tmp_path: Path) -> None:
    (tmp_path / "guides").mkdir()
    (tmp_path / "guides" / "only.md").write_text("---\ntitle: nothing but a title\n---\n")
    sync([tmp_path / "guides"], tmp_path / "library")
    assert Assistant(tmp_path / "library").search("anything") == []


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
