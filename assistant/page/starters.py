"""Questions to begin with, drawn from the guides: those that they ask themselves, else what their headings name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest

from assistant.plain import neutralise
from ingest.chunks import Chunk
from ingest.library import Library

SAMPLE = 400  # chunks looked at
SHORTEST, LONGEST = 12, 90  # characters of a starter
_GENERAL = re.compile(
    r"(?i)introduction|overview|summary|conclusion|contents|table of|references|resources|faq|frequently|further"
    r"|notes?$|about|licen[cs]e|appendix"
)
_BEGINS_NAME = re.compile(r"^(?:[A-Z][A-Za-z]*[A-Z]|[A-Z]\d|[A-Z]+\b)")


def starters(library: Library, n: int = 5) -> list[str]:
    """At most one question in turn from each guide, those that the guides ask themselves first."""
    ids = library.select()
    chunks = library.chunks(ids[:: max(1, len(ids) // SAMPLE)])
    by_guide: dict[str, list[Chunk]] = {}
    for _, chunk in sorted(chunks.items()):
        by_guide.setdefault(chunk.document, []).append(chunk)
    rounds = zip_longest(*(list(_spread(list(dict.fromkeys(_asked(found))))) for found in by_guide.values()))
    return list(dict.fromkeys(filter(None, chain.from_iterable(rounds))))[:n]


def _spread(questions: list[str]) -> Iterator[str]:
    """From the middle on: what stands first is seldom what a guide is about."""
    middle = len(questions) // 2
    return chain(questions[middle:], questions[:middle])


def _asked(chunks: Sequence[Chunk]) -> Iterator[str]:
    headings = [neutralise(c.section.rsplit(" > ", 1)[-1]).strip() for c in chunks]
    asked = [h for h in headings if h.endswith("?") and SHORTEST <= len(h) <= LONGEST]
    if asked:
        return iter(asked)
    named = (h.rstrip(".:") for h in headings if h and "?" not in h and not _GENERAL.search(h))
    return (q for h in named if len(q := f"What is said about {_lowered(h)}?") <= LONGEST and len(h.split()) > 1)


def _lowered(heading: str) -> str:
    bare = re.sub(r"^[\d.]+\s+", "", heading)
    return bare if _BEGINS_NAME.match(bare) else bare[:1].lower() + bare[1:]
