"""The rule that proved sentences until a model did, kept to be measured beside it: nothing else calls it.

A sentence counted as supported if every figure, identifier and name in it stands in the cited words or beside them, at
least `ENOUGH` of its content words do, and no list of opposites finds it turned round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from assistant.facts import Source, content_words, contradiction, normal, stems
from assistant.footnotes import Claim
from ingest.words import STOPWORDS

ENOUGH = 0.55  # fitted on half of the titles of SQuAD 2.0
_WORD = re.compile(r"(?<!\w)[^\W\d_]+(?:[-‑'’][^\W\d_]+)*")
_STARTS = re.compile(r"""(?:^|[:•\n|]\s*)["'“‘(*_]*(?=\w)""")
_OPENINGS = STOPWORDS | frozenset(
    """overall instead unlike compared given based since although though however besides next finally once within among
    across despite unless whether without today currently yes another every either neither several first second third
    thus hence therefore beyond use start try avoid choose train expect consider begin keep make take learn pick note
    remember think build run set write read follow apply check combine people someone anyone nobody everyone everything
    nothing something data code""".split()
)
_COMMON_ENDINGS = tuple("ing tion sion ment ness ity ance ence ism ly ship ery age s".split())
_VERB = re.compile(
    r"(?:is|are|was|were|has|had|have|can|could|will|would|does|did|may|might|should|must|\w+(?:s|ed))\b"
)


def old_score(claim: Claim) -> float:
    """1 and up is supported; below it the share of words tells claims apart."""
    share, said = coverage(claim), normal(claim.sentence)
    source = Source.of(claim.cited, claim.beside)
    if _stands_there(claim):
        return 1.0 + share
    missing = bool(source.lacks(said) or unknown_names(said, source))
    supported = not missing and share >= ENOUGH and not turned_round(said, source)
    return supported + share - missing


def coverage(claim: Claim) -> float:
    """The share of the sentence's content words that the source has."""
    said = normal(claim.sentence)
    words = {word.lower() for word in content_words(said)}
    return 1 - len(Source.of(claim.cited, claim.beside).unsaid(said)) / max(1, len(words))


def _stands_there(claim: Claim) -> bool:
    """Word for word, from the beginning of a sentence, clause or cell to an end."""
    said = " ".join(normal(claim.sentence).split()).strip(" .,;:!?*_\"'“”")
    edges = re.compile(rf"(?:^|[.!?;:|]\s*){re.escape(said)}(?=\s*(?:[.!?;:|]|$))")
    return bool(said) and any(edges.search(" ".join(normal(text).split())) for text in claim.cited)


def unknown_names(sentence: str, source: Source) -> list[str]:
    return [name for name in names(sentence) if not source.has_name(name)]


def names(sentence: str) -> Iterator[str]:
    """Proper nouns: capitalised inside the sentence, acronyms anywhere, and a first word that stands as a name does."""
    starts = {match.end() for match in _STARTS.finditer(sentence)}
    for match in _WORD.finditer(sentence):
        bare = re.sub(r"['’]s?$", "", match.group())
        inside = match.start() not in starts or _is_subject(bare, sentence[match.end() :])
        proper = bare[0].isupper() and bare.lower() not in STOPWORDS and inside
        if proper or re.fullmatch(r"[A-Z]{2,}s?", bare):
            yield match.group()


def _is_subject(word: str, rest: str) -> bool:
    """A first word is a name if a verb follows it and it is none of the plain words that begin a sentence."""
    if word.lower() in _OPENINGS or word.lower().endswith(_COMMON_ENDINGS) or len(word) < 3:
        return False
    return bool(_VERB.match(rest.lstrip())) or rest.startswith("'s ")


# Lists of opposites, and comparisons turned round.

_CUE = re.compile(r"not|no|never|without|cannot|nor|neither|hardly|unable|[a-z]+n['’]t", re.IGNORECASE)
_SPELLED = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")
Words = frozenset[str]

_SENTENCE = re.compile(r"[.!?](?=\s|$)|\n")
_PAIRS = (
    "more/less more/fewer most/least higher/lower highest/lowest high/low larger/smaller large/small bigger/smaller"
    " faster/slower fastest/slowest fast/slow better/worse best/worst increases/decreases increase/decrease"
    " increased/decreased reduces/increases reduce/increase raises/lowers rises/falls rose/fell always/never"
    " before/after cheap/expensive cheaper/costlier easy/hard easier/harder simple/complex minimum/maximum"
    " minimise/maximise minimize/maximize above/below possible/impossible accurate/inaccurate"
    " dependent/independent sufficient/insufficient efficient/inefficient consistent/inconsistent"
    " advantage/disadvantage balanced/imbalanced optional/required optional/mandatory longer/shorter"
)
_OPPOSITES = [tuple(pair.split("/")[::step]) for pair in _PAIRS.split() for step in (1, -1)]
_UN = re.compile(r"(?:un|non)(?!less|like|til|ion|der|it|iqu)([a-z]{4,})")
_COMPARED = re.compile(r"\b(more|less|fewer|better|worse|[a-z]{3,}er)\b([^.;:,]*?)\bthan\b", re.IGNORECASE)


def turned_round(sentence: str, source: Source) -> str:
    return contradiction(sentence, source) or opposite(sentence, source.cited) or turned(sentence, source.cited)


def opposite(sentence: str, source: str) -> str:
    """A word that the source does not have, where the source has its opposite and the sentence does not."""
    ours, theirs = _words(sentence), _words(source)
    if any(map(_CUE.fullmatch, ours ^ theirs)) or any(_crossed(sentence, source)):
        return ""  # "not easy" for "hard", "B is slower than A" for "A is faster than B"
    for word in sorted(ours - theirs):
        for other in sorted(_opposites(word) & (theirs - ours)):
            return f"“{word}” where the source has “{other}”"
    return ""


def turned(sentence: str, source: str) -> str:
    """`A is faster than B` where the source has `B is faster than A`."""
    return "compares the other way round" if any(a == b for a, b in _crossed(sentence, source)) else ""


def _words(text: str) -> Words:
    return frozenset(_SPELLED.findall(re.sub(r"\b(un|non)-", r"\1", text.lower())))


def _opposites(word: str) -> set[str]:
    found = {other for one, other in _OPPOSITES if one == word} | {f"un{word}", f"non{word}"}
    return found | ({match[1]} if (match := _UN.fullmatch(word)) else set())


def _crossed(sentence: str, source: str) -> Iterator[tuple[str, str]]:
    """The comparatives of comparisons that have their sides in the other order."""
    for word, left, right in _comparisons(sentence):
        for other, other_left, other_right in _comparisons(source):
            straight = len(left & other_left) + len(right & other_right)
            crossed = len(left & other_right) + len(right & other_left)
            if crossed > straight and left & other_right and right & other_left:
                yield word, other


def _comparisons(text: str) -> Iterator[tuple[str, Words, Words]]:
    for sentence in _SENTENCE.split(text):
        if match := _COMPARED.search(sentence):
            left, right = stems(sentence[: match.start()]), stems(sentence[match.end() :])
            yield match[1].lower(), left - right, right - left
