"""The vectors that the library keeps, and the nearest among them: by Chroma where it can be trusted, else exactly."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ingest.errors import LibraryBusy, LibraryError
from ingest.index import BATCH, IndexOutOfReach, IndexTrouble, VectorIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.library import Library

    Vectors = tuple[NDArray[np.int64], NDArray[np.float32]]

MOST_BY_INDEX = 150  # neighbours; Chroma looks at 160, asked for more it may raise, and comparing with all is as good
SAMPLE = 5  # vectors that have to find themselves before an index is believed
RETRY_SECONDS = 10.0  # after an index could not be mended because somebody else was writing

_STORED = "SELECT chunk.id, data FROM chunk JOIN vector ON embedder = ? AND key = chunk.vector"


def stored(db: sqlite3.Connection, embedder: str, ids: Sequence[int]) -> Vectors:
    """The vectors of these chunks, in the order of their ids."""
    query = f"{_STORED} WHERE chunk.id IN (SELECT value FROM json_each(?)) ORDER BY chunk.id"
    return _matrix(db.execute(query, (embedder, json.dumps(list(ids)))).fetchall())


def batches(db: sqlite3.Connection, embedder: str, after: int = 0, size: int = BATCH) -> Iterator[Vectors]:
    """The vectors of all chunks with larger ids, a batch at a time: memory stays flat however many there are."""
    while rows := db.execute(
        f"{_STORED} WHERE chunk.id > ? ORDER BY chunk.id LIMIT ?", (embedder, after, size)
    ).fetchall():
        after = rows[-1][0]
        yield _matrix(rows)


def everything(db: sqlite3.Connection, embedder: str, count: int) -> Vectors:
    ids, matrix, filled = np.empty(count, np.int64), np.empty((0, 0), np.float32), 0
    for some, vectors in batches(db, embedder):
        if not filled:
            matrix = np.empty((count, vectors.shape[1]), np.float32)
        ids[filled : filled + len(some)], matrix[filled : filled + len(some)] = some, vectors
        filled += len(some)
    return ids[:filled], matrix[:filled]


def _matrix(rows: Sequence[tuple[int, bytes]]) -> Vectors:
    matrix = np.frombuffer(b"".join(row[1] for row in rows), dtype=np.float32)
    return np.array([row[0] for row in rows], dtype=np.int64), matrix.reshape(len(rows), -1 if rows else 0)


class Nearest:
    """Finds the chunks nearest to a vector, at whatever state the library is in. Used by several threads."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._lock = threading.RLock()
        self._index: VectorIndex | None = None
        self._index_state: tuple[str, ...] = ()
        self._retry_at = float("inf")
        self._all: tuple[int, Vectors] | None = None

    def find(self, vector: NDArray[np.float32], n: int, among: Sequence[int] | None) -> list[tuple[int, float]]:
        if among is None and n <= MOST_BY_INDEX and (index := self._usable_index()):
            try:
                return self._by_index(index, vector, n)
            except IndexTrouble:
                self._index_state = ()  # looked at again, and mended if it has to be, by the next search
        ids, matrix = self._everything() if among is None else self.library.vectors(among)
        if not len(ids):
            return []
        cosines = matrix @ vector
        best = np.argsort(-cosines, kind="stable")[:n]
        return [(int(ids[i]), float(cosines[i])) for i in best]

    def _by_index(self, index: VectorIndex, vector: NDArray[np.float32], n: int) -> list[tuple[int, float]]:
        count = self.library.count()
        found = index.nearest(vector, min(n, count))
        query = "SELECT id FROM chunk WHERE id IN (SELECT value FROM json_each(?))"
        there = {row[0] for row in self.library.rows(query, json.dumps([i for i, _ in found]))}
        if len(there) < min(n, count):
            raise IndexTrouble("it finds too little")
        return [(i, cosine) for i, cosine in found if i in there]

    def _everything(self) -> Vectors:
        with self._lock:
            generation = self.library.generation
            if self._all is None or self._all[0] != generation:
                self._all = (generation, self.library.vectors())
            return self._all[1]

    def _usable_index(self) -> VectorIndex | None:
        """The index of today's library, mended first if it disagrees; None while somebody writes it."""
        with self._lock:
            library = self.library
            state = tuple(library.meta(key) for key in ("generation", "index_clean", "index_serial", "chroma"))
            if state != self._index_state or time.monotonic() > self._retry_at:
                self._index_state, self._retry_at, self._all = state, float("inf"), None
                if self._index:
                    self._index.close()
                self._index = self._opened() if library.count() else None
            return self._index

    def _opened(self) -> VectorIndex | None:
        library, reason = self.library, "was not finished"
        try:
            if library.meta("index_clean") == "1":
                index = VectorIndex(library.index_home, library.meta("id"), int(library.meta("index_serial")))
                sample = library.vectors(self._sample())
                if not (reason := index.trouble(library.generation, library.count(), [sample])):
                    return index
                index.close()
        except IndexOutOfReach as error:
            library.notify(f"{error}; searching the library's own vectors meanwhile")
            return None
        except IndexTrouble as error:
            reason = f"cannot be used ({error})"
        return self._mended(reason)

    def _sample(self) -> list[int]:
        """Ids of chunks spread over the library, the first and the newest among them."""
        first, last = self.library.rows("SELECT min(id), max(id) FROM chunk")[0]
        at = [first + (last - first) * i // (SAMPLE - 1) for i in range(SAMPLE)]
        found = (self.library.rows("SELECT id FROM chunk WHERE id >= ? ORDER BY id LIMIT 1", i)[0][0] for i in at)
        return sorted(set(found))

    def _mended(self, reason: str) -> VectorIndex | None:
        from ingest.writing import Writing

        try:
            with Writing(self.library, "mending the vector index") as writing:
                what = "rebuilding it from the library's own vectors, nothing is embedded again"
                self.library.notify(f"the vector index {reason}: {what}")
                return writing.rebuild_index()
        except LibraryBusy:
            self._retry_at = time.monotonic() + RETRY_SECONDS
        except LibraryError as error:
            self.library.notify(f"the vector index {reason} and cannot be rebuilt ({error}); searching without it")
        return None
