"""What kind of answer a question expects, read off how it is asked, and whether a unit could be of that kind."""

from __future__ import annotations

import re

_ASKED = {
    "figure": r"\bhow (?:many|much|long|big|large|far|fast|old|often|high|deep|tall|small|expensive)\b|\b(?:salar(?:y|ies)|pay|paid|"
    r"earn\w*|costs?|prices?|pricing|percent\w*|share|rate|ratio|number of|amount|size of|budget|wage|rating|rated|score[sd]?|"
    r"accura\w+ (?:of|gain)|default value|value of|set to)\b|%|\bhow (?:many|much)\b|\bwhat (?:range|fraction|proportion|version)\b",
    "date": r"\bwhen\b|\b(?:what|which|in what|in which) (?:year|date|month|decade|day)\b|\bhow (?:old|recent)\b|\bsince\b",
    "name": r"\bwho\b|\bwhose\b|\b(?:which|what) (?:company|companies|person|author|lab|library|libraries|framework|tool|tools|model"
    r"|models|algorithm|algorithms|architecture|course|courses|book|books|website|platform|platforms|dataset|method|function"
    r"|class|package|optimi[sz]er|guide)\b",
    "code": r"\bcode\b|\bsnippet\b|\bsyntax\b|\bhow (?:do|can|would|to|does one)\b.*\b(?:python|pytorch|torch|tensorflow|keras|sklearn|"
    r"scikit|numpy|pandas|load|import|install|call|instantiate|define|implement|write|train|fit|save|log|split|set up|create|"
    r"build|run)\b|\b(?:which|what) (?:function|argument|parameter|class|command|import|method|call)\b|\w+_\w+|\w\(\)|\bpip\b",
    "list": r"\b(?:list|name|enumerate|give)\b.*\b\w+s\b|\b(?:what|which) (?:are|were)\b|\b(?:types|kinds|steps|stages|ways|reasons|examples|"
    r"advantages|disadvantages|pros|cons|applications|benefits|differences|components|parts|skills|tools|options|challenges|limitations"
    r"|trends|things|factors|requirements|use cases|topics|courses|projects|books|companies|families|frameworks|algorithms|methods)\b",
    "reason": r"\bwhy\b|\bhow come\b|\bwhat for\b|\breasons?\b",
    "definition": r"^\W*(?:so )?(?:what(?:'s| is| are| does)|define|meaning of|explain)\b(?!.*\b(?:of|for|in|between|by|salary|cost)\b)|\bstand(?:s)? for\b",
}
_EXPECTED = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _ASKED.items()}
_HELD = {
    "figure": re.compile(r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|dozen|half|third|quarter|hundreds|thousands|"
                         r"millions|billions|twice|double)\b", re.IGNORECASE),
    "date": re.compile(r"\b(?:19|20)\d\d\b|\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b",
                       re.IGNORECASE),
    "name": re.compile(r"(?<!^)(?<![.!?] )\b[A-Z][\w-]+|\b[A-Z]{2,}\b|`[^`]+`"),
    "code": re.compile(r"\w\(|\w=\S|\bimport \w|[\w]_[\w]|`[^`]+`|\.\w+\("),
    "reason": re.compile(r"\b(?:because|since|so that|therefore|thus|due to|as it|which (?:makes|means|lets|allows)|so|to avoid|"
                         r"prevents?|allows?|reduces?|helps?|leads? to|in order to)\b", re.IGNORECASE),
    "definition": re.compile(r"\b(?:is|are|means|refers to|stands for|describes|called|known as)\b", re.IGNORECASE),
}


def expected(question: str) -> frozenset[str]:
    """The kinds of answer that a question asks for; often none can be told."""
    return frozenset(kind for kind, pattern in _EXPECTED.items() if pattern.search(question))


def holds(kind: str, unit: str, question: str) -> bool:
    """Whether the unit has what an answer of this kind needs, and which the question does not have already."""
    pattern = _HELD.get(kind)
    if pattern is None:
        return True
    asked = question.lower()
    return any(match.group().lower() not in asked for match in pattern.finditer(unit))
