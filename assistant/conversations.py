"""Conversations, in a SQLite file of their own in the library's folder. What is asked is kept before it is answered."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from assistant.records import Answer
from ingest.chunks import Unit
from ingest.errors import LibraryError
from ingest.library import own

FILE = "conversations.sqlite"
TITLE_CHARACTERS = 80

_SCHEMA = """
CREATE TABLE IF NOT EXISTS conversation (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, title TEXT NOT NULL, touched REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS conversation_owner ON conversation (owner, touched);
CREATE TABLE IF NOT EXISTS turn (
  id INTEGER PRIMARY KEY AUTOINCREMENT, conversation TEXT NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
  place INTEGER NOT NULL, question TEXT NOT NULL, answer TEXT, texts TEXT NOT NULL DEFAULT '{}', thumb INTEGER,
  comment TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS turn_conversation ON turn (conversation, place, id);
CREATE TABLE IF NOT EXISTS preference (owner TEXT PRIMARY KEY, chosen TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    title: str
    touched: float


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and what came of it. Asked again, it has the same `place` and a higher `id`.

    `texts` holds the hash of each cited document's text as it was when the answer was written, `versions` the ids of
    all turns at this place, the oldest first.
    """

    id: int
    place: int
    question: str
    answer: Answer | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    thumb: int | None = None  # 0 down, 1 up
    comment: str = ""
    versions: tuple[int, ...] = ()


class Conversations:
    """The store. A browser has an owner's mark and sees only its own. Safe to use from several threads."""

    def __init__(self, place: str | Path) -> None:
        self.file = own(Path(place), FILE)
        try:
            with closing(self._connected()) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise LibraryError(
                f"conversations cannot be kept in {self.file} ({error}): make it writable, or move a damaged one away"
            ) from error

    def begin(self, owner: str, question: str) -> str:
        """A new conversation, called by its first question."""
        name = secrets.token_urlsafe(9)
        with self._db() as db:
            db.execute("INSERT INTO conversation VALUES (?, ?, ?, ?)", (name, owner, _title(question), time.time()))
        return name

    def owned(self, owner: str) -> list[Conversation]:
        """The owner's conversations, the last used first."""
        with self._db() as db:
            rows = db.execute(
                "SELECT id, title, touched FROM conversation WHERE owner = ? ORDER BY touched DESC", (owner,)
            )
            return [Conversation(*row) for row in rows]

    def search(self, owner: str, words: str) -> list[Conversation]:
        """The owner's conversations in which all these words stand: as titles, questions or answers have them."""
        with self._db() as db:
            rows = db.execute(
                "SELECT conversation.id, title, coalesce(group_concat(question || ' ' || coalesce(answer, '')), '')"
                " FROM conversation LEFT JOIN turn ON turn.conversation = conversation.id WHERE owner = ?"
                " GROUP BY conversation.id",
                (owner,),
            ).fetchall()
        sought = words.lower().split()
        hits = {name for name, *texts in rows if all(word in " ".join(texts).lower() for word in sought)}
        return [conversation for conversation in self.owned(owner) if conversation.id in hits]

    def prefer(self, owner: str, chosen: Mapping[str, str]) -> None:
        """What the owner has chosen, for the next visit."""
        with self._db() as db:
            db.execute("INSERT OR REPLACE INTO preference VALUES (?, ?)", (owner, json.dumps(dict(chosen))))

    def preferred(self, owner: str) -> dict[str, Any]:
        with self._db() as db:
            rows = db.execute("SELECT chosen FROM preference WHERE owner = ?", (owner,)).fetchall()
        return dict(json.loads(rows[0][0])) if rows else {}

    def find(self, owner: str, name: str) -> Conversation | None:
        return next((c for c in self.owned(owner) if c.id == name), None)

    def rename(self, owner: str, name: str, title: str) -> None:
        with self._db() as db:
            db.execute("UPDATE conversation SET title = ? WHERE id = ? AND owner = ?", (_title(title), name, owner))

    def delete(self, owner: str, name: str) -> None:
        with self._db() as db:
            db.execute("DELETE FROM conversation WHERE id = ? AND owner = ?", (name, owner))

    def turns(self, name: str) -> list[Turn]:
        """All turns in order; of one place, the oldest version first."""
        with self._db() as db:
            rows = db.execute(
                "SELECT id, place, question, answer, texts, thumb, comment FROM turn WHERE conversation = ?"
                " ORDER BY place, id",
                (name,),
            )
            turns = [
                Turn(turn, place, question, unpacked(answer) if answer else None, json.loads(texts), thumb, comment)
                for turn, place, question, answer, texts, thumb, comment in rows
            ]
        ids: dict[int, tuple[int, ...]] = {}
        for place, versions in groupby(turns, key=lambda turn: turn.place):
            ids[place] = tuple(turn.id for turn in versions)
        return [replace(turn, versions=ids[turn.place]) for turn in turns]

    def ask(self, name: str, question: str, place: int) -> int:
        """Writes down what is asked, and gives the turn's id."""
        with self._db() as db:
            db.execute("UPDATE conversation SET touched = ? WHERE id = ?", (time.time(), name))
            added = db.execute(
                "INSERT INTO turn (conversation, place, question) VALUES (?, ?, ?)", (name, place, question)
            )
            return int(added.lastrowid or 0)

    def answered(self, turn: int, answer: Answer, texts: Mapping[str, str]) -> None:
        with self._db() as db:
            db.execute(
                "UPDATE turn SET answer = ?, texts = ? WHERE id = ?", (packed(answer), json.dumps(dict(texts)), turn)
            )

    def judge(self, turn: int, thumb: int | None, comment: str) -> None:
        with self._db() as db:
            db.execute("UPDATE turn SET thumb = ?, comment = ? WHERE id = ?", (thumb, comment, turn))

    @contextmanager
    def _db(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._connected()) as db, db:
                yield db
        except sqlite3.Error as error:
            raise LibraryError(
                f"{self.file} cannot be used ({error}): make it writable, or move a damaged one away"
            ) from error

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.file, timeout=10)
        db.execute("PRAGMA foreign_keys = ON")
        return db


def packed(answer: Answer) -> str:
    """The answer as JSON, with the units of its passages, which `--json` leaves out."""
    units = [[asdict(unit) for unit in p.units] for p in answer.passages]
    headers = [p.header for p in answer.passages]
    return json.dumps({"answer": answer.to_json(), "units": units, "headers": headers}, ensure_ascii=False)


def unpacked(text: str) -> Answer:
    kept: dict[str, Any] = json.loads(text)
    answer = Answer.from_json(kept["answer"])
    passages = tuple(
        replace(p, units=tuple(Unit(**u) for u in units), header=header)
        for p, units, header in zip(answer.passages, kept["units"], kept["headers"], strict=True)
    )
    return replace(answer, passages=passages)


def _title(text: str) -> str:
    line = " ".join(text.split()) or "Untitled"
    return line if len(line) <= TITLE_CHARACTERS else line[: TITLE_CHARACTERS - 1].rstrip() + "…"
