"""How well a reader does on the tenth of the rows that it never saw: right passages against wrong ones, and units.

    python -m tests.bench.reader.evaluation --rows DIR --weights model.onnx [more.onnx ...] [--limit 60]

The passages are drawn as in training; `--limit` questions of each set that was trained on. Sets that were not are
read by `tests.bench.judge`. The prepared rows are kept in `--cache`.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np

from tests.bench.reader.groups import Group, Material, draw, prepare
from tests.bench.reader.serve import Reader, Text
from tests.bench.reranker import area

Counts = dict[str, list[int]]


def groups_of(material: Material, limit: int) -> dict[str, list[Group]]:
    """The same groups each time."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(material.rows):
        if "." not in row.source:
            places[row.source].append(place)
    counts: Counts = {}
    return {
        name: [draw(material, place, Random(place), counts) for place in Random(1).sample(of, min(limit, len(of)))]
        for name, of in places.items()
    }


def measured(reader: Reader, groups: Sequence[Group]) -> dict[str, float]:
    """AUC of passages over all groups, the right passage first in its group, AUC of units in right passages."""
    right: list[float] = []
    wrong: list[float] = []
    first: list[bool] = []
    units: dict[bool, list[float]] = {True: [], False: []}
    for group in groups:
        read = reader.read(group.question, [Text(s.context, s.text, s.units) for s in group.passages])
        for one, shown in zip(read, group.passages, strict=True):
            (right if shown.right else wrong).append(one.answers)
        if group.passages[0].right and len(read) > 1:
            first.append(read[0].answers > max(one.answers for one in read[1:]))
        if group.passages[0].right:
            for logit, label in zip(read[0].units, group.passages[0].labels, strict=True):
                units[bool(label)].append(logit)
    found = {"passages": area(right, wrong) if right and wrong else np.nan, "first": float(np.mean(first))}
    return found | {"units": area(units[True], units[False]) if all(units.values()) else np.nan}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reader.evaluation")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    parser.add_argument("--cache", type=Path, default=Path("reader-heldout.pickle"))
    parser.add_argument("--limit", type=int, default=60)
    options = parser.parse_args(arguments)
    sets = groups_of(prepare(options.rows, options.cache, held_out=True), options.limit)
    for weights in options.weights:
        reader, all_of = Reader(weights), []
        sys.stdout.write(f"{weights}: passages' AUC, right one first, units' AUC\n")
        for name, groups in sets.items():
            all_of.append(measured(reader, groups))
            cells = "".join(f"{value:8.3f}" for value in all_of[-1].values())
            sys.stdout.write(f"  {name:24}{len(groups):5}{cells}\n")
            sys.stdout.flush()
        means = [np.nanmean([one[key] for one in all_of]) for key in all_of[0]]
        sys.stdout.write(f"  {'mean':29}{''.join(f'{value:8.3f}' for value in means)}\n")


if __name__ == "__main__":
    main()
