"""Sentences changed in one place, so that their own source no longer supports them. All changes are made by rule."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from assistant.facts import figures


def _raise_figure(text: str, chance: random.Random) -> str:
    found = [f for f in figures(text) if text[f.start : f.end].isdigit()]
    if not found:
        return text
    figure = chance.choice(found)
    return f"{text[: figure.start]}{int(text[figure.start : figure.end]) + chance.randint(1, 9)}{text[figure.end :]}"


def _swap_figures(text: str, chance: random.Random) -> str:
    found = [f for f in figures(text) if text[f.start : f.end].strip("%").isdigit()]
    alike = [(a, b) for a in found for b in found if a.end < b.start and a.kind == b.kind and a.value != b.value]
    if not alike:
        return text
    a, b = chance.choice(alike)
    return f"{text[: a.start]}{text[b.start : b.end]}{text[a.end : b.start]}{text[a.start : a.end]}{text[b.end :]}"


def _deny(text: str, chance: random.Random) -> str:
    verbs = list(re.finditer(r"\b(?:is|are|was|were|can|will|should|must)\b(?! not)", text))
    at = chance.choice(verbs).end() if verbs else None
    return f"{text[:at]} not{text[at:]}" if at else text


def _affirm(text: str, _: random.Random) -> str:
    return re.sub(r"\b(is|are|was|were|can|will|should|must|does|do|did) ?not\b", r"\1", text, count=1)


def _rename(text: str, chance: random.Random) -> str:
    names = list(re.finditer(r"(?<=[a-z,] )[A-Z][a-z]{3,}", text))
    match = chance.choice(names) if names else None
    return f"{text[: match.start()]}Quexford{text[match.end() :]}" if match else text


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "a figure raised": _raise_figure,
    "two figures swapped": _swap_figures,
    "a “not” put in": _deny,
    "a “not” left out": _affirm,
    "a name replaced": _rename,
}


def changed(texts: list[str], change: str) -> list[tuple[str, str]]:
    """Each text that can be changed in this way, and what became of it."""
    chance = random.Random(7)
    both = [(text, CHANGES[change](text, chance)) for text in texts]
    return [(text, other) for text, other in both if other != text]
