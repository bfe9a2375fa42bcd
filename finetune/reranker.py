"""Trains the reranker: MiniLM reads a question and a passage together and says how well the one answers the other.

    python -m finetune.reranker --guides DIR --squad DIR --out assistant/reranker --minutes 60

`--guides` is a folder of documents, `--squad` SQuAD 2.0 (`dev-v2.0.json`, or a folder with corpus.jsonl and queries.jsonl).
The questions to the guides are made by rule (`finetune.asking`, `finetune.reranker_pairs`); no model writes any. Every five minutes
the weights so far are written to OUT/weights.safetensors and, quantised, to OUT/model.onnx: it may be stopped at any time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from finetune.reranker_pairs import Group, chunks_of, from_guides, from_squad, from_tables, read_squad
from ingest.embed import MiniLM, packaged_folder

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


def prepare(guides: Path | None, squad: Path | None, settings: Settings, share: float = 0.5) -> list[Group]:
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


class CrossEncoder:
    """BERT over `[CLS] question [SEP] passage [SEP]`.

    The score is linear in the first token's state and in the mean of all before the last layer: so the last layer has to
    be computed for one token only, which saves a seventh of the time when it serves.
    """

    def __init__(self, start: Path | None = None) -> None:
        import torch
        from transformers import BertModel

        self.bert = BertModel.from_pretrained(packaged_folder(), add_pooling_layer=False)
        for module in self.bert.modules():  # one pass over the data does not overfit, and it learns faster without
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            if hasattr(module, "dropout_prob"):
                module.dropout_prob = 0.0
        self.bert.config.attention_probs_dropout_prob = 0.0
        self.head = torch.nn.Linear(2 * self.bert.config.hidden_size, 1)
        torch.nn.init.normal_(self.head.weight, std=0.02)
        torch.nn.init.zeros_(self.head.bias)
        self.bert.embeddings.word_embeddings.weight.requires_grad_(
            False
        )  # half of the weights, and rare words stay put
        if start:
            self.load(start)

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        for module in (self.bert, self.head):
            yield from (one for one in module.parameters() if one.requires_grad)

    def scores(self, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        import torch

        bert = self.bert(input_ids=ids, token_type_ids=types, attention_mask=mask, output_hidden_states=True)
        *_, before, last = (hidden.float() for hidden in bert.hidden_states)
        weights = mask.unsqueeze(-1).float()
        mean = (before * weights).sum(1) / weights.sum(1)
        return self.head(torch.cat([last[:, 0], mean], dim=1)).squeeze(1)

    def save(self, path: Path) -> None:
        from safetensors.torch import save_file

        tensors = {name: tensor.contiguous() for name, tensor in self.bert.state_dict().items()}
        tensors |= {f"head.{name}": tensor.contiguous() for name, tensor in self.head.state_dict().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)

    def load(self, path: Path) -> None:
        from safetensors.torch import load_file

        tensors = load_file(path)
        self.head.load_state_dict({name: tensors.pop(f"head.{name}") for name in ("weight", "bias")})
        self.bert.load_state_dict(tensors)


class Pairs:
    """Question and passage as token ids, cut to a length, padded to the longest of a batch."""

    def __init__(self, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(packaged_folder() / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens, strategy="only_second")

    def batches(self, pairs: Sequence[tuple[str, str]], tokens: int) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
        """The places of the pairs, and ids, types and mask for them: pairs of like length together."""
        import torch

        encoded = self._tokenizer.encode_batch(list(pairs))
        order = sorted(range(len(pairs)), key=lambda place: -len(encoded[place]))
        while order:
            length = len(encoded[order[0]])
            places, order = order[: max(1, tokens // length)], order[max(1, tokens // length) :]
            rows = np.zeros((3, len(places), length), np.int64)
            for row, place in enumerate(places):
                one = encoded[place]
                rows[:, row, : len(one)] = one.ids, one.type_ids, one.attention_mask
            yield places, list(torch.from_numpy(rows))


def loss_of(model: CrossEncoder, groups: Sequence[Group], pairs: Pairs, tokens: int) -> torch.Tensor:
    """Each passage for itself (does it hold the answer?) plus each group's right passage against its wrong ones."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    flat = [(group.question, passage) for group in groups for passage in group.passages]
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
        for group, part in zip(groups, scores.split([len(group.passages) for group in groups]), strict=True)
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
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(model.parameters()), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        mean = float(loss.detach()) if not place else 0.95 * mean + 0.05 * float(loss.detach())
        _say(f"{place + settings.groups_a_step} of {len(groups)} groups, {elapsed / 60:.1f} min, loss {mean:.3f}")
        if time.monotonic() - saved > SAVE_SECONDS:
            saved = time.monotonic()
            model.save(out / "weights.safetensors")
    model.save(out / "weights.safetensors")
    return model


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
