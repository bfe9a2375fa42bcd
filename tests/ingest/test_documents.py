from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunks import chunk
from ingest.documents import SUFFIXES, Reader, read, supported
from ingest.errors import ReadError
from ingest.words import terms
from tests.ingest.reading import check_blocks, document

BENCH = Path(__file__).parents[2].parent / "shared" / "bench" / "guides"


def fails(folder: Path, name: str, content: bytes) -> str:
    with pytest.raises(ReadError) as failure:
        document(folder, name, content)
    line = str(failure.value)
    assert name in line
    assert "\n" not in line
    return line


def test_every_format_that_is_promised_is_supported() -> None:
    promised = "md mdx qmd markdown txt html pdf ipynb docx rst csv"

    assert {f".{suffix}" for suffix in promised.split()} <= SUFFIXES
    assert supported(Path("A.MD"))
    assert not supported(Path("a.mp4"))


def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    assert "of a kind that is not read (.mp4)" in fails(tmp_path, "a.mp4", b"x")


def test_a_document_carries_its_name_and_the_fingerprints_of_file_and_text(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"# A\r\n\r\nText.\r\n")
    found = read(tmp_path / "a.md", "folder/a.md")

    assert found.path == "folder/a.md"
    assert found.text == "# A\n\nText.\n"
    assert found.sha256 == hashlib.sha256(b"# A\r\n\r\nText.\r\n").hexdigest()
    assert found.text_sha256 == hashlib.sha256(b"# A\n\nText.\n").hexdigest()


def test_names_with_spaces_line_ends_and_other_letters_are_read(tmp_path: Path) -> None:
    for name in ("a b.md", "a\nb.md", "шум и 噪声.md"):
        assert document(tmp_path, name, "# A\n\nText.\n").path == name


@pytest.mark.parametrize("content", [b"", b" \n\t\n", b"\xef\xbb\xbf", "\u200b\n".encode()])
def test_an_empty_file_is_said_to_be_empty(tmp_path: Path, content: bytes) -> None:
    assert "is empty" in fails(tmp_path, "a.txt", content)


def test_binary_data_under_a_texts_name_is_refused(tmp_path: Path) -> None:
    assert "binary data" in fails(tmp_path, "a.txt", bytes(range(256)) * 20)
    assert "binary data" in fails(tmp_path, "b.md", b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR\0\x01\x02\x03" * 40)


def test_a_stray_nul_is_taken_out_and_counted(tmp_path: Path) -> None:
    found = document(
        tmp_path, "a.md", b"# A\n\nA long enough te\0xt to hold one character that nobody typed into it.\n"
    )

    assert "text" in found.text
    assert found.repairs == {"control characters removed": 1}


TEXT = "# Café\n\nLe naïf — «cœur» coûte 5 €.\n"


@pytest.mark.parametrize(
    ("encoding", "bom", "note"),
    [
        ("utf-8", b"\xef\xbb\xbf", None),
        ("utf-16-le", b"\xff\xfe", "read as UTF-16-LE"),
        ("utf-16-be", b"\xfe\xff", "read as UTF-16-BE"),
        ("utf-16-le", b"", "read as UTF-16-LE without a byte order mark"),
        ("cp1252", b"", "read as cp1252 (Windows): it is not UTF-8"),
    ],
)
def test_other_encodings_are_read_and_said_so(tmp_path: Path, encoding: str, bom: bytes, note: str | None) -> None:
    found = document(tmp_path, "a.md", bom + TEXT.encode(encoding))

    assert found.text == TEXT
    assert found.notes == ((note,) if note else ())


def test_latin_1_and_foreign_encodings_are_read_and_said_so(tmp_path: Path) -> None:
    latin = document(tmp_path, "a.txt", "The caf\xe9 of one \x81 sort, on and on it goes.".encode("latin-1"))
    foreign = document(tmp_path, "b.txt", "Обучение с учителем требует размеченных данных, и много.".encode("cp1251"))

    assert "café" in latin.text
    assert latin.notes == ("read as Latin-1: it is not UTF-8",)
    assert "Обучение" in foreign.text
    assert "a guess" in foreign.notes[0]


def test_a_few_broken_bytes_do_not_make_a_utf_8_file_something_else(tmp_path: Path) -> None:
    found = document(tmp_path, "a.txt", "Naïve café über alles, señor.".encode() + b"\xff" + " Déjà vu.".encode())

    assert "über" in found.text
    assert found.notes == ("1 bytes are not UTF-8 and were replaced by \ufffd",)


def test_a_file_above_the_limit_is_refused_before_it_is_read_and_the_limit_can_be_raised(tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    with path.open("wb") as file:  # a hole: 3 GB that are nowhere
        file.truncate(3 * 2**30)
    with pytest.raises(ReadError, match=r"big\.txt has 3072 MB; a file of its kind is read up to 32 MB\. .*--max-mb"):
        read(path)
    small = tmp_path / "small.txt"
    small.write_text("Ten words that are more than the limit of ten bytes.")
    with pytest.raises(ReadError):
        read(small, max_bytes=10)
    assert read(small, max_bytes=100).text


def test_what_is_no_file_or_is_gone_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(ReadError, match=r"folder\.md is not a file"):
        read(tmp_path / "folder.md")
    with pytest.raises(ReadError, match=r"gone\.md is gone"):
        read(tmp_path / "gone.md")
    (tmp_path / "broken.md").symlink_to(tmp_path / "nowhere.md")
    with pytest.raises(ReadError, match=r"broken\.md is gone"):
        read(tmp_path / "broken.md")
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(ReadError, match=r"pipe\.md is not a file"):
        read(tmp_path / "pipe.md")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A")
    (tmp_path / "a.md").chmod(0)
    with pytest.raises(ReadError, match=r"cannot be opened \(Permission denied\). Try: chmod"):
        read(tmp_path / "a.md")


class Restless(type(Path())):  # type: ignore[misc]
    """A file that somebody else writes to while it is open, so many times."""

    times = 0

    def open(self, *args: object, **kwargs: object) -> object:
        file = super().open(*args, **kwargs)
        if Restless.times > 0:
            Restless.times -= 1
            with super().open("a") as other:
                other.write("More.\n")
        return file


def test_a_file_that_changes_while_it_is_read_is_read_again_and_given_up_at_last(tmp_path: Path) -> None:
    path = Restless(tmp_path / "a.md")
    path.write_text("# A\n")

    Restless.times = 1
    assert read(path).text == "# A\nMore.\n"
    Restless.times = 9
    with pytest.raises(ReadError, match="changed each of 3 times"):
        read(path)


def test_a_reader_reads_many_files_in_one_process_and_reports_each_failure(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\nText.\n")
    (tmp_path / "b.txt").write_bytes(bytes(range(256)))
    with Reader() as reader:
        first = reader.read(tmp_path / "a.md", "x/a.md")
        with pytest.raises(ReadError, match=r"y/b\.txt is not text"):
            reader.read(tmp_path / "b.txt", "y/b.txt")
        second = reader.read(tmp_path / "a.md", "x/a.md")

    assert first == second == read(tmp_path / "a.md", "x/a.md")


def test_a_file_that_hangs_its_reader_is_stopped_and_the_next_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "slow.rst").write_text("* deep\n\n  * and deeper\n\n" * 60_000)
    (tmp_path / "a.md").write_text("# A\n\nText.\n")
    began = time.monotonic()
    with Reader(seconds=1.0) as reader:
        with pytest.raises(ReadError, match=r"slow\.rst took more than 1 seconds to read and was stopped"):
            reader.read(tmp_path / "slow.rst")
        assert time.monotonic() - began < 15
        assert reader.read(tmp_path / "a.md").title == "A"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system limits no process's memory")
def test_a_file_that_eats_too_much_memory_is_given_up_and_the_next_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "fat.md").write_text("- item *one*\n" * 400_000)
    (tmp_path / "a.md").write_text("# A\n\nText.\n")
    with Reader(memory=120 * 2**20) as reader:
        with pytest.raises(ReadError, match=r"fat\.md (is too large|crashed its reader)"):
            reader.read(tmp_path / "fat.md")
        assert reader.read(tmp_path / "a.md").title == "A"


PIECES = st.sampled_from(
    [
        "# Heading", "## What now?", "Text that goes on.", "- item", "  - inner", "1. one", "| A | B |",
        "|---|---|", "| 1 | 2 |", "```", "```python", "x = f(1)", "import os", "> quote", "---", "", "", "<div>",
        "</div>", "<!-- c", "-->", ":label:`x`", "PYTHON", "PYTHONNext Thing", "• dot", "Examples:", "=====", "$$",
        "<Tip", "/>", "FAQ", "© 2026 X", "a\tb", "\x00", "::: {.x}", "export const a = {", "};", ".. note::",
        "   indented", "thegradient", "\u0e42", "Title Case Line", "\u00a0",
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(PIECES | st.text(max_size=30), max_size=25),
    suffix=st.sampled_from([".md", ".mdx", ".txt", ".rst", ".html"]),
)
def test_whatever_is_written_into_a_file_its_blocks_are_exact(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], suffix: str
) -> None:
    content = "\n".join(lines).encode("utf-8", "replace")
    try:
        found = document(tmp_path_factory.getbasetemp(), f"any{suffix}", content)
    except ReadError as error:
        failure = str(error)
    else:
        failure = ""
        check_blocks(found)
    assert "damaged" not in failure  # that is what a reader's own fault would be called


@pytest.mark.skipif(not BENCH.is_dir(), reason="the guides to try things on are not beside this checkout")
def test_five_hundred_real_guides_are_read_and_their_blocks_are_exact() -> None:
    paths = sorted(path for path in BENCH.rglob("*") if path.is_file() and supported(path))
    with Reader() as reader:
        for path in paths[::8]:
            check_blocks(reader.read(path))
    assert len(paths) > 500


def seconds(path: Path) -> float:
    """What one processor needs to read a file, to cut it and to take its terms; the least of two times."""
    taken = []
    for _ in range(2):
        began = time.process_time()
        with contextlib.suppress(ReadError):
            for c in chunk(read(path), lambda texts: [len(text) // 4 + 1 for text in texts]):
                terms(c.text)
        taken.append(time.process_time() - began)
    return min(taken)


RUNS = [
    ":", "[x](", "<!--", "<!--\n", "\\( ", "\\[ ", "a. A. ", "a", ".", " ", "\n", "`", "<", "</", "<A\n", "{", "Aa.Bb",
    "\ue227\n\n", "([x] ", "$x ", "| a ", "- ", "> ", "the",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".md", ".mdx", ".txt", ".html"])
def test_twice_as_much_of_anything_takes_twice_as_long_and_not_four_times(tmp_path: Path, suffix: str) -> None:
    slow = []
    for run in RUNS:
        path = tmp_path / f"run{suffix}"
        taken = []
        for length in (4_000, 16_000):
            path.write_text("# T\n\nText. " + run * (length // len(run)), "utf-8")
            taken.append(seconds(path))
        if taken[1] > 9 * max(taken[0], 0.02):  # four times as much: a square would be sixteen times
            slow.append((run, taken))
    assert not slow
