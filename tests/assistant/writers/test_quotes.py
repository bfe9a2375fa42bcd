from __future__ import annotations

from dataclasses import replace

import pytest

from assistant.footnotes import Draft
from assistant.records import Part, Passage, Request, Sentence, Stop
from assistant.writers.quotes import Quotes, row_in_words, untold
from ingest.chunks import Unit, UnitKind
from tests.assistant.conftest import passage


def written(request: Request) -> list[Sentence]:
    """What an assistant would make of the writer's events."""
    draft = Draft(request.passages)
    for event in Quotes().write(request):
        if isinstance(event, Stop):
            break
        if hasattr(event, "text"):
            draft.add(event.text)
        else:
            draft.cite(event)
    draft.finished(everything=True)
    return draft.sentences


def lines(document: str, kind: UnitKind, *texts: str, header: str = "", lead: str = "") -> Passage:
    """A passage of items, rows or code lines, with a sentence in front if `lead` says one."""
    units, body = [], ""
    for text in filter(None, (lead, *texts)):
        units.append(Unit(len(body), len(body) + len(text), "sentence" if text == lead else kind))
        body += text + "\n"
    body = body.rstrip()
    return Passage(document, document.removesuffix(".md"), "S", 0, len(body), body, 0.9, tuple(units), header)


DROPOUT = passage("dropout.md", "Why", "Dropout lowers overfitting.", "It drops half of the units.", "Paris is a town.")


def test_the_likeliest_unit_comes_first_and_unlikely_ones_are_left_out() -> None:
    said = written(Request("why dropout", (DROPOUT,), evidence=((0.9, 0.7, 0.01),)))
    assert [s.text for s in said] == ["Dropout lowers overfitting.", "It drops half of the units."]


def test_every_sentence_is_a_unit_of_the_source_and_is_proved() -> None:
    for sentence in written(Request("why dropout", (DROPOUT,), evidence=((0.9, 0.5, 0.01),))):
        assert sentence.supported
        (note,) = sentence.footnotes
        assert DROPOUT.text[note.start : note.end] == note.quote == sentence.text


def test_a_sentence_that_points_back_brings_the_one_that_it_points_to() -> None:
    said = written(Request("what is dropped", (DROPOUT,), evidence=((0.01, 0.9, 0.01),)))
    assert [s.text for s in said] == ["Dropout lowers overfitting.", "It drops half of the units."]


def test_a_list_is_given_whole_with_the_line_that_opens_it() -> None:
    listed = lines("a.md", "item", "- trees", "- nets", "- lines", lead="There are three kinds of model:")
    said = written(Request("which kinds of models are there", (listed,), evidence=((0.2, 0.3, 0.9, 0.1),)))
    assert [s.text for s in said] == ["There are three kinds of model:", "- trees", "- nets", "- lines"]


OTHERS = tuple(f"- kind {n} of model, of which nothing was asked" for n in range(10))


def test_one_item_of_a_long_list_is_enough_where_no_list_is_asked_for_with_the_line_that_opens_it() -> None:
    listed = lines("a.md", "item", "- nets stack layers", *OTHERS, lead="There are many:")
    said = written(Request("tell me of nets", (listed,), evidence=((0.01, 0.9, *[0.01] * len(OTHERS)),)))
    assert [s.text for s in said] == ["There are many:", "- nets stack layers"]


def test_a_short_list_is_one_thing_and_given_whole() -> None:
    listed = lines("a.md", "item", "- trees split data", "- nets stack layers", lead="There are two:")
    said = written(Request("tell me of nets", (listed,), evidence=((0.01, 0.01, 0.9),)))
    assert [s.text for s in said] == ["There are two:", "- trees split data", "- nets stack layers"]


def test_what_little_was_left_out_between_two_quoted_sentences_is_quoted_with_them() -> None:
    why = passage("a.md", "Why", "Dropout helps nets.", "Paris is big.", "Rome is old.", "Dropout thins nets.")
    said = written(Request("why dropout", (why,), evidence=((0.9, 0.01, 0.01, 0.85),)))
    assert [s.text for s in said] == [
        "Dropout helps nets.",
        "Paris is big.",
        "Rome is old.",
        "Dropout thins nets.",
    ]


def test_nothing_is_filled_in_across_paragraphs() -> None:
    why = passage("a.md", "Why", "Dropout helps nets.", "Paris is large.", "Dropout thins big nets.")
    apart = replace(why, text=why.text.replace(" Paris", "\n\nParis"), units=_moved(why.units, 1))
    said = written(Request("why dropout", (apart,), evidence=((0.9, 0.01, 0.85),)))
    assert [s.text for s in said] == ["Dropout helps nets.", "Dropout thins big nets."]


def _moved(units: tuple[Unit, ...], by: int) -> tuple[Unit, ...]:
    """All but the first, so many characters further on."""
    return (units[0], *(replace(unit, start=unit.start + by, end=unit.end + by) for unit in units[1:]))


def test_a_short_answer_goes_on_with_what_stands_beside_its_best_sentence() -> None:
    why = passage(
        "a.md", "Why", "Nets learn by heart.", "Dropout helps nets.", "Each unit learns alone.", "Rome is old."
    )
    said = written(Request("why dropout", (why,), evidence=((0.6, 0.9, 0.6, 0.001),)))
    assert [s.text for s in said] == ["Nets learn by heart.", "Dropout helps nets.", "Each unit learns alone."]


def test_a_short_table_behind_the_best_paragraph_is_quoted_whole() -> None:
    header = "| Way | Gain |"
    lead = "Less freedom keeps nets from learning by heart."
    table = lines("a.md", "row", header, "| drop units | much |", "| stop early | some |", header=header, lead=lead)
    said = written(Request("what helps", (table,), evidence=((0.9, 0.01, 0.5, 0.01),)))
    assert [s.text for s in said] == [lead, "- drop units — Gain: much", "- stop early — Gain: some"]
    said = written(Request("what helps", (table,), evidence=((0.9, 0.01, 0.3, 0.01),)))
    assert [s.text for s in said] == [lead]


def test_a_sentence_that_comes_near_leads_before_a_row() -> None:
    header = "| Way | Gain |"
    table = lines("a.md", "row", header, "| drop units | much, and it is cheap |", header=header)
    told = passage("b.md", "Why", "Dropping units makes each of them learn alone.")
    said = written(Request("what does dropping do", (table, told), evidence=((0.01, 0.8), (0.7,))))
    assert said[0].text == "Dropping units makes each of them learn alone."


def test_code_is_given_whole_with_its_indentation_and_one_footnote() -> None:
    code = lines("a.md", "code", "def f(x):", "    return x", lead="The function gives back what it gets.")
    said = written(Request("how do i write the function in python", (code,), evidence=((0.3, 0.1, 0.9),)))
    assert [s.text for s in said] == ["The function gives back what it gets.", "```\ndef f(x):\n    return x\n```"]
    assert [note.quote for note in said[1].footnotes] == ["def f(x):\n    return x"]
    assert all(s.supported for s in said)


def test_a_row_is_told_with_the_names_of_its_columns() -> None:
    header = "| Factor | ML | DL |"
    table = lines("a.md", "row", header, "| Data | hundreds | millions |", header=header)
    said = written(Request("how much data", (table,), evidence=((0.5, 0.9),)))
    assert [s.text for s in said] == ["- Data — ML: hundreds; DL: millions"]
    assert said[0].supported


def test_a_row_that_does_not_fit_its_header_is_told_cell_by_cell() -> None:
    assert row_in_words("| a | b |", "| x | y | z |") == "a; b"


def test_guides_that_give_different_figures_stand_side_by_side_each_named() -> None:
    one = passage("careers.md", "Pay", "An engineer earns $148,000.", "The sun is hot.")
    two = passage("course.md", "Pay", "Engineers earn $130K to $160K.")
    said = written(Request("how much does an engineer earn", (one, two), evidence=((0.9, 0.01), (0.6,))))
    assert [s.text for s in said] == [
        "- careers: An engineer earns $148,000.",
        "- course: Engineers earn $130K to $160K.",
    ]
    assert all(s.supported for s in said)


@pytest.mark.parametrize(
    "other",
    [
        "An engineer earns $148,000.",
        "The median pay of an engineer is $148K a year.",
        "By the survey, an engineer in the States earns 148 thousand dollars.",
        "In 2026 an engineer earns $148,000.",
    ],
)
def test_guides_that_agree_are_not_said_to_differ_whatever_else_they_say(other: str) -> None:
    one = passage("a.md", "Pay", "An engineer earns $148,000.")
    request = Request("how much does an engineer earn", (one, passage("b.md", "Pay", other)), evidence=((0.9,), (0.8,)))
    assert written(request)[0].text == "An engineer earns $148,000."
    assert untold(request, written(request)[:1]) == ""


@pytest.mark.parametrize(
    ("question", "one", "other"),
    [
        (
            "99% on train but 70% on test",
            "The recipe keeps 20% of all rows for its test.",
            "Of cases given 70%, 70% are so.",
        ),
        (
            "how many steps does warm-up take",
            "Warm-up takes 500 steps.",
            "A small epoch has 391 steps for batches of 128.",
        ),
    ],
)
def test_figures_of_different_things_are_no_difference_between_guides(question: str, one: str, other: str) -> None:
    request = Request(question, (passage("a.md", "A", one), passage("b.md", "B", other)), evidence=((0.6,), (0.5,)))
    assert next(s.text for s in written(request)) == one


@pytest.mark.parametrize("other", ["An engineer earns €148,000.", "An engineer earns $131,000.", "It is 148 minutes."])
def test_guides_differ_by_value_currency_or_unit(other: str) -> None:
    one = passage("a.md", "Pay", "An engineer earns $148,000." if "min" not in other else "It is 148 hours.")
    request = Request("how much does an engineer earn", (one, passage("b.md", "Pay", other)), evidence=((0.9,), (0.8,)))
    assert [s.text.split(":")[0] for s in written(request)] == ["- a", "- b"]


@pytest.mark.parametrize(
    "text",
    [
        "Call __init__ before __call__ and super().__init__().",
        "Write `**kwargs` and `x ** 2` and `__main__`.",
        "The value a * b * c is 2**3**4.",
        "Use `[x](y)` there.",
    ],
)
def test_code_and_identifiers_are_quoted_to_the_character(text: str) -> None:
    (sentence,) = written(Request("what is called", (passage("a.md", "S", text),), evidence=((0.9,),)))
    assert (sentence.text, sentence.supported) == (text, True)


def test_code_that_holds_a_fence_is_quoted_in_a_longer_one() -> None:
    code = lines("a.md", "code", "```python", "x = 1", "```")
    said = written(Request("code in python", (code,), evidence=((0.1, 0.9, 0.1),)))
    assert [s.text for s in said] == ["````\n```python\nx = 1\n```\n````"]
    assert said[0].supported


def test_headings_and_lines_that_only_announce_are_no_answer() -> None:
    only = replace(DROPOUT, units=(Unit(0, 27, "heading"),))
    assert [e for e in Quotes().write(Request("dropout", (only,))) if isinstance(e, Stop)] == [Stop("not_in_guides")]


def test_markup_is_left_out_of_the_words_but_not_out_of_the_quote() -> None:
    marked = passage("a.md", "S", "**Dropout** is [good](http://x.y) for `nets`.")
    (sentence,) = written(Request("dropout", (marked,), evidence=((0.9,),)))
    assert sentence.text == "Dropout is good for `nets`."
    assert sentence.footnotes[0].quote == "**Dropout** is [good](http://x.y) for `nets`."
    assert sentence.supported


def test_an_item_of_several_sentences_has_its_footnote_behind_each() -> None:
    listed = lines("a.md", "item", "- Trees split data. They overfit easily.", "- nets", lead="There are two:")
    said = written(Request("tell me of trees", (listed,), evidence=((0.01, 0.9, 0.01),)))
    assert [s.text for s in said] == ["There are two:", "- Trees split data.", "They overfit easily.", "- nets"]
    assert all(s.supported for s in said)


def test_what_one_passage_says_keeps_its_order_and_the_passage_with_the_likeliest_unit_comes_first() -> None:
    other = passage("other.md", "S", "Ensembles lower overfitting too.")
    said = written(Request("why dropout", (other, DROPOUT), evidence=((0.7,), (0.5, 0.9, 0.01))))
    assert [s.text for s in said] == [
        "Dropout lowers overfitting.",
        "It drops half of the units.",
        "Ensembles lower overfitting too.",
    ]


def test_what_leans_on_a_sentence_beside_the_point_is_left_out() -> None:
    two = passage("a.md", "S", "Dropout lowers overfitting.", "Paris is a large town.", "It drops half of all units.")
    said = written(Request("why dropout", (two,), evidence=((0.9, 0.01, 0.8),)))
    assert [s.text for s in said] == ["Dropout lowers overfitting."]


def test_a_label_is_no_answer_however_well_it_fits() -> None:
    steps = lines("a.md", "item", "2. Switch on dropout.", "3. Add data or augment it.", lead="Try these:")
    said = written(Request("what is dropout", (steps, DROPOUT), evidence=((0.1, 0.95, 0.1), (0.9, 0.1, 0.1))))
    assert [s.text for s in said] == ["Dropout lowers overfitting."]


def test_other_works_are_not_named_beside_an_answer() -> None:
    sources = passage("a.md", "Nets > Sources", "Srivastava and others, on dropout and overfitting, 2014.")
    said = written(Request("why dropout", (sources, DROPOUT), evidence=((0.85,), (0.9, 0.1, 0.1))))
    assert [s.text for s in said] == ["Dropout lowers overfitting."]
    (only,) = written(Request("which paper introduced dropout", (sources,), evidence=((0.85,),)))
    assert only.text.startswith("Srivastava")


def test_code_answers_only_where_it_is_asked_for_or_no_words_come_near_it() -> None:
    code = lines("a.md", "code", "layer = Dropout(0.5)", "print(layer(ones))", lead="This drops half of a row.")
    evidence = ((0.2, 0.95, 0.9), (0.9, 0.1, 0.1))
    assert [s.text for s in written(Request("why dropout", (code, DROPOUT), evidence=evidence))] == [
        "Dropout lowers overfitting."
    ]
    assert any("```" in s.text for s in written(Request("code for dropout", (code, DROPOUT), evidence=evidence)))


def test_a_block_of_which_the_beginning_is_in_another_passage_is_not_quoted() -> None:
    rest = lines("a.md", "code", "    return dropped", "print(drop(ones))")
    said = written(Request("code for dropout", (DROPOUT, rest), evidence=((0.9, 0.1, 0.1), (0.85, 0.1))))
    assert [s.text for s in said] == ["Dropout lowers overfitting."]
    ended = replace(rest, text=rest.text + "\n```", end=rest.end + 4)
    said = written(Request("code for dropout", (DROPOUT, ended), evidence=((0.8, 0.1, 0.1), (0.9, 0.1))))
    assert [s.text for s in said] == ["Dropout lowers overfitting."]


def test_the_first_sentence_of_the_section_about_it_opens_an_answer() -> None:
    other = passage("other.md", "S", "Ensembles beat dropout on small tables.")
    section = passage("nets.md", "Nets > What dropout is", "Dropout sets units to zero.", "Paris is a town.")
    said = written(Request("What is dropout?", (other, section), evidence=((0.9,), (0.6, 0.01))))
    assert [s.text for s in said] == ["Dropout sets units to zero.", "Ensembles beat dropout on small tables."]


def test_a_sentence_that_counts_what_follows_brings_it() -> None:
    text = lines("a.md", "item", "- trees split data", "- nets stack layers", lead="Models come in two kinds.")
    said = written(Request("tell me of models", (text,), evidence=((0.9, 0.1, 0.1),)))
    assert [s.text for s in said] == ["Models come in two kinds.", "- trees split data", "- nets stack layers"]


def test_a_definition_that_another_guide_repeats_is_given_once() -> None:
    one = passage("a.md", "S", "Dropout is a way to lower overfitting.")
    two = passage("b.md", "S", "Dropout is a method in which units are set to zero.")
    said = written(Request("what is dropout", (one, two), evidence=((0.9,), (0.85,))))
    assert [s.text for s in said] == ["Dropout is a way to lower overfitting."]


def test_a_number_in_the_first_column_is_named_and_the_row_still_a_quote() -> None:
    header = "| Degree | Error |"
    table = lines("a.md", "row", header, "| 12 | 0.02 |", header=header)
    (said,) = written(Request("what is the error", (table,), evidence=((0.1, 0.9),)))
    assert (said.text, said.supported) == ("- Degree 12 — Error: 0.02", True)
    assert row_in_words("| 12 | 0.02 |", "| Degree | Error |") == "Degree 12 — Error: 0.02"
    assert row_in_words("| 4. Impute | gaps |", "| Step | For |") == "Impute — For: gaps"


def beside(
    question: str, *passages: Passage, own: tuple[tuple[float, ...], ...], **parts: tuple[tuple[float, ...], ...]
) -> Request:
    """A question with what was found for each of its parts."""
    return Request(question, passages, evidence=own, parts=tuple(Part(name, found) for name, found in parts.items()))


def test_each_half_of_a_question_is_answered() -> None:
    what = passage("a.md", "What", "Boosting adds trees one by one.", "Paris is large and old.")
    cost = passage("b.md", "Cost", "Every further tree costs a pass over all rows.")
    own, half = ((0.9, 0.01), (0.01,)), ((0.1, 0.01), (0.8,))
    said = written(beside("what is boosting and what is its price", what, cost, own=own, price=half))
    assert [s.text for s in said] == [
        "Boosting adds trees one by one.",
        "Every further tree costs a pass over all rows.",
    ]


def test_of_two_things_compared_the_one_that_is_not_named_yet_is_told_if_it_is_worth_it() -> None:
    one = passage("a.md", "Bagging", "Bagging averages many deep trees.")
    other = passage("b.md", "Boosting", "Boosting adds shallow trees in turn.")
    own, sides = ((0.9,), (0.01,)), {"bagging": ((0.9,), (0.01,)), "boosting": ((0.01,), (0.7,))}
    both = written(beside("bagging or boosting", one, other, own=own, **sides))
    assert [s.text for s in both] == ["Bagging averages many deep trees.", "Boosting adds shallow trees in turn."]
    sides["boosting"] = ((0.01,), (0.1,))
    assert len(written(beside("bagging or boosting", one, other, own=own, **sides))) == 1


def test_a_table_with_a_column_for_each_of_two_things_is_their_comparison() -> None:
    header = "| | Bagging | Boosting |"
    rows = ("| Trees | deep, many | shallow, in turn |", "| Errors | averaged away | corrected one by one |")
    table = lines("a.md", "row", header, *rows, header=header)
    told = passage("b.md", "Ways", "Both of bagging and boosting join many trees into one model.")
    found = ((0.9,), (0.01, 0.2, 0.2))
    said = written(beside("bagging vs boosting", told, table, own=found, bagging=found, boosting=found))
    assert [s.text.split(" — ")[0] for s in said[1:]] == ["- Trees", "- Errors"]
    assert all(s.supported for s in said)
