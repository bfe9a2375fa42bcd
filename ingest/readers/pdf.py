"""PDF files: lines become paragraphs again, large or bold lines headings, and what every page repeats is furniture."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from ingest.documents import Kind
from ingest.errors import ReadError
from ingest.readers import Draft, Reading
from ingest.readers.code import strong
from ingest.readers.hyphens import Hyphens
from ingest.readers.pdf_lines import HYPHEN, Line, lines_of, running
from ingest.readers.questions import mark_questions

_NUMBERED = re.compile(r"^(?:(?:\d{1,2}|[A-Z])(?:\.\d{1,2})*)\.?\s+(?=[A-Z])")
_BULLET = re.compile(r"^[•◦▪●○‣]\s*(?=\S)|^[-–*∙·]\s+(?=\S+ \S+ \S)")
_COUNTED = re.compile(r"^(?:\(?\d{1,2}[.)]|\([a-z]\))\s+\S")
_CAPTION = re.compile(r"^(?:Figure|Fig\.|Table|Algorithm|Listing)\s+\d+\s*[.:]")
_ENDED = re.compile(r"[.!?:][\"”’')\]]*(?:\d{1,2})?$")
_NUMBER = re.compile(r"^[-–+±~<>≤≥$€£(]*\d[\d.,]*(?:[%KMBkx)†‡*]|±[\d.]+)*$|^[-–—✓✗✔✘]$")
_DULL_TITLE = re.compile(
    r"^(?:untitled|microsoft word|powerpoint|slide \d|document\d*$)|\.(?:docx?|pptx?|tex|dvi|indd|pdf)$|_",
    re.IGNORECASE,
)
_DOTS = re.compile(r"(?:\.\s?){4,}\d{1,3}\b")
_SECTION = re.compile(
    r"^(?:abstract|references|bibliography|acknowledge?ments?|limitations?|appendix|contents)\b", re.IGNORECASE
)
_LARGER, _LARGER_BOLD = 1.15, 1.05  # times the body's size: the type of a heading
_LOOK_AHEAD = 12  # paragraphs: as many footnotes and figures may stand between the halves of a sentence
_FRAGMENT = 25  # characters: so short and unfinished, it is a piece of a formula or a figure


def read(data: bytes, name: str) -> Reading:
    found = lines_of(data, name)
    if sum(char.isalpha() for line in found.lines for char in line.text) < 20:
        mend = f"Make the text readable first: ocrmypdf '{name}' with-text.pdf"
        raise ReadError(f"{name} has {found.pages} pages and no text: it is a scan, or pictures. {mend}")
    around = running(found.lines, found.pages)
    writing = _Writing([line for line in found.lines if line not in around])
    writing.write(around)
    reading = writing.draft.reading()
    blocks = mark_questions(reading.text, reading.blocks)
    heads = [block for block in blocks if block.kind == "heading" and block.page == 1]
    first = min(heads, key=lambda block: block.level).label if heads else ""
    title = first if _DULL_TITLE.search(found.title) or len(found.title.split()) < 2 else found.title
    return Reading(reading.text, blocks, title, +writing.hyphens.repairs)


class _Writing:
    """Groups lines into paragraphs, tells the kinds apart and writes them down."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.draft = Draft()
        weight: Counter[float] = Counter()
        for line in lines:
            weight[line.size] += len(line.text)
        self.body = weight.most_common(1)[0][0] if weight else 10.0
        self.hyphens = Hyphens(lines)
        self.front = self._front_matter()
        self.ranks = _ranks({line.size for line in lines if self._is_heading(line) and not _NUMBERED.match(line.text)})
        self.listed = {line.page for line in lines if _DOTS.search(line.text)}  # pages of a table of contents

    def _front_matter(self) -> range:
        """On a paper's first page: the authors, between the title and the abstract."""
        for at, line in enumerate(self.lines):
            if line.page > 1:
                break
            if re.match(r"abstract\b", line.text, re.IGNORECASE):
                largest = max(one.size for one in self.lines[:at]) if at else 0.0
                start = next((i for i in range(at) if self.lines[i].size < largest), at)
                return range(start, at)
        return range(0)

    def write(self, around: set[Line]) -> None:
        waiting = sorted(around, key=lambda line: (line.page, -line.top))
        for group in _merged_fragments(self._rejoined(list(self._groups()))):
            while waiting and waiting[0].page < group[0].page:
                line = waiting.pop(0)
                self.draft.add("furniture", line.text, page=line.page)
            self._add(group)
        for line in waiting:
            self.draft.add("furniture", line.text, page=line.page)

    def _add(self, group: Sequence[Line]) -> None:
        page, first = group[0].page, group[0]
        if self._is_listed(group):
            self.draft.add("furniture", self.hyphens.joined(group), page=page)
        elif self._is_heading(first):
            text = self.hyphens.joined(group)
            self.draft.heading(text, self._level(first, text), page)
        elif first.mono and self._is_code(group):
            self.draft.code(self._indented(group), page=page)
        elif _tabular(first) and len(group) > 1:
            self.draft.add("table", "\n".join(line.text.replace(HYPHEN, "-") for line in group), page=page)
        elif bullet := _BULLET.match(first.text):
            self.draft.add("item", "- " + self.hyphens.joined(group)[bullet.end() :], level=1, page=page)
        else:
            kind: Kind = "item" if _COUNTED.match(first.text) else "paragraph"
            self.draft.add(kind, self.hyphens.joined(group), level=1 if kind == "item" else 0, page=page)

    def _groups(self) -> Iterator[list[Line]]:
        group: list[Line] = []
        for at, line in enumerate(self.lines):
            if group and not self._goes_on(group, line, at):
                yield group
                group = []
            group.append(line)
        if group:
            yield group

    def _rejoined(self, groups: list[list[Line]]) -> list[list[Line]]:
        """A sentence that footnotes, figures or a page's end cut in two becomes one again."""
        for at, group in enumerate(groups):
            while group and self._is_open(group):
                ahead = range(at + 1, min(at + 1 + _LOOK_AHEAD, len(groups)))
                rest = next((i for i in ahead if groups[i] and self._is_body(groups[i])), None)
                if rest is None or not groups[rest][0].text[0].islower() or groups[rest][0].page > group[-1].page + 1:
                    break
                group += groups[rest]
                groups[rest] = []
        return [group for group in groups if group]

    def _is_open(self, group: Sequence[Line]) -> bool:
        return self._is_body(group) and len(group) > 1 and not _ENDED.search(group[-1].text)

    def _is_body(self, group: Sequence[Line]) -> bool:
        first = group[0]
        return (
            abs(first.size - self.body) <= 0.3
            and not first.mono
            and not _CAPTION.match(first.text)
            and not _tabular(first)
        )

    def _goes_on(self, group: Sequence[Line], line: Line, at: int) -> bool:
        """Does this line belong to the paragraph above it?"""
        above = group[-1]
        if _CAPTION.match(line.text) or _BULLET.match(line.text) or above.mono != line.mono:
            return bool(above.mono != line.mono and _beside(above, line) and not _BULLET.match(line.text))
        if self._is_heading(line) or self._is_heading(group[0]):
            alike = self._is_heading(group[0]) and (line.size, line.bold) == (above.size, above.bold)
            alike = (
                alike
                and (line.bold or self._is_heading(line))
                and len(group) < 3
                and not re.search(r"\.(?:\s|$)", line.text)
            )
            return alike and line.page == above.page and not _NUMBERED.match(line.text) and _near(above, line)
        if _tabular(line) != _tabular(above) or _tabular(line):
            return _tabular(line) and _tabular(above) and line.page == above.page
        if abs(line.size - above.size) > 0.6 and not _beside(above, line):
            return False
        if at in self.front or line.mono:
            return line.page == above.page and _near(above, line)
        if _COUNTED.match(line.text) and _ENDED.search(above.text):
            return False
        if line.page != above.page or line.top > above.bottom + line.size:  # another column or page
            return not _ENDED.search(above.text) and (line.text[0].islower() or above.text.endswith(HYPHEN))
        if not _near(above, line):
            return False
        indented = line.left > min(one.left for one in group) + 0.6 * line.size
        short = above.right < max(one.right for one in group) - 0.15 * (above.right - above.left)
        return not (_ENDED.search(above.text) and (indented or short) and not _beside(above, line))

    def _is_heading(self, line: Line) -> bool:
        text = line.text
        letters = sum(char.isalpha() for char in text)
        if (
            len(text) > 120
            or letters < 3
            or letters < len(text) / 2
            or text[-1] in ".,;"
            or line.mono
            or _BULLET.match(text)
        ):
            return False
        if self.front and line in (self.lines[self.front.start : self.front.stop]):
            return False
        if line.size >= self.body * (_LARGER_BOLD if line.bold else _LARGER):
            return True
        return line.bold and line.size >= self.body - 0.2 and bool(_NUMBERED.match(text)) and not text.endswith(":")

    def _level(self, line: Line, text: str) -> int:
        if number := _NUMBERED.match(text):
            return 2 + number.group().strip().rstrip(".").count(".")
        if (
            line.page == 1
            and not _SECTION.match(text)
            and line.size >= 0.95 * max(one.size for one in self.lines if one.page == 1)
        ):
            return 1
        return (
            max(2, self.ranks.get(line.size, 2))
            if _SECTION.match(text)
            else self.ranks.get(line.size, len(self.ranks) + 1)
        )

    def _is_listed(self, group: Sequence[Line]) -> bool:
        """A heading in a table of contents: it ends with its page."""
        return (
            group[0].page in self.listed
            and self._is_heading(group[0])
            and bool(re.search(r"\s\d{1,3}$", group[-1].text))
        )

    def _is_code(self, group: Sequence[Line]) -> bool:
        return len(group) > 1 or strong(group[0].text)

    def _indented(self, group: Sequence[Line]) -> str:
        """Code lines with the indentation that their place on the page shows."""
        edge = min(line.left for line in group)
        lines = [" " * round((line.left - edge) / (0.6 * line.size or 1)) + line.text for line in group]
        return "\n".join(lines).replace(HYPHEN, "-")


def _ranks(sizes: set[float]) -> dict[float, int]:
    """Sizes of type as levels, the largest first; what differs by less than a twentieth is one size."""
    ranks: dict[float, int] = {}
    last, rank = 0.0, 0
    for size in sorted(sizes, reverse=True):
        if not last or size < last * 0.95:
            rank, last = rank + 1, size
        ranks[size] = min(rank, 5)
    return ranks


def _merged_fragments(groups: Sequence[list[Line]]) -> Iterator[list[Line]]:
    """Pieces of a formula or of a figure's lettering, one after the other, make one block."""
    held: list[Line] = []
    for group in groups:
        text = " ".join(line.text for line in group)
        piece = (
            len(text) <= _FRAGMENT and not _ENDED.search(text) and not _BULLET.match(text) and not _COUNTED.match(text)
        )
        if held and (not piece or group[0].page != held[-1].page or abs(group[0].size - held[-1].size) > 5):
            yield held
            held = []
        if piece and not group[0].bold:
            held += group
        else:
            yield group
    if held:
        yield held


def _near(above: Line, line: Line) -> bool:
    """The next line of the same paragraph: no wider gap than a line and three quarters."""
    return above.bottom - line.top < 1.75 * max(line.size, above.size)


def _beside(above: Line, line: Line) -> bool:
    """On the same line of the page, such as what follows a raised footnote mark."""
    return line.page == above.page and abs(above.bottom - line.top) < 0.5 * max(line.size, above.size)


def _tabular(line: Line) -> bool:
    cells = line.text.split()
    numbers = sum(bool(_NUMBER.match(cell)) for cell in cells)
    return len(cells) >= 3 and numbers >= 2 and numbers >= len(cells) / 2
