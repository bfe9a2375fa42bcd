"""The quoting writer: no model. It answers with the source's own units, chosen and ordered so that they answer.

Every unit that is nearly as likely to answer as the likeliest is quoted, with what it needs to be understood: the
sentence that "it" points to, the one that opens a list, the rest of a code block. What cannot be understood where it
would stand (a sentence that points to something outside the passage, code without its beginning) is left out. Where
guides differ, each side is quoted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

from assistant.facts import Figure, figures, normal
from assistant.footnotes import first_cell, segments
from assistant.judge import asks_for_code, begins_with, heading, leans, lists_sources, set_apart
from assistant.records import FENCES, Cite, Part, Passage, Request, Sentence, Stop, Text
from ingest.chunks import UnitKind
from ingest.words import content_terms, terms

# Where guides give different figures for the same thing: one unit of each, never one alone and never an average.

NEAR = 0.3  # of the best unit's chance that another guide's must have to be about the same thing
SHARED = 0.3  # of the words of the shorter of two units that both have, if they are about the same thing
FEW = 3  # words that a unit has, of which none need be shared
# "How long", "how many", "when"; not "how do I", "how to".
_QUANTITY = re.compile(
    r"\bhow (?!do\b|does|did|is\b|are\b|was|were|can\b|could|should|would|will|to\b|come\b|about\b|i\b|we\b|you\b)\w+"
    r"|\bwhen\b|\b(?:what|which) (?:year|date|percentage|share)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Pick:
    """A unit of a passage, with the chance that it answers."""

    passage: int
    unit: int
    chance: float

    @property
    def odds(self) -> float:
        """Their logarithm."""
        return math.log((self.chance + 1e-6) / (1 - self.chance + 1e-6))


def text_of(passage: Passage, unit: int) -> str:
    return passage.text[passage.units[unit].start - passage.start : passage.units[unit].end - passage.start]


def picks(request: Request) -> list[Pick]:
    """The units that could answer, the likeliest first: no headings, no labels, no header rows."""
    asked = set(content_terms(request.question))
    evidence = request.evidence or tuple(tuple(p.score for _ in p.units) for p in request.passages)
    found = [
        Pick(p, u, chance)
        for p, chances in enumerate(evidence)
        for u, chance in enumerate(chances)
        if _can_answer(request.passages[p], u, asked)
    ]
    return sorted(found, key=lambda pick: -pick.chance)


def sides(request: Request) -> list[Pick]:
    """Where a quantity or a date is asked for, or an amount of money is the answer: the best unit of each guide, if
    they say different figures; else nothing."""
    ranked = picks(request)
    asked = bool(_QUANTITY.search(request.question))
    best: dict[str, Pick] = {}
    for pick in ranked:
        said = figures(normal(text_of(request.passages[pick.passage], pick.unit)))
        if pick.chance < NEAR * ranked[0].chance:
            break
        if said and (asked or any(figure.currency for figure in said)) and _of_one_thing(request, ranked[0], pick):
            best.setdefault(request.passages[pick.passage].document, pick)
    said_by = [figures(normal(text_of(request.passages[p.passage], p.unit))) for p in best.values()]
    differ = any(not (_among(one, other) or _among(other, one)) for one, other in combinations(said_by, 2))
    return list(best.values()) if differ and ranked[0] in best.values() else []


def _of_one_thing(request: Request, best: Pick, other: Pick) -> bool:
    """Whether a unit has the words that the best one has of the question, and shares some of its others."""
    words = [
        {term for term in content_terms(text_of(request.passages[pick.passage], pick.unit)) if not term[0].isdigit()}
        for pick in (best, other)
    ]
    least = min(map(len, words))
    said = words[0].intersection(content_terms(request.question))
    return said <= words[1] and (least < FEW or len(words[0] & words[1]) >= SHARED * least)


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


def _can_answer(passage: Passage, unit: int, asked: set[str]) -> bool:
    """Whether it says something: a label has hardly a word of its own, a line that announces needs what follows it."""
    text = text_of(passage, unit).strip()
    if passage.units[unit].kind == "heading" or text == passage.header:
        return False
    if passage.units[unit].kind == "code" and _begins_elsewhere(passage, unit):
        return False
    if text.endswith(":") and passage.units[unit].kind != "code":
        return bool(_announced(passage, unit))
    own = {term for term in content_terms(_LIST_MARK.sub("", text)) if term not in asked}
    return len(own) >= LEAST or any(term[0].isdigit() for term in own)


def _begins_elsewhere(passage: Passage, unit: int) -> bool:
    """Whether a block of code begins in another passage: its end is marked in this one, and its beginning is not."""
    block = _run(passage, unit)
    behind = passage.text[passage.units[block[-1]].end - passage.start :]
    return passage.units[block[0]].start == passage.start and behind.lstrip().startswith(FENCES)


def _run(passage: Passage, unit: int) -> list[int]:
    """The numbers of the units of the same kind on both sides of one, it included: a list, a block of code."""
    p, kind = passage, passage.units[unit].kind

    def together(a: int, b: int) -> bool:
        """Of the kind, and no fence between them: two blocks of code are not one."""
        between = p.text[p.units[a].end - p.start : p.units[b].start - p.start]
        return p.units[a].kind == p.units[b].kind == kind and not any(fence in between for fence in FENCES)

    first = last = unit
    while first and together(first - 1, first):
        first -= 1
    while last + 1 < len(p.units) and together(last, last + 1):
        last += 1
    return list(range(first, last + 1))


def _announced(passage: Passage, unit: int) -> list[int]:
    """The items or rows right behind a line."""
    following: list[int] = []
    for i in range(unit + 1, len(passage.units)):
        kind = passage.units[i].kind
        if kind not in ("item", "row") or (following and kind != passage.units[following[0]].kind):
            break
        if text_of(passage, i).strip() != passage.header:
            following.append(i)
    return following


LEAST = 2  # content words of its own, beside the question's, that a unit has to say; a figure is enough
CUT = 1.5  # of log-odds below the best unit: what is less likely to be part of the answer is left out
MIXED = 0.75  # the same for another kind of unit than the best: prose stays prose, and a table a table
FAR = 3.0  # the same for a sentence that another leans on: if it is beside the point, so is what leans on it
MOST_LED = 2  # sentences that one may bring along
MOST = 5  # sentences or rows, where no list answers
MOST_OF_A_PART = 2  # the same for what a question asks besides
WORTH = 0.35  # the chance that a unit has to have to be told for a part of the question alone
APART = 2  # characters between passages that follow each other
LED = 1.0  # of log-odds by which a row may be likelier than the sentence that leads in its place
GAP = 2  # sentences between two quoted ones of a paragraph that are quoted with them
SHORT = 60  # words below which an answer goes on with what stands beside its best sentence
BESIDE = 3.0  # of log-odds below the best unit: how far what it goes on with may be
MOST_WHOLE, WORDS_WHOLE = 8, 60  # items or rows, and words of items, that are quoted whole: a short list is one thing
MOST_LISTED = 14
SAME = 0.7  # share of a unit's words that others have said, from which it says nothing new
ANNOUNCED = 0.5  # share of the question's words in the line that opens a list, from which the list is the answer
BEGINNING = 3  # terms with which sentences of two guides begin that define the same
_LIST_MARK = re.compile(r"^(?:-|\d+[.)]) ")
_NUMBERED = re.compile(r"^\s*\d+[.)] ")


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
        self.picks = picks(request)
        self.best = self.picks[0] if self.picks else Pick(0, 0, 0.0)
        self.opening: list[Pick] = []
        self.used: set[tuple[int, int]] = set()

    def groups(self) -> list[Group]:
        """What to say, in order; each group is a paragraph, a list, rows of a table or a code block."""
        if not self.picks:
            return []
        if differing := sides(self.request):
            return [self._named(self._said(side.passage, [side.unit]), side) for side in differing]
        groups = [*self._chosen(MOST), self._side_by_side()]
        for part in self.request.parts:
            groups += self._told_of(part)
        groups += self._behind()
        groups += self._gone_on(groups)
        return self._in_order([group for group in (*groups, *self._between()) if group])

    # Choosing

    def _chosen(self, most: int) -> list[Group]:
        groups: list[Group] = []
        self.best = self._best()
        self.opening = self._definition() or self._begun()
        for pick in [*self.opening, self.best, *self.picks]:
            if pick.odds < self.best.odds - (CUT if groups else FAR) or sum(map(len, groups)) >= most:
                break
            if not self._is_said(pick) and self._goes_with(pick):
                groups += filter(None, [self._around(pick)])
        return groups

    def _told_of(self, part: Part) -> list[Group]:
        """What answers a part of the question, where the rest of the answer does not say it already."""
        own = _Composer(replace(self.request, question=part.question, evidence=part.evidence, parts=()))
        own.used = self.used
        asked = set(content_terms(part.question))
        if not own.picks or any(asked.issubset(terms(self._raw(*unit))) for unit in self.used):
            return []
        best = own._best()
        return [] if best.chance < WORTH or own._is_part(best) or own._is_said(best) else own._chosen(MOST_OF_A_PART)

    def _side_by_side(self) -> Group:
        """The rows of a table that tell apart two things which the question compares."""
        two = [part.question for part in self.request.parts[-2:]]
        tables = [(p, rows) for p, one in enumerate(self.passages) if len(two) == 2 and (rows := set_apart(one, two))]
        likely = max(tables, key=lambda table: sum(self._chance(table[0], row) for row in table[1]), default=None)
        return self._said(*likely) if likely and len(likely[1]) <= MOST_WHOLE else []

    def _chance(self, passage: int, unit: int) -> float:
        return self.request.evidence[passage][unit] if self.request.evidence else 0.0

    def _best(self) -> Pick:
        """The likeliest unit; a part of code or of a sequence only where nothing that stands alone comes near it."""
        whole = [pick for pick in self.picks if pick.odds >= self.picks[0].odds - CUT and not self._is_part(pick)]
        best = whole[0] if whole else self.picks[0]
        told = [pick for pick in whole if self._kind(pick) == "sentence" and pick.odds >= best.odds - LED]
        return told[0] if told and self._kind(best) == "row" else best

    def _is_part(self, pick: Pick) -> bool:
        """Whether it is a line of code that nobody asked for, or a step of something else."""
        if self._kind(pick) == "code":
            return not asks_for_code(self.request.question)
        numbered = self._kind(pick) == "item" and self._numbered(pick, _run(self.passages[pick.passage], pick.unit))
        return numbered and not self._announces(pick.passage, None)

    def _definition(self) -> list[Pick]:
        """What a section about the very thing that was asked begins with: it opens an answer, if it comes near."""
        asked, found = content_terms(self.request.question), []
        for pick in self.picks:
            about = set(content_terms(heading(self.passages[pick.passage])))
            first = not pick.unit and self._begins(pick.passage, pick.unit)
            if first and pick.odds >= self.best.odds - FAR and about.issuperset(asked):
                found.append((len(about), -pick.odds, pick))
        return [pick for *_, pick in sorted(found, key=lambda one: one[:2])[:1]]

    def _begun(self) -> list[Pick]:
        """Before a row, which says little alone, the sentence that its section begins with, if it comes near."""
        if self._kind(self.best) == "sentence":
            return []
        place = self._section_of(self.best.passage)
        of_it = [(p.start, i) for i, p in enumerate(self.passages) if self._section_of(i) == place]
        first = Pick(min(of_it)[1], 0, self._chance(min(of_it)[1], 0))
        return [first] if self._kind(first) == "sentence" and first.odds >= self.best.odds - FAR else []

    def _goes_with(self, pick: Pick) -> bool:
        """Whether it can stand beside the best unit. Other works do only beside each other."""
        if pick is self.best or pick in self.opening:
            return True
        p, first = self.passages[pick.passage], self.passages[self.best.passage]
        if lists_sources(p) and not lists_sources(first):
            return False
        if self._is_part(pick):
            return False
        alike = self._kind(pick) == self._kind(self.best)
        return alike or pick.odds >= self.best.odds - MIXED

    def _kind(self, pick: Pick) -> UnitKind:
        return self.passages[pick.passage].units[pick.unit].kind

    def _is_said(self, pick: Pick) -> bool:
        """Whether it is used already, or says what other units have said."""
        if (pick.passage, pick.unit) in self.used:
            return True
        own, document = terms(self._raw(pick.passage, pick.unit)), self.passages[pick.passage].document
        for passage, unit in self.used:
            other = terms(self._raw(passage, unit))
            same = own[:BEGINNING] == other[:BEGINNING] and self.passages[passage].document != document
            if (same and self._begins(pick.passage, pick.unit)) or len(set(own) & set(other)) > SAME * len(set(own)):
                return True
        return False

    def _around(self, pick: Pick) -> Group:
        """The unit with what it needs to be understood; nothing where that is not at hand."""
        kind = self._kind(pick)
        if kind == "code":
            return self._code(pick)
        if kind == "item":
            return self._list(pick)
        if kind == "row":
            return self._said(pick.passage, [pick.unit])
        return self._said(pick.passage, [*self._led(pick), *self._opened(pick)])

    def _led(self, pick: Pick) -> list[int]:
        """A sentence with those before it that it leans on; none where one of them is not at hand, or far off."""
        p, first = self.passages[pick.passage], pick.unit
        while leans(self._raw(pick.passage, first)):
            before = first - 1
            missing = before < 0 or p.units[before].kind != "sentence" or pick.unit - first >= MOST_LED
            if pick is not self.best and (missing or self._is_far(pick.passage, before)):
                return []
            if missing:
                break
            first = before
        return list(range(first, pick.unit + 1))

    def _is_far(self, passage: int, unit: int) -> bool:
        """Whether a unit is beside the point."""
        evidence = self.request.evidence
        return bool(evidence) and Pick(passage, unit, evidence[passage][unit]).odds < self.best.odds - FAR

    def _opened(self, pick: Pick) -> list[int]:
        """The list or table that a sentence announces: by a colon, or by the number of what follows."""
        p, following = self.passages[pick.passage], _announced(self.passages[pick.passage], pick.unit)
        text = self._raw(pick.passage, pick.unit)
        counted = any(figure.in_words and figure.value == len(following) for figure in figures(normal(text)))
        numbered = bool(following) and _NUMBERED.match(text_of(p, following[0]))
        if text.rstrip().endswith(":") or counted or (numbered and self._announces(pick.passage, pick.unit)):
            return following[:MOST_LISTED]
        return []

    def _list(self, pick: Pick) -> Group:
        """The item with the line that opens its list; the whole list where it is short, or that line, or the heading,
        says that this is what was asked for. Steps are not taken apart."""
        units = _run(self.passages[pick.passage], pick.unit)
        before = units[0] - 1
        opened = before >= 0 and self._raw(pick.passage, before).rstrip().endswith(":")
        asked_for = self._announces(pick.passage, before if opened else None)
        whole = asked_for or self._numbered(pick, units) or self._is_short(pick.passage, units)
        chosen = units[:MOST_LISTED] if whole else [pick.unit]
        if not (opened or whole or pick is self.best):
            return []
        return self._said(pick.passage, [*([before] if opened else []), *chosen])

    def _is_short(self, passage: int, units: Sequence[int]) -> bool:
        words = sum(len(self._raw(passage, unit).split()) for unit in units)
        return len(units) <= MOST_WHOLE and words <= WORDS_WHOLE

    def _announces(self, passage: int, unit: int | None) -> bool:
        """Whether this line, or the heading where there is none, has the words of the question."""
        line = heading(self.passages[passage]) if unit is None else self._raw(passage, unit)
        asked = content_terms(self.request.question)
        return len(set(asked) & set(terms(line))) > ANNOUNCED * len(asked)

    def _numbered(self, pick: Pick, units: Sequence[int]) -> bool:
        return all(_NUMBERED.match(self._raw(pick.passage, unit)) for unit in units)

    def _code(self, pick: Pick) -> Group:
        """The whole block, in a fence, with the sentence before it; nothing where the passage begins inside it."""
        p, units = self.passages[pick.passage], _run(self.passages[pick.passage], pick.unit)
        self.used.update((pick.passage, unit) for unit in units)
        start, end = p.units[units[0]].start - p.start, p.units[units[-1]].end - p.start
        if not start and pick is not self.best:
            return []
        code = p.text[start:end]
        before = units[0] - 1
        group = self._said(pick.passage, [before]) if before >= 0 and p.units[before].kind == "sentence" else []
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
        return [*group, (f"{fence}\n{code}\n{fence}", tuple((pick.passage, unit) for unit in units))]

    # Going on: a paragraph is understood as it was written, not as sentences taken out of it

    def _behind(self) -> list[Group]:
        """The short lists and tables right behind quoted paragraphs, where any of them comes near."""
        return [
            self._said(where, units)
            for passage, unit in sorted(self.used)
            if self.passages[passage].units[unit].kind == "sentence"
            for where, units in [self._following(passage, unit)]
            if len(units) <= MOST_WHOLE and any(self._comes_near(where, one) for one in units)
        ]

    def _following(self, passage: int, unit: int) -> tuple[int, list[int]]:
        """The items or rows behind a sentence, which may stand in the next passage."""
        p = self.passages[passage]
        if unit + 1 < len(p.units):
            return passage, _announced(p, unit)
        behind = (i for i, o in enumerate(self.passages) if o.document == p.document and 0 <= o.start - p.end <= APART)
        where = next(behind, passage)
        return where, _announced(self.passages[where], -1) if where != passage else []

    def _gone_on(self, groups: Sequence[Group]) -> list[Group]:
        """The sentences beside the best one, first those behind it, until the answer is not short any more."""
        said = sum(len(text.split()) for group in groups for text, _ in group)
        more, passage = [], self.best.passage
        first = last = self.best.unit
        while said < SHORT:
            if self._continues(passage, last) and self._comes_near(passage, last + 1):
                last = unit = last + 1
            elif first and self._continues(passage, first - 1) and self._comes_near(passage, first - 1):
                first = unit = first - 1
            else:
                break
            more.append(self._said(passage, [unit]))
            said += len(self._raw(passage, unit).split())
        return more

    def _between(self) -> list[Group]:
        """What was left out between two quoted sentences of a paragraph, if it is little."""
        left = [
            (passage, unit)
            for (passage, one), (other, two) in pairwise(sorted(self.used))
            if passage == other and one + 1 < two <= one + 1 + GAP
            if all(self._continues(passage, unit) for unit in range(one, two))
            for unit in range(one + 1, two)
        ]
        return [self._said(passage, [unit]) for passage, unit in left]

    def _continues(self, passage: int, unit: int) -> bool:
        """Whether the next unit is the next sentence of the same paragraph."""
        p = self.passages[passage]
        if unit + 1 >= len(p.units) or not p.units[unit].kind == p.units[unit + 1].kind == "sentence":
            return False
        return "\n\n" not in p.text[p.units[unit].end - p.start : p.units[unit + 1].start - p.start]

    def _comes_near(self, passage: int, unit: int) -> bool:
        return Pick(passage, unit, self._chance(passage, unit)).odds >= self.best.odds - BESIDE

    # Saying

    def _in_order(self, groups: Sequence[Group]) -> list[Group]:
        """Section by section, and inside a section as its guide has it. A section in which a sentence begins with what
        was asked about comes first, then the one with the likeliest unit."""
        rank: dict[tuple[str, str], float] = {}
        for place, group in enumerate(groups):
            section = self._section(group)
            rank.setdefault(section, place)
            if self._begins(*group[0][1][0]):
                rank[section] -= len(groups)
        return sorted(groups, key=lambda group: (rank[self._section(group)], self._start(group)))

    def _begins(self, passage: int, unit: int) -> bool:
        """Whether it is a sentence with all of the question's words at its beginning: a definition, as a rule."""
        asked = content_terms(self.request.question)
        return self.passages[passage].units[unit].kind == "sentence" and begins_with(self._raw(passage, unit), asked)

    def _section(self, group: Group) -> tuple[str, str]:
        return self._section_of(group[0][1][0][0])

    def _section_of(self, passage: int) -> tuple[str, str]:
        return self.passages[passage].document, self.passages[passage].section

    def _start(self, group: Group) -> int:
        passage, unit = group[0][1][0]
        return self.passages[passage].units[unit].start

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


def row_in_words(row: str, header: str) -> str:
    """`| Data | hundreds | millions |` under `| | ML | DL |` becomes `Data — ML: hundreds; DL: millions`."""
    cells, names = _cells(row), _cells(header)
    if len(cells) != len(names) or row.strip() == header.strip():
        return "; ".join(cell for cell in cells if cell)
    first, rest = first_cell(cells[0], names[0]), list(zip(names[1:], cells[1:], strict=True))
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
