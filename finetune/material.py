"""The training data as tokens, with the base's own tokenizer, and how long it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from finetune import checks
from finetune.recipe import Recipe
from finetune.tokens import Conversation, Encoded, encoded, ends_of, with_template
from ingest.errors import FootnoteError


@dataclass(frozen=True)
class Material:
    """The data as tokens, with the tokenizer and the tokens that end an answer."""

    tokenizer: Any
    ends: frozenset[int]
    train: list[Encoded]
    eval: list[Encoded]
    length: int


def material(recipe: Recipe, rows: Sequence[Conversation], held_out: Sequence[Conversation], room: int) -> Material:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(recipe.base)
    except (OSError, ValueError, KeyError) as error:
        raise FootnoteError(f"{recipe.base} has no tokenizer: --base FOLDER with tokenizer.json in it") from error
    with_template(tokenizer)
    ends = ends_of(recipe.base, tokenizer)
    taught, checked = ([encoded(tokenizer, row, ends) for row in part] for part in (rows, held_out))
    if not taught:
        raise FootnoteError(f"{recipe.data} has no examples: footnote finetune dataset --out {recipe.data}")
    length = checks.lengths([len(e.input_ids) for e in (*taught, *checked)], recipe.max_length, room)
    return Material(tokenizer, ends, taught, checked, length)
