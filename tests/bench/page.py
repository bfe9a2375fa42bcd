"""The page over many questions: how soon the first words are there, and whether the server's memory stays flat.

    python -m tests.bench page --library library --questions 200

Asks the corpus' questions one after the other in headless Chromium, a new conversation every ten. From Enter to the
first words of the answer is measured in the page; memory is the server's resident set, as Linux tells it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from assistant.evaluation.questions import read
from tests.page.conftest import CHROMIUM, FLAGS, serving

ROOT = Path(__file__).resolve().parents[2]
EVERY = 10  # questions of one conversation
BOX = '[data-testid="stChatInputTextArea"]'


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench page", description=__doc__)
    parser.add_argument("--library", type=Path, default=Path("library"))
    parser.add_argument("--questions", type=int, default=200)
    args = parser.parse_args(argv)
    if not args.library.is_dir():
        parser.error(f"there is no library at {args.library}: footnote ingest corpus --library {args.library}")
    asked = [q.question for q in read(ROOT / "corpus" / "questions.jsonl") if not q.history]
    with tempfile.TemporaryDirectory() as folder, serving(args.library.resolve(), Path(folder) / "log") as url:
        _ask_all(url, list(islice(cycle(asked), args.questions)))


def _ask_all(url: str, questions: list[str]) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(120_000)
        waited: list[float] = []
        for number, question in enumerate(questions):
            if number % EVERY == 0:
                page.goto(url)
                page.locator(BOX).wait_for()
                page.wait_for_timeout(1000)
                if number:
                    print(f"{number:4d} questions: {_memory(url)} MB, first words p50 {_median(waited)} s", flush=True)
            waited.append(_first_words(page, question, number % EVERY))
        print(f"{len(questions):4d} questions: {_memory(url)} MB, first words p50 {_median(waited)} s")


def _first_words(page: Any, question: str, before: int) -> float:
    page.locator(BOX).fill(question)
    started = time.perf_counter()
    page.keyboard.press("Enter")
    article = page.locator("article").nth(before)
    article.locator(".answer > *, .state").first.wait_for()
    took = time.perf_counter() - started
    article.locator("footer.meta").wait_for()
    return took


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}"


def _memory(url: str) -> int:
    """Of the process that listens there, in MB."""
    port = url.rsplit(":", 1)[1]
    found = subprocess.run(["pgrep", "-f", f"server.port {port}"], capture_output=True, text=True, check=True).stdout
    lines = Path(f"/proc/{found.split()[0]}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) // 1024
