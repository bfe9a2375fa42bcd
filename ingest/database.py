"""The one SQLite file that is the library: its tables, and how it is made and opened."""

from __future__ import annotations

import os
import sqlite3
import uuid
from pathlib import Path
from urllib.parse import quote

from ingest.errors import LibraryError

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


def create(place: Path) -> None:
    """The file with its tables, empty; nothing happens if it is there."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(place / FILE, timeout=60, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")  # it stays with the file: readers go on while somebody writes
        db.execute("BEGIN IMMEDIATE")  # of two that create at once, one waits here and then finds it made
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            for statement in filter(str.strip, _SCHEMA.split(";\n")):
                db.execute(statement)
            start = {
                "format": FORMAT,
                "id": uuid.uuid4().hex[:12],
                "generation": 0,
                "index_serial": 0,
                "index_clean": 1,
            }
            db.executemany("INSERT INTO meta VALUES (?, ?)", [(key, str(value)) for key, value in start.items()])
        db.execute("COMMIT")
        db.close()
    except (OSError, sqlite3.Error) as error:
        raise LibraryError(f"cannot make a library at {place}: {error}; choose another with --library DIR") from error


def connect(file: Path) -> sqlite3.Connection:
    """A connection for reading or writing. Where nothing can be written, the file is read as it stands."""
    if not os.access(file.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        uri = f"file:{quote(str(file.absolute()))}?immutable=1"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    return sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)
