"""A model's text with unit ids becomes `Text` and `Cite`, while it is being written.

An id group is `[2.3]`, `[2.3][2.4]` or `[2.3, 2.4]`. Ids are never part of `Text`; those of no unit are reported as
invalid, never guessed. What stands in code, between backticks, is left as it is. One character is read at a time, so
the events do not depend on how the stream was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from assistant.retrieve import Passage
from assistant.writers import Cite, Text

Event = Text | Cite

_ID = re.compile(r"([1-9][0-9]{0,8})\.([1-9][0-9]{0,8})")
_GROUP = re.compile(r"\s*\[[0-9]+\.[0-9]+ *(?:[,;–-] *[0-9.]+ *)*\]")
_CUT_OFF = re.compile(r"\s*\[[0-9][0-9.,; –-]*")
_IN_GROUP = frozenset("0123456789.,; –-")
_CLOSING = frozenset(".,;:!?…)")  # may follow an id and still belong to the words before it
_FENCE = 3  # backticks at a line's start


def parse(deltas: Iterable[str], passages: Sequence[Passage]) -> Iterator[Event]:
    """The events of a whole stream; neighbouring `Text`s may be other pieces than the model's."""
    marks = Marks(passages)
    for delta in deltas:
        yield from marks.feed(delta)
    yield from marks.finish()


class Marks:
    """Reads a stream: `feed` gives what is certain so far, `finish` the rest."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._sizes = [max(1, len(passage.units)) for passage in passages]
        self._events: list[Event] = []
        self._text: list[str] = []  # certain, not yet an event
        self._line = ""  # of the text: whether backticks stand at a line's start
        self._held = ""  # blanks and the beginning of what may be a group
        self._code = ""  # from an opening backtick until it is closed on the same line
        self._fence = 0  # backticks that opened the block of code we are in
        self._units: dict[tuple[int, int], None] = {}  # cited, waiting for the punctuation that may follow
        self._invalid: dict[str, None] = {}

    def feed(self, delta: str) -> list[Event]:
        for character in delta:
            self._read(character)
        return self._take()

    def finish(self) -> list[Event]:
        while self._code:
            self._end_code()
        if not _CUT_OFF.fullmatch(self._held):  # an id that was cut off in its middle is no text
            self._say(self._held)
        self._held = ""
        self._cite()
        return self._take()

    def _read(self, character: str) -> None:
        if self._fence:
            self._read_fenced(character)
        elif self._code:
            self._read_code(character)
        else:
            self._read_prose(character)

    def _read_prose(self, character: str) -> None:
        opened = "[" in self._held
        if opened and character == "]":
            self._end_group()
        elif character in _IN_GROUP if opened else character in " \t[":
            self._held += character
        else:
            self._say(self._held)
            self._held = ""
            if character == "`":
                self._code = character
            elif character == "[":
                self._held = character
            else:
                self._say(character)

    def _end_group(self) -> None:
        group, self._held = self._held + "]", ""
        if not _GROUP.fullmatch(group):
            self._say(group)
            return
        for written in re.split(r"[,;]", group.strip(" \t[]")):
            match = _ID.fullmatch(written.strip())
            passage, unit = (int(match[1]) - 1, int(match[2]) - 1) if match else (-1, -1)
            if 0 <= passage < len(self._sizes) and unit < self._sizes[passage]:
                self._units[passage, unit] = None
            else:
                self._invalid[written.strip()] = None

    def _read_code(self, character: str) -> None:
        if character == "`" or (character != "\n" and self._code_is() == "open"):
            self._code += character
            return
        while self._code:
            self._end_code()
        self._read(character)

    def _code_is(self) -> Literal["open", "closed", "fence"]:
        body = self._code.lstrip("`")
        ticks = len(self._code) - len(body)
        if not body:
            return "fence" if ticks >= _FENCE and not self._line.strip() else "open"
        return "closed" if len(body) - len(body.rstrip("`")) == ticks else "open"

    def _end_code(self) -> None:
        """What is held is code, or the fence before it; or the line is over and its backticks are plain text."""
        kind, code, self._code = self._code_is(), self._code, ""
        body = code.lstrip("`")
        if kind == "open":
            self._say(code[: len(code) - len(body)])
            for character in body:
                self._read(character)
        else:
            self._say(code)
            if kind == "fence":
                self._fence, self._line = len(code), "opening"  # lest it be taken for the line that closes it

    def _read_fenced(self, character: str) -> None:
        line = self._line.strip()
        if character == "\n" and len(line) >= self._fence and not line.strip("`"):
            self._fence = 0
        self._say(character)

    def _say(self, text: str) -> None:
        """Text that is certain. Punctuation goes before the footnotes that wait, all else behind them."""
        if not text:
            return
        if text not in _CLOSING:
            self._cite()
        self._text.append(text)
        self._line = (self._line + text).rpartition("\n")[2]

    def _cite(self) -> None:
        if self._units or self._invalid:
            self._flush()
            self._events.append(Cite(tuple(self._units), tuple(self._invalid)))
            self._units, self._invalid = {}, {}

    def _flush(self) -> None:
        if self._text:
            self._events.append(Text("".join(self._text)))
            self._text = []

    def _take(self) -> list[Event]:
        self._flush()
        events, self._events = self._events, []
        return events
