"""The code in the guides runs: each block by itself (a notebook's cells one after the other), with what is here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.documents import read

GUIDES = Path(__file__).parents[2] / "corpus" / "guides"

# These tell recipes that expect the reader's own data, files or services; that they compile is tested elsewhere.
RECIPES = {
    "deep-learning-careers",
    "machine-learning-course",
    "ml-and-dl-in-2026",
    "nested-circles",
    "which-one-to-learn",
}
SECONDS = 240  # for all blocks together: nearly all of it is what torch, sklearn and peft take to be imported

RUN = """
import contextlib, io, json, os, sys, traceback
os.environ["HF_HUB_OFFLINE"] = "1"
failures, notebooks = {}, {}
for name, code in json.load(sys.stdin):
    guide = name.split(",")[0]
    names = notebooks.setdefault(guide, {}) if guide.endswith(".ipynb") else {}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, name, "exec"), names)
    except BaseException:
        failures[name] = traceback.format_exc(limit=-1)
print(json.dumps(failures))
"""


def blocks(guide: Path) -> list[str]:
    """A PDF does not say what its code is written in."""
    document, fence = read(guide), "```" if guide.suffix == ".pdf" else "```python"
    found = (document.text[b.start : b.end] for b in document.blocks if b.kind == "code")
    return [text.removeprefix(fence).strip("`\n") for text in found if text.startswith(f"{fence}\n")]


FOUND = {
    f"{guide.name}, block {number}": code
    for guide in sorted(GUIDES.iterdir())
    if guide.stem not in RECIPES
    for number, code in enumerate(blocks(guide), 1)
}


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN],
        input=json.dumps(list(FOUND.items())),
        cwd=tmp_path_factory.mktemp("code"),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", FOUND)
def test_the_code_of_the_guides_runs(name: str, failures: dict[str, str]) -> None:
    assert name not in failures, failures[name]
