"""AsciiDoc, line by line, by rules of our own. What it would include from other files is not read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ingest.readers import Draft, Reading, decode, mark_questions, one_line

# Lines that are there, once conditions are decided and comments gone; the attributes that the document sets.

_ENTRY = re.compile(r"^:(!?[\w][\w-]*!?):(?:\s+(.*))?$")
_IF = re.compile(r"^(ifdef|ifndef|ifeval)::([^\[]*)\[(.*)\]\s*$")
_INCLUDE = re.compile(r"^include::([^\[]+)\[.*\]\s*$")
_VERBATIM = re.compile(r"^(-{4,}|\.{4,}|/{4,}|\+{4,}|`{3,})(\w[\w+-]*)?\s*$")
_ATTRIBUTE = re.compile(r"(?<!\\)\{([a-zA-Z_][\w-]*)\}")
_SIGNS = {
    "nbsp": " ",
    "sp": " ",
    "empty": "",
    "amp": "&",
    "lt": "<",
    "gt": ">",
    "plus": "+",
    "vbar": "|",
    "asterisk": "*",
}
_LONGEST_VALUE = 500  # characters of an attribute that names others: it may not grow without end


@dataclass
class Source:
    """A document's lines and what they say about it."""

    attributes: dict[str, str] = field(default_factory=lambda: dict(_SIGNS))
    left_out: list[str] = field(default_factory=list)

    def lines(self, text: str) -> Iterator[str]:
        """Comments, conditions and attributes are done with here, but not inside what is to be taken as it is."""
        conditions: list[bool] = []
        inside = ""
        for line in text.split("\n"):
            line = line.rstrip()
            if found := _IF.match(line):
                self._condition(found, conditions)
            elif line.startswith("endif::"):
                conditions[-1:] = []
            elif not all(conditions):
                continue
            elif found := _INCLUDE.match(line):
                self.left_out.append(found[1])
            elif inside or _VERBATIM.match(line):
                inside = self._fence(line, inside)
                if not (inside or line).startswith("////"):
                    yield line
            elif found := _ENTRY.match(line):
                self._set(found[1], found[2] or "")
            elif not line.startswith("//"):
                yield line

    def _fence(self, line: str, inside: str) -> str:
        """The fence that is open behind this line."""
        if inside:
            return "" if line == inside else inside
        found = _VERBATIM.match(line)
        return found[1] if found else ""

    def _condition(self, found: re.Match[str], conditions: list[bool]) -> None:
        known = [name.strip() in self.attributes for name in re.split(r"[,+]", found[2])]
        holds = {"ifdef": any(known), "ifndef": not any(known)}.get(found[1], True)
        if found[1] == "ifeval" or not found[3]:
            conditions.append(holds)

    def _set(self, name: str, value: str) -> None:
        if "!" in name:
            self.attributes.pop(name.strip("!"), None)
        else:
            self.attributes[name] = self.filled(value.removesuffix(" \\"))[:_LONGEST_VALUE]

    def filled(self, text: str) -> str:
        return _ATTRIBUTE.sub(lambda found: self.attributes.get(found[1].lower(), found[0]), text)


# Words inside a line, without their marks; code in backquotes, formulas in dollars.

_KEPT = "\ue000"  # stands around the number of a piece that is not looked at again
_CODE = re.compile(r"(?<![\w\\`])`\+?([^`\n]+?)\+?`(?![\w`])|``([^`\n]+)``")
_FORMULA = re.compile(r"\b(?:stem|latexmath|asciimath):\[((?:\\\]|[^\]])*)\]")
_PASSED = re.compile(
    r"\+\+\+([^+]+)\+\+\+|(?<![\w+])\+([^\s+](?:[^+\n]*[^\s+])?)\+(?![\w+])|\bpass:[a-z,]*\[([^\]]*)\]"
)
_ADDRESS = re.compile(
    r"<?(?:link:(?:\+\+)?|mailto:)?(?<![\w\"])"
    r"((?:https?|ftp|irc)://[^\s\[\]<>]+|(?<=link:)[^\s\[\]]+|(?<=mailto:)[^\s\[\]]+)(?:\[([^\]\n]*)\])?>?"
)
_REFERENCE = re.compile(r"<<([^,<>\n]+)(?:,([^<>\n]*))?>>|\bxref:([^\[\s]+)\[([^\]\n]*)\]")
_DROPPED = re.compile(r"\(\(\([^()\n]*\)\)\)|\[\[[^\[\]\n]*\]\]|\b(?:anchor|indexterm|icon):[^\[\s]*\[[^\]\n]*\]")
_NAMED = re.compile(r"\b(?:image|kbd|btn|menu|indexterm2|footnote):[^\[\s:]*\[([^\]\n]*)\]")
_SHOWN = re.compile(r"\(\(([^()\n]+)\)\)")
_ROLE = re.compile(r"\[[.#%\w-]*\](?=[#*_`])")
_MARKED = (
    re.compile(r"(?<![\w\\*])\*(?=\S)([^*\n]*[^\s*\\])\*(?![\w*])"),
    re.compile(r"(?<![\w\\_])_(?=\S)([^_\n]*[^\s_\\])_(?![\w_])"),
    re.compile(r"(?<![\w\\#])#(?=\S)([^#\n]*[^\s#\\])#(?![\w#])"),
    re.compile(r"\*\*([^*\n]+)\*\*"),
    re.compile(r"__([^_\n]+)__"),
    re.compile(r"##([^#\n]+)##"),
    re.compile(r"(?<=[\w)])[\^~]([^\s^~]+)[\^~]"),
)
_ESCAPED = re.compile(r"\\(?=[*_`#+{<\[(^~'\"|:\\]|https?:|image:|link:|xref:)")


class Words:
    """What a piece of text says. `titles` are the sections by their ids."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.titles: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        kept: list[str] = []

        def keep(piece: str) -> str:
            kept.append(piece)
            return f"{_KEPT}{len(kept) - 1}{_KEPT}"

        text = text.replace(_KEPT, "")
        text = _CODE.sub(lambda m: keep(f"`{self.source.filled(m[1] or m[2])}`"), text)
        text = _FORMULA.sub(lambda m: keep("$" + m[1].replace("\\]", "]") + "$"), text)
        text = _PASSED.sub(lambda m: keep(m[1] or m[2] or m[3] or ""), text)
        text = self._links(self.source.filled(text), keep)
        for mark in _MARKED:
            text = mark.sub(r"\1", text)
        text = _ESCAPED.sub("", re.sub(r"(?<=\w)--(?=\w)| -- ", "—", text))
        return one_line(re.sub(f"{_KEPT}(\\d+){_KEPT}", lambda m: kept[int(m[1])], text))

    def _links(self, text: str, keep: Callable[[str], str]) -> str:
        text = _REFERENCE.sub(lambda m: self._referred(m[1] or m[3], m[2] or m[4] or ""), _DROPPED.sub("", text))
        text = _SHOWN.sub(r"\1", _NAMED.sub(_spoken, text))
        text = _ADDRESS.sub(lambda m: _named(m[2]) if m[2] else keep(m[1]), text)
        return _ROLE.sub("", text)

    def _referred(self, name: str, said: str) -> str:
        id_ = name.rpartition("#")[2].strip() or name
        return said.strip() or self.titles.get(id_, id_)


def _named(said: str) -> str:
    """The words of a link; what stands behind a comma may be its window or role."""
    return re.sub(r",\s*\w+=.*$|\^$", "", said).strip('"')


def _spoken(found: re.Match[str]) -> str:
    said = re.sub(r",\s*\w+=.*$|^\w+=.*$", "", found[1])
    return f" ({said})" if found[0].startswith("footnote") and said else said


# Tables: cells by their bars, or separated values.

_CELL = re.compile(r"(?:(?<=\s)|^)((?:\d+(?:\.\d+)?|\.\d+)[+*])?([<^>]?(?:\.[<^>])?[adehlmsv]?)(?<!\\)\|(?![=])")


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    across: int = 1
    down: int = 1


def cells_in(lines: Sequence[str]) -> Iterator[Cell]:
    text = "\n".join(lines)
    marks = list(_CELL.finditer(text.replace("\n", "\n")))
    for at, mark in enumerate(marks):
        end = marks[at + 1].start() if at + 1 < len(marks) else len(text)
        said = text[mark.end() : end].replace("\\|", "|")
        span = mark[1] or ""
        if span.endswith("*"):
            yield from [Cell(said)] * min(int(span[:-1].partition(".")[0] or 1), 100)
        else:
            across, _, down = span.rstrip("+").partition(".")
            yield Cell(said, min(int(across or 1), 100), min(int(down or 1), 1000))


def rows_of(cells: Sequence[Cell], width: int) -> list[list[str]]:
    """A cell that reaches over several rows says in each of them what it says."""
    rows: list[list[str]] = []
    row: list[str] = []
    reaching: dict[int, tuple[int, str]] = {}  # by column: for how many rows more, and what

    def reach() -> None:
        while len(row) < width and reaching.get(len(row), (0, ""))[0]:
            left, said = reaching[len(row)]
            reaching[len(row)] = (left - 1, said)
            row.append(said)

    for cell in cells:
        reach()
        if cell.down > 1:
            reaching[len(row)] = (cell.down - 1, cell.text)
        row += [cell.text, *[""] * (cell.across - 1)]
        reach()
        if len(row) >= width:
            rows.append(row[:width])
            row.clear()
    return [*rows, row + [""] * (width - len(row))] if row else rows


def columns(options: str) -> int:
    """How many the table says it has."""
    said = re.search(r'\bcols\s*=\s*(?:"([^"]*)"|([\w*<>^.]+))', options)
    if not said:
        return 0
    count = 0
    for part in re.split(r"[,;]", (said[1] or said[2]).strip(",; ")):
        many = re.match(r"\s*(\d+)\*", part)
        count += int(many[1]) if many else 1
    whole = (said[1] or said[2]).strip()
    return min(int(whole) if whole.isdigit() and count == 1 and int(whole) < 30 and "," not in whole else count, 1000)


# Blocks.

_HEADING = re.compile(r"^(={1,6}|#{1,6})\s+(\S.*?)(?:\s+\1)?$")
_UNDERLINES = {"=": 1, "-": 2, "~": 3, "^": 4, "+": 5}
_TITLE = re.compile(r"^\.(?=[^\s.])(.+)$")
_OPTIONS = re.compile(r"^\[(?!\[)([^\[\]\n]*)\]$")
_ANCHOR = re.compile(r"^\[\[([^\],]+)(?:,([^\]]*))?\]\]$|^\[#([\w:-]+)[^\]]*\]$")
_FENCE = re.compile(r"^(={4,}|-{4,}|\.{4,}|\*{4,}|_{4,}|\+{4,}|`{3,}|--|[|,:!]={3,})([\w+-]*)$")
_SKIPPED = re.compile(r"^(?:'{3,}|<{3,}|-{3}|\*{3}|toc::\[.*\]|(?:image|video|audio)::[^\[]*\[.*\])$")
_ITEM = re.compile(r"^\s*(?:(\*{1,6}|-)|(\.{1,6}|(?:\d+|[a-zA-Z])[.)]))\s+(?=\S)(?:\[[ xX*]\]\s+)?(.*)$")
_TERM = re.compile(r"^\s*(\S.*?|)(:{2,4}|;;)(?:\s+(.*))?$")
_CALLOUT = re.compile(r"^<(\d+|\.)>\s+(.*)$")
_NOTE = re.compile(r"^(NOTE|TIP|IMPORTANT|WARNING|CAUTION):\s+(.*)$", re.DOTALL)
_NOTES = frozenset(("NOTE", "TIP", "IMPORTANT", "WARNING", "CAUTION"))
_AUTHOR = re.compile(r"^[^\s:].*<[^<>@\s]+@[^<>\s]+>|^v?\d+(?:\.\d+)+\b|^v\d+,|^\w+(?: \w\.?)? \w+$")
_DEEPEST = 20  # blocks in each other


class Walk:
    """Goes through lines from one end to the other; knows the list that it is in."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.words = Words(source)
        self.draft = Draft()
        self.options = ""
        self.markers: list[str] = []  # of the lists that are open, outermost first
        self.numbers: list[int] = []

    def walk(self, lines: Sequence[str], depth: int = 0) -> None:
        at = 0
        while at < len(lines):
            at = self._block(lines, at, depth)

    def _block(self, lines: Sequence[str], at: int, depth: int) -> int:
        """One block; gives the line behind it."""
        line = lines[at]
        if not line.strip() or line == "+" or _SKIPPED.match(line):
            return at + 1
        if _ANCHOR.match(line):
            return at + 1
        if found := _OPTIONS.match(line):
            self.options = found[1]
            return at + 1
        if (found := _FENCE.match(line)) and depth < _DEEPEST:
            return self._fenced(lines, at, found[1], found[2], depth)
        if found := _HEADING.match(line):
            self._heading(found[2], len(found[1]))
            return at + 1
        if level := _underlined(lines, at):
            self._heading(line, level)
            return at + 2
        if found := _TITLE.match(line):
            self.draft.add("paragraph", self.words(found[1]))
            return at + 1
        return self._text(lines, at)

    def _heading(self, said: str, level: int) -> None:
        self.markers, self.numbers = [], []
        if ("discrete" not in self.options and "abstract" not in self.options) or level > 1:
            self.draft.heading(self.words(said), level)
        self.options = ""

    def _fenced(self, lines: Sequence[str], at: int, fence: str, language: str, depth: int) -> int:
        end = next((i for i in range(at + 1, len(lines)) if lines[i] == fence), len(lines))
        inside = lines[at + 1 : end]
        options, self.options = self.options, ""
        kind = options.partition(",")[0].strip().upper()
        if fence[-1] == "=" and fence[0] in "|,:!":
            self._table(inside, options, fence[0])
        elif fence[0] == "+":
            self._passed("\n".join(inside), options)
        elif fence[0] in ".`" or fence.startswith("---"):
            self.draft.code(_without_callouts(inside), language or _language(options))
        elif kind in ("VERSE", "STEM", "LATEXMATH"):
            self._passed("\n".join(inside), options)
        else:
            if kind in _NOTES:
                inside = [f"{kind.capitalize()}: {inside[0]}", *inside[1:]] if inside else inside
            outer = self.markers, self.numbers
            self.markers, self.numbers = [], []
            self.walk(inside, depth + 1)
            self.markers, self.numbers = outer
        return end + 1

    def _passed(self, text: str, options: str) -> None:
        kind = options.partition(",")[0].strip().lower()
        if kind in ("stem", "latexmath", "asciimath"):
            self.draft.add("paragraph", f"$$\n{text.strip()}\n$$" if text.strip() else "")
        elif kind == "verse":
            self.draft.add("paragraph", "\n".join(map(self.words, text.split("\n"))))
        elif text.strip():
            from ingest.readers import page

            reading = page.convert(text)
            self.draft.extend(reading.text, reading.blocks)

    def _table(self, lines: Sequence[str], options: str, kind: str) -> None:
        filled = [line for line in lines if line.strip()]
        if not filled:
            return
        implied = len(lines) > 1 and bool(lines[0].strip()) and not lines[1].strip()
        if kind in ",:" or "format=" in options:
            rows = _separated(filled, options, kind)
        else:
            cells = list(cells_in(lines if kind == "|" else [line.replace("!", "|") for line in lines]))
            first = sum(cell.across for cell in cells_in(filled[:1]))
            rows = rows_of(cells, columns(options) or first or 1)
        named = re.search(r"options\s*=\s*\"?[^\]]*\bheader\b|%[\w%]*header", options)
        header = bool(named or implied) and "noheader" not in options and len(rows) > 1
        self.draft.table(([self.words(cell) for cell in row] for row in rows), header=header)

    def _text(self, lines: Sequence[str], at: int) -> int:
        """A paragraph, or an item with what belongs to it."""
        end = at + 1
        while end < len(lines) and not self._ends(lines, end):
            end += 1
        own = [line for line in lines[at:end] if not line.startswith("//")]
        options, self.options = self.options, ""
        if found := _ITEM.match(own[0]):
            marker = found[1] or re.sub(r"\w+", "1", found[2])
            self._item(marker, not found[1], [found[3], *own[1:]])
        elif found := _CALLOUT.match(own[0]):
            self.draft.add("item", f"- ({found[1]}) " + self.words("\n".join([found[2], *own[1:]])), level=1)
        elif (found := _TERM.match(own[0])) and found[1]:
            return self._term(lines, found, own[1:], end)
        else:
            self._paragraph(own, options, continued=at > 0 and lines[at - 1] == "+")
        return end

    def _ends(self, lines: Sequence[str], at: int) -> bool:
        line = lines[at]
        starts = (_ITEM, _FENCE, _CALLOUT, _OPTIONS, _HEADING, _ANCHOR)
        return not line.strip() or line == "+" or any(p.match(line) for p in starts) or bool(_is_term(line))

    def _item(self, marker: str, numbered: bool, said: Sequence[str]) -> None:
        if marker in self.markers:
            depth = self.markers.index(marker) + 1
            del self.markers[depth:], self.numbers[depth:]
            self.numbers[-1] += 1
        else:
            self.markers.append(marker)
            self.numbers.append(1)
        words = self.words("\n".join(said))
        if words:
            mark = f"{self.numbers[-1]}." if numbered else "-"
            self.draft.add("item", f"{mark} {words}", level=len(self.markers))

    def _term(self, lines: Sequence[str], found: re.Match[str], rest: Sequence[str], end: int) -> int:
        """What a term means may stand behind it, or below; where that is a list or a block, the term is an item."""
        said = [found[3] or "", *rest]
        if not any(said):
            while end < len(lines) and not lines[end].strip():
                end += 1
            while end < len(lines) and lines[end].strip() and not self._ends(lines, end):
                said.append(lines[end])
                end += 1
        self._item(found[2], False, [f"{found[1]}: ", *said])
        return end

    def _paragraph(self, own: Sequence[str], options: str, continued: bool) -> None:
        kind = options.partition(",")[0].strip()
        if (
            own[0].startswith(" ")
            or kind in ("source", "listing", "literal")
            or (options.startswith(",") and kind == "")
        ):
            indent = min(len(line) - len(line.lstrip()) for line in own)
            self.draft.code(_without_callouts([line[indent:] for line in own]), _language(options))
            return
        if not continued:
            self.markers, self.numbers = [], []
        if kind.lower() in ("stem", "latexmath", "asciimath", "verse"):
            self._passed("\n".join(own), options)
            return
        text = "\n".join(re.sub(r"\s\+$", "", line) for line in own)
        if found := _NOTE.match(text):
            text = f"{found[1].capitalize()}: {found[2]}"
        elif kind in _NOTES:
            text = f"{kind.capitalize()}: {text}"
        self.draft.add("paragraph", self.words(text))


def _is_term(line: str) -> bool:
    found = _TERM.match(line)
    return bool(found and found[1] and "://" not in found[1])


def _underlined(lines: Sequence[str], at: int) -> int:
    """The level of a title with a line of signs below it that is as long; 0 if this is none."""
    if at + 1 >= len(lines):
        return 0
    title, line = lines[at], lines[at + 1]
    same = len(line) > 2 and len(set(line)) == 1 and abs(len(line) - len(title)) <= 1
    return _UNDERLINES.get(line[:1], 0) if same and title[:1].isalnum() else 0


def _language(options: str) -> str:
    parts = [part.strip() for part in options.split(",")]
    said = parts[1] if len(parts) > 1 and parts[0].partition("%")[0] in ("source", "") else ""
    return said if re.fullmatch(r"[\w+-]+", said) else ""


def _without_callouts(lines: Sequence[str]) -> str:
    return "\n".join(re.sub(r"\s*(?:(?://|#|--|;;)\s*)?(?:<(?:\d+|\.)>\s*)+$", "", line) for line in lines)


def _separated(lines: Sequence[str], options: str, kind: str) -> list[list[str]]:
    tabs = "tsv" in options
    delimiter = ":" if kind == ":" or "dsv" in options else "\t" if tabs else ","
    csv.field_size_limit(1 << 24)
    try:
        rows = [row for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter) if row]
    except csv.Error:
        rows = [line.split(delimiter) for line in lines]
    width = max(map(len, rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows]


def read(data: bytes, name: str) -> Reading:
    text, notes, repairs = decode(data, name)
    source = Source()
    lines = _without_authors(list(source.lines(text)))
    walk = Walk(source)
    walk.words.titles = _titles(lines, walk.words)
    walk.walk(lines)
    reading = walk.draft.reading()
    blocks = mark_questions(reading.text, reading.blocks)
    if source.left_out:
        notes = (*notes, f"what it includes is not read: {', '.join(dict.fromkeys(source.left_out))[:200]}")
    title = next((block.label for block in blocks if block.kind == "heading"), "")
    return Reading(reading.text, blocks, title, repairs, notes)


def _without_authors(lines: list[str]) -> list[str]:
    """The line or two below a document's title that name who wrote it, and when."""
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)
    end = first + 1
    if lines[first : first + 1] and lines[first].startswith("= "):
        while end < min(first + 3, len(lines)) and _AUTHOR.match(lines[end]):
            end += 1
    return [*lines[: first + 1], *lines[end:]]


def _titles(lines: Sequence[str], words: Words) -> dict[str, str]:
    """Sections by what they may be called: the anchor above, or what is made of the title."""
    found: dict[str, str] = {}
    above = ""
    for line in lines:
        if anchor := _ANCHOR.match(line):
            above = (anchor[1] or anchor[3]).strip()
        elif heading := _HEADING.match(line):
            title = words(heading[2])
            found["_" + re.sub(r"[\W_]+", "_", title.lower()).strip("_")] = title
            if above:
                found[above] = title
            above = ""
        elif line.strip():
            above = ""
    return found
