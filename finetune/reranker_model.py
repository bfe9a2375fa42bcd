"""The reranker while it is trained: torch's BERT with a head, and the pairs of texts that go into it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.embed import packaged_folder

if TYPE_CHECKING:
    import torch


class CrossEncoder:
    """BERT over `[CLS] question [SEP] passage [SEP]`.

    The score is linear in the first token's state and in the mean of all before the last layer: so the last layer has
    to be computed for one token only, which saves a seventh of the time when it serves.
    """

    def __init__(self, start: Path | None = None) -> None:
        import torch
        from transformers import BertModel

        # Without dropout: one pass over the data does not overfit, and learns faster.
        off: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        self.bert = BertModel.from_pretrained(packaged_folder(), add_pooling_layer=False, **off)
        self.head = torch.nn.Linear(2 * self.bert.config.hidden_size, 1)
        torch.nn.init.normal_(self.head.weight, std=0.02)
        torch.nn.init.zeros_(self.head.bias)
        words = self.bert.embeddings.word_embeddings.weight
        words.requires_grad_(False)  # half of all weights, and most words are not in the data: they stay put together
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
        both: torch.Tensor = self.head(torch.cat([last[:, 0], mean], dim=1))
        return both.squeeze(1)

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
