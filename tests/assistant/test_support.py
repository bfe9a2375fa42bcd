"""The judge that reads a sentence and the words it cites."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.support import DOUBTED, SENTENCE_TOKENS, SUPPORTED, Support, in_parts, open_support, outcome, windows
from ingest.errors import FootnoteError
from tests.bench.support.bench import PAIRS as FILE

PAIRS = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]

token_lists = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), max_size=8)


@pytest.fixture(scope="module")
def support() -> Support:
    return open_support()


def test_a_unit_supports_itself_and_an_unrelated_one_does_not(support: Support) -> None:
    units = [pair["evidence"].splitlines()[-1] for pair in PAIRS[:60:6]]
    themselves = support.chances([(unit, unit) for unit in units])
    others = support.chances([(unit, other) for unit, other in zip(units, units[1:] + units[:1], strict=True)])
    assert np.mean([chance >= SUPPORTED for chance in themselves]) >= 0.9
    assert np.mean([chance < SUPPORTED for chance in others]) >= 0.9


def test_an_honest_rewording_is_likelier_than_a_contradicting_change(support: Support) -> None:
    honest = np.array(support.chances([(pair["honest"], pair["evidence"]) for pair in PAIRS]))
    changed = np.array(support.chances([(pair["changed"], pair["evidence"]) for pair in PAIRS]))
    assert np.mean(honest > changed) >= 0.6


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)), st.integers(1, 6))
def test_a_chance_does_not_depend_on_the_company(support: Support, order: list[int], count: int) -> None:
    pairs = [(PAIRS[i]["honest"], PAIRS[i]["evidence"]) for i in order[:count]]
    assert support.chances(pairs) == [support.chances([pair])[0] for pair in pairs]


def test_evidence_of_many_windows_is_read_to_its_end(support: Support) -> None:
    units = [pair["evidence"].splitlines()[-1] for pair in PAIRS]
    beside_the_point = "\n".join(units[20:45])
    without = np.array(support.chances([(pair["honest"], beside_the_point) for pair in PAIRS[:8]]))
    within = [(pair["honest"], f"{beside_the_point}\n{unit}") for pair, unit in zip(PAIRS[:8], units, strict=False)]
    assert np.mean(np.array(support.chances(within)) > without) >= 0.5


def test_what_a_long_sentence_says_at_its_end_is_read_too(support: Support) -> None:
    units, others = ([pair["evidence"].splitlines()[-1] for pair in PAIRS[at:60:6]] for at in (0, 3))
    long, longer = "; ".join(units[:6]), "; ".join(units[:6] + others[:6])
    honest, false = support.chances([(long, "\n".join(units)), (longer, "\n".join(units))])
    assert false < honest - 0.15


@given(st.lists(st.integers(1, 9), max_size=500))
def test_the_parts_of_a_sentence_hold_every_token_and_none_is_a_crumb(said: list[int]) -> None:
    parts = in_parts(said)
    assert list(chain.from_iterable(parts)) == said
    assert all(len(part) <= SENTENCE_TOKENS for part in parts)
    assert len(parts) == 1 or min(map(len, parts)) > SENTENCE_TOKENS / 3


def test_nothing_asked_or_nothing_cited_is_no_error(support: Support) -> None:
    assert support.chances([]) == []
    assert all(0 <= chance <= 1 for chance in support.chances([("", ""), ("A claim.", ""), ("A claim.", "# Heading")]))


def test_missing_weights_are_one_line_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(FootnoteError, match="Fetch them: git checkout"):
        Support(tmp_path / "nowhere.onnx")


def test_three_outcomes_part_at_the_two_thresholds() -> None:
    said = [outcome(chance) for chance in (1.0, SUPPORTED, SUPPORTED - 1e-6, DOUBTED, DOUBTED - 1e-6, 0.0)]
    assert said == ["supported", "supported", "in doubt", "in doubt", "not supported", "not supported"]


@given(token_lists, token_lists, st.integers(4, 40))
def test_windows_fit_and_hold_every_token_in_order(above: list[list[int]], units: list[list[int]], room: int) -> None:
    read = list(windows(above, units, room))
    top = list(chain.from_iterable(above))[: room // 2]
    assert read
    assert all(len(window) <= room and window[: len(top)] == top for window in read)
    below = chain.from_iterable(window[len(top) :] for window in read)
    assert all(token in below for token in chain.from_iterable(units)), "a token is left out, or they changed places"
