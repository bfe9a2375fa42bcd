"""Plain text as it is saved from web pages: nothing marks a heading, a list is a bullet at most, code lost its indents.

The text stays the file's own apart from certain repairs. Lines are told apart first (code, table, item, furniture),
then short lines that stand above others are seen to be headings, then lines become blocks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from ingest.documents import Block
from ingest.readers import Reading, markdown, settle
from ingest.readers.code import code_runs
from ingest.readers.decode import decode
from ingest.readers.levels import Found, levels
from ingest.readers.lines import BULLET, CODE_LABEL, Page, tagged
from ingest.readers.questions import mark_questions
from ingest.readers.titles import headings

_LONE_BULLET = re.compile(r"^(\s*[•◦▪‣●○∙])[ \t]*\n(?:[ \t]*\n)?[ \t]*(?=[^\s•◦▪‣●○∙])", re.MULTILINE)
_DASHES = re.compile(r"^\s*\|?(?:\s*:?-{2,}:?\s*\|)*\s*:?-{2,}:?\s*\|?\s*$")


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
    below = [end for _, end in code_runs(lines) if end < len(lines) and CODE_LABEL.match(lines[end])]
    if len(below) > 1:  # twice a label straight below code: no word that happens to be in capitals
        for end in below:
            lines[end] = CODE_LABEL.sub(r"\1\n", lines[end]).rstrip()
            repairs["headings parted from a code label"] += "\n" in lines[end]
    return "\n".join(lines), +repairs


def blocks_in(text: str) -> tuple[Block, ...]:
    page = tagged(text)
    blocks = _to_blocks(page, _spans(page), headings(page))
    return mark_questions(text, settle(text, blocks), only_in_faq=True)


def _spans(page: Page) -> list[tuple[int, int]]:
    """Lines that make one block."""
    spans: list[tuple[int, int]] = []
    for at, tag in enumerate(page.tags):
        if tag == "blank":
            continue
        if spans and spans[-1][1] == at and _joins(page, at):
            spans[-1] = (spans[-1][0], at + 1)
        else:
            spans.append((at, at + 1))
    return spans


def _joins(page: Page, at: int) -> bool:
    above, tag = page.tags[at - 1], page.tags[at]
    if above == tag and tag in ("code", "table", "furniture", "front_matter"):
        return True
    if tag != "text" or above not in ("text", "item"):
        return False
    if above == "item" or page.tags[at - 1] == "text":
        return page.wrapped
    return False


def _to_blocks(page: Page, spans: Sequence[tuple[int, int]], found: Mapping[int, Found]) -> list[Block]:
    starts = [0]
    for line in page.lines:
        starts.append(starts[-1] + len(line) + 1)
    depth = dict(zip(found, levels(list(found.values())), strict=True))
    blocks: list[Block] = []
    indents: list[int] = []
    for first, last in spans:
        tag, start, end = page.tags[first], starts[first], starts[last] - 1
        indents = indents if tag == "item" else []
        if tag == "heading":
            blocks.append(Block("heading", start, end, depth[first], found[first].label.rstrip(":")))
        elif tag == "item":
            blocks.append(Block("item", start, end, _nesting(page.lines[first], indents)))
        elif tag == "table":
            blocks.append(Block("table", start, end, header_end=_header_end(page, first, last, starts)))
        elif tag in ("code", "furniture", "front_matter"):
            blocks.append(Block(tag, start, end))
        else:
            blocks.append(Block("paragraph", start, end))
    return blocks


def _nesting(line: str, indents: list[int]) -> int:
    """How deep an item is, by its indentation under the items above it; `indents` is kept up to date."""
    bullet = BULLET.match(line)
    indent = len(bullet["indent"].expandtabs(4)) if bullet else 0
    while indents and indents[-1] > indent:
        indents.pop()
    if not indents or indents[-1] < indent:
        indents.append(indent)
    return len(indents)


def _header_end(page: Page, first: int, last: int, starts: Sequence[int]) -> int:
    """Behind the line of dashes; without one, behind a first row that has no figures where the rows below do."""
    for at in range(first, min(last, first + 3)):
        if _DASHES.match(page.lines[at]) and at > first:
            return starts[at + 1] - 1
    rows = page.lines[first:last]
    figures = [len(re.findall(r"\d", row)) for row in rows]
    return starts[first + 1] - 1 if "\t" in rows[0] and not figures[0] and any(figures[1:]) else 0
