"""Whether to answer at all, decided before anything is written, from what was retrieved."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from assistant.evidence import Evidence, unit_text
from assistant.measures import asked, missing_places
from assistant.plain import neutralise
from assistant.ranking import calibration, chance
from assistant.retrieve import Found
from ingest.words import terms

LOOKED_AT = 3  # passages in which the question's words may stand
NEVER = 6.0  # of log-odds: what a measure costs that no unit gives


@dataclass(frozen=True, slots=True)
class Verdict:
    answerable: bool
    chance: float  # that the guides hold the answer
    reason: str = ""  # one line for the user where it is not answered


def decide(found: Found, evidence: Evidence, *, strict: bool) -> Verdict:
    """`strict` is for the quoting writer; a model reads the passages and may still say that they do not answer."""
    if not evidence.flat.size:
        return Verdict(False, 0.0, f"Looked for {_sought(found)}; nothing in the library comes near it.")
    features = decision_features(found, evidence)
    likely = float(chance({name: np.array([value]) for name, value in features.items()}, found.mode, "answer")[0])
    if likely >= calibration()[found.mode]["threshold"]["strict" if strict else "loose"]:
        return Verdict(True, likely)
    nowhere = missing_words(found)
    stand = "stands" if len(nowhere) == 1 else "stand"
    words = f"; {' and '.join(nowhere)} {stand} in none of the passages that come nearest" if nowhere else ""
    return Verdict(False, likely, f"Looked for {_sought(found)}{words}.")


def decision_features(found: Found, evidence: Evidence) -> dict[str, float]:
    """What tells an answerable question from a near miss, which is about the right thing and does not say this."""
    question, query = found.understood.text, found.query
    units = [(unit_text(p, u), f"{p.section}\n{p.header}") for p in found.passages for u in p.units]
    chances = evidence.flat + 1e-6
    best = int(chances.argmax())
    measures = asked(found.understood.question)
    gives = np.array([all(m.given(text, beside) for m in measures) for text, beside in units])
    close = set(terms("\n".join(units[best])))
    return {
        **{n: float(found.features[n].max()) for n in ("cosine", "reranker") if n in found.features},
        "best_unit_cosine": float(evidence.features["cosine"][best]),
        "unit_cosine": float(evidence.features["cosine"].max()),
        "unit": math.log(chances[best]),
        "measured": float(bool(measures)),
        "measure_missing": min(NEVER, math.log(chances[best] / max((chances * gives).max(), 1e-9))),
        "place_missing": float(bool(missing_places(question, _text(found)))),
        "unknown": len(query.unknown) / max(1, len(query.weights)),
        "elsewhere": sum(w for term, w in query.weights.items() if not query.has(term, close)) / query.total,
    }


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
    return set(terms(_text(found)))


def _text(found: Found) -> str:
    return "\n".join(f"{p.title}\n{p.section}\n{p.header}\n{p.text}" for p in found.passages[:LOOKED_AT])


def _sought(found: Found) -> str:
    return f"“{neutralise(found.understood.text)}”"
