"""Model text with unit ids, read as it streams."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.retrieve import Passage
from assistant.writers import Cite, Text
from assistant.writers.marks import parse
from ingest.chunks import Unit

PASSAGES = [
    Passage("a.md", "A", "", 0, 9, "x y z", 0.9, tuple(Unit(i, i + 1, "sentence") for i in (0, 2, 4))),
    Passage("b.md", "B", "", 0, 3, "u v", 0.8, (Unit(0, 1, "sentence"), Unit(2, 3, "sentence"))),
    Passage("c.md", "C", "", 0, 5, "whole", 0.7),
]


def joined(*deltas: str) -> list[Text | Cite]:
    """The events, neighbouring texts joined."""
    events: list[Text | Cite] = []
    for event in parse(deltas, PASSAGES):
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
