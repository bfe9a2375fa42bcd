from __future__ import annotations

from assistant.proving import Draft, segments
from assistant.writers import Cite
from tests.assistant.conftest import passage

PASSAGES = (
    passage("dropout.md", "Why", "Dropout lowers overfitting.", "It drops half of the units.", "It costs nothing."),
    passage("boosting.md", "When", "Boosting wins on tables."),
)


def draft(*events: str | Cite) -> Draft:
    made = Draft(PASSAGES)
    for event in events:
        if isinstance(event, str):
            made.add(event)
        else:
            made.cite(event)
    made.finished(everything=True)
    return made


def test_a_citation_belongs_to_the_sentence_that_it_ends_before_the_full_stop_or_behind_it() -> None:
    before = draft("Dropout lowers overfitting", Cite(((0, 0),)), ". Boosting wins on tables.", Cite(((1, 0),)))
    assert [[n.quote for n in s.footnotes] for s in before.sentences] == [
        ["Dropout lowers overfitting."],
        ["Boosting wins on tables."],
    ]


def test_a_footnote_is_the_unit_to_the_character() -> None:
    (sentence,) = draft("Half of the units are dropped.", Cite(((0, 1),))).sentences
    (note,) = sentence.footnotes
    assert (note.document, note.start, note.end) == ("dropout.md", 28, 55)
    assert PASSAGES[0].text[note.start : note.end] == note.quote == "It drops half of the units."


def test_units_that_follow_one_another_are_one_footnote() -> None:
    (sentence,) = draft("Dropout lowers overfitting.", Cite(((0, 0), (0, 1), (1, 0)))).sentences
    assert [n.quote for n in sentence.footnotes] == [
        "Dropout lowers overfitting. It drops half of the units.",
        "Boosting wins on tables.",
    ]


def test_a_sentence_without_a_footnote_is_kept_and_marked() -> None:
    (sentence,) = draft("Neural networks were invented by Martians.").sentences
    assert not sentence.supported
    assert "no footnote" in sentence.why


def test_a_sentence_that_its_units_do_not_say_is_marked_although_it_cites_them() -> None:
    (sentence,) = draft("Boosting costs $500 in Berlin.", Cite(((1, 0),))).sentences
    assert not sentence.supported
    assert sentence.footnotes


def test_an_id_that_points_nowhere_is_named_and_never_guessed() -> None:
    (sentence,) = draft("Dropout lowers overfitting.", Cite((), ("[7.1]",))).sentences
    assert not sentence.supported
    assert "[7.1]" in sentence.why
    assert sentence.footnotes == ()


def test_sentences_are_proved_as_soon_as_the_next_one_begins() -> None:
    made = Draft(PASSAGES)
    made.add("Dropout lowers overfitting.")
    made.cite(Cite(((0, 0),)))
    assert made.finished() == []
    made.add(" Boosting")
    assert [s.text for s in made.finished()] == ["Dropout lowers overfitting."]
    assert made.finished() == []
    assert [s.text for s in made.finished(everything=True)] == ["Boosting"]


def test_code_is_one_piece_and_lines_of_a_list_are_several() -> None:
    text = "First. Second.\n- an item\n- another; with two\n```python\nx = 1. \ny = 2\n```\nLast."
    assert [text[a:b] for a, b in segments(text)] == [
        "First.",
        "Second.",
        "- an item",
        "- another; with two",
        "```python\nx = 1. \ny = 2\n```",
        "Last.",
    ]
