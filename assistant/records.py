"""What an answer is made of, and the shapes it takes: JSON and back, Markdown with footnotes, plain text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from ingest.chunks import Pages, Unit

# Text from documents and models made harmless to look at: for terminals, pages and prompts.
#
# Every character becomes exactly one character, so that offsets stay true: line ends become `\n`, control characters
# (terminal escapes begin with one) become `�`, and marks that reorder or hide text become a space of no width.

_ZERO_WIDTH = "\u200b"
_LINE_ENDS = (0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029)  # all that `str.splitlines` knows
_CONTROLS = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *range(0xD800, 0xE000),  # halves of surrogate pairs: they cannot be encoded
    *range(0xFFF9, 0xFFFC),  # interlinear annotation
)
_HIDING = (
    0x061C,  # Arabic letter mark
    0x180E,
    0x200E,  # left-to-right and right-to-left marks
    0x200F,
    *range(0x202A, 0x202F),  # embeddings and overrides of the direction
    *range(0x2060, 0x2070),  # isolates of the direction, invisible operators
    0xFEFF,
    *range(0xE0000, 0xE0200),  # tags and variation selectors: letters that nobody sees and a model reads
)
_TABLE = (
    dict.fromkeys(_CONTROLS, "\ufffd")
    | dict.fromkeys(_HIDING, _ZERO_WIDTH)
    | dict.fromkeys(_LINE_ENDS, "\n")
    | {0x09: "\t", 0x0A: "\n"}
)


def neutralise(text: str) -> str:
    """The same text, character for character, without anything that acts on a terminal, a page or a reader's eye."""
    return text.replace("\r\n", " \n").translate(_TABLE)


def one_line(text: str) -> str:
    """What is said about files and errors, whose names may hold anything."""
    return " ".join(neutralise(text).split())


def hash_of(words: str) -> str:
    """What a link carries to know its words by, as they are shown."""
    return hashlib.sha256(neutralise(words).encode()).hexdigest()[:16]


def said_by(error: object) -> str:
    """The beginning of what somebody else's error says, as part of a line of ours."""
    return one_line(str(error))[:200]


# Ways of writing an answer. Each has one method; what it yields is the same for all.
#
# A writer is given a `Request` and yields `Text` as it is written, `Cite` behind the words it supports, and one
# `Stop`. It can only cite units of the passages it was given: passage and unit numbers count from 0 here, from 1 in
# `[2.3]`.


@dataclass(frozen=True, slots=True)
class Passage:
    """A readable whole: `document.text[start:end] == text`. `score` is the chance that it holds the answer."""

    document: str
    title: str
    section: str
    start: int
    end: int
    text: str
    score: float
    units: tuple[Unit, ...] = ()
    header: str = ""  # the header row of the table that the passage's rows belong to
    also: tuple[tuple[str, int, int], ...] = ()  # near-duplicates folded into this one: document, start, end
    pages: Pages = ()  # from which offset on it stands on which page, where the file has pages
    address: str = ""  # of these very words, where the document was fetched
    ocr: int | None = None  # read from a picture, and how sure that is in per cent


def as_json(passage: Passage) -> dict[str, Any]:
    """The shape that `--json` promises; the address, and how sure the reading of a picture is, where there is one."""
    promised = ("document", "title", "section", "start", "end", "text", "score")
    shown = {name: getattr(passage, name) for name in promised}
    shown |= {"address": passage.address} if passage.address else {}
    return shown | ({"ocr": passage.ocr} if passage.ocr is not None else {})


def _whole(passage: Passage) -> dict[str, Any]:
    """With all that the promised shape leaves out, so that the way back gives the same passage."""
    more: dict[str, Any] = {
        "units": [asdict(unit) for unit in passage.units],
        "header": passage.header,
        "also": passage.also,
        "pages": passage.pages,
    }
    return as_json(passage) | {name: value for name, value in more.items() if value}


def _passage(value: Mapping[str, Any]) -> Passage:
    from ingest.chunks import Unit

    units = tuple(Unit(**unit) for unit in value.get("units", ()))
    also = tuple((str(document), int(start), int(end)) for document, start, end in value.get("also", ()))
    pages = tuple((int(offset), int(page)) for offset, page in value.get("pages", ()))
    return Passage(**{**value, "units": units, "also": also, "pages": pages})


def _noted(sentence: Sentence) -> dict[str, Any]:
    """The promised shape; beside it, what only some footnotes have."""
    value = asdict(sentence)
    notes = [{n: said for n, said in note.items() if said is not None} for note in value["footnotes"]]
    return {**value, "footnotes": [{n: said for n, said in note.items() if said or n != "address"} for note in notes]}


QUESTION_CHARACTERS = 4000  # a longer question is refused, earlier ones too


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question and, where it is known, its answer in plain words (without footnote marks)."""

    question: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """What a question asks besides, looked for by itself: its second half, or one of two things that it compares."""

    question: str
    evidence: tuple[tuple[float, ...], ...]  # as a request's, over the same passages


@dataclass(frozen=True, slots=True)
class Request:
    question: str  # as it stands alone, follow-ups resolved
    passages: tuple[Passage, ...]
    history: tuple[Turn, ...] = ()  # oldest first
    evidence: tuple[tuple[float, ...], ...] = ()  # the chance of each unit of each passage to answer, if worked out
    parts: tuple[Part, ...] = ()
    told: tuple[tuple[int, int], ...] = ()  # of a summary: the units (passage, unit) that tell it, in order


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Cite:
    """Footnotes for the sentence that ends here. `invalid` holds ids that were written but point nowhere."""

    units: tuple[tuple[int, int], ...]  # (passage, unit)
    invalid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of the writing. `detail` is one line for the user where `reason` is not "end"."""

    reason: Literal["end", "not_in_guides", "refusal", "max_tokens", "cut", "cancelled"] = "end"
    usage: dict[str, int | float] = field(default_factory=dict)  # input_tokens, output_tokens, dollars, …
    detail: str = ""


class Writer(Protocol):
    """`name` is what `--model` says. Failing before the first word raises `WriterError`; later is a `Stop("cut")`."""

    name: str

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]: ...


Status = Literal["answered", "nearest", "not_in_guides", "refused", "failed"]
NEAREST = "The guides do not say this outright. The nearest they come:"
SHOWN = ("answered", "nearest")  # what comes with sentences and footnotes to read


@dataclass(frozen=True, slots=True)
class Footnote:
    """The exact words: `document.text[start:end] == quote`."""

    document: str
    title: str
    section: str
    start: int
    end: int
    quote: str
    page: int | None = None  # of the file, where it has pages
    address: str = ""  # of these very words, where the document was fetched: a page of the web, a line of a file
    ocr: int | None = None  # the words are a reading of a picture, and so many per cent sure

    @property
    def place(self) -> str:
        page = f", page {self.page}" if self.page else ""
        return place(self.title, self.section) + page + ("" if self.ocr is None else f", {read_by_ocr(self.ocr)}")

    def url(self, base: str) -> str:
        """Where a running page at `base` opens the guide at these words, and says so if they have changed."""
        from urllib.parse import urlencode

        where = {"doc": self.document, "start": self.start, "end": self.end, "hash": hash_of(self.quote)}
        return f"{base.rstrip('/')}/read?{urlencode(where, errors='surrogateescape')}"


Outcome = Literal["supported", "in doubt", "not supported"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, list item, row or code block of an answer. `why` says what is missing where it is not supported.

    What is neither supported nor doubted is not supported.
    """

    text: str
    supported: bool
    footnotes: tuple[Footnote, ...] = ()
    why: str = ""
    doubted: bool = False  # the words it cites may say it

    @property
    def outcome(self) -> Outcome:
        if self.supported:
            return "supported"
        return "in doubt" if self.doubted else "not supported"


@dataclass(frozen=True, slots=True)
class Passages:
    """The first event of a stream: what was found, for the question as it was understood."""

    passages: tuple[Passage, ...]
    understood: str
    nearest: bool = False  # what is going to be quoted comes near, and hardly answers


@dataclass(frozen=True, slots=True)
class Written:
    """Some text, as the writer writes it."""

    text: str


@dataclass(frozen=True, slots=True)
class Proved:
    """A sentence that is complete, with its footnotes."""

    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Answer:
    """The last event of a stream. `detail` is one line for the user where there is something to say."""

    question: str
    status: Status
    sentences: tuple[Sentence, ...] = ()
    passages: tuple[Passage, ...] = ()
    model: str = "quotes"
    usage: Mapping[str, int | float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    understood: str = ""
    detail: str = ""

    @property
    def text(self) -> str:
        """The sentences as plain text, without footnotes; empty where nothing was answered."""
        if self.status == "not_in_guides":
            return ""
        return joined([s.text for s in self.sentences])

    @property
    def footnotes(self) -> list[Footnote]:
        """All footnotes in order, each once: number n of the answer is the nth."""
        return list(dict.fromkeys(note for sentence in self.sentences for note in sentence.footnotes))

    def to_json(self) -> dict[str, Any]:
        """The shape that `--json` promises; passages with their units as well, so that `from_json` gives it back."""
        return {
            "question": self.question,
            "status": self.status,
            "sentences": [_noted(sentence) for sentence in self.sentences],
            "passages": [_whole(passage) for passage in self.passages],
            "model": self.model,
            "usage": dict(self.usage),
            "seconds": dict(self.seconds),
            "understood": self.understood,
            "detail": self.detail,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Answer:
        sentences = tuple(
            Sentence(**{**s, "footnotes": tuple(Footnote(**note) for note in s["footnotes"])})
            for s in value["sentences"]
        )
        return cls(**{**value, "sentences": sentences, "passages": tuple(map(_passage, value["passages"]))})

    def to_markdown(self) -> str:
        """Markdown with real footnotes, each with guide, section and quote."""
        notes = self.footnotes
        if self.status not in SHOWN:
            return f"*{_STATUS_WORDS[self.status]}* {self.detail}".strip() + "\n"
        marked = []
        for s in self.sentences:
            marks = "".join(f"[^{notes.index(note) + 1}]" for note in s.footnotes)
            marked.append(with_marks(s.text, marks if s.supported else f"{marks} *({s.outcome})*"))
        listed = [
            f"[^{n}]: {note.place}: “{' '.join(note.quote.split())}” ({_where(note)}, {note.start}–{note.end})"
            for n, note in enumerate(notes, 1)
        ]
        head = f"*{_STATUS_WORDS[self.status]}*\n\n" if self.status == "nearest" else ""
        return neutralise(head + joined(marked) + "\n\n" + "\n".join(listed)) + "\n"


FENCES = ("```", "~~~")  # what a block of code begins and ends with
_BLOCK = re.compile(r"[-*|] |```|~~~|#|\d{1,2}[.)] ")

_STATUS_WORDS = {
    "not_in_guides": "Not in the guides.",
    "refused": "The model refused.",
    "failed": "Not answered.",
    "answered": "",
    "nearest": NEAREST,
}


def place(title: str, section: str) -> str:
    """Guide › heading › heading, without a first heading that only says the title again."""
    steps = [step for step in section.split(" > ") if step]
    if steps and title.startswith(steps[0]):
        steps = steps[1:]
    return " › ".join([title, *steps] if title else steps)


def read_by_ocr(sure: int) -> str:
    return f"read by OCR, {sure} % sure"


def _where(note: Footnote) -> str:
    """The document, as a link if it has a page on the web."""
    if not note.address:
        return note.document
    if not note.address.startswith(("https://", "http://")):
        return f"{note.document}, {note.address}"
    return f"[{note.document}]({note.address.replace('(', '%28').replace(')', '%29')})"


def with_marks(text: str, marks: str) -> str:
    """Marks behind a sentence; behind a code block on a line of their own."""
    return f"{text}\n{marks}" if text.endswith(FENCES) else text + marks


def is_block(text: str) -> bool:
    """Whether a sentence is a line of its own: a list item, a row, code."""
    return bool(_BLOCK.match(text))


def joined(texts: list[str]) -> str:
    """Sentences in a paragraph, list items and code on lines of their own."""
    out = ""
    for text in texts:
        if out:
            out += (
                ("\n" if is_block(text) else "\n\n")
                if is_block(text) or is_block(out.rsplit("\n", 1)[-1]) or out.endswith(FENCES)
                else " "
            )
        out += text
    return out
