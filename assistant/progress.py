"""How far an ingest is: a bar on a terminal, elsewhere a plain line every few seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from assistant.plain import one_line

if TYPE_CHECKING:
    from ingest.changes import Progress

SECONDS_BETWEEN_LINES = 5.0


class Shown:
    """`with Shown() as shown: sync(..., progress=shown.tell, notify=shown.say)`"""

    def __init__(self) -> None:
        self._bar: Any = None
        self._last = time.monotonic()

    def __enter__(self) -> Shown:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def tell(self, progress: Progress) -> None:
        if sys.stderr.isatty():
            self._draw(progress)
        elif time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self.say(f"{progress.done} of {progress.total} files: {progress.doing}")

    def say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        print(one_line(line), file=sys.stderr, flush=True)

    def _draw(self, progress: Progress) -> None:
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(unit="file", leave=False, bar_format="{l_bar}{bar:24}| {n}/{total} {elapsed}{postfix}")
        self._bar.total, self._bar.n = progress.total, progress.done
        self._bar.set_postfix_str(one_line(progress.doing)[-60:])
