"""Plain text as it is saved from web pages: nothing marks a heading, a list is a bullet at most, code has lost its indentation.

The text stays the file's own apart from certain repairs. Each line is told apart first (code, table, item, furniture, ...),
then short lines that stand above others are seen to be headings, then lines become blocks.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ingest.documents import Block
from ingest.readers import Reading, markdown, settle
from ingest.readers.code import code_runs
from ingest.readers.decode import decode
from ingest.readers.furniture import is_furniture
from ingest.readers.levels import NUMBERED, Found, levels
from ingest.readers.questions import mark_questions

Tag = Literal["blank", "code", "table", "item", "furniture", "front_matter", "heading", "text"]

BULLET = re.compile(r"^(?P<indent>\s*)(?:[•◦▪▸‣●○∙·*–—-]|o(?=\s{2}|\t)|\d{1,3}[.)]|\(?[a-z\d]\))\s+(?=\S)")
_LONE_BULLET = re.compile(r"^(\s*[•◦▪‣●○∙])[ \t]*\n(?:[ \t]*\n)?[ \t]*(?=[^\s•◦▪‣●○∙])", re.MULTILINE)
_LABEL = re.compile(
    r"^(PYTHON|BASH|SHELL|CONSOLE|TERMINAL|POWERSHELL|JAVASCRIPT|TYPESCRIPT|JSON|YAML|SQL|HTML|CSS|JAVA|RUST|TOML|XML)(?=[A-Z]|$)",
    re.IGNORECASE,
)
_TABLE_ROW = re.compile(r"^\s*\|.*\|\s*$|^\s*\+(?:[-=]+\+)+\s*$")
_DASHES = re.compile(r"^\s*\|?(?:\s*:?-{2,}:?\s*\|)*\s*:?-{2,}:?\s*\|?\s*$")
_RULER = re.compile(r"^\s*([=\-~^*_])\1{2,}\s*$")
_SMALL_ENDS = frozenset(
    "to by of for like include includes including with from and or the a an as in on when if that is are".split()
)
_OPENERS = frozenset(
    "the this these that here there it you we i they in for if when while below understand some".split()
)
_LONGEST_HEADING, _MOST_WORDS = 100, 15


def read(data: bytes, name: str) -> Reading:
    text, notes, repairs = decode(data, name)
    if _is_markdown(text):
        blocks = markdown.blocks_in(text)
    else:
        text, more = _repaired(text)
        repairs += more
        blocks = blocks_in(text)
    return Reading(text, blocks, markdown.title_of(text, blocks), repairs, notes)


def _is_markdown(text: str) -> bool:
    """Fences in pairs, or headings of more than one level that no code comment explains."""
    fences = len(re.findall(r"^\s*```", text, re.MULTILINE))
    return (fences >= 2 and fences % 2 == 0) or len(re.findall(r"^#{2,5} \S", text, re.MULTILINE)) >= 2


def _repaired(text: str) -> tuple[str, Counter[str]]:
    repairs: Counter[str] = Counter()
    text, repairs["bullets joined to their text"] = _LONE_BULLET.subn(r"\1 ", text)
    lines = text.split("\n")
    glued = [end for _, end in code_runs(lines) if end < len(lines) and _LABEL.match(lines[end])]
    if (
        len(glued) > 1
    ):  # a label that comes twice, each time straight below code, is no word that happens to be in capitals
        for end in glued:
            label, rest = _LABEL.match(lines[end]), ""
            assert label
            rest = lines[end][label.end() :]
            if rest:
                lines[end] = f"{label.group()}\n{rest}"
                repairs["headings parted from a code label"] += 1
    return "\n".join(lines), +repairs


@dataclass(slots=True)
class _Page:
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


def blocks_in(text: str) -> tuple[Block, ...]:
    page = _Page(text.split("\n"), [])
    page.tags = _tags(page.lines)
    page.wrapped = _is_wrapped(page)
    _mark_badges(page)
    _mark_tag_list(page)
    found = _headings(page)
    spans = _spans(page)
    blocks = _to_blocks(page, spans, found)
    return mark_questions(text, settle(text, blocks), only_in_faq=True)


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
        elif is_furniture(line) or (_LABEL.fullmatch(line.strip()) and tags[at - 1] == "code"):
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


def _is_wrapped(page: _Page) -> bool:
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


def _mark_badges(page: _Page) -> None:
    """Two or more short lines that each begin with a pictogram: reading time, level, "updated"."""
    for start, end in _runs(page, lambda line: len(line) <= 45 and unicodedata.category(line.strip()[0]) == "So"):
        if end - start >= 2:
            page.tags[start:end] = ["furniture"] * (end - start)


def _mark_tag_list(page: _Page) -> None:
    """The keywords below an article: at its very end a run of short lines that no paragraph follows."""
    runs = _runs(page, lambda line: len(line) <= 40 and len(line.split()) <= 5 and line.rstrip()[-1] not in ".:;?!")
    if runs:
        start, end = runs[-1]
        if end - start >= 4 and page.below(end - 1) == len(page.lines):
            page.tags[start:end] = ["furniture"] * (end - start)


def _runs(page: _Page, short: Callable[[str], bool]) -> list[tuple[int, int]]:
    runs, at = [], 0
    while at < len(page.lines):
        end = at
        while page.tag(end) in ("text", "furniture") and short(page.lines[end]):
            end += 1
        if end > at:
            runs.append((at, end))
        at = max(end, at + 1)
    return runs


def _headings(page: _Page) -> dict[int, Found]:
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


def _stands_above(page: _Page, at: int) -> bool:
    line, below = page.lines[at], page.below(at)
    if not _titled(line) or below >= len(page.lines):
        return _titled(line) and page.tag(at - 1) == "blank" and page.tag(at - 2) == "blank"
    if page.wrapped and not (page.tag(at - 1) in ("blank", None) and page.tag(at + 1) == "blank"):
        return False
    return page.tags[below] != "furniture" or page.lines[below].strip() != ""


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


def _labels_list(page: _Page, at: int) -> bool:
    """`Examples:` above a list is a heading of a low level; `The process involves:` is the beginning of a sentence."""
    line = page.lines[at].strip()
    words = line.rstrip(":").split()
    if not line.endswith(":") or not words or len(words) > 8 or words[0].lower() in _OPENERS:
        return False
    if page.tag(page.below(at)) != "item" or not words[0][0].isupper():
        return False
    long = [word for word in words if len(word) >= 4]
    return (all(word[0].isupper() for word in long) or len(words) <= 3) and words[-1] not in _SMALL_ENDS


def _numbered_heading(page: _Page, at: int) -> bool:
    """`1. A Title` above a paragraph is a heading; above `2. Another` it is an item."""
    line = page.lines[at]
    if not NUMBERED.match(line) or not _titled(line) or page.tag(at - 1) == "item":
        return False
    below = page.below(at)
    return page.tag(below) == "text" and len(page.lines[below]) > len(line) and not _titled(page.lines[below])


def _unmark_menus(page: _Page) -> None:
    """Five or more headings, line upon line, are a menu or a table that fell apart."""
    at = 0
    while at < len(page.lines):
        end = at
        while page.tag(end) == "heading":
            end += 1
        if end - at >= 5:
            page.tags[at:end] = ["text"] * (end - at)
        at = max(end, at + 1)


def _described(page: _Page, at: int, before: int, after: int, colon: bool, fixed: int) -> Found:
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


def _spans(page: _Page) -> list[tuple[int, int]]:
    """Lines that make one block."""
    spans: list[tuple[int, int]] = []
    for at, tag in enumerate(page.tags):
        if tag == "blank":
            continue
        if spans and spans[-1][1] == at and _joins(page, at):
            spans[-1] = (spans[-1][0], at + 1)
        else:
            spans.append((at, at + 1))
    return _with_blank_code_lines(page, spans)


def _joins(page: _Page, at: int) -> bool:
    above, tag = page.tags[at - 1], page.tags[at]
    if above == tag and tag in ("code", "table", "furniture", "front_matter"):
        return True
    if tag != "text" or above not in ("text", "item"):
        return False
    if above == "item" or page.tags[at - 1] == "text":
        return page.wrapped
    return False


def _with_blank_code_lines(page: _Page, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return spans


def _to_blocks(page: _Page, spans: Sequence[tuple[int, int]], found: dict[int, Found]) -> list[Block]:
    starts = [0]
    for line in page.lines:
        starts.append(starts[-1] + len(line) + 1)
    depth = dict(zip(found, levels(list(found.values())), strict=True))
    blocks: list[Block] = []
    indents: list[int] = []
    for first, last in spans:
        tag, start, end = page.tags[first], starts[first], starts[last] - 1
        if tag != "item":
            indents = []
        if tag == "heading":
            blocks.append(Block("heading", start, end, depth[first], found[first].label.rstrip(":")))
        elif tag == "item":
            blocks.append(Block("item", start, end, _nesting(page.lines[first], indents)))
        elif tag == "table":
            blocks.append(Block("table", start, end, header_end=_header_end(page, first, last, starts)))
        elif tag == "text":
            blocks.append(Block("paragraph", start, end))
        else:
            blocks.append(Block(_KINDS[tag], start, end))
    return blocks


_KINDS: dict[Tag, Literal["code", "furniture", "front_matter"]] = {
    "code": "code",
    "furniture": "furniture",
    "front_matter": "front_matter",
}


def _nesting(line: str, indents: list[int]) -> int:
    """How deep an item is, by its indentation under the items above it; `indents` is kept up to date."""
    bullet = BULLET.match(line)
    indent = len(bullet["indent"].expandtabs(4)) if bullet else 0
    while indents and indents[-1] > indent:
        indents.pop()
    if not indents or indents[-1] < indent:
        indents.append(indent)
    return len(indents)


def _header_end(page: _Page, first: int, last: int, starts: Sequence[int]) -> int:
    """Behind the line of dashes; without one, behind a first row that has no figures where the rows below do."""
    for at in range(first, min(last, first + 3)):
        if _DASHES.match(page.lines[at]) and at > first:
            return starts[at + 1] - 1
    rows = page.lines[first:last]
    figures = [len(re.findall(r"\d", row)) for row in rows]
    return starts[first + 1] - 1 if "\t" in rows[0] and not figures[0] and any(figures[1:]) else 0
