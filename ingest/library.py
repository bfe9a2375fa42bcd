"""The library as its readers see it. SQLite is the truth; the vector index beside it can be thrown away and rebuilt.

A writer (`ingest/writing.py`) prepares everything apart and brings it in by one transaction: until then readers see the
old library, and a kill at any moment leaves it whole.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.chunks import Chunk
from ingest.database import FILE, FORMAT, connect
from ingest.errors import LibraryError
from ingest.fulltext import FullText
from ingest.fulltext import Words as Words
from ingest.units import unpack_units

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
    made_by: str  # the version of the code that read it
    chunks: int
    repairs: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read. `file` is relative to `root`; for a root that is a file, its name."""

    root: str
    file: str
    reason: str
    size: int | None = None
    mtime_ns: int | None = None


class Library:
    """A library opened for reading; `Writing` in `ingest/writing.py` changes it. Safe to use from several threads."""

    def __init__(self, place: str | Path, notify: Callable[[str], None] = lambda line: None) -> None:
        from ingest.vectors import Nearest

        self.place = Path(place)
        self.notify = notify
        self._local = threading.local()
        self._count = (-1, 0)
        self._fulltext = FullText(self)
        self._nearest = Nearest(self)
        if not (self.place / FILE).is_file():
            raise LibraryError(
                f"no library at {self.place}: make one with `footnote ingest FOLDER --library {self.place}`"
            )
        if self.meta("format") != str(FORMAT):
            raise LibraryError(
                f"the library at {self.place} has format {self.meta('format')}, this Footnote reads {FORMAT}: "
                f"ingest the folder again into a new one with `footnote ingest FOLDER --library NEW`"
            )

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """All that this thread reads inside is of one moment, whatever is published meanwhile."""
        if self.db.in_transaction:
            yield
            return
        self.db.execute("BEGIN")
        try:
            yield
        finally:
            self.db.execute("COMMIT")

    def close(self) -> None:
        """This thread's connection; the library can be used again, and opens another."""
        if hasattr(self._local, "db"):
            self._local.db.close()
            del self._local.db

    def meta(self, key: str, default: str = "") -> str:
        rows = self.rows("SELECT value FROM meta WHERE key = ?", key)
        return str(rows[0][0]) if rows else default

    @property
    def generation(self) -> int:
        """Counts the times that the library was changed; a reader that remembers it knows when to look again."""
        return int(self.meta("generation", "0"))

    @property
    def index_home(self) -> str:
        """Where the vector index lives: a folder, or the URL of a Chroma server."""
        return self.meta("chroma") or str(self.place / "chroma")

    # Documents

    def documents(self) -> list[Stored]:
        rows = self.rows(
            "SELECT id, path, title, sha256, text_sha256, root, file, size, mtime_ns, made_by, (SELECT count(*)"
            " FROM chunk WHERE chunk.document = document.id), repairs, notes FROM document ORDER BY path"
        )
        return [Stored(*(*row[:11], json.loads(row[11]), tuple(json.loads(row[12])))) for row in rows]

    def text(self, path: str) -> str:
        """The canonical text of a document."""
        for (text,) in self.rows("SELECT text FROM document WHERE path = ?", path):
            return str(text)
        near = [d.path for d in self.documents() if path.lower() in d.path.lower() or d.path.endswith("/" + path)]
        hint = f"did you mean {near[0]}?" if near else "`footnote status` lists what is there"
        raise LibraryError(f"no document {path!r} in {self.place}: {hint}")

    def paths(self, documents: Iterable[str] = ()) -> list[str]:
        """Of these documents: by path or glob pattern; a folder means what is in it; nothing means all."""
        where, values = _these(list(documents))
        return [row[0] for row in self.rows(f"SELECT path FROM document WHERE {where} ORDER BY path", *values)]

    def failures(self) -> list[Failure]:
        return [
            Failure(*row) for row in self.rows("SELECT root, file, reason, size, mtime_ns FROM failure ORDER BY 1, 2")
        ]

    def roots(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT path FROM root ORDER BY path")]

    def excluded(self) -> list[str]:
        """Files that were taken out of the library and stay out until they are given by name."""
        return [row[0] for row in self.rows("SELECT file FROM excluded ORDER BY file")]

    def long_forms(self) -> dict[str, list[str]]:
        """What the documents say that abbreviations stand for, the most usual first."""
        forms: dict[str, list[str]] = {}
        for short, long in self.rows(
            "SELECT short, min(long) FROM short_form GROUP BY short, lower(long) ORDER BY count(*) DESC, 1, 2"
        ):
            forms.setdefault(short, []).append(long)
        return forms

    # Chunks

    def count(self) -> int:
        generation, known = self.generation, self._count
        if known[0] != generation:
            known = self._count = (generation, int(self.rows("SELECT count(*) FROM chunk")[0][0]))
        return known[1]

    def chunks(self, ids: Sequence[int]) -> dict[int, Chunk]:
        """The chunks among these that are there, by id. A document's chunks have consecutive ids, in order."""
        rows = self.rows(
            'SELECT chunk.id, path, title, section, start, "end", substr(text, start + 1, "end" - start), kind, units,'
            " header, page, named FROM chunk JOIN document ON document.id = chunk.document"
            f" WHERE chunk.id IN {_GIVEN}",
            json.dumps(list(ids)),
        )
        return {i: Chunk(*(*row[:7], unpack_units(row[7]), *row[8:10], bool(row[10]))) for i, *row in rows}

    def select(self, documents: Iterable[str] = (), kinds: Iterable[str] = ()) -> list[int]:
        """Ids of the chunks of these documents (by path or glob pattern; a folder means what is in it) and kinds."""
        where, values = _these(list(documents))
        if kinds := list(kinds):
            where += f" AND kind IN ({','.join('?' * len(kinds))})"
        query = f"SELECT chunk.id FROM chunk JOIN document ON document.id = document WHERE {where} ORDER BY chunk.id"
        return [row[0] for row in self.rows(query, *values, *kinds)]

    # Words

    def match(self, terms: Sequence[str], n: int, among: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """The chunks that hold any of the terms, with their BM25, best first."""
        with self.reading():
            return self._fulltext.match(terms, n, among)

    def words(self, ids: Sequence[int]) -> list[Words]:
        """The terms of these chunks, in the order of their ids."""
        return self._fulltext.words(ids)

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """In how many chunks each term stands."""
        with self.reading():
            return self._fulltext.frequencies(terms)

    def meant(self, term: str) -> str:
        """The word that a word which stands nowhere is a slip of, or nothing."""
        return self._fulltext.meant(term)

    # Vectors

    def vectors(self, ids: Sequence[int] | None = None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The vectors of these chunks, or of all, as SQLite keeps them: ids and a matrix, in the order of the ids."""
        from ingest.vectors import everything, stored

        with self.reading(), _in_words(self.place):
            embedder = self.meta("embedder")
            return everything(self.db, embedder, self.count()) if ids is None else stored(self.db, embedder, ids)

    def nearest(
        self, vector: NDArray[np.float32], n: int, among: Sequence[int] | None = None
    ) -> list[tuple[int, float]]:
        """The chunks nearest to a vector with their cosine similarity, best first: by Chroma, or exactly.

        Exactly (every vector is compared) where Chroma is being written or is out of reach, and among a given few.
        """
        with self.reading():
            return self._nearest.find(vector, n, among)

    # SQLite

    @property
    def db(self) -> sqlite3.Connection:
        """This thread's connection."""
        if not hasattr(self._local, "db"):
            self._local.db = connect(self.place / FILE)
        db: sqlite3.Connection = self._local.db
        return db

    def rows(self, query: str, *values: object) -> list[Any]:
        """For the other files of this package: what a query gives."""
        with _in_words(self.place):
            return self.db.execute(query, values).fetchall()


@contextlib.contextmanager
def _in_words(place: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LibraryError(
            f"{place / FILE} cannot be read ({error}): if it is damaged, move it away and run `footnote ingest FOLDER`"
        ) from error


def _these(documents: Sequence[str]) -> tuple[str, list[str]]:
    if not documents:
        return "1", []
    where = " OR ".join(["path = ? OR path GLOB ? OR path GLOB ?"] * len(documents))
    return f"({where})", [v for d in documents for v in (d, d, d.rstrip("/") + "/*")]
