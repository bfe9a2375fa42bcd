"""What a footnote can point at: a block is made of units, in order, inside it, never overlapping. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ingest.documents import Block
from ingest.sentences import split_sentences

UnitKind = Literal["sentence", "item", "row", "code", "heading"]

HEADINGS = ("heading", "question")
ITEM_CHARACTERS = 400  # a longer list item is cited by its sentences
MOST_CHARACTERS = 1200  # what has no end for this long is cut at white space

_FENCES = ("```", "~~~")


@dataclass(frozen=True, slots=True)
class Unit:
    """What a footnote can point at: a sentence, a list item, a table row, a code line. Offsets are the document's."""

    start: int
    end: int
    kind: UnitKind


def units_of(text: str, block: Block) -> list[Unit]:
    """The units of one block, in order, inside it, never overlapping."""
    if block.kind in HEADINGS:
        return [Unit(block.start, block.end, "heading")]
    if block.kind == "table":
        kind: UnitKind = "row"
        spans = [line for line in _lines(text, block.start, block.end) if not _is_rule(text[slice(*line)])]
    elif block.kind == "code":
        lines = list(_lines(text, block.start, block.end))
        kind, spans = "code", [line for line in lines if not text[slice(*line)].lstrip().startswith(_FENCES)] or lines
    elif block.kind == "item" and block.end - block.start <= ITEM_CHARACTERS:
        kind, spans = "item", [(block.start, block.end)]
    else:
        kind, spans = "sentence", split_sentences(text[block.start : block.end], block.start)
    return [Unit(*piece, kind) for span in spans for piece in cut(text, *span, MOST_CHARACTERS)] or [
        Unit(block.start, block.end, kind)
    ]


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The lines that are not blank, with their indentation, which is part of code."""
    for line in text[start:end].splitlines(keepends=True):
        if line.strip():
            yield start, start + len(line.rstrip())
        start += len(line)


def _is_rule(line: str) -> bool:
    """`|---|:--:|` and `=== ===`: the line under a table's header."""
    return not line.strip("|-=:+ \t")


def cut(text: str, start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    """The span, or, where it has no end in sight, several, each at most `most` long, parted at white space."""
    while end - start > most:
        space = max(text.rfind(mark, start + 1, start + most) for mark in " \n\t")
        stop = space if space > start else start + most
        yield start, stop
        start = stop
        while start < end and text[start].isspace():
            start += 1
    if end > start:
        yield start, end


def pack_units(units: Sequence[Unit]) -> str:
    return json.dumps([[u.start, u.end, u.kind] for u in units], separators=(",", ":"))


def unpack_units(packed: str) -> tuple[Unit, ...]:
    return tuple(Unit(*unit) for unit in json.loads(packed))
