"""The library as its readers see it. SQLite is the truth; the vector index beside it can be thrown away and rebuilt.

A writer (`ingest/writing.py`) prepares everything apart and brings it in by one transaction: until then readers see the
old library, and a kill at any moment leaves it whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

import numpy as np

from ingest.chunks import Chunk, Pages, unpack_units
from ingest.errors import LibraryError
from ingest.index import BATCH, IndexOutOfReach, IndexTrouble, VectorIndex, is_server, is_there
from ingest.readers import Block
from ingest.sources.places import link
from ingest.words import is_slip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = tuple[NDArray[np.int64], NDArray[np.float32]]


# The one SQLite file that is the library: its tables, and how it is made and opened.

FORMAT = 1
FILE = "library.sqlite"

# Ids are never used twice (AUTOINCREMENT): the vector index may still hold one that is gone here.
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE root (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE document (
  id INTEGER PRIMARY KEY AUTOINCREMENT, root TEXT NOT NULL, file TEXT NOT NULL, path TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL, named INTEGER NOT NULL, text TEXT NOT NULL, sha256 TEXT NOT NULL, text_sha256 TEXT NOT NULL,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, made_by TEXT NOT NULL, repairs TEXT NOT NULL, notes TEXT NOT NULL);
CREATE TABLE chunk (
  id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL, section TEXT NOT NULL, start INTEGER NOT NULL,
  "end" INTEGER NOT NULL, kind TEXT NOT NULL, header TEXT NOT NULL, page INTEGER, units TEXT NOT NULL,
  vector BLOB NOT NULL);
CREATE INDEX chunk_document ON chunk (document);
CREATE INDEX chunk_vector ON chunk (vector);
CREATE TABLE vector (id INTEGER PRIMARY KEY, embedder TEXT NOT NULL, key BLOB NOT NULL, data BLOB NOT NULL);
CREATE UNIQUE INDEX vector_key ON vector (embedder, key);
CREATE TABLE excluded (file TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE failure (
  root TEXT, file TEXT, reason TEXT NOT NULL, size INTEGER, mtime_ns INTEGER, PRIMARY KEY (root, file));
CREATE TABLE short_form (short TEXT, long TEXT, document INTEGER, PRIMARY KEY (short, long, document)) WITHOUT ROWID;
CREATE TABLE run (id INTEGER PRIMARY KEY, started REAL, finished REAL, summary TEXT);
CREATE VIRTUAL TABLE words USING fts5 (text, beside, tokenize="ascii tokenchars '_'");
CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, row);
"""
# What libraries made before there were fetched sources get when they are next written to; till then they have none.
_SOURCES = """
CREATE TABLE IF NOT EXISTS source (root TEXT PRIMARY KEY, about TEXT NOT NULL, checked REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fetched (
  root TEXT, file TEXT, asked TEXT NOT NULL, address TEXT NOT NULL, at REAL NOT NULL, sha256 TEXT NOT NULL,
  etag TEXT NOT NULL, modified TEXT NOT NULL, PRIMARY KEY (root, file)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS origin (document INTEGER PRIMARY KEY, address TEXT NOT NULL, at REAL NOT NULL);
"""

# The blocks of each document. Libraries made before there were any have none until something is written to them.
LAYOUT = "CREATE TABLE IF NOT EXISTS layout (document INTEGER PRIMARY KEY, blocks TEXT NOT NULL)"
# Of documents with words that were read from pictures: from where to where, and how sure. As with the blocks.
OCR = "CREATE TABLE IF NOT EXISTS ocr (document INTEGER PRIMARY KEY, lines TEXT NOT NULL)"


def create(place: Path) -> None:
    """The file with its tables, empty; nothing happens if it is there."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(place / FILE, timeout=60, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")  # it stays with the file: readers go on while somebody writes
        db.execute("BEGIN IMMEDIATE")  # of two that create at once, one waits here and then finds it made
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            for statement in filter(str.strip, [*_SCHEMA.split(";\n"), LAYOUT, OCR]):
                db.execute(statement)
            start = {
                "format": FORMAT,
                "id": uuid.uuid4().hex[:12],
                "generation": 0,
                "index_serial": 0,
                "index_clean": 1,
            }
            db.executemany("INSERT INTO meta VALUES (?, ?)", [(key, str(value)) for key, value in start.items()])
        for statement in filter(str.strip, _SOURCES.split(";\n")):
            db.execute(statement)
        db.execute("COMMIT")
        db.close()
    except (OSError, sqlite3.Error) as error:
        raise LibraryError(f"cannot make a library at {place}: {error}; choose another with --library DIR") from error


def connect(file: Path) -> sqlite3.Connection:
    """A connection for reading or writing; where nothing can be written, one that sees all that was committed."""
    if os.access(file.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        return sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)
    if not _stamp(_journal(file)):
        return Still(file)
    db = sqlite3.connect(_uri(file, "mode=ro"), timeout=60, uri=True, isolation_level=None, check_same_thread=False)
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:  # a journal that nobody has open; to find its way in it, SQLite has to write
        db.close()
        raise LibraryError(
            f"{_journal(file)} was left by a writer that was killed, and cannot be read where nothing can be written: "
            f"run `footnote status --library {file.parent}` once as somebody who may write there"
        ) from None
    return db


class Still(sqlite3.Connection):
    """Where nothing can be written and nobody is writing: the file as it stood when it was opened."""

    def __init__(self, file: Path) -> None:
        self._file, self._stood = file, (_stamp(file), _stamp(_journal(file)))
        super().__init__(_uri(file, "immutable=1"), uri=True, isolation_level=None, check_same_thread=False)

    @property
    def is_outdated(self) -> bool:
        return self._stood != (_stamp(self._file), _stamp(_journal(self._file)))


def _uri(file: Path, how: str) -> str:
    return f"file:{quote(str(file.absolute()))}?{how}"


def _journal(file: Path) -> Path:
    """What was committed last stands here, until it is brought into the file."""
    return file.with_name(file.name + "-wal")


def _stamp(file: Path) -> tuple[int, ...]:
    """Another one whenever the file was written; none where there is nothing in it."""
    try:
        stat = file.stat()
    except OSError:
        return ()
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns) if stat.st_size else ()


def own(place: Path, name: str) -> Path:
    """What a library keeps in its folder. A link might lead anywhere, and what is written to is the library's alone."""
    path = place / name
    if path.is_symlink():
        raise LibraryError(f"{path} is a link, which may lead out of the library: put what it leads to in its place")
    return path


# What readers see: documents and the chunks that they are cut into.

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


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was fetched, as it came: from where, when, and what its server said of it."""

    root: str
    file: str
    asked: str  # what is asked for to have it again
    address: str  # what is shown; of a repository with the commit
    at: float
    sha256: str
    etag: str = ""
    modified: str = ""


class Library:
    """A library opened for reading; `Writing` in `ingest/writing.py` changes it. Safe to use from several threads.

    `troubled` is told, from inside a search, that the vector index is in disorder, and why; the search compares the
    vectors themselves and does not wait. `mend_beside` of `ingest/writing.py` brings the index in order. `brief` says
    that a question or two will be asked: comparing the vectors of a library that is not large takes less than Chroma
    takes to be imported.
    """

    def __init__(
        self,
        place: str | Path,
        notify: Callable[[str], None] = lambda line: None,
        troubled: Callable[[Library, str], None] = lambda library, reason: None,
        *,
        brief: bool = False,
    ) -> None:
        self.place = Path(place)
        self.notify, self.troubled, self.brief = notify, troubled, brief
        self._local = threading.local()
        self._count = (-1, 0)
        self._chunks = Kept[Chunk]()
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
        """This thread's connection and the vector index; the library can be used again, and opens them anew."""
        self._nearest.close()
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
    def state(self) -> str:
        """Another one after every change, and for a library that was made anew in the same place."""
        return f"{self.meta('id')}:{self.generation}"

    @property
    def index_home(self) -> str:
        """Where the vector index lives: on the Chroma server that the library names, else in its own folder."""
        chroma = self.meta("chroma")
        return chroma if is_server(chroma) else str(self.place / "chroma")

    # Documents

    def documents(self, documents: Iterable[str] = ()) -> list[Stored]:
        """These documents, or all: by path or glob pattern; a folder means what is in it."""
        where, values = _these(documents)
        query = (
            "SELECT id, path, title, sha256, text_sha256, root, file, size, mtime_ns, made_by,"
            " (SELECT count(*) FROM chunk WHERE chunk.document = document.id), repairs, notes FROM document"
        )
        rows = self.rows(f"{query} WHERE {where} ORDER BY path", *values)
        return [Stored(*(*row[:11], json.loads(row[11]), tuple(json.loads(row[12])))) for row in rows]

    def text(self, path: str) -> str:
        """The canonical text of a document."""
        for (text,) in self.rows("SELECT text FROM document WHERE path = ?", path):
            return str(text)
        near = [d.path for d in self.documents() if path.lower() in d.path.lower() or d.path.endswith("/" + path)]
        hint = f"did you mean {near[0]}?" if near else "`footnote status` lists what is there"
        raise LibraryError(f"no document {path!r} in {self.place}: {hint}")

    def blocks(self, path: str) -> tuple[Block, ...]:
        """What a document's text is made of, in order; nothing where an earlier Footnote has read it."""
        if not self.rows("SELECT 1 FROM sqlite_master WHERE name = 'layout'"):
            return ()
        rows = self.rows("SELECT blocks FROM layout JOIN document ON document.id = document WHERE path = ?", path)
        return unpack_blocks(rows[0][0]) if rows else ()

    def sure(self, document: str, start: int, end: int) -> int | None:
        """How sure the reading of these characters is, in per cent, where some of them were read from a picture."""
        if not self.rows("SELECT 1 FROM sqlite_master WHERE name = 'ocr'"):
            return None
        rows = self.rows("SELECT lines FROM ocr JOIN document ON document.id = document WHERE path = ?", document)
        lines = json.loads(rows[0][0]) if rows else ()
        shares = [(min(end, to) - max(start, at), sure) for at, to, sure in lines if at < end and to > start]
        return round(sum(n * sure for n, sure in shares) / sum(n for n, _ in shares)) if shares else None

    def paths(self, documents: Iterable[str] = ()) -> list[str]:
        """Of these documents: by path or glob pattern; a folder means what is in it; nothing means all."""
        where, values = _these(documents)
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

    # What was fetched

    def sources(self) -> dict[str, tuple[str, float]]:
        """The roots that are fetched: what each is, as JSON, and when it was last looked at."""
        query = "SELECT root, about, checked FROM source ORDER BY root"
        return {root: (about, checked) for root, about, checked in self._of_sources(query)}

    def fetched(self, root: str) -> list[Fetched]:
        query = (
            "SELECT root, file, asked, address, at, sha256, etag, modified FROM fetched WHERE root = ? ORDER BY file"
        )
        return [Fetched(*row) for row in self._of_sources(query, root)]

    def origins(self, paths: Iterable[str]) -> dict[str, tuple[str, float]]:
        """Where these documents were fetched from, and when; those that were not are left out."""
        query = (
            "SELECT path, address, at FROM origin JOIN document ON document.id = origin.document"
            f" WHERE path IN {_GIVEN}"
        )
        return {path: (address, at) for path, address, at in self._of_sources(query, json.dumps(list(paths)))}

    def address(self, document: str, start: int, end: int) -> str:
        """Where on the web or in a repository these characters stand; nothing for a document that was not fetched."""
        origin = self.origins([document]).get(document)
        if not origin:
            return ""
        query = (
            "SELECT root, file, sha256, substr(text, ? + 1, ?), (SELECT page FROM chunk WHERE chunk.document ="
            ' document.id AND start <= ? AND "end" > ?) FROM document WHERE path = ?'
        )
        ((root, file, sha256, quoted, page),) = self.rows(query, start, end - start, start, start, document)
        return link(origin[0], quoted, start, Path(root) / file, sha256, page)

    def _of_sources(self, query: str, *values: object) -> list[Any]:
        if not self.rows("SELECT 1 FROM sqlite_master WHERE name = 'origin'"):
            return []
        return self.rows(query, *values)

    # What is said in them

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
        with self.reading():
            return self._chunks.of(self.state, ids, self._read)

    def _read(self, ids: Sequence[int]) -> dict[int, Chunk]:
        rows = self.rows(
            'SELECT chunk.id, document.id, path, title, section, start, "end", kind, units, header, page, named'
            f" FROM chunk JOIN document ON document.id = chunk.document WHERE chunk.id IN {_GIVEN}",
            json.dumps(ids),
        )
        texts = self._texts({row[1] for row in rows})
        return {i: _chunk(texts[document], *row) for i, document, *row in rows}

    def _texts(self, documents: Collection[int]) -> dict[int, str]:
        """Whole, as SQLite would go through a text from its beginning for each chunk that is cut out of it."""
        query = f"SELECT id, text FROM document WHERE id IN {_GIVEN}"
        return dict(self.rows(query, json.dumps(list(documents))))

    def select(self, documents: Iterable[str] = (), kinds: Iterable[str] = ()) -> list[int]:
        """Ids of the chunks of these documents (by path or glob pattern; a folder means what is in it) and kinds."""
        where, values = _these(documents)
        if kinds := list(kinds):
            where, values = f"{where} AND kind IN {_GIVEN}", [*values, json.dumps(kinds)]
        query = f"SELECT chunk.id FROM chunk JOIN document ON document.id = document WHERE {where} ORDER BY chunk.id"
        return [row[0] for row in self.rows(query, *values)]

    # Words

    def match(self, terms: Sequence[str], n: int, among: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """The chunks that hold any of the terms, with their BM25, best first."""
        with self.reading():
            return self._fulltext.match(terms, n, among)

    def words(self, ids: Sequence[int]) -> list[Words]:
        """The terms of these chunks, in the order of their ids."""
        with self.reading():
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

        with self.reading(), _readable(self.place):
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
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if isinstance(db, Still) and not db.in_transaction and db.is_outdated:
            db.close()
            db = None
        if db is None:
            db = self._local.db = connect(self.place / FILE)
        return db

    def rows(self, query: str, *values: object) -> list[Any]:
        """For the other files of this package: what a query gives."""
        with _readable(self.place):
            return self.db.execute(query, values).fetchall()


_PLAIN = 7  # fields of a block before those that are runs: `turns` and `sure`


def pack_blocks(blocks: Iterable[Block]) -> str:
    return json.dumps([astuple(block) for block in blocks], separators=(",", ":"))


def unpack_blocks(packed: str) -> tuple[Block, ...]:
    """What an earlier Footnote packed lacks the last of them."""
    rows = json.loads(packed)
    return tuple(Block(*row[:_PLAIN], *(tuple(map(tuple, runs)) for runs in row[_PLAIN:])) for row in rows)


def unpack_pages(start: int, packed: str | int | None) -> Pages:
    """Earlier libraries hold the page on which a chunk begins."""
    if isinstance(packed, str):
        return tuple((offset, page) for offset, page in json.loads(packed))
    return ((start, packed),) if packed else ()


def _chunk(text: str, path: str, title: str, section: str, start: int, end: int, *rest: Any) -> Chunk:
    kind, units, header, page, named = rest
    own, pages = text[start:end], unpack_pages(start, page)
    return Chunk(path, title, section, start, end, own, kind, unpack_units(units), header, pages, bool(named))


T = TypeVar("T")
KEPT = 1000  # chunks, and sets of their words, of the latest searches


class Kept(Generic[T]):
    """What was read of chunks, which stays true for as long as nothing is published: `state` of the library."""

    def __init__(self) -> None:
        self._kept: tuple[object, dict[int, T]] = (None, {})

    def of(self, state: object, ids: Sequence[int], read: Callable[[Sequence[int]], dict[int, T]]) -> dict[int, T]:
        known, kept = self._kept
        kept = kept if known == state else {}
        if missing := [i for i in ids if i not in kept]:
            fresh = read(missing)
            both = kept | fresh
            self._kept = (state, both if len(both) <= KEPT else fresh if len(fresh) <= KEPT else {})
            kept = both
        return {i: kept[i] for i in ids if i in kept}


@contextlib.contextmanager
def _readable(place: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LibraryError(
            f"{place / FILE} cannot be read ({error}): if it is damaged, move it away and run `footnote ingest FOLDER`"
        ) from error


def _these(documents: Iterable[str]) -> tuple[str, list[str]]:
    """A condition on documents. Plain names are looked up by the index: a thousand of them cost what one costs each."""
    given = list(documents)
    if not given:
        return "1", []
    patterns = [d for d in given if set(d) & set("*?[")]
    named = f"document.path IN {_GIVEN}"
    below = (
        "document.id IN (SELECT other.id FROM json_each(?) JOIN document AS other"
        " ON other.path > rtrim(value, '/') || '/' AND other.path < rtrim(value, '/') || '0')"  # '0' comes after '/'
    )
    like = (
        "EXISTS (SELECT 1 FROM json_each(?)"
        " WHERE document.path GLOB value OR document.path GLOB rtrim(value, '/') || '/*')"
    )
    return f"({named} OR {below} OR {like})", [json.dumps(given), json.dumps(given), json.dumps(patterns)]


# Full-text search over the library's chunks: SQLite's FTS5, on the terms that `words.py` makes.

MOST_POSTINGS = 10_000  # that one search may touch, 1.1 µs each; the ranking counts all terms of what is found
LONG_ENOUGH = 6  # a shorter word is a letter away from too many others
BESIDE = 0.6  # what a match in title, section or table header counts, against one in the text


@dataclass(frozen=True, slots=True)
class Words:
    """The terms of one chunk: of its text, and of that and what stands beside it."""

    text: frozenset[str]
    anywhere: frozenset[str]


class FullText:
    """Matches terms at whatever state the library is in. Used by several threads."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._frequencies: tuple[int, dict[str, int]] = (-1, {})
        self._words = Kept[Words]()

    def match(self, terms: Sequence[str], n: int, among: Sequence[int] | None) -> list[tuple[int, float]]:
        chosen = self._affordable(terms)
        if not chosen:
            return []
        limit = "" if among is None else " AND rowid IN (SELECT value FROM json_each(?))"
        given = [] if among is None else [json.dumps(list(among))]
        return self.library.rows(
            f"SELECT rowid, -bm25(words, 1.0, {BESIDE}) FROM words WHERE words MATCH ?{limit} ORDER BY rank LIMIT ?",
            " OR ".join(f'"{term}"' for term in chosen),
            *given,
            n,
        )

    def words(self, ids: Sequence[int]) -> list[Words]:
        return [words for _, words in sorted(self._words.of(self.library.state, ids, self._read).items())]

    def _read(self, ids: Sequence[int]) -> dict[int, Words]:
        query = f"SELECT rowid, text, beside FROM words WHERE rowid IN {_GIVEN}"
        rows = ((i, frozenset(text.split()), beside) for i, text, beside in self.library.rows(query, json.dumps(ids)))
        return {i: Words(text, text.union(beside.split())) for i, text, beside in rows}

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        generation, cached = self.library.generation, self._frequencies
        if cached[0] != generation:
            cached = self._frequencies = (generation, {})
        for term in set(terms) - cached[1].keys():
            rows = self.library.rows("SELECT doc FROM vocabulary WHERE term = ?", term)
            cached[1][term] = rows[0][0] if rows else 0
        return {term: cached[1][term] for term in terms}

    def meant(self, term: str) -> str:
        """The library's most usual word of which this one is a slip of the finger, or nothing.

        Words begin as they were meant to: without that, a large vocabulary takes long to look through.
        """
        if len(term) < LONG_ENOUGH or not term.isalpha():
            return ""
        near = self.library.rows(
            "SELECT term FROM vocabulary WHERE term >= ? AND term < ? AND abs(length(term) - ?) < 2 ORDER BY doc DESC",
            term[:2],
            term[0] + chr(ord(term[1]) + 1),
            len(term),
        )
        return next((word for (word,) in near if is_slip(term, word)), "")

    def _affordable(self, terms: Sequence[str]) -> list[str]:
        """From the rarest on, as long as what they touch is affordable: a common word costs much and tells nothing."""
        frequencies = self.frequencies(terms)
        chosen, touched = list[str](), 0
        for term in sorted((t for t in frequencies if frequencies[t]), key=lambda t: frequencies[t]):
            touched += frequencies[term]
            if touched > MOST_POSTINGS:
                break
            chosen.append(term)
        return chosen


# The vectors that the library keeps, and the nearest among them: by Chroma where it can be trusted, else exactly.

# Vectors that are compared one and all. That takes no longer than asking Chroma, which finds nearly the same, and not
# the same whenever it is opened anew. They are read while Chroma would be imported.
FEW = 20_000
MOST_BY_INDEX = 150  # neighbours; Chroma looks at 160, asked for more it may raise, and comparing with all is as good
SAMPLE = 5  # vectors that have to find themselves before an index is believed
RETRY_SECONDS = 10.0  # before an index that was found in disorder is looked at again; doubled each time
LONGEST_RETRY_SECONDS = 600.0
PATIENT_SECONDS = 1.0  # for another thread that is opening the index; then a search goes without it

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
        self._looking = threading.Lock()  # at the index
        self._index: VectorIndex | None = None
        self._seen: tuple[str, ...] = ()  # of the library, when the index was last looked at
        self._again_at, self._patience = float("inf"), RETRY_SECONDS
        self._loading = threading.Lock()  # all vectors
        self._all: tuple[int, Vectors] | None = None

    def find(self, vector: NDArray[np.float32], n: int, among: Sequence[int] | None) -> list[tuple[int, float]]:
        by_index = among is None and n <= MOST_BY_INDEX and not self._is_quicker_without()
        if by_index and (index := self._usable_index()) and self.library.count() > FEW:
            try:
                return self._by_index(index, vector, n)
            except (IndexTrouble, IndexOutOfReach):
                self._seen = ()  # the next search looks at it again
        ids, matrix = self._everything() if among is None else self.library.vectors(among)
        if not len(ids):
            return []
        cosines = matrix @ vector
        best = np.argsort(-cosines, kind="stable")[:n]
        return [(int(ids[i]), float(cosines[i])) for i in best]

    def _is_quicker_without(self) -> bool:
        """Whether to leave the index, which looks to be in order, unopened."""
        library = self.library
        if not library.brief or library.count() > FEW or library.meta("index_clean") != "1":
            return False
        return is_there(library.index_home, int(library.meta("index_serial")))

    def close(self) -> None:
        with self._looking:
            if self._index:
                self._index.close()
            self._index, self._seen = None, ()

    def _by_index(self, index: VectorIndex, vector: NDArray[np.float32], n: int) -> list[tuple[int, float]]:
        count = self.library.count()
        found = index.nearest(vector, min(n, count))
        query = f"SELECT id FROM chunk WHERE id IN {_GIVEN}"
        there = {row[0] for row in self.library.rows(query, json.dumps([i for i, _ in found]))}
        if len(there) < min(n, count):
            raise IndexTrouble("finds too little")
        return [(i, cosine) for i, cosine in found if i in there]

    def _everything(self) -> Vectors:
        with self._loading:
            generation = self.library.generation
            if self._all is None or self._all[0] != generation:
                self._all = (generation, self.library.vectors())
            return self._all[1]

    def _usable_index(self) -> VectorIndex | None:
        """The index of today's library; None while somebody writes it, or where it is in disorder or slow to open."""
        if not self._looking.acquire(timeout=PATIENT_SECONDS):
            return None
        try:
            seen = tuple(self.library.meta(key) for key in ("generation", "index_clean", "index_serial", "chroma"))
            if seen != self._seen:
                self._patience = RETRY_SECONDS
                self._look(seen)
            elif time.monotonic() > self._again_at:
                self._patience = min(2 * self._patience, LONGEST_RETRY_SECONDS)
                self._look(seen)
            return self._index
        finally:
            self._looking.release()

    def _look(self, seen: tuple[str, ...]) -> None:
        library = self.library
        if self._index:
            self._index.close()
        self._index, self._seen, self._again_at = None, seen, float("inf")
        if not library.count():
            return
        try:
            self._index = open_index(library)
            self._all = None  # 1,536 bytes a chunk that are not needed any more
        except (IndexTrouble, IndexOutOfReach) as error:
            self._again_at = time.monotonic() + self._patience
            if isinstance(error, IndexTrouble):
                library.troubled(library, str(error))
            else:
                library.notify(f"{error}; searching the library's own vectors meanwhile")


def open_index(library: Library) -> VectorIndex:
    """The vector index of a library that is not empty. What is in disorder with it is raised as IndexTrouble."""
    if library.meta("index_clean") != "1":
        raise IndexTrouble("was not finished")
    index = VectorIndex(library.index_home, library.meta("id"), int(library.meta("index_serial")))
    try:
        index.check(library.generation, library.count(), [library.vectors(_sample(library))])
    except BaseException:
        index.close()
        raise
    return index


def _sample(library: Library) -> list[int]:
    """Ids of chunks spread over the library, the first and the newest among them."""
    first, last = library.rows("SELECT min(id), max(id) FROM chunk")[0]
    at = [first + (last - first) * i // (SAMPLE - 1) for i in range(SAMPLE)]
    found = (library.rows("SELECT id FROM chunk WHERE id >= ? ORDER BY id LIMIT 1", i)[0][0] for i in at)
    return sorted(set(found))
