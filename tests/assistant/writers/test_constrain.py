"""Constrained decoding: whatever the scores say, only valid footnotes can be written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from assistant.footnotes import Draft, segments
from assistant.prompts import NOT_IN_GUIDES, NOT_OUTRIGHT
from assistant.records import Cite, Passage, Text
from assistant.writers.constrain import Grammar, Picker, State, Vocabulary, as_gbnf, as_regex, decode, parse
from ingest.chunks import Unit
from tests.assistant.conftest import passage, tiny_tokenizer

# Model text with unit ids, read as it streams.

TWO_PASSAGES = [
    Passage("a.md", "A", "", 0, 9, "x y z", 0.9, tuple(Unit(i, i + 1, "sentence") for i in (0, 2, 4))),
    Passage("b.md", "B", "", 0, 3, "u v", 0.8, (Unit(0, 1, "sentence"), Unit(2, 3, "sentence"))),
    Passage("c.md", "C", "", 0, 5, "whole", 0.7),
]


def joined(*deltas: str) -> list[Text | Cite]:
    """The events, neighbouring texts joined."""
    events: list[Text | Cite] = []
    for event in parse(deltas, TWO_PASSAGES):
        if isinstance(event, Text) and events and isinstance(events[-1], Text):
            event = Text(events.pop().text + event.text)  # type: ignore[union-attr]
        events.append(event)
    return events


@pytest.mark.parametrize(
    ("written", "events"),
    [
        ("Helps [1.1].", [Text("Helps."), Cite(((0, 0),))]),
        ("Helps. [1.1] So", [Text("Helps."), Cite(((0, 0),)), Text(" So")]),
        ("Helps[1.3][2.2]! So", [Text("Helps!"), Cite(((0, 2), (1, 1))), Text(" So")]),
        ("Helps [1.3, 2.2;1.1] [1.2].", [Text("Helps."), Cite(((0, 2), (1, 1), (0, 0), (0, 1)))]),
        ("One [1.1], two [1.2].", [Text("One,"), Cite(((0, 0),)), Text(" two."), Cite(((0, 1),))]),
        ("Helps [1.1][1.1].", [Text("Helps."), Cite(((0, 0),))]),
        ("- a [1.1]\n- b [1.2]", [Text("- a"), Cite(((0, 0),)), Text("\n- b"), Cite(((0, 1),))]),
        ("A passage without units has one [3.1].", [Text("A passage without units has one."), Cite(((2, 0),))]),
    ],
)
def test_ids_become_footnotes_of_the_words_before_them(written: str, events: list[Text | Cite]) -> None:
    assert joined(written) == events


@pytest.mark.parametrize("written", ["1.4", "4.1", "0.1", "1.0", "2.01", "9" * 30 + ".1", "1.1-1.3", "1.1–1.3"])
def test_an_id_of_no_unit_is_reported_and_never_guessed(written: str) -> None:
    assert joined(f"Helps [{written}].") == [Text("Helps."), Cite((), (written,))]


def test_a_group_may_hold_valid_and_invalid_ids() -> None:
    assert joined("Helps [2.1, 7.7].") == [Text("Helps."), Cite(((1, 0),), ("7.7",))]


@pytest.mark.parametrize(
    "text",
    [
        "Use `a[1.2]` here",
        "Use ``x`[1.1]`` here",
        "```python\nweights[1.1]\nx = [1.1, 2.1]\n```\n",
        "````\n```\n[1.1]\n````\n",
        "```\n[1.1] left open",
        "~~~python\nweights[1.1]\n```\n[1.1]\n~~~\n",
        "~~~~\n~~~\n[1.1]\n~~~~~\n",
        "[12] and [CLS] and [1.2.3] and [ 1.1] and [1, 2.2] and [1.1 see] and [] and [x",
        "a lone ` backtick\n",
        "spaces   and\ttabs  ",
    ],
)
def test_code_and_other_brackets_stay_text(text: str) -> None:
    assert joined(text) == [Text(text)]


def test_a_backtick_that_nothing_closes_hides_no_footnotes() -> None:
    assert joined("A stray ` tick [1.1].\nB") == [Text("A stray ` tick."), Cite(((0, 0),)), Text("\nB")]
    assert joined("``` is no fence here: `` [1.1]") == [Text("``` is no fence here: `` [1.1]")]
    assert joined("So ``` is none [1.1]") == [Text("So ``` is none"), Cite(((0, 0),))]


def test_footnotes_go_on_after_a_block_of_code() -> None:
    assert joined("```\nx[1.1]\n```\n[1.2]") == [Text("```\nx[1.1]\n```\n"), Cite(((0, 1),))]


def test_an_id_that_the_stream_cut_off_is_not_shown() -> None:
    for cut in ("[1", "[1.", "[1.1", "[1.1,", "[1.1, 2"):
        assert joined(f"Helps {cut}") == [Text("Helps")]


PIECES = st.sampled_from(
    "Dropout| |\n|.|!|[|]|1|1.1|[1.1]|[2.2]|[9.9]|[1.1, 2.1]|`|``|```|,|\n```\n|a[1.2]|e.g. |–|\t|7".split("|")
)


@given(st.lists(PIECES, max_size=25).map("".join), st.lists(st.integers(0, 80), max_size=12))
def test_however_the_stream_is_cut_the_events_are_the_same(written: str, cuts: list[int]) -> None:
    places = sorted({0, len(written), *(cut for cut in cuts if cut < len(written))})
    assert joined(*(written[a:b] for a, b in pairwise(places))) == joined(written) == joined(*written)


@given(st.lists(PIECES.filter(lambda piece: "`" not in piece), max_size=25).map("".join))
def test_no_id_is_ever_part_of_the_text(written: str) -> None:
    text = "".join(event.text if isinstance(event, Text) else "\x00" for event in joined(written))
    assert not re.search(r"\[[0-9]+\.[0-9]+\s*(,\s*[0-9]+\.[0-9]+\s*)*\]", text)


@given(st.text(alphabet="ab `[]1.\n", max_size=60))
def test_nothing_but_ids_and_the_blanks_before_them_is_lost(written: str) -> None:
    def letters(text: str) -> str:
        return "".join(re.findall("[ab`]", text))

    assert letters("".join(event.text for event in joined(written) if isinstance(event, Text))) == letters(written)


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


def test_what_comes_near_begins_with_a_phrase_of_its_own_without_ids() -> None:
    text = f"{NOT_OUTRIGHT} Dropout lowers overfitting [1.1]."
    assert write(prefer(text), PASSAGES) == (text, True)
    glued = write(prefer(f"{NOT_OUTRIGHT}Dropout helps [1.1]."), PASSAGES)[0]
    assert re.match(rf"{re.escape(NOT_OUTRIGHT)}\s", glued)
    alone, over = write(prefer(NOT_OUTRIGHT), PASSAGES)
    assert not over or "[" in alone, "it is no answer by itself"


# The same grammar for other servers. What it lets through is generated at random and read as any answer is.

EXPORTED = re.compile(as_regex(PASSAGES))


@settings(max_examples=60, phases=[Phase.generate])
@given(st.from_regex(EXPORTED, fullmatch=True))
def test_whatever_the_exported_grammar_allows_is_footnoted_with_ids_that_exist(text: str) -> None:
    draft = Draft(PASSAGES)
    for event in parse([text], PASSAGES):
        if isinstance(event, Text):
            draft.add(event.text)
        else:
            assert event.invalid == ()
            draft.cite(event)
    draft.finished(everything=True)
    bare = [s.text for s in draft.sentences if not s.footnotes]
    assert [said for said in bare if said not in (NOT_IN_GUIDES, NOT_OUTRIGHT) and not said.endswith(":")] == []
    assert len(bare) < len(draft.sentences) or text == NOT_IN_GUIDES


@pytest.mark.parametrize(
    "text",
    [
        "Dropout lowers overfitting [1.1].",
        "Dropout helps [1.1][2.12]. It drops units, e.g. half of 0.5 [1.2].",
        "Dropout helps. [1.1] It drops units. [2.11]",
        "It is easy [1.2]:\n- train [1.1]\n- test [3.1]",
        "It is easy:\n1. Train [1.1].\n2. Test [1.2]",
        "Use `fit(x)` first, vs. the rest (or 3.5 times) [1.1].\n```python\nx = y[1.1]\n\nz[9]\n```\n[2.3][2.4]",
        NOT_IN_GUIDES,
        f"{NOT_OUTRIGHT} Dropout helps [1.1].",
    ],
)
def test_the_exported_grammar_allows_the_right_form(text: str) -> None:
    assert EXPORTED.fullmatch(text)


@pytest.mark.parametrize(
    "text",
    [
        "Dropout helps.", "Dropout helps. It drops units [1.1].", "It helps [9.9].", "- train\n- test [1.1]", "",
        f"{NOT_IN_GUIDES} But I know it [1.1].", NOT_OUTRIGHT, "```\nx\n```", "A [1.1]\n", "Look [12] here [1.1].",
    ],
)  # fmt: skip
def test_the_exported_grammar_forbids_what_is_not_footnoted(text: str) -> None:
    assert not EXPORTED.fullmatch(text)


def test_the_grammar_names_each_rule_that_it_uses_and_the_ids_that_are_shown() -> None:
    rules = dict(line.split(" ::= ", 1) for line in as_gbnf(PASSAGES).splitlines())
    bare = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]')
    used = {name for body in rules.values() for name in re.findall(r"[a-z][a-z-]*", bare.sub("", body))}
    assert used == rules.keys() - {"root"}
    assert re.findall(r"\d+\.\d+", rules["id"]) == Grammar(PASSAGES).ids
    assert re.fullmatch(as_regex([]), NOT_IN_GUIDES)
    assert "id" not in as_gbnf([]).split()
