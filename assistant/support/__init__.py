"""Reads a sentence and the words that it cites, and gives the chance that every part of the sentence follows.

A small cross-encoder of our own, in eight bits on onnxruntime; what it is, what it learned from and how well it does
stands in `README.md` beside its weights. `finetune/support.py` makes them. What is exact (figures, identifiers, quotes)
is not asked here: `assistant/footnotes.py` sees to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from assistant.records import Outcome
from ingest.embed import Model, cores, open_session, packaged_folder, run_each
from ingest.errors import FootnoteError

WEIGHTS = Path(__file__).with_name("model.onnx")
PAIR_TOKENS = 256  # sentence, evidence and the three marks around them; longer evidence is read in windows
SENTENCE_TOKENS = 96  # a longer sentence is read in parts, each of which has to follow

# A logit as a chance, and where it parts, for the weights beside this file. For others fit them anew, with
# `python -m tests.bench support --fit`, never on the tests.
SCALE, SHIFT = 0.675, 0.175
SUPPORTED, DOUBTED = 0.64, 0.27


class Support:
    """Opens in about 0.1 s. Safe to use from several threads."""

    def __init__(self, weights: Path | Model = WEIGHTS, threads: int = 0) -> None:
        from tokenizers import Tokenizer

        if isinstance(weights, Path) and not weights.is_file():
            raise FootnoteError(
                f"The weights that judge support are not at {weights}. Fetch them: git checkout -- assistant/support"
            )
        self._session = open_session(weights)
        self._threads = threads or cores()
        self._tokenizer = Tokenizer.from_file(str(packaged_folder() / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._start, self._end = self._tokenizer.encode("").ids

    def chances(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """For each (sentence, evidence) the chance that all of the sentence follows, in one batch.

        Evidence is one unit a line, below what stands over them: lines that begin with "# ".
        """
        read = [self._parts(sentence, evidence) for sentence, evidence in pairs]
        flat = [window for parts in read for windows in parts for window in windows]
        if not flat:
            return []
        logits = iter(run_each(self._session, flat, self._threads)[:, 0].tolist())
        return [min(max(chance(next(logits)) for _ in windows) for windows in parts) for parts in read]

    def _parts(self, sentence: str, evidence: str) -> list[list[dict[str, list[int]]]]:
        """For each part of the sentence the windows of the evidence that it is read with."""
        lines = evidence.splitlines() or [""]
        said, *read = self._tokenizer.encode_batch_fast([sentence, *lines], add_special_tokens=False)
        tokens = [one.ids for one in read]
        above = [ids for line, ids in zip(lines, tokens, strict=True) if line.startswith("# ")]
        units = [ids for line, ids in zip(lines, tokens, strict=True) if not line.startswith("# ")]
        return [self._windows(part, above, units) for part in in_parts(said.ids)]

    def _windows(
        self, said: Sequence[int], above: Sequence[list[int]], units: Sequence[list[int]]
    ) -> list[dict[str, list[int]]]:
        first = [self._start, *said, self._end]
        seconds = ([*part, self._end] for part in windows(above, units, PAIR_TOKENS - len(first) - 1))
        return [{"ids": first + s, "types": [0] * len(first) + [1] * len(s)} for s in seconds]


def in_parts(said: Sequence[int]) -> list[Sequence[int]]:
    """Of nearly one length, so that no crumb is judged by itself."""
    count = max(1, -(-len(said) // SENTENCE_TOKENS))
    size = -(-len(said) // count)
    return [said[at * size : (at + 1) * size] for at in range(count)]


@lru_cache(maxsize=1)
def open_support() -> Support:
    """The shipped judge, opened when the first sentence needs it: an answer made of quotes never does."""
    return Support()


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
