"""What any system has to beat: the guides' own recipe for retrieval, the top passage as the answer, always, never."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from assistant.evaluation.predictions import Prediction
from assistant.evaluation.questions import Question
from assistant.records import Answer, Footnote, Sentence
from assistant.retrieve import Passage

if TYPE_CHECKING:
    from ingest.embed import Embedder
    from ingest.library import Library

RECIPE = "recipe"
TOP, ALWAYS, NEVER = "top passage", "always answer", "never answer"
WHAT = {
    RECIPE: "the guides' own way to search: 500/50 characters, the same embedding, MMR (λ 0.5) of 5 out of 20",
    TOP: "the best passage as the answer, where the first model answers",
    ALWAYS: "the best passage as the answer, to every question",
    NEVER: "nothing is answered",
}

CHARACTERS, SHARED = 500, 50  # of a chunk, and of it with the next
FOUND, FETCHED, DIVERSITY = 5, 20, 0.5  # k, fetch_k and lambda_mult of the maximal marginal relevance


def answer_floors(predictions: Sequence[Prediction]) -> list[Prediction]:
    """The three that need no search of their own, made from one model's predictions."""
    tried = [p for p in predictions if p.answer is not None and not p.failed]
    return [
        *(_with(p, TOP, p.answered) for p in tried),
        *(_with(p, ALWAYS, True) for p in tried),
        *(_with(p, NEVER, False) for p in tried),
    ]


def _with(prediction: Prediction, name: str, answered: bool) -> Prediction:
    found = prediction.retrieved[:1] if answered else ()
    sentences = tuple(Sentence(p.text, True, (_whole(p),)) for p in found)
    answer = Answer(
        prediction.question.question, "answered" if found else "not_in_guides", sentences, prediction.retrieved, name
    )
    return replace(prediction, model=name, answer=answer, first_word=None, invalid=0)


def _whole(passage: Passage) -> Footnote:
    return Footnote(passage.document, passage.title, passage.section, passage.start, passage.end, passage.text)


def recipe(library: Library, embedder: Embedder) -> Callable[[Question], Prediction]:
    """The guides' recipe over the library's documents. The history goes in front of the question, as it would there."""
    from langchain_core.vectorstores.utils import maximal_marginal_relevance

    chunks = [piece for stored in library.documents() for piece in split(stored.path, stored.title, library)]
    vectors = embedder.embed([chunk.text for chunk in chunks])

    def ask(question: Question) -> Prediction:
        vector = embedder.embed([" ".join([*question.history, question.question])])[0]
        cosines = vectors @ vector
        near = np.argsort(-cosines, kind="stable")[:FETCHED]
        chosen = maximal_marginal_relevance(vector, list(vectors[near]), lambda_mult=DIVERSITY, k=FOUND)
        found = (int(near[i]) for i in chosen)
        return Prediction(RECIPE, question, tuple(replace(chunks[i], score=float(cosines[i])) for i in found))

    return ask


def split(path: str, title: str, library: Library) -> list[Passage]:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=CHARACTERS, chunk_overlap=SHARED, add_start_index=True)
    found = splitter.create_documents([library.text(path)])
    starts = [(piece.page_content, int(piece.metadata["start_index"])) for piece in found]
    return [Passage(path, title, "", start, start + len(text), text, 0.0) for text, start in starts]
