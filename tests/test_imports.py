"""Imports point upstream only, as the data goes, and nowhere in a circle: app → assistant → ingest; finetune → both."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from assistant.cli import ELSEWHERE
from ingest.documents import READERS

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = {
    "torch", "transformers", "sentence_transformers", "peft", "bitsandbytes", "trl", "accelerate", "datasets", "onnx"
}  # fmt: skip
DROPOUT = "Dropout helps because no unit can rely on another one."
WHY = "Why does dropout help?"
MAY_IMPORT = {
    "ingest": {"ingest"},
    "assistant": {"assistant", "ingest"},
    "finetune": {"finetune", "assistant", "ingest"},
    "app": {"app", "assistant", "ingest"},
}
OURS = {*MAY_IMPORT, "tests"}

# What `import_module` is given where it is no plain string: the tables that the names come from.
BY_NAME = {
    "ingest.documents": {f"ingest.readers.{reader.split('.')[0]}" for reader in READERS.values()},
    "assistant.cli": {module for module, _ in ELSEWHERE.values()},
    "assistant": {"assistant.answer", "assistant.records"},
}
# The command starts these by name and nothing else of theirs; so they alone may lie downstream.
STARTED = {("assistant.cli", "finetune.command"), ("assistant.evaluation.run", "finetune.merge")}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {
    module_of(path): path
    for path in (*(p for package in MAY_IMPORT for p in sorted((ROOT / package).rglob("*.py"))), ROOT / "app.py")
}


def imported(module: str) -> Iterator[str]:
    """The modules that a file imports, at its top or inside a function, by statement or by name."""
    for node in ast.walk(ast.parse(FILES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            submodules = {f"{node.module}.{name.name}" for name in node.names} & FILES.keys()
            yield from submodules
            if len(submodules) < len(node.names):
                yield node.module or ""
        elif isinstance(node, ast.Call) and _name(node.func) == "import_module":
            yield from _by_name(module, node.args[0])


def _name(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def _by_name(module: str, name: ast.expr) -> Iterator[str]:
    if isinstance(name, ast.Constant):
        yield name.value
    else:
        assert module in BY_NAME, f"{module}: import_module of a name that this test does not know"
        yield from BY_NAME[module]


@pytest.mark.parametrize("module", FILES)
def test_imports_point_upstream(module: str) -> None:
    if module != "assistant.cli" and not module.startswith("assistant.serve"):
        assert not [name for name in imported(module) if name.startswith("assistant.serve")]  # the doors lead in only
    package = module.split(".")[0]
    downstream = {name for name in imported(module) if name.split(".")[0] in OURS - MAY_IMPORT[package]}
    assert {(module, name) for name in downstream} <= STARTED


def test_there_is_no_circle() -> None:
    edges = {
        module: {name for name in imported(module) if name in FILES and (module, name) not in STARTED} - {module}
        for module in FILES
        if module != "assistant"  # the package itself names what it offers, and is imported by all
    }
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_there_are_no_more_files_than_the_notes_give_reasons_for() -> None:
    assert len(FILES) <= 98


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("dropout")
    (folder / "dropout.md").write_text(f"# Dropout\n\n{DROPOUT}\n", "utf-8")
    done = fresh(commands(["ingest", str(folder)], str(folder / "library")))
    assert done.stderr.endswith("extras:\n"), done.stderr
    return str(folder / "library")


def commands(*arguments: list[str] | str) -> str:
    """Code that gives these commands on a library, and at the end names what is there of the extras."""
    *given, place = arguments
    lines = [f"sys.argv = ['footnote', *{line!r}, '--library', {place!r}]; assert main() == 0" for line in given]
    return "\n".join([*lines, "print('extras:', *sys.modules.keys() & EXTRAS, file=sys.stderr)"])


def fresh(code: str) -> subprocess.CompletedProcess[str]:
    """The code in a process of its own, in which nothing is imported yet."""
    start = f"import sys; from assistant import main; EXTRAS = {EXTRAS!r}\n"
    return subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True)


def test_ingest_search_ask_and_the_page_import_nothing_that_comes_with_an_extra(library: str) -> None:
    page = f"""
import os
os.environ["FOOTNOTE_LIBRARY"] = {library!r}
from streamlit.testing.v1 import AppTest
from tests.page.test_app import answers, ask
app = ask(AppTest.from_file({str(ROOT / "app.py")!r}, default_timeout=60).run(), {WHY!r})
assert answers(app)[0]["status"] == "answered"
"""
    done = fresh(page + commands(["search", WHY], ["ask", WHY], library))
    assert done.stderr.endswith("extras:\n"), done.stderr
    assert done.stdout.count(DROPOUT) >= 2


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["ingest", "FOLDER", "--embedder", "another", "--library", "new"], "models"),
        (["ask", WHY, "--model", "llama:FOLDER", "--library", "LIBRARY"], "llama"),
        (["finetune", "train", "--base", "base", "--data", "data", "--out", "out"], "finetune"),
        (["finetune", "merge", "--adapter", "adapter", "--out", "out"], "finetune"),
    ],
)
def test_an_extra_that_is_missing_is_one_line_with_the_command_that_brings_it(
    arguments: list[str], extra: str, library: str
) -> None:
    folder = str(Path(library).parent)
    given = [word.replace("FOLDER", folder).replace("LIBRARY", library) for word in arguments]
    done = fresh(f"sys.modules |= dict.fromkeys(EXTRAS); sys.argv = ['footnote', *{given!r}]; sys.exit(main())")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"pip install 'footnote[{extra}]'" in done.stderr


def test_the_ways_that_are_told_to_contributors_lead_through_functions_that_exist() -> None:
    told = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    ways = re.findall(r"^\d+\. .*$", told, re.MULTILINE)
    defined = {
        name
        for path in FILES.values()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        for name in (
            node.name,
            *(f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)),
        )
    }
    assert len(ways) == 20
    assert {name for way in ways for name in re.findall(r"`([\w.]+)`", way)} <= defined
