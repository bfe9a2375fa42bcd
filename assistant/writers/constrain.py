"""Decoding that can only write valid footnotes, whatever the weights.

`Picker` chooses the best-scored token whose characters the grammar allows. Where the model wants to end a sentence, a
line or the answer without a footnote, it has to write one first; which one is its own choice among the valid ids.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from assistant.prompts import NOT_IN_GUIDES, NOT_OUTRIGHT, numbered
from assistant.records import Cite, Passage, Text

if TYPE_CHECKING:
    import torch


# A model's text with unit ids becomes `Text` and `Cite`, while it is being written.
#
# An id group is `[2.3]`, `[2.3][2.4]` or `[2.3, 2.4]`. Ids are never part of `Text`; those of no unit are reported as
# invalid, never guessed. What stands in code, between backticks, is left as it is. One character is read at a time, so
# the events do not depend on how the stream was cut.

Event = Text | Cite

_ID = re.compile(r"([1-9][0-9]{0,8})\.([1-9][0-9]{0,8})")
_GROUP = re.compile(r"\s*\[[0-9]+\.[0-9]+ *(?:[,;–-] *[0-9.]+ *)*\]")
_CUT_OFF = re.compile(r"\s*\[[0-9][0-9.,; –-]*")
_IN_GROUP = frozenset("0123456789.,; –-")
_CLOSING = frozenset(".,;:!?…)")  # may follow an id and still belong to the words before it
_FENCE = 3  # backticks or tildes at a line's start


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
        self._fence = 0  # backticks or tildes that opened the block of code we are in
        self._mark = "`"  # which of the two
        self._opening = False  # whether we are on the line that opened it
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
                if self._line.strip() == "~" * _FENCE:
                    self._open("~", _FENCE)

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
                self._open("`", len(code))

    def _open(self, mark: str, length: int) -> None:
        self._mark, self._fence, self._opening = mark, length, True

    def _read_fenced(self, character: str) -> None:
        line = self._line.strip()
        only_marks = len(line) >= self._fence and not line.strip(self._mark)
        if self._opening:
            self._fence += character == self._mark and only_marks
            self._opening = character != "\n"
        elif character == "\n" and only_marks:
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


# How an answer with footnotes may be written, character by character.
#
# An id is one of a unit in the context, a sentence that is over has at least one, the phrase for "not in the guides"
# stands alone, and the one for "not outright" at the beginning, without ids. `Marks` reads what is written here: for
# both, code begins and ends at the same places.

IDS_IN_A_ROW = 4
IDS_BELOW_CODE = 16  # each line of code is a unit
_LINE = 80  # characters of the current line that are looked at
_CLOSES = frozenset(".,;:!?…)]}»*_\"'”’")
_END = r"[.!?…][)\]}\"'”’»*_`]*"
_SENTENCE_OVER = re.compile(rf"{_END}\s+$")
_SENTENCE_ENDS = re.compile(rf"{_END}(?:\s*\[\^?[\w.]+\])*$")
_SMALL_AFTER = re.compile(rf"{_END}\s+[\"'“‘(\[]*[a-z]+$")
_ABBREVIATION = re.compile(
    r"(?:(?:^|[\s(\"'“‘])(?:(?i:e\.g|i\.e|vs|cf|approx|dr|mr|mrs|prof|fig|eq|al|st)|[A-Z])|^\s*\d{1,3})\.\s+$"
)
_NUMBER = re.compile(r"\bno\.\s+$", re.IGNORECASE)
_ID_IN_CODE = re.compile(r"\[[0-9]+\.[0-9]$")
_FENCED = 3

Refusal = Literal["no", "cite first"]


@dataclass(frozen=True, slots=True)
class State:
    """Where a text stands."""

    phrase: str | None = ""  # all of the text, while it may still become one of the two fixed phrases
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
        self.phrases = (NOT_IN_GUIDES, NOT_OUTRIGHT) if self.ids else (NOT_IN_GUIDES,)

    def step(self, state: State, character: str) -> State | Refusal:
        """The state after one more character."""
        if state.phrase == NOT_IN_GUIDES or (character < " " and character not in "\n\t") or character == "\x7f":
            return "no"
        phrase = None if state.phrase is None else (state.phrase + character).lstrip()
        if phrase == NOT_OUTRIGHT:  # what comes near is still to be said, as a sentence of its own
            return State(phrase=None, line=NOT_OUTRIGHT)
        if state.line == NOT_OUTRIGHT and not state.content and not character.isspace():
            return "no"
        if phrase is not None and not any(fixed.startswith(phrase) for fixed in self.phrases):
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
        if state.cited and character in _CLOSES:
            return _add(state, character)
        if state.line.endswith("]") and character.isalnum():
            return "no"
        if character == "~" and state.line.lstrip() == "~" * (_FENCED - 1):
            return "no"  # a block of code begins with backticks
        return replace(_add(state, character), content=True, cited=False, coded=False, row=())

    def _tick(self, state: State) -> State | Refusal:
        """A backtick: the beginning or the end of code, which shows when the run of them is over."""
        if state.owed or _is_over(state, "`"):
            return "cite first"
        if state.run + 1 >= _FENCED and (state.ticks or state.run + 1 > _FENCED or state.line != "`" * state.run):
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
        counted = character.isdigit() and _NUMBER.search(state.line)
        return not (goes_on or counted or _ABBREVIATION.search(state.line))
    return (character in "_(" or character.isupper() or character.isdigit()) and bool(_SMALL_AFTER.search(state.line))


def _after_ticks(state: State) -> State:
    if state.ticks:
        return replace(state, ticks=0 if state.run == state.ticks else state.ticks, run=0)
    if state.run == _FENCED:
        return replace(state, fenced=True, line="opening", run=0)
    return replace(state, ticks=state.run, run=0)


def _in_fence(state: State, character: str) -> State | Refusal:
    if character != "\n":
        line = (state.line + character).strip()
        unlike = (
            character == "`"
            and len(line) >= _FENCED
            and not line.strip("`")
            and state.line + character != "`" * _FENCED
        )
        return "no" if unlike else _add(state, character)  # a line that only some would take for the closing one
    closed = state.line.rstrip() == "`" * _FENCED
    return replace(state, line="", content=False, fenced=not closed, owed=closed, coded=closed)


@dataclass
class Vocabulary:
    """The texts of a tokenizer's tokens, as they stand inside a text; "" for those that must not be written."""

    texts: list[str]
    ends: frozenset[int]
    before: list[int]  # tokens behind which others are decoded, since some tokenizers drop the blank of a first word
    prefix: str  # and their text
    by_first: dict[str, list[int]] = field(default_factory=dict)
    footnotes: list[int] = field(default_factory=list)  # tokens that begin a footnote, after a blank at most

    def __post_init__(self) -> None:
        by_first = defaultdict(list)
        for token, text in enumerate(self.texts):
            if text and token not in self.ends:
                by_first[text[0]].append(token)
                if re.match(r" ?\[", text):
                    self.footnotes.append(token)
        self.by_first = dict(by_first)

    @classmethod
    def of(cls, tokenizer: Any, size: int, ends: Collection[int]) -> Vocabulary:
        before = tokenizer.encode(":", add_special_tokens=False)
        known = min(size, len(tokenizer))
        prefix = decode(tokenizer, before)
        texts = [text[len(prefix) :] for text in decode_all(tokenizer, [[*before, token] for token in range(known)])]
        special = {*tokenizer.all_special_ids, *(i for i, t in tokenizer.added_tokens_decoder.items() if t.special)}
        kept = ["" if token in special else text for token, text in enumerate(texts)]
        return cls(kept + [""] * (size - known), frozenset(ends), before, prefix)


def decode(tokenizer: Any, tokens: Sequence[int]) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def decode_all(tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[str]:
    texts = tokenizer.batch_decode(rows, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return [str(text) for text in texts]


class Picker:
    """Picks one answer's tokens, greedily: the best-scored of those that may follow."""

    def __init__(self, grammar: Grammar, vocabulary: Vocabulary) -> None:
        self.state = State()
        self._grammar, self._vocabulary = grammar, vocabulary

    def pick(self, scores: torch.Tensor) -> int:
        """The next token, by the model's scores of all of them; an end token where the answer is over."""
        for token in self._candidates(scores):
            after = self._after(token)
            if after == "cite first":
                return self._take(self._footnote(scores))
            if after != "no":
                return self._take(token)
        return min(self._vocabulary.ends)

    def _candidates(self, scores: torch.Tensor) -> Iterator[int]:
        if self.state.phrase == NOT_IN_GUIDES:
            yield from sorted(self._vocabulary.ends)
            return
        few = self._grammar.next_characters(self.state)
        if few is not None:
            tokens = [token for first in sorted(few) for token in self._vocabulary.by_first.get(first, ())]
            yield from _best_of(tokens, scores)
        else:
            yield int(scores.argmax())
            yield from scores.topk(min(64, len(scores))).indices.tolist()
            yield from scores.argsort(descending=True).tolist()

    def _footnote(self, scores: torch.Tensor) -> int:
        """The best token that begins a footnote here, whether or not a blank stands before it."""
        for token in _best_of(self._vocabulary.footnotes, scores):
            if isinstance(self._after(token), State):
                return token
        return min(self._vocabulary.ends)

    def _take(self, token: int) -> int:
        after = self._after(token)
        if isinstance(after, State):
            self.state = after
        return token

    def _after(self, token: int) -> State | Refusal | None:
        """The state after the token; None where it ends the answer."""
        if token in self._vocabulary.ends:
            return self._grammar.end(self.state)
        text = self._vocabulary.texts[token]
        state: State | Refusal = self.state if text else "no"
        for character in text:
            if not isinstance(state, State):
                break
            state = self._grammar.step(state, character)
        return state


def _best_of(tokens: Sequence[int], scores: torch.Tensor) -> list[int]:
    order = scores[list(tokens)].argsort(descending=True).tolist() if tokens else []
    return [tokens[i] for i in order]


# The same for servers that decode under a grammar of their own: GBNF for vLLM and llama.cpp, or one regular expression.
#
# A little narrower than `Grammar`, which looks at what was written before: here a full stop within a sentence stands
# inside a word or figure, before a small letter, or in a short form that is known. All that it allows is footnoted.

_RULES = {
    "root": r'refusal | (near "\n")? body | near " " (prose ("\n" body)? | lead body)',
    "body": r'(bullet? lead | line "\n")* line',
    "refusal": f'"{NOT_IN_GUIDES}"',
    "near": f'"{NOT_OUTRIGHT}"',
    "line": r"bullet? prose | block",
    "prose": r'part (" " part)*',
    "lead": r'(part " ")* text ":" "\n"',
    "bullet": r'"- " | "* " | [1-9] [0-9]? ". "',
    "part": r'text (end closing{0,3})? " "? id{1,4} end? closing{0,3}',
    "text": r"first rest*",
    "first": r"[^\x00-\x20\x7f\[`.!?…。！？~] | code",
    "rest": r"inside | code | end word | abbreviation | goes-on",
    "inside": r"[^\x00-\x1f\x7f\[`.!?…。！？]",
    "word": r'"_"* [A-Za-z0-9/\\%$€-]',  # an underscore alone may close what is emphasised, and a sentence with it
    "goes-on": r'". " [a-z]+ [ ,;:]',
    "abbreviation": r'" " ("e.g" | "i.e" | "vs" | "cf" | "approx" | "Dr" | "Mr" | "Mrs" | "Prof" | "Fig" | "Eq") ". "',
    "code": r'"`" (in-code | end word | "[" [A-Za-z_:])+ "`" inside',
    "in-code": r"[^\x00-\x1f\x7f\[`.!?…。！？]",
    "block": r'"```" [a-z]* "\n" ([^\x00-\x08\x0b-\x1f\x7f`\n]* "\n")* "```\n" id{1,16}',
    "end": r"[.!?…]",
    "closing": r"[,;:)\]}»*_\"'”’]",
}
_SIGN = re.compile(r"[\\^$.|?*+()\[\]{}]")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|[a-z][a-z-]*|\{[0-9,]+\}|[()|*+?]|\s+')


def as_gbnf(passages: Sequence[Passage]) -> str:
    """What may be written about some passages, as vLLM's `structured_outputs` and llama.cpp's `grammar` take it."""
    return "\n".join(f"{name} ::= {body}" for name, body in _rules(passages).items()) + "\n"


def as_regex(passages: Sequence[Passage]) -> str:
    """The same as one regular expression without look-around, for what takes no grammar."""
    rules = _rules(passages)

    def expanded(name: str) -> str:
        return "".join(piece(match.group()) for match in _TOKEN.finditer(rules[name]))

    def piece(token: str) -> str:
        if token[0] == '"':
            return _SIGN.sub(r"\\\g<0>", json.loads(token)).replace("\n", r"\n")  # `re.escape` is for Python's engine
        if token in rules:
            return f"(?:{expanded(token)})"
        return "(?:" if token == "(" else token.strip()

    return expanded("root")


def _rules(passages: Sequence[Passage]) -> dict[str, str]:
    """Without units only the refusal is left, as in `Grammar`."""
    ids = Grammar(passages).ids
    if not ids:
        return {"root": "refusal", "refusal": _RULES["refusal"]}
    return _RULES | {"id": '"[" (' + " | ".join(f'"{i}"' for i in ids) + ') "]"'}
