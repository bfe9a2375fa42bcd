"""Loads a Llama's weights, tokenizer and vocabulary from a folder: a base, a LoRA adapter or a merged model."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from assistant.plain import neutralise
from assistant.writers.constrain import Vocabulary
from ingest.errors import WriterError

Quantise = Literal["auto", "nf4", "none"]

_LOADING = threading.Lock()


@dataclass(frozen=True)
class Loaded:
    model: Any
    tokenizer: Any
    vocabulary: Vocabulary
    room: int  # tokens of context
    lock: threading.Lock = field(default_factory=threading.Lock)


def load(folder: Path, quantise: Quantise = "auto") -> Loaded:
    """The one that was loaded last stays in memory, and is loaded once however many threads ask for it."""
    with _LOADING:
        return _load_once(folder, quantise)


def one_line(error: Exception) -> str:
    return neutralise(" ".join(str(error).split()))[:200]


@contextmanager
def quiet() -> Iterator[None]:
    """Without what the libraries tell one another's developers, and without their bars where nobody watches."""
    from transformers.utils.logging import disable_progress_bar

    if not sys.stderr.isatty():
        disable_progress_bar()  # type: ignore[no-untyped-call]
    logger = logging.getLogger("bitsandbytes")  # which advises a kernel from the network
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(before)


@lru_cache(maxsize=1)
def _load_once(folder: Path, quantise: Quantise) -> Loaded:
    if not folder.is_dir():
        raise WriterError(
            f"there is no model folder {folder}: --model llama:PATH takes a base, adapter or merged model"
        )
    try:
        import transformers
    except ImportError as error:
        raise WriterError("a local Llama needs more packages: pip install 'footnote[llama]'") from error
    try:
        with quiet():
            return _load(folder, quantise, transformers)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise WriterError(f"{folder} cannot be loaded as a Llama: {one_line(error)}") from error


def _load(folder: Path, quantise: Quantise, transformers: Any) -> Loaded:
    adapter = folder / "adapter_config.json"
    base = str(json.loads(adapter.read_text("utf-8"))["base_model_name_or_path"]) if adapter.exists() else str(folder)
    named = folder if (folder / "tokenizer_config.json").exists() else base
    tokenizer = transformers.AutoTokenizer.from_pretrained(named, local_files_only=True)
    how = _how(quantise, transformers)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, local_files_only=True, **how)
    if adapter.exists():
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(folder))
        model = model if "quantization_config" in how else model.merge_and_unload()
    model.eval()
    ends = _ends(model, tokenizer)
    vocabulary = Vocabulary.of(tokenizer, model.get_input_embeddings().num_embeddings, ends)
    return Loaded(model, tokenizer, vocabulary, int(getattr(model.config, "max_position_embeddings", 4096)))


def _how(quantise: Quantise, transformers: Any) -> dict[str, Any]:
    """4 bit needs bitsandbytes; on a CPU it works, slowly, and only if asked for."""
    from importlib.util import find_spec

    import torch

    gpu = torch.cuda.is_available()
    place = {"device_map": {"": 0}} if gpu else {}
    if quantise == "none" or (quantise == "auto" and not (gpu and find_spec("bitsandbytes"))):
        return {"dtype": torch.bfloat16 if gpu else "auto", **place}
    nf4 = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": nf4, "dtype": torch.bfloat16, **place}


def _ends(model: Any, tokenizer: Any) -> set[int]:
    """All tokens that end an answer: Llama 3's instruct models have several."""
    named = getattr(model.generation_config, "eos_token_id", None)
    listed = named if isinstance(named, list) else [named]
    ends = {token for token in (*listed, tokenizer.eos_token_id) if token is not None}
    if not ends:
        raise ValueError("its tokenizer has no token that ends an answer (eos_token)")
    return ends
