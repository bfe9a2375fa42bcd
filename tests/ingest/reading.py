"""Helpers of the reading tests: write a file, read it, see its blocks as short lines."""

from __future__ import annotations

from pathlib import Path

from ingest.documents import Document, read


def document(folder: Path, name: str, content: str | bytes) -> Document:
    path = folder / name
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return read(path)


def outline(document: Document) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, document.text[block.start : block.end]) for block in document.blocks]


def kinds(document: Document) -> list[str]:
    return [block.kind for block in document.blocks]


def texts(document: Document, kind: str) -> list[str]:
    return [text for found, _, text in outline(document) if found == kind]


def labels(document: Document) -> list[tuple[int, str]]:
    return [(block.level, block.label) for block in document.blocks if block.kind in ("heading", "question")]


def check_blocks(document: Document) -> None:
    """In order, apart, trimmed, and nothing but blank space between them."""
    reached = 0
    for block in document.blocks:
        piece = document.text[block.start : block.end]
        assert block.start >= reached
        assert piece
        assert piece == piece.strip()
        assert not document.text[reached : block.start].strip()
        assert block.header_end == 0 or block.start < block.header_end <= block.end
        assert (block.kind in ("heading", "question")) == bool(block.label)
        assert (block.kind in ("heading", "question", "item")) == (block.level > 0)
        reached = block.end
    assert not document.text[reached:].strip()
