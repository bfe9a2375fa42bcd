"""BERT from its safetensors: as an embedder of texts, and as a reader of two texts that scores the pair.

The graph's inputs are token `ids`, and for pairs `types` (0 in the first text, 1 in the second).
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ingest.graph import Array, Builder, Linear, Model, exact

_TYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1"}


def read_safetensors(path: Path) -> dict[str, Array]:
    """The tensors of a file, memory-mapped: of a table of 47 MB only the rows that are looked up are ever read."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    data = 8 + int.from_bytes(mapped[:8], "little")
    header: dict[str, dict[str, Any]] = json.loads(mapped[8:data])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        dtype = np.dtype(_TYPES[entry["dtype"]])
        flat = np.frombuffer(mapped, dtype, (end - start) // dtype.itemsize, data + start)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def sentence_model(tensors: Mapping[str, Array], config: Mapping[str, Any], linear: Linear = exact) -> Model:
    """One vector a text: the mean over its tokens, at length 1."""
    builder = Builder()
    table = builder.weight("words", tensors["embeddings.word_embeddings.weight"])
    types = tensors["embeddings.token_type_embeddings.weight"][:1]
    hidden = _embedded(
        builder, builder.add("Gather", [table, "ids"], "word"), builder.weight("type", types), tensors, config
    )
    for number in range(config["num_hidden_layers"]):
        hidden = _layer(builder, hidden, number, tensors, config, linear)
    builder.add("LpNormalization", [_mean(builder, hidden)], "vector", axis=-1, p=2)
    return builder.model(["ids"], "vector", config["hidden_size"])


def pair_model(tensors: Mapping[str, Array], config: Mapping[str, Any], linear: Linear = exact) -> Model:
    """One score for two texts read as one: linear in the first token's state and in the mean before the last layer.

    So the last layer is computed for one token only. Words take eight bits each: they are half of the weights.
    """
    from onnx import TensorProto

    builder = Builder()
    words = tensors["embeddings.word_embeddings.weight"]
    scales = np.maximum(np.abs(words).max(axis=1, keepdims=True) / 127, 1e-12).astype(np.float32)
    whole = builder.weight("words", np.rint(words / scales).astype(np.int8))
    word = builder.add("Cast", [builder.add("Gather", [whole, "ids"], "word.int")], "word.float", to=TensorProto.FLOAT)
    scale = builder.add("Gather", [builder.weight("words.scales", scales), "ids"], "word.scale")
    types = builder.weight("types.table", tensors["embeddings.token_type_embeddings.weight"])
    kind = builder.add("Gather", [types, "types"], "type")
    hidden = _embedded(builder, builder.add("Mul", [word, scale], "word"), kind, tensors, config)
    last = config["num_hidden_layers"] - 1
    for number in range(last):
        hidden = _layer(builder, hidden, number, tensors, config, linear)
    mean = _mean(builder, hidden)
    first = _layer(builder, hidden, last, tensors, config, linear, first_only=True)
    first = builder.add("Squeeze", [first, _integers(builder, "axis", [1])], "first")
    both = builder.add("Concat", [first, mean], "both", axis=-1)
    exact(builder, both, tensors["head.weight"], tensors["head.bias"], "score")
    return builder.model(["ids", "types"], "score", 1)


def _integers(builder: Builder, name: str, values: Sequence[int]) -> str:
    return builder.weight(f"integers.{name}", np.array(values, np.int64))


def _under(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _embedded(builder: Builder, word: str, kind: str, tensors: Mapping[str, Array], config: Mapping[str, Any]) -> str:
    table = builder.weight("positions", tensors["embeddings.position_embeddings.weight"])
    length = builder.add("Shape", ["ids"], "length", start=1)
    positions = builder.add("Slice", [table, _integers(builder, "start", [0]), length], "position")
    total = builder.add("Add", [builder.add("Add", [word, positions], "placed"), kind], "embedded.sum")
    return builder.norm(total, _under(tensors, "embeddings."), "embedded", config["layer_norm_eps"])


def _layer(
    builder: Builder,
    x: str,
    number: int,
    tensors: Mapping[str, Array],
    config: Mapping[str, Any],
    linear: Linear,
    first_only: bool = False,
) -> str:
    """The additions stay apart from the norms: onnxruntime's fused operator takes six times as long as the two."""
    own, name, epsilon = _under(tensors, f"encoder.layer.{number}."), f"layer{number}.", config["layer_norm_eps"]
    asking = x
    if first_only:
        asking = builder.add("Slice", [x, *(_integers(builder, f"first{i}", [i]) for i in (0, 1, 1))], name + "asking")
    three = [
        linear(builder, asking if part == "query" else x, own[f"{at}.weight"], own[f"{at}.bias"], name + part)
        for part in ("query", "key", "value")
        for at in (f"attention.self.{part}",)
    ]
    heads = config["num_attention_heads"]
    mixed = builder.add("Attention", three, name + "attention", q_num_heads=heads, kv_num_heads=heads)
    out = _under(own, "attention.output.")
    mixed = linear(builder, mixed, out["dense.weight"], out["dense.bias"], name + "mixed")
    x = builder.norm(builder.add("Add", [asking, mixed], name + "middle.sum"), out, name + "middle", epsilon)
    wide = linear(builder, x, own["intermediate.dense.weight"], own["intermediate.dense.bias"], name + "wide")
    out = _under(own, "output.")
    narrow = linear(
        builder, builder.add("Gelu", [wide], name + "gelu"), out["dense.weight"], out["dense.bias"], name + "narrow"
    )
    return builder.norm(builder.add("Add", [x, narrow], name + "end.sum"), out, name + "end", epsilon)


def _mean(builder: Builder, hidden: str) -> str:
    return builder.add("ReduceMean", [hidden, _integers(builder, "tokens", [1])], "mean", keepdims=0)
