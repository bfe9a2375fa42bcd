from __future__ import annotations

import hashlib
import io
import re
import shutil
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image, ImageDraw, ImageFont

from ingest.chunks import chunk, page_at
from ingest.clean import mend
from ingest.documents import Reader
from ingest.errors import ReadError
from ingest.readers import Block, Reading, pages_of, sure_of
from tests.ingest.reading import check_blocks, document, outline

FILES = Path(__file__).parents[3].parent / "shared" / "bench" / "files"


@dataclass(frozen=True)
class Words:
    text: str
    x: int
    y: int
    size: int = 10
    font: str = "F1"


def pdf(*pages: list[Words], trailer: str = "", title: str = "") -> bytes:
    """A PDF as the standard's first chapter builds one: objects, a table of where they are, a trailer."""
    fonts = "/F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    fonts += " /F2 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>"
    fonts += " /F3 << /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>"
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        f"<< /Title ({title}) >>",
    ]
    for n, page in enumerate(pages):
        stream = "\n".join(f"BT /{w.font} {w.size} Tf {w.x} {w.y} Td ({_escaped(w.text)}) Tj ET" for w in page)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {5 + 2 * n} 0 R "
            f"/Resources << /Font << {fonts} >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer << /Size {size} /Root 1 0 R /Info 3 0 R {trailer} >>\n"
    return out + f"{end}startxref\n{len(out)}\n%%EOF".encode()


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _page(number: int, *lines: Words) -> list[Words]:
    return [Words("A Study of Trees", 250, 780), *lines, Words(str(number), 300, 20)]


PAPER = pdf(
    _page(
        1,
        Words("Growing Trees", 200, 740, 20, "F2"),
        Words("1 Introduction", 50, 700, 12, "F2"),
        Words("Decision trees are an old idea that has been found again by one gener-", 50, 680),
        Words("ation after the other. They split what they are given, and they do so", 50, 668),
        Words("until there is nothing left to split.", 50, 656),
        Words("A second paragraph starts here and it is not yet over when the page", 50, 630),
        Words("comes to its end, since", 50, 618),
        Words("1 A note in small type.", 50, 90, 7),
    ),
    _page(
        2,
        Words("the sentence goes on over here.", 50, 740),
        Words("1.1 Code", 50, 700, 11, "F2"),
        Words("for tree in forest:", 50, 680, 10, "F3"),
        Words("tree.grow(sun=True)", 74, 668, 10, "F3"),
        Words("Model 10.5 20.1 30.2", 50, 640),
        Words("Other 11.5 21.1 31.2", 50, 628),
        Words("y =", 50, 590),
        Words("N", 80, 600, 7),
        Words("X x", 90, 590),
    ),
    _page(3, Words("• A point that is made.", 50, 740), Words("• Another point.", 50, 720)),
    title="Microsoft Word - trees_final.doc",
)


def test_a_papers_lines_become_paragraphs_headings_code_and_tables_with_their_pages(tmp_path: Path) -> None:
    read = document(tmp_path, "paper.pdf", PAPER)

    assert read.title == "Growing Trees"
    assert outline(read) == [
        ("heading", 1, "# Growing Trees"),
        ("heading", 2, "## 1 Introduction"),
        (
            "paragraph",
            0,
            "Decision trees are an old idea that has been found again by one generation after the other. They split "
            "what they are given, and they do so until there is nothing left to split.",
        ),
        (
            "paragraph",
            0,
            "A second paragraph starts here and it is not yet over when the page comes to its end, since the sentence "
            "goes on over here.",
        ),
        ("paragraph", 0, "1 A note in small type."),
        ("furniture", 0, "A Study of Trees"),
        ("furniture", 0, "1"),
        ("heading", 3, "### 1.1 Code"),
        ("code", 0, "```\nfor tree in forest:\n    tree.grow(sun=True)\n```"),
        ("table", 0, "Model 10.5 20.1 30.2\nOther 11.5 21.1 31.2"),
        ("paragraph", 0, "y = N X x"),
        ("furniture", 0, "A Study of Trees"),
        ("furniture", 0, "2"),
        ("item", 1, "- A point that is made."),
        ("item", 1, "- Another point."),
        ("furniture", 0, "A Study of Trees"),
        ("furniture", 0, "3"),
    ]
    assert [block.page for block in read.blocks] == [1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3]
    assert read.repairs == {"words closed at a line's end": 1}
    check_blocks(read)


def test_of_each_word_the_page_is_known_also_where_a_sentence_runs_on_over_the_edge(tmp_path: Path) -> None:
    read = document(tmp_path, "paper.pdf", PAPER)
    pages = tuple(pages_of(read.blocks))

    def on(words: str) -> int | None:
        return page_at(pages, read.text.index(words))

    over_the_edge = ("Decision trees", "comes to its end", "the sentence goes on", "A note in small")
    assert [on(words) for words in over_the_edge] == [1, 1, 2, 1]
    assert [on("for tree in"), on("Another point.")] == [2, 3]
    whole = next(c for c in chunk(read, lambda texts: [len(t.split()) for t in texts]) if "goes on over" in c.text)
    assert page_at(whole.pages, read.text.index("the sentence goes on")) == 2


def test_a_page_is_drawn_with_its_words_marked_in_a_process_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "paper.pdf"
    file.write_bytes(PAPER)
    sha256 = hashlib.sha256(PAPER).hexdigest()
    words = "found again by one generation after the other"  # over a line's end, where it is "gener-" and "ation"
    with Reader() as reader:
        marked, plain = reader.picture(file, sha256, 1, words), reader.picture(file, sha256, 1, "")
        again, beyond = reader.picture(file, sha256, 1, "a", nth=2), reader.picture(file, sha256, 9, "")
        assert (marked.page, marked.pages, beyond.page) == (1, 3, 3)
        assert marked.top == pytest.approx((800 - 680 - 10) / 800, abs=0.01)
        assert again.top > 0
        assert yellow(marked.data) > 4000
        assert yellow(plain.data) == 0
        file.write_bytes(PAPER + b"%")
        with pytest.raises(ReadError, match="has changed since it was read"):
            reader.picture(file, sha256, 1, words)
        file.write_bytes(broken := b"%PDF-1.4 no more than that")
        with pytest.raises(ReadError, match="cannot be drawn"):
            reader.picture(file, hashlib.sha256(broken).hexdigest(), 1, words)


def yellow(picture: bytes) -> int:
    """How many points of a picture are bright and not blue."""
    red, _, blue = np.moveaxis(np.asarray(Image.open(io.BytesIO(picture))).astype(int), 2, 0)
    return int(np.sum((red > 200) & (blue < 170)))


def test_what_is_mended_in_a_block_moves_the_turn_of_its_page_along() -> None:
    text = "The ﬁrst ﬁnding was ﬁne, on the next page"
    turned = Block("paragraph", 0, len(text), page=1, turns=((text.index("on the"), 2),))
    mended = mend(Reading(text, (turned,)))
    [(at, page)] = mended.blocks[0].turns

    assert mended.text == "The first finding was fine, on the next page"
    assert (mended.text[at:], page) == ("on the next page", 2)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"%PDF-1.4\nbroken", "no whole PDF"),
        (pdf([]), "1 pages and no text: it is a scan"),
        (
            pdf(
                [Words("Secret", 50, 700)],
                trailer=f"/ID [<{'0' * 32}> <{'0' * 32}>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 "
                f"/O <{'ab' * 32}> /U <{'cd' * 32}> >>",
            ),
            "encrypted with a password",
        ),
    ],
)
def test_a_pdf_that_cannot_be_read_says_why_and_what_to_do(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(ReadError, match=says) as failure:
        document(tmp_path, "x.pdf", content)
    assert str(failure.value).startswith("x.pdf ")
    assert "\n" not in str(failure.value)


@pytest.mark.skipif(not FILES.is_dir(), reason="the files to try things on are not beside this checkout")
def test_a_real_paper_in_two_columns_has_its_sections_in_order(tmp_path: Path) -> None:
    from ingest.documents import read

    paper = read(FILES / "ALCE__ALCE.pdf")
    check_blocks(paper)
    sections = [block.label for block in paper.blocks if block.kind == "heading" and block.level == 2]
    assert sections[:6] == [
        "Abstract",
        "1 Introduction",
        "2 Task Setup and Datasets",
        "3 Automatic Evaluation",
        "4 Modeling",
        "5 Experiments",
    ]
    assert "prone to hallucination" in paper.text


# Pages that are pictures, read by OCR.

needs_engine = pytest.mark.skipif(not shutil.which("tesseract"), reason="tesseract is not installed")
SAID = (
    "Dropout lowers overfitting because no unit can rely on another one. With a rate of 0.5 half of the units are "
    "left out at each step, which costs twice the epochs. A tree is grown whole and pruned afterwards."
)
HEADING = "Growing Trees from Data"


def scanned(heading: str = HEADING, said: str = SAID, turn: float = 0.0, noise: float = 0.0) -> Image.Image:
    """A page as a scanner gives it at 150 dots an inch: a heading and a paragraph."""
    page = Image.new("L", (1240, 1000), 255)
    draw, y = ImageDraw.Draw(page), 110
    for text, size in ((heading, 40), (said, 24)):
        for line in textwrap.wrap(text, 70):
            draw.text((130, y), line, fill=20, font=ImageFont.load_default(size))
            y += round(size * 1.4)
        y += 24
    page = page.rotate(turn, resample=Image.Resampling.BICUBIC, fillcolor=255)
    grain = np.random.default_rng(7).normal(0, noise, (page.height, page.width))
    return Image.fromarray((np.asarray(page) + grain).clip(0, 255).astype("uint8"))


def saved(kind: str, *pages: Image.Image) -> bytes:
    out = io.BytesIO()
    more = {"save_all": True, "append_images": pages[1:]} if len(pages) > 1 else {}
    pages[0].save(out, kind, **more)
    return out.getvalue()


def with_scans(*scans: Image.Image, text: bytes = b"") -> bytes:
    """A PDF of scanned pages, behind the pages of another one."""
    made = pypdfium2.PdfDocument(text) if text else pypdfium2.PdfDocument.new()
    other = pypdfium2.PdfDocument(saved("PDF", *scans))
    made.import_pages(other)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def fake_engine(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Alone on PATH, by the engine's name: it reads what it is given and says the same of every page."""
    engine = folder / "engine" / "tesseract"
    engine.parent.mkdir(exist_ok=True)
    engine.write_text(f"#!{sys.executable}\nimport sys\nsys.stdin.buffer.read()\n{script}\n")
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", str(engine.parent))


def saying(*lines: tuple[str, int]) -> str:
    """A script that says these lines, and how sure it is of each, in hOCR."""
    spans = []
    for n, (text, sure) in enumerate(lines):
        top = 100 + 60 * n
        words = "".join(
            f"<span class='ocrx_word' title='bbox {100 + 90 * i} {top} {180 + 90 * i} {top + 40}; x_wconf {sure}'>"
            f"{word}</span> "
            for i, word in enumerate(text.split())
        )
        spans.append(
            f"<span class='ocr_line' title='bbox 100 {top} 900 {top + 40}; baseline 0 -9; x_size 40'>{words}</span>"
        )
    return f"print({''.join(spans)!r})"


@needs_engine
@pytest.mark.parametrize(("turn", "noise"), [(0.0, 0.0), (1.0, 0.0), (0.0, 25.0)])
def test_a_page_that_was_scanned_is_read_by_ocr_and_each_of_its_words_is_marked(
    tmp_path: Path, turn: float, noise: float
) -> None:
    read = document(tmp_path, "scan.pdf", with_scans(scanned(turn=turn, noise=noise)))

    assert read.title == HEADING
    assert outline(read) == [("heading", 1, f"# {HEADING}"), ("paragraph", 0, SAID)]
    assert all(read.text[start:end].strip() and 80 <= sure <= 100 for start, end, sure in sure_of(read.blocks))
    assert "".join(read.text[start:end] for start, end, _ in sure_of(read.blocks)) == f"# {HEADING}{SAID}"
    assert re.fullmatch(r"page 1: read by OCR, \d\d % sure", *read.notes)
    check_blocks(read)


@needs_engine
def test_of_a_file_with_text_and_a_scan_only_the_scan_is_a_reading(tmp_path: Path) -> None:
    read = document(tmp_path, "both.pdf", with_scans(scanned(), text=PAPER))
    pages = tuple(pages_of(read.blocks))

    assert page_at(pages, read.text.index("Dropout lowers")) == 4
    first = min(start for start, _, _ in sure_of(read.blocks))
    assert read.text.index("Another point.") < first <= read.text.index(HEADING)
    assert all(block.sure for block in read.blocks if block.page == 4)
    assert [note.partition(":")[0] for note in read.notes] == ["page 4"]


@needs_engine
@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.webp", "WEBP"), ("a.TIFF", "TIFF")]
)
def test_image_files_are_pages(tmp_path: Path, name: str, kind: str) -> None:
    read = document(tmp_path, name, saved(kind, scanned()))

    assert (read.title, read.blocks[0].page) == (HEADING, 1)
    assert read.text.endswith(SAID)


@needs_engine
def test_a_tiff_has_as_many_pages_as_it_has_and_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    both = document(tmp_path, "two.tif", saved("TIFF", scanned(), scanned("How to prune", "Cut what does not help.")))
    out, turned = io.BytesIO(), Image.Exif()
    turned[0x0112] = 6
    scanned().transpose(Image.Transpose.ROTATE_90).save(out, "JPEG", exif=turned)

    assert {block.page for block in both.blocks} == {1, 2}
    assert document(tmp_path, "lying.jpg", out.getvalue()).text.endswith(SAID)


@needs_engine
@pytest.mark.parametrize("name", ["scan.pdf", "scan.png"])
def test_the_line_is_marked_on_the_picture_of_the_page(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(with_scans(scanned()) if name.endswith("pdf") else saved("PNG", scanned()))
    with Reader() as reader:
        words = reader.read(file)
        marked = reader.picture(file, words.sha256, 1, "A tree is grown whole and pruned")
        plain = reader.picture(file, words.sha256, 1, "which it does not say anywhere")

    assert (marked.page, marked.pages) == (1, 1)
    assert yellow(marked.data) > 2000
    assert yellow(plain.data) == 0
    assert 0.2 < marked.top < 0.5


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("broken.png", saved("PNG", Image.new("L", (900, 900), 255))[:60], "broken.png is damaged"),
        ("text.jpg", b"no picture at all", "text.jpg is no whole picture"),
        ("nothing.png", b"", "nothing.png is empty"),
        pytest.param("white.png", saved("PNG", Image.new("L", (900, 900), 255)), "not 75 % sure", marks=needs_engine),
        pytest.param("white.pdf", with_scans(Image.new("L", (900, 900), 255)), "not 75 % sure", marks=needs_engine),
    ],
)
def test_a_picture_without_words_says_why_and_what_to_do(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    with pytest.raises(ReadError, match=says) as failure:
        document(tmp_path, name, content)
    assert "\n" not in str(failure.value)


def test_without_an_engine_the_command_that_brings_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, content in (("a.pdf", with_scans(scanned())), ("a.png", saved("PNG", scanned()))):
        with pytest.raises(ReadError, match="apt-get install tesseract-ocr"):
            document(tmp_path, name, content)
    both = document(tmp_path, "both.pdf", with_scans(scanned(), scanned(), text=PAPER))
    assert [note.split(". ")[0] for note in both.notes] == ["pages 4 to 5: only pictures and not read"]
    assert not list(sure_of(both.blocks))


def test_how_sure_each_line_is_stays_with_its_words_where_they_are_joined_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (
        ("The ﬁrst ﬁnding is that overfit-", 91),
        ("ting was found in each tree here.", 72),
        ("¢ A point it makes.", 80),
    )
    fake_engine(tmp_path, monkeypatch, saying(*lines, ("||| ~~", 12)))
    read = document(tmp_path, "a.png", saved("PNG", scanned()))

    assert outline(read) == [
        ("paragraph", 0, "The first finding is that overfitting was found in each tree here."),
        ("item", 1, "- A point it makes."),
    ]
    assert [(read.text[start:end], sure) for start, end, sure in sure_of(read.blocks)] == [
        ("The first finding is that overfit", 91),
        ("ting was found in each tree here.", 72),
        ("- A point it makes.", 80),
    ]
    check_blocks(read)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (saying(("Hjkl wqe rrtz uiop sdfg", 44)), "page 4: left out: OCR is not 75 % sure"),
        ("sys.exit(3)", "page 4: not read by OCR: tesseract ended with 3"),
        ("print('<html>not hOCR')", "page 4: left out"),
    ],
)
def test_what_an_engine_is_not_sure_of_or_fails_at_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, says: str
) -> None:
    fake_engine(tmp_path, monkeypatch, script)
    read = document(tmp_path, "both.pdf", with_scans(scanned(), text=PAPER))

    assert not list(sure_of(read.blocks))
    assert len(read.notes) == 1
    assert read.notes[0].startswith(says)


def test_each_page_of_a_scan_has_the_whole_time_and_says_how_far_the_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_engine(tmp_path, monkeypatch, f"import time\ntime.sleep(1.5)\n{saying(('What the page has to say.', 90))}")
    file = tmp_path / "long.tif"
    file.write_bytes(saved("TIFF", *[Image.new("L", (90, 90), 255)] * 4))
    steps = []
    with Reader(seconds=5.0) as reader:
        reader.waiting = lambda: steps.append(reader.step)
        assert len(reader.read(file).text.split()) == 4 * 6
    assert {(step.done, step.total) for step in steps if step} == {(n, 4) for n in range(4)}
