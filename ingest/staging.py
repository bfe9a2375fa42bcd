"""Documents on their way in: tables in a file of their own, seen by no reader, which any kill may spoil."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from ingest.chunks import Chunk
from ingest.documents import Document
from ingest.folders import Found
from ingest.units import pack_units
from ingest.words import short_forms, terms

FILE = "staging.sqlite"
_COPIES = ("document", "chunk", "short_form")


class Staging:
    """Attached to the connection that will bring it in. Ids are the library's next ones."""

    def __init__(self, db: sqlite3.Connection, place: Path) -> None:
        self._db = db
        discard_staging(place)
        db.execute("ATTACH ? AS staging", (str(place / FILE),))
        db.execute("PRAGMA staging.journal_mode = OFF")
        db.execute("PRAGMA staging.synchronous = OFF")
        for table in _COPIES:
            db.execute(f"CREATE TABLE staging.{table} AS SELECT * FROM main.{table} WHERE 0")
        db.execute("CREATE TABLE staging.words (id INTEGER PRIMARY KEY, text TEXT, beside TEXT)")
        self._last: dict[str, int] = {"document": 0, "chunk": 0}
        self._last.update(db.execute("SELECT name, seq FROM main.sqlite_sequence"))

    def add(self, f: Found, d: Document, chunks: Sequence[Chunk], made_by: str) -> None:
        number = self._next("document")
        row = (number, f.root, f.file, d.path, d.title, d.named, d.text, d.sha256, d.text_sha256, f.size, f.mtime_ns)
        self._insert("document", [(*row, made_by, json.dumps(dict(d.repairs)), json.dumps(d.notes))])
        numbered = [(self._next("chunk"), c) for c in chunks]
        self._insert("chunk", [_row(i, number, c) for i, c in numbered])
        self._insert("words", [(i, " ".join(terms(c.text)), " ".join(terms(c.context))) for i, c in numbered])
        self._insert("short_form", [(short, long, number) for short, long in sorted(set(short_forms(d.text)))])

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
    (place / FILE).unlink(missing_ok=True)


def _row(number: int, document: int, c: Chunk) -> tuple[object, ...]:
    units = pack_units(c.units)
    return (number, document, c.section, c.start, c.end, c.kind, c.header, c.page, units, c.key)
