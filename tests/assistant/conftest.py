"""What the tests of the assistant share: a server on loopback, and two passages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.records import Passage, Request
from ingest.chunks import Unit
from tests.assistant.loopback import Loopback, serving


def passage(document: str, section: str, *sentences: str) -> Passage:
    units, start = [], 0
    for sentence in sentences:
        units.append(Unit(start, start + len(sentence), "sentence"))
        start += len(sentence) + 1
    return Passage(
        document, document.removesuffix(".md"), section, 0, start - 1, " ".join(sentences), 0.9, tuple(units)
    )


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with serving() as server:
        yield server


@pytest.fixture
def request_() -> Request:
    dropout = passage("dropout.md", "Why", "Dropout lowers overfitting.", "It drops half of the units.")
    boosting = passage("boosting.md", "When", "Boosting wins on tables.", "Deep nets win on images.")
    return Request("Why does dropout help?", (dropout, boosting))


SENTENCES = (
    "Dropout lowers overfitting. It drops half of the units [1.1].",
    "Boosting wins on tables, e.g. with 12 trees; deep nets win on images [2.2].",
    "```python\nmodel.fit(X[0], y)\n```\n[1.2] Use `fit()` first: 1. Train 2. Test!",
    "This is not in the guides.",
    "Why? “Because” it learns – from data (naïve) … [10.3][4.12]",
)
LLAMA_3 = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def tiny_tokenizer(template: str | None = LLAMA_3) -> Any:
    """Byte-level BPE, learned from a few sentences, with Llama 3's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|pad|>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(SENTENCES * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=special[0], eos_token=special[1], pad_token=special[4]
    )
    tokenizer.add_special_tokens({"additional_special_tokens": special[2:4]})
    tokenizer.chat_template = template
    return tokenizer


def tiny_llama(folder: Path, seed: int = 0, template: str | None = LLAMA_3, room: int = 4096) -> Path:
    """A Llama of two layers with random weights, large enough that it wants to say something else at each step."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer(template)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + 8,  # rounded up, as real ones are
        hidden_size=64,  # 4 bit wants blocks of 64
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=room,
        initializer_range=0.7,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("llama"))
