"""A guide in its own sentences: for each of its parts the sentence that is most like the part and the whole.

"Summarise the guide NAME" is answered with these, each with its footnote; a model is given their passages to retell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from assistant.helps import GENERAL
from assistant.judge import leans
from assistant.records import Cite, Request, Stop, Text
from assistant.retrieve import as_passage, open_embedder
from ingest.words import terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.chunks import Chunk, Unit
    from ingest.library import Library, Stored

PARTS = 7  # of a guide that are told of, the ones most like the whole of it
FEWEST_WORDS, MOST_WORDS = 7, 45  # of a sentence that can stand alone
NAMED = 0.5  # of the words that name a guide and are asked for: what both have
_ASKED = re.compile(
    r"\W*(?:(?:please|can you|could you)\s+)*(?:(?:give|show|write|make)\s+(?:me\s+)?)?(?:an?\s+|the\s+)?(?:short\s+)?"
    r"(?:summari[sz]e|sum up|summary of|overview of)\s+(?P<what>.+)",
    re.IGNORECASE | re.DOTALL,
)
_KIND = re.compile(r"^(?:the|this|that|my|our)?\s*(?:guide|document|file|article|paper|page|notebook)?s?\b\W*", re.I)
_MARK = re.compile(r"^(?:[-*+•]|\d{1,3}[.)])\s+")


@dataclass(frozen=True, slots=True)
class Told:
    """The quoting writer's way with a summary: the chosen units, as they are, in the guide's order."""

    name: str = "quotes"

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        for number, (passage, unit) in enumerate(request.told):
            found = request.passages[passage]
            at = found.units[unit]
            words = " ".join(found.text[at.start - found.start : at.end - found.start].split())
            yield Text(("\n- " if number else "- ") + _MARK.sub("", words))
            yield Cite(((passage, unit),))
        yield Stop()


def asked_for(question: str, library: Library, documents: Sequence[str] = ()) -> str:
    """The guide that a question wants summed up; nothing where it asks for something else, or for no one guide."""
    found = _ASKED.fullmatch(question.strip())
    if not found:
        return ""
    stored = library.documents(documents)
    what = found["what"].strip(" .!?\"'“”")
    name = what[match.end() :] if (match := _KIND.match(what)) else what
    if not name.strip(" .!?\"'“”"):
        return stored[0].path if len(stored) == 1 else ""
    likeness = sorted(((_likeness(name, one), one.path) for one in stored), reverse=True)
    clear = likeness and likeness[0][0] >= NAMED and (len(likeness) < 2 or likeness[1][0] < likeness[0][0])
    return likeness[0][1] if clear else ""


def _likeness(name: str, stored: Stored) -> float:
    """How much of the name and of what the guide is called is in both."""
    if name.strip() in (stored.path, stored.title):
        return 1.0
    given = set(terms(name))
    called = [set(terms(text)) for text in (stored.title, stored.title.split(":")[0], stored.path.rsplit("/", 1)[-1])]
    return max((len(given & words) / len(given | words) for words in called if given | words), default=0.0)


def summary(library: Library, document: str, question: str) -> Request:
    """The request that a writer is given: passages of the guide's main parts, and which units tell them."""
    import glob

    ids = library.select([glob.escape(document)])
    chunks = library.chunks(ids)
    order, vectors = library.vectors(ids)
    near = dict(zip(order.tolist(), vectors, strict=True))
    whole = _mean([near[i] for i in ids if i in near])
    chosen = [(chunks[i], _best(library, chunks[i], near[i], whole)) for i in _parts(ids, chunks, near, whole)]
    told = [(chunk, unit) for chunk, unit in chosen if unit >= 0]
    passages = tuple(as_passage(chunk, 1.0) for chunk, _ in told)
    picked = tuple((number, unit) for number, (_, unit) in enumerate(told))
    evidence = tuple(tuple(float(u == unit) for u in range(len(chunk.units))) for chunk, unit in told)
    return Request(question, passages, evidence=evidence, told=picked)


def _parts(
    ids: Sequence[int], chunks: dict[int, Chunk], near: dict[int, NDArray[np.float32]], whole: NDArray[np.float32]
) -> list[int]:
    """Of each main part of the guide the chunk that is most like it, in order; the parts most like the whole."""
    parts = [list(run) for _, run in groupby((i for i in ids if i in near), key=lambda i: _part(chunks[i].section))]
    if len(parts) < 3:  # nearly no headings: then by length
        parts = [list(run) for run in np.array_split([i for i in ids if i in near], PARTS) if len(run)]
    best = {}
    for run in parts:
        run = [i for i in run if not GENERAL.match(chunks[i].section.rsplit(" > ", 1)[-1])]
        if not run:
            continue
        own = _mean([near[i] for i in run])
        told = [i for i in run if any(_stands(chunks[i], unit) for unit in chunks[i].units)]
        if told:
            chosen = max(told, key=lambda i: float(near[i] @ (own + whole)))
            best[chosen] = float(own @ whole) * float(np.log1p(len(run)))
    return sorted(sorted(best, key=lambda i: -best[i])[:PARTS])


def _part(section: str) -> str:
    """The main part that a section belongs to: its heading below the guide's own title."""
    return " > ".join(section.split(" > ")[:2])


def _best(library: Library, chunk: Chunk, part: NDArray[np.float32], whole: NDArray[np.float32]) -> int:
    """The unit that says best what the chunk, its part and the guide are about; -1 where none stands alone."""
    able = [i for i, unit in enumerate(chunk.units) if _stands(chunk, unit)]
    if not able:
        return -1
    vectors = open_embedder(library.meta("embedder_name")).embed([_words(chunk, chunk.units[i]) for i in able])
    return able[int((vectors @ (part + whole)).argmax())]


def _stands(chunk: Chunk, unit: Unit) -> bool:
    """Whether a unit is a sentence that can be read alone."""
    text = _words(chunk, unit).strip()
    if (
        unit.kind not in ("sentence", "item")
        or text.endswith((":", "?"))
        or not text.endswith((".", "!", "”", '"', ")"))
    ):
        return False
    return FEWEST_WORDS <= len(text.split()) <= MOST_WORDS and not leans(text)


def _words(chunk: Chunk, unit: Unit) -> str:
    return chunk.text[unit.start - chunk.start : unit.end - chunk.start]


def _mean(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    total = np.sum(vectors, axis=0)
    mean: NDArray[np.float32] = total / max(float(np.linalg.norm(total)), 1e-9)
    return mean
