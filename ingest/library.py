"""The library as its readers see it. SQLite is the truth; the vector index beside it can be thrown away and rebuilt.

Readers see only *live* documents. A writer (`ingest/writing.py`) stages its own beside them and turns them live in one
transaction: until then readers see the old library, and a kill at any moment leaves it whole.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ingest.chunks import Chunk, Unit
from ingest.database import FILE, FORMAT, connect
from ingest.errors import LibraryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.index import VectorIndex

MOST_POSTINGS = 20_000  # that one full-text search may touch: about 10 ms

_LIVE = "chunk JOIN document ON document.id = chunk.document WHERE live"
_LIVE_VECTORS = (
    "chunk JOIN document ON document.id = chunk.document JOIN vector ON vector.key = chunk.vector WHERE live"
)
_GIVEN = "(SELECT value FROM json_each(?))"  # a list of any length as one parameter


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as the library keeps it, with the file that it came from."""

    id: int
    path: str
    title: str
    sha256: str
    text_sha256: str
    root: str
    file: str
    size: int
    mtime_ns: int
    chunks: int
    repairs: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """The terms of one chunk: of its text, and of what stands beside it."""

    text: Sequence[str]
    beside: Sequence[str]


@dataclass(frozen=True, slots=True)
class Failure:
    root: str
    file: str
    reason: str
    size: int | None
    mtime_ns: int | None


class Library:
    """A library opened for reading; `Writing` in `ingest/writing.py` changes it. Safe to use from several threads."""

    def __init__(self, place: str | Path, notify: Callable[[str], None] = lambda line: None) -> None:
        self.place = Path(place)
        self.notify = notify
        self._local = threading.local()
        self._lock = threading.RLock()
        self._frequencies: tuple[int, dict[str, int]] = (-1, {})
        self._index: VectorIndex | None = None
        self._index_generation = -1
        self._index_clean = True
        self._count = 0
        self._scan: tuple[int, NDArray[np.int64], NDArray[np.float32]] | None = None
        if not (self.place / FILE).is_file():
            raise LibraryError(
                f"no library at {self.place}: make one with `footnote ingest FOLDER --library {self.place}`"
            )
        if self.meta("format") != str(FORMAT):
            raise LibraryError(
                f"the library at {self.place} has format {self.meta('format')}, this Footnote reads {FORMAT}: "
                f"ingest the folder again into a new one with `footnote ingest FOLDER --library NEW`"
            )

    @property
    def db(self) -> sqlite3.Connection:
        """This thread's connection."""
        if not hasattr(self._local, "db"):
            self._local.db = connect(self.place / FILE)
        db: sqlite3.Connection = self._local.db
        return db

    def meta(self, key: str, default: str = "") -> str:
        try:
            row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        except sqlite3.DatabaseError as error:
            raise LibraryError(
                f"{self.place / FILE} is damaged ({error}): move it away and run `footnote ingest FOLDER` again"
            ) from error
        return row[0] if row else default

    @property
    def generation(self) -> int:
        """Counts the times that the library was changed; a reader that remembers it knows when to look again."""
        return int(self.meta("generation", "0"))

    # Documents

    def documents(self) -> list[Stored]:
        rows = self.db.execute(
            "SELECT id, path, title, sha256, text_sha256, root, file, size, mtime_ns,"
            " (SELECT count(*) FROM chunk WHERE chunk.document = document.id), repairs, notes"
            " FROM document WHERE live ORDER BY path"
        )
        return [Stored(*(*row[:10], json.loads(row[10]), tuple(json.loads(row[11])))) for row in rows]

    def text(self, path: str) -> str:
        """The canonical text of a document."""
        row = self.db.execute("SELECT text FROM document WHERE live AND path = ?", (path,)).fetchone()
        if row:
            return str(row[0])
        near = [d.path for d in self.documents() if path.lower() in d.path.lower() or d.path.endswith("/" + path)]
        hint = f"did you mean {near[0]}?" if near else "`footnote status` lists what is there"
        raise LibraryError(f"no document {path!r} in {self.place}: {hint}")

    def failures(self) -> list[Failure]:
        return [
            Failure(*row)
            for row in self.db.execute("SELECT root, file, reason, size, mtime_ns FROM failure ORDER BY 1, 2")
        ]

    def roots(self) -> list[str]:
        return [row[0] for row in self.db.execute("SELECT path FROM root ORDER BY path")]

    def excluded(self) -> list[str]:
        """Files that were taken out of the library and stay out until they are given by name."""
        return [row[0] for row in self.db.execute("SELECT file FROM excluded ORDER BY file")]

    def long_forms(self) -> dict[str, list[str]]:
        """What the documents say that abbreviations stand for."""
        forms: dict[str, list[str]] = {}
        query = (
            "SELECT short, long FROM short_form JOIN document ON document.id = short_form.document WHERE live"
            " GROUP BY short, lower(long) ORDER BY count(*) DESC"
        )
        for short, long in self.db.execute(query):
            forms.setdefault(short, []).append(long)
        return forms

    # Chunks

    def count(self) -> int:
        row = self.db.execute(
            "SELECT count(*) FROM chunk JOIN document ON document.id = chunk.document WHERE live"
        ).fetchone()
        return int(row[0])

    def chunks(self, ids: Sequence[int]) -> dict[int, Chunk]:
        """The live chunks among these, by id. A document's chunks have consecutive ids, in order."""
        rows = self.db.execute(
            'SELECT chunk.id, path, title, section, start, "end", substr(text, start + 1, "end" - start), kind, units,'
            f" header, page FROM {_LIVE} AND chunk.id IN {_GIVEN}",
            (_given(ids),),
        )
        return {row[0]: Chunk(*row[1:8], *(_units(row[8]), *row[9:11])) for row in rows}

    def select(self, documents: Iterable[str] = (), kinds: Iterable[str] = ()) -> list[int]:
        """Ids of the live chunks of these documents (glob patterns; a folder means what is in it) and kinds."""
        patterns = [p for d in documents for p in (d, d.rstrip("/") + "/*")]
        where, values = ["1"], [*patterns]
        if patterns:
            where.append("(" + " OR ".join(["path GLOB ?"] * len(patterns)) + ")")
        if kinds := list(kinds):
            where.append(f"kind IN ({','.join('?' * len(kinds))})")
            values += kinds
        return [row[0] for row in self.db.execute(f"SELECT chunk.id FROM {_LIVE} AND {' AND '.join(where)}", values)]

    # Words

    def match(self, terms: Sequence[str], n: int, among: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """The live chunks that hold any of the terms, with their BM25, best first.

        Terms are taken from the rarest on for as long as what they touch stays affordable: in a large library a common
        word costs much and tells nothing.
        """
        frequencies = self.frequencies(terms)
        chosen, touched = list[str](), 0
        for term in sorted((t for t in terms if frequencies[t]), key=lambda t: frequencies[t]):
            touched += frequencies[term]
            if chosen and touched > MOST_POSTINGS:
                break
            chosen.append(term)
        if not chosen:
            return []
        query = " OR ".join(f'"{term}"' for term in chosen)
        limit = "" if among is None else f" AND words.rowid IN {_GIVEN}"
        rows = self.db.execute(
            f"SELECT words.rowid, -bm25(words, 1.0, 0.6) FROM words WHERE words MATCH ?{limit} ORDER BY rank LIMIT ?",
            [query, *([] if among is None else [_given(among)]), 2 * n],
        ).fetchall()
        live = self._live([row[0] for row in rows])
        return [(i, score) for i, score in rows if i in live][:n]

    def words(self, ids: Sequence[int]) -> list[Words]:
        """The terms of these chunks, in the order of their ids."""
        rows = self.db.execute(f"SELECT text, beside FROM words WHERE rowid IN {_GIVEN} ORDER BY rowid", (_given(ids),))
        return [Words(text.split(), beside.split()) for text, beside in rows]

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """In how many chunks each term stands."""
        generation = self.generation
        if self._frequencies[0] != generation:
            self._frequencies = (generation, {})
        known = self._frequencies[1]
        for term in terms:
            if term not in known:
                row = self.db.execute("SELECT doc FROM vocabulary WHERE term = ?", (term,)).fetchone()
                known[term] = row[0] if row else 0
        return {term: known[term] for term in terms}

    def _live(self, ids: Sequence[int]) -> set[int]:
        marks = ",".join("?" * len(ids))
        query = (
            f"SELECT chunk.id FROM chunk JOIN document ON document.id = document WHERE live AND chunk.id IN ({marks})"
        )
        return {row[0] for row in self.db.execute(query, list(ids))}

    # Vectors

    def vectors(self, ids: Sequence[int] | None = None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The vectors of these live chunks, or of all, as SQLite keeps them: ids and a matrix."""
        query = f"SELECT chunk.id, data FROM {_LIVE_VECTORS} AND embedder = ?"
        values = [self.meta("embedder")]
        if ids is not None:
            query, values = f"{query} AND chunk.id IN {_GIVEN}", [*values, _given(ids)]
        rows = self.db.execute(query + " ORDER BY chunk.id", values).fetchall()
        matrix = np.frombuffer(b"".join(row[1] for row in rows), dtype=np.float32)
        return np.array([row[0] for row in rows], dtype=np.int64), matrix.reshape(len(rows), -1 if rows else 0)

    def nearest(
        self, vector: NDArray[np.float32], n: int, among: Sequence[int] | None = None
    ) -> list[tuple[int, float]]:
        """The live chunks nearest to a vector with their cosine similarity, best first: by Chroma, or exactly.

        Exactly (every vector is compared) where Chroma is being written or is out of reach, and among a given few.
        """
        if among is None and (index := self._usable_index()):
            want = n
            while True:
                found = index.nearest(vector, min(want, self._count))
                live = self._live([i for i, _ in found])
                if len(live) >= min(n, self._count) or want >= 8 * n:
                    return [(i, cosine) for i, cosine in found if i in live][:n]
                want *= 2
        ids, matrix = self._matrix() if among is None else self.vectors(among)
        if not len(ids):
            return []
        cosines = matrix @ vector
        best = np.argsort(-cosines, kind="stable")[:n]
        return [(int(ids[i]), float(cosines[i])) for i in best]

    def sample(self, n: int) -> list[int]:
        """Ids of live chunks, spread over the library."""
        row = self.db.execute("SELECT min(id), max(id) FROM chunk").fetchone()
        first, last = row[0] or 0, row[1] or 0
        query = f"SELECT chunk.id FROM {_LIVE} AND chunk.id >= ? ORDER BY chunk.id LIMIT 1"
        found = (self.db.execute(query, (first + (last - first) * i // n,)).fetchone() for i in range(n))
        return sorted({row[0] for row in found if row})

    def _matrix(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        with self._lock:
            generation = self.generation
            if self._scan is None or self._scan[0] != generation:
                self._scan = (generation, *self.vectors())
            return self._scan[1:]

    def _usable_index(self) -> VectorIndex | None:
        """The Chroma index at today's generation, mended first if it disagrees; None while somebody writes it."""
        with self._lock:
            generation, clean = self.generation, self.meta("index_clean") == "1"
            if self._index_generation == generation and clean == self._index_clean:
                return self._index
            from ingest.index import open_index

            self._index_generation, self._index_clean, self._count = generation, clean, self.count()
            self._index = open_index(self, self._count, clean) if self._count else None
            return self._index


def pack_units(units: Sequence[Unit]) -> str:
    return json.dumps([[u.start, u.end, u.kind] for u in units], separators=(",", ":"))


def _units(packed: str) -> tuple[Unit, ...]:
    return tuple(Unit(*unit) for unit in json.loads(packed))


def _given(values: Sequence[int]) -> str:
    return json.dumps(list(values))
