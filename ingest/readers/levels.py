"""How deep is each heading of a plain text? Nothing marks it; this goes by what a careful reader goes by.

Two blank lines above, numbering, a colon at the end, a heading straight under a heading, "four things:" before four of
them. Level 1 is the title's. What cannot be told stays at level 2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

NUMBERED = re.compile(
    r"^(?:(?P<dotted>\d{1,2}(?:\.\d{1,2})+)\.?|\d{1,2}[.)]|(?:step|part|phase|stage)\s+\d{1,2}\b)", re.IGNORECASE
)
_NUMBERS = {word: n for n, word in enumerate("two three four five six seven eight nine ten".split(), start=2)}
_SMALL = frozenset(
    "a an and are as at between by for from how in is it of on or the to vs what when which with you your".split()
)
DEEPEST = 6
_TOP = re.compile(
    r"^(?:introduction|conclusions?|bottom line|summary|(?:key )?takeaways?|final thoughts|further reading|references"
    r"|FAQs?|frequently asked questions?|common questions)\b.{0,30}$",
    re.IGNORECASE,
)
_FAQ = re.compile(r"^(?:FAQs?|frequently asked|common questions|Q\s?&\s?A)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """A heading as it was found. `lead` is the last paragraph between the heading before and this one, if any."""

    label: str
    blanks: int = 0  # blank lines above it
    colon: bool = False  # it labels what follows: "Examples:"
    direct: bool = False  # nothing stands between the heading before and this one
    lead: str = ""
    paragraphs: int = 0  # blocks in its own section
    bare: str = ""  # "code" or "table" where its section is that and nothing else
    fixed: int = 0  # its level where something does mark it

    @property
    def numbered(self) -> bool:
        return bool(NUMBERED.match(self.label))


@dataclass(slots=True)
class _Family:
    """Headings that stand under one other: how deep, what the first is like, how many there should be (0: unknown)."""

    parent: Found
    level: int
    first: Found
    count: int
    members: list[str]


def levels(headings: Sequence[Found]) -> list[int]:
    return _Levels(headings).found()


class _Levels:
    def __init__(self, headings: Sequence[Found]) -> None:
        self.headings = headings
        self.spaced = 2 < sum(heading.blanks >= 2 for heading in headings) < len(headings)
        self.families: list[_Family] = []
        self.closed: list[str] = []  # members of the last family that ended
        self.chapter = ""
        self.top = 1  # level of the last heading that is no colon label

    def found(self) -> list[int]:
        return [min(self._level(index, heading), DEEPEST) for index, heading in enumerate(self.headings)]

    def _level(self, index: int, heading: Found) -> int:
        if heading.colon:
            return self.top + 1
        if heading.fixed:
            self.families, self.top = [], heading.fixed
        elif (self.spaced and heading.blanks >= 2) or _TOP.match(heading.label):
            self.top, self.chapter = 2, heading.label
            self.families = [_Family(heading, 3, heading, 0, [])] if _FAQ.match(heading.label) else []
        else:
            self.top = self._in_families(index, heading)
        return _dotted(heading) or self.top

    def _in_families(self, index: int, heading: Found) -> int:
        before = len(self.families)
        while self.families and self._ended(self.families[-1], index, heading):
            self.closed = self.families.pop().members
        if index and len(self.families) == before and (family := self._begun(self.headings[index - 1], index, heading)):
            self.families.append(family)
        if self.families:
            self.families[-1].members.append(heading.label)
            return self.families[-1].level
        base = 3 if self.spaced else 2
        # A section of nothing but code belongs to the prose above it, and so does a table right behind such a section.
        below = heading.bare in ("code", "table") and index > 0 and (heading.bare == "code" or self.top > base)
        return base + 1 if below and not self.spaced else base

    def _begun(self, before: Found, index: int, heading: Found) -> _Family | None:
        """The family of deeper headings that begins here, if one does."""
        family = self.families[-1] if self.families else None
        if before.fixed == 1 or before.colon or (family and _FAQ.match(family.parent.label)):
            return None
        count = _counted(heading.lead)
        opened = heading.lead.endswith(":") and (self.spaced or count > 0) and not (family and family.members)
        chained = family is not None and family.first.direct and family.members[-1:] == [before.label]
        direct = heading.direct and not chained and (self.spaced or heading.numbered or self._defines(index))
        if not (direct or opened or (heading.numbered and not before.numbered)):
            return None
        return _Family(before, self.top + 1, heading, count if opened else 0, [])

    def _defines(self, index: int) -> bool:
        """Two headings with a paragraph each: terms and what they mean."""
        return len(self.headings) > index + 1 and all(one.paragraphs == 1 for one in self.headings[index : index + 2])

    def _ended(self, family: _Family, index: int, heading: Found) -> bool:
        if _FAQ.match(family.parent.label):
            return not heading.label.endswith("?")
        if family.count:
            return len(family.members) >= family.count
        if heading.numbered or family.first.numbered:
            return heading.numbered != family.first.numbered
        after = self.headings[index + 1 : index + 2]
        repeats = bool(after) and after[0].label in family.members and heading.label not in family.members
        full = family.members == self.closed and heading.label not in self.closed
        if _alike(heading.label, family.parent.label) or repeats or full:
            return True
        topic = _words(self.chapter)
        if topic and topic <= _words(heading.label) and not topic <= _words(family.first.label):
            return True
        return not self.spaced and family.first.paragraphs <= 1 < heading.paragraphs


def _counted(lead: str) -> int:
    """The number that a lead such as "It comes down to four things:" promises."""
    words = re.findall(r"[a-z]+", lead.lower())[-8:]
    return next((_NUMBERS[word] for word in reversed(words) if word in _NUMBERS), 0) if lead.endswith(":") else 0


def _alike(one: str, other: str) -> bool:
    first, second = one.lower().split(), other.lower().split()
    same = sum(a == b for a, b in zip(first, second, strict=False))
    return len(first) > 2 and same >= 2 and first[0] == second[0]


def _words(label: str) -> set[str]:
    return set(re.findall(r"[a-z]{2,}", label.lower())) - _SMALL


def _dotted(heading: Found) -> int:
    """`2.3.1 Loss` says itself how deep it is."""
    number = NUMBERED.match(heading.label)
    return 2 + number["dotted"].count(".") if number and number["dotted"] else 0
