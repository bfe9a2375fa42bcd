"""The one SQLite file that is the library: its tables, and how it is made and opened."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path

from ingest.errors import LibraryError

FORMAT = 1
FILE = "library.sqlite"

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE root (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE document (
  id INTEGER PRIMARY KEY, live INTEGER NOT NULL, root TEXT NOT NULL, file TEXT NOT NULL, path TEXT NOT NULL,
  title TEXT NOT NULL, text TEXT NOT NULL, sha256 TEXT NOT NULL, text_sha256 TEXT NOT NULL,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, repairs TEXT NOT NULL, notes TEXT NOT NULL);
CREATE UNIQUE INDEX live_path ON document (path) WHERE live;
CREATE TABLE chunk (
  id INTEGER PRIMARY KEY, document INTEGER NOT NULL, section TEXT NOT NULL, start INTEGER NOT NULL,
  "end" INTEGER NOT NULL, kind TEXT NOT NULL, header TEXT NOT NULL, page INTEGER, units TEXT NOT NULL, vector BLOB NOT NULL);
CREATE INDEX chunk_document ON chunk (document);
CREATE INDEX chunk_vector ON chunk (vector);
CREATE TABLE vector (
  embedder TEXT NOT NULL, key BLOB NOT NULL, data BLOB NOT NULL, PRIMARY KEY (embedder, key)) WITHOUT ROWID;
CREATE TABLE excluded (file TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE failure (
  root TEXT, file TEXT, reason TEXT NOT NULL, size INTEGER, mtime_ns INTEGER, PRIMARY KEY (root, file));
CREATE TABLE short_form (short TEXT, long TEXT, document INTEGER, PRIMARY KEY (short, long, document)) WITHOUT ROWID;
CREATE TABLE run (id INTEGER PRIMARY KEY, started REAL, finished REAL, summary TEXT);
CREATE VIRTUAL TABLE words USING fts5 (text, beside, tokenize="unicode61 tokenchars '_'");
CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, row);
"""


def create(place: Path) -> None:
    """The file with its tables, empty; nothing happens if it is there."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        db = connect(place / FILE)
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
    """Every connection is made here. Write-ahead logging lets readers go on reading while somebody writes."""
    db = sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    return db
