"""An idea and the passages shown become a training conversation, written as serving asks and proved as it proves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assistant.followups import understand
from assistant.prompts import NOT_IN_GUIDES, messages, numbered
from assistant.proving import Draft
from assistant.retrieve import Passage
from assistant.writers import Request, Text
from assistant.writers.grammar import Grammar, Refusal, State
from assistant.writers.marks import parse
from finetune.ideas import Idea, Line, Place, sentences

_ENDS = ".!?:…"


@dataclass(frozen=True, slots=True)
class Example:
    kind: str
    question: str
    sections: tuple[tuple[str, str], ...]
    request: Request  # as `Assistant` makes it
    answer: str
    places: tuple[Place, ...] = ()  # that the answer cites

    @property
    def prompt(self) -> list[dict[str, Any]]:
        return messages(self.request)

    def to_json(self) -> dict[str, Any]:
        return {"prompt": self.prompt, "completion": [{"role": "assistant", "content": self.answer}]}


def answered(idea: Idea, passages: Sequence[Passage], kind: str = "") -> Example | None:
    """The idea answered from these passages; None where its units are not all shown, or the answer is not proved."""
    answer = written(idea.lines, passages)
    if not answer or not proved(answer, passages, idea.places):
        return None
    return Example(kind or idea.kind, idea.question, idea.sections, _request(idea, passages), answer, idea.places)


def refused(idea: Idea, passages: Sequence[Passage], kind: str = "missing") -> Example:
    return Example(kind, idea.question, idea.sections, _request(idea, passages), NOT_IN_GUIDES)


def written(lines: Sequence[Line], passages: Sequence[Passage]) -> str:
    """The answer's text with unit ids; empty where a unit is not among the passages."""
    ids = shown(passages)
    text = ""
    for line in lines:
        if any(place not in ids for place in line.places):
            return ""
        marks = "".join(ids[place] for place in line.places)
        told = f"{line.text}\n{marks}" if line.text.startswith("```") else _marked(line.text, marks)
        text += _between(text, told) + told
    return text


def shown(passages: Sequence[Passage]) -> dict[Place, str]:
    """The id of every unit that the prompt shows."""
    ids: dict[Place, str] = {}
    for p, passage in enumerate(passages):
        for u, _ in numbered(passage):
            unit = passage.units[u] if passage.units else passage
            ids.setdefault(Place(passage.document, unit.start, unit.end), f"[{p + 1}.{u + 1}]")
    return ids


def proved(answer: str, passages: Sequence[Passage], places: Sequence[Place]) -> bool:
    """Whether serving would show this answer with every sentence supported, and its ids mean exactly these places."""
    draft, cited = Draft(passages), set[Place]()
    known = {mark: place for place, mark in shown(passages).items()}
    for event in parse([answer], passages):
        if isinstance(event, Text):
            draft.add(event.text)
        else:
            draft.cite(event)
            cited |= {known[f"[{p + 1}.{u + 1}]"] for p, u in event.units}
    draft.finished(everything=True)
    supported = all(s.supported and s.footnotes for s in draft.sentences)
    return supported and cited == set(places) and writable(answer, passages)


def writable(answer: str, passages: Sequence[Passage]) -> bool:
    """Whether constrained decoding lets a model write this: what serving forbids must not be taught."""
    grammar = Grammar(passages)
    state: State | Refusal = State()
    for character in answer:
        if not isinstance(state, State):
            return False
        state = grammar.step(state, character)
    return isinstance(state, State) and grammar.end(state) is None


def _request(idea: Idea, passages: Sequence[Passage]) -> Request:
    """As `Assistant` asks: the question with the one that it leans on."""
    question = understand(idea.question, [turn.question for turn in idea.history]).text
    return Request(question, tuple(passages), idea.history)


def _marked(text: str, marks: str) -> str:
    """Ids at the end of every sentence, before the full stop."""
    parts = []
    for sentence in sentences(text):
        closed = sentence[-1] in _ENDS and not sentence.endswith("…")
        parts.append(f"{sentence[:-1]} {marks}{sentence[-1]}" if closed else f"{sentence} {marks}")
    return " ".join(parts)


def _between(before: str, after: str) -> str:
    if not before:
        return ""
    return "\n" if _is_block(after) or _is_block(before.rsplit("\n", 1)[-1]) or before.endswith("]") else " "


def _is_block(line: str) -> bool:
    return line.startswith(("- ", "* ", "+ ", "```")) or line[:3].rstrip(". )").isdigit()
