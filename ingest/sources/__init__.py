"""Where guides come from: folders, pages and sites of the web, repositories. Each is a source with its own documents.

A source that is fetched has a folder of its own inside the library, in which what was fetched lies as it came; from
there on it is a folder like any other.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ingest.errors import FootnoteError

Kind = Literal["page", "site", "git"]
FOLDER = "fetched"  # inside the library
_GIT = re.compile(r"^(?:git\+\w+://|ssh://|[\w.-]+@[\w.-]+:(?!//))|^https?://[^?#]+\.git/?$", re.IGNORECASE)
_SCHEME = re.compile(r"^[a-z][a-z\d+.-]+:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """What is fetched, and how: all that is needed to fetch it again."""

    kind: Kind
    address: str
    ref: str = ""  # of a repository: a branch, a tag or a commit; its own head if none is named
    include: tuple[str, ...] = ()  # of a repository: patterns of files, as in a .gitignore
    depth: int = 10  # of a site: links from its first page
    pages: int = 500
    delay: float = 0.5  # seconds between two requests to a server
    browser: bool = False  # runs the scripts of pages that show nothing without
    allow_private: bool = False

    @property
    def folder(self) -> str:
        """Where it lies inside the library; another for each address, kind and ref."""
        parts = urlsplit(re.sub(r"^(?:git\+)?([\w.-]+@[\w.-]+):", r"ssh://\1/", self.address))
        named = re.sub(r"[^\w.-]+", "-", f"{parts.hostname or ''}{parts.path}".removesuffix(".git")).strip("-.")[-60:]
        key = hashlib.sha256("\n".join((self.kind, self.address, self.ref)).encode()).hexdigest()[:8]
        return f"{FOLDER}/{named.strip('-.')}-{key}"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Source:
        value = json.loads(text)
        return cls(**{**value, "include": tuple(value["include"])})


def is_fetched(path: str | Path) -> bool:
    """Whether what a person gives is an address and not a place on this machine."""
    given = str(path)
    if given.startswith(("http:", "https:")) and not given.startswith(("http://", "https://")):  # as `Path` writes it
        raise FootnoteError(f"{given!r} is no whole address: give it as text, with two slashes")
    return bool(_GIT.match(given)) or (bool(_SCHEME.match(given)) and not Path(given).exists())


def source_of(
    address: str, *, site: bool = False, ref: str = "", include: Sequence[str] = (), **options: object
) -> Source:
    """An address, or the folder of a repository, as a source; options as in `Source`."""
    local = Path(address).expanduser()
    if _GIT.match(address) or not is_fetched(address):
        where = address.removeprefix("git+")
        where = local.resolve().as_uri() if not is_fetched(address) else where
        return Source("git", where, ref, tuple(include), **options)  # type: ignore[arg-type]
    if ref or include:
        raise FootnoteError(
            f"{address!r} is no repository, so it has no --ref or --include: give one that ends in .git"
        )
    return Source("site" if site else "page", address, **options)  # type: ignore[arg-type]
