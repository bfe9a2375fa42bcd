"""An answer that fell short becomes a question of the evaluation set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assistant.conversations import Turn
from assistant.records import Answer
from assistant.retrieve import Passage
from ingest.errors import FootnoteError

FILE = "questions.jsonl"
_KINDS = {"row": "table", "code": "code", "item": "list"}

Pick = tuple[int, int]  # passage and unit, counted from 0


def question(turn: Turn, history: Sequence[str], picked: Sequence[Pick], words: Sequence[str] = ()) -> dict[str, Any]:
    """In the form that `footnote evaluate` reads. With nothing picked, it is a question that the guides do not answer.

    `words` are what a right answer has to say, as plain text; a line of regular expressions is made of each.
    """
    import re

    passages = turn.answer.passages if turn.answer else ()
    evidence = [{"document": passages[p].document, "quote": unit_text(passages[p], u)} for p, u in picked]
    digest = hashlib.sha256(json.dumps([turn.question, list(history)]).encode()).hexdigest()[:10]
    return {
        "id": f"kept-{digest}",
        "kind": _kind(passages, history, picked),
        "question": turn.question,
        "history": list(history),
        "facts": [re.escape(w.strip()) for w in words if w.strip()],
        "evidence": evidence,
        "split": "test",
        "passages": [{"document": p.document, "start": p.start, "end": p.end} for p in passages],
        "comment": turn.comment,
    }


def _kind(passages: Sequence[Passage], history: Sequence[str], picked: Sequence[Pick]) -> str:
    if not picked:
        return "none"
    if history:
        return "follow"
    passage, unit = picked[0]
    units = passages[passage].units
    return _KINDS.get(units[unit].kind, "fact") if units else "fact"


def keep(place: Path, kept: dict[str, Any]) -> Path:
    """Adds the question to the library's own set; kept again, it replaces what was kept."""
    file = place / FILE
    try:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        others = [line for line in lines if line.strip() and json.loads(line).get("id") != kept["id"]]
        waiting = file.with_suffix(".part")
        waiting.write_text(
            "".join(f"{line}\n" for line in [*others, json.dumps(kept, ensure_ascii=False)]), encoding="utf-8"
        )
        waiting.replace(file)
    except (OSError, ValueError) as error:
        raise FootnoteError(
            f"{file} cannot be added to ({error}): make it writable, or move a damaged one away"
        ) from error
    return file


def units_of(answer: Answer) -> list[dict[str, Any]]:
    """The passages unit by unit, to pick from."""
    return [
        {"title": " › ".join(filter(None, (p.title, p.section.rsplit(" > ", 1)[-1]))), "units": _texts(p)}
        for p in answer.passages
    ]


def _texts(passage: Passage) -> list[str]:
    return [unit_text(passage, u) for u in range(max(1, len(passage.units)))]


def unit_text(passage: Passage, unit: int) -> str:
    """Word for word, as the guide has it."""
    if not passage.units:
        return passage.text
    chosen = passage.units[unit]
    return passage.text[chosen.start - passage.start : chosen.end - passage.start]
