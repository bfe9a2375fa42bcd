"""Changing a library: one writer at a time, under a lock. What it stages is seen by nobody until it is published."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ingest.chunks import Chunk, pack_units
from ingest.documents import Document, Found
from ingest.errors import LibraryBusy, LibraryError
from ingest.index import IndexTrouble, VectorIndex, check_reachable, forget, is_server
from ingest.library import FILE, LAYOUT, OCR, Failure, Fetched, Library, batches, connect, open_index, own, pack_blocks
from ingest.readers import sure_of
from ingest.words import short_forms, terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ingest.library import Vectors

    Tell = Callable[[int, int], None]


# What is changed, and the one who changes it.

_PLACED = {  # where paths stand that may lie in the library's own folder
    "document": "root",
    "failure": "root",
    "source": "root",
    "fetched": "root",
    "root": "path",
    "excluded": "file",
}
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
    moved: Mapping[str, str] = field(default_factory=dict)  # roots, by what they were called
    summary: dict[str, object] = field(default_factory=dict)


class Writing:
    """`with Writing(library, "what for") as writing:` holds the lock. Leaving without `publish` changes nothing."""

    def __init__(self, library: Library, purpose: str, wait_seconds: float = 0.0) -> None:
        from filelock import FileLock

        self.library = library
        self._purpose = purpose
        self._wait = wait_seconds
        self._lock = FileLock(own(library.place, "lock"))
        self._holder = library.place / "writer.json"
        self._staging: Staging | None = None

    def __enter__(self) -> Writing:
        from filelock import Timeout

        place = self.library.place
        with _writable(place):
            try:
                self._lock.acquire(timeout=self._wait, poll_interval=0.1)
            except Timeout:
                raise LibraryBusy(
                    f"{place} is being written by {_who_writes(self._holder)}: wait for it, or use --wait SECONDS"
                ) from None
            try:
                about = {"pid": os.getpid(), "purpose": self._purpose, "started": time.strftime("%H:%M:%S")}
                self._holder.unlink(missing_ok=True)  # like staging, what a killed writer left; its vectors are kept
                self._holder.write_text(json.dumps(about))
                discard_staging(place)
                self.db = connect(place / FILE)
                self.db.execute("PRAGMA synchronous = FULL")
                self.db.execute(LAYOUT)
                self.db.execute(OCR)
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
            with _writable(self.library.place):
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
        these, given = "(SELECT value FROM json_each(?))", (json.dumps(list(documents)),)
        gone = [row[0] for row in self.db.execute(f"SELECT id FROM chunk WHERE document IN {these}", given)]
        self.db.executemany("DELETE FROM words WHERE rowid = ?", [(i,) for i in gone])
        for table, column in (
            ("chunk", "document"),
            ("short_form", "document"),
            ("origin", "document"),
            ("layout", "document"),
            ("ocr", "document"),
            ("document", "id"),
        ):
            self.db.execute(f"DELETE FROM {table} WHERE {column} IN {these}", given)
        return gone

    def _bring_in(self, change: Change) -> None:
        db = self.db
        db.executemany("UPDATE document SET root = ? WHERE root = ?", [(new, old) for old, new in change.moved.items()])
        for t in change.touched:
            db.execute(
                "UPDATE document SET root = ?, file = ?, size = ?, mtime_ns = ? WHERE id = ?",
                (t.found.root, t.found.file, t.found.size, t.found.mtime_ns, t.id),
            )
        first = self._last_document() + 1
        if self._staging:
            self._staging.bring_in()
        db.execute(
            "INSERT OR REPLACE INTO origin SELECT d.id, f.address, f.at FROM document AS d"
            " JOIN fetched AS f ON f.root = d.root AND f.file = d.file AND f.sha256 = d.sha256"
        )
        lists: dict[str, list[tuple[object, ...]]] = {
            "failure": [(f.root, f.file, f.reason, f.size, f.mtime_ns) for f in change.failures],
            "root": [(root,) for root in change.roots],
            "excluded": [(file,) for file in change.excluded],
        }
        for table, rows in lists.items():
            db.execute(f"DELETE FROM {table}")
            for row in rows:
                db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * len(row))})", row)
        summary = {**change.summary, "documents": [first, self._last_document()]}  # the ids of those that came in
        db.execute("INSERT INTO run VALUES (NULL, ?, ?, ?)", (change.started, time.time(), json.dumps(summary)))

    def _last_document(self) -> int:
        return self._one("SELECT max(seq) FROM sqlite_sequence WHERE name = 'document'")

    def _close_generation(self, change: Change) -> None:
        without = "SELECT count(*) FROM chunk WHERE vector NOT IN (SELECT key FROM vector WHERE embedder = ?)"
        if missing := self._one(without, change.fingerprint):
            raise LibraryError(f"{missing} chunks have no vector of {change.fingerprint}: ingest all roots again")
        stale = "SELECT id FROM vector WHERE embedder != ? OR key NOT IN (SELECT vector FROM chunk)"
        self.db.execute(f"DELETE FROM vector WHERE id IN ({stale})", (change.fingerprint,))
        generation = self.library.generation + 1
        self._put(generation=generation, embedder=change.fingerprint, embedder_name=change.embedder, index_clean=0)

    # What is fetched is recorded as it comes; documents get their addresses when they are published

    def keep_fetched(self, files: Sequence[Fetched]) -> None:
        rows = [(f.root, f.file, f.asked, f.address, f.at, f.sha256, f.etag, f.modified) for f in files]
        with self._transaction():
            self.db.executemany("INSERT OR REPLACE INTO fetched VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def drop_fetched(self, root: str, files: Sequence[str]) -> None:
        with self._transaction():
            self.db.executemany("DELETE FROM fetched WHERE root = ? AND file = ?", [(root, file) for file in files])

    def keep_source(self, root: str, about: str, checked: float) -> None:
        with self._transaction():
            self.db.execute("INSERT OR REPLACE INTO source VALUES (?, ?, ?)", (root, about, checked))

    def drop_source(self, root: str) -> None:
        with self._transaction():
            for table in ("source", "fetched"):
                self.db.execute(f"DELETE FROM {table} WHERE root = ?", (root,))

    def relocate(self) -> None:
        """A library that was moved takes along what lies in its folder: the paths of its own roots are mended."""
        here, before = str(self.library.place.resolve()), self.library.meta("place")
        if before and before != here:
            with self._transaction():
                for table, column in _PLACED.items():
                    self.db.execute(
                        f"UPDATE OR REPLACE {table} SET {column} = ? || substr({column}, ?)"
                        f" WHERE substr({column}, 1, ?) = ?",
                        (here, len(before) + 1, len(before) + 1, before + os.sep),
                    )
        if before != here:
            self.set_meta(place=here)

    # The vector index

    def move_index(self, home: str) -> None:
        """When next published, the vectors go to this Chroma server; where it is empty, into the library's folder."""
        if home and not is_server(home):
            raise LibraryError(f"{home!r} is no address of a Chroma server: give one such as http://localhost:8000")
        if home:
            check_reachable(home)
        old = self.library.index_home
        self.set_meta(chroma=home, index_clean=0)
        forget(old, self.library.meta("id"))

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
        with _writable(self.library.place):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise


@contextlib.contextmanager
def _writable(place: Path) -> Iterator[None]:
    """SQLite's errors as one line for the user. The old library is whole: the transaction was rolled back."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise LibraryError(f"cannot write to {place}: {error}; the library is as it was before") from error


def _who_writes(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text())
        return f"process {who['pid']} ({who['purpose']}, since {who['started']})"
    except (OSError, ValueError, KeyError):
        return "another process"


# Documents on their way in: tables in a file of their own, seen by no reader, which any kill may spoil.

STAGED = "staging.sqlite"
_COPIES = ("document", "chunk", "short_form", "layout", "ocr")


class Staging:
    """Attached to the connection that will bring it in. Ids are the library's next ones."""

    def __init__(self, db: sqlite3.Connection, place: Path) -> None:
        self._db = db
        discard_staging(place)
        db.execute("ATTACH ? AS staging", (str(place / STAGED),))
        db.execute("PRAGMA staging.journal_mode = OFF")
        db.execute("PRAGMA staging.synchronous = OFF")
        for table in _COPIES:
            db.execute(f"CREATE TABLE staging.{table} AS SELECT * FROM main.{table} WHERE 0")
        db.execute("CREATE TABLE staging.words (id INTEGER PRIMARY KEY, text TEXT, beside TEXT)")
        self._last: dict[str, int] = {"document": 0, "chunk": 0}
        self._last.update(db.execute("SELECT name, seq FROM main.sqlite_sequence"))

    def add(self, f: Found, d: Document, chunks: Sequence[Chunk], made_by: str) -> None:
        """All of it is made before any is written: what cannot be made leaves nothing behind."""
        number = self._next("document")
        row = (number, f.root, f.file, d.path, d.title, d.named, d.text, d.sha256, d.text_sha256, f.size, f.mtime_ns)
        numbered = [(self._next("chunk"), c) for c in chunks]
        rows: dict[str, Sequence[tuple[object, ...]]] = {
            "document": [(*row, made_by, json.dumps(d.counted), json.dumps(d.notes))],
            "chunk": [_row(i, number, c) for i, c in numbered],
            "words": [(i, " ".join(terms(c.text)), " ".join(terms(c.context))) for i, c in numbered],
            "layout": [(number, pack_blocks(d.blocks))],
            "ocr": [(number, json.dumps(lines))] if (lines := list(sure_of(d.blocks))) else [],
            "short_form": [(short, long, number) for short, long in sorted(set(short_forms(d.text)))],
        }
        for table, some in rows.items():
            self._insert(table, some)

    def bring_in(self) -> None:
        """All of it into the library, within the caller's transaction."""
        for table in _COPIES:
            self._db.execute(f"INSERT INTO main.{table} SELECT * FROM staging.{table}")
        self._db.execute(
            "INSERT INTO words (rowid, text, beside) SELECT id, text, beside FROM staging.words ORDER BY id"
        )

    def _next(self, table: str) -> int:
        self._last[table] += 1
        return self._last[table]

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            self._db.executemany(f"INSERT INTO staging.{table} VALUES ({','.join('?' * len(rows[0]))})", rows)


def discard_staging(place: Path) -> None:
    (place / STAGED).unlink(missing_ok=True)


def _row(number: int, document: int, c: Chunk) -> tuple[object, ...]:
    units = pack_units(c.units)
    return (number, document, c.section, c.start, c.end, c.kind, c.header, json.dumps(c.pages), units, c.key)


# The vector index is brought along with what was published; meanwhile readers compare the vectors themselves.


class Upkeep:
    """Works under the lock and on the connection of a `Writing`."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._db = writing.db
        self._meta: dict[str, str] = dict(self._db.execute("SELECT key, value FROM meta"))
        self._home = writing.library.index_home

    def bring_along(self, before: int, gone: Sequence[int], whole: bool, tell: Tell) -> None:
        """Chunks with ids above `before` have come and others are gone; `whole`: what the index holds is of no use."""
        try:
            try:
                if not whole:
                    self._update(before, gone)
            except IndexTrouble:
                whole = True
            if whole:
                self.rebuild(tell)
        except LibraryError as error:
            self._writing.library.notify(f"the vector index is behind ({error}): it is mended when it is next used")

    def rebuild(self, tell: Tell = lambda done, total: None) -> None:
        """A new index from all the vectors; the old ones go when it is complete and known to be."""
        serial = int(self._meta["index_serial"]) + 1
        index = VectorIndex(self._home, self._meta["id"], serial, create=True)
        try:
            index.add(self._batches(tell))
            index.stamp(int(self._meta["generation"]))
            self._writing.set_meta(index_serial=serial, index_clean=1)
            index.drop_others()
        finally:
            index.close()

    def _update(self, before: int, gone: Sequence[int]) -> None:
        index = VectorIndex(self._home, self._meta["id"], int(self._meta["index_serial"]))
        try:
            index.add(batches(self._db, self._meta["embedder"], after=before))
            index.remove(gone)
            index.stamp(int(self._meta["generation"]))
            self._writing.set_meta(index_clean=1)
        finally:
            index.close()

    def _batches(self, tell: Tell) -> Iterator[Vectors]:
        done, total = 0, self._db.execute("SELECT count(*) FROM chunk").fetchone()[0]
        for ids, vectors in batches(self._db, self._meta["embedder"]):
            tell(done, total)
            yield ids, vectors
            done += len(ids)


def mend(library: Library, reason: str) -> None:
    """Make the vector index anew where it is in disorder, as `reason` says; leave it where somebody else is writing.

    It is looked at once more under the lock: what seemed to be disorder may have been a writer at work, or is mended.
    """
    try:
        with (
            contextlib.closing(Library(library.place, library.notify)) as today,
            Writing(today, "mending the vector index") as writing,
        ):
            if found := _disorder(today):
                what = "rebuilding it from the library's own vectors, nothing is embedded again"
                library.notify(f"the vector index {found}: {what}")
                Upkeep(writing).rebuild()
    except LibraryBusy:
        return
    except LibraryError as error:
        library.notify(f"the vector index {reason} and cannot be rebuilt ({error}); searching without it")


def _disorder(library: Library) -> str:
    try:
        if library.count():
            open_index(library).close()
    except IndexTrouble as error:
        return str(error)
    return ""


def mend_beside(library: Library, reason: str) -> None:
    """`mend` in a thread of its own, for whoever searches; a process that ends waits for it."""
    threading.Thread(target=mend, args=(library, reason), name="mending").start()
