"""The lines of a PDF with what their type tells: size, weight, place on the page. pdfium gives columns in order."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ingest.errors import ReadError
from ingest.readers.decode import tidy

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


@dataclass(frozen=True, slots=True)
class Lines:
    lines: tuple[Line, ...]
    pages: int
    title: str  # what the metadata says


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
        found = tuple(line for number in range(len(document)) for line in _page_lines(document, number))
        return Lines(found, len(document), document.get_metadata_value("Title") or "")
    finally:
        document.close()


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
        if len(group) > pages / 2 if group[0] not in edge else len(group) >= min(3, max(2, pages)):
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
        text = " ".join(tidy(raw)[0].split())
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
