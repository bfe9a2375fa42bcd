"""What the passages are worth: which units answer the question, and whether to answer at all.

Decided before anything is written, from what was retrieved.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assistant.records import Passage, neutralise
from assistant.retrieve import Found, Query, calibration, chance
from ingest.chunks import Unit
from ingest.words import terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from assistant.retrieve import Features
    from ingest.embed import Embedder


# What kind of answer a question expects, read off how it is asked, and whether a unit could be of that kind.

_UNITS_OF_MEASURE = "many much long big large far fast old often high deep tall small expensive"
_MEASURED = """salary salaries pay paid earn earns wage cost costs price prices pricing budget percent
    percentage share rate ratio rating rated score accuracy amount size number fraction proportion
    range version"""
_NAMED = """company person author lab library framework tool model algorithm architecture course book
    website platform dataset method function class package optimizer optimiser guide language
    service"""
_LISTED = """types kinds steps stages ways reasons examples advantages disadvantages pros cons applications
    benefits differences components parts skills tools options challenges limitations trends things
    factors requirements topics courses projects books companies families frameworks algorithms
    methods criteria roles industries jobs"""
_NUMBER_WORDS = """one two three four five six seven eight nine ten twelve dozen half third quarter hundreds
    thousands millions billions twice double"""
_REASON_WORDS = """because since therefore thus prevents prevent allows allow reduces reduce helps help leads lead
    makes make lets avoid avoids so"""
_MONTHS = "january february march april may june july august september october november december"


def _any(words: str, plural: str = "") -> str:
    return rf"\b(?:{'|'.join(words.split())}){plural}\b"


def _compiled(patterns: dict[str, str], flags: re.RegexFlag = re.IGNORECASE) -> dict[str, re.Pattern[str]]:
    return {kind: re.compile(pattern, flags) for kind, pattern in patterns.items()}


_ASKED = _compiled(
    {
        "figure": rf"\bhow {_any(_UNITS_OF_MEASURE)}|{_any(_MEASURED)}|%",
        "date": r"\bwhen\b|\b(?:what|which) (?:year|date|month|decade|day)\b|\bhow (?:old|recent)\b",
        "name": rf"\bwho(?:se)?\b|\b(?:which|what|name an?) {_any(_NAMED, '(?:s|es)?')}"
        r"|\bwhich (?:companies|libraries)\b",
        "code": r"\bcode\b|\bsnippet\b|\bsyntax\b|\w_\w|\w\(\)|\bpip\b"
        r"|\b(?:what|which) (?:argument|parameter|command|import|call|line)s?\b"
        r"|\bhow (?:do|can|would|to)\b.*\b(?:python|pytorch|torch|tensorflow|keras|sklearn|scikit|numpy|pandas|load"
        r"|import|install|call|define|implement|train|fit|save|log|split|create|build|run)\b",
        "list": rf"\b(?:list|name|enumerate|give)\b.*\b\w+s\b|\b(?:what|which) (?:are|were)\b|{_any(_LISTED)}",
        "reason": r"\bwhy\b|\bhow come\b|\bwhat for\b|\breasons?\b",
        "definition": r"^\W*(?:so )?(?:what(?:'s| is| are| does)|define|meaning of|explain)\s+"
        r"(?:an? |the )?[\w-]+(?: [\w-]+)?(?: mean)?\W*$|\bstands? for\b",
    }
)
_HELD = _compiled(
    {
        "figure": rf"\d|{_any(_NUMBER_WORDS)}",
        "date": rf"\b(?:19|20)\d\d\b|{_any(_MONTHS)}",
        "code": r"\w\(|\w=\S|\bimport \w|\w_\w|`[^`]+`|\.\w+\(",
        "reason": _any(_REASON_WORDS),
        "definition": r"\b(?:is|are|means|refers to|stands for|describes|called|known as)\b",
    }
) | _compiled({"name": r"(?<!^)(?<![.!?] )\b[A-Z][\w-]+|\b[A-Z]{2,}\b|`[^`]+`"}, re.NOFLAG)


def expected(question: str) -> frozenset[str]:
    """The kinds of answer that a question asks for; often none can be told."""
    return frozenset(kind for kind, pattern in _ASKED.items() if pattern.search(question))


def holds(kind: str, unit: str, question: str) -> bool:
    """Whether the unit has what an answer of this kind needs, and which the question does not have already."""
    pattern = _HELD.get(kind)
    if pattern is None:
        return True
    asked = question.lower()
    return any(match.group().lower() not in asked for match in pattern.finditer(unit))


# What exactly a question wants to know: a price, a length of time, a share, a version, a date, a count of something.
#
# A near miss speaks of the right thing and does not say this of it: "Which GPU does Colab give?" beside "Colab is
# free".

_NUMBER = (
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|dozen|half|hundreds?|thousands?|millions?)\b"
)
_TIME = r"(?:hours?|days?|weeks?|months?|years?|minutes?|seconds?)"
_MONTH = r"\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b"
_MONEY_WORDS = (
    r"prices?|pricing|costs?|charges?|fees?|fines?|salary|salaries|pay|paid|earns?|wages?|bonus|budget|expensive|cheap"
)

# What asks for a measure, and what gives it.
_MEASURES = {
    "a price": (
        rf"\b(?:{_MONEY_WORDS})\b|\$|\bhow much (?:does|do|is|are|would|to)\b|\bmake (?:in|a|per)\b",
        r"[$€£₹]\s?\d|\d\s?(?:dollars|euros|usd|lpa|lakhs?|crores?)|\bfree\b|\bno (?:cost|charge|fee)\b",
    ),
    "a length of time": (
        rf"\bhow long\b|\bhow many (?:hours|days|weeks|months|years|minutes)\b|\b{_TIME} (?:does|do|long)\b",
        rf"(?:{_NUMBER}|\bfew|\ba)[\w–-]*[\s-]?(?:to \d+ )?{_TIME}\b|\b{_TIME} (?:to|or)\b",
    ),
    "a share": (r"\bpercent|\bshare of\b|\b(?:what|which) (?:fraction|proportion)\b|%", r"\d\s?(?:%|percent)"),
    "a version": (r"\bversions?\b|\brelease\b", r"\d+\.\d+|\bversion \d"),
    "a date": (r"\bwhen\b|\b(?:what|which) (?:year|date)\b", rf"\b(?:19|20)\d\d\b|{_MONTH}"),
    "a day or month": (r"\b(?:what|which) (?:month|day)\b|\bwhen exactly\b", _MONTH),
}
_COUNTED = re.compile(r"\bhow many (?!hours|days|weeks|months|years|minutes)(\w+)", re.IGNORECASE)

# Places that prices and rules differ between; a guide that does not name one says nothing of it.
_PLACES = re.compile(
    r"\b(argentina|australia|austria|bangladesh|belgium|berlin|brazil|canada|chile|china|colombia|czechia|denmark|egypt"
    r"|england|europe|finland|france|germany|greece|hungary|india|indonesia|iran|ireland|israel|italy|japan|kenya|korea"
    r"|london|malaysia|mexico|mongolia|morocco|munich|netherlands|nigeria|norway|pakistan|paris|peru|philippines|poland"
    r"|portugal|romania|russia|scotland|singapore|spain|sweden|switzerland|taiwan|thailand|tokyo|toronto|turkey|uae|uk"
    r"|ukraine|united kingdom|united states|usa|vietnam|zurich|africa|asia|latin america)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Measure:
    """`given(text, beside)` says whether a unit, with what stands beside it, gives this."""

    name: str
    given: Callable[[str, str], bool]


def asked(question: str) -> list[Measure]:
    """The measures that a question asks for; usually none or one."""
    found = [
        Measure(name, lambda text, beside, given=given: bool(re.search(given, text, re.IGNORECASE)))  # type: ignore[misc]
        for name, (asks, given) in _MEASURES.items()
        if re.search(asks, question, re.IGNORECASE)
    ]
    if counted := _COUNTED.search(question):
        things = set(terms(counted.group(1)))
        found.append(
            Measure(
                f"a number of {counted.group(1)}",
                lambda text, beside: (
                    bool(re.search(_NUMBER, text, re.IGNORECASE)) and bool(things & set(terms(f"{text} {beside}")))
                ),
            )
        )
    return found


def missing_places(question: str, text: str) -> list[str]:
    """Countries and cities of the question that a text does not name."""
    named = {place.lower() for place in _PLACES.findall(text)}
    return [place for place in _PLACES.findall(question) if place.lower() not in named]


# Which units of the passages answer a question: one chance for each, fitted like the passages' own scores.


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


LOOKED_AT = 3  # passages in which the question's words may stand
NEVER = 6.0  # of log-odds: what a measure costs that no unit gives


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
    thresholds = calibration()[found.mode]["threshold"]
    if likely >= thresholds["strict" if strict else "loose"]:
        return Verdict(True, likely, sure=not strict or likely >= thresholds["sure"])
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
