"""The rows that the reader learns from and is measured on: questions, passages in units, and which units answer.

A folder holds them as `NAME.jsonl.gz`, one JSON object a line: `question, title?, passage, units, answer_units,
answerable, license, label_kind?`. Only the sets named here go into weights: those whose licence is stated and allows
it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# How often a question of each set comes up in one pass. Technical prose most, sentences from lower-cased SQuAD 1.1
# and tables of finance least.
SHARES = {
    "docs_faq": 2.5,
    "docs_howto": 2.0,
    "qed_nq_dev": 1.0,
    "selqa": 1.0,
    "quotesum_dev": 1.0,
    "epqa_dev": 1.0,
    "squad2_testhalf": 0.8,
    "squad2_train_sample": 1.0,
    "squad1_nqg_sentences": 0.2,
    "semipqa_tables": 0.4,
    "fetaqa_tables": 0.5,
    "wtq_tables": 1.0,
    "tatqa": 0.35,
    "medquad": 0.5,
}
# Left out for their licence: sosum, multispanqa, xquad, squadshifts (none stated), policyqa (OPP-115 is for research).
# Left out to be measured on: covidqa.
UNSTATED = ("no licence", "without licence", "OPP-115")

# Whole projects whose documentation is never trained on.
HELD_OUT_PROJECTS = (
    "stanfordnlp/dspy",
    "optuna/optuna",
    "ollama/ollama",
    "scrapy/scrapy",
    "snakemake/snakemake",
    "streamlit/docs",
    "tensorflow/tensorboard",
    "microsoft/LightGBM",
    "stas00/ml-engineering",
    "letsencrypt/website",
    "modin-project/modin",
)
SECTION_TRUST = 0.4  # of a unit's label where a whole section was marked


@dataclass(frozen=True, slots=True)
class Row:
    """`trust` is what the labels of its units weigh: 0 where nobody looked at them."""

    source: str
    question: str
    title: str
    passage: str
    units: tuple[tuple[int, int], ...]
    answers: frozenset[int]
    trust: float
    held_out: bool

    @property
    def answerable(self) -> bool:
        return bool(self.answers)


def rows_of(folder: Path, name: str) -> Iterator[Row]:
    """The rows of one set, in order."""
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            one = json.loads(line)
            if name.split(".")[0] in SHARES and any(word in one["license"] for word in UNSTATED):
                raise ValueError(f"{one['id']} has no licence that allows training: {one['license']}")
            trust = SECTION_TRUST if one.get("label_kind") else float(not name.endswith(".mined"))
            document = one.get("repo") or one.get("title") or one["passage"]
            yield Row(
                source=name,
                question=one["question"],
                title=one.get("title", ""),
                passage=one["passage"],
                units=tuple((start, end) for start, end in one["units"]),
                answers=frozenset(one["answer_units"] if one["answerable"] else ()),
                trust=trust,
                held_out=document in HELD_OUT_PROJECTS if "repo" in one else tenth(document),
            )


def tenth(document: str) -> bool:
    """Whether a document is among the tenth of its set that is measured on."""
    return hashlib.sha256(document.encode()).digest()[0] % 10 == 0
