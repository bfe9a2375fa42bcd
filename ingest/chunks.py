"""A `Document` becomes `Chunk`s: pieces that fit the embedding model, each split into numbered units. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UnitKind = Literal["sentence", "item", "row", "code", "heading"]


@dataclass(frozen=True, slots=True)
class Unit:
    """What a footnote can point at: a sentence, a list item, a table row, a code line. Offsets are the document's."""

    start: int
    end: int
    kind: UnitKind


@dataclass(frozen=True, slots=True)
class Chunk:
    """`document.text[start:end] == text`. Title, section and table header stand beside the text, never inside it."""

    document: str
    title: str
    section: str  # heading path, joined by " > "
    start: int
    end: int
    text: str
    kind: str  # the kind of block that most of it is made of
    units: tuple[Unit, ...]
    header: str = ""  # the header row of the table that the chunk's rows belong to
