"""Constrained decoding: whatever the scores say, only valid footnotes can be written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest
import torch

from assistant.prompts import NOT_IN_GUIDES
from assistant.proving import segments
from assistant.retrieve import Passage
from assistant.writers import Cite, Text
from assistant.writers.constrain import Picker, Vocabulary, decode
from assistant.writers.grammar import Grammar, State
from assistant.writers.marks import parse
from tests.assistant.conftest import passage, tiny_tokenizer

PASSAGES = [passage(f"{p}.md", "S", *(f"Unit {u}." for u in range(units))) for p, units in enumerate((2, 12, 1))]
TOKENIZER = tiny_tokenizer()
END = TOKENIZER.eos_token_id
VOCABULARY = Vocabulary.of(TOKENIZER, len(TOKENIZER) + 8, [END])


def scores_of(seed: int) -> Iterator[torch.Tensor]:
    """Random scores that favour what may go wrong: brackets, digits, backticks, ends of sentences and lines."""
    generator = torch.Generator().manual_seed(seed)
    telling = torch.tensor([1.5 * bool(re.search(r"[\[\]`.!?\n0-9]|^ $", text)) for text in VOCABULARY.texts])
    telling[END] = 2.0
    while True:
        yield torch.randn(len(VOCABULARY.texts), generator=generator) + telling


def write(scores: Iterator[torch.Tensor], passages: list[Passage], most: int = 150) -> tuple[str, bool]:
    """The text, and whether it came to its end."""
    picker, tokens = Picker(Grammar(passages), VOCABULARY), list[int]()
    for _, scored in zip(range(most), scores, strict=False):
        token = picker.pick(scored)
        if token == END:
            return decode(TOKENIZER, tokens), True
        tokens.append(token)
    return decode(TOKENIZER, tokens), False


def uncited(text: str, over: bool) -> list[str]:
    """The sentences, as the answer is cut into them, that have no footnote though they are over."""
    plain, places = "", []
    text = text if over else re.sub(r"\s*\[[0-9.]*$", "", text)  # cut off while its footnote was written
    for event in parse([text], PASSAGES):
        if isinstance(event, Text):
            plain += event.text
        else:
            places.append(len(plain.rstrip()))
    spans = list(segments(plain))
    spans = spans if over else spans[:-1]
    bare = [plain[a:b] for a, b in spans if not any(a < place <= b for place in places)]
    return [sentence for sentence in bare if sentence.strip(" .,;:!?…)]}»*_\"'”’") and not sentence.endswith(":")]


@cache
def random_text(seed: int) -> tuple[str, bool]:
    return write(scores_of(seed), PASSAGES)


@pytest.mark.parametrize("seed", range(100))
def test_random_scores_give_only_valid_ids_and_no_sentence_without_one(seed: int) -> None:
    text, over = random_text(seed)
    cites = [event for event in parse([text], PASSAGES) if isinstance(event, Cite)]
    assert not [cite.invalid for cite in cites if cite.invalid]
    assert uncited(text, over) == []
    assert cites or not over


def test_the_random_texts_try_what_could_go_wrong() -> None:
    texts = [random_text(seed) for seed in range(100)]
    assert sum(over for _, over in texts) > 10
    together = "\n".join(text for text, _ in texts)
    cites = [event for event in parse([together], PASSAGES) if isinstance(event, Cite)]
    assert len(cites) > 50
    assert len({unit for cite in cites for unit in cite.units}) > 10
    assert "```" in together
    assert re.search(r"`[^`\n]+`", together)


def prefer(text: str, otherwise: str = " ") -> Iterator[torch.Tensor]:
    """Scores of a model that wants to write just this text, then to end."""
    for token in [*TOKENIZER.encode(text, add_special_tokens=False), *[END] * 40]:
        scores = torch.zeros(len(VOCABULARY.texts))
        scores[token] = 9.0
        scores[TOKENIZER.encode("[1.2]", add_special_tokens=False)] += 1.0
        yield scores


@pytest.mark.parametrize(
    "text",
    [
        "Dropout lowers overfitting [1.1].",
        "Dropout helps [1.1][2.12]. It drops units, e.g. half of 0.5 [1.2].",
        "Dropout helps. [1.1] It drops units. [2.11]",
        "It is easy:\n- train [1.1]\n- test [3.1]",
        "Use `fit(x[0])` first [1.1].\n```python\nx = y[1.1]\n\nz[9]\n```\n[2.3]",
        "1. Train [1.1].\n2. Test [1.2].",
        NOT_IN_GUIDES,
    ],
)
def test_a_model_that_writes_in_the_right_form_is_left_alone(text: str) -> None:
    assert write(prefer(text), PASSAGES) == (text, True)


@pytest.mark.parametrize(
    "text", ["Dropout helps.", "Dropout helps. It drops units [1.1].", "- train\n- test [1.1]", "Yes"]
)
def test_a_model_that_forgets_a_footnote_is_made_to_write_one(text: str) -> None:
    written, over = write(prefer(text), PASSAGES)
    assert over
    assert uncited(written, over) == []


@pytest.mark.parametrize("wrong", ["[9.9]", "[1.3]", "[0.1]", "[2.13]", "[1]", "[x]", "`[9.9]`", "[1.1-1.2]"])
def test_a_model_that_wants_an_id_of_no_unit_cannot_write_it(wrong: str) -> None:
    written, _ = write(prefer(f"Dropout helps {wrong}. It helps {wrong}."), PASSAGES)
    assert wrong not in written
    assert all(not event.invalid for event in parse([written], PASSAGES) if isinstance(event, Cite))


def test_without_units_only_the_refusal_can_be_written() -> None:
    assert write(scores_of(1), []) == (NOT_IN_GUIDES, True)


def test_nothing_can_follow_the_refusal() -> None:
    assert write(prefer(f"{NOT_IN_GUIDES} But I know it."), PASSAGES) == (NOT_IN_GUIDES, True)


def test_special_tokens_and_those_beyond_the_tokenizer_are_never_written() -> None:
    scores = torch.zeros(len(VOCABULARY.texts))
    scores[-8:] = 9.0
    scores[TOKENIZER.all_special_ids] = 8.0
    scores[END] = 0.0
    picker = Picker(Grammar(PASSAGES), VOCABULARY)
    for _ in range(20):
        token = picker.pick(scores)
        assert token < len(TOKENIZER)
        assert token not in TOKENIZER.all_special_ids


def test_the_same_id_is_not_written_twice_in_a_row() -> None:
    grammar, state = Grammar([PASSAGES[2]]), State()
    for character in "Yes [1.1]":
        state = grammar.step(state, character)  # type: ignore[assignment]
    assert grammar.step(state, "[") == "no"
    assert isinstance(grammar.step(state, "."), State)
    assert grammar.step(state, "a") == "no"
