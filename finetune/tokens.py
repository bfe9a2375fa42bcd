"""A training conversation as tokens, by the very functions with which a local Llama is asked."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.writers.llama import DATE, TEMPLATE, encode, render
from ingest.errors import FootnoteError

Conversation = Mapping[str, Sequence[Mapping[str, Any]]]  # {"prompt": [messages], "completion": [messages]}


@dataclass(frozen=True, slots=True)
class Encoded:
    """`completion_mask` is 1 where the model is taught: on the answer and the token that ends it."""

    input_ids: list[int]
    completion_mask: list[int]

    @property
    def prompt(self) -> list[int]:
        return self.input_ids[: self.completion_mask.index(1)]

    @property
    def completion(self) -> list[int]:
        return self.input_ids[self.completion_mask.index(1) :]


def conversations(file: Path) -> list[Conversation]:
    """What `footnote finetune dataset` wrote, or anything else of that form."""
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise FootnoteError(f"there is no {file}: footnote finetune dataset --out {file.parent}") from error
    except ValueError as error:
        raise FootnoteError(f"{file} is damaged ({error}): footnote finetune dataset --out {file.parent}") from error
    for number, row in enumerate(rows, 1):
        if not (isinstance(row, dict) and row.get("prompt") and row.get("completion")):
            raise FootnoteError(f"line {number} of {file} has no prompt and completion: footnote finetune dataset")
    return rows


def encoded(tokenizer: Any, conversation: Conversation, ends: Collection[int]) -> Encoded:
    """Prompt as serving has it, then the answer, up to and with the token that ends it."""
    said = [dict(message) for message in conversation["prompt"]]
    before = render(tokenizer, said)
    whole = render(tokenizer, [*said, *(dict(m) for m in conversation["completion"])], answer=False)
    if not whole.startswith(before):
        raise FootnoteError(
            "the base model's chat template writes a prompt otherwise once it is answered, so that training would not"
            " match serving: take another base, or mend its chat_template"
        )
    prompt = encode(tokenizer, said)
    answer = list(tokenizer(whole[len(before) :], add_special_tokens=False)["input_ids"])
    last = max((i for i, token in enumerate(answer) if token in ends), default=-1)
    answer = answer[: last + 1] if last >= 0 else [*answer, tokenizer.eos_token_id]
    return Encoded([*prompt, *answer], [0] * len(prompt) + [1] * len(answer))


def ends_of(base: str, tokenizer: Any) -> frozenset[int]:
    """All tokens that end an answer, as the model's own generation config has them."""
    from transformers import GenerationConfig

    try:
        named = GenerationConfig.from_pretrained(base).eos_token_id
    except OSError:
        named = None
    listed = named if isinstance(named, list) else [named]
    ends = frozenset(token for token in (*listed, tokenizer.eos_token_id) if token is not None)
    if not ends:
        raise FootnoteError(f"the tokenizer of {base} has no token that ends an answer: give it an eos_token")
    return ends


def with_template(tokenizer: Any) -> Any:
    """The tokenizer with the template that it was trained with, today's date taken out of it."""
    template, fixed = tokenizer.chat_template or TEMPLATE, "{%- set date_string = '" + DATE + "' -%}"
    if "date_string" in template and not template.startswith(fixed):
        template = fixed + template
    tokenizer.chat_template = template
    return tokenizer
