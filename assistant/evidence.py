"""Which units of the passages answer a question: one chance for each, fitted like the passages' own scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assistant.expects import expected, holds
from assistant.ranking import Query, chance
from assistant.retrieve import Found, Passage
from ingest.chunks import Unit
from ingest.words import terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from assistant.ranking import Features
    from ingest.embed import Embedder


def unit_text(passage: Passage, unit: Unit) -> str:
    return passage.text[unit.start - passage.start : unit.end - passage.start]


def in_context(passage: Passage, unit: Unit) -> str:
    """A unit with the innermost heading and, for a row, its table's header: enough to know what it speaks of."""
    heading = passage.section.rsplit(" > ", 1)[-1]
    header = passage.header if unit.kind == "row" else ""
    return "\n".join(filter(None, (heading, header, unit_text(passage, unit))))


def unit_features(found: Found, embedder: Embedder) -> Features:
    """One row for each unit of each passage, in order."""
    question, passages = found.understood.text, found.passages
    places = [(rank, i) for rank, p in enumerate(passages) for i in range(len(p.units))]
    if not places:
        return {}
    texts = [in_context(passages[rank], passages[rank].units[i]) for rank, i in places]
    vectors = embedder.embed([question, *texts])
    asked = expected(question)
    rows = [_row(found.query, asked, question, passages[rank], rank, i) for rank, i in places]
    features = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return features | {"cosine": (vectors[1:] @ vectors[0]).astype(np.float64)}


def _row(query: Query, asked: frozenset[str], question: str, p: Passage, rank: int, i: int) -> dict[str, float]:
    unit = p.units[i]
    text = unit_text(p, unit)
    inside = set(terms(text))
    kinds = asked - {"list"}
    return {
        "in_unit": query.found(inside),
        "anywhere": query.found(inside | set(terms(f"{p.section} {p.header}"))),
        "passage": math.log(p.score + 1e-6),
        "top": float(rank == 0),
        "fits": sum(holds(kind, text, question) for kind in kinds) / len(kinds) if kinds else 0.5,
        "heading": float(unit.kind == "heading"),
        "row": float(unit.kind == "row"),
        "code": float(unit.kind == "code"),
        "code_asked": float(unit.kind == "code" and "code" in asked),
        "item_asked": float(unit.kind == "item" and "list" in asked),
        "lead_in": float(text.rstrip().endswith(":")),
        "header": float(text.strip() == p.header),
    }


@dataclass(frozen=True, slots=True)
class Evidence:
    """How likely each unit of each passage is to be (part of) the answer, and what that rests on, unit by unit."""

    chances: tuple[tuple[float, ...], ...]
    features: Features

    @property
    def flat(self) -> NDArray[np.float64]:
        return np.array([chance for passage in self.chances for chance in passage])


def weigh(found: Found, features: Features) -> Evidence:
    chances = iter(chance(features, found.mode, "unit").tolist() if features else ())
    return Evidence(tuple(tuple(next(chances) for _ in p.units) for p in found.passages), features)
