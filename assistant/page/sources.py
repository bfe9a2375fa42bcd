"""A footnote becomes its place in the guide: the words themselves, and the section around them."""

from __future__ import annotations

import glob
import re
from bisect import bisect_right
from dataclasses import dataclass

from assistant.plain import neutralise
from ingest.errors import LibraryError
from ingest.library import Library

AROUND = 1600  # characters shown on either side of a quote, if its section is that long
BESIDE = 300  # and at least these, over the section's edge
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_WORDS: tuple[tuple[float, str], ...] = ((0.8, "very likely"), (0.5, "likely"), (0.2, "possibly"))


@dataclass(frozen=True, slots=True)
class Place:
    """`before + quote + after` is a run of the guide's text. `said` is one line where the guide is not what it was."""

    document: str
    title: str
    path: tuple[str, ...]
    start: int
    end: int
    before: str
    quote: str
    after: str
    opens: bool  # the guide begins here
    closes: bool  # the guide ends here
    in_code: bool  # the run begins inside a block of code
    said: str = ""
    found: bool = True  # whether the words stand in the guide as it is now


@dataclass(frozen=True, slots=True)
class _Guide:
    text: str
    text_sha256: str
    edges: tuple[int, ...]  # where its chunks begin
    sections: tuple[str, ...]  # of each chunk


class Sources:
    """Finds places in a library's guides. Remembers guides until the library changes."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._generation = -1
        self._guides: dict[str, _Guide | None] = {}

    def hashes(self, documents: set[str]) -> dict[str, str]:
        """The hash of each document's text, now."""
        return {d.path: d.text_sha256 for d in self.library.documents() if d.path in documents}

    def place(self, document: str, title: str, section: str, start: int, end: int, quote: str, was: str = "") -> Place:
        """`was` is the hash of the guide's text when it was cited; without it nothing is said about changes."""
        guide, path = self._guide(document), tuple(filter(None, section.split(" > ")))
        quote = neutralise(quote)
        if guide is None:
            said = "This guide is no longer in the library. These are the words as they were cited."
            return Place(document, title, path, start, end, "", quote, "", True, True, False, said, found=False)
        said = ""
        if guide.text[start:end] != quote or (was and was != guide.text_sha256):
            moved = _only(guide.text, quote, start)
            if moved < 0:
                said = "The guide has changed since, and no longer holds these words. Here they are as they were cited."
                return Place(document, title, path, start, end, "", quote, "", True, True, False, said, found=False)
            said = "The guide has changed since this answer. The words are still in it" + (
                "." if moved == start else ", in another place."
            )
            start, end = moved, moved + len(quote)
        first, last = _around(guide, start, end)
        text, fenced = guide.text, len(_FENCE.findall(guide.text, 0, first)) % 2 == 1
        return Place(
            document, title, path, start, end, text[first:start], quote, text[end:last],
            first == 0, last == len(text), fenced, said,
        )  # fmt: skip

    def whole(self, document: str, start: int, end: int) -> Place | None:
        """The guide in full, with these characters as the quote."""
        guide = self._guide(document)
        if guide is None:
            return None
        text = guide.text
        start, end = max(0, min(start, len(text))), max(0, min(end, len(text)))
        end = max(start, end)
        title = next((d.title for d in self.library.documents() if d.path == document), document)
        return Place(document, title, (), start, end, text[:start], text[start:end], text[end:], True, True, False)

    def _guide(self, document: str) -> _Guide | None:
        generation = self.library.generation
        if generation != self._generation:
            self._guides, self._generation = {}, generation
        if document not in self._guides:
            self._guides[document] = self._read(document)
        return self._guides[document]

    def _read(self, document: str) -> _Guide | None:
        sha = self.hashes({document})
        if not sha:
            return None
        try:
            text = neutralise(self.library.text(document))
        except LibraryError:  # removed between the two looks
            return None
        chunks = self.library.chunks(self.library.select([glob.escape(document)]))
        ordered = sorted(chunks.values(), key=lambda c: c.start)
        return _Guide(text, sha[document], tuple(c.start for c in ordered), tuple(c.section for c in ordered))


def _around(guide: _Guide, start: int, end: int) -> tuple[int, int]:
    """From where to where to show: the section, cut to what one reads at a glance, at the edges of lines."""
    text, edges, sections = guide.text, guide.edges, guide.sections
    low, high = max(0, start - AROUND), min(len(text), end + AROUND)
    here = bisect_right(edges, start) - 1
    if here >= 0:
        first = last = here
        while first > 0 and sections[first - 1] == sections[here]:
            first -= 1
        while last + 1 < len(sections) and sections[last + 1] == sections[here]:
            last += 1
        section_end = edges[last + 1] if last + 1 < len(edges) else len(text)
        low = max(low, min(edges[first], start - BESIDE))
        high = min(high, max(section_end, end + BESIDE))
    low = 0 if low <= 0 else text.rfind("\n", 0, low) + 1 if low - text.rfind("\n", 0, low) < AROUND else low
    stop = text.find("\n", high)
    high = stop if 0 <= stop - high < AROUND else len(text) if stop < 0 and len(text) - high < AROUND else high
    return max(0, low), min(len(text), high)


def _only(text: str, quote: str, near: int) -> int:
    """Where the quote stands: where it was, else its nearest place; -1 if nowhere."""
    if not quote:
        return -1
    if text.startswith(quote, near):
        return near
    before, after = text.rfind(quote, 0, near + len(quote)), text.find(quote, near)
    found = [at for at in (before, after) if at >= 0]
    return min(found, key=lambda at: abs(at - near)) if found else -1


def in_words(score: float) -> str:
    """What a score means: it is the chance that the passage holds the answer."""
    for least, words in _WORDS:
        if score >= least:
            return words
    return "unlikely"
