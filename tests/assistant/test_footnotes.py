"""Whether a sentence is supported by the units that it cites."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.footnotes import Claim, Draft, is_quote, prove, prove_all, segments
from assistant.prompts import NOT_IN_GUIDES
from assistant.records import Cite
from tests.assistant.conftest import passage

SPLIT = "Use 30 % of the data to train and 70 % of it to test."
PAY = "| ML Engineer | $128K | $160K |"
PAY_BESIDE = ("| Role | Entry level | Senior |", "Careers > Salaries")


RETOLD = [
    ("An ML engineer earns $148,000 on average.", "ML Engineer: $148K average"),
    ("An ML engineer earns 148 thousand dollars on average.", "ML Engineer: $148,000 average"),
    ("Machine learning engineers earn $148K.", "An ML engineer earns about $148K."),
    ("ML needs data.", "Machine learning needs data."),
    ("Accuracy reached 80%.", "The accuracy reached 80 percent."),
    ("Hold out 20 % for testing.", "Hold data out for testing: train_test_split(X, y, test_size=0.2)"),
    ("Salaries range from $130,000 to $160,000.", "Salary range: $130K–$160K."),
    ("Salaries range between 130K and 160K.", "Salary range: 130-160K."),
    ("There are three types of learning.", "The 3 main types of learning."),
    ("There are 3 types of learning.", "Learning has three types."),
    ("The model has 70B parameters.", "A 70-billion-parameter model."),
    ("A GPU is needed.", "You need GPUs."),
    ("Pre-trained models save time.", "A pretrained model saves you time."),
    ("The pretrained model saves time.", "Pre-trained models save time."),
    ("It was published on April 21, 2026.", "published: 2026-04-21"),
    ("It was published on 2026-04-21.", "Published 21 Apr 2026."),
    ("Load Llama 3.1 8B in 4 bit.", "Llama-3.1-8B is loaded in 4-bit."),
    ("Use GPT-4 for that.", "GPT 4 can be used for that."),
    ("Call `model.fit()` first.", "model.fit(X_train, y_train) comes first; call it"),
    ("Set min_samples_leaf higher.", "Setting `min_samples_leaf` to a higher value"),
    ("A random forest is trained.", "clf = RandomForestClassifier()  # training"),
    ("Japan has many users.", "Japanese users are many."),
    ("- **Dropout** lowers overfitting.", "Dropout lowers overfitting"),
    (SPLIT, SPLIT),
    ("Train on 30 % and test on 70 %.", SPLIT),
    ("You do not need a GPU for small models.", "A GPU is not needed for small models."),
    ("No GPU is required for small models.", "For small models, a GPU is not required."),
    ("XGBoost is faster than deep nets.", "Deep nets are slower than XGBoost."),
    ("Dropout is not only useful in small models.", "Dropout is useful in small models, and in large models."),
    ("Between 1978 and 2008 students took seven classes.", "Students took seven classes between 1978 and 2008."),
]


@pytest.mark.parametrize(("sentence", "unit"), RETOLD)
def test_no_rule_stands_against_what_the_source_says_in_other_words_or_figures(sentence: str, unit: str) -> None:
    proof = prove(sentence, [unit])
    assert proof.missing == ()
    assert proof.supported or proof.why.startswith("the words it cites do not say")


def test_most_of_what_the_source_says_in_other_words_is_supported_and_little_is_refused() -> None:
    found = [proof.outcome for proof in prove_all([Claim(sentence, (unit,)) for sentence, unit in RETOLD])]
    assert found.count("supported") >= 0.6 * len(found)
    assert found.count("not supported") <= 0.15 * len(found)


@pytest.mark.parametrize(
    ("sentence", "unit", "missing"),
    [
        ("An ML engineer earns $149K.", "An ML engineer earns $148K.", "$149K"),
        ("An ML engineer earns $148M.", "An ML engineer earns $148K.", "$148M"),
        ("An ML engineer earns €148K.", "An ML engineer earns $148K.", "€148K"),
        ("An ML engineer earns 148.", "An ML engineer earns $148K.", "148"),
        ("Accuracy reached 80.", "Accuracy reached 80 %.", "80"),
        ("Training takes 12 hours.", "Training takes 12 minutes.", "12 hours"),
        ("It needs 24 GB.", "It needs 24 MB.", "24 GB"),
        ("It has three layers.", "It has four layers.", "three layers"),
        ("It began in the 2020s.", "It began in 2020.", "2020s"),
        ("Published in May 2026.", "Published in April 2026.", "May"),
        ("Published on 2026-04-22.", "Published on 2026-04-21.", "22"),
        ("Published in November.", "Published in December.", "November"),
        ("Use GPT-4o for that.", "Use GPT-4 for that.", "GPT-4o"),
        ("Use Llama-3.1-8B.", "Use Llama-3.2-8B.", "Llama-3.1-8B"),
        ("Set `min_samples_leaf` to 5.", "Set `min_samples_split` to 5.", "`min_samples_leaf`"),
        ("Call nn.Linear first.", "Call nn.Conv2d first, not Linear", "nn.Linear"),
        ("Install transformers 5.23.0 first.", "Install transformers 5.23.1 first.", "5.23.0"),
    ],
)
def test_a_figure_date_or_identifier_that_is_not_there_is_named(sentence: str, unit: str, missing: str) -> None:
    proof = prove(sentence, [unit])
    assert not proof.supported
    assert proof.missing == (missing,)
    assert missing in proof.why


@pytest.mark.parametrize(
    ("sentence", "unit"),
    [
        ("A GPU is needed for small models.", "A GPU is not needed for small models."),
        ("A GPU is not needed for large models.", "A GPU is needed for large models."),
        ("You need a GPU.", "There is no need for a GPU."),
        ("Dropout never helps recurrent nets.", "Dropout helps recurrent nets."),
        ("Dropout helps recurrent nets.", "Dropout doesn't help recurrent nets."),
        ("It learns without labels.", "It learns from labels."),
        ("You can't train it on a laptop.", "You can train it on a laptop."),
        ("It is always worth the cost of training.", "It is never worth the cost of training."),
    ],
)
def test_a_sentence_that_says_the_opposite_in_the_same_words_is_not_supported(sentence: str, unit: str) -> None:
    proof = prove(sentence, [unit])
    assert not proof.supported
    assert proof.missing == ()
    assert proof.why


@pytest.mark.parametrize(
    ("sentence", "unit"),
    [
        ("Use 70 % of the data to train and 30 % of it to test.", SPLIT),
        ("70 % train, 30 % test", SPLIT),
        ("Accuracy rose from 90 % to 70 %.", "Accuracy rose from 70 % to 90 %."),
        ("Choose a 30/70 split.", "A 70/30 split is the one to choose."),
        ("It was overtaken in 2016.", "TensorFlow was new in 2016; in 2026 it was overtaken."),
        ("It has 300 billion parameters.", "It has 175 billion parameters and saw 300 billion tokens."),
        ("It has 32 attention heads.", "It has 32 decoder blocks and 16 attention heads."),
    ],
)
def test_swapped_figures_are_not_supported(sentence: str, unit: str) -> None:
    assert not prove(sentence, [unit]).supported


def test_a_figure_belongs_to_its_row_and_column() -> None:
    rows = [PAY, "| Data Scientist | $130K | $165K |"]
    assert prove("Senior ML engineers earn $160K.", rows, PAY_BESIDE).outcome != "not supported"
    assert prove("An entry-level data scientist earns $130K.", rows, PAY_BESIDE).outcome != "not supported"
    assert not prove("Senior ML engineers earn $128K.", rows, PAY_BESIDE).supported
    assert not prove("Entry-level data scientists earn $128K.", rows, PAY_BESIDE).supported


def test_a_header_gives_its_cells_their_unit_and_scale() -> None:
    assert prove("An ML engineer earns $148K.", ["| ML engineer | 148 |"], ["| Role | Earns ($K) |"]).supported
    assert prove("The ResNet has 91 % accuracy.", ["| ResNet | 91 |"], ["| Model | Accuracy (%) |"]).supported
    assert not prove("An ML engineer earns €148K.", ["| ML engineer | 148 |"], ["| Role | Earns ($K) |"]).supported


def test_what_the_source_does_not_say_at_all_is_not_supported_and_the_words_are_named() -> None:
    proof = prove("Bananas are yellow fruit.", ["Dropout sets a random part of the units of a layer to zero."])
    assert proof.outcome == "not supported"
    assert proof.why == "the words it cites do not say “Bananas”, “yellow”, “fruit”"


def test_a_name_in_place_of_another_is_not_supported() -> None:
    changed = [
        ("Google introduced it.", "OpenAI introduced it."),
        ("It was introduced by Andrew Ng.", "It was introduced by Andrew Yao."),
        ("Transformers were proposed at Stanford.", "Transformers were proposed at Google."),
        ("Keras was written by Linus Torvalds.", "Keras was written by François Chollet."),
    ]
    assert not any(prove(sentence, [unit]).supported for sentence, unit in changed)


def test_an_answers_sentences_are_judged_together_as_each_is_alone() -> None:
    claims = [Claim(sentence, (unit,)) for sentence, unit in RETOLD[:6]] + [Claim("No footnote.", ())]
    assert prove_all(claims) == [prove_all([claim])[0] for claim in claims]


def test_months_that_are_words_too_are_no_dates() -> None:
    assert prove("It may march on.", ["It can march on."]).missing == ()


def test_a_sentence_is_proved_by_all_of_its_units_together() -> None:
    units = ["Boosting won 60 % of the contests.", "Bagging won 25 % of the contests."]
    assert prove("Boosting won 60 % and bagging 25 % of the contests.", units).outcome != "not supported"
    assert prove("Boosting won 60 % and bagging 25 % of the contests.", units[:1]).outcome == "not supported"


def test_without_a_footnote_nothing_that_is_stated_is_supported() -> None:
    assert not prove("Dropout lowers overfitting.", []).supported
    assert prove("Dropout lowers overfitting.", []).why == "it has no footnote"


def test_every_passage_is_not_a_reference() -> None:
    """The check that was always true in another system: a sentence beside a unit about something else."""
    assert not prove("Dropout lowers overfitting.", ["The Eiffel Tower is in Paris."]).supported


@pytest.mark.parametrize(
    ("sentence", "cited", "beside"),
    [
        ("Dropout **helps** most nets.", ["- Dropout helps most nets"], ()),
        ("Read the paper first.", ["Read [the paper](https://a.b/c) first."], ()),
        ("Dropout helps.", ["Dropout helps. It costs nothing."], ()),
        ("It costs nothing.", ["“Dropout helps.” It costs nothing."], ()),
        ("Dropout helps. It costs nothing.", ["Dropout helps.", "It costs nothing."], ()),
        ("- Nets: Dropout helps.", ["Dropout helps."], ("Nets: all of them › Dropout",)),
        ("- ML Engineer — Entry level: $128K; Senior: $160K", [PAY], PAY_BESIDE),
        ("| ML Engineer | $128K | $160K |", [PAY], ()),
    ],
)
def test_whole_sentences_of_a_unit_are_quotes_however_they_are_marked_up(
    sentence: str, cited: list[str], beside: tuple[str, ...]
) -> None:
    assert is_quote(Claim(sentence, tuple(cited), beside))
    assert prove(sentence, cited, beside).outcome == "supported"


@pytest.mark.parametrize(
    ("sentence", "unit"),
    [
        ("Dropout is useless.", "Myth: Dropout is useless."),
        ("Needed in small models.", "Dropout is not needed in small models."),
        ("It takes 3", "It takes 3.5 hours."),
        ("Dropout helps.", "It is said, Dropout helps; in truth it does not."),
        ("Call init first.", "Call __init__ first."),
        ("", "Dropout helps."),
        ("...", "Dropout helps."),
    ],
)
def test_part_of_a_sentence_is_no_quote_of_it(sentence: str, unit: str) -> None:
    assert not is_quote(Claim(sentence, (unit,)))


@pytest.mark.parametrize(
    "sentence",
    [
        "Here is what the guides say:",
        "Here are the main types of machine learning:",
        "In short:",
        "I hope this helps!",
        "The guides differ.",
        "Two guides disagree here.",
        "According to the guides:",
        "Let me know if you want more details.",
    ],
)
def test_sentences_that_only_lead_over_need_no_footnote(sentence: str) -> None:
    assert prove(sentence, []).supported
    assert prove(sentence, []).kind == "connects"


@pytest.mark.parametrize(
    "sentence",
    [
        "Here are 3 reasons why dropout always fails in practice with deep transformers:",
        "Here is why dropout is not useful:",
        "There are three types of learning:",
        "The guides say that boosting wins.",
        "According to the guides, the salary is $148K.",
        "Sure, dropout lowers overfitting.",
        "It helps.",
        "They differ in detail.",
        "This gives different answers.",
    ],
)
def test_what_states_something_needs_a_footnote_however_it_begins(sentence: str) -> None:
    assert not prove(sentence, []).supported


@pytest.mark.parametrize(
    "sentence",
    [NOT_IN_GUIDES, "The guides do not say what it costs in Peru.", "Salaries in Peru are not covered in the guides."],
)
def test_saying_what_is_absent_is_a_kind_of_its_own(sentence: str) -> None:
    assert prove(sentence, []).kind == "absent"


def test_saying_what_is_absent_carries_no_claim_along() -> None:
    assert prove("The guides do not say it, but dropout costs accuracy.", []).kind == "states"
    assert prove("The guides do not say that it costs $5.", []).kind == "states"


@pytest.mark.parametrize(
    "sentence",
    [
        "It was invented by Google in a secret lab and it does not include any bias.",
        "It does not include any bias.",
        "They do not cover the cost of training.",
        "The guides do not mention bias and Google invented dropout in a lab.",
        "Dropout was invented by Google and prices are not covered in the guides.",
        "Dropout, which the guides do not mention, always wins.",
        "The source of the error does not include the optimizer.",
        "The model in the documents does not say hello to strangers.",
        "Google trains models that the guides do not describe.",
        "Documents do not contain labels.",
        "Texts written by Google do not include bias.",
        "The guides do not mention it (Google bought it).",
        "The guides do not mention Google who invented it.",
        "Google, as the guides do not say, bought it.",
    ],
)
def test_what_only_sounds_like_silence_of_the_guides_needs_a_footnote(sentence: str) -> None:
    assert prove(sentence, []).kind == "states"
    assert not prove(sentence, []).supported


@pytest.mark.parametrize(
    "sentence",
    [
        "The passages do not mention who wrote the library.",
        "The guides do not say who invented it.",
        "Unfortunately, the guides don't give a price for Peru.",
        "The provided documents did not discuss Peru.",
        "Prices in Peru are not mentioned in any of the guides.",
    ],
)
def test_the_guides_as_the_subject_of_saying_nothing_need_no_footnote(sentence: str) -> None:
    assert prove(sentence, []).kind == "absent"


def test_code_stands_in_the_source_line_by_line() -> None:
    unit = "model.fit(X, y)\nprint(model.score(X, y))"
    assert prove("```python\nmodel.fit(X, y)\nprint( model.score(X, y) )\n```", [unit]).supported
    proof = prove("```python\nmodel.fit(X, y, epochs=3)\n```", [unit])
    assert (proof.supported, proof.missing, proof.kind) == (False, ("model.fit(X, y, epochs=3)",), "code")


WORDS = st.sampled_from(
    """dropout lowers overfitting in small models while boosting needs 30 % of data and not more than 12 GB or three
    epochs on a GPU since 2019 | $148K Adam is never faster than `nn.Linear` , . ; ( ) : –
    training without labels""".split()
)


@given(st.lists(WORDS, min_size=1, max_size=30).map(" ".join))
def test_what_the_source_says_word_for_word_is_supported(text: str) -> None:
    assert prove(text, [text]).supported
    assert prove(text, ["Something else.", text]).supported


@given(st.text(max_size=80), st.lists(st.text(max_size=80), max_size=3), st.lists(st.text(max_size=40), max_size=2))
def test_any_text_gets_a_verdict(sentence: str, cited: list[str], beside: list[str]) -> None:
    proof = prove(sentence, cited, beside)
    assert proof.supported != bool(proof.why)


@given(st.integers(2, 10**9), st.integers(2, 10**9))
def test_another_figure_is_never_supported(first: int, second: int) -> None:
    assert prove(f"The model saw {first} examples.", [f"The model saw {second} examples."]).supported == (
        first == second
    )


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


def test_a_footnote_says_the_page_on_which_its_words_stand() -> None:
    made = Draft([replace(PASSAGES[0], pages=((0, 3), (40, 4))), PASSAGES[1]])
    made.add("Nothing is paid.")
    made.cite(Cite(((0, 0), (0, 2), (1, 0))))
    [sentence] = made.finished(everything=True)
    assert [note.page for note in sentence.footnotes] == [3, 4, None]
    assert [note.place.endswith(f", page {note.page}") for note in sentence.footnotes] == [True, True, False]


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


@pytest.mark.parametrize("fence", ["```", "````", "~~~", "~~~~~"])
def test_a_block_of_code_ends_with_the_marks_that_it_began_with_or_more(fence: str) -> None:
    inner = "```" if fence != "```" else "~~~"
    code = f"{fence}md\n{inner}python\na[1.1] = 2\n{inner}\n{fence}"
    text = f"Look:\n{code}\nDropout helps. It costs nothing."
    assert [text[a:b] for a, b in segments(text)] == ["Look:", code, "Dropout helps.", "It costs nothing."]


def test_prose_after_a_block_with_four_backticks_is_proved_as_prose() -> None:
    said = draft("````\nx = 1\n````\nDropout lowers overfitting.", Cite(((0, 0),))).sentences
    assert [(s.text, s.supported) for s in said][1:] == [("Dropout lowers overfitting.", True)]


def looked_at(words: int) -> float:
    """Seconds for a text of so many words that come one by one; the least of three."""

    def once() -> float:
        made, started = Draft(PASSAGES), time.process_time()
        for _ in range(words):
            made.add("word ")
            made.finished()
        return time.process_time() - started

    return min(once() for _ in range(3))


def test_a_text_without_a_stop_that_is_twice_as_long_takes_no_more_than_three_times_as_long() -> None:
    assert looked_at(8000) < 3 * looked_at(4000)


def test_a_long_sentence_is_whole_and_cited_however_rarely_it_is_looked_at() -> None:
    made = Draft(PASSAGES)
    for _ in range(3000):
        made.add("word ")
        assert made.finished() == []
    made.cite(Cite(((0, 0),)))
    made.add(". Next one begins")
    fresh = made.finished(everything=True)
    assert [len(fresh), len(fresh[0].footnotes), len(fresh[1].footnotes)] == [2, 1, 0]
