"""How sure a score is: bootstrap intervals and paired differences. Seeded, so that scoring again gives the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from assistant.evaluation.metrics import Statistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

SAMPLES = 2000
LEVEL = 0.95
FEWEST = 5  # pairs below which no difference is claimed
QUANTILES = {"p50": 50.0, "p95": 95.0}


@dataclass(frozen=True, slots=True)
class Score:
    """A value with its 95 % interval, and of how many questions."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one to the other over the same questions."""

    before: float
    after: float
    value: float
    low: float
    high: float
    n: int
    verdict: str  # better, worse, no difference seen


def score(values: Values, statistic: Statistic = "mean", *, rate: bool = False) -> Score:
    """A statistic of the values that are not NaN. The bootstrap says nothing about a rate of yes-or-no values at 0 % or
    100 %: there the interval is Wilson's."""
    values = values[~np.isnan(values)]
    n = len(values)
    if not n:
        return Score(math.nan, math.nan, math.nan, 0)
    value = _statistic(values[None, :], statistic)[0]
    if rate and value in (0.0, 1.0) and np.isin(values, (0.0, 1.0)).all():
        return Score(float(value), *wilson(int(value) * n, n), n)
    low, high = _interval(_resampled(values, statistic))
    return Score(float(value), low, high, n)


def difference(before: Values, after: Values, better: int, statistic: Statistic = "mean") -> Difference:
    """Paired: row by row the same question. Rows in which either is NaN are left out."""
    both = ~np.isnan(before) & ~np.isnan(after)
    before, after = before[both], after[both]
    n = len(before)
    if not n:
        return Difference(math.nan, math.nan, math.nan, math.nan, math.nan, 0, "no difference seen")
    if statistic == "mean":
        low, high = _interval(_resampled(after - before, statistic))
    else:
        low, high = _interval(_resampled(after, statistic) - _resampled(before, statistic))
    was, now = (float(_statistic(v[None, :], statistic)[0]) for v in (before, after))
    return Difference(was, now, now - was, low, high, n, _verdict(low, high, better, n))


def _verdict(low: float, high: float, better: int, n: int) -> str:
    if n < FEWEST or low <= 0 <= high:
        return "no difference seen"
    if not better:
        return "different"
    return "better" if (low > 0) == (better > 0) else "worse"


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a rate; it says something at 0 of n too."""
    if not n:
        return math.nan, math.nan
    rate, square = hits / n, z * z / n
    middle = (rate + square / 2) / (1 + square)
    half = z * math.sqrt(rate * (1 - rate) / n + square / (4 * n)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def auc(positive: Values, negative: Values) -> Score:
    """The chance that one of the positive scores is above one of the negative, ties half, with its interval."""
    if not len(positive) or not len(negative):
        return Score(math.nan, math.nan, math.nan, 0)
    above = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    drawn = ((_weights(len(positive), 1) @ above) * _weights(len(negative), 2)).sum(axis=1)
    low, high = _interval(drawn / (len(positive) * len(negative)))
    return Score(float(above.mean()), low, high, len(positive) + len(negative))


def _interval(drawn: Values) -> tuple[float, float]:
    low, high = np.percentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def _resampled(values: Values, statistic: Statistic) -> Values:
    if statistic == "mean":
        drawn: Values = _weights(len(values)) @ values / len(values)
        return drawn
    return _statistic(values[_places(len(values))], statistic)


def _statistic(rows: Values, statistic: Statistic) -> Values:
    if statistic == "mean":
        return np.asarray(rows.mean(axis=1))
    return np.asarray(np.percentile(rows, QUANTILES[statistic], axis=1))


@lru_cache(maxsize=64)
def _weights(n: int, seed: int = 0) -> Values:
    """How often each of n is drawn in each of the samples."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=SAMPLES)
    return drawn.astype(np.float64)


@lru_cache(maxsize=8)
def _places(n: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, n, size=(SAMPLES, n))
