"""A local Llama in this process, through transformers: a base model, a LoRA adapter's folder, or a merged model.

    footnote ask "…" --model llama:PATH

In 4 bit (NF4) where there are a GPU and bitsandbytes, else as the weights are stored. Decoding is greedy and
constrained, so that every footnote is one of the context (see `constrain.py`).
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from assistant.prompts import Fitted, Message, fit, is_not_in_guides, messages
from assistant.records import Cite, Request, Stop, Text, said_by
from assistant.writers.constrain import Grammar, Marks, Picker, Vocabulary, decode
from ingest.errors import WriterError

# Loads a Llama's weights, tokenizer and vocabulary from a folder: a base, a LoRA adapter or a merged model.

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
        raise WriterError(f"{folder} cannot be loaded as a Llama: {said_by(error)}") from error


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


# Llama 3.1's template writes today's date unless it is told one: an answer must not depend on the day.
DATE = "26 Jul 2024"
# For a tokenizer without a template of its own. Serving and training both come through `render`.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '### ' + message['role'] + '\\n' + message['content'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant\\n' }}{% endif %}"
)


class Llama:
    """`write` streams one answer, `write_batch` gives several at once. The model is loaded when it is first needed."""

    def __init__(self, path: str | Path, *, max_new_tokens: int = 512, quantise: Quantise = "auto") -> None:
        self.name = f"llama:{path}"
        self._path, self._max_new_tokens, self._quantise = Path(path).expanduser(), max_new_tokens, quantise

    def prompt(self, request: Request) -> str:
        """What the model reads, byte for byte."""
        loaded = self._loaded()
        return render(loaded.tokenizer, messages(self._fitted(request, loaded).request))

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        loaded = self._loaded()
        answer = _Answer(self._fitted(request, loaded), loaded)
        started = time.perf_counter()
        broken = ""
        try:
            for _ in self._steps([answer], loaded):
                yield from answer.news()
        except RuntimeError as error:  # torch's, out of memory above all
            broken = f"{self.name} broke off: {said_by(error)}"
            if not answer.begun:
                raise WriterError(broken) from error
        yield from answer.rest()
        stop = answer.stop(time.perf_counter() - started)
        yield Stop("cut", stop.usage, broken) if broken else stop

    def write_batch(self, requests: Sequence[Request]) -> list[list[Text | Cite | Stop]]:
        """The events of each request. Their tokens are worked out together; the seconds of all count for each."""
        loaded = self._loaded()
        answers = [_Answer(self._fitted(request, loaded), loaded) for request in requests]
        started = time.perf_counter()
        for _ in self._steps(answers, loaded):
            pass
        seconds = time.perf_counter() - started
        return [[*answer.news(), *answer.rest(), answer.stop(seconds)] for answer in answers]

    def _loaded(self) -> Loaded:
        return load(self._path, self._quantise)

    def _fitted(self, request: Request, loaded: Loaded) -> Fitted:
        def count(prompt: str) -> int:
            return len(loaded.tokenizer(prompt, add_special_tokens=False)["input_ids"])

        template = count(render(loaded.tokenizer, [{"role": "system", "content": ""}, {"role": "user", "content": ""}]))
        return fit(request, max(1, loaded.room - self._max_new_tokens - template - 8), count)

    def _steps(self, answers: Sequence[_Answer], loaded: Loaded) -> Iterator[None]:
        """One token for each answer a step. The model is held for a step only, so that several users take turns."""
        import torch

        pad = min(loaded.vocabulary.ends)
        longest = max((len(answer.prompt) for answer in answers), default=0)
        rows = [[pad] * (longest - len(answer.prompt)) + answer.prompt for answer in answers]
        device = loaded.model.device
        tokens = torch.tensor(rows, device=device)
        mask = torch.tensor([[0] * (longest - len(a.prompt)) + [1] * len(a.prompt) for a in answers], device=device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        past = None
        for _ in range(self._max_new_tokens if answers else 0):
            with loaded.lock, torch.inference_mode():
                out = loaded.model(
                    input_ids=tokens,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=past,
                    use_cache=True,
                    logits_to_keep=1,
                )
                scores = out.logits[:, -1].float()
                picked = [pad if a.over else a.take(scores[row]) for row, a in enumerate(answers)]
            yield
            if all(answer.over for answer in answers):
                return
            past = out.past_key_values
            tokens = torch.tensor(picked, device=device)[:, None]
            mask = torch.cat([mask, mask.new_ones(len(answers), 1)], dim=1)
            positions = positions[:, -1:] + 1


class _Answer:
    """One answer as it is written."""

    def __init__(self, fitted: Fitted, loaded: Loaded) -> None:
        passages = fitted.request.passages
        self.prompt = encode(loaded.tokenizer, messages(fitted.request))
        self.over = False
        self._loaded, self._left_out = loaded, fitted.cut
        self._picker, self._marks = Picker(Grammar(passages), loaded.vocabulary), Marks(passages)
        self._tokens: list[int] = []
        self._read = 0  # tokens whose text was handed on
        self._text = ""

    @property
    def begun(self) -> bool:
        return bool(self._tokens)

    def take(self, scores: Any) -> int:
        token = self._picker.pick(scores)
        self.over = token in self._loaded.vocabulary.ends
        if not self.over:
            self._tokens.append(token)
        return token

    def news(self, everything: bool = False) -> Iterator[Text | Cite]:
        """What has become certain. Half a character waits for its other half."""
        vocabulary, fresh = self._loaded.vocabulary, self._tokens[self._read :]
        text = decode(self._loaded.tokenizer, [*vocabulary.before, *fresh])[len(vocabulary.prefix) :]
        if not text or (text.endswith("\ufffd") and not everything and len(fresh) < 8):
            return
        self._read = len(self._tokens)
        text = text if self._text else text.lstrip()
        self._text += text
        yield from self._marks.feed(text)

    def rest(self) -> Iterator[Text | Cite]:
        yield from self.news(everything=True)
        yield from self._marks.finish()

    def stop(self, seconds: float) -> Stop:
        usage: dict[str, int | float] = {
            "input_tokens": len(self.prompt),
            "output_tokens": len(self._tokens),
            "tokens_per_second": round(len(self._tokens) / max(seconds, 1e-9), 1),
        }
        if not self.over:
            return Stop("max_tokens", usage, f"the answer was cut after {len(self._tokens)} tokens")
        return Stop("not_in_guides" if is_not_in_guides(self._text) else "end", usage, "; ".join(self._left_out))


def render(tokenizer: Any, said: Sequence[Message], answer: bool = True) -> str:
    """The conversation in the model's own template; with `answer`, up to where the assistant begins."""
    marks = [token for token in tokenizer.get_added_vocab() if len(token) > 1]
    plain = [{**message, "content": _unmarked(str(message["content"]), marks)} for message in said]
    template = None if tokenizer.chat_template else TEMPLATE
    return str(
        tokenizer.apply_chat_template(
            plain, chat_template=template, tokenize=False, add_generation_prompt=answer, date_string=DATE
        )
    )


def encode(tokenizer: Any, said: Sequence[Message]) -> list[int]:
    """The template writes the special tokens itself."""
    return list(tokenizer(render(tokenizer, said), add_special_tokens=False)["input_ids"])


def _unmarked(text: str, marks: Sequence[str]) -> str:
    """A blank inside whatever the tokenizer would take for one of its special tokens: it could forge a turn."""
    for mark in marks:
        if mark.strip() and not mark.isspace():
            text = text.replace(mark, f"{mark[0]} {mark[1:]}")
    return text
