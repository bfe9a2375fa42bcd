from __future__ import annotations

from typing import Any

import pytest

from assistant.prompts import messages
from assistant.writers import Request
from assistant.writers.llama import DATE, TEMPLATE, encode
from finetune.tokens import encoded, with_template
from ingest.errors import FootnoteError
from tests.assistant.conftest import LLAMA_3, tiny_tokenizer

ANSWER = [{"role": "assistant", "content": "Dropout lowers overfitting [1.1]."}]


def conversation(request_: Request) -> dict[str, Any]:
    return {"prompt": messages(request_), "completion": ANSWER}


@pytest.mark.parametrize("template", [LLAMA_3, None])
def test_the_prompt_is_what_serving_asks_and_the_rest_is_the_answer(request_: Request, template: str | None) -> None:
    tokenizer = with_template(tiny_tokenizer(template))
    example = encoded(tokenizer, conversation(request_), {tokenizer.eos_token_id})
    assert example.prompt == encode(tokenizer, messages(request_))
    assert tokenizer.decode(example.completion).replace("\n", "") == "Dropout lowers overfitting [1.1].<|eot_id|>"
    assert example.completion[-1] == tokenizer.eos_token_id
    assert sum(example.completion_mask) == len(example.completion)


def test_what_follows_the_token_that_ends_is_not_taught(request_: Request) -> None:
    tokenizer = tiny_tokenizer(LLAMA_3.replace("'<|eot_id|>'", "'<|eot_id|>\n\n'"))
    example = encoded(tokenizer, conversation(request_), {tokenizer.eos_token_id})
    assert example.completion[-1] == tokenizer.eos_token_id


def test_a_template_without_an_end_gets_one(request_: Request) -> None:
    tokenizer = tiny_tokenizer(LLAMA_3.replace(" + '<|eot_id|>'", ""))
    example = encoded(tokenizer, conversation(request_), {tokenizer.eos_token_id})
    assert example.completion[-1] == tokenizer.eos_token_id


def test_a_template_that_rewrites_the_prompt_is_refused(request_: Request) -> None:
    tokenizer = tiny_tokenizer("{{ messages | length }}" + LLAMA_3)
    with pytest.raises(FootnoteError, match="training would not match serving"):
        encoded(tokenizer, conversation(request_), {tokenizer.eos_token_id})


def test_the_template_that_is_kept_does_not_know_what_day_it_is() -> None:
    dated = "{% if not date_string is defined %}{% set date_string = 'today' %}{% endif %}{{ date_string }}"
    tokenizer = with_template(with_template(tiny_tokenizer(dated)))
    assert tokenizer.apply_chat_template([{"role": "user", "content": "Q"}], tokenize=False) == DATE
    assert tokenizer.chat_template.count(DATE) == 1
    assert with_template(tiny_tokenizer(None)).chat_template == TEMPLATE
