"""Repairs on the way in: characters that an old encoding broke, and spaces that were lost when markup was stripped.

Only what is certain is changed, never inside code, and every change is counted by kind. The repairs are made block by
block, so that offsets stay exact.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from ingest.documents import Block
from ingest.readers import Reading
from ingest.spaces import Spaces

_AS_IT_IS = ("code", "front_matter")
_LIGATURES = {
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "st",
    "\ufb06": "st",
}
_LIGATURE = re.compile("[\ufb00-\ufb06]")
# U+0E42 is what is left of UTF-8's E2 .. .. (dashes, arrows) when it is read as Thai and loses its control characters.
_THAI = re.compile("[\u0e00-\u0e7f]")
_LOST_ARROW = re.compile("(\\bif\\b[^.?!\u0e42\n]{3,80} )\u0e42(?= )")
_LOST_DASH = re.compile("(?<= )\u0e42(?= )|(?<=\\w)\u0e42(?= )")
# What UTF-8 looks like when it is read as cp1252, cp1251, Mac Roman ...: two of these side by side.
_MOJIBAKE = re.compile(
    "[\u00c2\u00c3\u00e2\u00e3\u00e5\u00d0\u00d1\u0413\u0432\u221a\u201a]"
    "[\u0080-\u00bf\u0152-\u0178\u0192\u02c6\u02dc\u2000-\u2122\u0402-\u045f]"
)

Mender = Callable[[str, Counter[str]], str]


def mend(reading: Reading) -> Reading:
    repairs = Counter(reading.repairs)
    menders: list[Mender] = [_mojibake, _dashes, _ligatures]
    reading = _apply(reading, menders, repairs)
    pieces = {True: list[str](), False: list[str]()}
    for block in reading.blocks:
        pieces[block.kind in _AS_IT_IS].append(reading.text[block.start : block.end])
    spaces = Spaces(prose=pieces[False], code=pieces[True])
    reading = _apply(reading, [spaces.mend], repairs)
    return replace(reading, repairs=dict(+repairs))


def _apply(reading: Reading, menders: list[Mender], repairs: Counter[str]) -> Reading:
    parts: list[str] = []
    blocks: list[Block] = []
    reached = length = 0
    for block in reading.blocks:
        gap = reading.text[reached : block.start]
        head, body = _halves(reading.text, block)
        if block.kind not in _AS_IT_IS:
            head, body = (_all(menders, piece, repairs) for piece in (head, body))
        start = length + len(gap)
        end = start + len(head) + len(body)
        label = _all(menders, block.label, Counter())
        header_end = start + len(head) if block.header_end else 0
        blocks.append(replace(block, start=start, end=end, label=label, header_end=header_end))
        parts += [gap, head, body]
        reached, length = block.end, end
    text = "".join((*parts, reading.text[reached:]))
    return replace(reading, text=text, blocks=tuple(blocks), title=_all(menders, reading.title, Counter()))


def _halves(text: str, block: Block) -> tuple[str, str]:
    middle = block.header_end or block.start
    return text[block.start : middle], text[middle : block.end]


def _all(menders: list[Mender], piece: str, repairs: Counter[str]) -> str:
    for mender in menders:
        piece = mender(piece, repairs) if piece else piece
    return piece


def _mojibake(piece: str, repairs: Counter[str]) -> str:
    if not _MOJIBAKE.search(piece):
        return piece
    import ftfy

    lines = piece.split("\n")
    for at, line in enumerate(lines):
        if _MOJIBAKE.search(line):
            lines[at] = ftfy.fix_encoding(line).replace("\n", " ")
            repairs["mojibake mended"] += lines[at] != line
    return "\n".join(lines)


def _dashes(piece: str, repairs: Counter[str]) -> str:
    if "\u0e42" not in piece or set(_THAI.findall(piece)) != {"\u0e42"}:
        return piece
    piece, arrows = _LOST_ARROW.subn("\\1\u2192", piece)
    piece, dashes = _LOST_DASH.subn("\u2014", piece)
    repairs["arrows mended"] += arrows
    repairs["dashes mended"] += dashes
    return piece


def _ligatures(piece: str, repairs: Counter[str]) -> str:
    piece, count = _LIGATURE.subn(lambda found: _LIGATURES[found.group()], piece)
    repairs["ligatures opened"] += count
    return piece
