"""What one run of `sync` did, and what the next one would do."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ingest.folders import Found, Scope, Unseen, files
from ingest.library import Failure, Library, Stored

_READING = ("documents", "clean", "spaces", "sentences", "units", "chunks", "words", "readers/*")


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` files, and what is being done."""

    done: int
    total: int
    doing: str


Tell = Callable[[Progress], None]


@dataclass(slots=True)
class Report:
    """What one run did, by the documents' paths."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)  # by the path they have now
    renewed: list[str] = field(default_factory=list)  # the file is as it was, but this Footnote reads it differently
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    failed: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    repairs: Counter[str] = field(default_factory=Counter)
    chunks: int = 0
    embedded: int = 0
    seconds: float = 0.0


def changes(library: Library) -> Report:
    """What `sync` over the library's own folders would add, change and remove. Only what has a new date is read."""
    report, found = Report(), set[Path]()
    known = {file_of(d.root, d.file): d for d in library.documents()}
    failed = {file_of(f.root, f.file): f for f in library.failures()}
    excluded = set(library.excluded())
    unseen: list[Unseen] = []
    for root in map(Path, library.roots()):
        for file in files(Scope(root, root), library.place, unseen) if root.exists() else ():
            found.add(file.path)
            if stored := known.get(file.path):
                report.changed += [stored.path] if not is_same(file, stored) else []
            elif str(file.path) not in excluded and not _failed_before(file, failed.get(file.path)):
                report.added.append(file.file)
    hidden = {path for path, _ in unseen}
    report.removed = [d.path for path, d in known.items() if path not in found and not is_below(path, hidden)]
    return report


def file_of(root: str, file: str) -> Path:
    """Where a document came from."""
    return Path(root) if Path(root).name == file and not Path(root).is_dir() else Path(root) / file


def is_below(path: Path, others: Iterable[Path]) -> bool:
    return any(path == other or other in path.parents for other in others)


def is_same(found: Found, stored: Stored) -> bool:
    """Whether a file is the one that was read: by size and date, or, where the date is new, by what is in it."""
    if found.size != stored.size:
        return False
    return found.mtime_ns == stored.mtime_ns or _sha256(found.path) == stored.sha256


def _failed_before(found: Found, failure: Failure | None) -> bool:
    return failure is not None and (failure.size, failure.mtime_ns) == (found.size, found.mtime_ns)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@lru_cache(maxsize=1)
def made_by() -> str:
    """The version of all that turns a file into chunks and terms: a document of another one is read again."""
    digest = hashlib.sha256()
    for pattern in _READING:
        for path in sorted(Path(__file__).parent.glob(f"{pattern}.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
