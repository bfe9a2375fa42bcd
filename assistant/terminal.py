"""What a command says and asks on a terminal: lines, how far it is, whether it may be paid, long texts.

Results go to standard output, everything else to standard error. Nothing that a stream cannot take ends in a traceback.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TextIO

from assistant.records import one_line
from ingest.errors import FootnoteError

NARROWEST, WIDEST = 20, 100  # columns that prose is wrapped to

# Streams that may be closed, full, or know fewer letters than the guides.


def steady() -> bool:
    """Make the three streams take whatever comes; False where there is no standard output to show anything on."""
    shown = sys.stdout is not None
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # it stays open as long as the process runs
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    return shown


def silence() -> None:
    """Nothing more is written: what is left in the buffer would fail again when the process ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_of_the_output(error: OSError) -> bool:
    """Whether it is the output that cannot be written: a full disk, a terminal that is gone."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EDQUOT)


def understands_escapes(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int:
    return max(NARROWEST, min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST))


def say(line: str) -> None:
    print(one_line(line), file=sys.stderr, flush=True)


def put_json(value: Any) -> None:
    ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
    json.dump(value, sys.stdout, ensure_ascii=ascii_only, indent=2, default=str)
    print()


# How far something is: a line that is written over on a terminal, elsewhere a line now and then.


class Bar:
    """`with Bar("files") as bar: ... bar.tell(done, total, "reading a.md")`"""

    EVERY = 5.0  # seconds, where it is not a terminal

    def __init__(self, what: str) -> None:
        self._what = what
        self._drawn = False
        self._terminal = understands_escapes(sys.stderr)
        self._began = self._last = time.monotonic()

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def tell(self, done: int, total: int, doing: str = "") -> None:
        now = time.monotonic()
        if not self._terminal and now - self._last < self.EVERY:
            return
        self._last = now
        parts = [f"{done} of {total} {self._what}", self._left(done, total, now - self._began), one_line(doing)]
        line = ", ".join(filter(None, parts))
        if self._terminal:
            line = f"{'█' * (20 * done // max(total, 1)):░<20} {line}"
            self._write(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}")
            self._drawn = True
        else:
            say(line)

    def say(self, line: str) -> None:
        """A line of its own, which stays."""
        self._clear()
        say(line)

    def _left(self, done: int, total: int, seconds: float) -> str:
        left = seconds / done * (total - done) if done else 0.0
        return f"{left // 60:.0f}:{left % 60:02.0f} left" if left >= 1 else ""

    def _clear(self) -> None:
        if self._drawn:
            self._write("\r\033[K")
            self._drawn = False

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


# Consent to what costs money.


def agreed(line: str, yes: bool) -> bool:
    """`line` says what it is and what it costs; where nobody is there to ask, only `--yes` agrees."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise FootnoteError(f"{line}. Nobody is there to agree to it: add --yes to go ahead")
    say(f"{line}. Go ahead? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


# Texts that may be longer than the screen.

BEGIN, END = "\x01", "\x02"  # around what is shown in reverse; `neutralise` leaves neither in a text
_REVERSE, _PLAIN = "\033[7m", "\033[0m"


def put_long(text: str) -> None:
    """Through the pager ($PAGER, or less) where it is more than a screen; long lines are wrapped."""
    size = shutil.get_terminal_size((WIDEST, 24))
    lines = [row for line in text.split("\n") for row in _wrapped(line, max(NARROWEST, size.columns))]
    escapes = understands_escapes(sys.stdout)
    shown = "\n".join(_marked(lines, escapes)) + "\n"
    pager = shlex.split(os.environ.get("PAGER", "less"))
    if len(lines) < size.lines or not escapes or not pager or not shutil.which(pager[0]):
        sys.stdout.write(shown)
        return
    import subprocess

    subprocess.run(pager, input=shown.encode("utf-8", "replace"), env={"LESS": "-R", **os.environ}, check=False)


def _wrapped(line: str, columns: int) -> list[str]:
    """White space stays as it is."""
    rows = textwrap.wrap(line, columns, drop_whitespace=False, replace_whitespace=False, break_on_hyphens=False)
    return rows if len(line) > columns else [line]


def _marked(lines: list[str], escapes: bool) -> Iterator[str]:
    """Each row with its own escapes: pagers begin every row anew."""
    inside = False
    for line in lines:
        start, inside = inside, line.rfind(BEGIN) > line.rfind(END) if {BEGIN, END} & set(line) else inside
        marked = BEGIN * start + line + END * inside
        if not escapes:
            yield marked.replace(BEGIN, "").replace(END, "")
        else:
            yield marked.replace(BEGIN, _REVERSE).replace(END, _PLAIN)
