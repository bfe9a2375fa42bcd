"""What a good answer is worth, and which pairs a model's own answers make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assistant.prompts import NOT_IN_GUIDES, NOT_OUTRIGHT, messages
from assistant.records import Request
from finetune.prefer import Pair, Preference, asked, balanced, pair_of, prefer
from finetune.train import graded, passages_of
from ingest.errors import FootnoteError

RIGHT = "Dropout lowers overfitting [1.1]."


def said(request: Request, reference: str = RIGHT) -> dict[str, Any]:
    return {"prompt": messages(request), "completion": [{"role": "assistant", "content": reference}]}


def merit(answer: str, request: Request, reference: str = RIGHT) -> float:
    return graded(answer, said(request, reference)).merit


def test_the_prompt_alone_gives_back_the_passages_with_their_ids(request_: Request) -> None:
    table = replace(request_.passages[1], header="| what | wins |")
    found = passages_of(said(replace(request_, passages=(request_.passages[0], table))))
    assert [passage.title for passage in found] == [passage.title or passage.document for passage in request_.passages]
    assert [passage.header for passage in found] == ["", "| what | wins |"]
    for passage, shown in zip(request_.passages, found, strict=True):
        texts = [shown.text[unit.start : unit.end] for unit in shown.units]
        assert texts == [passage.text[u.start - passage.start : u.end - passage.start] for u in passage.units]


def test_answers_are_ranked_from_right_to_made_up(request_: Request) -> None:
    ranked = [
        RIGHT,
        "Dropout lowers overfitting [1.1][2.1].",
        "Dropout lowers overfitting [1.2].",
        NOT_IN_GUIDES,
    ]
    merits = [merit(answer, request_) for answer in ranked]
    assert merits == sorted(merits, reverse=True)
    assert merits[0] == 1
    assert merits[1] > merits[2]
    assert merit("Dropout lowers overfitting by 40 percent [1.1].", request_) < merits[1]
    assert merit("Dropout lowers overfitting [7.1].", request_) == 0


def test_needless_words_cost_and_copied_ones_cost_more(request_: Request) -> None:
    long = "It drops half of the units [1.2]. Boosting wins on tables [2.1]. Deep nets win on images [2.2]."
    assert 0 < merit(f"{RIGHT} {long}", request_) < merit(RIGHT, request_)
    words = " ".join(f"word{n}" for n in range(60))
    copied = graded(f"{words} [1.1].", said(replace(request_, passages=(_passage(words),)), "word1 word2 [1.1]."))
    assert copied.copied > 0.9
    assert graded(f"{words} [1.1].", said(request_)).copied == 0


def _passage(text: str) -> Any:
    from tests.assistant.conftest import passage

    return passage("words.md", "Words", text)


def test_refusing_what_can_be_answered_is_worth_nothing_and_the_other_way_round_little(request_: Request) -> None:
    assert merit(NOT_IN_GUIDES, request_) == 0
    assert merit(NOT_IN_GUIDES, request_, NOT_IN_GUIDES) == 1
    assert 0 < merit(RIGHT, request_, NOT_IN_GUIDES) < 0.5
    assert merit("It is 42 [1.1].", request_, NOT_IN_GUIDES) < merit(RIGHT, request_, NOT_IN_GUIDES)


def test_coming_near_is_said_where_it_is_so_and_only_there(request_: Request) -> None:
    near = f"{NOT_OUTRIGHT} {RIGHT}"
    assert merit(near, request_, near) == 1
    assert merit(RIGHT, request_, near) == merit(near, request_) == 0.7


def test_the_best_and_the_worst_answer_are_a_pair(request_: Request) -> None:
    pair = pair_of(3, [NOT_IN_GUIDES, RIGHT, "Nets help [1.2]."], said(request_), 0.2)
    assert pair == Pair(3, RIGHT, NOT_IN_GUIDES, (1.0, 0.0), False)


def test_answers_that_are_alike_make_no_pair(request_: Request) -> None:
    assert pair_of(0, [RIGHT, RIGHT], said(request_), 0.2) is None


def test_where_no_answer_is_good_the_reference_is_the_better_one(request_: Request) -> None:
    pair = pair_of(0, ["It is 42 [1.1].", NOT_IN_GUIDES], said(request_), 0.2)
    assert pair is not None
    assert (pair.chosen, pair.merits[0]) == (RIGHT, 1.0)


def test_as_many_refusals_are_taught_as_answers(request_: Request) -> None:
    pairs = [Pair(n, "a", "b", (1.0, 0.0), n % 4 == 0) for n in range(40)]
    kept = balanced(pairs, 0)
    assert len(kept) == 20
    assert sum(pair.refusal for pair in kept) == 10
    assert balanced(pairs[1:4], 0) == pairs[1:4]
    rows = [said(request_, RIGHT if n % 4 else NOT_IN_GUIDES) for n in range(40)]
    assert sum(n % 4 == 0 for n in asked(rows, 12, 0)) == 6
    assert len(asked(rows, 30, 0)) == 30


def test_without_an_adapter_it_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(FootnoteError, match=r"is no adapter of ours .*: footnote finetune train --out"):
        prefer(Preference(adapter=tmp_path, data=tmp_path, out=tmp_path / "out"))
