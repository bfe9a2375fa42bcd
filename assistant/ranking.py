"""How well a chunk fits a question, as one number: the chance that it holds the answer.

Features of a (question, chunk) pair go into a logistic regression, fitted by `python -m assistant.evaluation.fit` on the
`fit` half of the question set; what it found stands in `assistant/calibration.json`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ingest.library import Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

K1, B = 1.2, 0.5  # BM25: B below the usual .75, since chunks are of like length by construction
BESIDE = 0.6  # what a match in title, section or table header counts, against one in the text


@dataclass(frozen=True, slots=True)
class Query:
    """The question's terms with their weight (rarity times trust: a term from an earlier question counts less)."""

    weights: Mapping[str, float]
    alternatives: Mapping[str, Sequence[tuple[str, ...]]]  # term -> other ways to say it, each a few terms

    @property
    def total(self) -> float:
        return sum(self.weights.values()) or 1.0


def rarity(frequency: int, chunks: int) -> float:
    return math.log(1 + (chunks - frequency + 0.5) / (frequency + 0.5))


def lexical(query: Query, words: Words, average: float) -> tuple[float, float, float]:
    """BM25 over text and context, and the share of the question's weight that is found in the text, and anywhere."""
    counts = Counter(words.text)
    beside = set(words.beside)
    norm = K1 * (1 - B + B * len(words.text) / average)
    score = in_text = anywhere = 0.0
    for term, weight in query.weights.items():
        f = float(counts[term])
        others = query.alternatives.get(term, ())
        if not f and any(all(t in counts for t in other) for other in others):
            f = 1.0
        near = term in beside or any(all(t in beside for t in other) for other in others)
        in_text += weight * (f > 0)
        anywhere += weight * (f > 0 or near)
        f += BESIDE * near
        score += weight * f * (K1 + 1) / (f + norm)
    return score, in_text / query.total, anywhere / query.total


@lru_cache(maxsize=1)
def calibration() -> dict[str, dict[str, float]]:
    file = Path(__file__).with_name("calibration.json")
    loaded: dict[str, dict[str, float]] = json.loads(file.read_text())
    return loaded


def logistic(features: Mapping[str, NDArray[np.float64]], model: str) -> NDArray[np.float64]:
    """The fitted chance for each row of features."""
    weights = calibration()[model]
    total = sum(weights[name] * column for name, column in features.items()) + weights["bias"]
    return np.asarray(1.0 / (1.0 + np.exp(-total)))
