"""A file becomes a `Document`: one canonical text and the blocks it is made of.

Every offset in Footnote counts characters of `Document.text`; `Block`s lie inside it in order and never overlap, and
together they hold everything that is not blank.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ingest.errors import ReadError

Kind = Literal["heading", "question", "paragraph", "item", "table", "code", "front_matter", "furniture"]

READERS: Mapping[str, str] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".qmd": "markdown",
    ".txt": "plain",
    ".html": "page",
    ".htm": "page",
    ".pdf": "pdf",
    ".ipynb": "notebook",
    ".docx": "word",
    ".rst": "rst",
    ".csv": "csv",
}
SUFFIXES = frozenset(READERS)
MAX_BYTES = 64 * 1024 * 1024  # a larger file is refused before it is read
_TRIES = 3  # how often a file is read again that changed meanwhile


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document's text: `text[start:end]`, without the blank lines around it.

    `level` is a heading's (or an FAQ question's) depth, 1 the highest; for an item its nesting, 1 the outermost.
    `label` is what a heading says without its markup. A table's header is `text[start:header_end]`, the line of dashes
    below it included; where `header_end` is 0 the block has none. Code blocks include their fences where the text has them.
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


def supported(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def read(path: Path, name: str | None = None, *, max_bytes: int = MAX_BYTES) -> Document:
    """Read one file. `name` is what the document is called from now on (by default the file's name)."""
    from ingest import clean

    name = path.name if name is None else name
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ReadError(
            f"{name} is of a kind that is not read ({path.suffix or 'no suffix'}). Read are: {' '.join(READERS)}."
        )
    data = _bytes(path, name, max_bytes)
    if not data.strip():
        raise ReadError(
            f"{name} is empty: there is nothing to read in it. Put text into it or take it out of the folder."
        )
    reading = clean.mend(importlib.import_module(f"ingest.readers.{reader}").read(data, name))
    title = " ".join(reading.title.split())[:200] or _title_from(name)
    sha256 = hashlib.sha256(data).hexdigest()
    return Document(name, title, reading.text, reading.blocks, sha256, dict(reading.repairs), reading.notes)


def _bytes(path: Path, name: str, max_bytes: int) -> bytes:
    """The file's bytes as they stood at one moment."""
    try:
        for _ in range(_TRIES):
            before = path.stat()
            if not stat.S_ISREG(before.st_mode):
                raise ReadError(f"{name} is not a file. Take it out of the folder or rename it.")
            if before.st_size > max_bytes:
                raise ReadError(_too_large(name, before.st_size, max_bytes))
            with path.open("rb") as file:
                data = file.read(max_bytes + 1)
            after = path.stat()
            if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size) and len(
                data
            ) == after.st_size:
                return data
    except FileNotFoundError as error:
        raise ReadError(f"{name} is gone: it was there a moment ago. Ingest the folder again.") from error
    except OSError as error:
        raise ReadError(f"{name} cannot be opened ({error.strerror}). Try: chmod +r '{name}'") from error
    raise ReadError(f"{name} changed each of {_TRIES} times that it was read. Ingest it again when it is at rest.")


def _too_large(name: str, size: int, max_bytes: int) -> str:
    mb, limit = -(-size // 2**20), max_bytes // 2**20
    return f"{name} has {mb} MB; above {limit} MB a file is not read. Split it, or raise the limit: --max-mb {mb}"


def _title_from(name: str) -> str:
    stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    words = re.sub(r"[_\-\s]+", " ", stem).strip()
    return words[:1].upper() + words[1:] or name
