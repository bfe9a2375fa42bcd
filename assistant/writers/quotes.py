"""The quoting writer: no model. It answers with the source's own units, chosen and ordered so that they answer.

The unit that most likely answers comes first, with what it needs to be understood: the sentence that "it" points to,
the one that opens a list, the rest of a code block. Then what adds to it. Where guides differ, each side is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from assistant.facts import Figure, figures, normal
from assistant.footnotes import segments
from assistant.judge import expected, holds
from assistant.records import FENCES, Cite, Passage, Request, Sentence, Stop, Text
from ingest.words import terms

# Where guides give different figures for the same thing: one unit of each, never one alone and never an average.

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
    said = [figures(normal(text_of(request.passages[p.passage], p.unit))) for p in best.values()]
    differ = any(not (_among(one, other) or _among(other, one)) for one, other in combinations(said, 2))
    return list(best.values()) if differ else []


def _among(some: Sequence[Figure], others: Sequence[Figure]) -> bool:
    """Whether another guide has all of these figures; what only one names is no difference."""
    return all(any(_agree(figure, other) for other in others) for figure in some)


def _agree(one: Figure, other: Figure) -> bool:
    named = ((one.currency, other.currency), (one.unit, other.unit))
    return one.value == other.value and all(a == b or not (a and b) for a, b in named)


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


SUPPORT = 0.2  # of the best unit's chance: what is less likely to be part of the answer is left out
MOST = 4  # sentences or rows, where the question asks for no list
MOST_LISTED = 14
SAME = 0.7  # share of common words from which two units say the same
_LEANING = re.compile(
    r"^\W*(?:it|its|they|their|this|that|these|those|he|she|both|such|here|the (?:latter|former|same))\b", re.I
)
_LIST_MARK = re.compile(r"^(?:-|\d+[.)]) ")


class Quotes:
    """`Request.evidence` says how likely each unit is to answer; without it, units go in the passages' order."""

    name = "quotes"

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        groups = _Composer(request).groups()
        if not groups:
            yield Stop("not_in_guides")
            return
        before = ""
        for group in groups:
            for text, units in group:
                line = _is_line(text) or _is_line(before)
                yield Text("" if not before else "\n" if line else " ")
                yield from _cited(text, units)
                before = text
        yield Stop()


Group = list[tuple[str, tuple[tuple[int, int], ...]]]  # lines or sentences, each with the units it is made of


def _cited(text: str, units: tuple[tuple[int, int], ...]) -> Iterator[Text | Cite]:
    """A unit's words; where it has several sentences, each rests on it."""
    at = 0
    for _, end in segments(text):
        yield Text(text[at:end])
        yield Cite(units)
        at = end


class _Composer:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.passages = request.passages
        self.asked = expected(request.question)
        self.picks = picks(request)
        self.used: set[tuple[int, int]] = set()

    def groups(self) -> list[Group]:
        """What to say, in order; each group is a paragraph, a list, rows of a table or a code block."""
        if not self.picks:
            return []
        best = self.picks[0]
        if differing := sides(self.request):
            return [self._named(self._said(side.passage, [side.unit]), side) for side in differing]
        groups = [self._around(best)]
        most = MOST_LISTED if "list" in self.asked else MOST
        for pick in self.picks[1:]:
            said = sum(len(group) for group in groups)
            if pick.chance < SUPPORT * best.chance or said >= most:
                break
            if not self._is_said(pick):
                groups.append(self._around(pick))
        return _in_order([group for group in groups if group])

    # Choosing

    def _is_said(self, pick: Pick) -> bool:
        """Whether it is used already, or says what another unit has said."""
        if (pick.passage, pick.unit) in self.used:
            return True
        own = set(terms(self._raw(pick.passage, pick.unit)))
        others = (set(terms(self._raw(*unit))) for unit in self.used)
        return any(own and len(own & other) / len(own | other) > SAME for other in others)

    def _around(self, pick: Pick) -> Group:
        """The unit with what it needs to be understood."""
        kind = self.passages[pick.passage].units[pick.unit].kind
        if kind == "code":
            return self._code(pick)
        if kind == "item" and "list" in self.asked:
            return self._list(pick)
        units = [pick.unit]
        if kind == "sentence" and pick.unit and _LEANING.match(self._raw(pick.passage, pick.unit)):
            before = pick.unit - 1
            if self.passages[pick.passage].units[before].kind == "sentence":
                units.insert(0, before)
        return self._said(pick.passage, units)

    def _list(self, pick: Pick) -> Group:
        """All items of the list, with the sentence that opens it."""
        units = self._run(pick, "item")
        if units[0] and self._raw(pick.passage, units[0] - 1).rstrip().endswith(":"):
            units.insert(0, units[0] - 1)
        return self._said(pick.passage, units[: MOST_LISTED + 1])

    def _code(self, pick: Pick) -> Group:
        """The whole block, in a fence, with the sentence before it."""
        p, units = self.passages[pick.passage], self._run(pick, "code")
        self.used.update((pick.passage, unit) for unit in units)
        code = p.text[p.units[units[0]].start - p.start : p.units[units[-1]].end - p.start]
        before = units[0] - 1
        group = self._said(pick.passage, [before]) if before >= 0 and p.units[before].kind == "sentence" else []
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
        return [*group, (f"{fence}\n{code}\n{fence}", tuple((pick.passage, unit) for unit in units))]

    def _run(self, pick: Pick, kind: str) -> list[int]:
        """The numbers of the units of this kind on both sides of the pick, it included."""
        p = self.passages[pick.passage]

        def together(a: int, b: int) -> bool:
            """Of the kind, and no fence between them: two blocks of code are not one."""
            between = p.text[p.units[a].end - p.start : p.units[b].start - p.start]
            return p.units[a].kind == p.units[b].kind == kind and not any(fence in between for fence in FENCES)

        first = last = pick.unit
        while first and together(first - 1, first):
            first -= 1
        while last + 1 < len(p.units) and together(last, last + 1):
            last += 1
        return list(range(first, last + 1))

    # Saying

    def _said(self, passage: int, units: list[int]) -> Group:
        fresh = [unit for unit in units if (passage, unit) not in self.used]
        self.used.update((passage, unit) for unit in fresh)
        return [(self._phrase(passage, unit), ((passage, unit),)) for unit in fresh]

    def _named(self, group: Group, pick: Pick) -> Group:
        """The group with its guide's name in front: figures of several guides stand side by side."""
        title = self.passages[pick.passage].title.split(":")[0]
        return [(f"- {title}: {_LIST_MARK.sub('', text)}", units) for text, units in group]

    def _phrase(self, passage: int, unit: int) -> str:
        p = self.passages[passage]
        text = self._raw(passage, unit)
        if p.units[unit].kind == "row":
            return "- " + row_in_words(text, p.header)
        return _plain(text)

    def _raw(self, passage: int, unit: int) -> str:
        return text_of(self.passages[passage], unit)


def _in_order(groups: list[Group]) -> list[Group]:
    """Passage by passage, the one with the likeliest unit first, and inside a passage as its guide has it."""
    places = [group[0][1][0] for group in groups]  # passage and unit that each begins with
    first = {passage: rank for rank, (passage, _) in reversed(list(enumerate(places)))}
    return [groups[i] for i in sorted(range(len(groups)), key=lambda i: (first[places[i][0]], places[i][1]))]


def row_in_words(row: str, header: str) -> str:
    """`| Data | hundreds | millions |` under `| | ML | DL |` becomes `Data — ML: hundreds; DL: millions`."""
    cells, names = _cells(row), _cells(header)
    if len(cells) != len(names) or row.strip() == header.strip():
        return "; ".join(cell for cell in cells if cell)
    first, rest = cells[0], list(zip(names[1:], cells[1:], strict=True))
    told = "; ".join(f"{name}: {cell}" if name else cell for name, cell in rest if cell)
    return f"{first} — {told}" if first and told else first or told


def _cells(line: str) -> list[str]:
    return [_plain(cell.strip()) for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")
_EMPHASIS = re.compile(r"(?<![\w*])(\*\*|\*)(?=[^\s*])(.+?)(?<=[^\s*])\1(?![\w*])")


def _plain(text: str) -> str:
    """Without Markdown's marks for emphasis and links; list marks, code and identifiers such as `__init__` stay."""
    text, at, out = " ".join(text.split()), 0, ""
    for code in _CODE.finditer(text):
        out += _unmarked(text[at : code.start()]) + code.group()
        at = code.end()
    return re.sub(r"^[*+•] ", "- ", out + _unmarked(text[at:]))


def _unmarked(prose: str) -> str:
    return _EMPHASIS.sub(r"\2", _LINK.sub(r"\1", prose))


def _is_line(text: str) -> bool:
    return text.startswith(FENCES) or bool(_LIST_MARK.match(text))
