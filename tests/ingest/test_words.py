from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.words import content_terms, figure, is_slip, short_forms, terms


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("$148K", "$148,000"),
        ("148 thousand", "148000"),
        ("80 %", "80 percent"),
        ("1.5 million", "1,500,000"),
        ("networks", "network"),
        ("overfitting", "Overfitted"),
        ("fine-tuning", "finetuning"),
        ("the model's", "model"),
        ("ﬁne", "fine"),
        ("Which optimizer?", "optimisers"),
        ("normalization", "normalisation"),
        ("quantized", "quantised"),
        ("nearest neighbors", "a neighbour"),
        ("analyzing", "analysed"),
        ("cluster centers", "the centre"),
    ],
)
def test_ways_to_write_one_thing_share_a_term(one: str, other: str) -> None:
    assert set(terms(one)) & set(terms(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("80 %", "80"),
        ("$1.5 million", "$15 million"),
        ("0.5", "5"),
        ("GPT-4", "GPT-3"),
        ("q_proj", "k_proj"),
        ("tokenizer", "token"),
        ("normalization", "normal"),
    ],
)
def test_things_that_differ_do_not_share_all_their_terms(one: str, other: str) -> None:
    assert set(terms(one)) != set(terms(other))


def test_an_identifier_is_found_whole_and_by_its_parts() -> None:
    assert {"minsamplesleaf", "leaf"} <= set(terms("min_samples_leaf")) or {"min_samples_leaf", "leaf"} <= set(
        terms("min_samples_leaf")
    )
    assert "proj" in terms("q_proj")
    assert set(terms("RandomForestClassifier")) >= set(terms("random forest classifier"))


def test_words_that_only_ask_are_left_out_of_a_question_unless_it_has_no_others() -> None:
    assert content_terms("What is the learning rate of Adam?") == ["learn", "rate", "adam"]
    assert content_terms("what is it?")
    assert content_terms("?!") == []
    assert content_terms("Salaries in the US") != content_terms("Salaries in the us")


def test_abbreviations_are_taken_with_the_words_that_they_stand_for() -> None:
    text = "We use Retrieval-Augmented Generation (RAG), stochastic gradient descent (SGD) and tables (see below)."
    assert dict(short_forms(text)) == {"RAG": "Retrieval Augmented Generation", "SGD": "stochastic gradient descent"}


def test_a_figure_is_one_term() -> None:
    assert figure("$148K") == "148000"
    assert figure("3.5 %") == "3d5pct"


@pytest.mark.parametrize(
    ("written", "term"),
    [
        ("1234567890123456million", "1234567890123456000000"),
        ("999999999999999999999999k", "999999999999999999999999000"),
        ("$12,345,678,901.5 thousand", "12345678901500"),
        ("0.0004k", "0"),
        ("1.00005k", "1000"),
    ],
)
def test_a_figure_of_any_length_is_one_exact_term(written: str, term: str) -> None:
    assert figure(written) == term
    assert terms(f"It has {written} rows.") == [*terms("It has"), term, *terms("rows.")]


@pytest.fixture(scope="module")
def index() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute("""CREATE VIRTUAL TABLE words USING fts5 (text, tokenize="ascii tokenchars '_'")""")
    db.execute("CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, row)")
    return db


@given(st.text(max_size=60))
def test_every_term_is_one_token_of_the_full_text_index(index: sqlite3.Connection, text: str) -> None:
    found = terms(text)
    index.execute("DELETE FROM words")
    index.execute("INSERT INTO words VALUES (?)", (" ".join(found),))
    assert {row[0] for row in index.execute("SELECT term FROM vocabulary")} == set(found)
    for term in set(found):
        assert index.execute("SELECT count(*) FROM words WHERE words MATCH ?", (f'"{term}"',)).fetchone() == (1,)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("pytroch", "pytorch"),
        ("reserch", "research"),
        ("classsic", "classic"),
        ("transfom", "transform"),
        ("tset", "test"),
    ],
)
def test_a_letter_too_many_or_too_few_or_two_turned_round_are_a_slip(typed: str, meant: str) -> None:
    assert is_slip(typed, meant)


@pytest.mark.parametrize(("typed", "other"), [("replay", "replac"), ("gradient", "gradual"), ("abcd", "badc")])
def test_another_word_is_no_slip(typed: str, other: str) -> None:
    assert not is_slip(typed, other)
