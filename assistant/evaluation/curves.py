"""What the best passage's score is worth: how many questions it lets be answered at what risk, and whether it means
the chance that it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assistant.evaluation.predictions import Prediction
from assistant.evaluation.score import covers
from assistant.evaluation.statistics import Score, auc, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

COVERAGES = (0.8, 0.9, 0.95)
BINS = 10


@dataclass(frozen=True, slots=True)
class Curve:
    """Answering everything whose best passage scores at least `threshold`: `coverage` of the answerable questions are
    answered, and so are `risk` of those that are not in the guides."""

    thresholds: tuple[float, ...]
    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    area: Score  # under coverage over risk: the chance that an answerable question scores higher than another
    risk_at: dict[str, Score]  # coverage, as "90 %" -> risk


@dataclass(frozen=True, slots=True)
class Bin:
    """Passages with scores of about `score`, of which `share` hold the evidence."""

    score: float
    share: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Reliability:
    bins: tuple[Bin, ...]
    error: float  # expected calibration error: how far score and share are apart, on average
    brier: float


def curve(predictions: Sequence[Prediction]) -> Curve | None:
    """None where all questions are answerable, or none is."""
    held = np.array([p.confidence for p in predictions if p.question.answerable])
    absent = np.array([p.confidence for p in predictions if not p.question.answerable])
    if not len(held) or not len(absent):
        return None
    thresholds = np.unique(np.concatenate([held, absent, [np.inf]]))[::-1]
    coverage, risk = (_share_above(values, thresholds) for values in (held, absent))
    return Curve(
        tuple(float(t) for t in thresholds[1:]),
        tuple(map(float, coverage[1:])),
        tuple(map(float, risk[1:])),
        auc(held, absent),
        {f"{100 * c:.0f} %": _risk_at(held, absent, c) for c in COVERAGES},
    )


def _share_above(values: Values, thresholds: Values) -> Values:
    return np.asarray(1 - np.searchsorted(np.sort(values), thresholds, side="left") / len(values))


def _risk_at(held: Values, absent: Values, coverage: float) -> Score:
    """The risk at the threshold that answers this share of the answerable; the threshold is drawn anew each time."""

    def risk(held: Values, absent: Values) -> float:
        threshold = np.sort(held)[::-1][max(0, int(np.ceil(coverage * len(held))) - 1)]
        return float((absent >= threshold).mean())

    draw = np.random.default_rng(0)
    drawn = [risk(draw.choice(held, len(held)), draw.choice(absent, len(absent))) for _ in range(1000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Score(risk(held, absent), float(low), float(high), len(held) + len(absent))


def reliability(predictions: Sequence[Prediction]) -> Reliability | None:
    """Of all passages that were retrieved, also for questions that nothing answers."""
    pairs = [
        (passage.score, any(covers(passage, evidence) for evidence in (*p.question.evidence, *p.question.also)))
        for p in predictions
        for passage in p.retrieved
    ]
    if not pairs:
        return None
    scores, holds = np.array([s for s, _ in pairs]), np.array([h for _, h in pairs], dtype=float)
    places = np.clip((scores * BINS).astype(int), 0, BINS - 1)
    bins = []
    for i in np.unique(places):
        inside = places == i
        n, hits = int(inside.sum()), int(holds[inside].sum())
        bins.append(Bin(float(scores[inside].mean()), hits / n, *wilson(hits, n), n))
    error = sum(abs(b.score - b.share) * b.n for b in bins) / len(pairs)
    return Reliability(tuple(bins), error, float(((scores - holds) ** 2).mean()))
