"""The guides of the starter corpus: well-formed, complete in their originals' figures, in words of their own.

Run by itself: pytest tests/corpus/test_guides.py
"""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import pytest

from ingest.documents import read

ROOT = Path(__file__).parents[2]
EVERY = sorted((ROOT / "corpus" / "guides").iterdir())
GUIDES = [guide for guide in EVERY if guide.suffix == ".md"]
ORIGINALS = ROOT.parent / "shared" / "guides"
ORIGIN_OF = {
    "ml-and-dl-in-2026": "000_8e58f703a817bd2e.txt",
    "which-one-to-learn": "001_32b7404793e900ed.txt",
    "nested-circles": "002_f9772a25146ea2d7.txt",
    "machine-learning-course": "003_bdfd4b7d4df1bfd4.txt",
    "deep-learning-careers": "004_0e438f87b70b9247.txt",
}
LONGEST_RUN = 9  # words in common with an original; a run of ten is a copied sentence
TITLES = (  # names of works, which have no other wording
    "Machine Learning and Deep Learning: Types, Similarities and Differences in 2026",
    "Deep Learning vs. Machine Learning: Which One Should You Learn?",
    "Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow",
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

of_any_format = pytest.mark.parametrize("guide", EVERY, ids=lambda path: path.name)
each_guide = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
needs_originals = pytest.mark.skipif(
    not ORIGINALS.is_dir(), reason="the originals that the guides are compared with are not beside this checkout"
)


def prose(guide: Path) -> str:
    """The guide without front matter and code."""
    return FENCE.sub("", guide.read_text(encoding="utf-8").split("\n---\n", 1)[1])


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def figures(text: str) -> set[str]:
    """Numbers with their dollar, per cent or size: 40 and 40% are two figures."""
    return {found[0].rstrip(".,") for found in re.finditer(r"(?<![\w.])\$?\d[\d,]*\.?\d*(?:[%KMB]\b|%|GB)?", text)}


def runs_in_common(ours: list[str], theirs: list[str], length: int) -> list[str]:
    """Every run of `length` words that stands in both."""
    known = {tuple(theirs[i : i + length]) for i in range(len(theirs) - length + 1)}
    windows = (tuple(ours[i : i + length]) for i in range(len(ours) - length + 1))
    return [" ".join(window) for window in windows if window in known]


def cells(row: str) -> list[str]:
    without_code = re.sub(r"`[^`]*`", "code", row)
    return re.split(r"(?<!\\)\|", without_code.strip().strip("|"))


def tables(text: str) -> list[list[str]]:
    return [table.strip().splitlines() for table in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)]


def test_guides_come_in_the_formats_that_people_have() -> None:
    assert ORIGIN_OF.keys() <= {guide.stem for guide in GUIDES}
    assert {guide.suffix for guide in EVERY} == {".md", ".html", ".ipynb", ".pdf"}


@of_any_format
def test_a_guide_is_read_whole_with_its_title_its_headings_and_its_code(guide: Path) -> None:
    document = read(guide)
    headings = [document.text[b.start : b.end].lstrip("# ") for b in document.blocks if b.kind == "heading"]
    assert not document.named
    assert len(headings) >= 10
    assert any(heading.startswith("What to read next") for heading in headings) or guide.stem in ORIGIN_OF
    assert len(document.text.split()) > 1200


@each_guide
def test_the_front_matter_names_title_subject_origin_and_date(guide: Path) -> None:
    opening, front, _ = guide.read_text(encoding="utf-8").split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in front.splitlines())
    assert not opening
    assert list(fields) == ["title", "covers", "origin", "date", "written"]
    assert all(value.strip('" ') for value in fields.values())
    assert re.match(r"2026", fields["date"])


@each_guide
def test_headings_start_with_one_title_skip_no_level_and_never_repeat(guide: Path) -> None:
    headings = re.findall(r"^(#+) (.+)$", prose(guide), re.MULTILINE)
    levels = [len(marks) for marks, _ in headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert len({title for _, title in headings}) == len(headings)


@each_guide
def test_every_heading_is_followed_by_something(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8").split("\n---\n", 1)[1]
    bare = re.findall(r"^(#+) (.+)\n+(?=(#+) |\Z)", FENCE.sub("code", text), re.MULTILINE)
    assert [title for marks, title, below in bare if len(below) <= len(marks)] == []


@each_guide
def test_every_code_block_names_its_language_and_python_compiles(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    blocks = FENCE.findall(text)
    assert text.count("```") == 2 * len(blocks)
    for language, code in blocks:
        assert language in {"python", "bash", "text"}
        if language == "python":
            ast.parse(code)


@each_guide
def test_every_table_has_a_header_and_rows_of_equal_width(guide: Path) -> None:
    for table in tables(prose(guide)):
        assert re.fullmatch(r"\|(---\|)+", table[1]), table[0]
        assert {len(cells(row)) for row in table} == {len(cells(table[0]))}, table[0]
        assert len(table) > 2, table[0]


@each_guide
def test_no_damage_of_the_originals_came_along(guide: Path) -> None:
    assert not re.search(r"[โ\ufffd\u200b]|[a-z]\.[A-Z][a-z]+ [a-z]+ ", prose(guide))


@needs_originals
@of_any_format
def test_no_sentence_of_any_original_stands_in_a_guide(guide: Path) -> None:
    text = read(guide).text
    for title in TITLES:
        text = text.replace(title, "\n")
    for original in sorted(ORIGINALS.glob("*.txt")):
        theirs = words(original.read_text(encoding="utf-8"))
        assert runs_in_common(words(text), theirs, LONGEST_RUN + 1) == [], original.name


@needs_originals
@pytest.mark.parametrize("stem", ORIGIN_OF)
def test_every_figure_of_an_original_stands_in_its_guide(stem: str) -> None:
    original = (ORIGINALS / ORIGIN_OF[stem]).read_text(encoding="utf-8")
    assert figures(original) - figures((ROOT / "corpus" / "guides" / f"{stem}.md").read_text("utf-8")) == set()


def test_the_pdf_is_made_from_its_source(tmp_path: Path) -> None:
    """Word for word; how a line is broken is the page's affair."""
    source = (ROOT / "corpus" / "source" / "models-in-production.md").read_text(encoding="utf-8")
    text = words(read(ROOT / "corpus" / "guides" / "models-in-production.pdf").text)
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", source), re.MULTILINE)
    assert len(headings) > 10
    for heading in headings:
        assert " ".join(words(heading)) in " ".join(text), heading
