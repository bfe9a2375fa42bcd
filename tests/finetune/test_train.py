from __future__ import annotations

from dataclasses import asdict

from assistant.prompts import NOT_IN_GUIDES, messages
from assistant.records import Request
from finetune.train import sampled


def said(request_: Request, answer: str) -> dict[str, list[dict[str, str]]]:
    return {"prompt": messages(request_), "completion": [{"role": "assistant", "content": answer}]}


def test_a_sample_is_judged_by_its_ids_its_refusals_and_its_words(request_: Request) -> None:
    taught = [said(request_, "Dropout lowers overfitting [1.1]."), said(request_, NOT_IN_GUIDES)]
    perfect = sampled(["Dropout lowers overfitting [1.1].", NOT_IN_GUIDES], taught)
    assert set(asdict(perfect).values()) == {1}
    wrong = sampled(["Dropout helps [1.1][7.7].", "It is so [2.1]."], taught)
    assert (wrong.footnotes_valid, wrong.precision, wrong.recall, wrong.supported, wrong.exact) == (2 / 3, 0.5, 1, 0, 0)
    assert (wrong.answered, wrong.refused) == (1, 0)
    silent = sampled([NOT_IN_GUIDES, NOT_IN_GUIDES], taught)
    assert (silent.answered, silent.refused, silent.merit) == (0, 1, 0.5)


def test_an_id_in_the_system_prompt_is_not_one_that_exists(request_: Request) -> None:
    assert "[2.3]" in str(messages(request_)[0]["content"])
    assert sampled(["It is so [2.3]."], [said(request_, "Dropout lowers overfitting [1.1].")]).footnotes_valid == 0


def test_where_no_footnote_was_written_none_is_called_right_or_wrong(request_: Request) -> None:
    found = sampled([NOT_IN_GUIDES], [said(request_, NOT_IN_GUIDES)])
    assert found.footnotes_valid is None
    assert str(found) == (
        "merit 100%, answered –, refused 100%, supported –, precision –, recall –, footnotes valid –, exact 100%"
    )
