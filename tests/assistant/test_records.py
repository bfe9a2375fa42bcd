from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.records import Answer, Footnote, Passage, Sentence, hash_of, neutralise, place

# Text made harmless to look at.


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


NOTE = Footnote("a.md", "A guide", "Ways > Dropout", 3, 9, "Dropout lowers overfitting.")
OTHER = Footnote("b.md", "Another", "Costs", 0, 5, "It costs $5.")
PASSAGE = Passage("a.md", "A guide", "Ways", 0, 30, "…", 0.8)
PAGED = replace(PASSAGE, pages=((0, 2), (20, 3)))


def answer(*sentences: Sentence, status: str = "answered") -> Answer:
    return Answer("Why?", status, sentences, (PASSAGE,), usage={"tokens": 3}, seconds={"total": 0.1})  # type: ignore[arg-type]


def test_a_footnote_has_an_address_on_any_running_page() -> None:
    note = Footnote("möbius & co/a b.md", "A guide", "", 3, 9, "It costs\x1b $5.")
    address = urlsplit(note.url("https://guides.example/footnote/"))
    assert (address.netloc, address.path) == ("guides.example", "/footnote/read")
    asked = dict(parse_qsl(address.query))
    assert (asked["doc"], asked["start"], asked["end"]) == (note.document, "3", "9")
    assert asked["hash"] == hash_of("It costs\ufffd $5.")  # the words as the page shows them


text = st.text(max_size=30)
page = st.none() | st.integers(1, 99)
notes = st.builds(Footnote, text, text, text, st.integers(0, 9), st.integers(9, 99), text, page)
sentences = st.builds(Sentence, text, st.booleans(), st.lists(notes, max_size=3).map(tuple), text)


@given(st.lists(sentences, max_size=4), st.sampled_from(["answered", "not_in_guides", "refused", "failed"]))
def test_an_answer_goes_to_json_and_back_unchanged(said: list[Sentence], status: str) -> None:
    before = replace(answer(*said, status=status), passages=(PASSAGE, PAGED))
    assert Answer.from_json(json.loads(json.dumps(before.to_json()))) == before


def test_the_json_has_the_promised_shape() -> None:
    value = answer(Sentence("Dropout helps.", True, (NOTE,))).to_json()
    assert {"question", "status", "sentences", "passages", "model", "usage", "seconds"} <= set(value)
    assert set(value["sentences"][0]["footnotes"][0]) == {"document", "title", "section", "start", "end", "quote"}
    assert set(value["passages"][0]) == {"document", "title", "section", "start", "end", "text", "score"}


def test_footnotes_are_numbered_once_each_in_the_order_they_come() -> None:
    said = answer(Sentence("One.", True, (NOTE,)), Sentence("Two.", True, (OTHER, NOTE)))
    assert said.footnotes == [NOTE, OTHER]


def test_markdown_has_a_real_footnote_behind_each_sentence() -> None:
    markdown = answer(Sentence("One.", True, (NOTE,)), Sentence("Two.", True, (OTHER, NOTE))).to_markdown()
    assert "One.[^1] Two.[^2][^1]" in markdown
    assert "[^1]: A guide › Ways › Dropout: “Dropout lowers overfitting.” (a.md, 3–9)" in markdown
    assert "[^2]: Another" in markdown


def test_markdown_says_of_an_unsupported_sentence_that_it_is() -> None:
    assert "Two. *(not supported)*" in answer(Sentence("Two.", False)).to_markdown()
    assert "Two. *(in doubt)*" in answer(Sentence("Two.", False, doubted=True)).to_markdown()


def test_the_json_says_which_of_three_outcomes_a_sentence_has_and_older_ones_are_read() -> None:
    said = answer(Sentence("One.", True), Sentence("Two.", False, doubted=True), Sentence("Three.", False))
    value = json.loads(json.dumps(said.to_json()))
    assert [(s["supported"], s["doubted"]) for s in value["sentences"]] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert [s.outcome for s in Answer.from_json(value).sentences] == ["supported", "in doubt", "not supported"]
    for sentence in value["sentences"]:
        del sentence["doubted"], sentence["why"]
    assert [s.outcome for s in Answer.from_json(value).sentences] == ["supported", "not supported", "not supported"]


def test_an_answer_that_is_not_in_the_guides_has_no_text() -> None:
    assert answer(Sentence("Made up.", False), status="not_in_guides").text == ""
    assert "Not in the guides" in answer(status="not_in_guides").to_markdown()


def test_items_and_code_stand_on_lines_of_their_own() -> None:
    said = answer(
        Sentence("There are two:", True),
        Sentence("- one", True, (NOTE,)),
        Sentence("- two", True, (NOTE,)),
        Sentence("```\nx = 1\n```", True, (NOTE,)),
        Sentence("So it is.", True, (NOTE,)),
    )
    assert said.text == "There are two:\n- one\n- two\n```\nx = 1\n```\n\nSo it is."


def test_terminal_escapes_in_a_quote_do_not_reach_the_markdown() -> None:
    evil = Footnote("a.md", "A\x1b[2J", "s", 0, 1, "x\u202ey")
    assert not {"\x1b", "\u202e"} & set(answer(Sentence("One.", True, (evil,))).to_markdown())


def test_a_first_heading_that_is_the_title_again_is_not_said_twice() -> None:
    assert place("Learning: an overview", "Learning > Why > Now") == "Learning: an overview › Why › Now"
    assert place("Learning", "") == "Learning"
