"""Predictions made by hand, and a small library with questions about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assistant.evaluation.predictions import Prediction
from assistant.evaluation.questions import Evidence, Question
from assistant.records import Answer, Footnote, Passage, Sentence, Status

Evaluate = Callable[..., int]  # `footnote evaluate` on the small library; gives its exit status

GUIDES = {
    "trees.md": "# Trees\n\n## Depth\n\nA random forest of Greentown is grown to a depth of 12 levels. "
    "Pruning keeps the leaves that matter.\n\n## Seeds\n\nEach tree gets its own seed, drawn from 1 to 999.\n",
    "nets.md": "# Nets\n\n## Dropout\n\nDropout switches off 40 % of the units. It lowers overfitting.\n\n"
    "## Batch size\n\n| Task | Batch size |\n|---|---|\n| Images | 64 |\n| Text | 16 |\n",
    "pay.md": "# Pay\n\n## In Greentown\n\nAn engineer for learning machines earns 88,000 crowns a year in Greentown. "
    "Half of that is paid in kind.\n",
}
QUESTIONS: list[dict[str, Any]] = [
    {"kind": "fact", "question": "how deep is a random forest grown in Greentown?", "facts": ["12"],
     "evidence": [{"document": "trees.md", "quote": "grown to a depth of 12 levels"}]},
    {"kind": "fact", "question": "How many units does dropout switch off?", "facts": ["40 ?%"],
     "evidence": [{"document": "nets.md", "quote": "Dropout switches off 40 % of the units."}]},
    {"kind": "table", "question": "batch size for text", "facts": ["16"],
     "evidence": [{"document": "nets.md", "quote": "| Text | 16 |"}]},
    {"kind": "fact", "question": "what does an engineer earn in Greentown?", "facts": ["88,000"],
     "evidence": [{"document": "pay.md", "quote": "earns 88,000 crowns a year in Greentown"}]},
    {"kind": "follow", "question": "and how is it paid?", "history": ["what does an engineer earn in Greentown?"],
     "facts": ["in kind"], "evidence": [{"document": "pay.md", "quote": "Half of that is paid in kind."}]},
    {"kind": "fact", "question": "which seeds do trees get?", "facts": ["1 to 999"],
     "evidence": [{"document": "trees.md", "quote": "drawn from 1 to 999"}]},
    {"kind": "none", "question": "what does an engineer earn on Mars?", "near": True},
    {"kind": "none", "question": "which wine goes with fish?"},
]  # fmt: skip


def write_questions(file: Path, times: int = 1) -> Path:
    asked = enumerate(times * QUESTIONS)
    lines = [json.dumps({"id": f"q{n}", "split": "fit" if n % 2 else "test", **q}) for n, q in asked]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def passage(text: str, start: int = 0, document: str = "a.md", score: float = 0.5, **more: Any) -> Passage:
    return Passage(document, "A", "Part", start, start + len(text), text, score, **more)


def note(start: int, end: int, document: str = "a.md", quote: str = "") -> Footnote:
    return Footnote(document, "A", "Part", start, end, quote)


def evidence(start: int, end: int, document: str = "a.md", quote: str = "x") -> Evidence:
    return Evidence(document, quote, start, end)


def answer(
    *sentences: tuple[str, tuple[Footnote, ...]], status: Status = "answered", supported: bool = True, **more: Any
) -> Answer:
    return Answer("?", status, tuple(Sentence(text, supported, notes) for text, notes in sentences), **more)


def predicted(
    question: Question, said: Answer | None = None, *found: Passage, model: str = "m", **more: Any
) -> Prediction:
    return Prediction(model, question, found, said, **more)


def refused() -> Answer:
    return answer(status="not_in_guides")


def many(n: int = 60, right: float = 0.8, model: str = "m") -> list[Prediction]:
    """Predictions for n questions, three quarters of them answerable and that share of these answered rightly."""
    made = []
    for i in range(n):
        if i % 4 == 3:
            question = Question(f"q{i}", "none", f"question {i}?", near=True)
            said = answer(("Made up.", (note(0, 9),))) if i % 8 == 3 else refused()
            made.append(
                predicted(question, said, passage("nothing of it", score=0.3 + 0.2 * (i % 8 == 3)), model=model)
            )
            continue
        question = Question(f"q{i}", "fact", f"question {i}?", facts=(f"fact {i}!",), evidence=(evidence(100, 120),))
        good = (i * 7919) % n < right * n
        text = f"here is fact {i}!" if good else "something else"
        said = answer((text, (note(100, 120) if good else note(500, 520),)), seconds={"total": 0.01 * (i + 1)})
        found = passage(f"it says fact {i}!", 100, score=0.8) if good else passage("else", 900, score=0.6)
        made.append(predicted(question, said, found, model=model, first_word=0.005))
    return made
