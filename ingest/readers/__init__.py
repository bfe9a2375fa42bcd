"""One reader per format. Each takes a file's bytes and its name and gives a `Reading`: a text and its blocks.

A reader either keeps the file's own text and finds the blocks in it (Markdown, plain text), or writes a text of its own
with a `Draft` (everything else). Either way the blocks are exact: in order, apart, trimmed, and covering all that is
not blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ingest.documents import Block, Kind


@dataclass(frozen=True, slots=True)
class Reading:
    text: str
    blocks: tuple[Block, ...]
    title: str = ""
    repairs: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def settle(text: str, blocks: Iterable[Block]) -> tuple[Block, ...]:
    """Blocks in order, trimmed and apart; what lies between them and is not blank becomes furniture."""
    settled: list[Block] = []
    reached = 0
    for block in sorted(blocks, key=lambda block: (block.start, block.end)):
        trimmed = _trim(text, replace(block, start=max(block.start, reached)))
        if trimmed is None:
            continue
        settled += _filler(text, reached, trimmed.start)
        settled.append(trimmed)
        reached = trimmed.end
    return (*settled, *_filler(text, reached, len(text)))


def _trim(text: str, block: Block) -> Block | None:
    piece = text[block.start : block.end]
    start = block.start + len(piece) - len(piece.lstrip())
    end = block.start + len(piece.rstrip())
    if start >= end:
        return None
    header_end = min(block.header_end, end) if block.header_end > start else 0
    return replace(block, start=start, end=end, header_end=header_end)


def _filler(text: str, start: int, end: int) -> list[Block]:
    filler = _trim(text, Block("furniture", start, end)) if start < end else None
    return [filler] if filler else []


class Draft:
    """A text and its blocks, written side by side."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.blocks: list[Block] = []

    def add(
        self, kind: Kind, text: str, *, level: int = 0, label: str = "", header: int = 0, page: int | None = None
    ) -> None:
        """Append one block. `header` is the length of a table's. Items stand close, all else a blank line apart."""
        body = text.strip()
        if not body:
            return
        close = kind == "item" and bool(self.blocks) and self.blocks[-1].kind == "item"
        indent = "  " * (level - 1) if kind == "item" else ""
        start = self._write(body, ("\n" if close else "\n\n") + indent)
        header_end = start + header if header else 0
        self.blocks.append(Block(kind, start, start + len(body), level, label, header_end, page))

    def extend(self, text: str, blocks: Iterable[Block]) -> None:
        """Append a piece that has its blocks already."""
        if text.strip():
            shift = self._write(text, "\n\n")
            self.blocks += [moved(block, shift) for block in blocks]

    def heading(self, text: str, level: int, page: int | None = None) -> None:
        label = " ".join(text.split())
        level = min(max(level, 1), 6)
        self.add("heading", f"{'#' * level} {label}" if label else "", level=level, label=label, page=page)

    def code(self, text: str, language: str = "", page: int | None = None) -> None:
        body = text.strip("\n").rstrip()
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"^\s*(`{3,})", body, re.MULTILINE)), default=0))
        self.add("code", f"{fence}{language}\n{body}\n{fence}" if body.strip() else "", page=page)

    def table(self, rows: Iterable[Iterable[str]], *, header: bool = True, page: int | None = None) -> None:
        """A pipe table. Without a header row it is rows alone."""
        lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
        if not lines:
            return
        top = ""
        if header:
            top = lines[0] + "\n" + "|" + "---|" * _columns(lines[0])
            lines = [top, *lines[1:]]
        self.add("table", "\n".join(lines), header=len(top), page=page)

    def reading(
        self, title: str = "", notes: tuple[str, ...] = (), repairs: Mapping[str, int] | None = None
    ) -> Reading:
        text = "".join(self._parts)
        return Reading(text, settle(text, self.blocks), title, repairs or {}, notes)

    def _write(self, text: str, gap: str) -> int:
        gap = gap if self._length else ""
        self._parts += [gap, text]
        self._length += len(gap) + len(text)
        return self._length - len(text)


def moved(block: Block, shift: int) -> Block:
    header_end = block.header_end + shift if block.header_end else 0
    return replace(block, start=block.start + shift, end=block.end + shift, header_end=header_end)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _columns(line: str) -> int:
    return line.replace(r"\|", "").count("|") - 1
