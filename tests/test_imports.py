"""Imports point upstream only, as the data goes, and nowhere in a circle: app → assistant → ingest; finetune → both."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from assistant.cli import ELSEWHERE
from ingest.documents import READERS

ROOT = Path(__file__).resolve().parents[1]
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


def test_there_are_at_most_sixty_files() -> None:
    assert len(FILES) <= 60


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
