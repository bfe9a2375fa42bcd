from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import unquote

import pytest

from ingest.sources.places import link, text_fragment

WEB = "https://example.org/a.html"
BLOB = "https://github.com/o/r/blob/0123456789abcdef0123456789abcdef01234567/a.md"


@pytest.mark.parametrize(
    ("quoted", "named"),
    [
        ("Dropout helps.", "Dropout helps."),
        ("- An item, with `code`", "An item, with code"),
        ("## A heading", "A heading"),
        ("| a | the longest cell \\| here | b |", "the longest cell | here"),
        ("one two three four five " + "x " * 90 + "six 7 8 9 ten.", "one two three four five,six 7 8 9 ten."),
        ("The rate $\\eta$ is small", "The rate,is small"),
        ("```python\nprint(a)\n```", "print(a)"),
    ],
)  # fmt: skip
def test_a_page_is_opened_at_the_words_as_it_shows_them(quoted: str, named: str) -> None:
    fragment = text_fragment(quoted).removeprefix("#:~:text=")
    assert ",".join(map(unquote, fragment.split(","))) == named
    assert "-" not in fragment


def saved(folder: Path, text: str, name: str = "a.md") -> tuple[Path, str]:
    file = folder / name
    file.write_bytes(text.encode())
    return file, hashlib.sha256(file.read_bytes()).hexdigest()


def test_lines_are_those_of_the_words_also_where_they_stand_twice(tmp_path: Path) -> None:
    text = "# A\n\nSame words.\n\nOther words\nover two lines.\n\nSame words.\n"
    file, sha256 = saved(tmp_path, text)
    assert link(BLOB, "Same words.", text.rindex("Same"), file, sha256) == f"{BLOB}#L8-L8"
    assert link(BLOB, "Other words\nover two lines.", text.index("Other"), file, sha256) == f"{BLOB}#L5-L6"
    assert link(BLOB, "Same words.", 0, file, sha256) == BLOB  # the text is not the file's own: which is meant?
    assert link(BLOB, "Other words over two lines.", 0, file, sha256) == f"{BLOB}#L5-L6"


def test_a_file_that_is_another_by_now_tells_no_lines(tmp_path: Path) -> None:
    file, _ = saved(tmp_path, "Same words.")
    assert link(BLOB, "Same words.", 0, file, "0" * 64) == BLOB
    assert link(BLOB, "Same words.", 0, tmp_path / "gone.md", "0" * 64) == BLOB


def test_a_pdf_is_opened_at_its_page(tmp_path: Path) -> None:
    assert (
        link("https://example.org/a.pdf", "Words.", 0, tmp_path / "a.pdf", "", 3) == "https://example.org/a.pdf#page=3"
    )
    assert link(WEB, " ", 0, tmp_path / "a.html", "") == WEB
