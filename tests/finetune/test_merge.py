from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from assistant.cli import main
from finetune.merge import Choice, best, check, likelihoods, questions
from tests.assistant.conftest import tiny_llama


def test_the_questions_are_forty_with_four_options_each_and_the_answer_anywhere() -> None:
    found = questions()
    assert len({choice.question for choice in found}) == len(found) == 40
    assert all(len(set(choice.options)) == 4 for choice in found)
    assert set(Counter(choice.answer for choice in found)) == {0, 1, 2, 3}


def test_the_answer_is_not_given_away_by_its_length() -> None:
    longest = sum(len(c.options[c.answer]) == max(map(len, c.options)) for c in questions())
    assert longest <= 20


def test_a_model_that_was_taught_an_option_chooses_it(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_llama(tmp_path)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    choice = Choice("What lowers overfitting?", ("a longer name", "dropout", "more of it", "nothing"), 1)
    ids = torch.tensor([tokenizer(f"Question: {choice.question}\nAnswer: dropout")["input_ids"]])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(30):
        model(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert best(model.eval(), tokenizer, choice) == 1


def test_padding_changes_no_likelihood(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_llama(tmp_path)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    endings = [" a", " a much longer ending than that"]
    together = likelihoods(model, tokenizer, "Question:", endings)
    alone = [likelihoods(model, tokenizer, "Question:", [ending])[0] for ending in endings]
    assert together == pytest.approx(alone, rel=1e-4)


def test_random_weights_know_nothing_and_the_interval_says_how_little_is_known(tmp_path: Path) -> None:
    result = check(f"llama:{tiny_llama(tmp_path)}", questions()[:20])
    assert result.correct + len(result.wrong) == 20
    assert result.low < result.correct / 20 < result.high


def test_evaluate_runs_it_for_each_local_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = f"llama:{tiny_llama(tmp_path / 'model')}"
    assert (
        main(["evaluate", "--domain-check", "--model", "quotes", "--model", model, "--out", str(tmp_path / "run")]) == 0
    )
    assert capsys.readouterr().out.startswith(f"{model}: ")
    (kept,) = json.loads((tmp_path / "run" / "domain_check.json").read_text())
    assert kept["model"] == model
    assert main(["evaluate", "--domain-check", "--model", "quotes"]) == 1
    assert "needs a local model" in capsys.readouterr().err
