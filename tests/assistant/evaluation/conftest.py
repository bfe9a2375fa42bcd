"""A small library, made once by the ordinary ingest with the default model, and the questions about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.cli import main
from ingest.sync import sync
from tests.assistant.evaluation.claudes import Claude
from tests.assistant.evaluation.making import GUIDES, Evaluate, write_questions
from tests.assistant.loopback import Loopback


@pytest.fixture(scope="session")
def small_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    (folder / "guides").mkdir()
    for name, text in GUIDES.items():
        (folder / "guides" / name).write_text(text, encoding="utf-8")
    assert not sync([folder / "guides"], folder / "library").failed
    return folder / "library"


@pytest.fixture
def small_questions(tmp_path: Path) -> Path:
    return write_questions(tmp_path / "questions.jsonl")


@pytest.fixture
def evaluate(small_library: Path, small_questions: Path) -> Evaluate:
    """`footnote evaluate` on them; gives its exit status."""

    def run(*options: str | Path, asking: bool = True) -> int:
        first = [str(small_questions)] if asking else []
        return main(["evaluate", *first, "--library", str(small_library), "--no-rerank", *map(str, options)])

    return run


@pytest.fixture
def claude(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> Claude:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", loopback.url)
    monkeypatch.setattr("assistant.writers.claude.POLL", 0.01)
    return Claude(loopback)
