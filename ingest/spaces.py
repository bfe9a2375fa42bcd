"""Finds spaces that were lost where a web page's markup was stripped: `the<b>gradient</b>tells` became "thegradienttells".

A word is parted only where it is no word, name or identifier itself and there is one way to part it into words that this very
document uses elsewhere. The surest sign is an article or preposition grown onto such a word. Only in a document that shows
this sign more than once are the other marks of the same accident mended too: "descentmoves", "features.Pooling", "category- a".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache

_GROWN = (
    "the",
    "an",
    "a",
    "to",
    "of",
    "is",
    "and",
    "are",
    "for",
    "with",
    "that",
    "this",
    "its",
    "on",
    "in",
    "by",
    "as",
)
_VERBS = frozenset("is are was were has have can will and".split())
_WORD = re.compile(r"(?<![\w.@#/\\_\-&'’])[A-Za-z][a-z]{4,}(?![\w@/\\_(\[='’]|\.\w)")
_OWN = re.compile(r"(?<![\w@#/\\_])[A-Za-z][a-z]+(?![\w@/\\_])")
_PROTECTED = re.compile(
    r"`+[^`]*`+|\$[^$]+\$|\\\\?[(\[].*?\\\\?[)\]]|\w+://\S+|www\.\S+|<[^<>]*>|\]\([^)\s]*\)|\{[^{}]*\}|:[\w:+-]+:`[^`]*`|\S*[\\_=@]\S*",
    re.DOTALL,
)
_ACRONYM_GLUED = re.compile(r"(?<=[A-Z]\))(is|are|was|has|can|and)(?= )")
_SENTENCE = re.compile(r"(?<=[a-z]{3})([.!?])([A-Z][a-z]+(?: [a-z]+){0,3})(?![\w(.])")
_ITEM_LABEL = re.compile(r"^([-*•]\s+[A-Z][^:.\n]{2,50}:)(?=([A-Z][a-z]*) [a-z])", re.MULTILINE)
_DASH = re.compile(r"(?<=[a-z]{3})(- )(?=([a-z]+)\b)")
_CAMEL = re.compile(r"\b([A-Z][a-z]+) ([A-Z][a-z]+)([A-Z][a-z]+) ([A-Z][a-z]+)")
_YEAR = re.compile(r"\b([A-Z][a-z]{3,})((?:19|20)\d\d)\b")
_SUSPENDED = frozenset("and or to vs as nor but und bis".split())  # "pre- and post-training" is as it should be
_ENOUGH = 2  # signs after which a document counts as one that lost spaces
_PLAIN, _COMMON, _LISTED = (
    3.5,
    3.0,
    1.0,
)  # Zipf frequencies: 3.0 is once in a million words, 1.0 once in a hundred million


class Spaces:
    """Made from all of a document (its code knows words too); `mend` then takes pieces of its prose."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.own: Counter[str] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()
        for piece in pieces:
            self.own.update(word.lower() for word in _OWN.findall(piece))
        self.grown = {word: parts for word in self._suspects() if (parts := self._grown(word))}
        self.lossy = len(self.grown) >= _ENOUGH
        self.joined = {word: parts for word in self._suspects() if (parts := self._joined(word))} if self.lossy else {}
        if self.lossy:
            self.pairs = Counter(pair for piece in pieces for pair in _pairs(piece))

    def mend(self, piece: str, repairs: Counter[str]) -> str:
        if not self.grown:
            return piece
        piece = _outside(piece, _WORD, lambda found: self._parted(found.group()), repairs, "words parted")
        if self.lossy:
            piece = self._marks(piece, repairs)
        return piece

    def _suspects(self) -> Iterator[str]:
        """Words that come once or twice and are in no list of words."""
        return (
            word
            for word in list(self.own)
            if len(word) > 5 and self.own[word] <= 2 and self._could_part(word) and not _known(word)
        )

    def _could_part(self, word: str) -> bool:
        return any(word[:at] in self.own or word[:at] in _GROWN for at in range(1, len(word) - 1))

    def _is_word(self, word: str) -> bool:
        return (
            len(word) > 3 and self.own[word] > 0 and _frequency(word) >= (_COMMON if self.own[word] == 1 else _LISTED)
        )

    def _grown(self, word: str) -> tuple[str, ...] | None:
        """`thegradient`, `thegradienttells`: an article or preposition, then one or two words of this document."""
        ways: list[tuple[str, ...]] = []
        for small in _GROWN:
            rest = word[len(small) :]
            if not word.startswith(small) or (small in ("a", "an") and (rest[:1] in "aeiou") == (small == "a")):
                continue
            if self._is_word(rest):
                ways.append((small, rest))
            elif small == "the":
                ways += [(small, rest[:at], rest[at:]) for at in range(4, len(rest) - 3) if self._two(rest, at)]
        return ways[0] if len(ways) == 1 else None

    def _joined(self, word: str) -> tuple[str, ...] | None:
        """`Learningis`: a word of this document and a small verb."""
        ways = [
            (word[: -len(verb)], verb) for verb in _VERBS if word.endswith(verb) and self._is_word(word[: -len(verb)])
        ]
        return ways[0] if len(ways) == 1 and word not in self.grown else None

    def _two(self, word: str, at: int) -> bool:
        return self._is_word(word[:at]) and len(word) - at > 3 and _frequency(word[at:]) >= _COMMON

    def _parted(self, word: str) -> str:
        parts = self.grown.get(word.lower()) or self.joined.get(word.lower())
        if not parts:
            return word
        pieces, at = [], 0
        for part in parts:
            pieces.append(word[at : at + len(part)])
            at += len(part)
        return " ".join(pieces)

    def _marks(self, piece: str, repairs: Counter[str]) -> str:
        kind = "lost spaces put back"
        piece = _outside(piece, _SENTENCE, self._sentence, repairs, kind)
        piece = _outside(piece, _ACRONYM_GLUED, lambda found: " " + found.group(), repairs, kind)
        piece = _outside(
            piece, _ITEM_LABEL, lambda found: found.group() + " " * _known(found.group(2).lower()), repairs, kind
        )
        piece = _outside(
            piece, _DASH, lambda found: found.group() if found.group(2) in _SUSPENDED else " - ", repairs, kind
        )
        piece = _outside(piece, _YEAR, self._year, repairs, kind)
        return _outside(piece, _CAMEL, self._camel, repairs, kind)

    def _sentence(self, found: re.Match[str]) -> str:
        """`features.Pooling layersreduce`: a lost space on one side of a phrase vouches for the other."""
        words = found[2].split(" ")
        for at, word in enumerate(words):
            low = word.lower()
            ways = (
                [cut for cut in range(4, len(low) - 3) if self._two(low, cut)]
                if len(low) > 7 and not _known(low)
                else []
            )
            if len(ways) == 1:
                words[at] = f"{word[: ways[0]]} {word[ways[0] :]}"
                break
        return f"{found[1]} {' '.join(words)}" if _known(words[0].split(" ")[0].lower()) else found.group()

    def _year(self, found: re.Match[str]) -> str:
        return f"{found[1]} {found[2]}" if self.pairs[found[1], found[2]] else found.group()

    def _camel(self, found: re.Match[str]) -> str:
        """`Machine LearningFull Course`, in a document that speaks of "Machine Learning" and of a "Full Course"."""
        sure = self.pairs[found[1], found[2]] > 1 and self.pairs[found[3], found[4]] > 0
        return f"{found[1]} {found[2]} {found[3]} {found[4]}" if sure else found.group()


def _pairs(piece: str) -> Iterator[tuple[str, str]]:
    words = re.findall(r"\w+", piece)
    return zip(words, words[1:], strict=False)


def _outside(
    piece: str, pattern: re.Pattern[str], change: Callable[[re.Match[str]], str], repairs: Counter[str], kind: str
) -> str:
    """Substitute where the text is prose: not in code, formulas, addresses, tags or identifiers."""
    if not pattern.search(piece):
        return piece
    guarded = [found.span() for found in _PROTECTED.finditer(piece)]

    def substitute(found: re.Match[str]) -> str:
        if any(start < found.end() and found.start() < end for start, end in guarded):
            return found.group()
        changed = change(found)
        repairs[kind] += changed != found.group()
        return changed

    return pattern.sub(substitute, piece)


def _known(word: str) -> bool:
    return _frequency(word) > 0


@cache
def _frequency(word: str) -> float:
    from wordfreq import zipf_frequency

    return zipf_frequency(word, "en", wordlist="large")
