"""Keeps a question set out of the training data: its questions, near copies of them, and the units of its evidence."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from finetune.ideas import Place
from ingest.errors import FootnoteError
from ingest.words import content_terms

NEAR_WORDS = 0.6  # Jaccard of content words: as corpus/README.md says of the questions among themselves
NEAR_LETTERS = 0.8  # difflib's ratio


@dataclass(frozen=True)
class Held:
    """What is held out: questions, and the places of evidence in the documents of a library."""

    questions: Sequence[str] = ()
    evidence: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)

    def is_near(self, question: str) -> bool:
        """Whether a question is a near copy of one that is held out."""
        words, letters = set(content_terms(question)), " ".join(question.lower().split())
        matcher = SequenceMatcher(None, "", letters, autojunk=False)
        return any(_near(words, matcher, other) for other in self._known)

    def holds(self, places: Iterable[Place]) -> bool:
        """Whether any of these units is evidence for a question that is held out."""
        return any(
            place.start < end and start < place.end
            for place in places
            for start, end in self.evidence.get(place.document, ())
        )

    def __post_init__(self) -> None:
        known = [(set(content_terms(q)), " ".join(q.lower().split())) for q in self.questions]
        object.__setattr__(self, "_known", known)

    _known: Sequence[tuple[set[str], str]] = field(init=False, repr=False, default=())


def held(file: Path | None, texts: Mapping[str, str]) -> Held:
    """The question set in `file`, its quotes found in the `texts` of the documents by path."""
    if file is None:
        return Held()
    questions: list[str] = []
    evidence: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in _rows(file):
        questions += [row["question"], *row.get("history", ())]
        for quote in (*row.get("evidence", ()), *row.get("also", ())):
            for path, text in texts.items():
                if _same_file(path, quote["document"]):
                    evidence[path] += _found(quote["quote"], text)
    return Held(tuple(dict.fromkeys(questions)), dict(evidence))


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise FootnoteError(f"{file} is no question set ({error}): --exclude takes one JSON object a line") from error


def _same_file(path: str, other: str) -> bool:
    """A library made of `corpus/guides` calls `guides/x.md` by the name `x.md`."""
    return path == other or path.endswith(f"/{other}") or other.endswith(f"/{path}")


def _found(quote: str, text: str) -> list[tuple[int, int]]:
    spans, at = [], text.find(quote)
    while at >= 0:
        spans.append((at, at + len(quote)))
        at = text.find(quote, at + 1)
    return spans


def _near(words: set[str], matcher: SequenceMatcher[str], other: tuple[set[str], str]) -> bool:
    shared, either = len(words & other[0]), len(words | other[0])
    if either and shared / either >= NEAR_WORDS:
        return True
    matcher.set_seq1(other[1])  # the second sequence's letters are counted once
    return all(ratio() >= NEAR_LETTERS for ratio in (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio))
