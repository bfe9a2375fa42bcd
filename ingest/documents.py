"""A file becomes a `Document`: one canonical text and the blocks it is made of.

Every offset in Footnote counts characters of `Document.text`; `Block`s lie inside it in order and never overlap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["heading", "question", "paragraph", "item", "table", "code", "front_matter", "furniture"]


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document's text: `text[start:end]`, without the blank lines around it.

    `level` is a heading's (or an FAQ question's) depth, 1 the highest; for an item its nesting, 1 the outermost.
    `label` is what a heading says without its markup. A table's header is `text[start:header_end]`; where
    `header_end` is 0 the block has none. Code blocks include their fences where the text has them.
    """

    kind: Kind
    start: int
    end: int
    level: int = 0
    label: str = ""
    header_end: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file as Footnote reads it. `path` is relative to the folder that was ingested, with forward slashes."""

    path: str
    title: str
    text: str
    blocks: tuple[Block, ...]
    sha256: str  # of the file's bytes
    repairs: Mapping[str, int] = field(default_factory=dict)  # kind of repair -> how often
    notes: tuple[str, ...] = ()  # what the user should know, such as "read as cp1252"

    @property
    def text_sha256(self) -> str:
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()
