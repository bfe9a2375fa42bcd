"""Whether to answer at all, decided before anything is written, from what was retrieved."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from assistant.expects import expected, holds
from assistant.plain import neutralise
from assistant.ranking import calibration, chance
from assistant.retrieve import Found
from ingest.words import terms

LOOKED_AT = 3  # passages in which the question's words may stand

Evidence = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    answerable: bool
    chance: float  # that the guides hold the answer
    reason: str = ""  # one line for the user where it is not answered


def decide(found: Found, evidence: Evidence, *, strict: bool) -> Verdict:
    """`strict` is for the quoting writer; a model reads the passages and may still say that they do not answer."""
    if not found.passages:
        return Verdict(False, 0.0, f"Looked for {_sought(found)}; nothing in the library comes near it.")
    features = decision_features(found, evidence)
    likely = float(chance({name: np.array([value]) for name, value in features.items()}, found.mode, "answer")[0])
    if likely >= calibration()[found.mode]["threshold"]["strict" if strict else "loose"]:
        return Verdict(True, likely)
    nowhere = missing_words(found)
    words = f"; {', '.join(nowhere)} stands in none of the passages that come nearest" if nowhere else ""
    return Verdict(False, likely, f"Looked for {_sought(found)}{words}.")


def decision_features(found: Found, evidence: Evidence) -> dict[str, float]:
    """What tells an answerable question from a near miss."""
    tops = [p.score for p in found.passages[:3]]
    units = sorted((score for passage in evidence for score in passage), reverse=True)
    nearby = _nearby(found)
    weights = found.query.weights
    absent = [weight for term, weight in weights.items() if not found.query.has(term, nearby)]
    features = {name: float(column[0]) for name, column in found.features.items()}
    kinds = expected(found.understood.question) - {"list"}
    best = max(((s, r, i) for r, p in enumerate(evidence) for i, s in enumerate(p)), default=(0.0, 0, 0))
    text = _unit(found, best[1], best[2]) if units else ""
    return {
        "top": float(np.log(tops[0] + 1e-6)),
        "margin": tops[0] - tops[-1],
        "unit": float(np.log((units or [0.0])[0] + 1e-6)),
        "cosine": features.get("cosine", 0.0),
        "anywhere": features.get("anywhere", 0.0),
        "absent": sum(absent) / found.query.total,
        "rarest_absent": max(absent, default=0.0) / max(weights.values(), default=1.0),
        "fits": sum(holds(k, text, found.understood.question) for k in kinds) / len(kinds) if kinds else 1.0,
        "short": float(len(weights) <= 2),
    } | ({"reranker": features["reranker"]} if found.mode == "reranked" else {})


def missing_words(found: Found) -> list[str]:
    """The question's own words that none of the nearest passages has."""
    nearby = _nearby(found)
    words = re.findall(r"[\w$%'’.-]*\w", found.understood.question)
    return [
        neutralise(w)
        for w in words
        if (own := terms(w)) and own[0] in found.query.weights and not found.query.has(own[0], nearby)
    ]


def _nearby(found: Found) -> set[str]:
    return {t for p in found.passages[:LOOKED_AT] for t in terms(f"{p.title}\n{p.section}\n{p.header}\n{p.text}")}


def _unit(found: Found, passage: int, unit: int) -> str:
    p = found.passages[passage]
    return p.text[p.units[unit].start - p.start : p.units[unit].end - p.start]


def _sought(found: Found) -> str:
    return f"“{neutralise(found.understood.text)}”"
