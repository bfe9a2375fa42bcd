"""Proves a sentence against the units that it cites: one rule for all writers, pure, without a model.

A sentence is supported if every figure (with its unit), date, name and code identifier in it stands in the cited units
or beside them, enough of its content words do, and it does not turn them round: a "not" more or less, figures swapped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from assistant.facts import Source, content_words, contradiction, figures, normal
from assistant.prompts import is_not_in_guides
from assistant.records import Cite, Footnote, Passage, Sentence, neutralise
from ingest.chunks import split_sentences

# Of a sentence's content words must stand in its source. Fitted by `python -m assistant.evaluation.fit_proof`: on other
# titles of SQuAD 2.0 than it was fitted on, 72 % of true retellings are supported, and 4 % beside the wrong sentence.
ENOUGH = 0.55

Kind = Literal["states", "code", "connects", "absent"]

_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_CONNECTING = frozenset(
    """guide guides passage passages source sources document documents answer answers question questions say says said
    tell tells give gives given offer offers following follows below above here summary summarise short brief hope hopes
    help helps helpful let know differ differs disagree disagrees agree detail details sure course thanks welcome ask
    asking want list lists steps step example examples main key different according mention mentions describe describes
    cover covers find found see look note notes respective respectively figure figures point points view
    two three four several""".split()
)
_DENIAL = re.compile(r"\b(?:not|no|never|without|cannot|\w+n't|than)\b", re.IGNORECASE)
_LEAD_IN = re.compile(
    r"(?:here (?:is|are|'s)|these are|the (?:guides?|following|main|key)|according to|in short|below|as follows)\b",
    re.IGNORECASE,
)
LEAD_IN_WORDS = 6  # content words that a line such as "Here are the main types of learning:" may have
# Only the guides as a subject say that the guides do not say something, and nothing beside it: no second clause.
_GUIDES = r"(?:(?:the|these|your|any of the) )?(?:\w+ed )?(?:guide|passage|document|source|text)s?(?: (?:given|here))?"
_ABSENT = re.compile(
    rf"(?:(?:unfortunately|however),? )?{_GUIDES} (?:do|does|did)(?: not|n't)"
    r" (?:say|mention|state|give|cover|answer|include|discuss|specify|provide|contain|name|list|tell|describe)\b.*"
    r"|(?P<what>.+) (?:is|are)(?: not|n't) (?:\w+ly )?"
    rf"(?:in|(?:covered|mentioned|stated|given|answered|discussed|described)(?: in| by)) {_GUIDES}",
    re.IGNORECASE,
)
_TURNS = re.compile(
    r"\b(?:but|and|which|who(?= \w+ed\b)|because|although|though|however|instead|so|while|whereas|since|yet|as|except"
    r"|only)\b|[,;:()—–]",
    re.IGNORECASE,
)
_STATING = re.compile(r"\b(?:is|are|was|were|be|has|have|had|can|will|does|do|did|\w+ed by)\b", re.IGNORECASE)
_PUNCTUATION = " \t\n.,;:!?*_\"'“”"


@dataclass(frozen=True, slots=True)
class Proof:
    """`kind` is "connects" where a sentence only leads over or addresses the reader, and "absent" where it says that
    the guides do not say something: both pass without footnotes, and neither makes an answer."""

    supported: bool
    why: str = ""  # it is not, for the reader
    missing: tuple[str, ...] = ()  # figures, identifiers and names that the source does not have
    coverage: float = 1.0  # of content words
    kind: Kind = "states"


def prove(sentence: str, cited: Sequence[str], beside: Sequence[str] = ()) -> Proof:
    """`cited` are the texts of the cited units, `beside` what stands beside them: section, title, a table's header."""
    if kind := _says_nothing(sentence):
        return Proof(True, kind=kind)
    code = bool(_FENCE.match(sentence))
    if not cited:
        return Proof(False, "it has no footnote", coverage=0.0, kind="code" if code else "states")
    if code:
        return _prove_code(sentence, cited)
    if _stands_there(sentence, cited):
        return Proof(True)
    said, source = normal(sentence), Source.of(cited, beside)
    missing, coverage = source.lacks(said), source.coverage(said)
    if missing:
        return Proof(False, f"{_listed(missing)} is not in the source it cites", missing, coverage)
    if coverage < ENOUGH:
        return Proof(False, f"only {coverage:.0%} of its words are in the source it cites", (), coverage)
    if wrong := contradiction(said, source):
        return Proof(False, f"it {wrong}", (), coverage)
    return Proof(True, coverage=coverage)


def _says_nothing(sentence: str) -> Literal["connects", "absent"] | None:
    if is_not_in_guides(sentence):
        return "absent"
    text = normal(sentence).strip()
    if any(not figure.in_words for figure in figures(text)) or "`" in text:
        return None
    if _is_silence(text.strip(_PUNCTUATION)):
        return "absent"
    if _DENIAL.search(text):
        return None
    telling = [word for word in content_words(text) if word.lower() not in _CONNECTING]
    leads_in = text.endswith(":") and _LEAD_IN.match(text) and len(telling) <= LEAD_IN_WORDS and not figures(text)
    return "connects" if leads_in or not telling else None


def _is_silence(text: str) -> bool:
    """Whether the sentence says that the guides do not say something, and says nothing else."""
    said = _ABSENT.fullmatch(text)
    beside = re.sub(r"^(?:unfortunately|however),? ", "", text, flags=re.IGNORECASE)
    if not said or len(text.split()) > 30 or _TURNS.search(beside):
        return False
    return not (said["what"] and _STATING.search(said["what"]))


def _prove_code(sentence: str, cited: Sequence[str]) -> Proof:
    """Code is not retold: each of its lines stands in the source, white space aside."""
    there = {_squeezed(line) for text in cited for line in text.splitlines()}
    lines = [line.strip() for line in _FENCE.sub("", sentence).splitlines() if line.strip()]
    missing = tuple(line for line in lines if _squeezed(line) not in there)
    coverage = 1.0 - len(missing) / max(1, len(lines))
    why = f"{_listed(missing)} is not in the code it cites" if missing else ""
    return Proof(not missing, why, missing, coverage, "code")


def _stands_there(sentence: str, cited: Sequence[str]) -> bool:
    """Word for word, from the beginning of a sentence or cell to an end: "needed" alone is no quote of "not needed"."""
    said = " ".join(normal(sentence).split()).strip(_PUNCTUATION)
    if not said:
        return False
    edges = re.compile(rf"(?:^|[.!?;:|]\s*|\n){re.escape(said)}(?=\s*(?:[.!?;:|\n]|$))")
    return any(edges.search("\n".join(" ".join(line.split()) for line in _lines(text))) for text in cited)


def _lines(text: str) -> list[str]:
    """The text with its line ends, and as one line where a sentence runs over several."""
    plain = normal(text)
    return [*(line.strip(" *_\"'“”") for line in plain.splitlines()), plain.replace("\n", " ")]


def _squeezed(line: str) -> str:
    return "".join(line.split())


def _listed(items: Sequence[str]) -> str:
    shown = ", ".join(f"“{item}”" for item in items[:3])
    return shown + (f" and {len(items) - 3} more" if len(items) > 3 else "")


# What a writer writes, cut into sentences as it comes, each proved against the units that it cites.

# A block of code ends with as many marks as it began with, or more; one that is not closed goes on to the end.
_CODE = re.compile(
    r"^[ \t]*(?P<fence>(?P<mark>[`~])(?P=mark){2,})(?!(?P=mark))[^\n]*$"
    r".*?(?:^[ \t]*(?P=fence)(?P=mark)*[ \t]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
LOOKED_AT = 2000  # characters of an unfinished sentence: a longer one is looked at again when it has grown by a quarter


class Draft:
    """Text and citations in, proved sentences out, in order."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.sentences: list[Sentence] = []
        self._passages = passages
        self._text = ""
        self._cites: list[tuple[int, Cite]] = []
        self._done = 0
        self._next_look = 0  # how long the text has to be

    def add(self, text: str) -> None:
        self._text += text

    def cite(self, cite: Cite) -> None:
        self._cites.append((len(self._text.rstrip()), cite))

    def finished(self, everything: bool = False) -> list[Sentence]:
        """The sentences that have become complete: those behind which another has begun."""
        if len(self._text) < self._next_look and not everything:
            return []
        spans = list(segments(self._text, self._done))
        ready = spans if everything else spans[:-1]
        fresh = []
        for start, end in ready:
            cites = self._taken(start, end)
            if not cites or self._text[start:end].strip(" .,;:!?"):
                fresh.append(self._sentence(self._text[start:end], cites))
            self._done = end
        waiting = len(self._text) - self._done
        self._next_look = len(self._text) + (waiting // 4 if waiting > LOOKED_AT else 0)
        self.sentences += fresh
        return fresh

    def _taken(self, start: int, end: int) -> list[Cite]:
        """The citations up to here, which no later sentence needs."""
        upto = next((i for i, (at, _) in enumerate(self._cites) if at > end), len(self._cites))
        taken, self._cites = self._cites[:upto], self._cites[upto:]
        return [cite for at, cite in taken if at > start]

    def _sentence(self, text: str, cites: Sequence[Cite]) -> Sentence:
        units = list(dict.fromkeys(unit for cite in cites for unit in cite.units))
        invalid = [i for cite in cites for i in cite.invalid]
        beside = [b for p in {unit[0] for unit in units} for b in self._beside(p)]
        proof = prove(text, [self._footnote(passage, unit, unit).quote for passage, unit in units], beside)
        why = proof.why
        if invalid:
            why = f"cites {', '.join(invalid)}, which is not among the passages" + (f"; {why}" if why else "")
        notes = tuple(self._footnote(passage, first, last) for passage, first, last in _runs(units))
        return Sentence(neutralise(text), proof.supported and not invalid, notes, neutralise(why))

    def _beside(self, passage: int) -> list[str]:
        """What stands beside a unit: a table row means little without its header."""
        p = self._passages[passage]
        return [text for text in (p.header, p.section, p.title) if text]

    def _footnote(self, passage: int, first: int, last: int) -> Footnote:
        p = self._passages[passage]
        start, end = (p.units[first].start, p.units[last].end) if p.units else (p.start, p.end)
        return Footnote(p.document, p.title, p.section, start, end, p.text[start - p.start : end - p.start])


def _runs(units: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Units that follow one another in a passage as one: a block of code or a list has one footnote."""
    runs: list[tuple[int, int, int]] = []
    for passage, unit in units:
        if runs and runs[-1][0] == passage and runs[-1][2] + 1 == unit:
            runs[-1] = (passage, runs[-1][1], unit)
        else:
            runs.append((passage, unit, unit))
    return runs


def segments(text: str, start: int = 0) -> Iterator[tuple[int, int]]:
    """Sentences, list items, table rows and whole code blocks, by offset."""
    at = start
    for code in _CODE.finditer(text, start):
        yield from _prose(text, at, code.start("fence"))
        yield code.start("fence"), code.start() + len(code.group().rstrip())
        at = code.end()
    yield from _prose(text, at, len(text))


def _prose(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for line in re.finditer(r"[^\n]+", text[start:end]):
        yield from split_sentences(line.group(), start + line.start())
