"""Which lines of a plain text are headings? They are short, begin like titles, and stand above something."""

from __future__ import annotations

import re

from ingest.readers.levels import NUMBERED, Found
from ingest.readers.lines import Page

_RULER = re.compile(r"^\s*([=\-~^*_])\1{2,}\s*$")
_SMALL_ENDS = frozenset(
    "to by of for like include includes including with from and or the a an as in on when if that is are".split()
)
_OPENERS = frozenset(
    "the this these that here there it you we i they in for if when while below understand some".split()
)
_LONGEST_HEADING, _MOST_WORDS = 100, 15
_MENU = 5  # headings line upon line


def headings(page: Page) -> dict[int, Found]:
    """Marks the lines that are headings, and says what is known of each."""
    colon: set[int] = set()
    ruled: dict[int, int] = {}
    first = next((at for at, tag in enumerate(page.tags) if tag not in ("blank", "furniture", "front_matter")), -1)
    for at in range(len(page.lines)):
        if page.tags[at] not in ("text", "item"):
            continue
        below = page.tag(at + 1)
        if below == "text" and _RULER.match(page.lines[at + 1]) and _titled(page.lines[at]):
            ruled[at] = 1 if page.lines[at + 1].strip()[0] == "=" else 2
            page.tags[at + 1] = "blank"
        elif page.tags[at] == "item":
            if not _numbered_heading(page, at):
                continue
        elif _labels_list(page, at):
            colon.add(at)
        elif not _stands_above(page, at):
            continue
        page.tags[at] = "heading"
    _unmark_menus(page)
    heads = [at for at, tag in enumerate(page.tags) if tag == "heading"]
    fixed = {**ruled, first: 1}
    edges = [-1, *heads, len(page.lines)]
    return {
        at: _described(page, at, edges[index], edges[index + 2], at in colon, fixed.get(at, 0))
        for index, at in enumerate(heads)
    }


def _stands_above(page: Page, at: int) -> bool:
    line, below = page.lines[at], page.below(at)
    if not _titled(line) or below >= len(page.lines):
        return _titled(line) and page.tag(at - 1) == "blank" and page.tag(at - 2) == "blank"
    alone = page.tag(at - 1) in ("blank", None) and page.tag(at + 1) == "blank"
    return alone or not page.wrapped


def _titled(line: str) -> bool:
    """Could this line be a title? Short, begins like one, does not end like a sentence."""
    words = line.split()
    if not words or len(line.strip()) > _LONGEST_HEADING or len(words) > _MOST_WORDS or "://" in line:
        return False
    if words[-1][-1] in ".,;:!…|" or not any(char.isalpha() for char in line) or words[-1] in _SMALL_ENDS:
        return False
    if not any(char.isupper() or char.isdigit() for char in words[0]) and words[0][0] not in "\"“'‘":
        return False
    capital = sum(word[0].isupper() or word[0].isdigit() for word in words)
    return len(words) <= 8 or words[-1].endswith("?") or capital >= len(words) / 2


def _labels_list(page: Page, at: int) -> bool:
    """`Examples:` above a list is a heading of a low level; `The process involves:` is the beginning of a sentence."""
    line = page.lines[at].strip()
    words = line.rstrip(":").split()
    if not line.endswith(":") or not words or len(words) > 8 or words[0].lower() in _OPENERS:
        return False
    if page.tag(page.below(at)) != "item" or not words[0][0].isupper():
        return False
    long = [word for word in words if len(word) >= 4]
    return (all(word[0].isupper() for word in long) or len(words) <= 3) and words[-1] not in _SMALL_ENDS


def _numbered_heading(page: Page, at: int) -> bool:
    """`1. A Title` above a paragraph is a heading; above `2. Another` it is an item."""
    line = page.lines[at]
    if not NUMBERED.match(line) or not _titled(line) or page.tag(at - 1) == "item":
        return False
    below = page.below(at)
    return page.tag(below) == "text" and len(page.lines[below]) > len(line) and not _titled(page.lines[below])


def _unmark_menus(page: Page) -> None:
    """Headings line upon line: below a colon a list that lost its bullets; five or more a menu or a table in pieces."""
    at = 0
    while at < len(page.lines):
        end = at
        while page.tag(end) == "heading":
            end += 1
        if end - at >= 2 and page.tag(at - 1) == "text" and page.lines[at - 1].rstrip().endswith(":"):
            page.tags[at:end] = ["item"] * (end - at)
        elif end - at >= _MENU:
            page.tags[at:end] = ["text"] * (end - at)
        at = max(end, at + 1)


def _described(page: Page, at: int, before: int, after: int, colon: bool, fixed: int) -> Found:
    between = [i for i in range(before + 1, at) if page.tags[i] not in ("blank", "furniture")]
    texts = [i for i in between if page.tags[i] == "text"]
    section = [page.tags[i] for i in range(at + 1, after) if page.tags[i] not in ("blank", "furniture")]
    blanks = 0
    while page.tag(at - 1 - blanks) == "blank":
        blanks += 1
    return Found(
        label=" ".join(page.lines[at].split()).strip("# "),
        blanks=blanks,
        colon=colon,
        direct=before >= 0 and not between,
        lead=page.lines[texts[-1]].strip() if texts and texts[-1] == between[-1] else "",
        paragraphs=len(section),
        bare=section[0] if len(set(section)) == 1 else "",
        fixed=fixed,
    )
