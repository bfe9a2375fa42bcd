from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.evaluation.statistics import auc, difference, score, wilson

DRAW = np.random.default_rng(7)


def test_the_interval_of_a_mean_is_that_of_theory_where_theory_knows_it() -> None:
    values = DRAW.normal(3, 2, 400)
    found = score(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_the_interval_holds_the_truth_about_95_times_in_a_hundred() -> None:
    samples = [score(DRAW.binomial(1, 0.8, 120).astype(float)) for _ in range(300)]
    assert 0.90 <= np.mean([found.low <= 0.8 <= found.high for found in samples]) <= 0.99


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.integers(0, 5))
def test_questions_to_which_a_score_does_not_apply_change_nothing(values: list[float], missing: int) -> None:
    padded = np.array(values + [math.nan] * missing)
    assert score(padded) == score(np.array(values))
    assert score(padded).low <= score(padded).value + 1e-9
    assert score(padded).value <= score(padded).high + 1e-9


def test_scoring_again_gives_the_same_interval() -> None:
    values = DRAW.random(50)
    assert score(values) == score(values.copy())
    assert score(values, "p95") == score(values.copy(), "p95")


def test_a_rate_of_nothing_out_of_few_still_has_an_interval() -> None:
    found = score(np.zeros(36), rate=True)
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(0.0964, abs=1e-3)
    assert score(np.ones(36), rate=True).low == pytest.approx(1 - 0.0964, abs=1e-3)
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)  # as tables have it


def test_nothing_scored_is_no_score() -> None:
    assert score(np.array([math.nan])).n == 0


def test_medians_have_intervals_too() -> None:
    found = score(DRAW.exponential(1.0, 500), "p50")
    assert found.low < math.log(2) < found.high
    assert found.high - found.low < 0.3


def test_a_difference_is_better_or_worse_by_what_the_score_means() -> None:
    before = DRAW.random(60)
    after = before + 0.1 + 0.05 * DRAW.random(60)
    up = difference(before, after, better=1)
    assert up.verdict == "better"
    assert up.low > 0.1
    assert difference(before, after, better=-1).verdict == "worse"
    assert difference(after, before, better=1).verdict == "worse"
    assert difference(before, after, better=0).verdict == "different"


def test_pairs_see_what_two_intervals_would_not() -> None:
    before = DRAW.random(80)  # spread over 0 to 1, so that its interval is about 0.12 wide
    after = before + DRAW.normal(0.02, 0.01, 80)
    assert score(after).low < score(before).high
    assert difference(before, after, better=1).verdict == "better"


def test_no_difference_is_seen_in_noise_in_equals_or_in_one_question_of_many() -> None:
    before = DRAW.binomial(1, 0.5, 200).astype(float)
    one_more = before.copy()
    one_more[np.flatnonzero(before == 0)[0]] = 1
    for after in (before, one_more, DRAW.permutation(before)):
        assert difference(before, after, better=1).verdict == "no difference seen"


def test_noise_is_called_a_difference_about_one_time_in_twenty() -> None:
    called = [
        difference(DRAW.random(60), DRAW.random(60), better=1).verdict != "no difference seen" for _ in range(300)
    ]
    assert np.mean(called) < 0.11


def test_of_very_few_pairs_nothing_is_claimed() -> None:
    assert difference(np.zeros(4), np.ones(4), better=1).verdict == "no difference seen"
    assert difference(np.array([math.nan]), np.ones(1), better=1).n == 0


def test_only_questions_that_both_answered_are_compared() -> None:
    found = difference(np.array([0, math.nan, 1.0]), np.array([0.5, 9, math.nan]), better=1)
    assert (found.n, found.before, found.after) == (1, 0, 0.5)


def test_the_area_counts_pairs_in_order_and_ties_half() -> None:
    found = auc(np.array([0.9, 0.5, 0.4]), np.array([0.5, 0.1]))
    assert found.value == pytest.approx((2 + 1.5 + 1) / 6)
    assert found.low <= found.value <= found.high
    assert auc(np.array([]), np.array([1.0])).n == 0
