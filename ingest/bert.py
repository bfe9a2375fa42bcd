"""BERT as an onnxruntime graph, built from safetensors weights: no torch, no export, no file to cache.

One text goes through at a time, on one thread, and as many side by side as there are cores: nothing is padded or
masked, and a text's result never depends on what else is asked for. Inputs are `ids`, and `types` for two texts in one.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx
    import onnxruntime

Array = npt.NDArray[Any]
Vectors = npt.NDArray[np.float32]
MICROSOFT = "com.microsoft"
BLOCK = 128  # weights that share a scale in `blocks`
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


@dataclass(frozen=True, slots=True)
class Model:
    """A graph and, beside it, the weights that it refers to by name."""

    graph: onnx.GraphProto
    weights: Mapping[str, Array]


class Builder:
    """Nodes and weights, in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Array] = {}

    def weight(self, name: str, array: Array) -> str:
        self.weights[name] = np.ascontiguousarray(array).reshape(array.shape)  # numpy would give a scalar a dimension
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.split(operator, inputs, [output], domain, **attributes)
        return output

    def split(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", **more: Any
    ) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(inputs), list(outputs), domain=domain, **more))

    def norm(self, x: str, own: Mapping[str, Array], output: str, epsilon: float) -> str:
        scale = self.weight(output + ".scale", own["LayerNorm.weight"])
        shift = self.weight(output + ".shift", own["LayerNorm.bias"])
        return self.add("LayerNormalization", [x, scale, shift], output, axis=-1, epsilon=epsilon)

    def model(self, inputs: Sequence[str], output: str, width: int) -> Model:
        from onnx import TensorProto, helper

        tokens = [helper.make_tensor_value_info(name, TensorProto.INT32, [1, "tokens"]) for name in inputs]
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, width])
        return Model(helper.make_graph(self.nodes, "bert", tokens, [result]), self.weights)


Linear = Callable[[Builder, str, Array, Array, str], str]  # input, weights as torch keeps them, bias, output


def exact(builder: Builder, x: str, matrix: Array, bias: Array, output: str) -> str:
    product = builder.add("MatMul", [x, builder.weight(output + ".weight", matrix.T)], output + ".product")
    return builder.add("Add", [product, builder.weight(output + ".bias", bias)], output)


def blocks(builder: Builder, x: str, matrix: Array, bias: Array, output: str) -> str:
    """Eight bits a weight with a scale for each block of them, and for each block of a token's input likewise."""
    outputs, inputs = matrix.shape
    parts = matrix.reshape(outputs, inputs // BLOCK, BLOCK)
    scales = np.maximum(np.abs(parts).max(axis=2) / 127, 1e-12).astype(np.float32)
    whole = (np.rint(parts / scales[..., None]) + 128).astype(np.uint8)
    names = [x, builder.weight(output + ".weight", whole), builder.weight(output + ".scales", scales)]
    names += ["", "", builder.weight(output + ".bias", bias)]
    sizes = {"K": inputs, "N": outputs, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
    return builder.add("MatMulNBits", names, output, MICROSOFT, **sizes)


def rows(builder: Builder, x: str, matrix: Array, bias: Array, output: str) -> str:
    """Seven bits a weight with a scale for each output, one scale for the whole input.

    Nearly twice as fast as `blocks`. Seven, as CPUs without VNNI add two products in sixteen bits: eight would overflow.
    """
    scales = np.maximum(np.abs(matrix).max(axis=1) / 63, 1e-12).astype(np.float32)
    whole = np.rint(matrix.T / scales).astype(np.int8)
    names = [x, builder.weight(output + ".weight", whole), builder.weight(output + ".scales", scales)]
    names += [builder.weight(output + ".zeros", np.zeros_like(scales, np.int8)), builder.weight(output + ".bias", bias)]
    return builder.add("DynamicQuantizeMatMul", names, output, MICROSOFT)


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


def to_onnx(model: Model, *, beside: bool = False) -> onnx.ModelProto:
    """The model as one piece; with `beside`, its larger weights are only named in it."""
    import onnx
    from onnx import helper, numpy_helper

    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    for name, array in model.weights.items():
        if not (beside and _large(array)):
            graph.initializer.append(numpy_helper.from_array(array, name))
            continue
        tensor = graph.initializer.add(name=name, dims=array.shape, data_location=onnx.TensorProto.EXTERNAL)
        tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor.external_data.add(key="location", value="memory")
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _large(array: Array) -> bool:
    return array.size >= 1024  # shape inference reads the small ones


def open_session(model: Model | Path) -> onnxruntime.InferenceSession:
    """A session for `run_each`. The weights of a `Model` stay where they are."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # More would undo the parting of additions and norms.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    source: str | bytes = str(model)
    held = {}
    if isinstance(model, Model):
        held = {n: onnxruntime.OrtValue.ortvalue_from_numpy(a) for n, a in model.weights.items() if _large(a)}
        options.add_external_initializers(list(held), list(held.values()))
        source = to_onnx(model, beside=True).SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    session.held = held  # onnxruntime reads them but does not keep them alive
    return session


def run_each(
    session: onnxruntime.InferenceSession, inputs: Sequence[Mapping[str, Sequence[int]]], threads: int
) -> Vectors:
    """The result of each input, in order; the longest go first, so that no thread is left with one at the end."""

    def run(place: int) -> Array:
        feed = {name: np.array([values], np.int32) for name, values in inputs[place].items()}
        result: Array = session.run(None, feed)[0][0]
        return result

    order = sorted(range(len(inputs)), key=lambda place: -len(inputs[place]["ids"]))
    results = np.empty((len(inputs), session.get_outputs()[0].shape[1]), np.float32)
    if threads == 1 or len(order) < 2:
        for place in order:
            results[place] = run(place)
        return results
    with ThreadPoolExecutor(min(threads, len(order))) as pool:
        for place, result in zip(order, pool.map(run, order), strict=True):
            results[place] = result
    return results


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
