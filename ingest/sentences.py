"""Where sentences begin and end, by offsets. Decimals, abbreviations, initials and file names do not end a sentence."""

from __future__ import annotations

import re

# A full stop after one of these does not end a sentence, whatever follows.
_ABBREVIATIONS = frozenset(
    "e.g i.e eg ie vs cf al fig figs eq eqs sec ch vol no nos pp dr mr mrs ms prof st jr sr inc ltd co corp approx"
    " resp esp dept est jan feb mar apr jun jul aug sep sept oct nov dec u.s u.k ph.d m.sc b.sc".split()
)
_END = re.compile(
    r"""(?:[.!?…]+|[。！？])            # the mark itself
        [)\]}"'”’»*_`]*                 # closing quotes, brackets, markup
        (?:\s*\[\^?[\w.]+\])*           # footnote marks belong to the sentence before them
        (?=\s+[^\s]|\s*$)|(?<=[。！？])""",
    re.VERBOSE,
)
_LOWER_START = re.compile(r"""\s+["'“‘(\[]*[a-z]""")
_IDENTIFIER = re.compile(r"""\s+["'“‘(\[]*(?:[a-z]+[A-Z_\d]|[a-z]+\(|[a-z]{2,}\.[a-z]{2,})""")
_LAST_WORD = re.compile(r"""[^\s("'“‘\[]+$""")


def split_sentences(text: str, offset: int = 0) -> list[tuple[int, int]]:
    """The sentences of one paragraph as `(start, end)`, white space around them left out, `offset` added to each."""
    spans, start = [], 0
    for match in _END.finditer(text):
        if match.end() > start and _ends_sentence(text, start, match):
            spans.append((start, match.end()))
            start = match.end()
    spans.append((start, len(text)))
    return [trimmed for span in spans if (trimmed := _trim(text, *span, offset))]


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    if match.end() == len(text) or not match.group() or match.group() in ("!", "?", "。", "！", "？"):
        return True
    before = _LAST_WORD.search(text, start, match.start())
    word = before.group() if before else ""
    if word.lower().rstrip(".") in _ABBREVIATIONS or re.fullmatch(r"[A-Z]|(?:[A-Za-z]\.)+[A-Za-z]", word):
        return False
    if re.fullmatch(r"\d{1,3}|[a-z]", word) and not text[start : match.start() - len(word)].strip():
        return False  # "1. Install it" is a numbered line, not the sentence "1."
    lower = _LOWER_START.match(text, match.end())
    return not lower or bool(_IDENTIFIER.match(text, match.end()))


def _trim(text: str, start: int, end: int, offset: int) -> tuple[int, int] | None:
    piece = text[start:end]
    left, right = len(piece) - len(piece.lstrip()), len(piece.rstrip())
    return (offset + start + left, offset + start + right) if right > left else None
