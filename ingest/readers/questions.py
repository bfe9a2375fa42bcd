"""Which headings are questions that their section answers: those of an FAQ, and those right above a short answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ingest.documents import Block

FAQ = re.compile(
    r"\b(?:FAQs?|frequently asked|common questions|questions (?:and|&) answers|Q\s?&\s?A)\b", re.IGNORECASE
)
_ASKED = re.compile(r"^Q(?:uestion)?\s*\d*\s*[.:)]", re.IGNORECASE)
_LONGEST_ANSWER = 1500  # characters: a longer section has a title that happens to be a question


def mark_questions(text: str, blocks: Sequence[Block], only_in_faq: bool = False) -> tuple[Block, ...]:
    """`only_in_faq` is for texts whose levels are guessed: there a section may look shorter than it is."""
    marked = list(blocks)
    faq_level = 0
    for index, block in enumerate(blocks):
        if block.kind != "heading":
            continue
        if faq_level and block.level <= faq_level:
            faq_level = 0
        if FAQ.search(block.label) and not block.label.endswith("?"):
            faq_level = block.level
        elif faq_level:
            if "?" in block.label or _ASKED.match(block.label):
                marked[index] = replace(block, kind="question")
        elif not only_in_faq and block.level > 1 and _asks(block.label) and _answered_at_once(text, blocks, index):
            marked[index] = replace(block, kind="question")
    return tuple(marked)


def _asks(label: str) -> bool:
    return label.rstrip("*_ ").endswith("?") or bool(_ASKED.match(label))


def _answered_at_once(text: str, blocks: Sequence[Block], index: int) -> bool:
    """The heading's section is one short answer: prose, no deeper heading."""
    if index + 1 == len(blocks) or blocks[index + 1].kind not in ("paragraph", "item"):
        return False
    end = len(text)
    for block in blocks[index + 1 :]:
        if block.kind in ("heading", "question"):
            if block.level > blocks[index].level:
                return False
            end = block.start
            break
    return end - blocks[index].end <= _LONGEST_ANSWER
