"""Text made harmless to look at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.plain import neutralise


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b[31mred\x1b[0m", "�[31mred�[0m"),
        ("\x1b]0;title\x07", "�]0;title�"),
        ("\x9b31m", "�31m"),
        ("100%\rforged", "100%\nforged"),
        ("one\r\ntwo", "one \ntwo"),
        ("abc\u202etxt.exe", "abc\u200btxt.exe"),
        ("\u2066a\u2069\u200f\u061c", "\u200ba\u200b\u200b\u200b"),
        ("hi\U000e0049\U000e0047", "hi\u200b\u200b"),
        ("a\u2028b\x85c\x0bd", "a\nb\nc\nd"),
        ("\x00\x08\x7f", "���"),
        ("\ud800", "�"),
    ],
)
def test_what_acts_on_a_reader_or_a_terminal_is_taken_away(hostile: str, harmless: str) -> None:
    assert neutralise(hostile) == harmless


@pytest.mark.parametrize(
    "text", ["tab\tand\nline", "naïve Bäume 学习 🧠👩‍🔬", "עברית العربية", "$148K — “quoted” ≤ 3×"]
)
def test_ordinary_text_of_any_language_stays_as_it_is(text: str) -> None:
    assert neutralise(text) == text


@given(st.text() | st.text(alphabet="\r\n\x1b[m\u202e\u2066a"))
def test_offsets_stay_true_and_doing_it_twice_changes_nothing(text: str) -> None:
    once = neutralise(text)
    assert len(once) == len(text)
    assert neutralise(once) == once
    assert once.count("\n") == len(once.splitlines()) - (not once.endswith("\n")) + (not once)
    assert once.encode().decode() == once
