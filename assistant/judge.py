"""What the passages are worth: which units answer the question, and whether to answer at all.

Decided before anything is written, from what was retrieved, by plain signals with fitted weights: how near in meaning,
how many of the question's words and where, what kind of unit. Nothing here knows a subject or a kind of question.
"""

from __future__ import annotations

import itertools
import math
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assistant.asked import COMPARING, sides
from assistant.records import Passage, neutralise
from assistant.retrieve import Found, Query, calibration, chance
from ingest.chunks import Unit
from ingest.words import content_terms, terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from assistant.retrieve import Features


# Which units of the passages answer a question: one chance for each, fitted like the passages' own scores.

MOST_REMEMBERED = 20_000  # vectors of units: 30 MB
OPENING = 5  # terms in which a sentence says what it is about
BEGINNING = 2  # terms besides those asked for with which a definition may begin
_LEANING = re.compile(
    r"\W*(?:(?:it|its|they|their|them|this|that|these|those|he|she|both|such|here|there|either|neither|another|others"
    r"|so|but|and|or|yet|then|thus|hence|also|still|again|instead|otherwise|therefore|however|moreover|furthermore"
    r"|besides|conversely|similarly|likewise|consequently|finally|meanwhile|nevertheless|nonetheless)\b(?!-)"
    r"|(?:even so|for (?:this|that|example|instance)|in (?:this|that|both|such|other words|contrast|short|return)"
    r"|on the other|as a result|the (?:latter|former|same|others?|rest|first|second|third|last|two|three|four)(?!-)"
    r"|one (?:of them|is|was|more)|at (?:this|that)|by (?:this|that|contrast)|with (?:this|that|these))\b)",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"\W*(?:(?:sources?|references?|bibliography|works cited)\W*$"
    r"|(?:further reading|see also|(?:what|where) to read next|recommended reading)\b)",
    re.IGNORECASE,
)
_OF_ONE = re.compile(r"\b(?:who|whose|when|where|which|how (?:many|much|long|old|far|big|often|fast))\b", re.IGNORECASE)
_CODE = re.compile(r"\w_\w|\w\(|`|\w\.\w+\(|\bcode\b", re.IGNORECASE)


def unit_text(passage: Passage, unit: Unit) -> str:
    return passage.text[unit.start - passage.start : unit.end - passage.start]


def in_context(passage: Passage, unit: Unit) -> str:
    """A unit with the innermost heading and, for a row, its table's header: enough to know what it speaks of."""
    header = passage.header if unit.kind == "row" else ""
    return "\n".join(filter(None, (heading(passage), header, unit_text(passage, unit))))


def heading(passage: Passage) -> str:
    """The innermost one."""
    return passage.section.rsplit(" > ", 1)[-1]


def leans(text: str) -> bool:
    """Whether a sentence begins with a word that points back: out of its place it says something else, or nothing."""
    return bool(_LEANING.match(text))


def begins_with(text: str, asked: Sequence[str]) -> bool:
    """Whether a sentence begins with all of these terms: a definition of them, as a rule."""
    return set(terms(text)[: len(asked) + BEGINNING]).issuperset(asked)


def set_apart(passage: Passage, two: Sequence[str]) -> list[int]:
    """The rows that tell two things apart: all of a table that has a column for each, else one row for each."""
    one, other = (set(content_terms(name)) for name in two)
    own = (one - other, other - one)
    texts = {i: unit_text(passage, unit) for i, unit in enumerate(passage.units) if unit.kind == "row"}
    rows = {i: text for i, text in texts.items() if text.strip() != passage.header}
    columns = [{i for i, cell in enumerate(passage.header.split("|")) if words & set(terms(cell))} for words in own]
    if all(columns) and columns[0] != columns[1]:
        return list(rows)
    named = {i: [words.issubset(terms(text)) for words in own] for i, text in rows.items() if all(own)}
    firsts = [next((i for i in named if named[i] == alone), None) for alone in ([True, False], [False, True])]
    return sorted(i for i in firsts if i is not None) if None not in firsts else []


def lists_sources(passage: Passage) -> bool:
    """Whether its section names other works: what stands there is about them."""
    return bool(_ELSEWHERE.match(heading(passage)))


def asks_for_code(question: str) -> bool:
    return bool(_CODE.search(question))


Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]


class Remembered:
    """An embedder's vectors of the texts that came up last: questions come back to the same units."""

    def __init__(self, embed: Embed, most: int = MOST_REMEMBERED) -> None:
        self._embed, self._most = embed, most
        self._vectors: dict[str, NDArray[np.float32]] = {}  # the latest last
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with self._lock:
            known = {text: self._vectors.pop(text) for text in dict.fromkeys(texts) if text in self._vectors}
            self._vectors |= known
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known |= dict(zip(new, self._embed(new), strict=True)) if new else {}
        with self._lock:
            self._vectors |= {text: known[text] for text in new}
            for text in list(itertools.islice(self._vectors, max(0, len(self._vectors) - self._most))):
                del self._vectors[text]
        return np.array([known[text] for text in texts])


def unit_features(found: Found, embed: Embed) -> Features:
    """One row for each unit of each passage, in order."""
    rows = unit_rows(found)
    if not rows:
        return {}
    texts = [in_context(p, unit) for p in found.passages for unit in p.units]
    vectors = embed([found.understood.text, *texts])
    features = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return features | {"cosine": (vectors[1:] @ vectors[0]).astype(np.float64)}


def unit_rows(found: Found) -> list[dict[str, float]]:
    """All features but the cosine."""
    best = max((_odds(p.score) for p in found.passages), default=0.0)
    return [_row(found.query, p, i, best - _odds(p.score)) for p in found.passages for i in range(len(p.units))]


def _odds(chance: float) -> float:
    """Their logarithm."""
    return math.log((chance + 1e-6) / (1 - chance + 1e-6))


def _row(query: Query, p: Passage, i: int, behind: float) -> dict[str, float]:
    unit = p.units[i]
    text = unit_text(p, unit)
    said = terms(text)
    return {
        "in_unit": query.found(set(said)),
        "opening": query.found(set(said[:OPENING])),
        "behind": behind,
        "heading": float(unit.kind == "heading"),
        "row": float(unit.kind == "row"),
        "item": float(unit.kind == "item"),
        "code": float(unit.kind == "code"),
        "lead_in": float(text.rstrip().endswith(":")),
        "header": float(text.strip() == p.header),
        "sources": float(lists_sources(p)),
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


# Whether to answer at all.

MOST_NAMED = 3  # words that a refusal names


@dataclass(frozen=True, slots=True)
class Verdict:
    answerable: bool  # likely enough for a writer to be asked
    chance: float  # that the guides hold the answer
    reason: str = ""  # one line for the user where it is not answered
    sure: bool = True  # likely enough for quotes that no model has read to be called an answer


def decide(found: Found, evidence: Evidence, *, strict: bool) -> Verdict:
    """`strict` is for the quoting writer; a model reads the passages and may still say that they do not answer."""
    if not evidence.flat.size:
        return Verdict(False, 0.0, f"Looked for {_sought(found)}; nothing in the library comes near it.")
    features = decision_features(found, evidence)
    likely = float(chance({name: np.array([value]) for name, value in features.items()}, found.mode, "answer")[0])
    thresholds, sure = calibration()[found.mode]["threshold"], defines(found) or compares(found)
    if sure or likely >= thresholds["strict" if strict else "loose"]:
        return Verdict(True, likely, sure=sure or not strict or likely >= thresholds["sure"])
    nowhere = unknown_words(found)
    stand = "stands" if len(nowhere) == 1 else "stand"
    words = f"; {' and '.join(nowhere)} {stand} nowhere in the guides" if nowhere else ""
    return Verdict(False, likely, f"Looked for {_sought(found)}{words}.")


def defines(found: Found) -> bool:
    """Whether a section is about the very thing that was asked, no more, and a sentence of it begins with that: what it
    is stands there, whatever the likelihood says. Who, when and how many are other questions."""
    question = found.understood.text
    asked = content_terms(question)
    if not asked or _OF_ONE.search(question):
        return False
    about = [p for p in found.passages if set(content_terms(heading(p))).issuperset(asked)]
    return any(u.kind == "sentence" and begins_with(unit_text(p, u), asked) for p in about for u in p.units)


def compares(found: Found) -> bool:
    """Whether nothing is asked but how two things differ, and a table has a column or a row for each."""
    question = found.understood.text
    two = sides(question)
    only = set(content_terms(" ".join((*two, *COMPARING)))).issuperset(content_terms(question))
    return bool(two) and only and any(set_apart(passage, two) for passage in found.passages)


def decision_features(found: Found, evidence: Evidence) -> dict[str, float]:
    """How near the best passages and units come, and which of the question's words stand there, or nowhere at all."""
    first = found.passages[0]
    return {
        **{n: float(found.features[n].max()) for n in ("cosine", "reranker") if n in found.features},
        "unit_cosine": float(evidence.features["cosine"].max()),
        "words": found.query.found(set(terms(f"{first.title}\n{first.section}\n{first.header}\n{first.text}"))),
        "unknown": len(found.query.unknown) / max(1, len(found.query.weights)),
    }


def unknown_words(found: Found) -> list[str]:
    """The question's own words that stand nowhere in the library. A word that is only missing where the best passages
    are says little: it may be one of many ways to ask."""
    words = re.findall(r"[\w$%'’.-]*\w", found.understood.question)
    unknown = [word for word in words if (own := terms(word)) and own[0] in found.query.unknown]
    return [neutralise(word) for word in unknown[:MOST_NAMED]]


def _sought(found: Found) -> str:
    return f"“{neutralise(found.understood.text)}”"
