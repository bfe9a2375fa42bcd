"""How well a chunk fits a question, as one number: the chance that it holds the answer.

Features of a question and a chunk go into a logistic regression, fitted by `python -m assistant.evaluation.fit` on the
`fit` half of the question set. What it found stands in `assistant/calibration.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ingest.library import Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Features = dict[str, NDArray[np.float64]]


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

    def found(self, terms: set[str]) -> float:
        """The share of the question's weight that stands among these terms, in one form or another."""
        return sum(weight for term, weight in self.weights.items() if self.has(term, terms)) / self.total

    def has(self, term: str, terms: set[str]) -> bool:
        return term in terms or any(terms.issuperset(other) for other in self.alternatives.get(term, ()))


def rarity(frequency: int, chunks: int) -> float:
    return math.log(1 + (chunks - frequency + 0.5) / (frequency + 0.5))


def lexical(query: Query, words: Words) -> tuple[float, float]:
    """The share of the question's weight in the chunk's text, and in the text or beside it."""
    text = set(words.text)
    return query.found(text), query.found(text | set(words.beside))


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
