"""The lines of a plain text, told apart: code, table rows, items, and what belongs to the page it was saved from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ingest.readers.code import code_runs
from ingest.readers.furniture import is_furniture

Tag = Literal["blank", "code", "table", "item", "furniture", "front_matter", "heading", "text"]

BULLET = re.compile(r"^(?P<indent>\s*)(?:[•◦▪▸‣●○∙·*–—-]|o(?=\s{2}|\t)|\d{1,3}[.)]|\(?[a-z\d]\))\s+(?=\S)")
CODE_LABEL = re.compile(
    r"^(PYTHON|BASH|SHELL|CONSOLE|TERMINAL|POWERSHELL|JAVASCRIPT|TYPESCRIPT|JSON|YAML|SQL|HTML|CSS|JAVA|RUST|TOML|XML)"
    r"(?=[A-Z]|$)"
)
_TABLE_ROW = re.compile(r"^\s*\|.*\|\s*$|^\s*\+(?:[-=]+\+)+\s*$")


@dataclass(slots=True)
class Page:
    lines: list[str]
    tags: list[Tag]
    wrapped: bool = False

    def below(self, at: int) -> int:
        """The next line that is not blank."""
        at += 1
        while at < len(self.lines) and self.tags[at] == "blank":
            at += 1
        return at

    def tag(self, at: int) -> Tag | None:
        return self.tags[at] if 0 <= at < len(self.lines) else None


def tagged(text: str) -> Page:
    """Every line with its tag; what is not yet known to be something else is "text"."""
    lines = text.split("\n")
    page = Page(lines, _tags(lines))
    page.wrapped = _is_wrapped(page)
    _mark_badges(page)
    _mark_tag_list(page)
    return page


def _tags(lines: Sequence[str]) -> list[Tag]:
    tags: list[Tag] = ["blank" if not line.strip() else "text" for line in lines]
    for start, end in code_runs(lines):
        tags[start:end] = ["code"] * (end - start)
    for at, line in enumerate(lines):
        if tags[at] != "text":
            continue
        if _TABLE_ROW.match(line):
            tags[at] = "table"
        elif line.startswith("export const ") and at < 5:
            tags[at] = "front_matter"
        elif is_furniture(line) or (
            CODE_LABEL.fullmatch(line.strip().upper()) and "code" in tags[max(0, at - 1) : at + 2]
        ):
            tags[at] = "furniture"
        elif BULLET.match(line):
            tags[at] = "item"
    _mark_columns(lines, tags)
    return tags


def _mark_columns(lines: Sequence[str], tags: list[Tag]) -> None:
    """Three or more lines with the same number of tabs between words are a table that was copied from a page."""
    at = 0
    while at < len(lines):
        tabs = lines[at].strip().count("\t")
        end = at
        while end < len(lines) and tabs and tags[end] == "text" and lines[end].strip().count("\t") == tabs:
            end += 1
        if end - at >= 3:
            tags[at:end] = ["table"] * (end - at)
        at = max(end, at + 1)


def _is_wrapped(page: Page) -> bool:
    """Are paragraphs broken into lines? Then most lines without a full stop go on below with a small letter."""
    pairs = [
        (line, page.lines[at + 1])
        for at, line in enumerate(page.lines[:-1])
        if page.tags[at] in ("text", "item") and page.tags[at + 1] == "text"
    ]
    on = sum(
        30 <= len(line) <= 130 and line.rstrip()[-1] not in ".!?:" and below.lstrip()[0].islower()
        for line, below in pairs
    )
    return on >= 3 and on >= 0.25 * len(pairs)


def _mark_badges(page: Page) -> None:
    """Two or more short lines that each begin with a pictogram: reading time, level, "updated"."""
    for start, end in _runs(page, lambda line: len(line) <= 45 and unicodedata.category(line.strip()[0]) == "So"):
        if end - start >= 2:
            page.tags[start:end] = ["furniture"] * (end - start)


def _mark_tag_list(page: Page) -> None:
    """The keywords below an article: at its very end a run of short lines that no paragraph follows."""
    runs = _runs(page, lambda line: len(line) <= 40 and len(line.split()) <= 5 and line.rstrip()[-1] not in ".:;?!")
    if runs:
        start, end = runs[-1]
        if end - start >= 4 and page.below(end - 1) == len(page.lines):
            page.tags[start:end] = ["furniture"] * (end - start)


def _runs(page: Page, short: Callable[[str], bool]) -> list[tuple[int, int]]:
    runs, at = [], 0
    while at < len(page.lines):
        end = at
        while page.tag(end) in ("text", "furniture") and short(page.lines[end]):
            end += 1
        if end > at:
            runs.append((at, end))
        at = max(end, at + 1)
    return runs
