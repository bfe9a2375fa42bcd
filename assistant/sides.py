"""Where guides give different figures for the same thing: one unit of each, never one alone and never an average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.expects import expected, holds
from assistant.figures import figures
from assistant.records import Sentence
from assistant.retrieve import Passage
from assistant.writers import Request

NEAR = 0.3  # of the best unit's chance that another guide's must have to be about the same thing


@dataclass(frozen=True, slots=True)
class Pick:
    """A unit of a passage, with the chance that it answers."""

    passage: int
    unit: int
    chance: float


def text_of(passage: Passage, unit: int) -> str:
    return passage.text[passage.units[unit].start - passage.start : passage.units[unit].end - passage.start]


def picks(request: Request) -> list[Pick]:
    """The units that could answer, the likeliest first: no headings, no lines that only announce what follows."""
    evidence = request.evidence or tuple(tuple(p.score for _ in p.units) for p in request.passages)
    found = [
        Pick(p, u, chance)
        for p, chances in enumerate(evidence)
        for u, chance in enumerate(chances)
        if _can_answer(request.passages[p], u)
    ]
    return sorted(found, key=lambda pick: -pick.chance)


def sides(request: Request) -> list[Pick]:
    """Where a figure or a date is asked for: the best unit of each guide, if they say different ones; else nothing."""
    kinds = expected(request.question) & {"figure", "date"}
    ranked = picks(request) if kinds else []
    best: dict[str, Pick] = {}
    for pick in ranked:
        text = text_of(request.passages[pick.passage], pick.unit)
        near = pick.chance >= NEAR * ranked[0].chance
        if near and all(holds(kind, text, request.question) for kind in kinds):
            best.setdefault(request.passages[pick.passage].document, pick)
    said = {frozenset(map(str, figures(text_of(request.passages[p.passage], p.unit)))) for p in best.values()}
    return list(best.values()) if len(best) > 1 and len(said) > 1 else []


def untold(request: Request, sentences: Sequence[Sentence]) -> str:
    """One line for the user where an answer takes one side only; empty where there are no sides, or all are told."""
    told = {note.document for sentence in sentences for note in sentence.footnotes}
    missing = [s for s in sides(request) if request.passages[s.passage].document not in told]
    if not told or not missing:
        return ""
    side = request.passages[missing[0].passage]
    quote = " ".join(text_of(side, missing[0].unit).split())
    return f"The guides differ, and this answer takes one side. {side.title} says: “{quote}”"


def _can_answer(passage: Passage, unit: int) -> bool:
    text = text_of(passage, unit).strip()
    return passage.units[unit].kind != "heading" and not text.endswith(":") and text != passage.header
