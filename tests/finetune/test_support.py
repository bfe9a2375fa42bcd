"""The rows that the judge of support learns from, and its training."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from finetune.support import HELD_OUT, TRAINED, Row, Run, Settings, batches, learned_from, of_tests, one_pass
from ingest.embed import read_safetensors

LEARNING = Settings(rows_a_step=6)
ROWS = [Row(f"Unit {i} is {'off' if i % 2 else 'on'}.", f"# Units\nUnit {i} is on.", i % 2 == 0) for i in range(24)]


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
