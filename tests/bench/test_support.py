from __future__ import annotations

import gzip
import json
from itertools import chain
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.embed import read_safetensors
from ingest.errors import FootnoteError
from tests.bench.support.bench import PAIRS as FILE
from tests.bench.support.rows import HELD_OUT, TRAINED, Row, learned_from, of_tests, one_pass
from tests.bench.support.serve import DOUBTED, SUPPORTED, WEIGHTS, Support, outcome, windows
from tests.bench.support.train import Run, Settings, batches

WHERE = f"{WEIGHTS.parent.name}/{WEIGHTS.name}"
needs_weights = pytest.mark.skipif(
    not WEIGHTS.is_file(), reason=f"no trained judge in tests/bench/{WHERE}: tests/bench/support/train.py makes one"
)
PAIRS = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
LEARNING = Settings(rows_a_step=6)
ROWS = [Row(f"Unit {i} is {'off' if i % 2 else 'on'}.", f"# Units\nUnit {i} is on.", i % 2 == 0) for i in range(24)]

token_lists = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), max_size=8)


@pytest.fixture(scope="module")
def support() -> Support:
    return Support()


@needs_weights
def test_a_unit_supports_itself_and_an_unrelated_one_does_not(support: Support) -> None:
    units = [pair["evidence"].splitlines()[-1] for pair in PAIRS[:60:6]]
    themselves = support.chances([(unit, unit) for unit in units])
    others = support.chances([(unit, other) for unit, other in zip(units, units[1:] + units[:1], strict=True)])
    assert np.mean([chance >= SUPPORTED for chance in themselves]) >= 0.9
    assert np.mean([chance < SUPPORTED for chance in others]) >= 0.9


@needs_weights
def test_an_honest_rewording_is_likelier_than_a_contradicting_change(support: Support) -> None:
    honest = np.array(support.chances([(pair["honest"], pair["evidence"]) for pair in PAIRS]))
    changed = np.array(support.chances([(pair["changed"], pair["evidence"]) for pair in PAIRS]))
    assert np.mean(honest > changed) >= 0.6


@needs_weights
@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)), st.integers(1, 6))
def test_a_chance_does_not_depend_on_the_company(support: Support, order: list[int], count: int) -> None:
    pairs = [(PAIRS[i]["honest"], PAIRS[i]["evidence"]) for i in order[:count]]
    assert support.chances(pairs) == [support.chances([pair])[0] for pair in pairs]


@needs_weights
def test_evidence_of_many_windows_is_read_to_its_end(support: Support) -> None:
    units = [pair["evidence"].splitlines()[-1] for pair in PAIRS]
    beside_the_point = "\n".join(units[20:45])
    without = np.array(support.chances([(pair["honest"], beside_the_point) for pair in PAIRS[:8]]))
    within = [(pair["honest"], f"{beside_the_point}\n{unit}") for pair, unit in zip(PAIRS[:8], units, strict=False)]
    assert np.mean(np.array(support.chances(within)) > without) >= 0.5


@needs_weights
def test_nothing_asked_or_nothing_cited_is_no_error(support: Support) -> None:
    assert support.chances([]) == []
    assert all(0 <= chance <= 1 for chance in support.chances([("", ""), ("A claim.", ""), ("A claim.", "# Heading")]))


def test_missing_weights_are_one_line_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(FootnoteError, match="Make them"):
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


def learn(out: Path, until: int) -> None:
    run = Run(out, LEARNING)
    for place, batch in enumerate(batches({"help": ROWS}, LEARNING)):
        if place == until:
            break
        if place >= run.step:
            run.learn(batch, run.step / 4)
    run.keep()


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path) -> None:
    learn(tmp_path / "whole", 4)
    for until in (1, 3, 4):
        learn(tmp_path / "stopped", until)
    whole, stopped = (read_safetensors(tmp_path / run / "weights.safetensors") for run in ("whole", "stopped"))
    assert all(np.array_equal(whole[name], stopped[name]) for name in whole)


def test_no_set_without_a_stated_licence_is_learned_from_and_none_that_chooses() -> None:
    assert not set(TRAINED) & set(HELD_OUT)


def test_rows_of_the_tests_and_rows_without_a_licence_are_left_out(tmp_path: Path) -> None:
    one = {"claim": "A fox is an animal.", "evidence": "Foxes are animals.", "label": "supported", "detail": ""}
    one |= {"split": "train", "license": "MIT"}
    rows = [one, one | {"claim": "a fox is an ANIMAL"}, one | {"claim": "A fox is red fur."}]
    rows += [one | {"license": "unstated", "claim": "A cat is an animal."}, one | {"split": "dev", "claim": "Dev."}]
    for name in (*TRAINED, "tests/asked"):
        path = tmp_path / f"{name}.jsonl.gz"
        path.parent.mkdir(exist_ok=True)
        kept = [one | {"evidence": ""}] if name.startswith("tests") else rows
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, kept)).encode()))
    found = learned_from(tmp_path, of_tests(tmp_path / "tests"))
    assert {tuple(row.sentence for row in own) for own in found.values()} == {("A fox is red fur.",)}


def test_a_pass_reads_each_set_as_often_as_it_should_and_another_part_each_time() -> None:
    sets = {name: [Row(f"{name} {i}", "", True, source=name) for i in range(100)] for name in TRAINED}
    first, second = one_pass(sets, Random(0)), one_pass(sets, Random(1))
    assert all(abs(sum(row.source == name for row in first) - 100 * times) <= 1 for name, times in TRAINED.items())
    assert {row.sentence for row in first} != {row.sentence for row in second}
