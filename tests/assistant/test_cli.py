from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from assistant.cli import Printer, main
from assistant.records import Answer, Footnote, Passages, Proved, Sentence
from ingest.library import Library, create

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
    assert "of 2 files" in seen
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


# An answer that is none, and what is not a question.


def said(*sentences: Sentence, status: str = "answered", detail: str = "") -> list[Any]:
    answer = Answer(QUESTION, status, sentences, detail=detail)  # type: ignore[arg-type]
    return [Passages((), QUESTION), *map(Proved, sentences), answer]


NOTE = Footnote("a.md", "A guide", "Tools", 0, 9, "PyTorch leads.")


def test_a_text_of_which_nothing_is_supported_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    made_up = (Sentence("The guides say:", True), Sentence("It was Napoleon.", False, (), "it has no footnote"))
    Printer().show(said(*made_up, status="not_in_guides", detail="It is not shown as an answer."))
    printed = capsys.readouterr().out
    assert "Napoleon" not in printed
    assert printed.startswith("Not in the guides.\nIt is not shown")


def test_what_stands_before_the_first_supported_sentence_is_printed_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    events = said(
        Sentence("In short:", True), Sentence("PyTorch leads.", True, (NOTE,)), Sentence("So.", False, (), "no")
    )
    Printer().show(events)
    assert capsys.readouterr().out.startswith("In short: PyTorch leads.[1] So. (not supported: no)")


def test_a_sentence_in_doubt_is_shown_as_such_and_makes_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    Printer().show(said(Sentence("PyTorch wins.", False, (NOTE,), "no word of winning", doubted=True)))
    assert capsys.readouterr().out.startswith("PyTorch wins.[1] (in doubt: no word of winning)")


def test_what_was_written_before_a_writer_failed_stays_in_sight(capsys: pytest.CaptureFixture[str]) -> None:
    Printer().show(said(Sentence("It was", False, (), "it has no footnote"), status="failed"))
    assert "It was (not supported" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["search", "x", "--kind", "nokind"], "invalid choice: 'nokind'"),
        (["search", "x", "--in", "nodoc.md"], "no document is called 'nodoc.md'"),
        (["search", "x", "-k", "-3"], "'-3' is not a whole number of 1 or more"),
        (["search", "x", "-k", "0"], "'0' is not a whole number of 1 or more"),
        (["search", "  "], "the question is empty"),
        (["ask", ""], "the question is empty"),
        (["ask", "x", "--model", "clade"], "there is no model 'clade': --model takes quotes, claude"),
        (["ask", "x", "--jsn"], "unrecognized arguments: --jsn (did you mean --json?)"),
        (["ingest", "x", "--max-mb", "0"], "'0' is not a whole number"),
    ],
)
def test_wrong_usage_shows_the_usage_of_the_very_command_and_exits_2(
    args: list[str], said: str, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*args, "--library", str(library)])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"usage: footnote {args[0]} ")
    assert said in error


def test_a_model_that_there_is_not_is_refused_before_anything_is_searched(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["ask", "x", "--model", "clade", "--library", "nowhere"])
    assert ended.value.code == 2
    assert "no library" not in capsys.readouterr().err


def test_a_library_that_an_interrupted_ingest_left_empty_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create(tmp_path / "new")
    assert main(["status", "--library", str(tmp_path / "new")]) == 0
    assert "Nothing was ingested into it yet: footnote ingest FOLDER" in capsys.readouterr().out
    for command in ("ask", "search"):
        assert main([command, "What is overfitting?", "--library", str(tmp_path / "new")]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "nothing was ingested into it yet: `footnote ingest" in printed.err


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"footnote \d+\.\d+.*\n", capsys.readouterr().out)


# Streams that are closed, full, narrow or know few letters.


@pytest.mark.parametrize(
    ("shell", "code", "error"),
    [
        ("{} > /dev/full", 1, "footnote: standard output cannot be written (No space left on device)"),
        ("{} >&-", 1, "footnote: standard output is closed"),
        ("{} 2>&-", 0, ""),
        ("{} <&-", 0, ""),
        ("PYTHONIOENCODING=latin-1 {}", 0, ""),
        ("PYTHONIOENCODING=ascii {} --json", 0, ""),
        ("COLUMNS=3 {}", 0, ""),
    ],
)
def test_a_stream_that_takes_nothing_or_little_is_no_traceback(
    shell: str, code: int, error: str, tmp_path: Path
) -> None:
    (tmp_path / "a.md").write_text("# Größen – “alle”\n\nDie Größe — 学习 — beträgt 12.\n")
    assert main(["ingest", str(tmp_path / "a.md"), "--library", str(tmp_path / "library")]) == 0
    command = f'{sys.executable} -m assistant.cli search Größe --library "{tmp_path}/library"'
    done = subprocess.run(shell.format(command), shell=True, capture_output=True)
    assert done.returncode == code, done.stderr
    assert done.stderr.decode().startswith(error) if error else done.stderr == b""
    assert b"Traceback" not in done.stderr
    if "--json" in shell:
        assert "学习" in json.loads(done.stdout)[0]["text"]


def test_help_fits_any_width_and_a_full_disk(tmp_path: Path) -> None:
    for shell, code in (("COLUMNS=3 {}", 0), ("{} > /dev/full", 1)):
        command = f"{sys.executable} -m assistant.cli ask --help"
        done = subprocess.run(shell.format(command), shell=True, capture_output=True)
        assert done.returncode == code
        assert b"Traceback" not in done.stderr
        assert b"Exception ignored" not in done.stderr


def test_an_answer_is_wrapped_in_the_narrowest_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "3")
    Printer().show(said(Sentence("PyTorch leads in research by far.", True, (NOTE,))))
    assert "“PyTorch" in capsys.readouterr().out


# Ctrl-C.


def test_a_stopped_command_exits_130_and_says_that_it_goes_on_only_where_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], library: Path
) -> None:
    def stop(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ingest.sync.sync", stop)
    monkeypatch.setattr("assistant.answer.Assistant.search", stop)
    assert main(["ingest", "x"]) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    assert main(["search", "x", "--library", str(library)]) == 130
    assert capsys.readouterr().err.strip() == "footnote: stopped"


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.2, 0.4])
def test_ctrl_c_at_the_very_start_is_no_traceback(seconds: float) -> None:
    script = "import sys; from assistant import main; sys.exit(main())"
    started = subprocess.Popen(
        [sys.executable, "-c", script, "--help"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    time.sleep(seconds)
    started.send_signal(signal.SIGINT)
    _, error = started.communicate(timeout=60)
    assert b"/assistant/" not in error  # while Python itself starts, it has its own way to say it


def test_chat_that_is_stopped_has_done_its_work(tmp_path: Path, library: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "assistant.cli", "chat", "--port", str(port), "--library", str(library)]
    heeded = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which is ignored below a shell's background job
    pipe = subprocess.PIPE
    chat = subprocess.Popen(command, stdout=pipe, stderr=pipe, start_new_session=True, preexec_fn=heeded)
    until(lambda: answers(port), 60)
    os.killpg(chat.pid, signal.SIGINT)  # as a terminal does: to all of the group in front
    _, error = chat.communicate(timeout=60)
    assert chat.returncode == 0
    assert b"Traceback" not in error
    assert not answers(port)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


# On a terminal.


def test_what_a_footnote_leads_to_is_shown_with_the_lines_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"Line {n} of many." for n in range(200)]
    (tmp_path / "long.md").write_text("\n\n".join(lines) + "\n\n" + "word " * 60 + "\n")
    place = tmp_path / "library"
    assert main(["ingest", str(tmp_path / "long.md"), "--library", str(place)]) == 0
    text = Library(place).text("long.md")
    start = text.index("Line 100 of")
    shown = on_a_terminal("show", "long.md", str(start), str(start + 8), "--library", str(place))
    assert "\x1b[7mLine 100\x1b[0m of many." in shown
    assert "Line 99 of" in shown
    assert "Line 101 of" in shown
    assert "Line 90 of" not in shown
    monkeypatch.setenv("PAGER", "head -n 3")
    whole = on_a_terminal("show", "long.md", "--library", str(place))
    assert "Line 1 of many." in whole
    assert "Line 50" not in whole  # the pager had it
    monkeypatch.setenv("PAGER", "cat")
    rows = on_a_terminal("show", "long.md", "--library", str(place)).splitlines()
    assert max(map(len, rows)) <= 100


def test_a_dumb_terminal_gets_no_escapes(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    (tmp_path / "a.md").write_text(GUIDE)
    for args in (
        ["show", "deep/dropout.md", "2", "13"],
        ["ask", "What does dropout switch off?"],
        ["ingest", str(tmp_path / "a.md")],
    ):
        place = tmp_path / "other" if args[0] == "ingest" else library
        assert "\x1b" not in on_a_terminal(*args, "--library", str(place))
