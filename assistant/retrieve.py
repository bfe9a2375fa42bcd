"""A question and its history become ranked, packed `Passage`s."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.chunks import Unit


@dataclass(frozen=True, slots=True)
class Passage:
    """A readable whole of one document: `document.text[start:end] == text`. `score` is the chance that it holds the answer."""

    document: str
    title: str
    section: str
    start: int
    end: int
    text: str
    score: float
    units: tuple[Unit, ...] = ()
    header: str = ""  # the header row of the table that the passage's rows belong to
    also: tuple[tuple[str, int, int], ...] = ()  # near-duplicates folded into this one: document, start, end
