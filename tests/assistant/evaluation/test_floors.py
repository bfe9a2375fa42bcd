from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter

from assistant.evaluation.floors import ALWAYS, NEVER, TOP, answer_floors, recipe
from assistant.evaluation.predictions import Prediction
from assistant.evaluation.questions import Question
from assistant.evaluation.score import measure
from tests.assistant.evaluation.making import answer, many, passage, predicted, refused
from tests.conftest import ROOT
from tests.fakes import BagOfWords

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


def _recipe() -> Callable[[Question], Prediction]:
    return recipe(Shelf(), BagOfWords())  # type: ignore[arg-type]


def test_the_recipe_finds_what_langchain_finds_by_it() -> None:
    library = Shelf()
    splitter = RecursiveCharacterTextSplitter(chunk_size=500, chunk_overlap=50)
    store = InMemoryVectorStore(Bag())
    for stored in library.documents():
        store.add_documents(splitter.split_documents([Document(library.text(stored.path))]))
    theirs = store.max_marginal_relevance_search(ASKED, k=5, fetch_k=20, lambda_mult=0.5)
    ours = _recipe()(Question("a", "fact", ASKED))
    assert [p.text for p in ours.retrieved] == [d.page_content for d in theirs]


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


def test_floors_answer_where_the_model_does_always_and_never() -> None:
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
