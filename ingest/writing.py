"""Changing a library: one writer at a time, under a lock; what it stages is seen by nobody until it is published."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from ingest.chunks import Chunk
from ingest.documents import Document
from ingest.errors import LibraryBusy, LibraryError
from ingest.index import BATCH, VectorIndex
from ingest.library import Failure, Library, pack_units
from ingest.words import short_forms, terms

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Change:
    """All that one publishing changes beside the staged documents."""

    embedder: str  # the name that it was asked for by
    fingerprint: str
    roots: Sequence[str]
    started: float
    removed: Sequence[int] = ()  # ids of documents
    touched: Sequence[tuple[int, int, int]] = ()  # size, mtime and id of documents whose file was only touched
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

    def __enter__(self) -> Writing:
        from filelock import Timeout

        try:
            self._lock.acquire(timeout=self._wait, poll_interval=0.1)
        except Timeout:
            raise LibraryBusy(
                f"{self.library.place} is being written by {_told(self._holder)}: wait for it, or use --wait SECONDS"
            ) from None
        started = time.strftime("%H:%M:%S")
        self._holder.write_text(json.dumps({"pid": os.getpid(), "purpose": self._purpose, "started": started}))
        with _in_words(self.library.place):
            self._discard_staged()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    # Staging

    def missing_vectors(self, embedder: str, keys: Sequence[bytes]) -> set[bytes]:
        """Those of the keys that this embedder has not embedded yet."""
        found: set[bytes] = set()
        for at in range(0, len(keys), BATCH):
            some = keys[at : at + BATCH]
            query = f"SELECT key FROM vector WHERE embedder = ? AND key IN ({','.join('?' * len(some))})"
            found.update(row[0] for row in self.library.db.execute(query, [embedder, *some]))
        return set(keys) - found

    def keep_vectors(self, embedder: str, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """Vectors are kept as they come, so that a kill loses none of the work that takes long."""
        rows = [(embedder, key, vector.tobytes()) for key, vector in zip(keys, vectors, strict=True)]
        with self._transaction() as db:
            db.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?, ?)", rows)

    def stage(self, documents: Sequence[tuple[str, str, int, int, Document, Sequence[Chunk]]]) -> None:
        """Documents with root, file, size and mtime in front, to be seen by readers once published."""
        with self._transaction() as db:
            for root, file, size, mtime_ns, document, chunks in documents:
                row: tuple[object, ...] = (
                    root,
                    file,
                    document.path,
                    document.title,
                    document.text,
                    document.sha256,
                    document.text_sha256,
                )
                about = (size, mtime_ns, json.dumps(dict(document.repairs)), json.dumps(document.notes))
                cursor = db.execute(f"INSERT INTO document VALUES (NULL, 0, {','.join('?' * 11)})", row + about)
                self._stage_chunks(db, int(cursor.lastrowid or 0), chunks)
                forms = {(short, long) for short, long in short_forms(document.text)}
                db.executemany(
                    "INSERT OR IGNORE INTO short_form VALUES (?, ?, ?)", [(*form, cursor.lastrowid) for form in forms]
                )

    def _stage_chunks(self, db: sqlite3.Connection, document: int, chunks: Sequence[Chunk]) -> None:
        for c in chunks:
            row = (document, c.section, c.start, c.end, c.kind, c.header, c.page, pack_units(c.units), c.key)
            cursor = db.execute(f"INSERT INTO chunk VALUES (NULL, {','.join('?' * 9)})", row)
            words = (cursor.lastrowid, " ".join(terms(c.text)), " ".join(terms(c.context)))
            db.execute("INSERT INTO words (rowid, text, beside) VALUES (?, ?, ?)", words)

    # Publishing

    def publish(self, change: Change) -> None:
        """Staged documents become live and others go, in one transaction; the vector index is brought along."""
        library = self.library
        with _in_words(library.place):
            staged = self._ids("SELECT chunk.id FROM chunk JOIN document ON document.id = document WHERE NOT live")
            gone = self._chunks_of(change.removed)
            new_model = change.fingerprint != library.meta("embedder")
            if not (staged or change.removed or new_model or library.meta("index_clean") != "1"):
                self._switch(change, changed=False)
                return
            if new_model or library.meta("index_clean") != "1" or not library.count():
                self._set(index_clean=0)
                self._switch(change)
                self.rebuild_index()
                return
            self._set(index_clean=0)
            with _chroma_in_words():
                index = VectorIndex(library, int(library.meta("index_serial")))
                self._add(index, staged, change.fingerprint)
            self._switch(change)
            with _chroma_in_words():
                index.remove(gone)
            self._set(index_clean=1)

    def move_index(self, place: str) -> None:
        """The vectors go to this Chroma server, or, where it is empty, into the library's folder, when next published."""
        self._set(chroma=place, index_clean=0)

    def rebuild_index(self) -> VectorIndex:
        """A new collection from the vectors in SQLite; it takes the old one's place when it is complete."""
        library = self.library
        serial = int(library.meta("index_serial", "0")) + 1
        with _chroma_in_words():
            index = VectorIndex(library, serial, create=True)
            live = self._ids("SELECT chunk.id FROM chunk JOIN document ON document.id = document WHERE live")
            self._add(index, live, library.meta("embedder"))
            self._set(index_serial=serial, index_clean=1)
            index.drop_others()
        return index

    def _add(self, index: VectorIndex, chunks: Sequence[int], fingerprint: str) -> None:
        for at in range(0, len(chunks), BATCH):
            some = chunks[at : at + BATCH]
            query = (
                "SELECT chunk.id, data FROM chunk JOIN vector ON vector.embedder = ? AND vector.key = chunk.vector"
                f" WHERE chunk.id IN ({','.join('?' * len(some))})"
            )
            rows = self.library.db.execute(query, [fingerprint, *some]).fetchall()
            if rows:
                matrix = np.frombuffer(b"".join(row[1] for row in rows), dtype=np.float32)
                index.add([row[0] for row in rows], matrix.reshape(len(rows), -1))

    def _switch(self, change: Change, *, changed: bool = True) -> None:
        with self._transaction() as db:
            removed = [(i,) for i in change.removed]
            db.executemany("DELETE FROM words WHERE rowid IN (SELECT id FROM chunk WHERE document = ?)", removed)
            for table, column in (("chunk", "document"), ("short_form", "document"), ("document", "id")):
                db.executemany(f"DELETE FROM {table} WHERE {column} = ?", removed)
            db.execute("UPDATE document SET live = 1 WHERE NOT live")
            db.executemany("UPDATE document SET size = ?, mtime_ns = ? WHERE id = ?", change.touched)
            db.execute("DELETE FROM failure")
            rows = [(f.root, f.file, f.reason, f.size, f.mtime_ns) for f in change.failures]
            db.executemany("INSERT INTO failure VALUES (?, ?, ?, ?, ?)", rows)
            db.execute("DELETE FROM root")
            db.executemany("INSERT INTO root VALUES (?)", [(root,) for root in change.roots])
            db.execute("DELETE FROM excluded")
            db.executemany("INSERT INTO excluded VALUES (?)", [(file,) for file in change.excluded])
            db.execute(
                "INSERT INTO run VALUES (NULL, ?, ?, ?)", (change.started, time.time(), json.dumps(change.summary))
            )
            if changed:
                db.execute(
                    "DELETE FROM vector WHERE embedder != ? OR key NOT IN (SELECT vector FROM chunk)",
                    (change.fingerprint,),
                )
                generation = int(self.library.meta("generation")) + 1
                self._put(db, generation=generation, embedder=change.fingerprint, embedder_name=change.embedder)

    # Small things

    def _discard_staged(self) -> None:
        """What a killed writer left behind; its vectors stay."""
        with self._transaction() as db:
            staged = db.execute("SELECT id FROM document WHERE NOT live").fetchall()
            db.executemany("DELETE FROM words WHERE rowid IN (SELECT id FROM chunk WHERE document = ?)", staged)
            for table, column in (("chunk", "document"), ("short_form", "document"), ("document", "id")):
                db.executemany(f"DELETE FROM {table} WHERE {column} = ?", staged)

    def _chunks_of(self, documents: Sequence[int]) -> list[int]:
        return [
            row[0]
            for d in documents
            for row in self.library.db.execute("SELECT id FROM chunk WHERE document = ?", (d,))
        ]

    def _ids(self, query: str) -> list[int]:
        return [row[0] for row in self.library.db.execute(query)]

    def _set(self, **values: object) -> None:
        with self._transaction() as db:
            self._put(db, **values)

    @staticmethod
    def _put(db: sqlite3.Connection, **values: object) -> None:
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(k, str(v)) for k, v in values.items()])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self.library.db
        with _in_words(self.library.place):
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


@contextlib.contextmanager
def _in_words(place: Path) -> Iterator[None]:
    """SQLite's errors as one line for the user. The old library is whole: the transaction was rolled back."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise LibraryError(f"cannot write to {place}: {error}; the library is as it was before") from error


@contextlib.contextmanager
def _chroma_in_words() -> Iterator[None]:
    try:
        yield
    except LibraryError:
        raise
    except Exception as error:
        line = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise LibraryError(
            f"cannot write the vector index: {line}; searches go on without it, `footnote ingest` mends it"
        ) from error


def _told(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text())
        return f"process {who['pid']} ({who['purpose']}, since {who['started']})"
    except (OSError, ValueError, KeyError):
        return "another process"
