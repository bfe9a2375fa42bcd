"""Documents are taken out of the library by hand; `ingest` leaves them out until their file is given by name."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from ingest.changes import file_of
from ingest.library import Library, Stored
from ingest.writing import Change, Writing


def remove(documents: Sequence[str], place: str | Path) -> list[str]:
    """Take documents out: by path or glob pattern; a folder means what is in it. The files stay where they are."""
    with contextlib.closing(Library(place)) as library, Writing(library, "remove") as writing:
        gone = _meant(library, documents)
        writing.publish(
            Change(
                embedder=library.meta("embedder_name"),
                fingerprint=library.meta("embedder"),
                roots=library.roots(),
                started=time.time(),
                removed=[d.id for d in gone],
                failures=library.failures(),
                excluded=[*library.excluded(), *(str(file_of(d.root, d.file)) for d in gone)],
                summary={"removed": len(gone)},
            )
        )
    return [d.path for d in gone]


def _meant(library: Library, patterns: Sequence[str]) -> list[Stored]:
    stored = {d.path: d for d in library.documents()}
    meant: set[str] = set()
    for pattern in patterns:
        found = set(library.paths([pattern]))
        if not found:
            library.text(pattern)  # raises, with the nearest name
        meant |= found
    return [stored[path] for path in sorted(meant)]
