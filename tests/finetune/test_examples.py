from __future__ import annotations

from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from assistant.prompts import NOT_IN_GUIDES
from assistant.writers import Turn
from finetune import pairs, planted, tables
from finetune.examples import answered, proved, refused, shown, writable, written
from finetune.ideas import Idea, Line, Place, ideas
from tests.assistant.conftest import passage
from tests.finetune.making import chunks, passages
from tests.finetune.test_ideas import CODE, STEPS, TABLE

DROPOUT = passage("dropout.md", "Why", "Dropout lowers overfitting.", "It drops half of the units.")
BOOSTING = passage("boosting.md", "When", "Boosting wins on tables.", "Deep nets win on images.")
FIRST = Place("dropout.md", 0, 27)


def idea(text: str, *places: Place) -> Idea:
    return Idea("definition", "What does dropout do?", (Line(text, places),), (("dropout.md", "Why"),))


def test_ids_stand_before_the_full_stop_and_follow_the_passages_order() -> None:
    plain = idea("Dropout lowers overfitting.", FIRST)
    assert answered(plain, [DROPOUT, BOOSTING]).answer == "Dropout lowers overfitting [1.1]."  # type: ignore[union-attr]
    assert answered(plain, [BOOSTING, DROPOUT]).answer == "Dropout lowers overfitting [2.1]."  # type: ignore[union-attr]


def test_an_answer_whose_unit_is_not_shown_is_not_given() -> None:
    assert answered(idea("Dropout lowers overfitting.", FIRST), [BOOSTING]) is None


def test_an_answer_that_its_units_do_not_support_is_not_kept() -> None:
    assert answered(idea("Dropout lowers overfitting by 40 percent.", FIRST), [DROPOUT]) is None
    assert not proved("Dropout lowers overfitting [1.2].", [DROPOUT], (Place("dropout.md", 28, 55),))
    assert not proved("Dropout lowers overfitting [1.1] [1.7].", [DROPOUT], (FIRST,)), "1.7 does not exist"


def test_lists_and_code_are_written_as_the_prompt_asks(tmp_path: Path) -> None:
    found = chunks(tmp_path, STEPS)
    steps = next(i for i in ideas(found[0], None, Random(0)) if i.kind == "list")
    assert written(steps.lines, passages(found)) == (
        "A run has three steps [1.1]:\n1. Read the rows [1.2].\n2. Fit the weights [1.3]\n3. Keep the best [1.4]."
    )
    found = chunks(tmp_path, CODE)
    code = next(i for i in ideas(found[0], None, Random(0)) if i.kind == "code")
    example = answered(code, passages(found))
    assert example is not None
    assert example.answer.endswith("forest.fit(X, y)\n```\n[1.1][1.2][1.3][1.4]")


def test_a_refusal_is_the_phrase_and_nothing_else() -> None:
    assert refused(idea("Dropout lowers overfitting.", FIRST), [BOOSTING]).to_json()["completion"] == [
        {"role": "assistant", "content": NOT_IN_GUIDES}
    ]


def test_a_follow_up_is_asked_as_serving_asks_it() -> None:
    follow = Idea(
        "follow",
        "And its rate?",
        (Line("Dropout lowers overfitting.", (FIRST,)),),
        (),
        (Turn("What is dropout?", "A way."),),
    )
    example = answered(follow, [DROPOUT])
    assert example is not None
    assert example.request.question == "What is dropout? And its rate?"
    assert "Earlier in this conversation:\nQ: What is dropout?\nA: A way." in example.prompt[1]["content"]


def test_a_planted_order_changes_neither_ids_nor_offsets() -> None:
    given_order = planted.with_order(DROPOUT, Random(3))
    assert set(shown([DROPOUT]).items()) < set(shown([given_order]).items())
    last = given_order.units[-1]
    assert given_order.text[last.start - given_order.start :] in planted.ORDERS
    example = answered(idea("Dropout lowers overfitting.", FIRST), [given_order, BOOSTING])
    assert example is not None
    assert example.answer == "Dropout lowers overfitting [1.1]."


def test_a_made_up_guide_has_other_figures_and_both_are_given(tmp_path: Path) -> None:
    found = chunks(tmp_path, TABLE)
    cell = next(i for i in tables.ideas(found[0], Random(1)) if i.figure == "$148,000")
    made = pairs.rival(cell, passages(found)[0], Random(1))
    assert made is not None
    other, (here, there) = made
    assert "148,000" not in other.text
    assert here.text == "Pay: pay for ML engineer: $148,000."
    example = answered(Idea("conflict", "?", (here, there), ()), [passages(found)[0], other])
    assert example is not None
    assert example.answer.count("[1.2]") == 1
    assert example.answer.count("[2.1]") == 1


@given(
    st.lists(st.sampled_from(["Dropout lowers overfitting", "Use 3.5 times", 'He said "no"', "e.g. this"]), min_size=1)
)
def test_every_sentence_of_a_line_ends_with_ids(sentences: list[str]) -> None:
    text = written([Line(". ".join(sentences) + ".", (FIRST,))], [DROPOUT])
    assert text.count("[1.1]") >= 1
    assert text.endswith("[1.1].")
    assert text.replace(" [1.1]", "") == ". ".join(sentences) + "."


def test_what_constrained_decoding_forbids_is_not_taught() -> None:
    lines = passage("code.md", "Run", *(f"step_{n}()" for n in range(6)))
    ids = "".join(f"[1.{n}]" for n in range(1, 7))
    code = "```\n" + "\n".join(f"step_{n}()" for n in range(6)) + "\n```\n"
    assert writable(code + ids, [lines])
    assert not writable(code, [lines]), "code without ids"
    assert not writable(f"It runs {ids}.", [lines]), "more ids than a sentence may have"
    assert not writable("It runs [1.9].", [lines])
