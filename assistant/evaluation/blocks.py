"""What reports are made of. Blocks hold plain text; `report.py` makes Markdown of them, `page.py` a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """The first cell of a row is its name; a row of one cell parts groups of rows."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """`svg` is made by `pictures.py`, with all text in it escaped."""

    title: str
    svg: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A question that went wrong, folded up under its title."""

    title: str
    lines: Sequence[tuple[str, str]]


Block = Heading | Text | Table | Picture | Case
