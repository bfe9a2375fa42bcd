"""A question and its history become ranked, packed `Passage`s."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from assistant.followups import Understood, understand
from assistant.ranking import Query, chance, fused, lexical, rarity
from ingest.chunks import Chunk, Unit
from ingest.errors import LibraryError
from ingest.words import content_terms, stem, terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from assistant.ranking import Features, Mode
    from assistant.rerank import Reranker
    from ingest.embed import Embedder
    from ingest.library import Library

CANDIDATES = 60  # from each of the two first stages
RERANKED = 20  # that the reranker reads
SURE, CLEAR = 0.9, 0.5  # it is not asked where the first is this likely and this far ahead of the second
SAME = 0.85  # share of common words from which two passages are one, found in two places
MOST_TERMS = 40  # of a question that are looked for
TOPIC_WEIGHT = 0.5  # of a term that comes from an earlier question


@dataclass(frozen=True, slots=True)
class Passage:
    """A readable whole: `document.text[start:end] == text`. `score` is the chance that it holds the answer."""

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
    """Chunks that may hold the answer, with what is known of each, row by row."""

    understood: Understood
    query: Query
    ids: NDArray[np.int64]
    chunks: tuple[Chunk, ...]
    features: Features


@dataclass(frozen=True, slots=True)
class Found:
    """The passages for a question, best first, and the words that were looked for."""

    understood: Understood
    query: Query
    passages: tuple[Passage, ...]
    features: Features  # of the passages, row by row
    mode: Mode


class Retriever:
    """Searches one library. Safe to use from several threads."""

    def __init__(self, library: Library, *, rerank: bool = True) -> None:
        self.library = library
        self.reranker = _reranker() if rerank else None
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
        """The best passages for a question; `documents` are glob patterns or folders, `kinds` kinds of block."""
        among = self.library.select(documents, kinds) if documents or kinds else None
        return list(self.find(understand(question, history), k, among).passages)

    def find(self, understood: Understood, k: int, among: Sequence[int] | None = None) -> Found:
        candidates = self.candidates(understood, among)
        if not len(candidates.ids) or k < 1:
            return Found(understood, candidates.query, (), {}, "plain")
        first = chance(candidates.features, "plain", "chunk")
        if self.reranker is not None and in_doubt(first):
            mode: Mode = "reranked"
            candidates, scores = self.reread(candidates)
        else:
            mode, scores = "plain", first
        groups = folded([candidates.chunks[i] for i in np.argsort(-scores, kind="stable")], k)
        place = {id(chunk): i for i, chunk in enumerate(candidates.chunks)}
        best = [place[id(group[0])] for group in groups]
        passages = tuple(as_passage(g[0], float(scores[i]), g[1:]) for g, i in zip(groups, best, strict=True))
        return Found(understood, candidates.query, passages, {n: f[best] for n, f in candidates.features.items()}, mode)

    def candidates(self, understood: Understood, among: Sequence[int] | None = None) -> Candidates:
        """What words or meaning bring up, each with the features of both."""
        query = self._query(understood)
        vector = self._vector(_mended(understood.text, query))
        with self.library.reading():
            near = self.library.nearest(vector, CANDIDATES, among)
            matched = self.library.match(self._sought(query), CANDIDATES, among)
            ids, vectors = self.library.vectors(sorted({i for i, _ in near} | {i for i, _ in matched}))
            words = self.library.words(ids.tolist())
            chunks = self.library.chunks(ids.tolist())
        shares = np.array([lexical(query, w) for w in words]).reshape(-1, 2)
        cosine = np.asarray(vectors @ vector if len(ids) else (), dtype=np.float64)
        features = {"cosine": cosine, "anywhere": shares[:, 1], "fused": fused(cosine, shares[:, 0], shares[:, 1])}
        return Candidates(understood, query, ids, tuple(chunks[i] for i in ids.tolist()), features)

    def reread(self, candidates: Candidates) -> tuple[Candidates, NDArray[np.float64]]:
        """The best candidates as the reranker sees them, which reads question and text together; the others below."""
        assert self.reranker is not None
        best = np.argsort(-candidates.features["fused"], kind="stable")[:RERANKED]
        read = self.reranker.score(candidates.understood.text, [candidates.chunks[i].searchable for i in best])
        logits = np.full(len(candidates.ids), read.min())
        logits[best] = read
        features = candidates.features | {"reranker": logits}
        scores = chance(features, "reranked", "chunk")
        others = np.setdiff1d(np.arange(len(scores)), best)
        scores[others] = np.minimum(scores[others], scores[best].min())
        return replace(candidates, features=features), scores

    def _sought(self, query: Query) -> list[str]:
        """The question's terms, and one-word alternatives; longer ones add each of their words."""
        return list(
            dict.fromkeys([*query.weights, *(t for forms in query.alternatives.values() for f in forms for t in f)])
        )

    def _vector(self, text: str) -> NDArray[np.float32]:
        embedder = open_embedder(self.library.meta("embedder_name"))
        if self.library.count() and embedder.fingerprint != self.library.meta("embedder"):
            raise LibraryError(
                f"{self.library.place} was embedded by another version of its model: renew it with "
                f"`footnote ingest {' '.join(self.library.roots())} --library {self.library.place}`"
            )
        vector: NDArray[np.float32] = embedder.embed([text])[0]
        return vector

    def _query(self, understood: Understood) -> Query:
        own = content_terms(understood.question)[:MOST_TERMS]
        topic = [t for t in content_terms(understood.topic)[:MOST_TERMS] if t not in own] if understood.topic else []
        frequencies = self.library.frequencies([*own, *topic])
        unknown = {t for t, frequency in frequencies.items() if not frequency}
        slips = {t: meant for t in unknown if (meant := self.library.meant(t))}
        frequencies |= {t: self.library.frequencies([meant])[meant] for t, meant in slips.items()}
        chunks = max(self.library.count(), 1)
        weights = {t: rarity(frequencies[t], chunks) * (1.0 if t in own else TOPIC_WEIGHT) for t in [*own, *topic]}
        alternatives = {t: forms for t in weights if (forms := self._alternatives().get(t))}
        alternatives |= {t: [(meant,)] for t, meant in slips.items()}
        return Query(weights, alternatives, frozenset(unknown - slips.keys()), slips)

    def _alternatives(self) -> dict[str, list[tuple[str, ...]]]:
        """Abbreviations and their long forms, as the library's own documents explain them."""
        generation = self.library.generation
        if self._forms[0] != generation:
            forms: dict[str, list[tuple[str, ...]]] = {}
            for short, longs in self.library.long_forms().items():
                forms[terms(short)[0]] = [tuple(terms(long)) for long in longs[:2]]
            self._forms = (generation, forms)
        return self._forms[1]


def _mended(text: str, query: Query) -> str:
    """Without its slips: to a model, `pytroch` is a row of odd syllables."""
    return re.sub(r"[^\W\d_]+", lambda word: query.slips.get(stem(word.group().lower()), word.group()), text)


def in_doubt(first: NDArray[np.float64]) -> bool:
    """Whether the reranker is worth its time: not where one chunk is likely and far ahead of the next."""
    top = np.sort(first)[::-1][:2]
    return len(top) > 1 and bool(top[0] < SURE or top[0] - top[1] < CLEAR)


@lru_cache(maxsize=2)
def open_embedder(name: str) -> Embedder:
    """The library's embedder, opened once."""
    from ingest.embed import embedder

    return embedder(name or None)


@lru_cache(maxsize=1)
def _reranker() -> Reranker | None:
    """The shipped reranker, opened once; None where its weights are not there."""
    from assistant.rerank import WEIGHTS, Reranker

    return Reranker() if WEIGHTS.is_file() else None


def folded(ranked: Sequence[Chunk], k: int) -> list[list[Chunk]]:
    """The first k chunks, behind each those that say nearly the same words."""
    groups: list[list[Chunk]] = []
    said: list[set[str]] = []
    for chunk in ranked:
        words = set(chunk.text.lower().split())
        if (i := next((i for i, other in enumerate(said) if _same(words, other)), None)) is not None:
            groups[i].append(chunk)
        elif len(groups) < k:
            groups.append([chunk])
            said.append(words)
    return groups


def _same(one: set[str], other: set[str]) -> bool:
    """Whether two texts are nearly one, with the same figures: guides that differ in a figure alone are two."""
    fewer, more = sorted((len(one), len(other)))
    if fewer <= SAME * more:  # saves nearly all of the work
        return False
    return len(one & other) > SAME * len(one | other) and not has_figure(one ^ other)


def has_figure(words: set[str]) -> bool:
    return any(character.isdigit() for word in words for character in word)


def as_passage(chunk: Chunk, score: float, also: Sequence[Chunk] = ()) -> Passage:
    c = chunk
    elsewhere = tuple((other.document, other.start, other.end) for other in also)
    return Passage(c.document, c.title, c.section, c.start, c.end, c.text, score, c.units, c.header, elsewhere)


def as_json(passage: Passage) -> dict[str, Any]:
    """The shape that `--json` promises."""
    return {name: getattr(passage, name) for name in ("document", "title", "section", "start", "end", "text", "score")}
