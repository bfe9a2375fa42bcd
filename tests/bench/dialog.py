"""Do follow-ups find what they are about? Beside the question as it was typed, all questions put together, and a human.

    python -m tests.bench dialog

CANARD's dialogues (../shared/bench/dialog): each becomes a document of its answers, which comes in by the ordinary
ingest. Those who asked had seen title and section, so these stand as the first question.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from assistant.asked import Understood, understand
from assistant.retrieve import Retriever
from ingest.library import Library
from ingest.sync import sync

SETS = Path(__file__).resolve().parents[3] / "shared" / "bench" / "dialog"
LIMIT = 2500  # characters of passages within which the answer should stand
DEEP = 10
SEEN = 120  # characters of an answer that have to be found: passages may end before it does


@dataclass(frozen=True, slots=True)
class Turn:
    """A follow-up, the questions before it, and the answer that was given."""

    question: str
    history: tuple[str, ...]
    rewrite: str
    document: str
    answer: str


WAYS: dict[str, Callable[[Turn], Understood]] = {
    "as typed": lambda turn: Understood(turn.question),
    "all questions together": lambda turn: Understood(" ".join([*turn.history, turn.question])),
    "ours": lambda turn: understand(turn.question, turn.history),
    "rewritten by a human": lambda turn: Understood(turn.rewrite),
}


def main(argv: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=150, help="that are asked, spread evenly")
    args = parser.parse_args(argv)
    if not SETS.is_dir():
        print(f"\ndialogues: skipped, {SETS} is not there")
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        turns = list(_turns(Path(base) / "documents"))
        turns = turns[:: -(-len(turns) // args.turns)]
        sync([Path(base) / "documents"], Path(base) / "library")
        library = Library(Path(base) / "library")
        print(f"\nCANARD, {len(turns)} follow-ups that a human had to rewrite, {library.count()} chunks")
        _table("one subject", Retriever(library, rerank=False), turns)
        _table(
            "after another subject",
            Retriever(library, rerank=False),
            [_after(turns[i - 1], t) for i, t in enumerate(turns)],
        )


def _after(before: Turn, turn: Turn) -> Turn:
    """The same turn in a conversation that was about something else at first."""
    return replace(turn, history=(*before.history, before.question, *turn.history))


def _table(title: str, retriever: Retriever, turns: Sequence[Turn]) -> None:
    print(f"{title:26}{'right document first':>24}{'MRR@10':>10}{f'answer within {LIMIT:,} characters':>38}")
    for name, way in WAYS.items():
        first, rank, found = np.mean([_judged(retriever, turn, way(turn)) for turn in turns], axis=0)
        print(f"{name:26}{first:>24.3f}{rank:>10.3f}{found:>38.3f}", flush=True)


def _turns(folder: Path) -> Iterator[Turn]:
    """The dialogues as files; of their turns those that lean on what was said before, with the answer that came."""
    folder.mkdir()
    dialogues: dict[str, list[dict[str, object]]] = {}
    for line in (SETS / "canard_dev.jsonl").open(encoding="utf-8"):
        row = json.loads(line)
        dialogues.setdefault(row["id"].rsplit("#", 1)[0], []).append(row)
    for number, rows in enumerate(dialogues.values()):
        last = max(rows, key=lambda row: len(row["history"]))
        answers = last["history"][1::2]
        head = f"{last['title']}: {last['section']}"
        path = f"{number:04}.md"
        (folder / path).write_text(f"# {head}\n\n" + "\n\n".join(answers) + "\n", encoding="utf-8")
        for row in rows:
            place = len(row["history"]) // 2
            if row["needs_rewrite"] and place and place < len(answers) and len(answers[place]) > SEEN:
                history = (head, *row["history"][::2])
                yield Turn(row["question"], history, row["rewrite"], path, answers[place])


def _judged(retriever: Retriever, turn: Turn, understood: Understood) -> tuple[float, float, float]:
    passages = retriever.find(understood, DEEP).passages
    documents = [p.document for p in passages]
    rank = documents.index(turn.document) if turn.document in documents else None
    text = " ".join("\n".join(p.text for p in passages)[:LIMIT].split())
    found = " ".join(turn.answer.split())[:SEEN] in text
    return float(rank == 0), 0.0 if rank is None else 1 / (rank + 1), float(found)


if __name__ == "__main__":
    main()
