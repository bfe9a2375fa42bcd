"""How an answer with footnotes may be written, character by character.

An id is one of a unit in the context, a sentence that is over has at least one, and the phrase for "not in the guides"
stands alone. `marks.py` reads what is written here: for both, code begins and ends at the same places.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from assistant.prompts import NOT_IN_GUIDES, numbered
from assistant.retrieve import Passage

IDS_IN_A_ROW = 4
IDS_BELOW_CODE = 16  # each line of code is a unit
_LINE = 80  # characters of the current line that are looked at
_CLOSING = frozenset(".,;:!?…)]}»*_\"'”’")
_END = r"[.!?…][)\]}\"'”’»*_`]*"
_SENTENCE_OVER = re.compile(rf"{_END}\s+$")
_SENTENCE_ENDS = re.compile(rf"{_END}(?:\s*\[\^?[\w.]+\])*$")
_SMALL_AFTER = re.compile(rf"{_END}\s+[\"'“‘(\[]*[a-z]+$")
_ABBREVIATION = re.compile(
    r"(?:(?:^|[\s(\"'“‘])(?:(?i:e\.g|i\.e|vs|cf|approx|dr|mr|mrs|prof|fig|eq|no|al|st)|[A-Z])|^\s*\d{1,3})\.\s+$"
)
_ID_IN_CODE = re.compile(r"\[[0-9]+\.[0-9]$")
_FENCE = 3

Refusal = Literal["no", "cite first"]


@dataclass(frozen=True, slots=True)
class State:
    """Where a text stands."""

    phrase: str | None = ""  # all of the text, while it may still become the phrase for "not in the guides"
    line: str = ""
    content: bool = False  # something on this line can be cited
    cited: bool = False  # a footnote was written, and since then only what closes a sentence
    owed: bool = False  # a block of code is over and has no footnote yet
    coded: bool = False  # this is the line for its ids
    group: str = ""  # "[2." of an id that is being written
    row: tuple[str, ...] = ()  # ids that stand together
    ticks: int = 0  # backticks that opened the code within a line
    run: int = 0  # backticks just read
    fenced: bool = False  # in a block of code


class Grammar:
    """What may be written about some passages."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.ids = [f"{p}.{unit + 1}" for p, passage in enumerate(passages, 1) for unit, _ in numbered(passage)]

    def step(self, state: State, character: str) -> State | Refusal:
        """The state after one more character."""
        if state.phrase == NOT_IN_GUIDES or (character < " " and character not in "\n\t") or character == "\x7f":
            return "no"
        phrase = None if state.phrase is None else (state.phrase + character).lstrip()
        if phrase is not None and not NOT_IN_GUIDES.startswith(phrase):
            phrase = None
        if phrase is None and not self.ids:
            return "no"
        state = replace(state, phrase=phrase)
        if state.group:
            return self._in_group(state, character)
        if state.run and character != "`":
            state = _after_ticks(state)
        if state.fenced:
            return _in_fence(state, character)
        if character == "`":
            return self._tick(state)
        return self._in_code(state, character) if state.ticks else self._in_prose(state, character)

    def end(self, state: State) -> Refusal | None:
        """Whether the answer may end here."""
        if state.phrase == NOT_IN_GUIDES:
            return None
        state = _after_ticks(state) if state.run else state
        if not self.ids or state.group or state.fenced or state.ticks:
            return "no"
        if state.cited and not state.owed:
            return None
        return "cite first" if state.content or state.owed else "no"

    def next_characters(self, state: State) -> Collection[str] | None:
        """The only characters that may follow, where they are few."""
        if state.group:
            return {(f"{i}]")[len(state.group) - 1] for i in self._open_ids(state) if i.startswith(state.group[1:])}
        if not self.ids:
            return {NOT_IN_GUIDES[len(state.phrase or "")]}
        return None

    def _open_ids(self, state: State) -> list[str]:
        return [i for i in self.ids if i not in state.row]

    def _in_group(self, state: State, character: str) -> State | Refusal:
        written = state.group[1:]
        if character == "]" and written in self._open_ids(state):
            row = (*state.row, written)
            return replace(_add(state, "]"), group="", row=row, cited=True, owed=False)
        if any(i.startswith(written + character) for i in self._open_ids(state)):
            return replace(_add(state, character), group=state.group + character)
        return "no"

    def _in_prose(self, state: State, character: str) -> State | Refusal:
        if character == "[":
            room = len(state.row) < (IDS_BELOW_CODE if state.coded else IDS_IN_A_ROW) and self._open_ids(state)
            return replace(_add(state, "["), group="[") if room and (state.content or state.coded) else "no"
        if character == "\n":
            if state.content and not state.cited and not state.line.rstrip().endswith(":"):
                return "cite first"
            return replace(state, line="", content=False, coded=state.owed)
        if character.isspace():
            return _add(state, character)
        if state.owed or _is_over(state, character):
            return "no" if _SMALL_AFTER.search(state.line) else "cite first"
        if state.cited and character in _CLOSING:
            return _add(state, character)
        if state.line.endswith("]") and character.isalnum():
            return "no"
        return replace(_add(state, character), content=True, cited=False, coded=False, row=())

    def _tick(self, state: State) -> State | Refusal:
        """A backtick: the beginning or the end of code, which shows when the run of them is over."""
        if state.owed or _is_over(state, "`"):
            return "cite first"
        if state.run + 1 >= _FENCE and (state.ticks or state.run + 1 > _FENCE or state.line != "`" * state.run):
            return "no"  # three are a fence, at a line's beginning
        return replace(_add(state, "`"), run=state.run + 1, content=True, cited=False, coded=False, row=())

    def _in_code(self, state: State, character: str) -> State | Refusal:
        """Code within a line ends on the line, and holds nothing that looks like an id or a sentence's end."""
        over = character.isspace() and _SENTENCE_ENDS.search(state.line)
        if character == "\n" or over or _ID_IN_CODE.search(state.line + character):
            return "no"
        return _add(state, character)


def _add(state: State, character: str) -> State:
    return replace(state, line=(state.line + character)[-_LINE:])


def _is_over(state: State, character: str) -> bool:
    """The sentence before is over and has no footnote. A small letter after a full stop goes on with it, unless it
    turns out to begin an identifier."""
    if not state.content or state.cited or character.isspace():
        return False
    if over := _SENTENCE_OVER.search(state.line):
        goes_on = character.islower() and not over.group().rstrip().endswith(("!", "?"))
        return not goes_on and not _ABBREVIATION.search(state.line)
    return (character in "_(" or character.isupper() or character.isdigit()) and bool(_SMALL_AFTER.search(state.line))


def _after_ticks(state: State) -> State:
    if state.ticks:
        return replace(state, ticks=0 if state.run == state.ticks else state.ticks, run=0)
    if state.run == _FENCE:
        return replace(state, fenced=True, line="opening", run=0)
    return replace(state, ticks=state.run, run=0)


def _in_fence(state: State, character: str) -> State | Refusal:
    if character != "\n":
        line = (state.line + character).strip()
        unlike = (
            character == "`" and len(line) >= _FENCE and not line.strip("`") and state.line + character != "`" * _FENCE
        )
        return "no" if unlike else _add(state, character)  # a line that only some would take for the closing one
    closed = state.line.rstrip() == "`" * _FENCE
    return replace(state, line="", content=False, fenced=not closed, owed=closed, coded=closed)
