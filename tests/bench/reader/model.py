"""The reader while it is trained: torch's BERT with two heads, and the texts that go into it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.support import load
from ingest.embed import packaged_folder
from tests.bench.reader.groups import Group, Shown

if TYPE_CHECKING:
    import torch

QUESTION_TOKENS, CONTEXT_TOKENS = 64, 96


class Reader:
    """BERT over `[CLS] question [SEP] context passage [SEP]`.

    A passage's logit is linear in the first token's state and in the mean of all before the last layer, as the
    reranker's is; a unit's is the mean of a linear score over its tokens.
    """

    def __init__(self, start: Path | None = None, device: str = "cpu") -> None:
        import torch
        from transformers import BertModel

        off: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        self.bert = BertModel.from_pretrained(packaged_folder(), add_pooling_layer=False, **off)
        width = self.bert.config.hidden_size
        self.head, self.token = torch.nn.Linear(2 * width, 1), torch.nn.Linear(width, 1)
        for layer in (self.head, self.token):
            torch.nn.init.normal_(layer.weight, std=0.02)
            torch.nn.init.zeros_(layer.bias)
        self.bert.embeddings.word_embeddings.weight.requires_grad_(False)  # most words are not in the data
        if start:
            self.load_state(load(start))
        for module in (self.bert, self.head, self.token):
            module.to(device)

    def named(self) -> dict[str, torch.Tensor]:
        """All tensors, under the names they are kept under."""
        tensors = dict(self.bert.state_dict())
        tensors |= {f"head.{name}": tensor for name, tensor in self.head.state_dict().items()}
        return tensors | {f"token.{name}": tensor for name, tensor in self.token.state_dict().items()}

    def parameters(self) -> list[torch.nn.Parameter]:
        modules = (self.bert, self.head, self.token)
        return [one for module in modules for one in module.parameters() if one.requires_grad]

    def load_state(self, tensors: dict[str, torch.Tensor]) -> None:
        """`token.*` may be missing: a reranker's weights have none."""
        heads = {"head": self.head, "token": self.token}
        for name, layer in heads.items():
            if f"{name}.weight" in tensors:
                layer.load_state_dict({part: tensors[f"{name}.{part}"] for part in ("weight", "bias")})
        bert = {name: tensor for name, tensor in tensors.items() if name.split(".")[0] not in heads}
        self.bert.load_state_dict(bert)

    def read(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits of the batch's passages, and of its units one after the other."""
        import torch

        bert = self.bert(
            input_ids=batch.ids, token_type_ids=batch.types, attention_mask=batch.mask, output_hidden_states=True
        )
        *_, before, last = (hidden.float() for hidden in bert.hidden_states)
        weights = batch.mask.unsqueeze(-1).float()
        mean = (before * weights).sum(1) / weights.sum(1)
        answers = self.head(torch.cat([last[:, 0], mean], dim=1)).squeeze(1).float()
        tokens = self.token(last).squeeze(-1).float()
        inside = batch.unit_of >= 0
        count = len(batch.labels)
        none = torch.zeros(count, device=tokens.device)
        total = none.index_add(0, batch.unit_of[inside], tokens[inside])
        sizes = none.index_add(0, batch.unit_of[inside], torch.ones_like(tokens[inside]))
        return answers, total / sizes.clamp(min=1)

    def save(self, path: Path, tensors: dict[str, torch.Tensor] | None = None) -> None:
        from safetensors.torch import save_file

        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        save_file({name: one.detach().cpu().contiguous() for name, one in (tensors or self.named()).items()}, partial)
        partial.replace(path)


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts of like length; `unit_of` is the unit that each token is in, counted through the batch, or -1."""

    places: list[int]
    ids: torch.Tensor
    types: torch.Tensor
    mask: torch.Tensor
    unit_of: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor  # of each unit: its row's trust, shared among the row's units that were read

    def to(self, device: str) -> Batch:
        names = ("ids", "types", "mask", "unit_of", "labels", "weights")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


class Texts:
    """Question, context and passage as token ids, with the unit of each token."""

    def __init__(self, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(packaged_folder() / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._start, self._end = self._tokenizer.encode("").ids
        self._most = max_tokens

    def batches(self, pairs: Sequence[tuple[str, Shown]], tokens: int) -> Iterator[Batch]:
        """Texts of like length together; the tensors hold `tokens` tokens or a little fewer."""
        encoded = self._encoded(pairs)
        order = sorted(range(len(pairs)), key=lambda place: -len(encoded[place][0]))
        while order:
            length = len(encoded[order[0]][0])
            size = max(1, tokens // length)
            places, order = order[:size], order[size:]
            yield self._batch(places, [encoded[place] for place in places], [pairs[p][1] for p in places], length)

    def _encoded(self, pairs: Sequence[tuple[str, Shown]]) -> list[tuple[list[int], int, list[int]]]:
        """Ids, the length of the question's part, and the unit of each token of the passage (-1 for none)."""
        texts = [text for question, shown in pairs for text in (question, shown.context, shown.text)]
        found = self._tokenizer.encode_batch(texts, add_special_tokens=False)  # the fast one keeps no offsets
        encoded = []
        for place, (_, shown) in enumerate(pairs):
            question, context, text = found[3 * place : 3 * place + 3]
            first = [self._start, *question.ids[:QUESTION_TOKENS], self._end]
            beside = context.ids[-CONTEXT_TOKENS:]
            room = self._most - len(first) - len(beside) - 1
            units = [-1] * (len(first) + len(beside)) + units_of(text.offsets[:room], shown.units) + [-1]
            encoded.append(([*first, *beside, *text.ids[:room], self._end], len(first), units))
        return encoded

    def _batch(
        self, places: list[int], encoded: list[tuple[list[int], int, list[int]]], shown: list[Shown], length: int
    ) -> Batch:
        import torch

        grids = np.zeros((3, len(places), length), np.int64)
        unit_of = np.full((len(places), length), -1, np.int64)
        labels: list[float] = []
        weights: list[float] = []
        for row, ((ids, first, units), one) in enumerate(zip(encoded, shown, strict=True)):
            grids[0, row, : len(ids)] = ids
            grids[1, row, first : len(ids)] = 1
            grids[2, row, : len(ids)] = 1
            unit_of[row, : len(ids)] = [unit + len(labels) if unit >= 0 else -1 for unit in units]
            read = {unit for unit in units if unit >= 0}
            labels += one.labels
            share = one.trust / max(1, len(read))
            weights += [share if place in read else 0.0 for place in range(len(one.labels))]
        ids, types, mask = torch.from_numpy(grids)
        return Batch(places, ids, types, mask, torch.from_numpy(unit_of), torch.tensor(labels), torch.tensor(weights))


def units_of(offsets: Sequence[tuple[int, int]], units: Sequence[tuple[int, int]]) -> list[int]:
    """For each token the unit that it begins in, -1 between units."""
    found, unit = [], 0
    for start, _ in offsets:
        while unit < len(units) and start >= units[unit][1]:
            unit += 1
        found.append(unit if unit < len(units) and start >= units[unit][0] else -1)
    return found


def flat(groups: Sequence[Group]) -> list[tuple[str, Shown]]:
    return [(group.question, shown) for group in groups for shown in group.passages]
