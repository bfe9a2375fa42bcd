"""How much memory a training run takes, from the model's config alone: asked before anything is loaded. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from finetune.recipe import Recipe

GB = 1e9
NF4_BITS = 4 + 8 / 64 + 32 / (64 * 256)  # a byte for 64 weights is their scale, four bytes for 256 of those bytes
NF4_PLAIN_BITS = 4 + 32 / 64  # without double quantisation
PROGRAM = 0.8 * GB  # CUDA and its kernels; without a GPU about as much for torch and the rest
LOGITS = 4 + 4  # bytes for each: the scores in single precision, and their gradient
LOGIT_TOKENS = 2048  # whose scores are held at a time: the output layer's loss is worked out piece by piece
SPARE = 1.1  # the allocator's gaps

KNOWN: Mapping[str, Mapping[str, Any]] = {
    "meta-llama/Llama-3.1-8B-Instruct": {
        "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8,
    },
    "meta-llama/Llama-3.2-3B-Instruct": {
        "vocab_size": 128256, "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28,
        "num_attention_heads": 24, "num_key_value_heads": 8, "tie_word_embeddings": True,
    },
    "meta-llama/Llama-3.2-1B-Instruct": {
        "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True,
    },
}  # fmt: skip  # to say which smaller model would fit


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a Llama's config decides its size."""

    vocabulary: int
    hidden: int
    inner: int
    layers: int
    heads: int
    key_value_heads: int
    head: int
    tied: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        return cls(
            vocabulary=int(config["vocab_size"]),
            hidden=hidden,
            inner=int(config["intermediate_size"]),
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            key_value_heads=int(config.get("num_key_value_heads") or heads),
            head=int(config.get("head_dim") or hidden // heads),
            tied=bool(config.get("tie_word_embeddings", False)),
        )

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """The linear layers of one block: inputs and outputs."""
        query, key = self.heads * self.head, self.key_value_heads * self.head
        return {
            "q_proj": (self.hidden, query),
            "k_proj": (self.hidden, key),
            "v_proj": (self.hidden, key),
            "o_proj": (query, self.hidden),
            "gate_proj": (self.hidden, self.inner),
            "up_proj": (self.hidden, self.inner),
            "down_proj": (self.inner, self.hidden),
        }

    @property
    def linear(self) -> int:
        """Weights that are quantised: those of the blocks, not those of the embeddings and the output layer."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.matrices.values())

    @property
    def other(self) -> int:
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.layers * 2 * self.hidden + self.hidden

    @property
    def parameters(self) -> int:
        return self.linear + self.other

    def adapter(self, rank: int, targets: Sequence[str]) -> int:
        sizes = self.matrices
        return self.layers * rank * sum(sum(sizes[name]) for name in targets if name in sizes)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes, part by part."""

    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values()) * SPARE

    def __str__(self) -> str:
        listed = ", ".join(f"{name} {size / GB:.1f}" for name, size in self.parts.items() if size >= 0.05 * GB)
        return f"{self.total / GB:.1f} GB ({listed})" if listed else f"{self.total / 1e6:.0f} MB"


def training(shape: Shape, recipe: Recipe, length: int, *, gpu: bool = True) -> Estimate:
    """Of one step with examples of `length` tokens."""
    bits = (NF4_BITS if recipe.double else NF4_PLAIN_BITS) if recipe.quantise else 16
    adapter, tokens = shape.adapter(recipe.rank, recipe.targets), recipe.batch * length
    block = tokens * _block_activations(shape)
    kept = tokens * shape.hidden * 2 * shape.layers + block if recipe.checkpointing else block * shape.layers
    return Estimate(
        {
            "weights": shape.linear * bits / 8 + shape.other * 2,
            "adapter": adapter * (4 + 4 + (2 if gpu else 8)),  # itself, its gradient, the optimiser's two moments
            "activations": kept,
            "scores": min(tokens, LOGIT_TOKENS) * shape.vocabulary * LOGITS,
            "workspace": max(i * o for i, o in shape.matrices.values()) * 2 if recipe.quantise else 0,
            "program": PROGRAM,
        }
    )


def _block_activations(shape: Shape) -> int:
    """Bytes a token that one block keeps for its backward pass, in two bytes a number; norms work in four."""
    attention = 2 * shape.heads * shape.head + 2 * shape.key_value_heads * shape.head
    return 2 * (6 * shape.hidden + attention + 4 * shape.inner) + 4 * 2 * shape.hidden


def serving(shape: Shape, *, quantised: bool, length: int, batch: int = 1) -> Estimate:
    """For answering: the weights, and the keys and values of what was read."""
    cache = 2 * 2 * shape.layers * shape.key_value_heads * shape.head * length * batch
    return Estimate({"weights": shape.linear * (NF4_BITS if quantised else 16) / 8 + shape.other * 2, "cache": cache})


def would_fit(available: float, recipe: Recipe, length: int) -> str:
    """The largest known model that trains in this memory, in words; empty where none does."""
    for name, config in KNOWN.items():
        needed = training(Shape.of(config), replace(recipe, batch=1), length).total
        if needed <= available:
            return f"{name} would fit ({needed / GB:.1f} GB)"
    return ""
