"""BERT as an onnxruntime graph, built from safetensors weights: no torch, no export, no file to cache.

The operators are onnxruntime's fused ones, which every CPU build has. Weights go in by reference, so opening costs what
reading them costs. Inputs are `ids` (batch × tokens, padded on the right), `lengths`, and for pairs `types`.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
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
NUMPY_TYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1"}


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
        dtype = np.dtype(NUMPY_TYPES[entry["dtype"]])
        flat = np.frombuffer(mapped, dtype, (end - start) // dtype.itemsize, data + start)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


@dataclass(frozen=True, slots=True)
class Model:
    """A graph and, beside it, the weights that it refers to by name."""

    graph: onnx.ModelProto
    weights: Mapping[str, Array]


class Builder:
    """Nodes and weights in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Array] = {}

    def weight(self, name: str, array: Array) -> str:
        self.weights[name] = np.ascontiguousarray(array)
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **attributes))
        return output

    def linear(self, x: str, matrix: Array, output: str) -> str:
        """`matrix` as torch keeps it: outputs × inputs. The bias is left to the fused operator that follows."""
        return self.add("MatMul", [x, self.weight(f"{output}.weight", matrix.T)], output)

    def model(self, inputs: Sequence[str], output: str, width: int) -> Model:
        from onnx import TensorProto, helper

        shapes = {"ids": ["batch", "tokens"], "types": ["batch", "tokens"], "lengths": ["batch"]}
        graph = helper.make_graph(
            self.nodes,
            "bert",
            [helper.make_tensor_value_info(name, TensorProto.INT32, shapes[name]) for name in inputs],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width])],
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(MICROSOFT, 1)]
        return Model(helper.make_model(graph, opset_imports=opsets, ir_version=10), self.weights)


def sentence_model(tensors: Mapping[str, Array], config: Mapping[str, Any]) -> Model:
    """One vector a text: the mean over its tokens, at length 1."""
    builder = Builder()
    hidden = encoder(builder, tensors, config)
    builder.add("LpNormalization", [mean_over_tokens(builder, hidden)], "vector", axis=-1, p=2)
    return builder.model(["ids", "lengths"], "vector", config["hidden_size"])


def encoder(builder: Builder, tensors: Mapping[str, Array], config: Mapping[str, Any]) -> str:
    hidden = embeddings(builder, tensors, config)
    for number in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{number}."
        own = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
        hidden = layer(builder, hidden, own, f"layer{number}.", config)
    return hidden


def embeddings(builder: Builder, tensors: Mapping[str, Array], config: Mapping[str, Any]) -> str:
    """Words + positions + the first segment. Positions carry the segment: a text alone has only one."""
    positions = tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
    inputs = [
        "ids",
        "",
        builder.weight("words", tensors["embeddings.word_embeddings.weight"]),
        builder.weight("positions", positions),
        "",
        builder.weight("embeddings.scale", tensors["embeddings.LayerNorm.weight"]),
        builder.weight("embeddings.shift", tensors["embeddings.LayerNorm.bias"]),
    ]
    from onnx import helper

    outputs = ["embedded", "embedded.mask"]  # onnxruntime insists on both
    epsilon = config["layer_norm_eps"]
    builder.nodes.append(
        helper.make_node("EmbedLayerNormalization", inputs, outputs, domain=MICROSOFT, epsilon=epsilon)
    )
    return "embedded"


def layer(builder: Builder, x: str, own: Mapping[str, Array], name: str, config: Mapping[str, Any]) -> str:
    three = [f"attention.self.{part}" for part in ("query", "key", "value")]
    attention = [
        x,
        builder.weight(name + "qkv", np.concatenate([own[f"{part}.weight"] for part in three]).T),
        builder.weight(name + "qkv.bias", np.concatenate([own[f"{part}.bias"] for part in three])),
        "lengths",
    ]
    heads = config["num_attention_heads"]
    mixed = builder.add("Attention", attention, name + "attention", MICROSOFT, num_heads=heads)
    out = builder.linear(mixed, own["attention.output.dense.weight"], name + "attention.out")
    x = add_and_norm(builder, x, out, own, "attention.output.", name + "middle", config)
    inner = builder.linear(x, own["intermediate.dense.weight"], name + "inner")
    bias = builder.weight(name + "inner.bias", own["intermediate.dense.bias"])
    active = builder.add("BiasGelu", [inner, bias], name + "gelu", MICROSOFT)
    out = builder.linear(active, own["output.dense.weight"], name + "inner.out")
    return add_and_norm(builder, x, out, own, "output.", name + "end", config)


def add_and_norm(
    builder: Builder, x: str, out: str, own: Mapping[str, Array], part: str, name: str, config: Mapping[str, Any]
) -> str:
    inputs = [
        x,
        out,
        builder.weight(name + ".scale", own[part + "LayerNorm.weight"]),
        builder.weight(name + ".shift", own[part + "LayerNorm.bias"]),
        builder.weight(name + ".bias", own[part + "dense.bias"]),
    ]
    return builder.add("SkipLayerNormalization", inputs, name, MICROSOFT, epsilon=config["layer_norm_eps"])


def mean_over_tokens(builder: Builder, hidden: str) -> str:
    """The sum would do where the vector is normalised; the mean serves every head alike."""
    from onnx import TensorProto

    zero, one, axis = (builder.weight(f"int.{name}", array) for name, array in _INTEGERS.items())
    tokens = builder.add("Gather", [builder.add("Shape", ["ids"], "shape"), one], "tokens")
    places = builder.add("Range", [zero, tokens, one], "places64")
    places = builder.add("Cast", [places], "places", to=TensorProto.INT32)
    column = builder.add("Unsqueeze", ["lengths", axis], "lengths.column")
    inside = builder.add("Cast", [builder.add("Less", [places, column], "inside.bool")], "inside", to=TensorProto.FLOAT)
    total = builder.add("MatMul", [builder.add("Unsqueeze", [inside, axis], "inside.row"), hidden], "total.row")
    total = builder.add("Squeeze", [total, axis], "total")
    return builder.add("Div", [total, builder.add("Cast", [column], "count", to=TensorProto.FLOAT)], "mean")


_INTEGERS = {"zero": np.array(0, np.int64), "one": np.array(1, np.int64), "axis1": np.array([1], np.int64)}


def open_session(model: Model, threads: int = 0) -> onnxruntime.InferenceSession:
    """`threads` 0: one for each core. Weights stay where they are; the session holds on to them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    graph, values = _with_references(model)
    options.add_external_initializers(list(values), list(values.values()))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    session.weights = values
    return session


def _with_references(model: Model) -> tuple[onnx.ModelProto, dict[str, onnxruntime.OrtValue]]:
    import onnx
    import onnxruntime
    from onnx import numpy_helper

    graph = onnx.ModelProto()
    graph.CopyFrom(model.graph)
    values = {}
    for name, array in model.weights.items():
        if array.size < 1024:  # shape inference reads the small ones
            graph.graph.initializer.append(numpy_helper.from_array(array, name))
            continue
        tensor = graph.graph.initializer.add(name=name, dims=array.shape, data_location=onnx.TensorProto.EXTERNAL)
        tensor.data_type = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor.external_data.add(key="location", value="memory")
        values[name] = onnxruntime.OrtValue.ortvalue_from_numpy(array)
    return graph, values
