from __future__ import annotations

import numpy as np

from assistant.ranking import Query, fused, lexical, rarity
from ingest.library import Words


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    assert rarity(1, 1000) > rarity(500, 1000) > 0


def test_a_word_in_the_heading_counts_beside_the_text_only() -> None:
    query = Query({"dropout": 1.0, "rate": 1.0}, {})
    assert lexical(query, Words(["rate", "high"], ["dropout"])) == (0.5, 1.0)


def test_an_abbreviation_is_found_by_its_long_form_but_not_by_half_of_it() -> None:
    query = Query({"rag": 1.0}, {"rag": [("retriev", "augment", "generat")]})
    assert lexical(query, Words(["retriev", "augment", "generat"], []))[0] == 1.0
    assert lexical(query, Words(["retriev", "generat"], []))[0] == 0.0


def test_where_no_word_of_the_question_is_found_meaning_alone_decides() -> None:
    nothing = np.zeros(2)
    assert np.argmax(fused(np.array([0.4, 0.5]), nothing, nothing)) == 1


def test_words_overrule_a_small_difference_in_meaning_only_when_most_of_them_are_found() -> None:
    cosine = np.array([0.50, 0.58])
    assert np.argmax(fused(cosine, np.array([1.0, 0.0]), np.array([1.0, 0.0]))) == 0
    assert np.argmax(fused(cosine, np.array([0.2, 0.0]), np.array([0.2, 0.0]))) == 1
