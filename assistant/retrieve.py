"""A question and its history become ranked, packed `Passage`s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from assistant.followups import Understood, understand
from assistant.ranking import Query, lexical, logistic, rarity
from ingest.chunks import Chunk, Unit, beside
from ingest.errors import LibraryError
from ingest.words import content_terms, terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from assistant.rerank import Reranker
    from ingest.embed import Embedder
    from ingest.library import Library

CANDIDATES = 60  # from each of the two first stages
RERANKED = 20
TOPIC_WEIGHT = 0.5  # of a term that comes from an earlier question


@dataclass(frozen=True, slots=True)
class Passage:
    """A readable whole of one document: `document.text[start:end] == text`. `score` is the chance that it holds the answer."""

    document: str
    title: str
    section: str
    start: int
    end: int
    text: str
    score: float
    units: tuple[Unit, ...] = ()
    header: str = ""  # the header row of the table that the passage's rows belong to
    also: tuple[tuple[str, int, int], ...] = ()  # near-duplicates folded into this one: document, start, end


@dataclass(frozen=True, slots=True)
class Candidates:
    """Chunks that may hold the answer, with what the first stage knows of each, row by row."""

    understood: Understood
    query: Query
    ids: NDArray[np.int64]
    features: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Found:
    """The passages for a question, with what the decision to answer rests on."""

    understood: Understood
    passages: tuple[Passage, ...]
    candidates: Candidates


class Retriever:
    """Searches one library. Safe to use from several threads."""

    def __init__(self, library: Library, *, rerank: bool = True) -> None:
        self.library = library
        self._rerank = rerank
        self._forms: tuple[int, dict[str, list[tuple[str, ...]]]] = (-1, {})

    def search(
        self,
        question: str,
        k: int = 10,
        history: Sequence[str] = (),
        *,
        documents: Sequence[str] = (),
        kinds: Sequence[str] = (),
    ) -> list[Passage]:
        """The best passages for a question, best first; `documents` are glob patterns, `kinds` kinds of block."""
        among = self.library.select(documents, kinds) if documents or kinds else None
        return list(self.find(understand(question, history), k, among).passages)

    def find(self, understood: Understood, k: int, among: Sequence[int] | None = None) -> Found:
        candidates = self.candidates(understood, among)
        scores = self.scores(candidates)
        best = np.argsort(-scores, kind="stable")[:k]
        chunks = self.library.chunks([int(candidates.ids[i]) for i in best])
        passages = tuple(_passage(chunks[int(candidates.ids[i])], float(scores[i])) for i in best)
        return Found(understood, passages, candidates)

    def candidates(self, understood: Understood, among: Sequence[int] | None = None) -> Candidates:
        """What words or meaning bring up, each with the features of both."""
        query = self._query(understood)
        vector = self._vector(understood)
        near = self.library.nearest(vector, CANDIDATES, among)
        matched = self.library.match(list(query.weights), CANDIDATES, among)
        ids = np.array(sorted({i for i, _ in near} | {i for i, _ in matched}), dtype=np.int64)
        if not len(ids):
            return Candidates(understood, query, ids, {})
        found, vectors = self.library.vectors(ids.tolist())
        words = self.library.words(found.tolist())
        average = sum(len(w.text) for w in words) / len(words)
        lex = np.array([lexical(query, w, average) for w in words])
        features = {
            "cosine": (vectors @ vector).astype(np.float64),
            "bm25": lex[:, 0] / query.total,
            "in_text": lex[:, 1],
            "anywhere": lex[:, 2],
        }
        return Candidates(understood, query, found, features)

    def scores(self, candidates: Candidates) -> NDArray[np.float64]:
        if not len(candidates):
            return np.zeros(0)
        return logistic(candidates.features, "first")

    def _vector(self, understood: Understood) -> NDArray[np.float32]:
        embedder = _embedder(self.library.meta("embedder_name"))
        if embedder.fingerprint != self.library.meta("embedder"):
            raise LibraryError(
                f"{self.library.place} was embedded by another version of its model: renew it with "
                f"`footnote ingest {' '.join(self.library.roots())} --library {self.library.place} --embedder "
                f"{self.library.meta('embedder_name') or 'default'}`"
            )
        vector: NDArray[np.float32] = embedder.embed([understood.text])[0]
        return vector

    def _query(self, understood: Understood) -> Query:
        own = content_terms(understood.question)
        topic = [t for t in content_terms(understood.topic) if t not in own] if understood.topic else []
        frequencies = self.library.frequencies([*own, *topic])
        chunks = max(self.library.count(), 1)
        weights = {t: rarity(frequencies[t], chunks) * (1.0 if t in own else TOPIC_WEIGHT) for t in [*own, *topic]}
        return Query(weights, {t: forms for t in weights if (forms := self._alternatives().get(t))})

    def _alternatives(self) -> dict[str, list[tuple[str, ...]]]:
        """Abbreviations and their long forms, as the library's own documents explain them."""
        generation = self.library.generation
        if self._forms[0] != generation:
            forms: dict[str, list[tuple[str, ...]]] = {}
            for short, longs in self.library.long_forms().items():
                forms[terms(short)[0]] = [tuple(terms(long)) for long in longs[:2]]
            self._forms = (generation, forms)
        return self._forms[1]


@lru_cache(maxsize=2)
def _embedder(name: str) -> Embedder:
    from ingest.embed import embedder

    return embedder(name or None)


def _passage(chunk: Chunk, score: float) -> Passage:
    return Passage(
        chunk.document, chunk.title, chunk.section, chunk.start, chunk.end, chunk.text, score, chunk.units, chunk.header
    )


def as_json(passage: Passage) -> dict[str, Any]:
    """The shape that `--json` promises."""
    return {name: getattr(passage, name) for name in ("document", "title", "section", "start", "end", "text", "score")}
