"""Makes guides/models-in-production.pdf from models-in-production.md, so that the corpus has a PDF as people have them.

    pip install "fpdf2==2.8.*"
    python corpus/source/make_pdf.py [--fonts FOLDER]

The source is Markdown of a few kinds: headings, paragraphs, lists, tables, fenced code and **bold**. A paragraph never
runs over a page's end and a table's row never over a line's, so that whoever reads the file finds both whole. The same
source and fonts give the same bytes.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fpdf import FPDF

SOURCE = Path(__file__).with_name("models-in-production.md")
TARGET = SOURCE.parents[1] / "guides" / "models-in-production.pdf"
FONTS = Path("/usr/share/fonts/truetype/dejavu")  # Debian's fonts-dejavu-core
FACES = (("body", "", "Sans"), ("body", "B", "Sans-Bold"), ("mono", "", "SansMono"))
MADE = datetime(2026, 11, 21, tzinfo=UTC)  # written into the file; today's date would change its bytes

BODY, LEADING = 9.4, 4.5  # points of the type, millimetres from line to line
TITLES = {1: 19.0, 2: 14.0, 3: 11.5}
CELL, AIR = 8.5, 6.0  # a table's type, and the space between its columns
ROW = 7.6  # the height of its rows, which keeps them apart for a reader of lines
CODE, CODE_LEADING = 8.5, 4.2
GAP = 2.0  # below a paragraph
MARGIN = 18.0
GREY = 150
BLOCK = re.compile(r"^```\w*\n(?P<code>.*?)^```$|(?P<block>(?:^[^\n`][^\n]*\n?)+)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Part:
    """A block of the source: its kind, its text or a table's rows, and a heading's level or an item's mark."""

    kind: str
    text: str = ""
    level: int = 0
    mark: str = ""
    rows: tuple[tuple[str, ...], ...] = ()


def parts(source: str) -> Iterator[Part]:
    for found in BLOCK.finditer(source):
        if found["code"] is not None:
            yield Part("code", found["code"].rstrip("\n"))
        else:
            yield from _block(found["block"].splitlines())


def _block(lines: list[str]) -> Iterator[Part]:
    if heading := re.match(r"(#+) (.+)", lines[0]):
        yield Part("heading", heading[2], level=len(heading[1]))
    elif lines[0].startswith("|"):
        cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
        yield Part("table", rows=(cells[0], *cells[2:]))
    elif re.match(r"- |\d+\. ", lines[0]):
        for line in lines:
            mark, text = line.split(" ", 1)
            yield Part("item", text, mark="•" if mark == "-" else mark)
    else:
        yield Part("paragraph", " ".join(lines))


class Sheet(FPDF):
    """A4 with a page number at the foot."""

    def footer(self) -> None:
        self.set_y(-14)
        self.set_font("body", size=8)
        self.set_text_color(GREY)
        self.cell(0, 5, f"{self.page_no()} / {{nb}}", align="C")
        self.set_text_color(0)

    def keep(self, height: float) -> None:
        """What is `height` millimetres high does not begin on this page if it would not end on it."""
        if self.will_page_break(height):
            self.add_page()

    def prose(self, text: str, left: float = 0.0) -> None:
        self.set_x(self.l_margin + left)
        self.multi_cell(self.epw - left, LEADING, text, align="L", markdown=True, new_x="LMARGIN", new_y="NEXT")

    def height_of(self, text: str, left: float = 0.0) -> float:
        self.set_font("body", size=BODY)
        lines = self.multi_cell(self.epw - left, LEADING, text, align="L", markdown=True, dry_run=True, output="LINES")
        assert isinstance(lines, list)
        return LEADING * len(lines)


def heading(sheet: Sheet, part: Part, below: float) -> None:
    """A heading stays with the beginning of what follows it."""
    size = TITLES[part.level]
    sheet.keep(size * 0.9 + below)
    sheet.ln({1: 0.0, 2: 3.0, 3: 1.5}[part.level])
    sheet.set_font("body", "B", size)
    sheet.multi_cell(0, size * 0.5, part.text, align="L", new_x="LMARGIN", new_y="NEXT")
    sheet.ln(GAP)


def paragraph(sheet: Sheet, part: Part) -> None:
    sheet.keep(sheet.height_of(part.text))
    sheet.prose(part.text)
    sheet.ln(GAP)


def item(sheet: Sheet, part: Part) -> None:
    sheet.keep(sheet.height_of(part.text, left=6.0))
    sheet.set_x(sheet.l_margin + 1.0)
    sheet.cell(5.0, LEADING, part.mark)
    sheet.prose(part.text, left=6.0)
    sheet.ln(0.8)


def table(sheet: Sheet, part: Part) -> None:
    sheet.keep(ROW * len(part.rows))
    widths = _widths(sheet, part.rows)
    for number, row in enumerate(part.rows):
        sheet.set_font("body", "" if number else "B", CELL)
        for cell, width in zip(row, widths, strict=True):
            sheet.cell(width, ROW, cell)
        sheet.ln(ROW)
        sheet.set_draw_color(GREY)
        sheet.line(sheet.l_margin, sheet.y, sheet.l_margin + sum(widths), sheet.y)
    sheet.ln(GAP * 1.5)


def _widths(sheet: Sheet, rows: tuple[tuple[str, ...], ...]) -> list[float]:
    """The columns as wide as their widest cell; a cell that would need a second line is an error."""
    widths = [
        max(_width(sheet, column[0], "B"), *(_width(sheet, cell) for cell in column[1:])) for column in _turned(rows)
    ]
    if sum(widths) - AIR > sheet.epw:
        raise ValueError(f"The table {rows[0]} is {sum(widths):.0f} mm wide, the page {sheet.epw:.0f}. Shorten a cell.")
    return widths


def _turned(rows: tuple[tuple[str, ...], ...]) -> list[tuple[str, ...]]:
    return list(zip(*rows, strict=True))


def _width(sheet: Sheet, cell: str, style: str = "") -> float:
    sheet.set_font("body", style, CELL)
    return float(sheet.get_string_width(cell)) + AIR


def code(sheet: Sheet, part: Part) -> None:
    lines = part.text.splitlines()
    sheet.keep(CODE_LEADING * len(lines))
    sheet.set_font("mono", size=CODE)
    for line in lines:
        sheet.set_x(sheet.l_margin + 4.0)
        sheet.cell(0, CODE_LEADING, line, new_x="LMARGIN", new_y="NEXT")
    sheet.ln(GAP)


def make(source: str, fonts: Path) -> bytes:
    sheet = Sheet(format="A4")
    for family, style, name in FACES:
        sheet.add_font(family, style, fonts / f"DejaVu{name}.ttf")
    sheet.set_margins(MARGIN, MARGIN)
    sheet.set_auto_page_break(True, MARGIN)
    sheet.set_creation_date(MADE)
    sheet.set_lang("en")
    sheet.add_page()
    found = list(parts(source))
    sheet.set_title(found[0].text)
    draw = {"paragraph": paragraph, "item": item, "table": table, "code": code}
    for part, after in zip(found, [*found[1:], Part("end")], strict=True):
        if part.kind == "heading":
            heading(sheet, part, below=20.0 if after.kind == "heading" else sheet.height_of(after.text))
        else:
            sheet.set_font("body", size=BODY)
            draw[part.kind](sheet, part)
            if part.kind == "item" and after.kind != "item":
                sheet.ln(GAP)
    return bytes(sheet.output())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--fonts", type=Path, default=FONTS, help="the folder with DejaVuSans.ttf, -Bold and Mono")
    TARGET.write_bytes(make(SOURCE.read_text(encoding="utf-8"), options.parse_args().fonts))


if __name__ == "__main__":
    main()
