"""A local Llama in this process, through transformers: a base model, a LoRA adapter's folder, or a merged model.

    footnote ask "…" --model llama:PATH

In 4 bit (NF4) where there are a GPU and bitsandbytes, else as the weights are stored. Decoding is greedy and
constrained, so that every footnote is one of the context (see `constrain.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assistant.prompts import Fitted, Message, fit, is_not_in_guides, messages
from assistant.writers import Cite, Request, Stop, Text
from assistant.writers.constrain import Picker, decode
from assistant.writers.grammar import Grammar
from assistant.writers.marks import Marks
from assistant.writers.weights import Loaded, Quantise, load, one_line
from ingest.errors import WriterError

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
            broken = f"{self.name} broke off: {one_line(error)}"
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
