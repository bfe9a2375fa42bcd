"""A follow-up becomes a question that stands alone, without a model: "and how much is it?" after "What is QLoRA?"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.words import STOPWORDS, content_terms

_POINTING = re.compile(
    r"\b(?:it|its|itself|they|them|their|theirs|this|that|these|those|he|him|his|she|her|hers|one|ones|there|former"
    r"|latter|both|either|neither|same|such|another|other|others|else|more|instead|too|first|second|third|last)\b",
    re.IGNORECASE,
)
_CONTINUING = re.compile(
    r"^\W*(?:and|or|but|so|then|also|what about|how about|what if|why(?: not)?\s*\?|how come|which one|any\b|for example|compared)",
    re.IGNORECASE,
)
_PLEONASTIC = re.compile(
    r"\b(?:is|does|would|will|was) (?:it|there) (?:\w+ )?(?:possible|worth|take|any|a|an)\b", re.IGNORECASE
)
_FEW = 2  # a question with no more content words than this hardly stands alone after another


@dataclass(frozen=True, slots=True)
class Understood:
    """`text` is the question as it is taken to be; `topic` the earlier question that it leans on, or empty."""

    question: str
    topic: str = ""

    @property
    def text(self) -> str:
        return f"{self.topic} {self.question}".strip()


def understand(question: str, history: Sequence[str]) -> Understood:
    """The question, with the earlier one that it leans on in front if it cannot stand alone."""
    topic = ""
    for earlier in history:
        topic = _topic(earlier, topic)
    return Understood(question, topic if topic and leans(question) else "")


def leans(question: str) -> bool:
    """Whether a question points back to what was said before it."""
    if _CONTINUING.search(question):
        return True
    bare = _PLEONASTIC.sub("", question)
    inner = [m for m in _POINTING.finditer(bare)]
    content = [t for t in content_terms(question) if t not in STOPWORDS]
    return bool(inner) or len(content) <= _FEW


def _topic(earlier: str, before: str) -> str:
    """What a conversation is about after one more question."""
    if before and leans(earlier):
        return before
    return earlier
