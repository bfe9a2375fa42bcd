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
from functools import cached_property, lru_cache
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

    @cached_property
    def together(self) -> Together:
        """What is being written with it, by however many users."""
        return Together(self.model, min(self.vocabulary.ends), self.lock)


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
        answer = _Answer(self._fitted(request, loaded), loaded, self._max_new_tokens)
        started = time.perf_counter()
        with loaded.together.joined([answer]):
            while not answer.done:
                loaded.together.advance(answer)
                yield from answer.news()
        if answer.broken and not answer.begun:
            raise WriterError(f"{self.name} broke off: {answer.broken}")
        yield from answer.rest()
        yield answer.stop(self.name, time.perf_counter() - started)

    def write_batch(self, requests: Sequence[Request]) -> list[list[Text | Cite | Stop]]:
        """The events of each request. Their tokens are worked out together; the seconds of all count for each."""
        loaded = self._loaded()
        answers = [_Answer(self._fitted(request, loaded), loaded, self._max_new_tokens) for request in requests]
        started = time.perf_counter()
        with loaded.together.joined(answers):
            for answer in answers:
                while not answer.done:
                    loaded.together.advance(answer)
        seconds = time.perf_counter() - started
        if broken := [answer for answer in answers if answer.broken]:
            raise WriterError(f"{self.name} broke off: {broken[0].broken}")
        return [[*answer.rest(), answer.stop(self.name, seconds)] for answer in answers]

    def reply(self, system: str, text: str) -> str:
        """What the model says to something else than a `Request`, written freely."""
        import torch

        loaded = self._loaded()
        said = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        prompt = torch.tensor([encode(loaded.tokenizer, said)], device=loaded.model.device)
        with loaded.lock, torch.inference_mode():
            tokens = loaded.model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=self._max_new_tokens,
                do_sample=False,
                eos_token_id=sorted(loaded.vocabulary.ends),
                pad_token_id=min(loaded.vocabulary.ends),
            )[0][prompt.shape[1] :].tolist()
        return decode(loaded.tokenizer, [token for token in tokens if token not in loaded.vocabulary.ends])

    def _loaded(self) -> Loaded:
        return load(self._path, self._quantise)

    def _fitted(self, request: Request, loaded: Loaded) -> Fitted:
        def count(prompt: str) -> int:
            return len(loaded.tokenizer(prompt, add_special_tokens=False)["input_ids"])

        template = count(render(loaded.tokenizer, [{"role": "system", "content": ""}, {"role": "user", "content": ""}]))
        return fit(request, max(1, loaded.room - self._max_new_tokens - template - 8), count)


MOST_AT_ONCE = 16  # answers whose tokens are worked out together; others wait for one of them to end


class Together:
    """The answers that several users wait for, written at once: a step works out the next token of each.

    There is no thread of its own. Whoever needs a token and finds none makes the step for all; those who join are read
    first, those who are done leave, in the midst of the others' answers.
    """

    def __init__(self, model: Any, pad: int, lock: threading.Lock) -> None:
        self._model, self._pad, self._lock = model, pad, lock
        self._waiting: list[_Answer] = []
        self._rows: list[_Answer] = []
        self._past: Any = None  # keys and values of the rows, filled up on the left
        self._mask: Any = None

    @contextmanager
    def joined(self, answers: Sequence[_Answer]) -> Iterator[None]:
        with self._lock:
            self._waiting += answers
        try:
            yield
        finally:  # also where whoever reads has gone
            with self._lock:
                for answer in answers:
                    answer.gone = True
                self._waiting = [answer for answer in self._waiting if not answer.gone]
                self._let_go()

    def advance(self, answer: _Answer) -> None:
        """One more token for this answer, unless another's step has brought one already."""
        had = answer.taken
        with self._lock:
            if answer.taken > had or answer.done:
                return
            try:
                self._step()
            except RuntimeError as error:  # torch's, out of memory above all: it is everybody's
                for other in (*self._rows, *self._waiting):
                    other.broken = said_by(error)
                self._rows, self._waiting, self._past, self._mask = [], [], None, None

    def _step(self) -> None:
        import torch

        self._let_go()
        fresh, self._waiting = self._split(MOST_AT_ONCE - len(self._rows))
        with torch.inference_mode():
            if fresh:
                self._admit(fresh)
            else:
                self._decode()

    def _split(self, room: int) -> tuple[list[_Answer], list[_Answer]]:
        return self._waiting[:room], self._waiting[room:]

    def _let_go(self) -> None:
        """Rows that are done, and the filling that is then on the left of all."""
        kept = [i for i, row in enumerate(self._rows) if not (row.done or row.gone)]
        if len(kept) == len(self._rows):
            return
        self._rows = [self._rows[i] for i in kept]
        if not kept:
            self._past = self._mask = None
            return
        mask = self._mask[kept]
        spare = int(mask.sum(-1).max())
        self._mask = mask[:, -spare:]
        for layer in self._past.layers:
            layer.keys, layer.values = layer.keys[kept, :, -spare:], layer.values[kept, :, -spare:]

    def _admit(self, fresh: list[_Answer]) -> None:
        """Their prompts are read, and their first tokens picked."""
        import torch

        longest = max(len(answer.prompt) for answer in fresh)
        device = self._model.device
        filled = [[self._pad] * (longest - len(answer.prompt)) + answer.prompt for answer in fresh]
        mask = torch.tensor([[0] * (longest - len(a.prompt)) + [1] * len(a.prompt) for a in fresh], device=device)
        past = self._forward(fresh, torch.tensor(filled, device=device), mask, None)
        if self._past is None:
            self._past, self._mask = past, mask
        else:
            width = max(mask.shape[1], self._mask.shape[1])
            self._mask = torch.cat([_filled(self._mask, width, -1), _filled(mask, width, -1)])
            for layer, other in zip(self._past.layers, past.layers, strict=True):
                for name in ("keys", "values"):
                    both = [_filled(getattr(each, name), width, -2) for each in (layer, other)]
                    setattr(layer, name, torch.cat(both))
        self._rows += fresh

    def _decode(self) -> None:
        import torch

        if not self._rows:
            return
        tokens = torch.tensor([[row.last] for row in self._rows], device=self._model.device)
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._rows), 1)], dim=1)
        self._past = self._forward(self._rows, tokens, self._mask, self._past)

    def _forward(self, rows: Sequence[_Answer], tokens: Any, mask: Any, past: Any) -> Any:
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
        out = self._model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=past,
            use_cache=True,
            logits_to_keep=1,
        )
        for scores, row in zip(out.logits[:, -1].float(), rows, strict=True):
            row.take(scores)
        return out.past_key_values


def _filled(tensor: Any, width: int, dim: int) -> Any:
    """With zeros on the left of one of its last dimensions."""
    from torch.nn.functional import pad

    return pad(tensor, (0, 0) * (-1 - dim) + (width - tensor.shape[dim], 0))


class _Answer:
    """One answer as it is written."""

    def __init__(self, fitted: Fitted, loaded: Loaded, most: int) -> None:
        passages = fitted.request.passages
        self.prompt = encode(loaded.tokenizer, messages(fitted.request))
        self.over = False  # the model has ended it
        self.gone = False  # nobody waits for it any more
        self.broken = ""  # what has made an end of it
        self.last, self.taken = 0, 0  # token, and how many steps were made
        self._most, self._loaded, self._left_out = most, loaded, fitted.cut
        self._picker, self._marks = Picker(Grammar(passages), loaded.vocabulary), Marks(passages)
        self._tokens: list[int] = []
        self._looked = self._read = 0  # tokens that were looked at, and those of them whose text was handed on
        self._text = ""

    @property
    def begun(self) -> bool:
        return bool(self._tokens)

    @property
    def done(self) -> bool:
        return self.over or bool(self.broken) or self.taken >= self._most

    def take(self, scores: Any) -> None:
        self.last = self._picker.pick(scores)
        self.over = self.last in self._loaded.vocabulary.ends
        if not self.over:
            self._tokens.append(self.last)
        self.taken += 1

    def news(self) -> Iterator[Text | Cite]:
        """What has become certain, token by token, however many have come at once."""
        for upto in range(self._looked + 1, len(self._tokens) + 1):
            self._looked = upto
            yield from self._reading(upto)

    def rest(self) -> Iterator[Text | Cite]:
        yield from self.news()
        yield from self._reading(len(self._tokens), everything=True)
        yield from self._marks.finish()

    def _reading(self, upto: int, everything: bool = False) -> Iterator[Text | Cite]:
        """Half a character waits for its other half."""
        vocabulary, fresh = self._loaded.vocabulary, self._tokens[self._read : upto]
        text = decode(self._loaded.tokenizer, [*vocabulary.before, *fresh])[len(vocabulary.prefix) :]
        if not text or (text.endswith("\ufffd") and not everything and len(fresh) < 8):
            return
        self._read = upto
        text = text if self._text else text.lstrip()
        self._text += text
        yield from self._marks.feed(text)

    def stop(self, name: str, seconds: float) -> Stop:
        usage: dict[str, int | float] = {
            "input_tokens": len(self.prompt),
            "output_tokens": len(self._tokens),
            "tokens_per_second": round(len(self._tokens) / max(seconds, 1e-9), 1),
        }
        if self.broken:
            return Stop("cut", usage, f"{name} broke off: {self.broken}")
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
