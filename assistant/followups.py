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
    r"^\W*(?:and|or|but|so|then|also|what about|how about|what if|why(?: not)?\s*\?|how come|which one|any\b"
    r"|for example|compared)",
    re.IGNORECASE,
)
_IDLE = re.compile(
    r"\b(?:is|does|would|will|was) (?:it|there) (?:\w+ )?(?:possible|worth|take|any|an?)\b", re.IGNORECASE
)
LATEST = 3  # of more, the question itself would be drowned
_FEW = 2  # a question with no more content words than this hardly stands alone after another


@dataclass(frozen=True, slots=True)
class Understood:
    """`text` is the question as it is taken to be; `topic` what was asked before that it leans on, or empty."""

    question: str
    topic: str = ""

    @property
    def text(self) -> str:
        return f"{self.topic} {self.question}".strip()


def understand(question: str, history: Sequence[str]) -> Understood:
    """The question, with what it leans on in front if it cannot stand alone: the last question that could, and the
    latest of what leaned on it since."""
    if not history or not leans(question):
        return Understood(question)
    start = max((i for i, earlier in enumerate(history) if not leans(earlier)), default=0)
    return Understood(question, " ".join([history[start], *history[start + 1 :][-LATEST:]]))


def leans(question: str) -> bool:
    """Whether a question points back to what was said before it."""
    if _CONTINUING.search(question) or _POINTING.search(_IDLE.sub("", question)):
        return True
    return len([term for term in content_terms(question) if term not in STOPWORDS]) <= _FEW
