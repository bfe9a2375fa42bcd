"""A question and its history become ranked, packed `Passage`s."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from assistant.asked import Understood, understand
from assistant.records import Passage
from ingest.chunks import Chunk
from ingest.embed import cores, open_session, packaged_folder, run_each
from ingest.errors import FootnoteError, LibraryError
from ingest.library import Words
from ingest.words import content_terms, stem, terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Features = dict[str, NDArray[np.float64]]
    from ingest.embed import Embedder
    from ingest.library import Library


# How well a chunk fits a question, as one number: the chance that it holds the answer.
#
# Features of a question and a chunk go into a logistic regression, fitted by `python -m assistant.evaluation.fit` on
# the `fit` half of the question set. What it found stands in `assistant/calibration.json`.

# Chosen on three question sets together (NOTES.md, "Fusing words and meaning"). The square, since two words of three
# say more than twice what one says.
IN_TEXT, ANYWHERE = 0.3, 0.2


@dataclass(frozen=True, slots=True)
class Query:
    """The question's terms with their weight (rarity times trust: a term from an earlier question counts less)."""

    weights: Mapping[str, float]
    alternatives: Mapping[str, Sequence[tuple[str, ...]]]  # term -> other ways to say it, each one or more terms
    unknown: frozenset[str] = frozenset()  # terms that stand nowhere in the library
    slips: Mapping[str, str] = field(default_factory=dict)  # terms that were mistyped -> what was meant

    @property
    def total(self) -> float:
        return sum(self.weights.values()) or 1.0

    def found(self, terms: set[str] | frozenset[str]) -> float:
        """The share of the question's weight that stands among these terms, in one form or another."""
        also = self.alternatives  # few terms have any
        there = (w for term, w in self.weights.items() if term in terms or (term in also and self.has(term, terms)))
        return sum(there) / self.total

    def has(self, term: str, terms: set[str] | frozenset[str]) -> bool:
        return term in terms or any(terms.issuperset(other) for other in self.alternatives.get(term, ()))


def rarity(frequency: int, chunks: int) -> float:
    return math.log(1 + (chunks - frequency + 0.5) / (frequency + 0.5))


def lexical(query: Query, words: Words) -> tuple[float, float]:
    """The share of the question's weight in the chunk's text, and in the text or beside it."""
    return query.found(words.text), query.found(words.anywhere)


def fused(
    cosine: NDArray[np.float64], in_text: NDArray[np.float64], anywhere: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Meaning and words as one score. Words count by the share of the question that is found, near 1 only where they
    decide; BM25 and ranks always name a winner, which made questions in other words than the guide's worse."""
    return cosine + IN_TEXT * in_text**2 + ANYWHERE * anywhere


Mode = Literal["plain", "reranked"]  # whether the reranker has read the passages: what is known is fitted for each


@lru_cache(maxsize=1)
def calibration() -> dict[str, Any]:
    """Weights and thresholds, as fitted."""
    loaded: dict[str, Any] = json.loads(Path(__file__).with_name("calibration.json").read_text("utf-8"))
    return loaded


def chance(features: Mapping[str, NDArray[np.float64]], mode: Mode, model: str) -> NDArray[np.float64]:
    """The fitted chance for each row: of a chunk or a unit to hold the answer, of a question to have one."""
    weights = calibration()[mode][model]
    total = sum(
        (weights[name] * features[name] for name in weights if name != "bias"), start=np.float64(weights["bias"])
    )
    return np.asarray(1.0 / (1.0 + np.exp(-np.asarray(total))))


# The reranker: reads a question and a passage together and says how well the one answers the other.
#
# A small cross-encoder of our own, in eight bits on onnxruntime; what it is and how well it does stands in
# `reranker/README.md`, how it was made in `finetune/reranker.py`. A passage is given as `Chunk.searchable` has it.

WEIGHTS = Path(__file__).with_name("reranker") / "model.onnx"
PAIR_TOKENS = 256  # question, passage and the three marks around them
QUESTION_TOKENS = 64  # of a longer question the beginning is read


class Reranker:
    """Opens in about 0.1 s. Safe to use from several threads."""

    def __init__(self, weights: Path = WEIGHTS, threads: int = 0) -> None:
        from tokenizers import Tokenizer

        if not weights.is_file():
            raise FootnoteError(f"The reranker's weights are not at {weights}. Do without: --no-rerank")
        self._session = open_session(weights)
        self._threads = threads or cores()
        self._tokenizer = Tokenizer.from_file(str(packaged_folder() / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._start, self._end = self._tokenizer.encode("").ids

    def score(self, question: str, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """A logit for each text; above 0 where the text more likely than not holds the answer."""
        asked, *read = self._tokenizer.encode_batch_fast([question, *texts], add_special_tokens=False)
        pairs = [pair(asked.ids, one.ids, self._start, self._end) for one in read]
        return run_each(self._session, pairs, self._threads)[:, 0].astype(np.float64)


def pair(question: Sequence[int], text: Sequence[int], start: int, end: int) -> dict[str, list[int]]:
    """`start question end text end`, the question cut to its share and the text to what is left."""
    first = [start, *question[:QUESTION_TOKENS], end]
    second = [*text[: PAIR_TOKENS - len(first) - 1], end]
    return {"ids": first + second, "types": [0] * len(first) + [1] * len(second)}


CANDIDATES = 60  # from each of the two first stages
RERANKED = 20  # that the reranker reads
SURE, CLEAR = 0.9, 0.5  # it is not asked where the first is this likely and this far ahead of the second
SAME = 0.85  # share of common words from which two passages are one, found in two places
MOST_TERMS = 40  # of a question that are looked for
TOPIC_WEIGHT = 0.5  # of a term that comes from an earlier question
CLOSE = 0.1  # two questions in one find what answers the first as well, so the shorter reading is given this much
HOPELESS = 0.1  # unless it finds nothing anyhow


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

    @property
    def best(self) -> float:
        return max((passage.score for passage in self.passages), default=0.0)


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
        """The best passages, by the reading of the question that finds the best one."""
        kept, *others = [self._find(reading, k, among) for reading in understood.readings]
        for other in others:
            if other.best > kept.best + (CLOSE if kept.best >= HOPELESS else 0.0):
                kept = other
        return kept

    def _find(self, understood: Understood, k: int, among: Sequence[int] | None) -> Found:
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

    return Reranker() if WEIGHTS.is_file() else None


def folded(ranked: Sequence[Chunk], k: int) -> list[list[Chunk]]:
    """The first k chunks, behind each those that say nearly the same words."""
    groups: list[list[Chunk]] = []
    said: list[frozenset[str]] = []
    for chunk in ranked:
        words = _words(chunk.text)
        least, most = SAME * len(words), len(words) / SAME  # of words in another that may be the same
        if (i := next((i for i, o in enumerate(said) if least < len(o) < most and _same(words, o)), None)) is not None:
            groups[i].append(chunk)
        elif len(groups) < k:
            groups.append([chunk])
            said.append(words)
    return groups


@lru_cache(maxsize=1000)  # most of a search's candidates were another's
def _words(text: str) -> frozenset[str]:
    return frozenset(text.lower().split())


def _same(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two texts are nearly one, with the same figures: guides that differ in a figure alone are two."""
    shared = len(one & other)
    return shared > SAME * (len(one) + len(other) - shared) and not has_figure(one ^ other)


def has_figure(words: frozenset[str]) -> bool:
    return any(character.isdigit() for word in words for character in word)


def as_passage(chunk: Chunk, score: float, also: Sequence[Chunk] = ()) -> Passage:
    c = chunk
    elsewhere = tuple((other.document, other.start, other.end) for other in also)
    return Passage(c.document, c.title, c.section, c.start, c.end, c.text, score, c.units, c.header, elsewhere, c.pages)
