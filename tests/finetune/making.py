"""Chunks and passages from a guide's text, through the real readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from assistant.records import Passage
from ingest.chunks import Chunk, chunk
from ingest.documents import read


def chunks(folder: Path, text: str, name: str = "guide.md") -> list[Chunk]:
    (folder / name).write_text(text, encoding="utf-8")
    return chunk(read(folder / name), lambda texts: [len(text.split()) for text in texts])


def passages(found: Sequence[Chunk]) -> list[Passage]:
    return [Passage(c.document, c.title, c.section, c.start, c.end, c.text, 0.9, c.units, c.header) for c in found]
