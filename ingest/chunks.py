"""A `Document` becomes `Chunk`s: pieces that fit the embedding model, each split into numbered units. Pure.

A chunk follows the document's structure: it stays inside one section (or joins a few tiny ones of one parent), and it
begins and ends at a unit's edge, so that no sentence, list item, table row or code line is ever cut.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ingest.documents import Block, Document
from ingest.units import HEADINGS, Unit, UnitKind, cut, units_of

__all__ = ["Chunk", "CountTokens", "Unit", "UnitKind", "beside", "chunk"]

CountTokens = Callable[[Sequence[str]], Sequence[int]]

MOST_TOKENS = 220  # the model cuts at 256 in silence; title, section and header are counted in, its two marks are not
GOOD_TOKENS = 130  # a chunk this long ends at the next block: longer ones blur what they are about
TINY_TOKENS = 45  # sections shorter than this join their neighbours
CONTEXT_CHARACTERS = 160  # of title and section beside the text, so that the text itself has room

_SKIPPED = ("front_matter", "furniture")


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
    page: int | None = None
    named: bool = False  # the title is only the file's name

    @property
    def context(self) -> str:
        """What stands beside the text for matching words."""
        return beside(self.title, self.section, self._header_beside)

    @property
    def searchable(self) -> str:
        """What is embedded. A file's name is left out of it, so that a renamed file keeps its vectors."""
        context = beside("" if self.named else self.title, self.section, self._header_beside)
        return f"{context}\n{self.text}" if context else self.text

    @property
    def _header_beside(self) -> str:
        return "" if self.header in self.text else self.header

    @property
    def key(self) -> bytes:
        """What its vector is kept under: the same words beside the same context are embedded once."""
        return hashlib.sha256(self.searchable.encode("utf-8", "surrogatepass")).digest()[:16]


def beside(title: str, section: str, header: str) -> str:
    """Title, section and table header in a form that leaves room for the text; the inner headings say the most."""
    path = section if title in section else f"{title} > {section}" if section else title
    if len(path) > CONTEXT_CHARACTERS:
        path = "… " + path[-CONTEXT_CHARACTERS:].split(" ", 1)[-1]
    return f"{path}\n{header[:CONTEXT_CHARACTERS]}" if header else path


@dataclass(frozen=True, slots=True)
class _Piece:
    """A unit with what the packing has to know about it."""

    unit: Unit
    block: Block
    first: bool  # of its block
    last: bool
    tokens: int
    header_tokens: int  # what the header row costs beside it, where the table continues from another chunk
    share: float  # of its block, for each of the chunks that the block is split into: no crumbs at the end


def chunk(document: Document, count_tokens: CountTokens) -> list[Chunk]:
    """All chunks of the document, in order. Front matter and page furniture are left out."""
    sections = list(_sections(document.blocks))
    units = {id(block): units_of(document.text, block) for _, blocks in sections for block in blocks}
    every = [unit for of_block in units.values() for unit in of_block]
    tokens = dict(zip(every, count_tokens([document.text[u.start : u.end] for u in every]), strict=True))
    chunks = []
    for path, blocks in _joined(sections, lambda block: sum(tokens[u] for u in units[id(block)])):
        section = " > ".join(path)
        room = MOST_TOKENS - count_tokens([beside(document.title, section, "")])[0]
        pieces = [
            p for block in blocks for p in _pieces(document.text, block, units[id(block)], tokens, room, count_tokens)
        ]
        chunks += [_chunk(document, section, run) for run in _packed(pieces, room)]
    return chunks


Section = tuple[tuple[str, ...], list[Block]]


def _sections(blocks: Iterable[Block]) -> Iterator[Section]:
    """Runs of blocks under one heading path; each run begins with its heading."""
    path: list[tuple[int, str]] = []
    run: list[Block] = []
    for block in blocks:
        if block.kind in _SKIPPED:
            continue
        if block.kind in HEADINGS:
            if run:
                yield tuple(label for _, label in path), run
            path = [step for step in path if step[0] < block.level] + [(block.level, block.label)]
            run = []
        run.append(block)
    if run:
        yield tuple(label for _, label in path), run


def _joined(sections: Sequence[Section], tokens: Callable[[Block], int]) -> Iterator[Section]:
    """Tiny sections of one parent, side by side, become one; a heading without text is left to its children."""
    waiting: list[Section] = []

    def size(section: Section) -> int:
        return sum(tokens(block) for block in section[1])

    for i, section in enumerate(sections):
        path, blocks = section
        tiny = size(section) < TINY_TOKENS and blocks[0].kind == "heading" and len(blocks) > 1
        fits = sum(map(size, waiting)) + size(section) <= GOOD_TOKENS
        if waiting and not (tiny and fits and path[:-1] == waiting[0][0][:-1]):
            yield _merged(waiting)
            waiting = []
        if tiny:
            waiting.append(section)
        elif len(blocks) > 1 or blocks[0].kind != "heading" or not _has_children(sections, i):
            yield section
    if waiting:
        yield _merged(waiting)


def _has_children(sections: Sequence[Section], i: int) -> bool:
    path = sections[i][0]
    return i + 1 < len(sections) and len(sections[i + 1][0]) > len(path) and sections[i + 1][0][: len(path)] == path


def _merged(sections: Sequence[Section]) -> Section:
    if len(sections) == 1:
        return sections[0]
    return sections[0][0][:-1], [block for _, blocks in sections for block in blocks]


def _pieces(
    text: str, block: Block, units: Sequence[Unit], tokens: dict[Unit, int], room: int, count: CountTokens
) -> Iterator[_Piece]:
    """The block's units, those that no chunk could hold cut further."""
    header = count([_header(text, block)[:CONTEXT_CHARACTERS]])[0] if block.kind == "table" else 0
    fitting: list[tuple[Unit, int]] = []
    for unit in units:
        if tokens[unit] <= room - header:
            fitting.append((unit, tokens[unit]))
            continue
        most = max(1, (unit.end - unit.start) * (room - header) // tokens[unit] * 2 // 3)
        spans = list(cut(text, unit.start, unit.end, most))
        fitting += zip((Unit(*s, unit.kind) for s in spans), count([text[slice(*s)] for s in spans]), strict=True)
    total = sum(cost for _, cost in fitting)
    parts = -(-total // max(1, room - header))
    largest = max(cost for _, cost in fitting)
    share = room if parts == 1 else min(room, total / parts + largest / 2)
    for i, (unit, cost) in enumerate(fitting):
        yield _Piece(unit, block, i == 0, i == len(fitting) - 1, cost, header, share)


def _packed(pieces: Sequence[_Piece], room: int) -> Iterator[list[_Piece]]:
    """Runs of pieces that fit: full at `room`, content to end at a block's edge from `GOOD_TOKENS` on."""
    run: list[_Piece] = []
    used = 0
    for piece in pieces:
        is_table = piece.block.kind == "table"
        continued = bool(run) and not piece.first and all(p.block is piece.block for p in run)
        full = used + piece.tokens > (piece.share if continued else room)
        good = piece.first and used > GOOD_TOKENS and piece.block.kind != "item"
        second_table = piece.first and is_table and any(p.block.kind == "table" for p in run)
        if any(p.unit.kind != "heading" for p in run) and (full or good or second_table):
            yield run
            run, used = [], 0
        if is_table and not piece.first and not run:
            used = piece.header_tokens
        run.append(piece)
        used += piece.tokens
    if run:
        yield run


def _header(text: str, table: Block) -> str:
    return text[table.start : max(table.header_end, table.start)].split("\n")[0].strip()


def _chunk(document: Document, section: str, run: Sequence[_Piece]) -> Chunk:
    first, last = run[0], run[-1]
    # The heading that opens a section stands in `section`; a question belongs to its answer and stays.
    body = run[1:] if first.block.kind == "heading" and len(run) > 1 and section.endswith(first.block.label) else run
    first = body[0]
    start = first.block.start if first.first else first.unit.start
    end = last.block.end if last.last else last.unit.end
    by_kind: Counter[str] = Counter()
    for piece in body:
        by_kind[piece.block.kind] += piece.tokens
    table = next((p.block for p in body if p.block.kind == "table"), None)
    return Chunk(
        document=document.path,
        title=document.title,
        section=section,
        start=start,
        end=end,
        text=document.text[start:end],
        kind=by_kind.most_common(1)[0][0],
        units=tuple(p.unit for p in body),
        header=_header(document.text, table) if table else "",
        page=first.block.page,
        named=document.named,
    )
