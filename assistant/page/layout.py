"""How an answer is laid out: as paragraphs, lists, tables, blocks of code, and cards of guides that differ.

A unit of a guide stays one piece: all sentences of a list item are one item, rows of one table are one table under its
header, what one guide says in a conflict is one card. Sentences are named by their number; their words are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from assistant.records import FENCES, Answer, Footnote, Passage, Sentence, neutralise
from ingest.chunks import Unit

Data = dict[str, Any]
Shape = Literal["prose", "item", "row", "code", "heading", "rule"]
Code = tuple[str, str]  # lines of code, and the language that their fence names
Whole = Callable[[Footnote], Code | None]  # the whole block of code that a footnote's lines stand in

_MARK = re.compile(r"(?P<indent>\s*)(?:[-*+•]|(?P<number>\d{1,3}[.)]))\s+")
_HEADING = re.compile(r"#{1,6}\s+")
_RULE = re.compile(r"[\s|:-]*--[\s|:-]*")


@dataclass(frozen=True, slots=True)
class Piece:
    """One unit's worth of an answer: sentences in a row that rest on the same words, or a single one."""

    shape: Shape
    numbers: tuple[int, ...]  # of its sentences
    first: Sentence
    passage: Passage | None = None  # that it was taken from
    unit: Unit | None = None
    guide: str = ""  # that it names in front, as guides that differ are named
    quoted: bool = False  # made of the guide's own words, by the writer that does nothing else

    @property
    def note(self) -> Footnote | None:
        return self.first.footnotes[0] if self.first.footnotes else None


def blocks(answer: Answer, whole: Whole = lambda note: None) -> list[Data]:
    """What `parts/draw.js` draws, from top to bottom."""
    found = list(_pieces(answer))
    differ = len({piece.guide for piece in found if piece.guide}) > 1
    out: list[Data] = []
    for block, run in groupby(found, key=lambda piece: _belongs(piece, differ)):
        out.append(_drawn(str(block[0]), list(run), whole))
    return out


def _pieces(answer: Answer) -> Iterator[Piece]:
    waiting: list[int] = []
    for number, sentence in enumerate(answer.sentences):
        if waiting and not _goes_on(answer.sentences[waiting[-1]], sentence, answer):
            yield _piece(answer, waiting)
            waiting = []
        waiting.append(number)
    if waiting:
        yield _piece(answer, waiting)


def _goes_on(before: Sentence, sentence: Sentence, answer: Answer) -> bool:
    """Whether a sentence is the rest of the unit that the one before it began."""
    same = bool(sentence.footnotes) and sentence.footnotes == before.footnotes
    return same and _shape(sentence) == "prose" and _place(answer, sentence)[1] is not None


def _piece(answer: Answer, numbers: Sequence[int]) -> Piece:
    first = answer.sentences[numbers[0]]
    passage, unit = _place(answer, first)
    quoted = answer.model == "quotes"
    shape = _shape(first)
    if quoted and unit and unit.kind == "row" and "|" in _words(passage, unit):
        shape = "row"
    return Piece(shape, tuple(numbers), first, passage, unit, side(first)[0], quoted)


def _place(answer: Answer, sentence: Sentence) -> tuple[Passage | None, Unit | None]:
    """The passage and the unit that a sentence was taken from."""
    for note in sentence.footnotes[:1]:
        for passage in answer.passages:
            if passage.document == note.document and passage.start <= note.start < passage.end:
                return passage, next((u for u in passage.units if u.start == note.start), None)
    return None, None


def _words(passage: Passage | None, unit: Unit) -> str:
    return passage.text[unit.start - passage.start : unit.end - passage.start] if passage else ""


def _shape(sentence: Sentence) -> Shape:
    text = sentence.text.lstrip()
    if text.startswith(FENCES):
        return "code"
    if _RULE.fullmatch(text):
        return "rule"
    if text.startswith("|"):
        return "row"
    if _HEADING.match(text):
        return "heading"
    return "item" if _MARK.match(text) else "prose"


def side(sentence: Sentence) -> tuple[str, str]:
    """The guide that a sentence begins by naming, as its footnote does, and what the guide says; else nothing."""
    for title in dict.fromkeys(note.title for note in sentence.footnotes):
        head = re.match(rf"\s*(?:- )?{re.escape(title.split(':')[0])}: +", sentence.text)
        if head and title:
            return title, sentence.text[head.end() :]
    return "", ""


def _belongs(piece: Piece, differ: bool) -> tuple[object, ...]:
    """Pieces that follow one another with the same of this are one block."""
    passage = piece.passage
    if differ and piece.guide:
        return ("sides",)
    if piece.shape in ("row", "rule"):
        own = piece.quoted and passage is not None
        return ("table", passage.document, passage.header) if own and passage else ("table",)
    if piece.shape == "prose" and piece.quoted and passage:
        return ("prose", passage.document, passage.section)
    if piece.shape in ("heading", "code"):
        return (piece.shape, piece.numbers)
    return (piece.shape,)


def _drawn(kind: str, run: Sequence[Piece], whole: Whole) -> Data:
    if kind == "code":
        return _code(run[0], whole)
    if kind in ("sides", "table", "item"):
        return {"sides": _sides, "table": _table, "item": _list}[kind](run)
    numbers = [number for piece in run for number in piece.numbers]
    mark = _HEADING.match(run[0].first.text.lstrip()) if kind == "heading" else None
    return {"kind": kind, "of": numbers, "skip": mark.end() if mark else 0}


def _list(run: Sequence[Piece]) -> Data:
    items = []
    for piece in run:
        mark = _MARK.match(piece.first.text)
        indent = len(mark["indent"].expandtabs(4)) // 2 if mark else 0
        number = (mark["number"] or "") if mark else ""
        skip = mark.end() if mark else 0
        items.append({"of": list(piece.numbers), "skip": skip, "number": number, "depth": min(4, indent)})
    return {"kind": "list", "items": items}


def _sides(run: Sequence[Piece]) -> Data:
    """Every guide has a card of its own, whatever the order in which they were heard."""
    cards: dict[str, list[int]] = {}
    for piece in run:
        cards.setdefault(piece.guide, []).extend(piece.numbers)
    return {"kind": "sides", "sides": [{"guide": neutralise(guide), "of": of} for guide, of in cards.items()]}


def _table(run: Sequence[Piece]) -> Data:
    """Rows as the guide has them, under the header that they stand under in it."""
    passage, rows = run[0].passage, [piece for piece in run if piece.shape != "rule"]
    header = passage.header.strip() if passage else ""
    if not run[0].quoted and len(run) > 1 and run[1].shape == "rule":  # a model's own table
        header, rows = run[0].first.text.strip(), rows[1:]
    texts = [_row(piece) for piece in rows]
    fits = header and all(len(cells(header)) == len(cells(text)) for text in texts)
    return {
        "kind": "table",
        "header": neutralise(header) if fits else "",
        "rows": [
            {"text": neutralise(text), "of": list(piece.numbers)}
            for text, piece in zip(texts, rows, strict=True)
            if text.strip() != header
        ],
    }


def _row(piece: Piece) -> str:
    own = _words(piece.passage, piece.unit).strip() if piece.quoted and piece.unit else ""
    return own or piece.first.text.strip()


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().removeprefix("|").removesuffix("|"))]


# Code: the whole block, as the guide has it, and what is what in it.


def _code(piece: Piece, whole: Whole) -> Data:
    lines = piece.first.text.strip().split("\n")
    named = lines[0].strip("`~ ")
    closed = len(lines) > 1 and lines[-1].strip().startswith(FENCES)
    text = "\n".join(lines[1:-1] if closed else lines[1:])
    if piece.quoted and piece.note and (block := whole(piece.note)):
        text, named = (block[0] if text.strip() in block[0] else text), named or block[1]
    return {"kind": "code", "of": list(piece.numbers), "text": text, "tokens": tokens(neutralise(text), named)}


_FENCE_LINE = re.compile(r"^[ \t]*(?P<mark>`{3,}|~{3,})[ \t]*(?P<named>[\w+#.-]*)[^\n]*$", re.MULTILINE)


def unfenced(block: str) -> Code:
    """A block of code without its fences, if it has any, and the language that they name."""
    opened = _FENCE_LINE.match(block)
    if not opened:
        return block.rstrip("\n"), ""
    inside = block[opened.end() + 1 :].rstrip()
    lines = inside.split("\n")
    closed = lines[-1].strip().startswith(opened["mark"])
    return "\n".join(lines[:-1] if closed else lines).rstrip("\n"), opened["named"]


def code_around(text: str, start: int, end: int) -> Code | None:
    """The fenced block of code that holds these characters, without its fences, and its language."""
    opened: re.Match[str] | None = None
    for fence in _FENCE_LINE.finditer(text):
        if opened is None:
            if fence.start() >= start:
                return None
            opened = fence
        elif fence["mark"].startswith(opened["mark"]) and not fence["named"]:
            if opened.end() <= start and end <= fence.start():
                return text[opened.end() + 1 : fence.start()].rstrip("\n"), opened["named"]
            opened = None
    return None


_KINDS = {"Keyword": "k", "Name.Function": "f", "Name.Class": "f", "Literal.String": "s", "Comment": "c",
          "Literal.Number": "n", "Name.Builtin": "b", "Name.Decorator": "f"}  # fmt: skip


def tokens(code: str, named: str = "") -> list[tuple[str, str]]:
    """The code as pieces with what they are; together they are the code, to the character."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    language = named or ("python" if _is_python(code) else "text")
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return [("", code)]
    found: list[tuple[str, str]] = []
    for kind, run in groupby(lexer.get_tokens(code), key=lambda token: _kind(str(token[0]))):
        found.append((kind, "".join(piece for _, piece in run)))
    return found if "".join(piece for _, piece in found) == code else [("", code)]


def _kind(token: str) -> str:
    name = token.removeprefix("Token.")
    return next((short for start, short in _KINDS.items() if name.startswith(start)), "")


def _is_python(code: str) -> bool:
    import ast

    try:
        return bool(ast.parse(code).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
