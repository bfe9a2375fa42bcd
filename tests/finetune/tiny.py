"""A small world to train in: two short guides, their training conversations, and a Llama of two layers.

The conversations come from `finetune.dataset` as they do for a large library. The tokenizer is learned from them, the
Llama has random weights; what it answers after training it can only have learned there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assistant.prompts import SYSTEM
from assistant.records import Cite, Stop, Text
from assistant.writers.constrain import parse
from assistant.writers.llama import Quantise
from finetune.dataset import Maker
from finetune.phrasing import Example
from finetune.recipe import Recipe
from ingest.library import Library
from ingest.sync import sync

GUIDES = {
    "dropout.md": "# Dropout\n\nDropout is a way to lower overfitting. It switches off half of the units.\n",
    "bagging.md": "# Bagging\n\nBagging is a vote of many trees. Each tree sees other rows.\n",
    "schedules.md": """# Schedules

| Schedule | Rate |
|---|---|
| Cosine | 0.3 |
| Linear | 0.2 |
| Stepwise | 0.7 |
""",
    "limits.md": """# Limits

| Limit | Meaning |
|---|---|
| Depth | How tall a tree grows |
| Leaves | How many ends it has |
""",
    "steps.md": "# Steps\n\nA run has three steps:\n\n- Read the rows.\n- Fit the weights.\n- Keep the best.\n",
    "forest.md": "# Forest\n\n## A forest in code\n\n```python\n# grow ten trees\nforest = Forest(trees=10)\n```\n",
}
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start|>' + message['role'] + '<|body|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant<|body|>' }}{% endif %}"
)
SHORT: dict[str, Any] = {"steps": 12, "evaluate_every": 5, "dropout": 0.05}  # stopped in the middle of an epoch
SPECIAL = ["<|begin|>", "<|end|>", "<|pad|>", "<|start|>", "<|body|>"]


def library(folder: Path) -> Library:
    (folder / "guides").mkdir(parents=True)
    for name, text in GUIDES.items():
        (folder / "guides" / name).write_text(text)
    sync([folder / "guides"], folder / "library")
    return Library(folder / "library")


def examples(known: Library, most: int = 24) -> list[Example]:
    """One for each question, since the same prompt with two answers cannot be learned; at most five of a kind."""
    made = Maker(known, None, passages=2, rerank=False, seed=0).make(80, lambda done, total: None)
    found: list[Example] = []
    for example in made:
        known_question = any(example.question.lower().strip("?. ") == e.question.lower().strip("?. ") for e in found)
        if not known_question and sum(e.kind == example.kind for e in found) < 5:
            found.append(example)
    return found[:most]


def data(folder: Path, found: Sequence[Example]) -> Path:
    """As `footnote finetune dataset` lays it out; evaluated on what is taught, since learning is what is shown."""
    folder.mkdir(parents=True)
    for part, rows in (("train", found), ("eval", found[:6])):
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(example.to_json()) + "\n" for example in rows))
    return folder


def llama(folder: Path, found: Sequence[Example], seed: int = 0, room: int = 1024) -> Path:
    """Random weights, and a tokenizer for which the long system prompt is few tokens, so that a step takes no time."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    words = rf"{re.escape(SYSTEM)}|'s| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+"
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1600,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [str(message["content"]) for example in found for message in example.prompt]
    bpe.train_from_iterator([*texts, *(example.answer for example in found)], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|begin|>",
        eos_token="<|end|>",
        pad_token="<|pad|>",
        extra_special_tokens=SPECIAL[3:],
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=room,
        initializer_range=0.2,  # wider than is usual, or adapters this small cannot turn the frozen weights
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    _on_the_nf4_grid(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _on_the_nf4_grid(model: Any) -> None:
    """Weights that four bits hold exactly. What rounding does to so small a model would hide whether it has learned."""
    import torch
    from bitsandbytes.functional import get_4bit_type

    values = get_4bit_type("nf4", device="cpu")
    for name, weight in model.named_parameters():
        if name.endswith("_proj.weight"):
            drawn = values[torch.randint(16, weight.shape)].reshape(-1, 64)  # 64 weights share a scale
            drawn[:, 0] = 1.0  # so that each 64 have the same one
            weight.data = (0.4 * drawn).reshape(weight.shape)


@contextmanager
def one_thread() -> Iterator[None]:
    """Matrices this small are slower on several threads, much slower where others want the cores too."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def recipe(base: Path, data: Path, out: Path) -> Recipe:
    """Adapters wide enough that they can turn weights which know nothing."""
    return Recipe(
        base=str(base),
        data=data,
        out=out,
        rank=64,
        alpha=128,
        targets=("all-linear",),
        dropout=0.0,
        learning_rate=3e-3,
        batch=8,
        accumulate=1,
        steps=60,  # with fewer, one of six seeds still gave a list without its items
        checkpointing=False,
        evaluate_every=30,
        sample=2,
    )


def learned(model: Path, found: Sequence[Example], quantise: Quantise = "auto") -> float:
    """The share of the examples that the model, asked as in serving, answers word for word and with the same ids."""
    from assistant.writers.llama import Llama

    writer = Llama(model, max_new_tokens=100, quantise=quantise)  # the longest of the answers has 40
    written = writer.write_batch([example.request for example in found])
    right = [
        _said(events) == _said(parse([e.answer], e.request.passages)) for e, events in zip(found, written, strict=True)
    ]
    return sum(right) / len(right)


def leads(folder: Path, data: Path, pairs: Sequence[Mapping[str, Any]]) -> list[float]:
    """By how much more likely a model finds the better answer of each pair than the worse, in logarithms."""
    import torch

    from assistant.writers.llama import load
    from finetune.recipe import conversations, encoded

    loaded, rows = load(folder), conversations(data / "train.jsonl")

    def likely(answer: str, line: int) -> float:
        said = {**rows[line], "completion": [{"role": "assistant", "content": answer}]}
        example = encoded(loaded.tokenizer, said, loaded.vocabulary.ends)
        ids, first = torch.tensor([example.input_ids]), len(example.prompt)
        with torch.inference_mode():
            logs = torch.log_softmax(loaded.model(input_ids=ids).logits[0, first - 1 : -1].float(), dim=-1)
        return float(logs.gather(1, ids[0, first:, None]).sum())

    return [likely(pair["chosen"], pair["line"]) - likely(pair["rejected"], pair["line"]) for pair in pairs]


def _said(events: Iterable[Text | Cite | Stop]) -> tuple[str, list[tuple[tuple[int, int], ...]]]:
    kept = list(events)
    text = "".join(event.text for event in kept if isinstance(event, Text)).strip()
    return text, [event.units for event in kept if isinstance(event, Cite)]


if __name__ == "__main__":  # a run in a process of its own, so that a test can kill it
    import sys
    from dataclasses import replace

    from finetune.train import train

    with one_thread():
        train(replace(recipe(*map(Path, sys.argv[1:])), **SHORT))
