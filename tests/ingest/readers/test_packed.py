"""Formats that are archives of XML: books and slides."""

from __future__ import annotations

import io
import zipfile

import pytest

from ingest.errors import ReadError
from ingest.readers.office import MAX_RATIO, read_book, read_slides

CONTAINER = '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
PACKAGE = """<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
<metadata><dc:title>On dropout</dc:title></metadata>
<manifest><item id="b" href="b%20two.xhtml"/><item id="a" href="a.xhtml"/><item id="n" href="nav.xhtml"/></manifest>
<spine><itemref idref="a"/><itemref idref="b"/><itemref idref="gone"/></spine></package>"""


def book(**more: str) -> bytes:
    files = {
        "META-INF/container.xml": CONTAINER,
        "OPS/book.opf": PACKAGE,
        "OPS/a.xhtml": "<?xml version='1.0'?><html><body><h1>One</h1><p>It drops units.</p></body></html>",
        "OPS/b two.xhtml": "<html><body><h1>Two</h1><ul><li>first</li><li>second</li></ul></body></html>",
        "OPS/nav.xhtml": "<html><body><nav>Contents</nav></body></html>",
        **more,
    }
    return packed(files)


def packed(files: dict[str, str]) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return into.getvalue()


def test_a_book_is_its_chapters_in_the_order_of_its_spine() -> None:
    reading = read_book(book(), "dropout.epub")
    assert reading.title == "On dropout"
    assert reading.text == "# One\n\nIt drops units.\n\n# Two\n\n- first\n- second"
    assert all(reading.text[b.start : b.end].strip() for b in reading.blocks)


def slides() -> bytes:
    from pptx import Presentation
    from pptx.util import Inches

    made = Presentation()
    slide = made.slides.add_slide(made.slide_layouts[1])
    slide.shapes.title.text = "Rates"
    slide.placeholders[1].text_frame.text = "Small rates are slow"
    deeper = slide.placeholders[1].text_frame.add_paragraph()
    deeper.text, deeper.level = "and safe", 1
    slide.notes_slide.notes_text_frame.text = "Say why."
    table = slide.shapes.add_table(2, 2, 0, 0, Inches(4), Inches(1)).table
    for at, text in enumerate(("rate", "steps", "0.1", "7")):
        table.cell(at // 2, at % 2).text = text
    into = io.BytesIO()
    made.save(into)
    return into.getvalue()


def test_slides_are_sections_with_their_lists_tables_and_notes() -> None:
    text = read_slides(slides(), "rates.pptx").text
    assert text.startswith("## Rates\n\n- Small rates are slow\n  - and safe\n\n| rate | steps |")
    assert text.endswith("| 0.1 | 7 |\n\nSay why.")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK half an archive", "no whole EPUB"),
        (packed({"a.txt": "x"}), "no EPUB"),
        (book(**{"META-INF/encryption.xml": "<encryption><EncryptedData/></encryption>"}), "locked"),
        (book(**{"OPS/a.xhtml": "x" * (20 * 2**20)}), "zip bomb"),
    ],
)
def test_a_book_that_cannot_be_read_says_why(data: bytes, said: str) -> None:
    assert MAX_RATIO == 200
    with pytest.raises(ReadError, match=said):
        read_book(data, "book.epub")
