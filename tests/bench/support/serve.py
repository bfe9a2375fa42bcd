"""The judge of support: reads a sentence and the words that it cites and gives the chance that every part follows.

An experiment: a small cross-encoder of our own, in eight bits on onnxruntime. What it is and how well it does stands
in `README.md` beside this file; no weights of it are in the repository, `tests.bench.support.train` makes them.
Evidence is the cited units, one a line, below what stands over them: lines that begin with "# ". What is exact
(figures, identifiers, quotes) is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ingest.embed import Model, cores, open_session, packaged_folder, run_each
from ingest.errors import FootnoteError

WEIGHTS = Path(__file__).with_name("model.onnx")  # where the tests look; kept out of git
PAIR_TOKENS = 256  # sentence, evidence and the three marks around them; longer evidence is read in windows
SENTENCE_TOKENS = 96  # of a longer sentence the beginning is read

# A logit as a chance, and where it parts: for the weights that the README tells of. For others fit them anew, with
# `python -m tests.bench support --fit`, never on the tests.
SCALE, SHIFT = 0.557, 0.160
SUPPORTED, DOUBTED = 0.62, 0.29

Outcome = Literal["supported", "in doubt", "not supported"]


class Support:
    """Opens in about 0.1 s. Safe to use from several threads."""

    def __init__(self, weights: Path | Model = WEIGHTS, threads: int = 0) -> None:
        from tokenizers import Tokenizer

        if isinstance(weights, Path) and not weights.is_file():
            raise FootnoteError(f"The judge's weights are not at {weights}. Make them: tests/bench/support/train.py")
        self._session = open_session(weights)
        self._threads = threads or cores()
        self._tokenizer = Tokenizer.from_file(str(packaged_folder() / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._start, self._end = self._tokenizer.encode("").ids

    def chances(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """For each (sentence, evidence) the chance that all of the sentence follows from the evidence, in one batch."""
        read = [self._windows(sentence, evidence) for sentence, evidence in pairs]
        flat = [window for windows in read for window in windows]
        if not flat:
            return []
        logits = iter(run_each(self._session, flat, self._threads)[:, 0].tolist())
        return [max(chance(next(logits)) for _ in windows) for windows in read]

    def _windows(self, sentence: str, evidence: str) -> list[dict[str, list[int]]]:
        lines = evidence.splitlines() or [""]
        said, *read = self._tokenizer.encode_batch_fast([sentence, *lines], add_special_tokens=False)
        first = [self._start, *said.ids[:SENTENCE_TOKENS], self._end]
        tokens = [one.ids for one in read]
        above = [ids for line, ids in zip(lines, tokens, strict=True) if line.startswith("# ")]
        units = [ids for line, ids in zip(lines, tokens, strict=True) if not line.startswith("# ")]
        seconds = ([*part, self._end] for part in windows(above, units, PAIR_TOKENS - len(first) - 1))
        return [{"ids": first + s, "types": [0] * len(first) + [1] * len(s)} for s in seconds]


def windows(above: Sequence[list[int]], units: Sequence[list[int]], room: int) -> Iterator[list[int]]:
    """Runs of units that fit, each below the headings; a run begins with the last unit of the one before.

    Headings take at most half of the room, and a unit that is too long by itself is cut into pieces.
    """
    top = [token for ids in above for token in ids][: room // 2]
    room -= len(top)
    pieces = [ids[at : at + room] for ids in units for at in range(0, len(ids), room)]
    run: list[list[int]] = []
    for piece in pieces:
        if sum(map(len, run)) + len(piece) > room:
            yield top + [token for ids in run for token in ids]
            run = run[-1:] if len(run[-1]) + len(piece) <= room else []
        run.append(piece)
    yield top + [token for ids in run for token in ids]


def chance(logit: float) -> float:
    return float(1 / (1 + np.exp(-(SCALE * logit + SHIFT))))


def outcome(likely: float) -> Outcome:
    if likely >= SUPPORTED:
        return "supported"
    return "in doubt" if likely >= DOUBTED else "not supported"
