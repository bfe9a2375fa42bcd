"""Does retrieval find the words that the answer needs? Ours beside the recipe, words, meaning and plain fusion.

    python -m tests.bench retrieval                 # the corpus, and the sets of ../shared/bench/retrieval
    python -m tests.bench retrieval --sets ml_faq   # one of them

All rankers search the same library, made by the ordinary ingest; the recipe cuts the same documents its own way.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from assistant.evaluation.predictions import split
from assistant.evaluation.questions import DOCUMENTS, QUESTIONS, Question, convert, place, read
from assistant.evaluation.score import facts_in, first_rank, pieces
from assistant.records import Passage
from assistant.retrieve import Retriever, open_embedder
from ingest.library import Library
from ingest.sync import sync
from ingest.words import content_terms

ROOT = Path(__file__).resolve().parents[2]
SETS = ROOT.parent / "shared" / "bench" / "retrieval"
DEEP = 50  # passages that a ranking is looked at to
BUDGETS = (1000, 2500, 5000)
MOST_QUESTIONS = 300  # of one set, spread evenly

Ranker = Callable[[Question], Sequence[Passage]]


def rankers(library: Library) -> dict[str, Ranker]:
    embedder = open_embedder("")
    pieces = [piece for d in library.documents() for piece in split(d.path, d.title, library)]
    vectors = embedder.embed([piece.text for piece in pieces])
    bare, full = Retriever(library, rerank=False), Retriever(library)

    def vector(question: Question) -> np.ndarray:
        return embedder.embed([" ".join([*question.history, question.question])])[0]

    def recipe(question: Question) -> Sequence[Passage]:
        return [pieces[i] for i in np.argsort(-(vectors @ vector(question)), kind="stable")[:DEEP]]

    def dense(question: Question) -> list[int]:
        return [i for i, _ in library.nearest(vector(question), DEEP)]

    def words(question: Question) -> list[int]:
        return [i for i, _ in library.match(content_terms(" ".join([*question.history, question.question])), DEEP)]

    def fusion(question: Question) -> list[int]:
        ranks = [{i: r for r, i in enumerate(found)} for found in (dense(question), words(question))]
        scores = {i: sum(1 / (60 + of[i]) for of in ranks if i in of) for i in {*ranks[0], *ranks[1]}}
        return sorted(scores, key=lambda i: -scores[i])

    def passages(ranked: Callable[[Question], list[int]]) -> Ranker:
        def found(question: Question) -> Sequence[Passage]:
            ids = ranked(question)
            chunks = library.chunks(ids)
            return [
                Passage(c.document, c.title, c.section, c.start, c.end, c.text, 0.0) for c in (chunks[i] for i in ids)
            ]

        return found

    return {
        "recipe (500/50, similarity)": recipe,
        "words alone (BM25)": passages(words),
        "meaning alone": passages(dense),
        "plain fusion (RRF)": passages(fusion),
        "ours, no reranker": lambda q: bare.search(q.question, DEEP, q.history),
        "ours": lambda q: full.search(q.question, DEEP, q.history),
    }


def corpus(folder: Path) -> None:
    sync([ROOT / "corpus"], folder / "corpus")
    library = Library(folder / "corpus")
    chosen = [q for q in read(ROOT / "corpus" / QUESTIONS, "test") if q.answerable]
    asked, _ = place(chosen, [d.path for d in library.documents()], library.text)
    columns = [*map(str, BUDGETS), "MRR", "ms"]
    _head(f"corpus, {len(asked)} questions of the test half: all facts within N characters", columns)
    by_kind: dict[str, list[list[bool]]] = {}
    for name, ranker in rankers(library).items():
        found, seconds = _timed(ranker, asked)
        shares = [within(q, passages) for q, passages in zip(asked, found, strict=True)]
        by_kind[name] = shares
        mrr = np.mean([_reciprocal(q, passages) for q, passages in zip(asked, found, strict=True)])
        _row(name, [*(f"{share:.3f}" for share in np.mean(shares, axis=0)), f"{mrr:.3f}", f"{1000 * seconds:.0f}"])
    kinds = sorted({q.kind for q in asked})
    _head(f"the same by kind: all facts within {' / '.join(map(str, BUDGETS))} characters", kinds)
    for name, shares in by_kind.items():
        of = {
            kind: np.mean([w for w, q in zip(shares, asked, strict=True) if q.kind == kind], axis=0) for kind in kinds
        }
        _row(name, [" ".join(f"{100 * share:.0f}" for share in of[kind]) for kind in kinds])


def within(question: Question, passages: Sequence[Passage]) -> list[bool]:
    text = "\n".join(p.text for p in passages)
    return [facts_in(text[:n], question.facts) == 1 for n in BUDGETS]


def _reciprocal(question: Question, passages: Sequence[Passage]) -> float:
    first = min(filter(None, (first_rank(piece, passages) for piece in pieces(question))), default=0)
    return 1 / first if 0 < first <= 10 else 0.0


def judged(name: str, folder: Path) -> None:
    """A set of queries whose answers are documents."""
    convert(SETS / name, folder / name)
    sync([folder / name / DOCUMENTS], folder / name / "library")
    library = Library(folder / name / "library")
    asked = [q for q in read(folder / name / QUESTIONS) if q.answerable]
    asked = asked[:: max(1, len(asked) // MOST_QUESTIONS)]
    _head(f"{name}, {len(asked)} questions, {library.count()} chunks", ["nDCG@10", "hit@5", "recall@10", "ms"])
    for label, ranker in rankers(library).items():
        found, seconds = _timed(ranker, asked)
        measured = np.mean([_judge(q, passages) for q, passages in zip(asked, found, strict=True)], axis=0)
        _row(label, [f"{value:.3f}" for value in measured] + [f"{1000 * seconds:.0f}"])


def _judge(question: Question, passages: Sequence[Passage]) -> tuple[float, float, float]:
    right = {e.document for e in question.evidence}
    ranked = list(dict.fromkeys(p.document for p in passages))[:10]
    gains = [1 / np.log2(i + 2) if d in right else 0.0 for i, d in enumerate(ranked)]
    best = sum(1 / np.log2(i + 2) for i in range(min(10, len(right))))
    return sum(gains) / best, float(any(d in right for d in ranked[:5])), len(right & set(ranked)) / len(right)


def _timed(ranker: Ranker, asked: Sequence[Question]) -> tuple[list[Sequence[Passage]], float]:
    ranker(asked[0])  # opened and warm
    started = time.perf_counter()
    found = [ranker(question) for question in asked]
    return found, (time.perf_counter() - started) / len(asked)


def _head(title: str, columns: Sequence[str]) -> None:
    print(f"\n{title}\n{'':30}" + "".join(f"{c:>12}" for c in columns))


def _row(name: str, cells: Sequence[str]) -> None:
    print(f"{name:30}" + "".join(f"{c:>12}" for c in cells), flush=True)


def main(argv: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=["ml_faq", "squad2_dev", "scifact"])
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        corpus(Path(folder))
        for name in args.sets:
            if (SETS / name).is_dir():
                judged(name, Path(folder))
            else:
                print(f"\n{name}: skipped, {SETS / name} is not there")


if __name__ == "__main__":
    main()
