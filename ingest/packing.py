"""The units of a section are packed into runs that fit the embedding model. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ingest.documents import Block
from ingest.units import Unit, cut

CountTokens = Callable[[Sequence[str]], Sequence[int]]

GOOD_TOKENS = 130  # a chunk this long ends at the next block: longer ones blur what they are about
SLACK_TOKENS = 24  # that a heading before its text may go over: the model takes 34 more than a chunk may have
HEADER_CHARACTERS = 160  # of a table's header that are embedded beside its rows
HEADER_TOKENS = 80  # it may cost: a header of nothing but punctuation leaves the rows no room


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
        self.text, self.room, self.count = text, room, count

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
            yield from self._fitting(Unit(start, end, unit.kind), self.count([self.text[start:end]])[0], room)

    def _header(self, block: Block) -> tuple[str, int]:
        """A table's header row, and what as much of it as is embedded costs."""
        if block.kind != "table" or block.header_end <= block.start:
            return "", 0
        header = self.text[block.start : block.header_end].split("\n")[0].strip()
        while (tokens := self.count([header[:HEADER_CHARACTERS]])[0]) > HEADER_TOKENS:
            header = header[: min(len(header), HEADER_CHARACTERS) * 2 // 3]
        return header, tokens
