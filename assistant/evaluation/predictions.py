"""What was answered, one JSON object a line: all that scoring needs, so that scoring again asks no model again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.evaluation.questions import Question
from assistant.records import Answer
from assistant.retrieve import Passage, as_json

FILE = "predictions.jsonl"


@dataclass(frozen=True, slots=True)
class Prediction:
    """One model's answer to one question, whose evidence has been placed in the library it was asked of.

    `retrieved` is what a search finds, `answer.passages` what the writer saw. `invalid` counts footnotes whose quote
    is not what stands there. `answer` is None where only retrieval was tried.
    """

    model: str
    question: Question
    retrieved: tuple[Passage, ...]
    answer: Answer | None = None
    first_word: float | None = None  # seconds from the question to the first text
    invalid: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.model, self.question.id

    @property
    def answered(self) -> bool:
        return self.answer is not None and self.answer.status == "answered"

    @property
    def failed(self) -> bool:
        return self.answer is not None and self.answer.status == "failed"

    @property
    def confidence(self) -> float:
        """The score of the best passage."""
        return max((passage.score for passage in self.retrieved), default=0.0)

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "question": self.question.to_json(),
            "answer": self.answer.to_json() if self.answer else None,
            "retrieved": [as_json(p) | ({"also": p.also} if p.also else {}) for p in self.retrieved],
            "first_word": self.first_word,
            "invalid": self.invalid,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Prediction:
        return cls(
            model=value["model"],
            question=Question.from_json(value["question"]),
            retrieved=tuple(_passage(p) for p in value["retrieved"]),
            answer=Answer.from_json(value["answer"]) if value["answer"] else None,
            first_word=value["first_word"],
            invalid=value["invalid"],
        )


def _passage(value: Mapping[str, Any]) -> Passage:
    also = tuple((str(document), int(start), int(end)) for document, start, end in value.get("also", ()))
    return Passage(**{**value, "also": also})


def read(file: Path) -> list[Prediction]:
    """All predictions, the last one of each question and model; a line that a kill cut short is passed over."""
    if not file.is_file():
        return []
    found: dict[tuple[str, str], Prediction] = {}
    for line in file.read_text(encoding="utf-8").split("\n"):
        try:
            prediction = Prediction.from_json(json.loads(line))
        except json.JSONDecodeError:
            continue
        found[prediction.key] = prediction
    return list(found.values())


class Log:
    """The file, opened to add to it. Each prediction is on disk when `add` returns."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        torn = file.is_file() and not file.read_bytes().endswith(b"\n") and file.stat().st_size > 0
        self._file = file.open("a", encoding="utf-8")
        if torn:
            self._file.write("\n")

    def add(self, prediction: Prediction) -> None:
        self._file.write(json.dumps(prediction.to_json(), ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def by_model(predictions: Iterable[Prediction]) -> dict[str, list[Prediction]]:
    """In the order in which the models first appear."""
    found: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        found.setdefault(prediction.model, []).append(prediction)
    return found
