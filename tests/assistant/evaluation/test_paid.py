"""What is paid for: price and consent, and message batches; against a server on loopback."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from assistant.evaluation import predictions
from assistant.evaluation.run import agreed
from tests.assistant.evaluation.claudes import PRICE, Claude
from tests.assistant.evaluation.making import Evaluate


def paid(evaluate: Evaluate, out: Path, *options: str | Path) -> int:
    return evaluate("--model", "claude", "--out", out, "--no-recipe", *options)


def found(out: Path) -> list[predictions.Prediction]:
    return predictions.read(out / predictions.FILE)


def test_without_a_key_nothing_is_begun(evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert paid(evaluate, tmp_path / "run", "--yes") == 1
    assert "claude needs a key" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_that_costs_money_is_asked_about_first(
    claude: Claude, evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paid(evaluate, tmp_path / "run", "--budget", "1") == 1
    said = capsys.readouterr().err
    assert "8 questions: about $0.0" in said
    assert "at most $1.00" in said
    assert "--yes" in said
    assert claude.loopback.asked == []
    assert not (tmp_path / "run").exists()


def test_consent_is_asked_for_on_a_terminal_and_no_is_no(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal:
        def __init__(self, typed: str) -> None:
            self.typed = typed

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return self.typed

    args = Namespace(yes=False, budget=None)
    for typed, agrees in (("y\n", True), ("\n", False), ("no\n", False)):
        monkeypatch.setattr("sys.stdin", Terminal(typed))
        assert agreed(2.5, "9 questions", args) is agrees
        assert "9 questions: about $2.50. Go ahead?" in capsys.readouterr().err
    assert agreed(0.0, "9 questions", args)
    assert capsys.readouterr().err == ""


def test_a_paid_run_counts_tokens_and_dollars_and_asks_nothing_again(
    claude: Claude, evaluate: Evaluate, tmp_path: Path
) -> None:
    assert paid(evaluate, tmp_path / "run", "--yes") == 0
    asked = len(claude.asked("/messages"))
    answers = [p.answer for p in found(tmp_path / "run") if p.answer and p.answer.usage]
    assert len(answers) == asked >= 1
    assert all(a.usage["dollars"] == pytest.approx(PRICE) for a in answers)
    scores = json.loads((tmp_path / "run" / "scores.json").read_text("utf-8"))
    assert scores["systems"][0]["dollars"] == pytest.approx(asked * PRICE)
    assert paid(evaluate, tmp_path / "run") == 0  # nothing is left to pay for, so nobody is asked
    assert len(claude.asked("/messages")) == asked


def test_a_budget_ends_a_run_that_a_larger_one_goes_on_with(
    claude: Claude, evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert paid(evaluate, tmp_path / "run", "--yes", "--workers", "1", "--budget", str(1.5 * PRICE)) == 1
    assert "the budget is spent" in capsys.readouterr().err
    spent = len(claude.asked("/messages"))
    assert spent <= 2
    assert paid(evaluate, tmp_path / "run", "--yes", "--budget", "1") == 0
    assert len(found(tmp_path / "run")) == 8


def test_a_batch_gives_what_streaming_gives_at_half_the_price(
    claude: Claude, evaluate: Evaluate, tmp_path: Path
) -> None:
    claude.polls = 2
    assert paid(evaluate, tmp_path / "run", "--yes", "--batch") == 0
    answered = [p for p in found(tmp_path / "run") if p.answer and p.answer.usage]
    assert len(found(tmp_path / "run")) == 8
    assert len(answered) == len(claude.batch) >= 1
    for p in answered:
        assert p.answer is not None
        assert p.answer.usage["dollars"] == pytest.approx(PRICE / 2)
        (sentence,) = p.answer.sentences
        (cited,) = sentence.footnotes
        assert sentence.text == "The first unit says it."
        assert cited.document == p.answer.passages[0].document
        assert p.invalid == 0
        assert p.first_word is None
    request = claude.batch[0]["params"]
    assert request["messages"][-1]["content"][0]["citations"] == {"enabled": True}
    assert "stream" not in request


def test_a_run_that_is_stopped_while_it_waits_goes_on_waiting_for_the_same_batch(
    claude: Claude, evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claude.polls = 10**9

    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("assistant.evaluation.batches.sleep", stop)
        assert paid(evaluate, tmp_path / "run", "--yes", "--batch") == 1
    claude.polls = 1
    assert paid(evaluate, tmp_path / "run", "--yes", "--batch") == 0
    assert len(claude.asked("/messages/batches")) == 1
    assert len(found(tmp_path / "run")) == 8


def test_what_a_batch_could_not_answer_failed_with_its_reason_and_is_asked_again(
    claude: Claude, evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claude.errored = {0}
    assert paid(evaluate, tmp_path / "run", "--yes", "--batch") == 1
    assert "1 answers failed" in capsys.readouterr().err
    (failed,) = (p.answer for p in found(tmp_path / "run") if p.failed)
    assert failed is not None
    assert "too busy" in failed.detail
    claude.errored = set()
    assert paid(evaluate, tmp_path / "run", "--yes", "--batch") == 0
    assert len(claude.batch) == 1
    assert not any(p.failed for p in found(tmp_path / "run"))
