"""What kind of answer a question expects, read off how it is asked, and whether a unit could be of that kind."""

from __future__ import annotations

import re

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
