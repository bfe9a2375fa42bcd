"""What a table can be asked: a cell by row and column, a row by a cell, a column, and follow-ups. Pure, no model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from assistant.prompts import harmless
from assistant.writers import Turn
from finetune.ideas import MOST_LINES, Idea, Line, Place, label, lowered, words_of
from ingest.chunks import Chunk
from ingest.words import content_terms

_CELL = (
    "What is the {col} of {row}?",
    "{col} for {row}?",
    "What do the guides give as {col} for {row}?",
    "{row}: {col}?",
)
_CELL_ASKING = ("{row}: {col}?", "{row}: {col}, according to the guides?", "Tell me about {row}: {col}.")
_WHICH = ("Which {first} has {cell} as {col}?", "For which {first} is the {col} {cell}?")
_ROW = ("What does the table say about {row}?", "What is in the row on {row}?", "Tell me what is listed for {row}.")
_COLUMN = (
    "What {col} does each {first} have?",
    "Give the {col} of every {first} under {label}.",
    "{label}: {first} and {col}",
)
_DIFFER = ("How do {one} and {other} differ in {col}?", "{col}: {one} vs {other}", "Compare {one} and {other}: {col}.")
_AND_ROW = ("And for {row}?", "What about {row}?", "and {row}?")
_AND_COLUMN = ("And what is its {col}?", "And the {col}?", "What about its {col}?")
_ASKING = re.compile(r"(?:what|where|when|how|why|which|who)\b", re.IGNORECASE)
_NOTHING = ("none", "(none)", "-", "–", "—", "n/a")
_FIGURE = re.compile(r"[$€£₹]?\d[\d,.]*")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table with its header; its first cell says what it is about."""

    chunk: Chunk
    place: Place
    header: tuple[str, ...]
    cells: tuple[str, ...]

    @property
    def section(self) -> tuple[str, str]:
        return self.chunk.document, self.chunk.section

    @property
    def name(self) -> str:
        return re.sub(r"^\d+[.)]\s+", "", self.cells[0])

    def asks(self, column: int) -> bool:
        """Whether the column's name is half a question already, such as `What it does`."""
        return bool(_ASKING.match(self.header[column]))

    def key(self, column: int) -> tuple[frozenset[str], frozenset[str]]:
        """What a question about this cell is about: the same key in two guides is the same question."""
        return frozenset(content_terms(self.name)), frozenset(content_terms(self.header[column]))


def rows(chunk: Chunk) -> list[Row]:
    """The rows that a question can be made of, the header left out."""
    header = _cells(chunk.header)
    found = []
    for unit in chunk.units if header else ():
        cells = _cells(words_of(chunk, unit)) if unit.kind == "row" else ()
        fits = len(cells) == len(header) > 1 and cells != header and all(cells) and len(cells[0].split()) <= 10
        if fits and harmless(words_of(chunk, unit)) == words_of(chunk, unit):
            found.append(Row(chunk, Place(chunk.document, unit.start, unit.end), header, cells))
    return found


def ideas(chunk: Chunk, random: Random) -> Iterator[Idea]:
    """All that one table can be asked."""
    table = rows(chunk)
    for row in table:
        for column in range(1, len(row.header)):
            if row.cells[column].lower() not in _NOTHING:
                yield cell(row, column, random)
                yield from _which(row, column, table, random)
        if len(row.header) > 2:
            question = random.choice(_ROW).format(row=lowered(row.name))
            yield Idea("row", question, (_whole(row),), (row.section,))
    yield from _columns(chunk, table, random)
    yield from _differences(table, random)
    yield from _follow_ups(table, random)


def cell(row: Row, column: int, random: Random) -> Idea:
    names = {"row": lowered(row.name), "col": lowered(row.header[column])}
    question = _capital(random.choice(_CELL_ASKING if row.asks(column) else _CELL).format(**names))
    figure = row.cells[column] if _is_figure(row.cells[column]) else ""
    return Idea("table", question, (said(row, column),), (row.section,), figure=figure)


def said(row: Row, column: int, guide: str = "") -> Line:
    """What a row has in one column, as a sentence that quotes it."""
    what = row.name if row.asks(column) else f"{row.header[column]} for {row.name}"
    text = f"{what}: {row.cells[column].rstrip('.;')}."
    return Line(f"{guide}: {lowered(text)}" if guide else _capital(text), (row.place,))


def _whole(row: Row) -> Line:
    cells = zip(row.header[1:], row.cells[1:], strict=True)
    told = "; ".join(f"{lowered(name)}: {value.rstrip('.;')}" for name, value in cells)
    return Line(f"{row.name}: {told}.", (row.place,))


def _which(row: Row, column: int, table: Sequence[Row], random: Random) -> Iterator[Idea]:
    value = row.cells[column]
    named = not row.asks(0) and not row.asks(column)
    if named and len(value) <= 50 and sum(other.cells[column] == value for other in table) == 1:
        names = {"first": lowered(row.header[0]), "col": lowered(row.header[column]), "cell": lowered(value)}
        text = f"{row.name}, whose {lowered(row.header[column])} is given as {value.rstrip('.;')}."
        yield Idea("which", random.choice(_WHICH).format(**names), (Line(text, (row.place,)),), (row.section,))


def _columns(chunk: Chunk, table: Sequence[Row], random: Random) -> Iterator[Idea]:
    units = [unit for unit in chunk.units if unit.kind == "row"]
    if not 1 < len(table) <= MOST_LINES or len(units) != len(table) + 1:  # a table that goes on in another chunk
        return
    for column in range(1, len(table[0].header)):
        first, col = lowered(table[0].header[0]), lowered(table[0].header[column])
        lines = tuple(Line(f"- {row.name}: {row.cells[column].rstrip('.;')}", (row.place,)) for row in table)
        question = random.choice(_COLUMN).format(first=first, col=col, label=label(chunk))
        yield Idea("column", _capital(question), lines, (table[0].section,))


def _differences(table: Sequence[Row], random: Random) -> Iterator[Idea]:
    for row, other in pairwise(table):
        column = random.randrange(1, len(row.header))
        names = {"one": lowered(row.name), "other": lowered(other.name), "col": lowered(row.header[column])}
        if not row.asks(column):
            lines = (said(row, column), said(other, column))
            yield Idea("compare", _capital(random.choice(_DIFFER).format(**names)), lines, (row.section,))


def _follow_ups(table: Sequence[Row], random: Random) -> Iterator[Idea]:
    for row, other in pairwise(table):
        column = random.randrange(1, len(row.header))
        again = random.choice(_AND_ROW).format(row=lowered(other.name))
        yield _follow_up(cell(row, column, random), again, said(other, column), other)
    for row in table if table and len(table[0].header) > 2 else ():
        column, then = random.sample(range(1, len(row.header)), 2)
        again = random.choice(_AND_COLUMN).format(col=lowered(row.header[then]))
        yield _follow_up(cell(row, column, random), again, said(row, then), row)


def _follow_up(before: Idea, question: str, line: Line, row: Row) -> Idea:
    history = (Turn(before.question, before.lines[0].text),)
    return Idea("follow", question, (line,), (row.section,), history)


def _cells(row: str) -> tuple[str, ...]:
    if not row.strip().startswith("|"):
        return ()
    inner = row.strip().strip("|").replace(r"\|", "\x00")
    return tuple(" ".join(part.replace("\x00", "|").split()) for part in inner.split("|"))


def _is_figure(value: str) -> bool:
    numbers = _FIGURE.findall(value)
    return 0 < len(numbers) <= 2 and sum(map(len, numbers)) >= len(value.replace(" ", "")) / 3


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
