"""What the README says to type works, and what it says of the tree is so."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from assistant.cli import main, parser

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip() and not line.startswith("#")
]
NOT_RUN = {
    "chat": "opens a page that stays open",
    "serve": "goes on until it is stopped",
    "mcp": "goes on until it is stopped",
    "token": "writes into the library",
    "evaluate": "takes a minute",
    "finetune": "takes minutes",
}
NEEDS = ("--model claude", "--model llama", "--model http")


@pytest.fixture
def folder(corpus_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder as a stranger has it after `make run`."""
    (tmp_path / "library").symlink_to(corpus_library)
    (tmp_path / "corpus").symlink_to(ROOT / "corpus")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_is_something_to_type() -> None:
    assert {"make run", "make test"} <= set(COMMANDS)
    assert sum(command.startswith("footnote") for command in COMMANDS) >= 6


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_each_make_target_is_there(command: str) -> None:
    target = command.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("footnote ")])
def test_each_footnote_command_works_as_it_stands(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = shlex.split(command)[1:]
    parser().parse_args(arguments)  # usage is right, whether or not it can be run here
    if arguments[0] in NOT_RUN:
        pytest.skip(f"{arguments[0]}: {NOT_RUN[arguments[0]]}")
    if any(need in command for need in NEEDS):
        pytest.skip("needs a key, a GPU or a server")
    assert main(arguments) == 0
    assert capsys.readouterr().out


def test_the_python_example_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert "answered" in capsys.readouterr().out


def test_the_answer_on_the_first_screen_is_the_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = re.findall(r"```\n\$ (footnote ask .*?)```", README, re.DOTALL)
    command, _, expected = shown.partition("\n")
    assert main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out.split() == expected.split()


def test_every_extra_that_a_message_or_a_document_names_is_one_that_there_is() -> None:
    there = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    files = [
        f for p in ("assistant", "ingest", "finetune") for f in (ROOT / p).rglob("*") if f.suffix in (".py", ".md")
    ]
    files += [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), ROOT / "Makefile"]
    named = {
        name
        for f in files
        for inside in re.findall(r"(?:footnote|-e '\.)\[([a-z,]+)\]", f.read_text("utf-8"))
        for name in inside.split(",")
    }
    assert {"mlflow", "llama", "finetune"} <= named <= there


def test_the_tree_names_every_room_and_nothing_that_is_not_there() -> None:
    (tree,) = re.findall(r"## The tree\n\n```\n(.*?)```", README, re.DOTALL)
    packages = ("ingest", "assistant", "finetune")
    rooms = {file.name for p in packages for file in (ROOT / p).glob("*.py")} - {"__init__.py"}
    inner = {file.stem for p in packages for file in (ROOT / p).glob("*/*.py")} - {"__init__"}
    assert set(re.findall(r"\b\w+\.py\b", tree)) == rooms | {"app.py"}
    assert inner <= set(re.findall(r"\w+", tree))
    assert len(tree.splitlines()) <= 50  # one screen
