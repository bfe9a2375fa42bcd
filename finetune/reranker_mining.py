"""Passages that look as if they answered a question: the nearest by vector and by words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ingest.embed import Embedder
from ingest.graph import Vectors


class Miner:
    """Finds, for a question, the passages nearest by vector and by words (BM25)."""

    def __init__(self, passages: Sequence[str], model: Embedder) -> None:
        self.model = model
        self.vectors = model.embed(passages)
        self.words = Words(passages)

    def alike(self, questions: Sequence[str], dense: int = 20, lexical: int = 10) -> Iterator[list[int]]:
        """Nearest first, from the two lists in turn, each place once."""
        for question, vector in zip(questions, self.model.embed(questions), strict=True):
            by_vector = best(self.vectors @ vector, dense)
            by_words = best(self.words.scores(question), lexical)
            yield list(dict.fromkeys(place for pair in _in_turn(by_vector, by_words) for place in pair))

    def below(self, questions: Sequence[str], right: Sequence[int], share: float) -> Iterator[list[int]]:
        """As `alike`, without what is nearer to the question than that share of its right passage: it may be right."""
        vectors = self.model.embed(questions)
        for vector, place, others in zip(vectors, right, self.alike(questions, dense=40), strict=True):
            most = share * float(self.vectors[place] @ vector)
            yield [other for other in others if float(self.vectors[other] @ vector) < most]


class Words:
    """BM25 over single words, in memory."""

    def __init__(self, passages: Sequence[str], k1: float = 1.2, b: float = 0.75) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self._counter = CountVectorizer(token_pattern=r"(?u)\b\w+\b", stop_words="english")
        counts = self._counter.fit_transform(passages).astype(np.float32).tocsc()
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        found = np.diff(counts.indptr)
        rarity = np.log(1 + (len(passages) - found + 0.5) / (found + 0.5))
        norm = k1 * (1 - b + b * lengths / max(float(lengths.mean()), 1e-9))
        counts.data *= (k1 + 1) / (counts.data + norm[counts.indices]) * np.repeat(rarity, found)
        self._weights = counts.tocsr()

    def scores(self, question: str) -> Vectors:
        query = self._counter.transform([question]).astype(np.float32)
        return np.asarray((self._weights @ query.T).todense(), np.float32).ravel()


def best(scores: Vectors, count: int) -> list[int]:
    count = min(count, len(scores))
    places = np.argpartition(-scores, count - 1)[:count] if count else np.empty(0, np.int64)
    return [int(place) for place in places[np.argsort(-scores[places], kind="stable")] if scores[place] > 0]


def _in_turn(first: Sequence[int], second: Sequence[int]) -> Iterable[Sequence[int]]:
    for rank in range(max(len(first), len(second))):
        yield [*first[rank : rank + 1], *second[rank : rank + 1]]
