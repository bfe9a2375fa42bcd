"""Text from documents and models made harmless to look at: for terminals, pages and prompts.

Every character becomes exactly one character, so that offsets stay true: line ends become `\\n`, control characters
(terminal escapes begin with one) become `�`, and marks that reorder or hide text become a space of no width.
"""

from __future__ import annotations

_ZERO_WIDTH = "\u200b"
_LINE_ENDS = (0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029)  # all that `str.splitlines` knows
_CONTROLS = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *range(0xD800, 0xE000),  # halves of surrogate pairs: they cannot be encoded
    *range(0xFFF9, 0xFFFC),  # interlinear annotation
)
_HIDING = (
    0x061C,  # Arabic letter mark
    0x180E,
    0x200E,  # left-to-right and right-to-left marks
    0x200F,
    *range(0x202A, 0x202F),  # embeddings and overrides of the direction
    *range(0x2060, 0x2070),  # isolates of the direction, invisible operators
    0xFEFF,
    *range(0xE0000, 0xE0200),  # tags and variation selectors: letters that nobody sees and a model reads
)
_TABLE = (
    dict.fromkeys(_CONTROLS, "\ufffd")
    | dict.fromkeys(_HIDING, _ZERO_WIDTH)
    | dict.fromkeys(_LINE_ENDS, "\n")
    | {0x09: "\t", 0x0A: "\n"}
)


def neutralise(text: str) -> str:
    """The same text, character for character, without anything that acts on a terminal, a page or a reader's eye."""
    return text.replace("\r\n", " \n").translate(_TABLE)


def one_line(text: str) -> str:
    """What is said about files and errors, whose names may hold anything."""
    return " ".join(neutralise(text).split())
