"""Decoding that can only write valid footnotes, whatever the weights.

`Picker` chooses the best-scored token whose characters the grammar allows. Where the model wants to end a sentence, a
line or the answer without a footnote, it has to write one first; which one is its own choice among the valid ids.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assistant.prompts import NOT_IN_GUIDES
from assistant.writers.grammar import Grammar, Refusal, State

if TYPE_CHECKING:
    import torch


@dataclass
class Vocabulary:
    """The texts of a tokenizer's tokens, as they stand inside a text; "" for those that must not be written."""

    texts: list[str]
    ends: frozenset[int]
    before: list[int]  # tokens behind which others are decoded, since some tokenizers drop the blank of a first word
    prefix: str  # and their text
    by_first: dict[str, list[int]] = field(default_factory=dict)
    footnotes: list[int] = field(default_factory=list)  # tokens that begin a footnote, after a blank at most

    def __post_init__(self) -> None:
        by_first = defaultdict(list)
        for token, text in enumerate(self.texts):
            if text and token not in self.ends:
                by_first[text[0]].append(token)
                if re.match(r" ?\[", text):
                    self.footnotes.append(token)
        self.by_first = dict(by_first)

    @classmethod
    def of(cls, tokenizer: Any, size: int, ends: Collection[int]) -> Vocabulary:
        before = tokenizer.encode(":", add_special_tokens=False)
        known = min(size, len(tokenizer))
        prefix = decode(tokenizer, before)
        texts = [text[len(prefix) :] for text in decode_all(tokenizer, [[*before, token] for token in range(known)])]
        special = {*tokenizer.all_special_ids, *(i for i, t in tokenizer.added_tokens_decoder.items() if t.special)}
        kept = ["" if token in special else text for token, text in enumerate(texts)]
        return cls(kept + [""] * (size - known), frozenset(ends), before, prefix)


def decode(tokenizer: Any, tokens: Sequence[int]) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def decode_all(tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[str]:
    texts = tokenizer.batch_decode(rows, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return [str(text) for text in texts]


class Picker:
    """Picks one answer's tokens, greedily: the best-scored of those that may follow."""

    def __init__(self, grammar: Grammar, vocabulary: Vocabulary) -> None:
        self.state = State()
        self._grammar, self._vocabulary = grammar, vocabulary

    def pick(self, scores: torch.Tensor) -> int:
        """The next token, by the model's scores of all of them; an end token where the answer is over."""
        for token in self._candidates(scores):
            after = self._after(token)
            if after == "cite first":
                return self._take(self._footnote(scores))
            if after != "no":
                return self._take(token)
        return min(self._vocabulary.ends)

    def _candidates(self, scores: torch.Tensor) -> Iterator[int]:
        if self.state.phrase == NOT_IN_GUIDES:
            yield from sorted(self._vocabulary.ends)
            return
        few = self._grammar.next_characters(self.state)
        if few is not None:
            tokens = [token for first in sorted(few) for token in self._vocabulary.by_first.get(first, ())]
            yield from _best_of(tokens, scores)
        else:
            yield int(scores.argmax())
            yield from scores.topk(min(64, len(scores))).indices.tolist()
            yield from scores.argsort(descending=True).tolist()

    def _footnote(self, scores: torch.Tensor) -> int:
        """The best token that begins a footnote here, whether or not a blank stands before it."""
        for token in _best_of(self._vocabulary.footnotes, scores):
            if isinstance(self._after(token), State):
                return token
        return min(self._vocabulary.ends)

    def _take(self, token: int) -> int:
        after = self._after(token)
        if isinstance(after, State):
            self.state = after
        return token

    def _after(self, token: int) -> State | Refusal | None:
        """The state after the token; None where it ends the answer."""
        if token in self._vocabulary.ends:
            return self._grammar.end(self.state)
        text = self._vocabulary.texts[token]
        state: State | Refusal = self.state if text else "no"
        for character in text:
            if not isinstance(state, State):
                break
            state = self._grammar.step(state, character)
        return state


def _best_of(tokens: Sequence[int], scores: torch.Tensor) -> list[int]:
    order = scores[list(tokens)].argsort(descending=True).tolist() if tokens else []
    return [tokens[i] for i in order]
