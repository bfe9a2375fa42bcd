"""A question set: one JSON object a line, in the form that `corpus/README.md` describes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ingest.errors import FootnoteError

NONE = "none"  # the kind of a question that the documents do not answer


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a right answer rests on; without a quote, a document as a whole. `start` is -1 until it is placed."""

    document: str
    quote: str = ""
    start: int = -1
    end: int = -1


@dataclass(frozen=True, slots=True)
class Question:
    """`facts` are regular expressions, each of which a right answer matches; `also` are quotes that serve as well."""

    id: str
    kind: str
    question: str
    history: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    also: tuple[Evidence, ...] = ()
    conflict: bool = False
    near: bool = False
    split: str = ""

    @property
    def answerable(self) -> bool:
        return self.kind != NONE

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value or name in _REQUIRED}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Question:
        """Fields that only other readers need are passed over."""
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        for name in ("history", "facts"):
            known[name] = tuple(known.get(name, ()))
        for name in ("evidence", "also"):
            known[name] = tuple(Evidence(**found) for found in known.get(name, ()))
        return cls(**known)


_REQUIRED = ("id", "kind", "question")
_LISTS = ("history", "facts", "evidence", "also")


def read(file: Path, split: str = "all") -> list[Question]:
    """The questions of a file, or of one of its splits; what is wrong with a line is said with its number."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FootnoteError(
            f"cannot read the question set {file} ({reason}): give a file of one JSON object a line, such as "
            "corpus/questions.jsonl"
        ) from error
    questions = [_parsed(line, f"{file} line {n}") for n, line in enumerate(lines, 1) if line.strip()]
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise FootnoteError(f"{file} has two questions with the id {question.id!r}: give one of them another")
        seen.add(question.id)
    chosen = [q for q in questions if split == "all" or q.split == split]
    if not chosen:
        splits = ", ".join(sorted({q.split for q in questions if q.split})) or "no splits"
        raise FootnoteError(f"{file} has no question for --split {split} (it has {splits}): try --split all")
    return chosen


def write(file: Path, questions: Iterable[Question]) -> None:
    lines = [json.dumps(question.to_json(), ensure_ascii=False) for question in questions]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _parsed(line: str, place: str) -> Question:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise FootnoteError(f"{place} is not JSON ({error}): mend it or take it out") from error
    if problem := _problem(value):
        raise FootnoteError(f"{place}: {problem}; corpus/README.md describes the fields")
    return Question.from_json(value)


def _problem(value: Any) -> str:
    """What is wrong with one question, or nothing."""
    if not isinstance(value, dict):
        return f"{str(value)[:60]!r} is not an object"
    for name in _REQUIRED:
        if not isinstance(value.get(name), str) or not value[name].strip():
            return f"{name!r} must be a text that is not empty, not {value.get(name)!r}"
    for name in _LISTS:
        if not isinstance(value.get(name, []), list):
            return f"{name!r} must be a list, not {value[name]!r}"
    for text in [*value.get("history", []), *value.get("facts", [])]:
        if not isinstance(text, str):
            return f"{text!r} must be a text"
    return _problem_of_evidence(value) or _problem_of_facts(value)


def _problem_of_evidence(value: Mapping[str, Any]) -> str:
    for found in [*value.get("evidence", []), *value.get("also", [])]:
        if not isinstance(found, dict) or not isinstance(found.get("document"), str):
            return f"evidence must name its 'document', not {found!r}"
        if not found.keys() <= {"document", "quote", "start", "end"} or not isinstance(found.get("quote", ""), str):
            return f"evidence has a 'document' and a 'quote', not {found!r}"
    if value["kind"] == NONE:
        return "a question of kind 'none' has no evidence and no facts" if value.get("evidence") else ""
    return "" if value.get("evidence") or value.get("facts") else "it has neither evidence nor facts to be scored by"


def _problem_of_facts(value: Mapping[str, Any]) -> str:
    for fact in value.get("facts", []):
        try:
            re.compile(fact)
        except re.error as error:
            return f"the fact {fact!r} is not a regular expression ({error})"
    return ""


def place(
    questions: Sequence[Question], documents: Sequence[str], text: Callable[[str], str]
) -> tuple[list[Question], list[str]]:
    """The questions with each quote's place in the library's text, and a line for each quote that is not there."""
    names: dict[str, str | None] = {}
    texts: dict[str, str] = {}
    missing: list[str] = []

    def placed(evidence: Evidence, question: Question) -> Evidence:
        if evidence.document not in names:
            names[evidence.document] = same_document(evidence.document, documents)
        name = names[evidence.document]
        if name is None:
            missing.append(f"{question.id}: {evidence.document} is not in the library")
            return evidence
        if name not in texts:
            texts[name] = text(name)
        start, end = _find(evidence.quote, texts[name])
        if start < 0:
            missing.append(f"{question.id}: {name} does not hold “{evidence.quote[:60]}”")
        return Evidence(name, evidence.quote, start, end)

    found = [
        replace(q, evidence=tuple(placed(e, q) for e in q.evidence), also=tuple(placed(e, q) for e in q.also))
        for q in questions
    ]
    return found, missing


def same_document(name: str, documents: Sequence[str]) -> str | None:
    """The document that a name means: the same, or one of them is the end of the other's path."""
    if name in documents:
        return name
    near = [d for d in documents if d.endswith("/" + name) or name.endswith("/" + d)]
    return max(near, key=len, default=None)


def _find(quote: str, text: str) -> tuple[int, int]:
    """Where a quote stands, white space aside; the whole text for no quote, -1 if it is nowhere."""
    if not quote.strip():
        return 0, len(text)
    if (start := text.find(quote)) >= 0:
        return start, start + len(quote)
    found = re.search(r"\s+".join(map(re.escape, quote.split())), text)
    return found.span() if found else (-1, -1)
