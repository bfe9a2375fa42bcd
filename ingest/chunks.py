"""A `Document` becomes `Chunk`s: pieces that fit the embedding model, each split into numbered units. Pure.

A chunk follows the document's structure: it stays inside one section (or joins a few tiny ones of one parent), and it
begins and ends at a unit's edge, so that no sentence, list item, table row or code line is ever cut.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ingest.documents import Block, Document
from ingest.packing import GOOD_TOKENS, HEADER_CHARACTERS, CountTokens, Packer, Piece
from ingest.units import HEADINGS, Unit, UnitKind, units_of

__all__ = ["Chunk", "CountTokens", "Unit", "UnitKind", "beside", "chunk"]

MOST_TOKENS = 220  # the model cuts at 256 in silence; title, section and header are counted in, its two marks are not
TINY_TOKENS = 45  # sections shorter than this join their neighbours
CONTEXT_CHARACTERS = 160  # of title and section beside the text, so that the text itself has room

_DRAWN = re.compile(r"([-=_*~#.+\s])\1{3,}")
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
        return f"{context}\n{squeezed(self.text)}" if context else squeezed(self.text)

    @property
    def _header_beside(self) -> str:
        return "" if self.header in self.text else self.header

    @property
    def key(self) -> bytes:
        """What its vector is kept under: the same words beside the same context are embedded once."""
        return hashlib.sha256(self.searchable.encode("utf-8", "surrogatepass")).digest()[:16]


def squeezed(text: str) -> str:
    """Without the length of drawn lines: the one under a wide table's header can cost more tokens than the table."""
    return _DRAWN.sub(r"\1\1\1", text)


def beside(title: str, section: str, header: str) -> str:
    """Title, section and table header in a form that leaves room for the text; the inner headings say the most."""
    path = section if title in section else f"{title} > {section}" if section else title
    if len(path) > CONTEXT_CHARACTERS:
        path = "… " + path[-CONTEXT_CHARACTERS:].split(" ", 1)[-1]
    return f"{path}\n{header[:HEADER_CHARACTERS]}" if header else path


def chunk(document: Document, count_tokens: CountTokens) -> list[Chunk]:
    """All chunks of the document, in order. Front matter and page furniture are left out."""
    sections = list(_sections(document.blocks))
    units = {id(block): units_of(document.text, block) for _, blocks in sections for block in blocks}
    spans = {u: span for _, blocks in sections for block in blocks for u, span in _spans(block, units[id(block)])}
    texts = [squeezed(document.text[slice(*span)]) for span in spans.values()]
    tokens = dict(zip(spans, count_tokens(texts), strict=True))
    chunks: list[tuple[Chunk, bool]] = []
    for path, blocks in _joined(sections, lambda block: sum(tokens[u] for u in units[id(block)])):
        section = " > ".join(path)
        room = MOST_TOKENS - count_tokens([beside(document.title, section, "")])[0]
        packer = Packer(document.text, room, count_tokens)
        pieces = [piece for block in blocks for piece in packer.pieces(block, units[id(block)], tokens)]
        chunks += [(_chunk(document, section, run), _is_beside(run, section)) for run in packer.packed(pieces)]
    return [c for c, bare in chunks if not bare] or [c for c, _ in chunks]


def _spans(block: Block, units: Sequence[Unit]) -> Iterator[tuple[Unit, tuple[int, int]]]:
    """Each unit with what it brings along: code's fences and the line under a table's header are embedded too."""
    starts = [block.start, *(unit.start for unit in units[1:])]
    return zip(units, zip(starts, [*starts[1:], block.end], strict=True), strict=True)


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
    """Tiny sections under one heading, side by side, become one; a heading without text is left to its children."""
    waiting: list[Section] = []

    def size(section: Section) -> int:
        return sum(tokens(block) for block in section[1])

    for i, section in enumerate(sections):
        path, blocks = section
        tiny = size(section) < TINY_TOKENS and blocks[0].kind == "heading"
        fits = sum(map(size, waiting)) + size(section) <= GOOD_TOKENS
        if waiting and not (tiny and fits and len(path) > 1 and path[:-1] == waiting[0][0][:-1]):
            yield _merged(waiting)
            waiting = []
        if len(blocks) == 1 and blocks[0].kind == "heading" and _has_children(sections, i):
            continue
        if tiny:
            waiting.append(section)
        else:
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


def _chunk(document: Document, section: str, run: Sequence[Piece]) -> Chunk:
    # The heading that opens a section stands in `section`; a question belongs to its answer and stays.
    opening = [p for p in run if p.block is run[0].block]
    body = run[len(opening) :] if _is_beside(opening, section) and len(run) > len(opening) else run
    first, last = body[0], body[-1]
    start = first.block.start if first.first else first.unit.start
    end = last.block.end if last.last else last.unit.end
    by_kind: Counter[str] = Counter()
    for piece in body:
        by_kind[piece.block.kind] += piece.tokens
    return Chunk(
        document=document.path,
        title=document.title,
        section=section,
        start=start,
        end=end,
        text=document.text[start:end],
        kind=by_kind.most_common(1)[0][0],
        units=tuple(p.unit for p in body),
        header=next((p.header for p in body if p.block.kind == "table"), ""),
        page=first.block.page,
        named=document.named,
    )


def _is_beside(run: Sequence[Piece], section: str) -> bool:
    """Whether this is nothing but the heading that every chunk of the section has beside it."""
    block = run[0].block
    return block.kind == "heading" and run[-1].block is block and section.endswith(block.label)
