"""What tuning does to the largest Llama that two cores train in minutes: random weights, before and after, three seeds.

    footnote finetune dataset --out data --passages 2 --examples 400 --eval-share 0.12 --no-rerank
    python -m tests.bench.tuning --data data --out runs --steps 120

The base knows no language, so this shows what is learned from the data alone: its form, its ids, when to refuse. It
says nothing of what tuning does to a real Llama. Answers to held-out sections are written freely, unconstrained.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from assistant.evaluation.score import wilson
from assistant.terminal import say
from assistant.writers.llama import load
from finetune.recipe import conversations, encoded
from finetune.train import sampled, train, written
from tests.finetune import tiny


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--answers", type=int, default=40)
    args = parser.parse_args()
    rows = conversations(args.data / "train.jsonl")
    held_out = conversations(args.data / "eval.jsonl")[: args.answers]
    said = [SimpleNamespace(prompt=row["prompt"], answer=row["completion"][0]["content"]) for row in rows]
    for seed in range(args.seeds):
        base = args.out / f"base-{seed}"
        if not base.exists():
            tiny.llama(base, said, seed, room=4096)  # type: ignore[arg-type]  # it reads prompts and answers alone
        if not seed:
            tell("base", base, held_out)
        recipe = replace(
            tiny.recipe(base, args.data, args.out / f"adapter-{seed}"),
            steps=args.steps, evaluate_every=args.steps // 3, sample=4, seed=seed,
        )  # fmt: skip
        tell(f"tuned, seed {seed}", train(recipe, say), held_out)


def tell(name: str, folder: Path, held_out: list[Any]) -> None:
    """One line of JSON, with the answers' shares and the interval of the two that count answers."""
    loaded = load(folder)
    examples = [encoded(loaded.tokenizer, row, loaded.vocabulary.ends) for row in held_out]
    answers = written(loaded.model, loaded.tokenizer, examples, loaded.vocabulary.ends)
    found = sampled(answers, held_out)
    n = len(held_out)
    intervals = {"exact": wilson(round((found.exact or 0) * n), n)}
    print(json.dumps({"model": name, "answers": n, **asdict(found), "intervals": intervals}), flush=True)


if __name__ == "__main__":
    with tiny.one_thread():
        main()
