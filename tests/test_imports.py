"""Imports point upstream only, as the data goes: app → assistant → ingest; finetune → assistant, ingest."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "ingest": {"ingest"},
    "assistant": {"assistant", "ingest"},
    "finetune": {"finetune", "assistant", "ingest"},
    "app": {"app", "assistant", "ingest"},
}
OURS = {*MAY_IMPORT, "tests"}


def files() -> list[Path]:
    found = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]
    return [*found, *ROOT.glob("app.py")]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_upstream(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert set(imported(path)) & OURS <= MAY_IMPORT[package]
