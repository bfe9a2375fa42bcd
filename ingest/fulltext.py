"""Full-text search over the library's chunks: SQLite's FTS5, on the terms that `words.py` makes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.words import is_slip

if TYPE_CHECKING:
    from ingest.library import Library

MOST_POSTINGS = 10_000  # that one search may touch, 1.1 µs each; the ranking counts all terms of what is found
LONG_ENOUGH = 6  # a shorter word is a letter away from too many others
BESIDE = 0.6  # what a match in title, section or table header counts, against one in the text


@dataclass(frozen=True, slots=True)
class Words:
    """The terms of one chunk: of its text, and of what stands beside it."""

    text: Sequence[str]
    beside: Sequence[str]


class FullText:
    """Matches terms at whatever state the library is in. Used by several threads."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._frequencies: tuple[int, dict[str, int]] = (-1, {})

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
        rows = self.library.rows(
            "SELECT text, beside FROM words WHERE rowid IN (SELECT value FROM json_each(?)) ORDER BY rowid",
            json.dumps(list(ids)),
        )
        return [Words(text.split(), beside.split()) for text, beside in rows]

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
