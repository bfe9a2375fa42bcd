"""What takes several passages: comparisons, guides that differ, and passages altered on purpose. Pure, no model."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from random import Random

from assistant.figures import figures
from assistant.retrieve import Passage
from finetune.ideas import Idea, Line, Place, label, line_of, lowered, stands_alone, subject, words_of
from finetune.tables import Row, said
from ingest.chunks import Chunk, Unit
from ingest.words import content_terms

_ACROSS = (
    "How do the guides describe {}?",
    "What do the different guides say {} is?",
    "Compare what the guides say {} is.",
)
_TOGETHER = ("What does each guide say about {}?", "{}: compare the guides.", "How do the guides see {}?")
_BETWEEN = ("What is the difference between {} and {}?", "{} vs {}", "How do {} and {} differ?", "Compare {} and {}.")
_RIVALS = (
    "Notes from a second team",
    "Field notes on machine learning",
    "The practitioner's almanac",
    "An older handbook",
    "Lecture notes of the autumn course",
    "A survey of current practice",
)
MADE_UP = "made-up.md"
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_NO_QUANTITY = re.compile(r"/|\de[-+]?\d|\d\.\d+\.|\bv?\d+\.\d+\+")  # ratings, 3e-4, versions
_FACTORS = (0.5, 0.75, 1.2, 1.25, 1.5, 2.0, 3.0)

Definition = tuple[Chunk, Unit, str]  # with what it defines


def definitions(chunks: Iterable[Chunk]) -> list[Definition]:
    found = []
    for chunk in chunks:
        for unit in chunk.units:
            words = " ".join(words_of(chunk, unit).split())
            defined = subject(words) if unit.kind == "sentence" and stands_alone(words) else ""
            if defined:
                found.append((chunk, unit, defined))
    return found


def comparisons(known: Sequence[Definition], random: Random) -> Iterator[Idea]:
    """One thing in several guides, and two things of a kind in one guide."""
    by_term: defaultdict[tuple[str, ...], list[Definition]] = defaultdict(list)
    for definition in known:
        by_term[tuple(sorted(content_terms(definition[2])))].append(definition)
    for same in by_term.values():
        first = {definition[0].document: definition for definition in reversed(same)}
        if len(first) > 1:
            chosen = sorted(first.values(), key=_place)[:3]
            question = random.choice(_ACROSS).format(lowered(chosen[0][2]))
            lines = [_attributed(chunk, line_of(chunk, unit)) for chunk, unit, _ in chosen]
            yield Idea("compare", question, tuple(lines), _sections(chosen))
    for one, other in _of_a_kind(known):
        question = random.choice(_BETWEEN).format(lowered(one[2]), lowered(other[2]))
        yield Idea("compare", question, (line_of(*one[:2]), line_of(*other[:2])), _sections((one, other)))


def under_one_heading(chunks: Iterable[Chunk], random: Random) -> Iterator[Idea]:
    """What several guides say under the same heading, the first sentence of each."""
    by_heading: defaultdict[tuple[str, ...], dict[str, tuple[Chunk, Line]]] = defaultdict(dict)
    for chunk in chunks:
        first = chunk.units[0]
        words = " ".join(words_of(chunk, first).split())
        if first.kind == "sentence" and stands_alone(words) and not words.endswith(":"):
            terms = tuple(sorted(content_terms(label(chunk))))
            by_heading[terms].setdefault(chunk.document, (chunk, line_of(chunk, first)))
    for found in by_heading.values():
        if len(found) > 1 and all(label(chunk) != chunk.title for chunk, _ in found.values()):
            chosen = list(found.values())[:3]
            question = random.choice(_TOGETHER).format(lowered(label(chosen[0][0])))
            lines = tuple(_attributed(chunk, line) for chunk, line in chosen)
            yield Idea("compare", question, lines, tuple((chunk.document, chunk.section) for chunk, _ in chosen))


def _of_a_kind(known: Sequence[Definition]) -> Iterator[tuple[Definition, Definition]]:
    """Neighbours whose names end in the same word, such as supervised and unsupervised learning."""
    for i, one in enumerate(known):
        for other in known[i + 1 : i + 12]:
            words, others = one[2].lower().split(), other[2].lower().split()
            same_end = len(words) > 1 and len(others) > 1 and words[-1] == others[-1]
            if same_end and words != others and one[0].document == other[0].document:
                yield one, other
                break


def differing(rows: Sequence[Row]) -> tuple[list[Idea], set[Place]]:
    """Cells that different guides fill differently, as questions whose answer gives each; and their rows."""
    by_key: defaultdict[object, list[tuple[Row, int]]] = defaultdict(list)
    for row in rows:
        for column in range(1, len(row.header)):
            by_key[row.key(column)].append((row, column))
    found: list[Idea] = []
    taken: set[Place] = set()
    for cells in by_key.values():
        if len({row.chunk.document for row, _ in cells}) > 1:
            taken |= {row.place for row, _ in cells}
            first = {row.chunk.document: (row, column) for row, column in reversed(cells)}
            order = sorted(first.values(), key=lambda cell: cell[0].chunk.document)
            row, column = order[0]
            question = f"What is the {lowered(row.header[column])} of {lowered(row.name)}?"
            lines = tuple(said(row, column, row.chunk.title) for row, column in order)
            found.append(Idea("conflict", question, lines, tuple(row.section for row, _ in order)))
    return found, taken


def rival(idea: Idea, gold: Passage, random: Random) -> tuple[Passage, tuple[Line, Line]] | None:
    """A made-up guide that says the same with other figures, and the lines that give both."""
    said_here = figures(idea.figure)
    if _NO_QUANTITY.search(idea.figure) or any(figure.kind == "in the year" for figure in said_here):
        return None
    shares = any(figure.unit == "%" for figure in said_here)
    factor = random.choice([f for f in _FACTORS if f < 1] if shares else _FACTORS)
    other = _NUMBER.sub(lambda match: _scaled(match.group(), factor), idea.figure)
    place = idea.places[0]
    row = gold.text[place.start - gold.start : place.end - gold.start]
    both = zip(_NUMBER.findall(idea.figure), _NUMBER.findall(other), strict=True)
    once = row.count(idea.figure) == 1 == idea.lines[0].text.count(idea.figure)
    if not once or any(one == two for one, two in both):
        return None
    row = row.replace(idea.figure, other)
    unit, title = Unit(0, len(row), "row"), random.choice(_RIVALS)
    passage = Passage(MADE_UP, title, gold.section, 0, len(row), row, gold.score, (unit,), gold.header)
    text = lowered(idea.lines[0].text)
    here = Line(f"{gold.title}: {text}", idea.places)
    there = Line(f"{title}: {text.replace(idea.figure, other)}", (Place(MADE_UP, 0, len(row)),))
    return passage, (here, there)


def _scaled(number: str, factor: float) -> str:
    """Written as it was: with its commas, its decimals."""
    decimals = len(number.partition(".")[2])
    value = float(number.replace(",", "")) * factor
    return f"{value:,.{decimals}f}" if "," in number else f"{value:.{decimals}f}"


def _attributed(chunk: Chunk, line: Line) -> Line:
    return replace(line, text=f"{chunk.title}: {line.text}")


def _place(definition: Definition) -> tuple[str, int]:
    return definition[0].document, definition[1].start


def _sections(found: Iterable[Definition]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys((chunk.document, chunk.section) for chunk, _, _ in found))
