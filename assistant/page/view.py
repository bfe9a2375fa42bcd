"""An answer becomes what the browser draws: plain data, in which text is text and nothing else."""

from __future__ import annotations

import glob
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from assistant.conversations import Turn
from assistant.page import share
from assistant.page.jobs import Answering
from assistant.page.layout import Code, blocks, code_around, side, unfenced
from assistant.records import (
    NEAREST,
    SHOWN,
    Answer,
    Footnote,
    Passage,
    Sentence,
    Status,
    hash_of,
    neutralise,
    read_by_ocr,
)
from ingest.chunks import Pages, page_at
from ingest.errors import LibraryError
from ingest.library import Library
from ingest.readers import Block, pages_of
from ingest.sync import file_of

# A footnote becomes its place in the guide: the words themselves, and the section around them.

AROUND = 1600  # characters shown on either side of a quote, if its section is that long
WINDOW = 150_000  # characters of a whole guide that are drawn at once; some is shown before the words that led there
BESIDE = 300  # and at least these, over the section's edge
# In Markdown lines run on, and there, as in what readers write themselves, marks of emphasis and code are markup.
# All else is shown with its own lines and every character.
_RUN_ON = (".md", ".markdown", ".mdx", ".qmd", ".ipynb")
_INLINE = (*_RUN_ON, ".html", ".htm", ".epub", ".docx", ".odt", ".rst", ".adoc", ".asciidoc", ".tex")
_WORDS: tuple[tuple[float, str], ...] = ((0.8, "very likely"), (0.5, "likely"), (0.2, "possibly"))


Piece = tuple[str, str, int]  # the kind of block ("gap" between two), its text, and a heading's or an item's level


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
    pieces: tuple[Piece, ...]  # the run by the blocks that ingest found in the guide
    said: str = ""
    found: bool = True  # whether the words stand in the guide as it is now
    page: int | None = None  # of the file, where it has pages
    inline: bool = False  # marks of emphasis and code are markup
    kept: bool = True  # lines end where the guide's do
    address: str = ""  # of these words on the web or in a repository, where the guide was fetched
    reading: str = ""  # where the words are one, of a picture: how sure it is


@dataclass(frozen=True, slots=True)
class Heading:
    label: str
    level: int
    start: int


@dataclass(frozen=True, slots=True)
class _Guide:
    title: str
    text: str
    text_sha256: str
    edges: tuple[int, ...]  # where its chunks begin
    sections: tuple[str, ...]  # of each chunk
    units: tuple[int, ...]  # where its units begin
    blocks: tuple[Block, ...]
    pages: Pages


class Sources:
    """Finds places in a library's guides. Remembers guides until the library changes."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._guides: tuple[int, dict[str, _Guide | None]] = (-1, {})

    def hashes(self, documents: set[str]) -> dict[str, str]:
        """The hash of each document's text, now."""
        named = [glob.escape(document) for document in documents]
        return {d.path: d.text_sha256 for d in self.library.documents(named)} if named else {}

    def place(self, note: Footnote | Passage, was: str = "") -> Place:
        """`was` is the hash of the guide's text when it was cited; without it nothing is said about changes."""
        document, title, start, end = note.document, note.title, note.start, note.end
        guide, path = self._guide(document), tuple(filter(None, note.section.split(" > ")))
        quote, said = neutralise(note.quote if isinstance(note, Footnote) else note.text), ""
        if guide is None:
            said = "This guide is no longer in the library. These are the words as they were cited."
            return _gone(document, title, path, start, end, quote, said)
        if guide.text[start:end] != quote or (was and was != guide.text_sha256):
            moved = _only(guide.text, quote, start)
            if moved < 0:
                said = "The guide has changed since, and no longer holds these words. Here they are as they were cited."
                return _gone(document, title, path, start, end, quote, said)
            said = "The guide has changed since this answer. The words are still in it" + (
                "." if moved == start else ", in another place."
            )
            start, end = moved, moved + len(quote)
        shown = _around(guide, start, end)
        placed = _placed(guide, document, title, path, (start, end), shown, said, share.web_address(note.address))
        return replace(placed, reading=_reading(note.ocr))

    def whole(self, document: str, start: int, end: int, known: str = "", at: int | None = None) -> Place | None:
        """The guide, with these characters as the quote; `known` is their hash from when they were linked.

        Of a very long guide it is a window around them, or the one that begins at `at`.
        """
        guide = self._guide(document)
        if guide is None:
            return None
        text, said = guide.text, ""
        start, end = max(0, min(start, len(text))), max(0, min(end, len(text)))
        end = max(start, end)
        if known and hash_of(text[start:end]) != known:
            length = end - start
            moved = next((at for at in guide.units if hash_of(text[at : at + length]) == known), -1)
            start, end = (moved, moved + length) if moved >= 0 else (0, 0)
            said = "The guide has changed since this link was made. The words are still in it, in another place."
            if moved < 0:
                said = "The guide has changed since this link was made, and no longer holds these words."
        first, last = _window(text, max(0, start - WINDOW // 3) if at is None else at)
        quote = (start, min(end, last)) if first <= start < last else (first, first)
        placed = _placed(guide, document, guide.title, (), quote, (first, last), said)
        return replace(placed, reading=_reading(self.library.sure(document, start, end)))

    def headings(self, document: str) -> list[Heading]:
        """All headings of the guide, and where they stand."""
        guide = self._guide(document)
        headings = [block for block in guide.blocks if block.kind in ("heading", "question")] if guide else []
        return [Heading(neutralise(block.label), block.level or 2, block.start) for block in headings]

    def file(self, document: str) -> tuple[Path, str] | None:
        """Where a document came from, and the hash of what was read there."""
        stored = next((d for d in self.library.documents([document]) if d.path == document), None)
        return (file_of(stored.root, stored.file), stored.sha256) if stored else None

    def words_on(self, document: str, page: int, start: int, end: int) -> tuple[str, int]:
        """What of these words stands on this page of the file, and how often it stands there before."""
        from ingest.readers.pdf import letters

        guide = self._guide(document)
        if guide is None:
            return "", 0
        ends = [*(at for at, _ in guide.pages[1:]), len(guide.text)]
        runs = [(at, to) for (at, on), to in zip(guide.pages, ends, strict=True) if on == page]
        words = "".join(guide.text[max(at, start) : min(to, end)] for at, to in runs)
        before = "".join(guide.text[at : min(to, start)] for at, to in runs)
        return words, letters(before).count(letters(words)) if letters(words) else 0

    def code(self, note: Footnote) -> Code | None:
        """The whole block of code that a footnote's lines stand in, if the guide still has them there."""
        guide = self._guide(note.document)
        if guide is None or guide.text[note.start : note.end] != neutralise(note.quote):
            return None
        at = bisect_right(guide.blocks, note.start, key=lambda block: block.start) - 1
        block = guide.blocks[at] if at >= 0 else None
        if block and block.kind == "code" and note.end <= block.end:
            return unfenced(guide.text[block.start : block.end])
        return code_around(guide.text, note.start, note.end)

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
            blocks=(blocks := self.library.blocks(document)),
            pages=tuple(pages_of(blocks)),
        )


Span = tuple[int, int]


def _window(text: str, at: int) -> Span:
    """From where to where a guide is drawn, from about `at` on: all of it, or as much as a browser draws at once."""
    if len(text) <= WINDOW:
        return 0, len(text)
    first = max(0, min(at, len(text) - 1))
    first = text.rfind("\n", max(0, first - AROUND), first) + 1 or first
    last = first + WINDOW
    if last >= len(text):
        return first, len(text)
    return first, text.find("\n", last, last + AROUND) + 1 or last


def _placed(
    guide: _Guide, document: str, title: str, path: tuple[str, ...], quote: Span, shown: Span, said: str,
    address: str = "",
) -> Place:  # fmt: skip
    (start, end), (first, last), text, suffix = quote, shown, guide.text, Path(document).suffix.lower()
    return Place(
        document, title, path, start, end, text[first:start], text[start:end], text[end:last],
        first == 0, last == len(text), tuple(_pieces(guide, first, last)), said,
        page=page_at(guide.pages, start), inline=suffix in _INLINE, kept=suffix not in _RUN_ON,
        address=address,
    )  # fmt: skip


def _reading(sure: int | None) -> str:
    return "" if sure is None else read_by_ocr(sure)


def _gone(document: str, title: str, path: tuple[str, ...], start: int, end: int, quote: str, said: str) -> Place:
    """The words as they were cited, and nothing around them."""
    pieces = (("paragraph", quote, 0),)
    return Place(document, title, path, start, end, "", quote, "", True, True, pieces, said, found=False)


def _pieces(guide: _Guide, first: int, last: int) -> Iterator[Piece]:
    """A run of the guide, block by block, and what lies between them. Code and tables begin with their indentation."""
    text, reached = guide.text, first
    begins = bisect_right(guide.blocks, first, key=lambda block: block.end)
    ends = bisect_left(guide.blocks, last, key=lambda block: block.start)
    for block in guide.blocks[begins:ends]:
        start, end = max(first, block.start), min(last, block.end)
        if block.kind in ("code", "table"):
            line = text.rfind("\n", reached, start) + 1 or reached
            start = line if not text[line:start].strip() else start
        if start > reached:
            yield "gap", text[reached:start], 0
        yield block.kind, text[start:end], block.level
        reached = end
    if last > reached:
        yield "gap" if guide.blocks else "paragraph", text[reached:last], 0


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


def in_words(score: float) -> str:
    """What a score means: it is the chance that the passage holds the answer."""
    for least, words in _WORDS:
        if score >= least:
            return words
    return "unlikely"


# An answer, as the browser is given it.

HEADINGS = 4  # headings offered where the guides do not answer
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
    follows: bool = False  # other questions, which it may have been understood by


def finished(turn: Turn) -> Shown:
    answer = turn.answer or Answer(
        turn.question, "failed", detail="This was interrupted before it was answered. Ask again."
    )
    return Shown(str(turn.id), answer, dict(turn.texts), follows=turn.place > 0)


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
        "follows": shown.follows and shown.last and not writing and _is_longer(understood, answer.question),
        "status": answer.status,
        "head": NEAREST if answer.status == "nearest" else "",
        "detail": neutralise(plain(answer.detail)),
        "writing": writing,
        "last": shown.last,
        "wait": shown.wait,
        "sentences": [_sentence(notes, sentence) for sentence in answer.sentences],
        "blocks": blocks(answer, sources.code),
        "pending": neutralise(shown.pending),
        "places": places,
        "passages": [_passage(p, len(notes) + i, _is_cited(p, notes)) for i, p in enumerate(answer.passages)],
        "nearest": _nearest(answer, len(notes)) if answer.status == "not_in_guides" else [],
        "meta": "" if writing else meta(answer),
        "copy": neutralise(answer.to_markdown()) if answer.sentences and not writing else "",
        "rich": share.fragment(answer) if answer.sentences and not writing else "",
    }


def _is_longer(understood: str, question: str) -> bool:
    """Whether words of an earlier question were added; a slip that was mended leaves their number as it was."""
    return len(understood.split()) > len(question.split())


_ADVICE = re.compile(r"(?:[:;,] |\s*\()[^:;,(]*`(?:footnote|pip)\b[^`]*`[^.;)]*\)?")


def plain(text: str) -> str:
    """What went wrong, without the command that would mend it: who reads a page has buttons."""
    return _ADVICE.sub("", text).strip()


def in_short(answer: Answer) -> str:
    """What a screen reader is told when the answer is there."""
    if answer.status not in SHOWN:
        return "Not in the guides." if answer.status == "not_in_guides" else "No answer."
    said = [(len(answer.sentences), "sentence"), (len(answer.footnotes), "footnote")]
    counted = ", ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in said)
    return f"{'The answer' if answer.status == 'answered' else 'The nearest that the guides come'} is there: {counted}."


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


def _sentence(notes: Sequence[Footnote], sentence: Sentence) -> Data:
    text = neutralise(sentence.text)
    guide, said = side(sentence)
    return {
        "text": text,
        "guide": neutralise(guide),
        "said": neutralise(said),
        "supported": sentence.supported,
        "doubted": sentence.doubted,
        "why": neutralise(sentence.why),
        "notes": _numbers(notes, sentence.footnotes),
    }


def _numbers(notes: Sequence[Footnote], of: Sequence[Footnote]) -> list[int]:
    return [notes.index(note) + 1 for note in of if note in notes]


def _is_cited(passage: Passage, notes: Sequence[Footnote]) -> bool:
    return any(n.document == passage.document and passage.start <= n.start < passage.end for n in notes)


def _note(sources: Sources, texts: dict[str, str], number: int, note: Footnote) -> Data:
    return drawn(sources.place(note, texts.get(note.document, "")), str(number))


def _passage_place(sources: Sources, passage: Passage) -> Data:
    return drawn(sources.place(passage), "")


def drawn(place: Place, number: str = "") -> Data:
    title, path = neutralise(place.title), [neutralise(step) for step in place.path if step != place.title]
    said = {**asdict(place), "title": title, "path": path, "n": number, "hash": hash_of(place.quote)}
    said["from"] = len(said.pop("before").encode("utf-16-le")) // 2  # JavaScript counts in these
    said["to"] = said["from"] + len(place.quote.encode("utf-16-le")) // 2
    del said["after"]
    return said


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
    return list(seen.values())[:HEADINGS]
