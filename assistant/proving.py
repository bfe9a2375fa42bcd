"""What a writer writes, cut into sentences as it comes, each proved against the units that it cites."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from assistant.footnotes import prove
from assistant.plain import neutralise
from assistant.records import Footnote, Sentence
from assistant.retrieve import Passage
from assistant.writers import Cite
from ingest.sentences import split_sentences

_FENCE = re.compile(r"^(```|~~~).*?(?:^\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)


class Draft:
    """Text and citations in, proved sentences out, in order."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.sentences: list[Sentence] = []
        self._passages = passages
        self._text = ""
        self._cites: list[tuple[int, Cite]] = []
        self._done = 0

    def add(self, text: str) -> None:
        self._text += text

    def cite(self, cite: Cite) -> None:
        self._cites.append((len(self._text.rstrip()), cite))

    def finished(self, everything: bool = False) -> list[Sentence]:
        """The sentences that have become complete: those behind which another has begun."""
        spans = list(segments(self._text, self._done))
        ready = spans if everything else spans[:-1]
        fresh = []
        for start, end in ready:
            cites = [c for at, c in self._cites if start < at <= end]
            if cites and not self._text[start:end].strip(" .,;:!?"):
                continue
            fresh.append(self._sentence(self._text[start:end], cites))
            self._done = end
        self.sentences += fresh
        return fresh

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
    for fence in _FENCE.finditer(text, start):
        yield from _prose(text, at, fence.start())
        yield fence.start(), fence.start() + len(fence.group().rstrip())
        at = fence.end()
    yield from _prose(text, at, len(text))


def _prose(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for line in re.finditer(r"[^\n]+", text[start:end]):
        yield from split_sentences(line.group(), start + line.start())
