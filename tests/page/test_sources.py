"""A footnote's place: the words, and the guide's own text around them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.page.sources import AROUND, Sources, in_words
from ingest.library import Library


@pytest.fixture(scope="module")
def sources(small_library: Path) -> Sources:
    return Sources(Library(small_library))


@given(data=st.data(), document=st.sampled_from(["bees.md", "bread.md", "hostile.md"]))
def test_what_stands_around_a_quote_is_the_guides_text_and_ends_with_lines(
    sources: Sources, data: st.DataObject, document: str
) -> None:
    text = sources.library.text(document)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    place = sources.place(document, "", "", start, end, text[start:end])
    first = start - len(place.before)
    last = end + len(place.after)
    assert text[first:last] == place.before + place.quote + place.after
    assert (place.start, place.end, place.quote) == (start, end, text[start:end])
    assert first == 0 or text[first - 1] == "\n"
    assert last == len(text) or text[last] == "\n"
    assert (place.opens, place.closes) == (first == 0, last == len(text))
    assert len(place.before) <= 2 * AROUND
    assert place.said == ""


def test_the_section_of_a_quote_is_shown_and_not_the_whole_guide(sources: Sources) -> None:
    text = sources.library.text("bees.md")
    quote = "Honey is ripe when it holds less than 18 % water; a refractometer shows it."
    at = text.index(quote)
    place = sources.place("bees.md", "", "", at, at + len(quote), quote)
    assert "| Acacia |" in place.before
    assert "A strong colony" not in place.before


def test_a_run_that_begins_inside_a_block_of_code_says_so(sources: Sources) -> None:
    text = sources.library.text("bread.md")
    start = text.index("```python")
    whole = sources.place("bread.md", "", "", start + 20, start + 30, text[start + 20 : start + 30])
    assert not whole.in_code


def test_a_score_is_said_in_words() -> None:
    assert [in_words(score) for score in (0.95, 0.6, 0.3, 0.05)] == ["very likely", "likely", "possibly", "unlikely"]
