"""The sources of a library: what they are, and taking one out. Their documents go with them, and nobody else's."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import FootnoteError
from ingest.library import Library
from ingest.sources import Source
from ingest.writing import Change, Writing

UPLOADS = "uploads"  # where the page keeps what its visitors bring


@dataclass(frozen=True, slots=True)
class Listed:
    """A source as it is in a library. `checked` is when it was last fetched, 0 for what lies on this machine."""

    name: str  # its path or address
    kind: str  # folder, file, uploads, page, site or git
    root: str
    documents: int
    failed: int
    checked: float = 0.0
    source: Source | None = None
    missing: bool = False  # a folder that is not there now


def sources(library: Library) -> list[Listed]:
    about = library.sources()
    counts = dict(library.rows("SELECT root, count(*) FROM document GROUP BY root"))
    failed = dict(library.rows("SELECT root, count(*) FROM failure GROUP BY root"))
    roots = sorted({*library.roots(), *about})
    return [_listed(library, root, about.get(root), counts.get(root, 0), failed.get(root, 0)) for root in roots]


def _listed(library: Library, root: str, about: tuple[str, float] | None, documents: int, failed: int) -> Listed:
    if about:
        source = Source.from_json(about[0])
        name = source.address + (f"@{source.ref}" if source.ref else "")
        return Listed(name, source.kind, root, documents, failed, about[1], source)
    path = Path(root)
    kind = "uploads" if path == library.place.resolve() / UPLOADS else "file" if path.is_file() else "folder"
    return Listed(root, kind, root, documents, failed, missing=not path.exists())


def named(library: Library, names: Sequence[str]) -> list[Listed]:
    """The sources that are meant, by path or address; all of them where none is named."""
    there = sources(library)
    if not names:
        return there
    found = []
    for name in names:
        whole = str(Path(name).expanduser().resolve())
        meant = [
            s for s in there if name in (s.name, s.name.rstrip("/"), s.source and s.source.address) or s.root == whole
        ]
        if not meant:
            raise FootnoteError(f"no source {name!r} in {library.place}: `footnote sources` lists them")
        found += meant
    return list(dict.fromkeys(found))


def remove_sources(names: Sequence[str], place: str | Path, *, wait_seconds: float = 0.0) -> list[Listed]:
    """Take sources out with their documents, and what was fetched of them. Folders and their files stay."""
    with contextlib.closing(Library(place)) as library, Writing(library, "sources remove", wait_seconds) as writing:
        writing.relocate()
        gone = named(library, names)
        roots = {s.root for s in gone}
        removed = [d.id for d in library.documents() if d.root in roots]
        writing.publish(
            Change(
                embedder=library.meta("embedder_name"),
                fingerprint=library.meta("embedder"),
                roots=[root for root in library.roots() if root not in roots],
                started=time.time(),
                removed=removed,
                failures=[f for f in library.failures() if f.root not in roots],
                excluded=[file for file in library.excluded() if not any(Path(r) in Path(file).parents for r in roots)],
                summary={"removed": len(removed)},
            )
        )
        for s in gone:
            if s.source:
                writing.drop_source(s.root)
                for folder in (Path(s.root), Path(f"{s.root}.git")):
                    shutil.rmtree(folder, ignore_errors=True)
    return gone
