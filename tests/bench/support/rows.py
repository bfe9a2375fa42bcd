"""The rows that the judge of support learns from and is chosen by: sentence, evidence, whether it follows.

    python -m tests.bench.support.rows FOLDER --tests FOLDER/tests      counts, set by set

A folder holds one `NAME.jsonl.gz` a set. Weights may ship one day, so they learn only from sets whose
licence is stated and allows it: `TRAINED` is that list. The others (`HELD_OUT`) choose between recipes; tests are
neither learned from nor chosen by.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from ingest.words import STOPWORDS

# How often a row of the set is read in one pass; below 1 it is the share of the set's rows.
TRAINED = {
    "vitaminc_real": 1.0,
    "vitaminc_synthetic": 0.5,  # written by a model and a rule: noisier than the real ones
    "perturb": 0.8,
    "fever_nli": 0.4,
    "cad_nli": 1.0,
    "mnli_dev": 1.0,
    "snli_dev": 1.0,
    "scitail_dev": 1.0,
    "infotabs": 0.3,
    "conjnli": 1.0,
    "entailment_bank": 1.0,
    "fetaqa": 0.4,
    "fool_me_twice_dev": 2.0,
    "citation_integrity": 0.2,  # what authors cite for a claim seldom carries every part of it
    "help": 1.0,
    "scone": 1.0,
}
HELD_OUT = ("begin", "climate_fever", "covid_fact", "healthver", "negation_nli", "add_one_rte", "nli4ct", "curriculum")
UNSTATED = "unstated"  # in a row's licence: such rows of a mixed set are left out
MOST_CHARACTERS = 400  # of a row that is learned from: a second on short rows teaches more than one on long ones
BESIDE, ANOTHERS, SWAPPED = 0.08, 0.04, 0.25  # shares of rows that `varied` changes, where it can
KINDS = {"contradiction": 1, "neutral": 2}  # of what is not supported, where a set says so


@dataclass(frozen=True, slots=True)
class Row:
    sentence: str
    evidence: str
    supported: bool
    kind: int = 0  # of `KINDS`; 0 where it is supported or the set does not say
    source: str = ""  # the set
    detail: str = ""


_NAME = re.compile(r"\b[A-Z][\w'-]+(?: [A-Z][\w'-]+)*")


def read(path: Path, split: str = "") -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for one in map(json.loads, lines):
            if split and one["split"] != split:
                continue
            if split == "train" and not (fits(one["claim"] + one["evidence"]) and UNSTATED not in one["license"]):
                continue
            supported = one["label"] == "supported"
            kind = 0 if supported else KINDS.get(one["detail"], 0)
            yield Row(one["claim"], one["evidence"], supported, kind, path.name.split(".")[0], str(one["detail"]))


def fits(text: str) -> bool:
    return len(text) <= MOST_CHARACTERS


def plain(text: str) -> str:
    """What two texts have to share to count as the same."""
    return " ".join(re.findall(r"\w+", text.lower()))


def of_tests(folder: Path) -> frozenset[str]:
    """The tests' sentences and evidence, as `plain` has them: no row with one of them is learned from."""
    return frozenset(plain(text) for path in folder.glob("*.jsonl.gz") for row in read(path) for text in _texts(row))


def learned_from(folder: Path, tests: frozenset[str]) -> dict[str, list[Row]]:
    sets = {name: list(read(folder / f"{name}.jsonl.gz", "train")) for name in TRAINED}
    return {
        name: [row for row in rows if not tests.intersection(map(plain, _texts(row)))] for name, rows in sets.items()
    }


def one_pass(sets: dict[str, list[Row]], random: Random) -> list[Row]:
    """All rows of one reading, in an order of its own; of a set that is read in part another part each time."""
    rows: list[Row] = []
    for name, own in sets.items():
        times = TRAINED[name]
        rows += own * int(times)
        rows += random.sample(own, round(len(own) * (times % 1)))
    random.shuffle(rows)
    return [varied(row, random.choice(rows), random) for row in rows]


def varied(row: Row, other: Row, random: Random) -> Row:
    """Most rows as they are, some with more evidence beside theirs, with another's, or with two names swapped."""
    chance = random.random()
    if chance < BESIDE:
        texts = [row.evidence, other.evidence]
        return replace(row, evidence="\n".join(random.sample(texts, 2)))
    if chance < BESIDE + ANOTHERS and plain(row.sentence) != plain(other.sentence):
        return replace(row, evidence=other.evidence, supported=False, kind=KINDS["neutral"])
    if chance > 1 - SWAPPED and row.supported and (swapped := with_names_swapped(row.sentence)):
        return replace(row, sentence=swapped, supported=False, kind=KINDS["contradiction"])
    return row


def with_names_swapped(sentence: str) -> str:
    """ "Google bought DeepMind" for its reverse; "" where there are no two names, or they only stand in a list."""
    names = [match for match in _NAME.finditer(sentence) if match[0].split()[0].lower() not in STOPWORDS]
    if len(names) < 2 or names[0][0].lower() == names[1][0].lower():
        return ""
    first, second = names[0], names[1]
    between = sentence[first.end() : second.start()]
    if not re.search(r"[a-z]{3}", between) or re.search(r"\b(?:and|or|with|as well as)\b", between):
        return ""
    return sentence[: first.start()] + second[0] + between + first[0] + sentence[second.end() :]


def _texts(row: Row) -> Sequence[str]:
    return [text for text in (row.sentence, row.evidence) if len(text.split()) > 3]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.support.rows", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tests", type=Path, required=True)
    options = parser.parse_args(arguments)
    tests = of_tests(options.tests)
    for name, rows in learned_from(options.folder, tests).items():
        all_rows = sum(1 for _ in read(options.folder / f"{name}.jsonl.gz", "train"))
        labels = Counter(row.supported for row in rows)
        sys.stdout.write(f"{name:20} {labels[True]:6} {labels[False]:6}  left out {all_rows - len(rows)}\n")


if __name__ == "__main__":
    main()
