"""An answer becomes what the browser draws: plain data, in which text is text and nothing else."""

from __future__ import annotations

import glob
import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assistant import prompts
from assistant.conversations import Turn
from assistant.page.jobs import Answering
from assistant.records import Answer, Footnote, Passage, Sentence, Status, neutralise
from ingest.errors import LibraryError
from ingest.library import Library

# A footnote becomes its place in the guide: the words themselves, and the section around them.

AROUND = 1600  # characters shown on either side of a quote, if its section is that long
BESIDE = 300  # and at least these, over the section's edge
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_WORDS: tuple[tuple[float, str], ...] = ((0.8, "very likely"), (0.5, "likely"), (0.2, "possibly"))


@dataclass(frozen=True, slots=True)
class Place:
    """`before + quote + after` is a run of the guide's text. `said` is one line where the guide is not what it was."""

    document: str
    title: str
    path: tuple[str, ...]
    start: int
    end: int
    before: str
    quote: str
    after: str
    opens: bool  # the guide begins here
    closes: bool  # the guide ends here
    in_code: bool  # the run begins inside a block of code
    said: str = ""
    found: bool = True  # whether the words stand in the guide as it is now


@dataclass(frozen=True, slots=True)
class _Guide:
    title: str
    text: str
    text_sha256: str
    edges: tuple[int, ...]  # where its chunks begin
    sections: tuple[str, ...]  # of each chunk
    units: tuple[int, ...]  # where its units begin
    fences: tuple[int, ...]  # where blocks of code begin and end


class Sources:
    """Finds places in a library's guides. Remembers guides until the library changes."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._guides: tuple[int, dict[str, _Guide | None]] = (-1, {})

    def hashes(self, documents: set[str]) -> dict[str, str]:
        """The hash of each document's text, now."""
        named = [glob.escape(document) for document in documents]
        return {d.path: d.text_sha256 for d in self.library.documents(named)} if named else {}

    def place(self, document: str, title: str, section: str, start: int, end: int, quote: str, was: str = "") -> Place:
        """`was` is the hash of the guide's text when it was cited; without it nothing is said about changes."""
        guide, path = self._guide(document), tuple(filter(None, section.split(" > ")))
        quote = neutralise(quote)
        if guide is None:
            said = "This guide is no longer in the library. These are the words as they were cited."
            return Place(document, title, path, start, end, "", quote, "", True, True, False, said, found=False)
        said = ""
        if guide.text[start:end] != quote or (was and was != guide.text_sha256):
            moved = _only(guide.text, quote, start)
            if moved < 0:
                said = "The guide has changed since, and no longer holds these words. Here they are as they were cited."
                return Place(document, title, path, start, end, "", quote, "", True, True, False, said, found=False)
            said = "The guide has changed since this answer. The words are still in it" + (
                "." if moved == start else ", in another place."
            )
            start, end = moved, moved + len(quote)
        first, last = _around(guide, start, end)
        text, fenced = guide.text, bisect_left(guide.fences, first) % 2 == 1
        return Place(
            document, title, path, start, end, text[first:start], quote, text[end:last],
            first == 0, last == len(text), fenced, said,
        )  # fmt: skip

    def whole(self, document: str, start: int, end: int, words: str = "") -> Place | None:
        """The guide in full, with these characters as the quote; `words` is their hash from when they were linked."""
        guide = self._guide(document)
        if guide is None:
            return None
        text, said = guide.text, ""
        start, end = max(0, min(start, len(text))), max(0, min(end, len(text)))
        end = max(start, end)
        if words and hash_of(text[start:end]) != words:
            length = end - start
            moved = next((at for at in guide.units if hash_of(text[at : at + length]) == words), -1)
            start, end = (moved, moved + length) if moved >= 0 else (0, 0)
            said = "The guide has changed since this link was made. The words are still in it, in another place."
            if moved < 0:
                said = "The guide has changed since this link was made, and no longer holds these words."
        before, quote, after = text[:start], text[start:end], text[end:]
        return Place(document, guide.title, (), start, end, before, quote, after, True, True, False, said)

    def _guide(self, document: str) -> _Guide | None:
        known, guides = self._guides
        if known != (generation := self.library.generation):
            _, guides = self._guides = (generation, {})
        if document not in guides:
            guides[document] = self._read(document)
        return guides[document]

    def _read(self, document: str) -> _Guide | None:
        stored = next((d for d in self.library.documents([document]) if d.path == document), None)
        if stored is None:
            return None
        try:
            text = neutralise(self.library.text(document))
        except LibraryError:  # removed between the two looks
            return None
        chunks = self.library.chunks(self.library.select([glob.escape(document)]))
        ordered = sorted(chunks.values(), key=lambda c: c.start)
        return _Guide(
            title=stored.title,
            text=text,
            text_sha256=stored.text_sha256,
            edges=tuple(c.start for c in ordered),
            sections=tuple(c.section for c in ordered),
            units=tuple(sorted({at for c in ordered for at in (c.start, *(u.start for u in c.units))})),
            fences=tuple(found.start() for found in _FENCE.finditer(text)),
        )


def _around(guide: _Guide, start: int, end: int) -> tuple[int, int]:
    """From where to where to show: the section, cut to what one reads at a glance, at the edges of lines."""
    text, edges, sections = guide.text, guide.edges, guide.sections
    low, high = max(0, start - AROUND), min(len(text), end + AROUND)
    here = bisect_right(edges, start) - 1
    if here >= 0:
        first = last = here
        while first > 0 and sections[first - 1] == sections[here]:
            first -= 1
        while last + 1 < len(sections) and sections[last + 1] == sections[here]:
            last += 1
        section_end = edges[last + 1] if last + 1 < len(edges) else len(text)
        low = max(low, min(edges[first], start - BESIDE))
        high = min(high, max(section_end, end + BESIDE))
    low = 0 if low <= 0 else text.rfind("\n", 0, low) + 1 if low - text.rfind("\n", 0, low) < AROUND else low
    stop = text.find("\n", high)
    high = stop if 0 <= stop - high < AROUND else len(text) if stop < 0 and len(text) - high < AROUND else high
    return max(0, low), min(len(text), high)


def _only(text: str, quote: str, near: int) -> int:
    """Where the quote stands: where it was, else its nearest place; -1 if nowhere."""
    if not quote:
        return -1
    if text.startswith(quote, near):
        return near
    before, after = text.rfind(quote, 0, near + len(quote)), text.find(quote, near)
    found = [at for at in (before, after) if at >= 0]
    return min(found, key=lambda at: abs(at - near)) if found else -1


def hash_of(words: str) -> str:
    """What a link carries to know its words by."""
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def in_words(score: float) -> str:
    """What a score means: it is the chance that the passage holds the answer."""
    for least, words in _WORDS:
        if score >= least:
            return words
    return "unlikely"


# An answer, as the browser is given it.

NEAREST = 4  # headings offered where the guides do not answer
START_CHARACTERS = 220  # of a passage, in the list of what was found

# What is a line's form and not its words: fences and rules, the marks of headings, items and rows.
_LINE_MARKS = re.compile(
    r"^[ \t]*(?:```|~~~).*$|^[ \t|:]*-{2,}[ \t|:-]*$|^[ \t]*(?:#{1,6}|[-*+]|\|)[ \t]+|[ \t]*\|[ \t]*$", re.MULTILINE
)
_FOOTNOTE = re.compile(r"\[\^(\d+)\]")

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer, finished or not, with what the page adds to it."""

    id: str
    answer: Answer
    texts: dict[str, str]
    pending: str = ""
    wait: str = ""  # what is going on, while it is being written
    last: bool = False  # of its conversation: the page is shown from its question on


def finished(turn: Turn) -> Shown:
    answer = turn.answer or Answer(
        turn.question, "failed", detail="This was interrupted before it was answered. Ask again."
    )
    return Shown(str(turn.id), answer, dict(turn.texts))


def under_way(turn: int, job: Answering) -> Shown:
    status: Status = "nearest" if job.nearest else "answered"
    answer = Answer(
        job.question,
        status,
        tuple(job.sentences),
        job.passages or (),
        job.model,
        understood=job.understood,
    )
    return Shown(str(turn), answer, {}, job.pending, waiting(job))


def waiting(job: Answering) -> str:
    if job.passages is None:
        return "Looking through the guides…"
    seconds = int(job.seconds)
    doing = "Writing…" if job.sentences or job.pending else f"Waiting for {job.model}…"
    return doing if seconds < 3 else f"{doing} {seconds} s"


def data(shown: Shown, sources: Sources) -> Data:
    """All that `parts/answer.js` needs: opening a footnote asks nothing of us any more."""
    answer, writing = shown.answer, bool(shown.wait)
    notes = answer.footnotes
    places = [_note(sources, shown.texts, number, note) for number, note in enumerate(notes, 1)]
    places += [_passage_place(sources, passage) for passage in answer.passages]
    understood = answer.understood if answer.understood.strip() != answer.question.strip() else ""
    return {
        "id": shown.id,
        "question": neutralise(answer.question),
        "understood": neutralise(understood),
        "status": answer.status,
        "head": prompts.NEAREST if answer.status == "nearest" else "",
        "detail": neutralise(answer.detail),
        "writing": writing,
        "last": shown.last,
        "wait": shown.wait,
        "sentences": [_sentence(answer, notes, sentence) for sentence in answer.sentences],
        "pending": neutralise(shown.pending),
        "places": places,
        "passages": [_passage(p, len(notes) + i, _is_cited(p, notes)) for i, p in enumerate(answer.passages)],
        "nearest": _nearest(answer, len(notes)) if answer.status == "not_in_guides" else [],
        "meta": "" if writing else meta(answer),
        "copy": neutralise(answer.to_markdown()) if answer.sentences and not writing else "",
    }


def meta(answer: Answer) -> str:
    """What the answer took, in one line."""
    usage, parts = answer.usage, [answer.model]
    if "total" in answer.seconds:
        parts.append(f"{answer.seconds['total']:.2f} s")
    if usage.get("input_tokens") or usage.get("output_tokens"):
        parts.append(f"{usage.get('input_tokens', 0):,.0f} + {usage.get('output_tokens', 0):,.0f} tokens")
    if "dollars" in usage:
        parts.append(f"${usage['dollars']:.4f}")
    return " · ".join(parts)


def markdown(title: str, turns: Sequence[Turn]) -> str:
    """A conversation as Markdown; each answer's footnotes are its own, as in `[^2-1]`."""
    parts = [f"# {neutralise(title)}"]
    for number, turn in enumerate(turns, 1):
        said = finished(turn).answer.to_markdown()
        said = _FOOTNOTE.sub(rf"[^{number}-\1]", said).strip()
        parts.append(f"## {neutralise(turn.question)}\n\n{said}")
    return "\n\n".join(parts) + "\n"


def _sentence(answer: Answer, notes: Sequence[Footnote], sentence: Sentence) -> Data:
    text = neutralise(sentence.text)
    guide, said = _side(sentence)
    return {
        "text": text,
        "guide": neutralise(guide),
        "said": neutralise(said),
        "supported": sentence.supported,
        "why": neutralise(sentence.why),
        "notes": _numbers(notes, sentence.footnotes),
        "header": neutralise(_header(answer, sentence)) if text.lstrip().startswith("|") else "",
        "code": _is_code(answer, sentence),
    }


def _side(sentence: Sentence) -> tuple[str, str]:
    """The guide that a sentence begins by naming, as its footnote does, and what the guide says; else nothing."""
    for title in dict.fromkeys(note.title for note in sentence.footnotes):
        head = re.match(rf"\s*(?:- )?{re.escape(title.split(':')[0])}: +", sentence.text)
        if head and title:
            return title, sentence.text[head.end() :]
    return "", ""


def _numbers(notes: Sequence[Footnote], of: Sequence[Footnote]) -> list[int]:
    return [notes.index(note) + 1 for note in of if note in notes]


def _passage_of(answer: Answer, note: Footnote) -> Passage | None:
    inside = (p for p in answer.passages if p.document == note.document and p.start <= note.start < p.end)
    return next(inside, None)


def _header(answer: Answer, sentence: Sentence) -> str:
    """The header row of the table that a row was taken from: without it the row means little."""
    passage = _passage_of(answer, sentence.footnotes[0]) if sentence.footnotes else None
    return passage.header if passage else ""


def _is_code(answer: Answer, sentence: Sentence) -> bool:
    """Whether the sentence is a line of code, taken from a guide as it stands."""
    for note in sentence.footnotes:
        passage = _passage_of(answer, note)
        units = passage.units if passage else ()
        if (
            any(u.start == note.start and u.kind == "code" for u in units)
            and sentence.text.strip() == note.quote.strip()
        ):
            return True
    return False


def _is_cited(passage: Passage, notes: Sequence[Footnote]) -> bool:
    return any(n.document == passage.document and passage.start <= n.start < passage.end for n in notes)


def _note(sources: Sources, texts: dict[str, str], number: int, note: Footnote) -> Data:
    was = texts.get(note.document, "")
    return _drawn(
        sources.place(note.document, note.title, note.section, note.start, note.end, note.quote, was), str(number)
    )


def _passage_place(sources: Sources, passage: Passage) -> Data:
    p = passage
    return _drawn(sources.place(p.document, p.title, p.section, p.start, p.end, p.text), "")


def _drawn(place: Place, number: str) -> Data:
    title, path = neutralise(place.title), [neutralise(step) for step in place.path if step != place.title]
    return {**asdict(place), "title": title, "path": path, "n": number, "words": hash_of(place.quote)}


def _passage(passage: Passage, place: int, cited: bool) -> Data:
    start = " ".join(_LINE_MARKS.sub("", neutralise(passage.text)).replace(" | ", " · ").split())
    return {
        "place": place,
        "cited": cited,
        "percent": round(100 * passage.score),
        "words": in_words(passage.score),
        "start": start if len(start) <= START_CHARACTERS else start[:START_CHARACTERS].rstrip() + "…",
    }


def _nearest(answer: Answer, first: int) -> list[int]:
    """The best passage of each of the nearest sections."""
    seen: dict[tuple[str, str], int] = {}
    for i, passage in enumerate(answer.passages):
        seen.setdefault((passage.document, passage.section), first + i)
    return list(seen.values())[:NEAREST]
