"""Repairs on the way in: characters that an old encoding broke, and spaces that were lost when markup was stripped.

Only what is certain is changed, never inside code, and every change is counted by kind. The repairs are made block by
block, so that offsets stay exact.
"""

from __future__ import annotations

import builtins
import itertools
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from ingest.readers import Block, Reading, joined_halves

# Finds spaces that were lost where a page's markup was stripped: `the<b>gradient</b>tells` became "thegradienttells".
#
# A word is parted only where it is no word, name or identifier itself and there is one way to part it into words that
# this very document uses elsewhere. The surest sign is an article grown onto such a word. Only in a document that
# shows this sign more than once are the other marks of the same accident mended: "descentmoves", "category- a filter".

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
_ARTICLES = ("the", "an")
_VERBS = ("is", "are", "was", "were", "has", "have", "can", "will", "and")
_WORD = re.compile(r"(?<![\w.@#/\\_\-&'’])[A-Za-z][a-z]{4,}(?![\w@/\\_(\[='’]|\.\w)")
_NAME = re.compile(r"[A-Za-z][a-z]+")
_OWN = re.compile(r"(?<![\w@#/\\_])[A-Za-z][a-z]+(?![\w@/\\_])")
# Nothing here looks further than it must for an end that may be missing: that would be done again at each beginning.
_PROTECTED = re.compile(
    r"`+[^`]*`+|\$[^$]+\$|\\\\?[(\[].{0,500}?\\\\?[)\]]|\w{1,20}://\S+|www\.\S+|<[^<>]*>"
    r"|\]\([^)\s]{0,500}\)|\{[^{}]*\}|:[\w:+-]{1,60}:`[^`]*`|\S{0,60}[\\_=@]\S*",
    re.DOTALL,
)
_ACRONYM_GLUED = re.compile(r"(?<=[A-Z]\))(is|are|was|has|can|and)(?= )")
_SENTENCE = re.compile(
    r"(?<=[a-z]{3})([.!?])([A-Z][a-z]+(?: [A-Z]?[a-z]+){0,3}(?: \([A-Z]+\)(?:is|are|was|has|can|and))?)\b"
)
_ITEM_LABEL = re.compile(r"^([-*•]\s+[A-Z][^:.\n]{2,50}:)(?=([A-Z][a-z]*) [a-z])", re.MULTILINE)
_DASH = re.compile(r"(?<=[a-z]{3})(- )(?=([a-z]+)\b)")
_CAMEL = re.compile(r"\b([A-Z][a-z]+) ([A-Z][a-z]+)([A-Z][a-z]+) ([A-Z][a-z]+)")
_YEAR = re.compile(r"\b([A-Z][a-z]{3,})((?:19|20)\d\d)\b")
_SUSPENDED = frozenset("and or to vs as nor but und bis".split())  # "pre- and post-training" is as it should be
_LONGEST = 60  # letters: what is longer is no glued word, and is not tried at each letter
_ENOUGH = 2  # signs after which a document counts as one that lost spaces
_COMMON, _LISTED = 3.0, 1.0  # Zipf frequencies: once in a million words, once in a hundred million


class Spaces:
    """Made from all of a document (its code knows words too); `mend` then takes pieces of its prose."""

    def __init__(self, prose: Sequence[str], code: Sequence[str] = ()) -> None:
        self.own: Counter[str] = Counter()
        guarded = list(code)
        for piece in prose:
            self.own.update(word.lower() for word in _OWN.findall(_PROTECTED.sub(" ", piece)))
            guarded += _PROTECTED.findall(piece)
        named = [word.lower() for piece in guarded for word in _NAME.findall(piece)]
        self.names = {*dir(builtins), *named}  # what stands in code is a name, glued or not
        rare = {word for word, count in self.own.items() if 5 < len(word) <= _LONGEST and count <= 2} - self.names
        self.own.update(named)
        self.parts = self._found(rare) if any(map(self._shows_article, rare)) else {}
        self.pairs: Counter[tuple[str, str]] = Counter()
        if self.parts:
            self.pairs.update(pair for piece in prose for pair in itertools.pairwise(re.findall(r"\w+", piece)))

    def _shows_article(self, word: str) -> bool:
        """Worth a look into the list of words? Most documents show no such sign, and are spared half a second."""
        article = next((small for small in _ARTICLES if word.startswith(small)), "")
        rest = word[len(article) :]
        pieces = (rest, *(rest[:at] for at in range(4, len(rest) - 3)))
        return bool(article) and word != "another" and any(self.own[piece] for piece in pieces)

    def _found(self, rare: set[str]) -> dict[str, tuple[str, ...]]:
        """How each glued word is parted; nothing, unless the document shows more than one sure sign."""
        suspects = {word for word in rare if word.startswith(_GROWN) or word.endswith(_VERBS)}
        suspects = {word for word in suspects if not known(word)}
        grown = {word: parts for word in suspects if (parts := self._grown(word))}
        # Names of functions begin with "to", "as" or "a" (tolist, astype, arange), but hardly with an article of more.
        if len(grown) < _ENOUGH or not any(parts[0] in _ARTICLES for parts in grown.values()):
            return {}
        return {**{word: parts for word in suspects - grown.keys() if (parts := self._joined(word))}, **grown}

    def mend(self, piece: str, repairs: Counter[str]) -> str:
        if not self.parts:
            return piece
        piece = _outside(piece, _SENTENCE, self._sentence, repairs, "lost spaces put back")
        piece = _outside(piece, _WORD, lambda found: self._parted(found.group()), repairs, "words parted")
        return self._marks(piece, repairs)

    def _is_word(self, word: str) -> bool:
        return (
            len(word) > 3 and self.own[word] > 0 and _frequency(word) >= (_COMMON if self.own[word] == 1 else _LISTED)
        )

    def _grown(self, word: str) -> tuple[str, ...] | None:
        """`thegradient`, `thegradienttells`: an article or preposition, then one or two words of this document."""
        ways: list[tuple[str, ...]] = []
        for small in _GROWN:
            rest = word[len(small) :]
            if not word.startswith(small) or (small in ("a", "an") and not _after_article(small, rest)):
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
        return ways[0] if len(ways) == 1 else None

    def _two(self, word: str, at: int) -> bool:
        return self._is_word(word[:at]) and len(word) - at > 3 and _frequency(word[at:]) >= _COMMON

    def _parted(self, word: str) -> str:
        return _cut(word, [len(part) for part in self.parts.get(word.lower(), ())])

    def _marks(self, piece: str, repairs: Counter[str]) -> str:
        kind = "lost spaces put back"
        piece = _outside(piece, _ACRONYM_GLUED, lambda found: " " + found.group(), repairs, kind)
        piece = _outside(
            piece, _ITEM_LABEL, lambda found: found.group() + " " * known(found.group(2).lower()), repairs, kind
        )
        piece = _outside(
            piece, _DASH, lambda found: found.group() if found.group(2) in _SUSPENDED else " - ", repairs, kind
        )
        piece = _outside(piece, _YEAR, self._year, repairs, kind)
        return _outside(piece, _CAMEL, self._camel, repairs, kind)

    def _sentence(self, found: re.Match[str]) -> str:
        """`features.Pooling layersreduce`: a space lost before a phrase counts only with one lost behind it."""
        words = found[2].split(" ")
        for at, word in enumerate(words):
            if word.lower() in self.parts or word.startswith("("):
                return f"{found[1]} {found[2]}"
            if cut := self._cut_at(word.lower()):
                words[at] = _cut(word, [cut, len(word) - cut])
                return f"{found[1]} {' '.join(words)}"
        return found.group()

    def _cut_at(self, word: str) -> int:
        if not 8 <= len(word) <= _LONGEST or known(word) or word in self.names:
            return 0
        ways = [cut for cut in range(4, len(word) - 3) if self._two(word, cut)]
        return ways[0] if len(ways) == 1 else 0

    def _year(self, found: re.Match[str]) -> str:
        return f"{found[1]} {found[2]}" if self.pairs[found[1], found[2]] else found.group()

    def _camel(self, found: re.Match[str]) -> str:
        """`Machine LearningFull Course`, in a document that speaks of "Machine Learning" and of a "Full Course"."""
        sure = self.pairs[found[1], found[2]] > 1 and self.pairs[found[3], found[4]] > 0
        return f"{found[1]} {found[2]} {found[3]} {found[4]}" if sure else found.group()


def _after_article(article: str, rest: str) -> bool:
    """`a` before a consonant and a singular, `an` before a vowel."""
    return (rest[:1] in "aeiou") == (article == "an") and (not rest.endswith("s") or rest.endswith(("ss", "us", "is")))


def _cut(word: str, lengths: Sequence[int]) -> str:
    ends = list(itertools.accumulate(lengths))
    return " ".join(word[end - length : end] for length, end in zip(lengths, ends, strict=True)) or word


def _outside(
    piece: str, pattern: re.Pattern[str], change: Callable[[re.Match[str]], str], repairs: Counter[str], kind: str
) -> str:
    """Substitute where the text is prose: not in code, formulas, addresses, tags or identifiers."""
    if not pattern.search(piece):
        return piece
    guarded = [found.span() for found in _PROTECTED.finditer(piece)]

    def substitute(found: re.Match[str]) -> str:
        before = bisect_left(guarded, (found.end(), 0))  # those that begin before it ends; the last of them ends last
        if before and guarded[before - 1][1] > found.start():
            return found.group()
        changed = change(found)
        repairs[kind] += changed != found.group()
        return changed

    return pattern.sub(substitute, piece)


def known(word: str) -> bool:
    return _frequency(word) > 0


@cache
def _frequency(word: str) -> float:
    from wordfreq import zipf_frequency

    return zipf_frequency(word, "en", wordlist="large")


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
        head, *rest = _pieces(reading.text, block)
        if block.kind not in _AS_IT_IS:
            head, *rest = (_all(menders, piece, repairs) for piece in (head, *rest))
        start = length + len(gap)
        end = start + len(head) + sum(map(len, rest))
        label = _all(menders, block.label, Counter())
        header_end = start + len(head) if block.header_end else 0
        ends = itertools.accumulate(map(len, (head, *rest)))
        now = dict(zip(_cuts(block), ends, strict=False))
        turns = tuple((now.get(at, at), page) for at, page in block.turns)
        sure = tuple((now.get(at, at), sure) for at, sure in block.sure)
        blocks.append(replace(block, start=start, end=end, label=label, header_end=header_end, turns=turns, sure=sure))
        parts += [gap, head, *rest]
        reached, length = block.end, end
    text = "".join((*parts, reading.text[reached:]))
    return replace(reading, text=text, blocks=tuple(blocks), title=_all(menders, reading.title, Counter()))


def _pieces(text: str, block: Block) -> list[str]:
    """A block in the pieces whose edges have to be known afterwards: a table's header, pages, lines of a scan."""
    cuts = [block.start + at for at in _cuts(block)]
    return [text[start:end] for start, end in itertools.pairwise((block.start, *cuts, block.end))]


def _cuts(block: Block) -> list[int]:
    if block.header_end:
        return [block.header_end - block.start]
    return sorted({at for at, _ in (*block.turns, *block.sure) if at})


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
            lines[at] = joined_halves(ftfy.fix_encoding(line)).replace("\n", " ")
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
