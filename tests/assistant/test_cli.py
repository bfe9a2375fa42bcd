from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from assistant.cli import Printer
from assistant.records import Answer, Passages, Proved, Sentence

QUESTION = "Which tools?"
SAID = ["Two tools lead.", "They are these:", "- PyTorch", "- Keras", "Both are free."]


def test_items_stand_on_lines_of_their_own_and_a_sentence_behind_them_begins_a_paragraph(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sentences = tuple(Sentence(text, supported=True) for text in SAID)
    answer = Answer(QUESTION, "answered", sentences)
    shown = Printer().show([Passages((), QUESTION), *map(Proved, sentences), answer])
    assert shown == answer
    assert capsys.readouterr().out.strip() == "Two tools lead. They are these:\n- PyTorch\n- Keras\n\nBoth are free."


def test_code_stands_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    sentences = tuple(Sentence(text, supported=True) for text in ("Load it:", "```\nimport torch\n```", "That is all."))
    Printer().show([Passages((), QUESTION), *map(Proved, sentences), Answer(QUESTION, "answered", sentences)])
    assert capsys.readouterr().out.strip() == "Load it:\n```\nimport torch\n```\n\nThat is all."


def test_a_sentence_that_begins_with_a_figure_is_no_item(capsys: pytest.CaptureFixture[str]) -> None:
    sentences = tuple(Sentence(text, supported=True) for text in ("Most do.", "80 % of papers use it.", "Few do not."))
    Printer().show([Passages((), QUESTION), *map(Proved, sentences), Answer(QUESTION, "answered", sentences)])
    assert capsys.readouterr().out.strip() == "Most do. 80 % of papers use it. Few do not."
    assert Answer(QUESTION, "answered", sentences).text.strip() == "Most do. 80 % of papers use it. Few do not."


ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "chromadb", "transformers", "anthropic", "streamlit", "onnxruntime", "langchain_core", "numpy")

GUIDE = """# Field notes on dropout

Dropout switches off half of the units while a network learns. It costs nothing when the network is used.

## When not to use it

With batch normalisation it helps little: 0.2 points in our runs.
"""


def footnote(*args: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assistant.cli", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "my guides"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "dropout.md").write_text(GUIDE)
    (folder / "trees.md").write_text("# Trees\n\nA random forest is a crowd of decision trees that vote.\n")
    return folder


@pytest.fixture(scope="module")
def library(folder: Path) -> Path:
    """Made by the command itself, with the real model."""
    place = folder.parent / "library"
    done = footnote("ingest", folder, "--library", place, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert "2 added" in done.stdout
    assert "footnote ask" in done.stdout
    return place


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from assistant.cli import main
try:
    main(["--help"])
except SystemExit:
    print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split("\n")[-2].split()
    assert not set(HEAVY) & set(loaded)


def test_wrong_usage_exits_2_and_no_command_shows_the_help() -> None:
    assert footnote("ingest").returncode == 2
    assert footnote("fly").returncode == 2
    done = footnote()
    assert done.returncode == 0
    assert "ingest" in done.stdout


def test_search_finds_the_passage_and_its_json_has_the_promised_shape(library: Path) -> None:
    done = footnote(
        "search", "does dropout cost anything at prediction time?", "--library", library, "--json", "-k", "2"
    )
    assert done.returncode == 0, done.stderr
    first, *_ = json.loads(done.stdout)
    assert set(first) == {"document", "title", "section", "start", "end", "text", "score"}
    assert first["document"] == "deep/dropout.md"
    assert first["title"] == "Field notes on dropout"
    assert GUIDE[first["start"] : first["end"]] == first["text"]
    assert 0 <= first["score"] <= 1
    assert "costs nothing" in footnote("search", "dropout", "--library", library).stdout


def test_show_gives_the_text_to_the_byte_when_piped(library: Path) -> None:
    show = [sys.executable, "-m", "assistant.cli", "show", "deep/dropout.md"]
    there = ["--library", str(library)]
    assert subprocess.run([*show, *there], capture_output=True, check=True).stdout == GUIDE.encode()
    start = GUIDE.index("It costs")
    piece = subprocess.run([*show, str(start), str(start + 8), *there], capture_output=True, check=True).stdout
    assert piece == b"It costs"


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["show", "dropout.md"], "footnote: no document 'dropout.md' in {}: did you mean deep/dropout.md?"),
        (["show", "deep/dropout.md", "5"], "footnote: deep/dropout.md has characters 0 to {size}, not 5 to None"),
        (["remove", "nothing.md"], "footnote: no document 'nothing.md' in {}: `footnote status` lists what is there"),
        (["ingest", "no such folder"], "footnote: no file or folder 'no such folder': give one that exists"),
        (
            ["ingest", "new", "--chroma", "http://127.0.0.1:9"],
            "footnote: no Chroma server answers at http://127.0.0.1:9",
        ),
    ],
)
def test_every_error_is_one_line_with_exit_status_1(library: Path, args: list[str], line: str) -> None:
    Path("new").mkdir()
    Path("new/file.md").write_text("# New\n\nText.\n")
    shutil.copytree(library, "copy")
    done = footnote(*args, "--library", "copy")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(line.format("copy", size=len(GUIDE)))
    assert done.stderr.count("\n") == 1


def test_without_a_library_the_line_says_how_to_make_one() -> None:
    for command in (["search", "x"], ["show", "x"], ["status"], ["remove", "x"]):
        done = footnote(*command, "--library", "nowhere")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "make one with `footnote ingest FOLDER --library nowhere`" in done.stderr
        assert not Path("nowhere").exists()


def test_failed_files_exit_1_after_the_others_are_in_and_status_says_why(tmp_path: Path) -> None:
    guides, place = tmp_path / "guides", tmp_path / "library"
    guides.mkdir()
    (guides / "good.md").write_text(GUIDE)
    (guides / "bad\nname\x1b[31m.md").write_text("")
    done = footnote("ingest", guides, "--library", place)
    assert done.returncode == 1
    assert "1 added, 1 failed" in done.stdout
    assert len([line for line in done.stderr.splitlines() if line.startswith("failed: ")]) == 1
    assert "\x1b" not in done.stderr
    status = footnote("status", "--library", place)
    assert status.returncode == 0
    assert "failed: bad name" in status.stdout
    assert "is empty" in status.stdout
    assert "up to date" in status.stdout
    report = json.loads(footnote("ingest", guides, "--library", place, "--json").stdout)
    assert report["unchanged"] == 1
    assert report["failed"][0]["file"] == "bad\nname\x1b[31m.md"


def test_status_tells_when_the_folder_is_newer_and_what_was_repaired(tmp_path: Path) -> None:
    guides, place = tmp_path / "guides", tmp_path / "library"
    guides.mkdir()
    (guides / "latin.txt").write_bytes("Caf\xe9 notes\n\nThe na\xefve r\xe9sum\xe9 of a caf\xe9.\n".encode("latin-1"))
    assert footnote("ingest", guides, "--library", place).returncode == 0
    (guides / "new.md").write_text(GUIDE)
    done = footnote("status", "-v", "--library", place)
    assert "The folder is newer than the library (1 new): footnote ingest" in done.stdout
    assert "latin.txt" in done.stdout
    assert "cp1252" in done.stdout or "Latin" in done.stdout
    stale = json.loads(footnote("status", "--library", place, "--json").stdout)
    assert stale["stale"] == {"added": ["new.md"], "changed": [], "removed": []}
    assert stale["chunks"] == 1
    assert stale["failures"] == []


def test_removing_takes_a_document_out_and_leaves_its_file(tmp_path: Path, library: Path, folder: Path) -> None:
    shutil.copytree(library, tmp_path / "copy")
    done = footnote("remove", "trees.md", "--library", tmp_path / "copy")
    assert done.returncode == 0
    assert "removed trees.md" in done.stdout
    assert (folder / "trees.md").exists()
    assert footnote("show", "trees.md", "--library", tmp_path / "copy").returncode == 1
    status = footnote("status", "--library", tmp_path / "copy")
    assert f"taken out by hand: {folder / 'trees.md'}; `footnote ingest` with its name brings it back" in status.stdout


def test_the_reader_of_our_output_may_leave_early(library: Path) -> None:
    command = f'{sys.executable} -m assistant.cli search dropout --library "{library}" | head -c 1'
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == ""


def test_on_a_terminal_there_is_a_bar_and_a_highlighted_quote(tmp_path: Path, library: Path, folder: Path) -> None:
    seen = on_a_terminal("ingest", str(folder), "--library", str(tmp_path / "other"))
    assert "/2" in seen
    assert "2 added" in seen
    shown = on_a_terminal("show", "deep/dropout.md", "2", "13", "--library", str(library))
    assert "\x1b[7mField notes\x1b[0m" in shown


def on_a_terminal(*args: str) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [sys.executable, "-m", "assistant.cli", *args]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not data:
                break
            seen += data
        process.wait()
    os.close(ours)
    return seen.decode("utf-8", "replace")
