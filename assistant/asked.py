"""What is asked: a follow-up becomes a question that stands alone, and one that asks several things is taken apart.

Without a model and without a subject: by the words that point back, join and compare.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ingest.words import STOPWORDS, content_terms, stem

# Follow-ups: "and how much is it?" after "What is QLoRA?" becomes a question that stands alone.
#
# Only words that really point back merge a question with those before it. Where that is in doubt ("Which dtype?" leans,
# "What is overfitting?" does not), `Retriever.find` looks both ways and keeps the one that finds the better passage.

_PRONOUN = re.compile(
    r"\b(?:(?:its?|itself|they|them|theirs?|he|him|his|she|hers?|these|those|this(?! (?:week|month|year|time)))\b(?!-)"
    r"|that(?=\W*$| (?:one|is|was|mean|work|help)\b)|(?:is|was|do|does|did|of|in|on|to|by|for|with|from|like|about"
    r"|after|before|against|why|how) that\b)",  # not that of "methods that learn"
    re.IGNORECASE,
)
_IDLE = re.compile(
    r"\b(?:is|does|would|will|was|did|can) (?:it|there) (?:\w+ )?(?:possible|worth|true|take|any|an?)\b", re.IGNORECASE
)
_CLAUSE = re.compile(
    r"[,;:]|\b(?:and|or|but|when|if|because|so|than|while|where|before|after)\b", re.IGNORECASE
)  # a pronoun behind one of these may stand for what was named before it
_AND = re.compile(r"\W*(?:and|or|but|so|then|also)\b\W*", re.IGNORECASE)
_ONWARD = re.compile(r"\W*(?:what if|why not|how come|which (?:ones?|is|are|was|of))\b", re.IGNORECASE)
_BESIDES = re.compile(
    r"\b(?:else|instead|others|another|any (?:other|more|ones?)|the (?:others?|same|former|latter))\b", re.IGNORECASE
)
_ABOUT = re.compile(r"\W*(?:in|for|from|with|without|at|on|by|of|to|as|since|until|during)\b", re.IGNORECASE)
_ASKS = r"(?:what|who|whose|when|where|why|how|which|is|are|was|were|do|does|did|can|could|should|would|will)\b"
_ASKING = re.compile(rf"\b{_ASKS}", re.IGNORECASE)
_PERHAPS = re.compile(
    r"\b(?:that|ones?|there|both|either|neither|same|such|other|more|too|first|second|third|last|what about"
    r"|how about)\b(?!-)",
    re.IGNORECASE,
)
FEW = 2  # a question with no more content words than this may lean, though no word of it points back
LATEST = 3  # questions of a chain of follow-ups; of more, the question itself would be drowned

Leaning = Literal["stands", "may lean", "leans"]


@dataclass(frozen=True, slots=True)
class Understood:
    """`text` is the question as it is taken to be; `topic` what was asked before that it leans on, or empty."""

    question: str
    topic: str = ""
    others: tuple[str, ...] = ()  # topics that it may lean on as well: which it is shows in what is found

    @property
    def text(self) -> str:
        return f"{self.topic} {self.question}".strip()

    @property
    def readings(self) -> list[Understood]:
        """Alone first, where that is one of them."""
        return [Understood(self.question, topic) for topic in sorted((self.topic, *self.others), key=bool)]


def understand(question: str, history: Sequence[str]) -> Understood:
    """The question, with what it may lean on: the last question that stood alone, and the latest that leaned on it."""
    now = leaning(question) if history else "stands"
    if now == "stands":
        return Understood(question)
    before = [leaning(earlier) for earlier in history]
    surely = max((i for i, how in enumerate(before) if how == "stands"), default=0)
    perhaps = max((i for i, how in enumerate(before) if how != "leans"), default=0)
    topics = [" ".join([history[start], *history[start + 1 :][-LATEST:]]) for start in (surely, perhaps)]
    topic, *others = dict.fromkeys([*topics, *([""] if now == "may lean" else [])])
    return Understood(question, topic, tuple(others))


def leaning(question: str) -> Leaning:
    """Whether a question points back to what was said before it."""
    text = _IDLE.sub("", question)
    content = _content(text)
    if not content or (_ABOUT.match(question) and not _ASKING.search(question)):
        return "leans"  # "Why not?", "In India?"
    if pronoun := _PRONOUN.search(text):
        *_, clause = (0, *(clause.start() for clause in _CLAUSE.finditer(text, 0, pronoun.start())))
        return "may lean" if _content(text[:clause]) else "leans"
    if _BESIDES.search(text):
        return "leans"
    if also := _AND.match(text):
        return "may lean" if _ASKING.match(text, also.end()) else "leans"
    if _ONWARD.match(text):
        return "leans" if len(content) <= FEW else "may lean"
    return "may lean" if len(content) <= FEW or _PERHAPS.search(text) else "stands"


def _content(text: str) -> list[str]:
    return [term for term in content_terms(text) if term not in _stopped()]  # which are there if nothing else is


@lru_cache(maxsize=1)
def _stopped() -> frozenset[str]:
    return frozenset(map(stem, STOPWORDS))


# Several things in one question: "What is LoRA, and why does it save memory?" has two halves, the second a follow-up of
# the first; "Adam or SGD?" has two sides. Each is looked for by itself besides, and told where the rest does not.

_NEXT = re.compile(rf"[,;]?\s+and\s+(?={_ASKS})|[?.!]\s+(?=\S+\s+\S)", re.IGNORECASE)
_TWO = [
    re.compile(rf"{before}(?P<one>[^?,;]+?)\s+(?:{joint})\s+(?P<other>[^?,;]+)", re.IGNORECASE)
    for before, joint in (
        (r"\b(?:between|compar(?:e|ing|ison of)|differences? (?:of|in))\s+", r"and|with|to|vs\.?|versus"),
        (r"\b(?:is|are|do|does)\s+", r"(?:differ(?:s|ent)?|compare[sd]?) (?:from|to|with|than)"),
        ("", r"vs\.?|versus|or|over|(?:instead|rather|better|worse|preferred|preferable) (?:of|than|over|to)"),
        ("", r"compared (?:to|with)"),
    )
]
COMPARING = ("compare", "comparison", "compared", "difference", "different", "differ", "versus", "better")
_WORD = re.compile(r"[\w'’%./+-]*\w")
MOST_IN_A_SIDE = 4  # words
MOST_PARTS = 3  # each is a search of its own


def halves(question: str) -> list[str]:
    """The questions that are joined in one; none where it is only one."""
    found = [half.strip() for half in _NEXT.split(question) if half.strip()]
    return found if len(found) > 1 else []


def sides(question: str) -> tuple[str, ...]:
    """The two things that a question sets beside each other; none where there are not two."""
    for pattern in _TWO:
        if two := pattern.search(question):
            one = list(reversed(list(_named(reversed(_WORD.findall(two["one"]))))))
            other = list(_named(_WORD.findall(two["other"])))
            return (" ".join(one), " ".join(other)) if one and other else ()
    return ()


def _named(words: Iterable[str]) -> Iterator[str]:
    """The first words in a row that mean something."""
    count = 0
    for word in words:
        if word.lower() in STOPWORDS:
            if count:
                return
        elif count == MOST_IN_A_SIDE:
            return
        else:
            count += 1
            yield word


def besides(asked: Understood) -> list[Understood]:
    """What else to look for: each half of a question, with those before it as its history, and each side."""
    several, before = halves(asked.question), [asked.topic] if asked.topic else []
    parts = [understand(half, [*before, *several[:i]]) for i, half in enumerate(several)]
    return [*parts, *map(Understood, sides(asked.question))][:MOST_PARTS]
