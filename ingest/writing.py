"""Changing a library: one writer at a time, under a lock. What it stages is seen by nobody until it is published."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ingest.chunks import Chunk
from ingest.database import FILE, connect
from ingest.documents import Document
from ingest.errors import LibraryBusy, LibraryError
from ingest.folders import Found
from ingest.index import VectorIndex, check_reachable, forget
from ingest.library import Failure, Library
from ingest.staging import Staging, discard_staging
from ingest.upkeep import Upkeep

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tell = Callable[[int, int], None]

KEYS_AT_ONCE = 500  # in one query: SQLite takes 999 parameters for certain


@dataclass(frozen=True, slots=True)
class Touched:
    """A document whose file has moved or got another date, and the same text."""

    id: int
    found: Found


@dataclass(frozen=True, slots=True)
class Change:
    """All that one publishing changes beside the staged documents."""

    embedder: str  # the name that it was asked for by
    fingerprint: str
    roots: Sequence[str]
    started: float
    removed: Sequence[int] = ()  # ids of documents
    touched: Sequence[Touched] = ()
    failures: Sequence[Failure] = ()
    excluded: Sequence[str] = ()
    summary: dict[str, object] = field(default_factory=dict)


class Writing:
    """`with Writing(library, "what for") as writing:` holds the lock. Leaving without `publish` changes nothing."""

    def __init__(self, library: Library, purpose: str, wait_seconds: float = 0.0) -> None:
        from filelock import FileLock

        self.library = library
        self._purpose = purpose
        self._wait = wait_seconds
        self._lock = FileLock(library.place / "lock")
        self._holder = library.place / "writer.json"
        self._staging: Staging | None = None

    def __enter__(self) -> Writing:
        from filelock import Timeout

        place = self.library.place
        with _in_words(place):
            try:
                self._lock.acquire(timeout=self._wait, poll_interval=0.1)
            except Timeout:
                raise LibraryBusy(
                    f"{place} is being written by {_told(self._holder)}: wait for it, or use --wait SECONDS"
                ) from None
            try:
                about = {"pid": os.getpid(), "purpose": self._purpose, "started": time.strftime("%H:%M:%S")}
                self._holder.write_text(json.dumps(about))
                discard_staging(place)  # what a killed writer left; the vectors it made are kept
                self.db = connect(place / FILE)
                self.db.execute("PRAGMA synchronous = FULL")
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.db.close()
        with contextlib.suppress(OSError):
            discard_staging(self.library.place)
            self._holder.unlink(missing_ok=True)
        self._lock.release()

    # Staging

    def missing_vectors(self, embedder: str, keys: Iterable[bytes]) -> set[bytes]:
        """Those of the keys that this embedder has not embedded yet."""
        wanted, found = list(keys), set[bytes]()
        for at in range(0, len(wanted), KEYS_AT_ONCE):
            some = wanted[at : at + KEYS_AT_ONCE]
            query = f"SELECT key FROM vector WHERE embedder = ? AND key IN ({','.join('?' * len(some))})"
            found.update(row[0] for row in self.db.execute(query, [embedder, *some]))
        return set(wanted) - found

    def keep_vectors(self, embedder: str, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """Vectors are kept as they come, so that a kill loses none of the work that takes long."""
        rows = [(embedder, key, vector.tobytes()) for key, vector in zip(keys, vectors, strict=True)]
        with self._transaction():
            self.db.executemany("INSERT OR REPLACE INTO vector (embedder, key, data) VALUES (?, ?, ?)", rows)

    def stage(self, documents: Sequence[tuple[Found, Document, Sequence[Chunk]]], made_by: str) -> None:
        """Documents with their chunks, to be seen by readers once published."""
        if not self._staging:
            with _in_words(self.library.place):
                self._staging = Staging(self.db, self.library.place)
        with self._transaction():
            for found, document, chunks in documents:
                self._staging.add(found, document, chunks, made_by)

    # Publishing

    def publish(self, change: Change, tell: Tell = lambda done, total: None) -> None:
        """Staged documents come in and others go, in one transaction; then the vector index is brought along."""
        library, before = self.library, self._one("SELECT max(id) FROM chunk") or 0
        whole = change.fingerprint != library.meta("embedder") or library.meta("index_clean") != "1"
        changed = bool(self._staging or change.removed) or change.fingerprint != library.meta("embedder")
        with self._transaction():
            gone = self._take_out(change.removed)
            self._bring_in(change)
            if changed:
                self._close_generation(change)
        if changed or whole:
            added = self._one("SELECT count(*) FROM chunk WHERE id > ?", before)
            whole = whole or 2 * (added + len(gone)) > library.count()
            Upkeep(self).bring_along(before, gone, whole, tell)

    def _take_out(self, documents: Sequence[int]) -> list[int]:
        gone = [row[0] for d in documents for row in self.db.execute("SELECT id FROM chunk WHERE document = ?", (d,))]
        self.db.executemany("DELETE FROM words WHERE rowid = ?", [(i,) for i in gone])
        for table, column in (("chunk", "document"), ("short_form", "document"), ("document", "id")):
            self.db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(d,) for d in documents])
        return gone

    def _bring_in(self, change: Change) -> None:
        db = self.db
        for t in change.touched:
            db.execute(
                "UPDATE document SET root = ?, file = ?, size = ?, mtime_ns = ? WHERE id = ?",
                (t.found.root, t.found.file, t.found.size, t.found.mtime_ns, t.id),
            )
        if self._staging:
            self._staging.bring_in()
        lists: dict[str, list[tuple[object, ...]]] = {
            "failure": [(f.root, f.file, f.reason, f.size, f.mtime_ns) for f in change.failures],
            "root": [(root,) for root in change.roots],
            "excluded": [(file,) for file in change.excluded],
        }
        for table, rows in lists.items():
            db.execute(f"DELETE FROM {table}")
            for row in rows:
                db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * len(row))})", row)
        db.execute("INSERT INTO run VALUES (NULL, ?, ?, ?)", (change.started, time.time(), json.dumps(change.summary)))

    def _close_generation(self, change: Change) -> None:
        without = "SELECT count(*) FROM chunk WHERE vector NOT IN (SELECT key FROM vector WHERE embedder = ?)"
        if missing := self._one(without, change.fingerprint):
            raise LibraryError(f"{missing} chunks have no vector of {change.fingerprint}: ingest all roots again")
        stale = "SELECT id FROM vector WHERE embedder != ? OR key NOT IN (SELECT vector FROM chunk)"
        self.db.execute(f"DELETE FROM vector WHERE id IN ({stale})", (change.fingerprint,))
        generation = self.library.generation + 1
        self._put(generation=generation, embedder=change.fingerprint, embedder_name=change.embedder, index_clean=0)

    # The vector index

    def move_index(self, home: str) -> None:
        """When next published, the vectors go to this Chroma server; where it is empty, into the library's folder."""
        if home:
            check_reachable(home)
        old = self.library.index_home
        self.set_meta(chroma=home, index_clean=0)
        forget(old, self.library.meta("id"))

    def rebuild_index(self, tell: Tell = lambda done, total: None) -> VectorIndex:
        """A new index from the vectors in SQLite, open; it takes the old one's place when it is complete."""
        return Upkeep(self).rebuild(tell)

    # Small things

    def _one(self, query: str, *values: object) -> int:
        return int(self.db.execute(query, values).fetchone()[0] or 0)

    def set_meta(self, **values: object) -> None:
        with self._transaction():
            self._put(**values)

    def _put(self, **values: object) -> None:
        self.db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(k, str(v)) for k, v in values.items()])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with _in_words(self.library.place):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise


@contextlib.contextmanager
def _in_words(place: Path) -> Iterator[None]:
    """SQLite's errors as one line for the user. The old library is whole: the transaction was rolled back."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise LibraryError(f"cannot write to {place}: {error}; the library is as it was before") from error


def _told(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text())
        return f"process {who['pid']} ({who['purpose']}, since {who['started']})"
    except (OSError, ValueError, KeyError):
        return "another process"
