"""PDF files: lines become paragraphs again, large or bold lines headings, and what every page repeats is furniture.

Pages that are pictures are read by OCR (`scan.py`), in a PDF and as image files.
"""

from __future__ import annotations

import ctypes
import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ingest.clean import known
from ingest.errors import ReadError
from ingest.readers import Draft, Kind, Reading, mark_questions, one_line, scan, tidy
from ingest.readers.plain import strong

if TYPE_CHECKING:
    from PIL.Image import Image

# Lines of a paragraph joined into one, words that were broken at a line's end made whole again.


class Hyphens:
    """Made from all lines of a document: its own words decide whether "long-" and "term" are one word or a compound."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.words = Counter(word.lower() for line in lines for word in re.findall(r"[\w-]+", line.text))
        self.repairs: Counter[str] = Counter()

    def joined(self, group: Sequence[Line]) -> str:
        text = " ".join(line.text for line in group)
        text = re.sub(r"(?<=[a-z])- (?=[a-z])|(?<=\w)- (?=[a-z]{3,})", HYPHEN, text) if len(group) > 1 else text
        return re.sub(rf"([\w-]*){HYPHEN} ?([\w-]*)", self._closed, text.replace("https: //", "https://"))

    def turns(self, group: Sequence[Line]) -> tuple[tuple[int, int], ...]:
        """After how many characters of the joined text another page begins: as many as its lines have are left."""
        starts = [at for at in range(1, len(group)) if group[at].page != group[at - 1].page]
        return tuple((at, line.page) for at, line in self._begins(group, starts))

    def sure(self, group: Sequence[Line]) -> tuple[tuple[int, int], ...]:
        """After how many characters of the joined text each line begins that was read from a picture."""
        read = [at for at, line in enumerate(group) if line.sure is not None]
        return tuple((at, line.sure or 0) for at, line in self._begins(group, read))

    def _begins(self, group: Sequence[Line], starts: Sequence[int]) -> Iterator[tuple[int, Line]]:
        if not starts:
            return
        counted = self.repairs.copy()
        whole = len(self.joined(group))
        found = [(whole - len(self.joined(group[at:])), group[at]) for at in starts]
        self.repairs = counted
        yield from found

    def _closed(self, parts: re.Match[str]) -> str:
        """A word that was broken at a line's end; "long-" and "term" stay a compound where the document writes one."""
        first, second = parts[1], parts[2]
        whole, compound = (first + second).lower(), f"{first}-{second}".lower()
        self.repairs["words closed at a line's end"] += 1
        if not second or self.words[compound] or ("-" in first and not self.words[whole]):
            return f"{first}-{second}"
        if self.words[whole] or known(whole) or not (known(first.lower()) and known(second.lower())):
            return first + second
        return f"{first}-{second}"


# The lines of a PDF with what their type tells: size, weight, place on the page. pdfium gives columns in order.

HYPHEN = "\ufffe"  # pdfium's mark for a hyphen at the end of a line
_BOLD = re.compile(r"bold|black|heavy|semib|demi|cmbx|-bd\b|nimbus\w*-medi", re.IGNORECASE)
_MONO = re.compile(r"mono|courier|consol|typewriter|cmtt|sftt|menlo|inconsolata|nimbusmon", re.IGNORECASE)
_HEAVY = 600  # font weight from which type is bold

_PAGE_NUMBER = re.compile(r"^(?:page\s+)?[-–]?\s*\d{1,4}\s*[-–]?(?:\s*(?:/|of)\s*\d{1,4})?$", re.IGNORECASE)
_STAMP = re.compile(r"^arXiv:\S+ \[")
_MARGIN = 0.08  # of the page's height, above and below, where running heads stand


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    page: int
    size: float  # of the type, in points
    bold: bool
    mono: bool
    left: float
    right: float
    top: float  # where its first character stands, from the foot of the page
    bottom: float  # where its last one does: pdfium joins lines at a hyphen
    height: float  # of the page
    sure: int | None = None  # per cent, where it was read from a picture


@dataclass(frozen=True, slots=True)
class Lines:
    lines: tuple[Line, ...]
    pages: int
    title: str  # what the metadata says
    scans: scan.Scans  # of the pages that are pictures, what became of them


def lines_of(data: bytes, name: str) -> Lines:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            mend = f"Remove it first: qpdf --decrypt --password=... '{name}' open.pdf"
            raise ReadError(f"{name} is encrypted with a password. {mend}") from error
        raise ReadError(f"{name} is no whole PDF ({error}). Download or export it again.") from error
    try:
        pages = [tuple(_page_lines(document, number)) for number in range(len(document))]
        pictures = [number for number, lines in enumerate(pages) if _is_picture(document, number, lines)]
        scans = scan.Scans(len(pictures))
        for number in pictures:
            rows = scans.page(number + 1, partial(_drawn, document, number))
            pages[number] = tuple(_read_lines(rows, number + 1)) or pages[number]
        found = tuple(line for lines in pages for line in lines)
        return Lines(found, len(document), document.get_metadata_value("Title") or "", scans)
    finally:
        document.close()


_FEW = 20  # letters: a scan has a stamp or a page's number at most


def _is_picture(document: Any, number: int, lines: Iterable[Line]) -> bool:
    """Whether a page has no text to speak of, and something else to look at."""
    import pypdfium2
    from pypdfium2.raw import FPDF_PAGEOBJ_TEXT

    if sum(char.isalpha() for line in lines for char in line.text) >= _FEW:
        return False
    try:
        return any(found.type != FPDF_PAGEOBJ_TEXT for found in document[number].get_objects(max_depth=1))
    except pypdfium2.PdfiumError:
        return False


def _drawn(document: Any, number: int) -> Image:
    page = document[number]
    scale = min(scan.DPI / 72, scan.MOST_SIDE / max(page.get_width(), page.get_height()))
    drawn: Image = page.render(scale=scale, grayscale=True).to_pil()
    return drawn


_BODY = 10.0  # the size that type is given on a page that was read from a picture, where most is of one size
_ALIKE, _PIXELS = 0.15, 2.5  # sizes that differ by no more are one: measured, it is never the same twice


def _read_lines(rows: Sequence[scan.Row], page: int) -> Iterator[Line]:
    """With all measures of the page told by the size of its type, as nothing else is known of a photograph."""
    body = statistics.median([row.size for row in rows for _ in row.text]) if rows else 1.0
    scale = _BODY / body
    for row in rows:
        if not (text := one_line(tidy(row.text)[0])):
            continue
        alike = abs(row.size - body) <= max(_ALIKE * body, _PIXELS)
        yield Line(
            text=text,
            page=page,
            size=_BODY if alike else round(row.size * scale),
            bold=False,
            mono=False,
            left=row.words[0].box[0] * scale,
            right=row.words[-1].box[2] * scale,
            top=row.stands * scale,
            bottom=row.stands * scale,
            height=row.height * scale,
            sure=row.sure,
        )


def running(lines: Sequence[Line], pages: int) -> set[Line]:
    """Page numbers, and what stands at the head or foot of page after page with other numbers at most."""
    edge = {line for line in lines if not _MARGIN < line.top / (line.height or 1) < 1 - _MARGIN}
    outermost = {line for _, page in groupby(lines, lambda line: line.page) for line in _ends(list(page))}
    same: dict[tuple[str, int], list[Line]] = {}
    for line in edge | outermost:
        if sum(char.isalpha() for char in line.text) >= 5:
            same.setdefault((re.sub(r"\d+", "#", line.text), round(line.top / 4)), []).append(line)
    running = {line for line in lines if _STAMP.match(line.text)}
    running |= {line for line in outermost if _PAGE_NUMBER.match(line.text)}
    for group in same.values():
        if len(group) > max(1, pages / 2) if group[0] not in edge else len(group) >= min(3, max(2, pages)):
            running |= set(group)
    return running


def _ends(page: Sequence[Line]) -> tuple[Line, Line]:
    return max(page, key=lambda line: line.top), min(page, key=lambda line: line.top)


def _page_lines(document: Any, number: int) -> Iterator[Line]:
    from pypdfium2 import PdfiumError

    try:
        page = document[number]
    except PdfiumError:  # one broken page does not make the others unreadable
        return
    text_page = page.get_textpage()
    height = page.get_height()
    at = 0
    for raw in text_page.get_text_range(errors="replace").split("\r\n"):
        text = one_line(tidy(raw)[0])
        if text:
            yield _line(text_page, raw, text, at, number + 1, height)
        at += len(raw.encode("utf-16-le")) // 2 + 2


def _line(text_page: Any, raw: str, text: str, at: int, page: int, height: float) -> Line:
    import pypdfium2.raw as pdfium

    handle = text_page.raw
    shown = [at + index for index, char in enumerate(raw) if not char.isspace()]
    first, middle, last = (_index(handle, shown[which]) for which in (0, len(shown) // 2, -1))
    font = _font(handle, middle)
    left, top, _, _ = text_page.get_charbox(first)
    _, bottom, right, _ = text_page.get_charbox(last)
    return Line(
        text=text,
        page=page,
        size=round(pdfium.FPDFText_GetFontSize(handle, middle) * _scale(handle, middle), 1),
        bold=bool(_BOLD.search(font)) or pdfium.FPDFText_GetFontWeight(handle, middle) >= _HEAVY,
        mono=bool(_MONO.search(font)),
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        height=height,
    )


def _index(handle: Any, text_index: int) -> int:
    """Characters that pdfium makes up (line ends) or leaves out are counted in one numbering and not in the other."""
    import pypdfium2.raw as pdfium

    found = int(pdfium.FPDFText_GetCharIndexFromTextIndex(handle, text_index))
    return found if found >= 0 else text_index


def _scale(handle: Any, index: int) -> float:
    """A font of size 1 under a matrix that enlarges it ten times is ten points high."""
    import pypdfium2.raw as pdfium

    matrix = pdfium.FS_MATRIX()
    if not pdfium.FPDFText_GetMatrix(handle, index, ctypes.byref(matrix)):
        return 1.0
    return float((matrix.c**2 + matrix.d**2) ** 0.5) or 1.0


def _font(handle: Any, index: int) -> str:
    import pypdfium2.raw as pdfium

    buffer = ctypes.create_string_buffer(200)
    flags = ctypes.c_int()
    pdfium.FPDFText_GetFontInfo(handle, index, buffer, len(buffer), ctypes.byref(flags))
    return buffer.value.decode("utf-8", "replace")


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
    if sum(char.isalpha() for line in found.lines for char in line.text) < _FEW:
        raise ReadError(f"{name} has {found.pages} pages and no text: it is a scan, or pictures. {_why(found.scans)}")
    return _reading(found)


def read_images(data: bytes, name: str) -> Reading:
    """A page that was scanned or photographed; of a TIFF as many as it has."""
    drawn = list(scan.frames(data, name))
    scans = scan.Scans(len(drawn))
    read = (_read_lines(scans.page(number, draw), number) for number, draw in enumerate(drawn, 1))
    lines = tuple(line for page in read for line in page)
    if not lines:
        raise ReadError(f"{name} is a picture. {_why(scans)}")
    return _reading(Lines(lines, len(drawn), "", scans))


def _why(scans: scan.Scans) -> str:
    """Why nothing was read, where all is pictures."""
    if scans.left:
        return scan.MEND
    if scans.failed:
        return f"It could not be read by OCR ({next(iter(scans.failed.values()))})."
    return (
        f"OCR is not {scan.LEAST_SURE} % sure of any words in it. "
        f"Scan it upright at {scan.DPI} dpi, or take it out of the folder."
    )


def _reading(found: Lines) -> Reading:
    around = running(found.lines, found.pages)
    writing = _Writing([line for line in found.lines if line not in around])
    writing.write(around)
    reading = writing.draft.reading()
    blocks = mark_questions(reading.text, reading.blocks)
    heads = [block for block in blocks if block.kind == "heading" and block.page == 1]
    first = min(heads, key=lambda block: block.level).label if heads else ""
    title = first if _DULL_TITLE.search(found.title) or len(found.title.split()) < 2 else found.title
    return Reading(reading.text, blocks, title, +writing.hyphens.repairs, found.scans.notes())


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
                self.draft.add("furniture", line.text, page=line.page, sure=_sure([line]))
            self._add(group)
        for line in waiting:
            self.draft.add("furniture", line.text, page=line.page, sure=_sure([line]))

    def _add(self, group: Sequence[Line]) -> None:
        page, first = group[0].page, group[0]
        if self._is_listed(group):
            self.draft.add("furniture", self.hyphens.joined(group), page=page, sure=_sure(group))
        elif self._is_heading(first):
            text = self.hyphens.joined(group)
            self.draft.heading(text, self._level(first, text), page, _sure(group))
        elif first.mono and self._is_code(group):
            self.draft.code(self._indented(group), page=page)
        elif _tabular(first) and len(group) > 1:
            text = "\n".join(line.text.replace(HYPHEN, "-") for line in group)
            self.draft.add("table", text, page=page, sure=_sure(group))
        elif bullet := _BULLET.match(first.text):
            shift = 2 - bullet.end()
            turns = tuple((at + shift, turned) for at, turned in self.hyphens.turns(group))
            sure = tuple((max(0, at + shift), sure) for at, sure in self.hyphens.sure(group))
            text = "- " + self.hyphens.joined(group)[bullet.end() :]
            self.draft.add("item", text, level=1, page=page, turns=turns, sure=sure)
        else:
            kind: Kind = "item" if _COUNTED.match(first.text) else "paragraph"
            turns, sure, text = self.hyphens.turns(group), self.hyphens.sure(group), self.hyphens.joined(group)
            self.draft.add(kind, text, level=1 if kind == "item" else 0, page=page, turns=turns, sure=sure)

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


def _sure(group: Sequence[Line]) -> tuple[tuple[int, int], ...]:
    """How sure the reading of these lines is together, as a run from the first character on."""
    read = [(len(line.text), line.sure) for line in group if line.sure is not None]
    return ((0, round(sum(n * sure for n, sure in read) / sum(n for n, _ in read))),) if read else ()


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


# A page as it looks, with words marked: for whoever wants to see where they stand.

WIDTH = 1100  # points of a picture's width
_GLOW, _EDGE = (255, 224, 130), (224, 161, 0)


@dataclass(frozen=True, slots=True)
class Picture:
    """A page as a WebP picture. `top` is where its marks begin, as a share of its height; 0 where it has none."""

    data: bytes
    page: int
    pages: int
    top: float = 0.0


def picture(data: bytes, number: int, words: str, nth: int = 0) -> Picture:
    """Page `number`, the first is 1, with these words marked where they stand on it for the nth time, 0 the first."""
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    try:
        number = max(1, min(number, len(document)))
        page = document[number - 1]
        drawn = page.render(scale=min(WIDTH / page.get_width(), 4.0)).to_pil().convert("RGB")
        boxes = list(_boxes(page, words, nth, drawn.width / page.get_width()))
        if not boxes and _is_picture(document, number - 1, _page_lines(document, number - 1)):
            boxes = _read_boxes(_drawn(document, number - 1), words, nth, drawn.width)
        return _marked(drawn, boxes, number, len(document))
    finally:
        document.close()


def picture_of_image(data: bytes, number: int, words: str, nth: int = 0) -> Picture:
    """As `picture`, of an image file."""
    frames = list(scan.frames(data, "The picture"))
    number = max(1, min(number, len(frames)))
    image = frames[number - 1]()
    drawn = image.convert("RGB")
    drawn.thumbnail((WIDTH, scan.MOST_SIDE))
    return _marked(drawn, _read_boxes(image, words, nth, drawn.width), number, len(frames))


def _marked(drawn: Image, boxes: Sequence[Box], number: int, pages: int) -> Picture:
    import io

    from PIL import Image, ImageChops, ImageDraw

    glow = Image.new("RGB", drawn.size, (255, 255, 255))
    for box in boxes:
        ImageDraw.Draw(glow).rectangle(box, fill=_GLOW)
        ImageDraw.Draw(glow).line((box[0], box[3], box[2], box[3]), fill=_EDGE, width=2)
    out = io.BytesIO()
    ImageChops.multiply(drawn, glow).save(out, "WEBP", quality=85, method=2)
    top = min((box[1] for box in boxes), default=0.0) / drawn.height
    return Picture(out.getvalue(), number, pages, top)


Box = scan.Box  # from the upper left corner of the picture
_PATIENT = 15.0  # seconds that somebody who waits for a page waits for its marks


def _read_boxes(image: Image, words: str, nth: int, width: int) -> list[Box]:
    """One box for each line of the words, found by reading the page again; none where that does not succeed."""
    try:
        rows = scan.rows(image, _PATIENT) if scan.engine() else ()
    except ReadError:
        return []
    page = [(row, word, letter) for row in rows for word in row.words for letter in letters(word.text)]
    quote, found = letters(words), -1
    text = "".join(letter for *_, letter in page)
    for _ in range(nth + 1 if quote else 0):
        found = max(found, text.find(quote, found + 1))
    scale, boxes = width / image.width, dict[int, Box]()
    for row, word, _ in page[found : found + len(quote)] if found >= 0 else ():
        boxes[id(row)] = _around(boxes.get(id(row), word.box), word.box)
    return [(left * scale, top * scale, right * scale, bottom * scale) for left, top, right, bottom in boxes.values()]


def _around(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _boxes(page: Any, words: str, nth: int, scale: float) -> Iterator[Box]:
    """One box for each line of the words, letter by letter: hyphens and spaces at a line's end are not the quote's."""
    text_page, height = page.get_textpage(), page.get_height()
    lines: list[Box] = []
    for index in _shown(text_page, words, nth):
        left, bottom, right, top = text_page.get_charbox(index, loose=True)
        here = (left, height - top, right, height - bottom)
        if lines and left >= lines[-1][0] and here[1] < lines[-1][3] and here[3] > lines[-1][1]:
            last = lines.pop()
            here = (last[0], min(last[1], here[1]), max(last[2], right), max(last[3], here[3]))
        lines.append(here)
    yield from ((left * scale, top * scale, right * scale, bottom * scale) for left, top, right, bottom in lines)


def _shown(text_page: Any, words: str, nth: int) -> Sequence[int]:
    """The page's characters that are the words' letters, where these stand on it for the nth time, 0 the first."""
    text = text_page.get_text_range(errors="replace")
    page = [(at, letter) for at, char in enumerate(text) for letter in letters(char)]
    quote, found = letters(words), -1
    for _ in range(nth + 1 if quote else 0):
        further = "".join(letter for _, letter in page).find(quote, found + 1)
        if further < 0:
            break
        found = further
    return [_index(text_page.raw, at) for at, _ in page[found : found + len(quote)]] if found >= 0 else []


def letters(text: str) -> str:
    """What stays the same when a page's lines are joined and mended: letters and figures."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).lower() if char.isalnum())
