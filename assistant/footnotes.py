"""Proves sentences against the units that they cite: the same for all writers.

What is exact goes by rule. A figure (with its unit), date or identifier that is not in the cited words, or beside them,
leaves a sentence unsupported; whole sentences of the source, word for word, are supported; code stands there line by
line. What is left is read by a small model (`assistant/support`) together with the cited words, all sentences that are
finished at once, and is supported, in doubt or not supported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from assistant.facts import Source, content_words, contradiction, figures, normal
from assistant.prompts import is_not_in_guides
from assistant.records import Cite, Footnote, Outcome, Passage, Sentence, neutralise, place
from assistant.support import open_support, outcome
from ingest.chunks import page_at, split_sentences

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
_POINTING = re.compile(r"(?:it|they|he|she|this|that|these|those|both|all|most|some|many|each)\b", re.IGNORECASE)
LEAD_IN_WORDS = 6  # content words that a line such as "Here are the main types of learning:" may have
# Only the guides as a subject say that the guides do not say something, and nothing beside it: no second clause.
_GUIDES = (
    r"(?:(?:the|these|your|any of the) (?:\w+ed )?(?:guide|passage|document|source|text)s?|guides)(?: (?:given|here))?"
)
_ABSENT = re.compile(
    rf"(?:(?:unfortunately|however),? )?{_GUIDES} (?:do|does|did)(?: not|n't)"
    r" (?:say|mention|state|give|cover|answer|include|discuss|specify|provide|contain|name|list|tell|describe)\b.*"
    r"|(?P<what>.+) (?:is|are)(?: not|n't) (?:\w+ly )?"
    rf"(?:in|(?:covered|mentioned|stated|given|answered|discussed|described)(?: in| by)) {_GUIDES}",
    re.IGNORECASE,
)
_TURNS = re.compile(
    r"\b(?:but|and|which|(?<!say )(?<!mention )(?<!state )(?<!tell )(?<!specify )who(?= \w+ed\b)|because|although"
    r"|though|however|instead|so|while|whereas|since|yet|as|except|only)\b|[,;:()—–]",
    re.IGNORECASE,
)
_STATING = re.compile(r"\b(?:is|are|was|were|be|has|have|had|can|will|does|do|did|\w+ed by)\b", re.IGNORECASE)
_PUNCTUATION = " \t\n.,;:!?*_\"'“”"


@dataclass(frozen=True, slots=True)
class Claim:
    """`cited` are the texts of the cited units, `beside` what stands beside them: section, title, a table's header."""

    sentence: str
    cited: tuple[str, ...]
    beside: tuple[str, ...] = ()

    def evidence(self) -> str:
        """As the model learned to read it: headings begin with "# ", cells of a row stand between bars."""
        headings = [f"# {_line(text)}" for text in self.beside if not _is_row(text)]
        rows = [text for text in self.beside if _is_row(text)]
        return "\n".join([*headings, *map(_line, [*rows, *self.cited])])


@dataclass(frozen=True, slots=True)
class Proof:
    """`kind` is "connects" where a sentence only leads over or addresses the reader, and "absent" where it says that
    the guides do not say something: both pass without footnotes, and neither makes an answer."""

    outcome: Outcome
    why: str = ""  # it is not supported, or in doubt, for the reader
    missing: tuple[str, ...] = ()  # figures and identifiers that the source does not have
    kind: Kind = "states"

    @property
    def supported(self) -> bool:
        return self.outcome == "supported"


def prove(sentence: str, cited: Sequence[str], beside: Sequence[str] = ()) -> Proof:
    return prove_all([Claim(sentence, tuple(cited), tuple(beside))])[0]


def prove_all(claims: Sequence[Claim]) -> list[Proof]:
    """By rule where one settles it; the model reads all others in one batch, and is not opened where there are none."""
    settled = [_by_rule(claim) for claim in claims]
    asked = [claim for claim, proof in zip(claims, settled, strict=True) if not proof]
    pairs = [(normal(claim.sentence), claim.evidence()) for claim in asked]
    judged = iter(map(_judged, asked, open_support().chances(pairs) if pairs else []))
    return [proof or next(judged) for proof in settled]


def _by_rule(claim: Claim) -> Proof | None:
    """What is exact; None where somebody has to read."""
    if kind := _says_nothing(claim.sentence):
        return Proof("supported", kind=kind)
    code = bool(_FENCE.match(claim.sentence))
    if not claim.cited:
        return Proof("not supported", "it has no footnote", kind="code" if code else "states")
    if code:
        return _prove_code(claim.sentence, claim.cited)
    if is_quote(claim):
        return Proof("supported")
    said, source = normal(claim.sentence), Source.of(claim.cited, claim.beside)
    if missing := source.lacks(said):
        return Proof("not supported", f"{_listed(missing)} is not in the source it cites", missing)
    return None


def _judged(claim: Claim, likely: float) -> Proof:
    """What the model makes of it; what a rule finds turned round is in doubt at best."""
    said, source = normal(claim.sentence), Source.of(claim.cited, claim.beside)
    found, wrong = outcome(likely), contradiction(said, source)
    if found == "supported":
        return Proof("in doubt", f"it {wrong}") if wrong else Proof(found)
    unsaid = source.unsaid(said)
    words = f"the words it cites do not say {_listed(unsaid)}" if unsaid else "the words it cites do not say quite this"
    return Proof(found, f"it {wrong}" if wrong else words)


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
    return "connects" if leads_in or not (telling or _POINTING.match(text)) else None  # "It helps." states something


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
    if missing:
        return Proof("not supported", f"{_listed(missing)} is not in the code it cites", missing, "code")
    return Proof("supported", kind="code")


def is_quote(claim: Claim) -> bool:
    """Whole sentences of a unit, word for word: a part of one is no quote, since "Myth: it helps" says the opposite.

    A table's row counts also with its header told ("A — price: 3"), and what a guide is named in front of a quote.
    """
    said = _words(claim.sentence)
    titles = (f"{_words(re.split(r':| › ', text)[0])}: " for text in claim.beside)
    forms = {said, *(said.removeprefix(title) for title in titles)}
    sources = [_words(text) for text in (*claim.cited, " ".join(claim.cited), *_rows_told(claim))]
    return any(_is_sentence_of(form.rstrip(" .!?;:"), source) for form in forms for source in sources)


def _is_sentence_of(said: str, source: str) -> bool:
    edges = re.compile(rf"(?:^|[.!?][\"'”’)]*\s+){re.escape(said)}[\"'”’)]*(?:[.!?](?=[\s\"'”’)]|$)|[\s.!?;:]*$)")
    return bool(said.strip()) and bool(edges.search(source))


def _words(text: str) -> str:
    """Without what only marks them up: emphasis, links, list marks, white space."""
    plain = re.sub(r"!?\[([^\]]*)\]\([^)\s]*\)", r"\1", normal(text))
    return " ".join(re.sub(r"^\s*\+ |(?<!\w)\*+|\*+(?!\w)|[`“”\"]", "", plain).split()).casefold()


def _rows_told(claim: Claim) -> Iterator[str]:
    """Rows in the words of `row_in_words`, for every header of their width."""
    headers = [_cells(text) for text in claim.beside if _is_row(text)]
    for cells in (_cells(text) for text in claim.cited if _is_row(text)):
        yield "; ".join(filter(None, cells))
        for names in headers:
            if len(names) == len(cells):
                rest = zip(names[1:], cells[1:], strict=True)
                told = [f"{name}: {cell}" if name else cell for name, cell in rest if cell]
                yield " — ".join(filter(None, (first_cell(cells[0], names[0]), "; ".join(told))))


def first_cell(cell: str, name: str) -> str:
    """How a row's first cell is told: without the number of a list, and with its column's name where it has no word."""
    plain = re.sub(r"^\d+[.)] ", "", cell)
    return f"{name} {plain}" if name and plain and not re.search(r"[^\W\d_]", plain) else plain


def _is_row(text: str) -> bool:
    return text.count("|") >= 2


def _line(text: str) -> str:
    plain = " ".join(normal(text).split())
    return plain.strip("| ") if _is_row(plain) else plain


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


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
        ready: list[tuple[str, list[Cite]]] = []
        for start, end in spans if everything else spans[:-1]:
            cites = self._taken(start, end)
            if not cites or self._text[start:end].strip(" .,;:!?"):
                ready.append((self._text[start:end], cites))
            self._done = end
        waiting = len(self._text) - self._done
        self._next_look = len(self._text) + (waiting // 4 if waiting > LOOKED_AT else 0)
        fresh = self._proved(ready)
        self.sentences += fresh
        return fresh

    def _taken(self, start: int, end: int) -> list[Cite]:
        """The citations up to here, which no later sentence needs."""
        upto = next((i for i, (at, _) in enumerate(self._cites) if at > end), len(self._cites))
        taken, self._cites = self._cites[:upto], self._cites[upto:]
        return [cite for at, cite in taken if at > start]

    def _proved(self, ready: Sequence[tuple[str, Sequence[Cite]]]) -> list[Sentence]:
        units = [list(dict.fromkeys(unit for cite in cites for unit in cite.units)) for _, cites in ready]
        claims = [self._claim(text, of) for (text, _), of in zip(ready, units, strict=True)]
        proofs = prove_all(claims)
        return [
            self._sentence(text, of, proof, [i for cite in cites for i in cite.invalid])
            for (text, cites), of, proof in zip(ready, units, proofs, strict=True)
        ]

    def _claim(self, text: str, units: Sequence[tuple[int, int]]) -> Claim:
        beside = dict.fromkeys(b for p in {unit[0]: None for unit in units} for b in self._beside(p))
        return Claim(text, tuple(self._footnote(passage, unit, unit).quote for passage, unit in units), tuple(beside))

    def _sentence(self, text: str, units: Sequence[tuple[int, int]], proof: Proof, invalid: Sequence[str]) -> Sentence:
        found, why = proof.outcome, proof.why
        if invalid:
            found = "not supported"
            why = f"cites {', '.join(invalid)}, which is not among the passages" + (f"; {why}" if why else "")
        notes = tuple(self._footnote(passage, first, last) for passage, first, last in _runs(units))
        return Sentence(neutralise(text), found == "supported", notes, neutralise(why), found == "in doubt")

    def _beside(self, passage: int) -> list[str]:
        """What stands beside a unit: a table row means little without its header."""
        p = self._passages[passage]
        return [text for text in (p.header, place(p.title, p.section)) if text]

    def _footnote(self, passage: int, first: int, last: int) -> Footnote:
        p = self._passages[passage]
        start, end = (p.units[first].start, p.units[last].end) if p.units else (p.start, p.end)
        quote, page = p.text[start - p.start : end - p.start], page_at(p.pages, start)
        return Footnote(p.document, p.title, p.section, start, end, quote, page)


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
