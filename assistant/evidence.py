"""Which units of the passages answer a question: one chance for each, fitted like the passages' own scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from assistant.expects import expected, holds
from assistant.ranking import Query
from assistant.retrieve import Passage
from ingest.chunks import Unit
from ingest.words import terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.embed import Embedder


def unit_text(passage: Passage, unit: Unit) -> str:
    return passage.text[unit.start - passage.start : unit.end - passage.start]


def in_context(passage: Passage, unit: Unit) -> str:
    """A unit with the innermost heading and, for a row, its table's header: enough to know what it speaks of."""
    heading = passage.section.rsplit(" > ", 1)[-1]
    header = passage.header if unit.kind == "row" else ""
    return "\n".join(filter(None, (heading, header, unit_text(passage, unit))))


def unit_features(
    question: str, query: Query, passages: Sequence[Passage], embedder: Embedder
) -> dict[str, NDArray[np.float64]]:
    """One row for each unit of each passage, in order."""
    pairs = [(p, rank, u, i) for rank, p in enumerate(passages) for i, u in enumerate(p.units)]
    texts = [unit_text(p, u) for p, _, u, _ in pairs]
    vectors = embedder.embed([question, *(in_context(p, u) for p, _, u, _ in pairs)])
    asked = expected(question)
    rows = [_row(query, asked, question, text, p, rank, u, i) for (p, rank, u, i), text in zip(pairs, texts, strict=True)]
    features = {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}
    features["cosine"] = (vectors[1:] @ vectors[0]).astype(np.float64)
    return features


def _row(
    query: Query, asked: frozenset[str], question: str, text: str, p: Passage, rank: int, u: Unit, i: int
) -> Mapping[str, float]:
    inside, beside = set(terms(text)), set(terms(f"{p.section} {p.header}"))
    in_unit = sum(w for t, w in query.weights.items() if t in inside) / query.total
    anywhere = sum(w for t, w in query.weights.items() if t in inside or t in beside) / query.total
    kinds = asked & {"figure", "date", "name", "code", "reason", "definition"}
    return {
        "in_unit": in_unit,
        "anywhere": anywhere,
        "passage": float(np.log(p.score / (1 - p.score + 1e-9) + 1e-9)),
        "top": float(rank == 0),
        "fits": float(all(holds(kind, text, question) for kind in kinds)) if kinds else 0.5,
        "heading": float(u.kind == "heading"),
        "row": float(u.kind == "row"),
        "code": float(u.kind == "code"),
        "code_asked": float(u.kind == "code" and "code" in asked),
        "item_asked": float(u.kind == "item" and "list" in asked),
        "lead_in": float(text.rstrip().endswith(":")),
        "short": float(len(text) < 40),
        "first": float(i == 0),
    }
