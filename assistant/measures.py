"""What exactly a question wants to know: a price, a length of time, a share, a version, a date, a count of something.

A near miss speaks of the right thing and does not say this of it: "Which GPU does Colab give?" beside "Colab is free".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ingest.words import terms

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
