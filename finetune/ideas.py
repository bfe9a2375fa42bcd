"""What a guide can be asked, with the answer in its own units: definitions, headings, FAQ, lists, code. Pure, no model.

An `Idea` names the units that its answer rests on by their place in the document, so that it can be written down for
any passages in which those units stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from assistant.prompts import harmless
from assistant.writers import Turn
from ingest.chunks import Chunk, Unit
from ingest.sentences import split_sentences

MOST_LINES = 8  # of an answer: the prompt asks for short ones
CODE_LINES = 12
MOST_WORDS = 60  # of one unit

_POINTING = re.compile(
    r"(?:it|its|this|that|these|those|they|their|he|she|his|her|there|here|such|both|each|another|other|one|the author"
    r"|the (?:former|latter|result|reason|rest|same|two|three|first|second|last|following|recipe|example))\b",
    re.IGNORECASE,
)
_DEFINITION = re.compile(
    r"(?P<subject>(?P<article>An?|The)? ?[A-Za-z][\w\- ()]{1,60}?) (?:(?P<verb>is|are) (?:itself )?"
    r"(?:(?:an?|one of|any|every|all|what|when) |the (?!best\b|most\b|only\b|same\b|main\b))"
    r"|means |stands? for |refers? to )"
)
_COMMENT = re.compile(r"^\s*#\s*(?P<words>[A-Za-z][\w ,'/-]{8,70})$")
_GENERIC = frozenset(
    "introduction conclusion overview summary example examples notes references contents exercises".split()
)
_DEFINE = ("What is {}?", "What does {} mean?", "Define {}.", "Explain {} in a sentence.", "what is meant by {}?")
_ABOUT = (
    "What do the guides say about {}?",
    "What should I know about {}?",
    "Tell me about {}.",
    "Explain {}.",
    "{}: what do the guides say?",
)
_LIST = (
    "List the points on {}.",
    "What are the points that the guides list on {}?",
    "{} as a list",
    "Give the list: {}",
)
_CODE = ("Show me code for {}.", "{} in code", "What does the code for {} look like?", "How do I write this: {}?")


@dataclass(frozen=True, slots=True)
class Place:
    """A unit, wherever it is shown."""

    document: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an answer, without its ids. Code stands in its fence."""

    text: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Idea:
    """`section` is what train and eval are parted by; several where the answer takes several."""

    kind: str
    question: str
    lines: tuple[Line, ...]
    sections: tuple[tuple[str, str], ...]  # document, section
    history: tuple[Turn, ...] = ()
    figure: str = ""  # a cell that is little more than figures, so that a rival passage can be made from it

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(dict.fromkeys(place for line in self.lines for place in line.places))


def ideas(chunk: Chunk, after: Chunk | None, random: Random) -> Iterator[Idea]:
    """All that one chunk can be asked, tables apart; `after` is the next chunk, where a list may go on."""
    goes_on = bool(after and after.section == chunk.section and after.units[0].kind == "item")
    yield from _of_heading(chunk, goes_on, random)
    yield from _of_definitions(chunk, random)
    yield from _of_lists(chunk, goes_on, random)
    yield from _of_code(chunk, random)


def words_of(chunk: Chunk, unit: Unit) -> str:
    return chunk.text[unit.start - chunk.start : unit.end - chunk.start]


def line_of(chunk: Chunk, unit: Unit, text: str = "") -> Line:
    text = text or " ".join(words_of(chunk, unit).split())
    return Line(text, (Place(chunk.document, unit.start, unit.end),))


def label(chunk: Chunk) -> str:
    """What the innermost heading says."""
    return chunk.section.rsplit(" > ", 1)[-1].strip(" .:*`")


def lowered(text: str) -> str:
    """As it stands inside a question; titles in capitals, short forms and names with a capital inside stay."""
    first, _, rest = text.partition(" ")
    if re.search(r"[A-Z0-9]", first[1:]) or re.search(r"(?<![\w(])[A-Z][a-z]", rest):
        return text
    return text[:1].lower() + text[1:]


def stands_alone(text: str) -> bool:
    """A sentence that can be understood without the one before it."""
    return not _POINTING.match(text.lstrip('*_"“ ')) and len(text.split()) <= MOST_WORDS and harmless(text) == text


def subject(sentence: str) -> str:
    """What a sentence defines, or nothing. Its article stays with it."""
    match = _DEFINITION.match(sentence.replace("**", ""))
    found = match["subject"] if match else ""
    if found.startswith("The "):
        found = found.removeprefix("The ") if " " in found[4:] else ""
    pointing = _POINTING.match(found) or re.search(r"\b(?:below|above|following)\b", found)
    return found if 0 < len(found.split()) <= 5 and not pointing else ""


def _idea(kind: str, question: str, lines: Sequence[Line], chunk: Chunk) -> Iterator[Idea]:
    if 0 < len(lines) <= MOST_LINES + 4:
        yield Idea(kind, question, tuple(lines), ((chunk.document, chunk.section),))


def _of_heading(chunk: Chunk, goes_on: bool, random: Random) -> Iterator[Idea]:
    heading = chunk.units[0].kind == "heading"
    asked = label(chunk)
    if heading and asked.endswith("?"):
        yield from _idea("faq", asked, _told(chunk, chunk.units[1:], goes_on), chunk)
        return
    lines = _told(chunk, chunk.units, goes_on)
    if len(asked.split()) > 12 or asked.lower() in _GENERIC or asked == chunk.title or len(lines) < 2:
        return
    if re.match(r"(?:what|why|how|when|where|which|who)\b", asked, re.IGNORECASE):
        question = f"{asked.rstrip('?')}?" if random.random() < 0.3 else random.choice(_ABOUT).format(lowered(asked))
    else:
        question = random.choice(_ABOUT).format(lowered(asked))
    yield from _idea("heading", question, lines, chunk)


def _told(chunk: Chunk, units: Sequence[Unit], goes_on: bool) -> list[Line]:
    """The first sentences, and the list that one of them announces."""
    lines: list[Line] = []
    for i, unit in enumerate(units):
        words = " ".join(words_of(chunk, unit).split())
        if unit.kind != "sentence" or len(lines) == 3 or not (lines or stands_alone(words)):
            break
        if words.endswith(":"):
            items = _items(chunk, units[i + 1 :], goes_on)
            return [*lines, line_of(chunk, unit), *items] if len(items) > 1 else lines
        lines.append(line_of(chunk, unit))
    return lines


def _items(chunk: Chunk, units: Sequence[Unit], goes_on: bool) -> list[Line]:
    """The list items that come next; none if the chunk ends before the list does."""
    items: list[Line] = []
    for unit in units:
        if unit.kind != "item":
            break
        items.append(line_of(chunk, unit, " ".join(words_of(chunk, unit).split()).rstrip(";,")))
    return [] if goes_on and len(items) == len(units) else items


def _of_definitions(chunk: Chunk, random: Random) -> Iterator[Idea]:
    for unit in chunk.units:
        words = " ".join(words_of(chunk, unit).split())
        defined = subject(words) if unit.kind == "sentence" and stands_alone(words) else ""
        if defined:
            name = lowered(defined)
            question = random.choice(_DEFINE).format(name)
            if f"{defined} are " in words:
                question = question.replace(f"is {name}", f"are {name}").replace(f"does {name}", f"do {name}")
            yield from _idea("definition", question, [line_of(chunk, unit)], chunk)


def _of_lists(chunk: Chunk, goes_on: bool, random: Random) -> Iterator[Idea]:
    for i, unit in enumerate(chunk.units[:-2]):
        words = " ".join(words_of(chunk, unit).split())
        if unit.kind != "sentence" or not words.endswith(":") or len(label(chunk).split()) > 12:
            continue
        items = _items(chunk, chunk.units[i + 1 :], goes_on)
        if len(items) > 1 and len(items) <= MOST_LINES:
            counted = re.match(r"(.{4,60}?) (?:has|have|needs?|takes?) (\w+ [\w -]{3,30}):$", words)
            question = random.choice(_LIST).format(lowered(label(chunk)))
            if counted and stands_alone(words):
                question = f"What are the {counted[2]} of {lowered(counted[1])}?"
            yield from _idea("list", question, [line_of(chunk, unit), *items], chunk)


def _of_code(chunk: Chunk, random: Random) -> Iterator[Idea]:
    code = [unit for unit in chunk.units if unit.kind == "code"]
    whole = "```" in chunk.text and chunk.text.count("```") % 2 == 0
    if code and whole and len(code) <= CODE_LINES:
        question = random.choice(_CODE).format(lowered(label(chunk)))
        yield from _idea("code", question, [_block(chunk, code)], chunk)
    for i, unit in enumerate(code):
        comment = _COMMENT.match(words_of(chunk, unit))
        if comment:
            below = _below(chunk, code[i + 1 :])
            question = random.choice(_CODE).format(f"{comment['words']} ({label(chunk)})")
            if below:
                yield from _idea("code", question, [_block(chunk, [unit, *below])], chunk)


def _below(chunk: Chunk, code: Sequence[Unit]) -> list[Unit]:
    """The lines that a comment is about: as far as the next comment, if that is not far."""
    for n, unit in enumerate(code):
        if _COMMENT.match(words_of(chunk, unit)) or (n and unit.start - code[n - 1].end > 1):
            return list(code[:n]) if n <= 5 else []
    return list(code) if len(code) <= 5 else []


def _block(chunk: Chunk, code: Sequence[Unit]) -> Line:
    text = "\n".join(words_of(chunk, unit) for unit in code)
    return Line(f"```\n{text}\n```", tuple(Place(chunk.document, unit.start, unit.end) for unit in code))


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]
