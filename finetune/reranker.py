"""Trains the reranker: MiniLM reads a question and a passage together and says how well the one answers the other.

    python -m finetune.reranker --guides DIR --squad PATH --out assistant/reranker

`--guides` is a folder of documents, `--squad` SQuAD 2.0: `dev-v2.0.json`, or a folder with corpus.jsonl and
queries.jsonl. The questions to the guides are made by rule (`finetune.reranker_questions`); no model writes any. Every
five minutes the weights so far go to OUT/weights.safetensors and, quantised, to OUT/model.onnx, so it may be stopped at
any time. How well it does: `python -m finetune.reranker_evaluation`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from finetune.reranker_model import CrossEncoder, Pairs
from finetune.reranker_pairs import Group, chunks_of, from_guides, from_squad, from_tables, read_squad
from ingest.bert import pair_model, read_safetensors
from ingest.embed import MiniLM, packaged_folder
from ingest.graph import Linear, rows, to_onnx

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 192  # of question and passage together in training; serving reads 256
SAVE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Settings:
    minutes: float = 60.0
    groups_a_step: int = 12
    learning_rate: float = 6e-5
    warm_up: float = 0.08  # of the whole
    pairs_tokens: int = 2048  # at once through the model; a step holds several
    seed: int = 0


def prepare(guides: Path | None, squad: Path | None, settings: Settings, share: float) -> list[Group]:
    model, random = MiniLM(), Random(settings.seed)
    groups: list[Group] = []
    if guides:
        chunks = chunks_of(guides, model)
        groups += from_guides(chunks, model, random, share)
        groups += from_tables(chunks, random, len(groups) // 12)
    if squad:
        groups += from_squad(read_squad(squad, test=False), model, random)
    random.shuffle(groups)
    return groups


def loss_of(model: CrossEncoder, groups: Sequence[Group], pairs: Pairs, tokens: int) -> torch.Tensor:
    """Each passage for itself (does it hold the answer?) plus each group's right passage against its wrong ones."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    flat = [(group.question, passage) for group in groups for passage in group.passages]
    sizes = [len(group.passages) for group in groups]
    places, parts = [], []
    for here, (ids, types, mask) in pairs.batches(flat, tokens):
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(model.scores(ids, types, mask))
        places += here
    scores = torch.cat(parts)[torch.tensor(places).argsort()]
    labels = torch.tensor([float(place < group.right) for group in groups for place in range(len(group.passages))])
    loss = binary_cross_entropy_with_logits(scores, labels)
    ranked = [
        cross_entropy(part.unsqueeze(0), torch.zeros(1, dtype=torch.long))
        for group, part in zip(groups, torch.split(scores, sizes), strict=True)
        if group.right
    ]
    return loss + torch.stack(ranked).mean() if ranked else loss


def train(groups: Sequence[Group], out: Path, settings: Settings, start: Path | None = None) -> CrossEncoder:
    """One pass over the groups, or as much of it as `minutes` allow; the rate falls to zero either way."""
    import torch

    torch.manual_seed(settings.seed)
    model, pairs = CrossEncoder(start), Pairs(MAX_TOKENS)
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01, fused=True)
    started = saved = time.monotonic()
    mean = 0.0
    for place in range(0, len(groups), settings.groups_a_step):
        elapsed = time.monotonic() - started
        done = max(place / len(groups), elapsed / (60 * settings.minutes))
        if done >= 1:
            break
        rate = settings.learning_rate * min(done / settings.warm_up + 0.02, (1 - done) / (1 - settings.warm_up))
        for entry in optimiser.param_groups:
            entry["lr"] = rate
        loss = loss_of(model, groups[place : place + settings.groups_a_step], pairs, settings.pairs_tokens)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(model.parameters()), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        mean = float(loss.detach()) if not place else 0.95 * mean + 0.05 * float(loss.detach())
        _say(f"{place + settings.groups_a_step} of {len(groups)} groups, {elapsed / 60:.1f} min, loss {mean:.3f}")
        if time.monotonic() - saved > SAVE_SECONDS:
            saved = time.monotonic()
            _keep(model, out)
    _keep(model, out)
    return model


def _keep(model: CrossEncoder, out: Path) -> None:
    model.save(out / "weights.safetensors")
    export(out / "weights.safetensors", out / "model.onnx")


def export(weights: Path, onnx_file: Path, linear: Linear = rows) -> None:
    """The trained weights as the file that serves; it is whole or not there."""
    config = json.loads((packaged_folder() / "config.json").read_text("utf-8"))
    partial = onnx_file.with_suffix(".partial")
    partial.write_bytes(to_onnx(pair_model(read_safetensors(weights), config, linear)).SerializeToString())
    partial.replace(onnx_file)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m finetune.reranker", description=__doc__.splitlines()[0])
    parser.add_argument("--guides", type=Path, help="folder of documents to make questions from")
    parser.add_argument("--squad", type=Path, help="SQuAD 2.0: its JSON file, or a folder with corpus and queries")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights.safetensors and model.onnx")
    parser.add_argument("--share", type=float, default=0.33, help="of the guides' chunks that are asked a question")
    parser.add_argument("--minutes", type=float, default=60.0, help="at most; one pass over all otherwise")
    parser.add_argument("--start", type=Path, help="weights.safetensors to go on from")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    settings = Settings(minutes=options.minutes, seed=options.seed)
    groups = prepare(options.guides, options.squad, settings, options.share)
    if not groups:
        parser.error("nothing to learn from: give --guides, --squad or both")
    train(groups, options.out, settings, options.start)


if __name__ == "__main__":
    main()
