"""What is said while an evaluation runs: results on standard output, everything else on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from assistant.evaluation.generate import Progress


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def put(text: str) -> None:
    sys.stdout.write(text + "\n")


class Bar:
    """A line that is written over on a terminal; elsewhere a line now and then."""

    EVERY = 10.0  # seconds, where it is not a terminal

    def __init__(self, write: Callable[[str], object] | None = None, terminal: bool | None = None) -> None:
        self._write = write or sys.stderr.write
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        ended = progress.done == progress.total
        if not self._terminal and not ended and time.monotonic() - self._last < self.EVERY:
            return
        self._last = time.monotonic()
        cost = f", ${progress.dollars:.2f}" if progress.dollars else ""
        bar = "█" * (20 * progress.done // progress.total)
        left = f"{progress.left // 60:.0f}:{progress.left % 60:02.0f} left"
        line = f"{progress.model} {bar:░<20} {progress.done} of {progress.total}, {left}{cost}"
        self._write(f"\r\033[K{line}" + ("\n" if ended else "") if self._terminal else line + "\n")
        sys.stderr.flush()
