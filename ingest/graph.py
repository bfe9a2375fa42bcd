"""An onnxruntime graph, built node by node with its weights beside it: no torch, no export, no file to cache.

One text goes through at a time, on one thread, and as many side by side as there are cores: nothing is padded or
masked, and a text's result never depends on what else is asked for.
"""

from __future__ import annotations

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
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **attributes))
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
        return Model(helper.make_graph(self.nodes, "texts", tokens, [result]), self.weights)


# builder, input, weights as torch keeps them, bias, output
Linear = Callable[[Builder, str, Array, Array, str], str]


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

    Faster than `blocks` and less exact. Seven, as CPUs without VNNI add two products in sixteen bits: eight overflow.
    """
    scales = np.maximum(np.abs(matrix).max(axis=1) / 63, 1e-12).astype(np.float32)
    whole = np.rint(matrix.T / scales).astype(np.int8)
    names = [x, builder.weight(output + ".weight", whole), builder.weight(output + ".scales", scales)]
    names += [builder.weight(output + ".zeros", np.zeros_like(scales, np.int8)), builder.weight(output + ".bias", bias)]
    return builder.add("DynamicQuantizeMatMul", names, output, MICROSOFT)


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
