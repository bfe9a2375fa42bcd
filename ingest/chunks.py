"""A `Document` becomes `Chunk`s: pieces that fit the embedding model, each split into numbered units. Pure.

A chunk follows the document's structure: it stays inside one section (or joins a few tiny ones of one parent), and it
begins and ends at a unit's edge, so that no sentence, list item, table row or code line is ever cut.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ingest.documents import Document
from ingest.readers import Block, pages_of

# Where sentences begin and end, by offsets. Decimals, abbreviations, initials and file names do not end a sentence.

# A full stop after one of these does not end a sentence, whatever follows.
_ABBREVIATIONS = frozenset(
    "e.g i.e eg ie vs cf al fig figs eq eqs sec ch vol nos pp dr mr mrs ms prof st jr sr inc ltd co corp approx"
    " resp esp dept est jan feb mar apr jun jul aug sep sept oct nov dec u.s u.k ph.d m.sc b.sc".split()
)
_END = re.compile(
    r"""(?:(?<![.!?…])[.!?…]++|[。！？])   # the mark itself
        [)\]}"'”’»*_`]*+                # closing quotes, brackets, markup
        (?:\s*\[\^?[\w.]+\])*           # footnote marks belong to the sentence before them
        (?=\s+[^\s]|\s*$)|(?<=[。！？])""",
    re.VERBOSE,
)
_LOWER_START = re.compile(r"""\s+["'“‘(\[]*[a-z]""")
_IDENTIFIER = re.compile(r"""\s+["'“‘(\[]*(?:[a-z]+[A-Z_\d]|[a-z]+\(|[a-z]{2,}\.[a-z]{2,})""")
_WORD_STOPS = frozenset("\"'“‘([")  # and white space: where the word before a full stop begins
_LONGEST_WORD = 60  # characters that are looked at of it: none that matters here is longer
_INITIALS = re.compile(r"[A-Z]|(?:[A-Za-z]\.)+[A-Za-z]")
_NUMBERING = re.compile(r"\d{1,3}|[a-z]")
_NOT_BLANK = re.compile(r"\S")


def split_sentences(text: str, offset: int = 0) -> list[tuple[int, int]]:
    """The sentences of one paragraph as `(start, end)`, white space around them left out, `offset` added to each."""
    spans, start = [], 0
    for match in _END.finditer(text):
        if match.end() > start and _ends_sentence(text, start, match):
            spans.append((start, match.end()))
            start = match.end()
    spans.append((start, len(text)))
    return [trimmed for span in spans if (trimmed := _trim(text, *span, offset))]


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    if match.end() == len(text) or not match.group() or match.group() in ("!", "?", "。", "！", "？"):
        return True
    word = _last_word(text, start, match.start())
    if word.lower() == "no":
        return not re.match(r"\s+\d", text[match.end() : match.end() + 9])  # "no. 5"
    if word.lower().rstrip(".") in _ABBREVIATIONS or _INITIALS.fullmatch(word):
        return False
    if _NUMBERING.fullmatch(word) and not _NOT_BLANK.search(text, start, match.start() - len(word)):
        return False  # "1. Install it" is a numbered line, not the sentence "1."
    lower = _LOWER_START.match(text, match.end())
    return not lower or bool(_IDENTIFIER.match(text, match.end()))


def _last_word(text: str, start: int, end: int) -> str:
    """What stands before `end`, back to a blank, a quote or a bracket. Each mark looks at a word, not at the text."""
    at = end
    while at > max(start, end - _LONGEST_WORD) and not (text[at - 1].isspace() or text[at - 1] in _WORD_STOPS):
        at -= 1
    return text[at:end]


def _trim(text: str, start: int, end: int, offset: int) -> tuple[int, int] | None:
    piece = text[start:end]
    left, right = len(piece) - len(piece.lstrip()), len(piece.rstrip())
    return (offset + start + left, offset + start + right) if right > left else None


# What a footnote can point at: a block is made of units, in order, inside it, never overlapping. Pure.

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


# The units of a section are packed into runs that fit the embedding model. Pure.

CountTokens = Callable[[Sequence[str]], Sequence[int]]

GOOD_TOKENS = 130  # a chunk this long ends at the next block: longer ones blur what they are about
SLACK_TOKENS = 24  # that a heading before its text may go over: the model takes 34 more than a chunk may have
HEADER_CHARACTERS = 160  # of a table's header that are embedded beside its rows
HEADER_TOKENS = 80  # it may cost: a header of nothing but punctuation leaves the rows no room
LEAST_TOKENS = 60  # that are the text's own, whatever stands beside it; what is beside a row gives way to the row


@dataclass(frozen=True, slots=True)
class Piece:
    """A unit with what the packing has to know about it."""

    unit: Unit
    block: Block
    first: bool  # of its block
    last: bool
    tokens: int
    header: str = ""  # of the table that it is a row of
    header_tokens: int = 0  # what the header costs beside it, where the table goes on from another chunk
    share: float = 0.0  # of its block, for each of the chunks that the block is split into: no crumbs at the end


class Packer:
    """For one section: `room` is what title and section leave of a chunk's tokens."""

    def __init__(self, text: str, room: int, count: CountTokens) -> None:
        self.text, self.room, self.count = text, max(room, LEAST_TOKENS), count

    def pieces(self, block: Block, units: Sequence[Unit], tokens: Mapping[Unit, int]) -> Iterator[Piece]:
        """The block's units, those that no chunk could hold cut further."""
        header, header_tokens = self._header(block)
        room = self.room - header_tokens
        fitting = [fit for unit in units for fit in self._fitting(unit, tokens[unit], room)]
        total = sum(cost for _, cost in fitting)
        parts = -(-total // room)
        largest = max(cost for _, cost in fitting)
        share = self.room if parts == 1 else min(self.room, total / parts + largest / 2)
        for i, (unit, cost) in enumerate(fitting):
            yield Piece(unit, block, i == 0, i == len(fitting) - 1, cost, header, header_tokens, share)

    def packed(self, pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
        """Runs of pieces that fit: full at `room`, content to end at a block's edge from `GOOD_TOKENS` on."""
        run: list[Piece] = []
        used = 0
        for piece in pieces:
            if run and self._ends_before(piece, run, used):
                yield run
                run, used = [], 0
            if piece.header and not piece.first and not run:
                used = piece.header_tokens
            run.append(piece)
            used += piece.tokens
        if run:
            yield run

    def _ends_before(self, piece: Piece, run: Sequence[Piece], used: int) -> bool:
        if used + piece.tokens > self.room + SLACK_TOKENS or self._is_apart(run[-1], piece):
            return True
        if all(p.unit.kind == "heading" for p in run):
            return False
        continued = not piece.first and all(p.block is piece.block for p in run)
        full = used + piece.tokens > (piece.share if continued else self.room)
        good = piece.first and used > GOOD_TOKENS and piece.block.kind != "item"
        is_table = piece.block.kind == "table"
        return full or good or (is_table and piece.first and any(p.block.kind == "table" for p in run))

    def _is_apart(self, before: Piece, piece: Piece) -> bool:
        """Whether page furniture stands between the two."""
        return before.block is not piece.block and bool(self.text[before.block.end : piece.block.start].strip())

    def _fitting(self, unit: Unit, tokens: int, room: int) -> Iterator[tuple[Unit, int]]:
        if tokens <= room or unit.end - unit.start < 2:
            yield unit, tokens
            return
        most = max(1, (unit.end - unit.start) * room // tokens * 2 // 3)
        for start, end in cut(self.text, unit.start, unit.end, most):
            cost = max(1, *self.count([self.text[start:end]]))
            yield from self._fitting(Unit(start, end, unit.kind), cost, room)

    def _header(self, block: Block) -> tuple[str, int]:
        """A table's header row, and what as much of it as is embedded costs."""
        if block.kind != "table" or block.header_end <= block.start:
            return "", 0
        most = min(HEADER_TOKENS, self.room - LEAST_TOKENS)
        header = self.text[block.start : block.header_end].split("\n")[0].strip()
        while (tokens := self.count([header[:HEADER_CHARACTERS]])[0]) > most and header:
            header = header[: min(len(header), HEADER_CHARACTERS) * 2 // 3]
        return header, tokens


__all__ = ["Chunk", "CountTokens", "Pages", "Unit", "UnitKind", "beside", "chunk", "page_at"]

Pages = tuple[tuple[int, int], ...]  # (offset, page), in the order of the text, which is not always that of the pages

MOST_TOKENS = 220  # the model cuts at 256 in silence; title, section and header are counted in, its two marks are not
TINY_TOKENS = 45  # sections shorter than this join their neighbours
CONTEXT_CHARACTERS = 160  # of title and section beside the text, so that the text itself has room
WIDE_FROM, WIDE = "\u1100", 3  # Korean, Chinese, Japanese: a character says more, and costs up to three tokens

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
    pages: Pages = ()  # from which offset on it stands on which page, where the file has pages
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
    if (most := _fitting_characters(path)) < len(path):
        path = "… " + path[len(path) - most :].split(" ", 1)[-1]
    return f"{path}\n{header[:HEADER_CHARACTERS]}" if header else path


def _fitting_characters(path: str) -> int:
    """How many of its last characters may stand beside a text."""
    costs = (WIDE if character >= WIDE_FROM else 1 for character in reversed(path[-CONTEXT_CHARACTERS:]))
    return sum(total <= CONTEXT_CHARACTERS for total in itertools.accumulate(costs))


def chunk(document: Document, count_tokens: CountTokens) -> list[Chunk]:
    """All chunks of the document, in order. Front matter and page furniture are left out."""
    sections = list(_sections(document.blocks))
    units = {id(block): units_of(document.text, block) for _, blocks in sections for block in blocks}
    spans = {u: span for _, blocks in sections for block in blocks for u, span in _spans(block, units[id(block)])}
    texts = [squeezed(document.text[slice(*span)]) for span in spans.values()]
    # A model may know no character of a text and count nothing: it counts one, so that what holds it has an end.
    tokens = {unit: max(1, counted) for unit, counted in zip(spans, count_tokens(texts), strict=True)}
    chunks: list[tuple[Chunk, bool]] = []
    pages = tuple(pages_of(document.blocks))
    for path, blocks in _joined(sections, lambda block: sum(tokens[u] for u in units[id(block)])):
        section = " > ".join(path)
        room = MOST_TOKENS - count_tokens([beside(document.title, section, "")])[0]
        packer = Packer(document.text, room, count_tokens)
        pieces = [piece for block in blocks for piece in packer.pieces(block, units[id(block)], tokens)]
        made = ((_chunk(document, section, run, pages), run) for run in packer.packed(pieces))
        chunks += [(found, _is_beside(run, section)) for found, run in made]
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


def _chunk(document: Document, section: str, run: Sequence[Piece], pages: Pages) -> Chunk:
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
        pages=_within(pages, start, end),
        named=document.named,
    )


def _within(pages: Pages, start: int, end: int) -> Pages:
    first = max(0, bisect_right(pages, start, key=lambda run: run[0]) - 1)
    return pages[first : bisect_left(pages, end, key=lambda run: run[0])]


def page_at(pages: Pages, start: int) -> int | None:
    """The page on which the character at this offset stands."""
    return next((page for begins, page in reversed(pages) if begins <= start), None)


def _is_beside(run: Sequence[Piece], section: str) -> bool:
    """Whether this is nothing but the heading that every chunk of the section has beside it."""
    block = run[0].block
    return block.kind == "heading" and run[-1].block is block and section.endswith(block.label)
