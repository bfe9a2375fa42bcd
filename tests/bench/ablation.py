"""What does each piece of retrieval earn, and what does it cost? Each is left out in turn, the rest stays.

    python -m tests.bench ablation

On all questions of the corpus that have an answer: all facts within N characters, and the middle one's milliseconds.
Whatever was fitted was fitted with all pieces in place, so a piece is flattered a little by what the others lean on it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np

from assistant.asked import Understood
from assistant.evaluation.questions import Question, read
from assistant.retrieve import Retriever
from ingest.library import Library
from ingest.sync import sync
from tests.bench.retrieval import BUDGETS, ROOT, within

DEEP = 12  # passages that are looked at

# Name, what is patched, what takes its place.
LEFT_OUT: dict[str, tuple[str, object]] = {
    "words in the text": ("assistant.retrieve.IN_TEXT", 0.0),
    "words in text or headings": ("assistant.retrieve.ANYWHERE", 0.0),
    "candidates by words": ("ingest.library.Library.match", lambda *_: []),
    "candidates by meaning": ("ingest.library.Library.nearest", lambda *_: []),
    "abbreviations' long forms": ("assistant.retrieve.Retriever._alternatives", lambda _: {}),
    "slips of the finger": ("ingest.library.Library.meant", lambda *_: ""),
    "folding of near-duplicates": ("assistant.retrieve.folded", lambda ranked, k: [[chunk] for chunk in ranked[:k]]),
    "what follow-ups lean on": ("assistant.retrieve.understand", lambda question, _: Understood(question)),
    "sparing the reranker": ("assistant.retrieve.in_doubt", lambda _: True),
}


def main(argv: Sequence[str] = ()) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        sync([ROOT / "corpus"], Path(place) / "library")
        library = Library(Path(place) / "library")
        asked = [q for q in read(ROOT / "corpus" / "questions.jsonl") if q.answerable]
        print(f"\nCorpus, {len(asked)} questions" + "".join(f"{n:>12}" for n in (*BUDGETS, "ms")))
        full, bare = Retriever(library), Retriever(library, rerank=False)
        _row("all of it", full, asked)
        _row("without the reranker", bare, asked)
        for name, (target, instead) in LEFT_OUT.items():
            with patch(target, instead):
                _row(f"without {name}", full, asked)


def _row(name: str, retriever: Retriever, asked: Sequence[Question]) -> None:
    rows, seconds = list[list[bool]](), list[float]()
    for question in asked:
        started = time.perf_counter()
        passages = retriever.search(question.question, DEEP, question.history)
        seconds.append(time.perf_counter() - started)
        rows.append(within(question, passages))
    cells = [f"{share:.3f}" for share in np.mean(rows, axis=0)] + [f"{1000 * float(np.median(seconds)):.0f}"]
    print(f"{name:36}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
