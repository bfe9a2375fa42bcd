"""Which files a question enters from `ask` to the finished `Answer`, and a file from `sync` to published.

python -m tests.bench ways
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from assistant import Assistant
from ingest.documents import read
from ingest.sync import sync

ROOT = Path(__file__).resolve().parents[2]
GUIDE = "# Dropout\n\nDropout switches off units at random while a network is trained. It prevents overfitting.\n"


def entered(action: Callable[[], Any]) -> list[str]:
    """The files of ours in which a function runs while `action` does, in any thread, in the order of their first."""
    found: dict[str, None] = {}

    def look(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and frame.f_code.co_name != "<module>" and path.is_relative_to(ROOT):
            name = path.relative_to(ROOT).as_posix()
            if name.startswith(("ingest/", "assistant/")):
                found.setdefault(name)

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        action()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return list(found)


def main(argv: Sequence[str] = ()) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        guides, place = Path(base) / "guides", Path(base) / "library"
        guides.mkdir()
        (guides / "first.md").write_text(GUIDE)
        sync([guides], place)
        (guides / "dropout.md").write_text(GUIDE.replace("prevents", "reduces"))
        of_file = entered(lambda: (read(guides / "dropout.md"), sync([guides], place)))  # sync reads in another process
        guide = Assistant(place)
        guide.ask("What is dropout?")
        of_question = entered(lambda: guide.ask("Why does dropout help?"))
    for what, files in (("a file", of_file), ("a question", of_question)):
        print(f"{what} enters {len(files)} files: {', '.join(files)}")
