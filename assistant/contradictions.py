"""Ways in which a sentence can use its source's own words and figures and still say something else. Pure, no model.

Each function returns what is wrong in a few words, or "". None can see every contradiction; none may take a sentence
that stands in the source for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from assistant.facts import Source, content_words, stems
from assistant.figures import Figure, figures
from ingest.words import STOPWORDS, stem

_CLAUSE = re.compile(
    r"[.;:!?—|\n](?=\s|$|\|)|,\s|\s[-–]\s"
    r"|\b(?:but|while|whereas|because|although|though|however|since|so|and|or|when|if|versus|vs)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?](?=\s|$)|\n")
_WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")
_CUE = re.compile(r"not|no|never|without|cannot|nor|neither|hardly|unable|[a-z]+n['’]t", re.IGNORECASE)
_DENY_NOTHING = frozenset("only just merely matter doubt".split())  # after "not" or "no"
# They deny in other ways than by "not": enough to leave a clause alone.
_DENYING = frozenset(
    """avoid avoids avoiding prevent prevents preventing fail fails failed refuse refuses refused refusal lack lacks
    lacking incapable impossible unlike instead rather except unless until keep keeps stop stops few little rarely
    seldom""".split()
)
_PASSED_OVER = STOPWORDS | frozenset(
    """been did really yet longer necessarily usually typically often always simply even still actually generally quite
    ever now another merely fully completely only just""".split()
)
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
_LISTED = re.compile(r"(?:st|nd|rd|th|s)?\s*(?:,|and|or|to|-|–|/)\s*(?:and|or)?\s*", re.IGNORECASE)
_IN_ORDER = re.compile(r"\s*(?:to|→|->|/|-|–|—|and)\s*", re.IGNORECASE)
_COMPARED = re.compile(r"\b(more|less|fewer|better|worse|[a-z]{3,}er)\b([^.;:,]*?)\bthan\b", re.IGNORECASE)

Words = frozenset[str]


def contradiction(sentence: str, source: Source) -> str:
    """The first that is found, in a few words, or ""."""
    cited = source.cited
    return negated(sentence, cited) or opposite(sentence, cited) or turned(sentence, cited) or swapped(sentence, source)


def negated(sentence: str, source: str) -> str:
    """What one denies and the other says, compared with the clause of the source that has most words in common."""
    theirs = list(_clauses(source))
    for clause in _clauses(sentence):
        for word in sorted(clause.stems):
            others = [other for other in theirs if word in other.stems]
            closest = max((len(clause.stems & other.stems) for other in others), default=0)
            if closest < min(2, len(clause.stems)):
                continue
            nearest = [other for other in others if len(clause.stems & other.stems) == closest]
            if word in clause.denied and not any(other.cues for other in nearest):
                return f"denies what the source says of “{word}”"
            if not clause.cues and all(word in other.denied for other in nearest):
                return f"leaves out the source's “not” before “{word}”"
    return ""


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


def swapped(sentence: str, source: Source) -> str:
    """A figure whose words the source binds to another figure: `70 % train` for `30 % train, 70 % test`."""
    if "respectively" in f"{sentence} {source.cited}".lower():
        return ""  # binds by position, which is not followed here
    ours, theirs = set(_pairs(sentence)), set(_pairs(source.cited))
    if any(first != last and (last, first) in theirs for first, last in ours - theirs):
        return "has the figures in the other order"
    if wrong := _counts_another(sentence, source):
        return wrong
    beside = stems("\n".join(line for line in source.beside.splitlines() if "|" not in line))
    bound = [binding for line in source.cited.splitlines() for binding in _bound(line, source.everything)]
    for figure, words in _bound(sentence):
        its = [other for other in bound if source.is_figure(figure, other[0])]
        rivals = [o for o in bound if not source.is_figure(figure, o[0]) and o[0].kind in {i[0].kind for i in its}]
        if not its or not rivals:
            continue
        telling = words - frozenset.intersection(*(other[1] for other in its + rivals))
        mine = max(len(telling & other[1]) for other in its)
        rival = max(len((telling - beside) & other[1]) for other in rivals)
        if rival > mine and (mine == 0 or "|" in source.cited):
            return f"“{sentence[figure.start : figure.end].strip()}” is another's figure in the source"
    return ""


def _counts_another(sentence: str, source: Source) -> str:
    """`32nd century` where the source has `17th century` and `32 provinces`."""
    theirs = [(figure, _following(source.cited, figure)) for figure in figures(source.cited)]
    for figure in figures(sentence):
        said = _following(sentence, figure)
        its = [words for other, words in theirs if source.is_figure(figure, other)]
        rivals = {words[0] for other, words in theirs if words and not source.is_figure(figure, other)}
        if said and said[0] in rivals and its and all(words and not set(words) & set(said) for words in its):
            return f"counts “{said[0]}” by another figure than the source"
    return ""


def _following(text: str, figure: Figure) -> list[str]:
    """The first two content words of the clause behind a figure, stemmed."""
    clause = _CLAUSE.split(text[figure.end :], maxsplit=1)[0]
    return [stem(word.lower()) for word in content_words(re.sub(r"^(?:st|nd|rd|th)\b", "", clause))[:2]]


@dataclass(frozen=True, slots=True)
class _Clause:
    stems: Words
    denied: Words  # the first word that counts after each "not"
    cues: int


def _clauses(text: str) -> Iterator[_Clause]:
    for clause in _CLAUSE.split(text):
        words = [word.lower() for word in _WORD.findall(clause)]
        after = [words[i + 1 :] for i, word in enumerate(words) if _CUE.fullmatch(word)]
        after = [rest for rest in after if not rest or (rest[0] not in _DENY_NOTHING and "until" not in rest)]
        telling = [word for word in words if word not in _PASSED_OVER and not _CUE.fullmatch(word)]
        heads = (next((word for word in rest if word in telling), next(iter(telling[::-1]), "")) for rest in after)
        denied = frozenset(stem(head) for head in heads if head)
        if kept := stems(clause) | denied:
            yield _Clause(kept, denied, len(after) + len(_DENYING.intersection(words)))


def _words(text: str) -> Words:
    return frozenset(_WORD.findall(re.sub(r"\b(un|non)-", r"\1", text.lower())))


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


def _pairs(text: str) -> Iterator[tuple[float, float]]:
    """`from 70 % to 90 %`, `70/30`: figures whose order says something."""
    for first, last in pairwise(figures(text)):
        if _IN_ORDER.fullmatch(text, first.end, last.start):
            yield first.value, last.value


def _bound(line: str, everything: str = "") -> Iterator[tuple[Figure, Words]]:
    """Each figure with the words it belongs to: those of its clause, or of the nearest; its row's and column's."""
    if line.count("|") >= 2:
        yield from _bound_in_row(line, everything)
        return
    found = figures(line)
    listed = [(a.end, b.start) for a, b in pairwise(found) if _LISTED.fullmatch(line, a.end, b.start)]
    ends = (m.end() for m in _CLAUSE.finditer(line) if not any(a <= m.start() and m.end() <= b for a, b in listed))
    clauses = list(pairwise([0, *ends, len(line)]))
    words = [stems(line[a:b]) for a, b in clauses]
    for figure in found:
        at = next(i for i, (a, b) in enumerate(clauses) if a <= figure.start < b)
        before = next((words[i] for i in range(at, -1, -1) if words[i]), frozenset[str]())
        yield figure, words[at] or before | frozenset().union(*words[at : at + 2])


def _bound_in_row(row: str, everything: str) -> Iterator[tuple[Figure, Words]]:
    cells, header = _cells(row), _header(row, everything)
    label = frozenset().union(*(stems(cell) for cell in cells if not figures(cell)))
    for name, cell in zip(header, cells, strict=True):
        for figure in figures(cell):
            yield figure, label | stems(name) | stems(cell)


def _header(row: str, everything: str) -> list[str]:
    """The row of the same width with the fewest figures, if it has fewer than this one."""
    width, count = len(_cells(row)), len(figures(row))
    rows = [line for line in everything.splitlines() if line.count("|") >= 2 and len(_cells(line)) == width]
    best = min(rows, key=lambda line: len(figures(line)), default=row)
    return _cells(best) if len(figures(best)) < count else [""] * width


def _cells(row: str) -> list[str]:
    return row.strip().strip("|").split("|")
