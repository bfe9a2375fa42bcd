"""Ways of writing an answer. Each has one method; what it yields is the same for all.

A writer is given a `Request` and yields `Text` as it is written, `Cite` behind the words it supports, and one `Stop`.
It can only cite units of the passages it was given: passage and unit numbers count from 0 here, from 1 in `[2.3]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from assistant.retrieve import Passage


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question and, where it is known, its answer in plain words (without footnote marks)."""

    question: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    question: str  # as it stands alone, follow-ups resolved
    passages: tuple[Passage, ...]
    history: tuple[Turn, ...] = ()  # oldest first
    evidence: tuple[tuple[float, ...], ...] = ()  # the chance of each unit of each passage to answer, if worked out


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Cite:
    """Footnotes for the sentence that ends here. `invalid` holds ids that were written but point nowhere."""

    units: tuple[tuple[int, int], ...]  # (passage, unit)
    invalid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of the writing. `detail` is one line for the user where `reason` is not "end"."""

    reason: Literal["end", "not_in_guides", "refusal", "max_tokens", "cut", "cancelled"] = "end"
    usage: dict[str, int | float] = field(default_factory=dict)  # input_tokens, output_tokens, dollars, …
    detail: str = ""


class Writer(Protocol):
    """`name` is what `--model` says. Failing before the first word raises `WriterError`; later is a `Stop("cut")`."""

    name: str

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]: ...
