"""How well the reranker does on what it was not trained on, beside similarity alone. Prints one line a set.

    python -m tests.bench reranker --squad PATH --retrieval DIR [--retrieval DIR ...] [--limit N]

`--squad` is what `finetune.reranker` was given: the articles held out from it are used. `--retrieval` is a folder
with corpus.jsonl, queries.jsonl and qrels.tsv. The candidates are the same for all: 20, by vector and by words in
turn.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from assistant.retrieve import WEIGHTS, Reranker
from ingest.embed import MiniLM

if TYPE_CHECKING:
    pass
from finetune.reranker import Miner, read_squad

CANDIDATES = 20
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """A question with its candidates' scores; `gains` is what each is worth, `best` what the whole set would offer."""

    cosine: Scores
    logit: Scores
    gains: Scores
    best: Scores

    @property
    def fused(self) -> Scores:
        return _standard(self.cosine) + _standard(self.logit)


def _standard(scores: Scores) -> Scores:
    standard: Scores = (scores - scores.mean()) / (scores.std() + 1e-9)
    return standard


def judge(
    questions: Sequence[str],
    worth: Sequence[dict[int, float]],
    passages: Sequence[str],
    reranker: Reranker,
) -> list[Judged]:
    """`worth`: for each question the places of its relevant passages and their gains."""
    model = MiniLM()
    miner = Miner(passages, model)
    vectors = model.embed(questions)
    judged = []
    for i, (question, found) in enumerate(zip(questions, miner.alike(questions), strict=True)):
        places = found[:CANDIDATES]
        judged.append(
            Judged(
                (miner.vectors[places] @ vectors[i]).astype(np.float64),
                reranker.score(question, [passages[place] for place in places]),
                np.array([worth[i].get(place, 0.0) for place in places]),
                np.sort(np.array(list(worth[i].values()), np.float64))[::-1],
            )
        )
    return judged


Rule = Callable[[Judged], Scores]
MEASURED: dict[str, Rule] = {
    "similarity": lambda one: one.cosine,
    "reranker": lambda one: one.logit,
    "fused": lambda one: one.fused,
}


def ndcg(one: Judged, scores: Scores) -> float:
    discounts = 1 / np.log2(np.arange(2, 12))
    got = one.gains[np.argsort(-scores, kind="stable")][:10]
    return float(got @ discounts[: len(got)] / (one.best[:10] @ discounts[: len(one.best[:10])]))


def reciprocal_rank(one: Judged, scores: Scores) -> float:
    right = np.flatnonzero(one.gains[np.argsort(-scores, kind="stable")] > 0)
    return 1 / (1 + int(right[0])) if len(right) else 0.0


def first_is_right(one: Judged, scores: Scores) -> float:
    return float(one.gains[int(np.argmax(scores))] > 0)


def area(answerable: Sequence[float], not_answerable: Sequence[float]) -> float:
    """Of all pairs, the share in which the answerable question scores higher."""
    high, low = np.array(answerable)[:, None], np.array(not_answerable)[None]
    return float((high > low).mean() + (high == low).mean() / 2)


def on_squad(path: Path, reranker: Reranker, limit: int) -> str:
    squad = read_squad(path, test=True)
    places = {name: place for place, name in enumerate(squad.passages)}
    chosen = Random(0).sample(squad.questions, min(limit, len(squad.questions)))
    worth = [{places[one["gold_passage"]]: 1.0} for one in chosen]
    judged = judge([one["text"] for one in chosen], worth, list(squad.passages.values()), reranker)
    sides: dict[bool, list[Judged]] = {True: [], False: []}
    for query, one in zip(chosen, judged, strict=True):
        sides[bool(query["answerable"])].append(one)
    parts = []
    for name, rule in MEASURED.items():
        first = np.mean([first_is_right(one, rule(one)) for one in sides[True]])
        rank = np.mean([reciprocal_rank(one, rule(one)) for one in sides[True]])
        parts.append(f"{name} first {first:.3f} MRR {rank:.3f}")
    for name in ("similarity", "reranker"):
        tops = {side: [float(MEASURED[name](one).max()) for one in ones] for side, ones in sides.items()}
        parts.append(f"{name} AUC {area(tops[True], tops[False]):.3f}")
    return f"squad ({len(sides[True])} answerable, {len(sides[False])} not, {len(places)} passages): " + ", ".join(
        parts
    )


def on_retrieval(folder: Path, reranker: Reranker, limit: int) -> str:
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
    places = {one["id"]: place for place, one in enumerate(corpus)}
    worth: dict[str, dict[int, float]] = {}
    for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, gain = line.split("\t")
        worth.setdefault(query, {})[places[document]] = float(gain)
    queries = [json.loads(line) for line in (folder / "queries.jsonl").open(encoding="utf-8")]
    queries = [one for one in queries if one["id"] in worth]
    queries = Random(0).sample(queries, min(limit, len(queries)))
    passages = [f"{one['title']}\n{one['text']}".strip() for one in corpus]
    judged = judge([one["text"] for one in queries], [worth[one["id"]] for one in queries], passages, reranker)
    parts = [f"{name} {np.mean([ndcg(one, rule(one)) for one in judged]):.3f}" for name, rule in MEASURED.items()]
    return f"{folder.name} ({len(judged)} questions), nDCG@10: " + ", ".join(parts)


def latency(reranker: Reranker) -> str:
    text = "Regularisation > Dropout\n" + "During training, dropout sets a random part of the units to zero. " * 14
    seconds = []
    for _ in range(20):
        begun = time.perf_counter()
        reranker.score("why does dropout help a network to generalise?", [text] * CANDIDATES)
        seconds.append(time.perf_counter() - begun)
    tokens = MiniLM().count_tokens(text)
    best, middle = 1000 * min(seconds), 1000 * float(np.median(seconds))
    return f"{CANDIDATES} passages of {tokens} tokens: {best:.0f} ms at best, {middle:.0f} ms in the middle"


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench reranker")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--squad", type=Path)
    parser.add_argument("--retrieval", type=Path, action="append", default=[])
    parser.add_argument("--limit", type=int, default=1_000_000, help="of questions in each set")
    options = parser.parse_args(arguments)
    reranker = Reranker(options.weights)
    if options.squad:
        sys.stdout.write(on_squad(options.squad, reranker, options.limit) + "\n")
    for folder in options.retrieval:
        sys.stdout.write(on_retrieval(folder, reranker, options.limit) + "\n")
        sys.stdout.flush()
    sys.stdout.write(latency(reranker) + "\n")


if __name__ == "__main__":
    main()
