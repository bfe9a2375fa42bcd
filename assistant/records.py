"""What an answer is made of, and the shapes it takes: JSON and back, Markdown with footnotes, plain text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from assistant.plain import neutralise
from assistant.retrieve import Passage, as_json

Status = Literal["answered", "not_in_guides", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Footnote:
    """The exact words: `document.text[start:end] == quote`."""

    document: str
    title: str
    section: str
    start: int
    end: int
    quote: str

    @property
    def place(self) -> str:
        return place(self.title, self.section)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, list item, row or code block of an answer. `why` says what is missing where it is not supported."""

    text: str
    supported: bool
    footnotes: tuple[Footnote, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Passages:
    """The first event of a stream: what was found, for the question as it was understood."""

    passages: tuple[Passage, ...]
    understood: str


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
        return _joined([s.text for s in self.sentences])

    @property
    def footnotes(self) -> list[Footnote]:
        """All footnotes in order, each once: number n of the answer is the nth."""
        return list(dict.fromkeys(note for sentence in self.sentences for note in sentence.footnotes))

    def to_json(self) -> dict[str, Any]:
        """The shape that `--json` promises."""
        return {
            "question": self.question,
            "status": self.status,
            "sentences": [asdict(sentence) for sentence in self.sentences],
            "passages": [as_json(passage) for passage in self.passages],
            "model": self.model,
            "usage": dict(self.usage),
            "seconds": dict(self.seconds),
            "understood": self.understood,
            "detail": self.detail,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Answer:
        sentences = tuple(
            Sentence(s["text"], s["supported"], tuple(Footnote(**note) for note in s["footnotes"]), s.get("why", ""))
            for s in value["sentences"]
        )
        return cls(**{**value, "sentences": sentences, "passages": tuple(Passage(**p) for p in value["passages"])})

    def to_markdown(self) -> str:
        """Markdown with real footnotes, each with guide, section and quote."""
        notes = self.footnotes
        if self.status != "answered":
            return f"*{_STATUS_WORDS[self.status]}* {self.detail}".strip() + "\n"
        marked = []
        for s in self.sentences:
            marks = "".join(f"[^{notes.index(note) + 1}]" for note in s.footnotes)
            marked.append(_with_marks(s.text, marks if s.supported else marks + " *(not supported)*"))
        listed = [
            f"[^{n}]: {note.place}: “{' '.join(note.quote.split())}” ({note.document}, {note.start}–{note.end})"
            for n, note in enumerate(notes, 1)
        ]
        return neutralise(_joined(marked) + "\n\n" + "\n".join(listed)) + "\n"


_BLOCK = re.compile(r"[-*|] |```|#|\d{1,2}[.)] ")

_STATUS_WORDS = {
    "not_in_guides": "Not in the guides.",
    "refused": "The model refused.",
    "failed": "Not answered.",
    "answered": "",
}


def place(title: str, section: str) -> str:
    """Guide › heading › heading, without a first heading that only says the title again."""
    steps = [step for step in section.split(" > ") if step]
    if steps and title.startswith(steps[0]):
        steps = steps[1:]
    return " › ".join([title, *steps] if title else steps)


def _with_marks(text: str, marks: str) -> str:
    """Marks behind a sentence; behind a code block on a line of their own."""
    return f"{text}\n{marks}" if text.endswith("```") else text + marks


def is_block(text: str) -> bool:
    """Whether a sentence is a line of its own: a list item, a row, code."""
    return bool(_BLOCK.match(text))


def _joined(texts: list[str]) -> str:
    """Sentences in a paragraph, list items and code on lines of their own."""
    out = ""
    for text in texts:
        if out:
            out += (
                ("\n" if is_block(text) else "\n\n")
                if is_block(text) or is_block(out.rsplit("\n", 1)[-1]) or out.endswith("```")
                else " "
            )
        out += text
    return out
