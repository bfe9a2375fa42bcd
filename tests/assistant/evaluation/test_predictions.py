"""What is paid for: price and consent, and message batches; against a server on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.answer import Assistant
from assistant.evaluation import predictions, questions
from assistant.evaluation.predictions import Log, Outcome, Prediction, generate, generate_together, predictor
from assistant.evaluation.questions import Question
from assistant.evaluation.score import summarise
from assistant.records import Cite, Request, Stop, Text
from assistant.terminal import agreed
from ingest.errors import WriterError
from tests.assistant.evaluation.claudes import PRICE, Claude
from tests.assistant.evaluation.making import Evaluate, answer, many, predicted, write_questions

ASKED = [Question(f"q{n}", "fact", f"{n}?", facts=("x",)) for n in range(20)]


def asking(file: Path, predict: object, questions: list[Question] = ASKED, **how: object) -> Outcome:
    log = Log(file)
    try:
        return generate(predict, "m", questions, log, **how)  # type: ignore[arg-type]
    finally:
        log.close()


def costing(dollars: float) -> object:
    return lambda question: predicted(question, answer(("x", ()), usage={"dollars": dollars}))


def test_every_question_is_asked_once_and_never_more_at_once_than_said(tmp_path: Path) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def predict(question: Question) -> Prediction:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return predicted(question, answer(("x", ())))

    outcome = asking(tmp_path / "p", predict, workers=3)
    assert most == 3
    assert (outcome.asked, outcome.failed, outcome.left_out) == (20, 0, 0)
    assert sorted(p.question.id for p in predictions.read(tmp_path / "p")) == sorted(q.id for q in ASKED)


def test_progress_tells_how_much_is_done_and_what_it_cost(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    asking(tmp_path / "p", costing(0.5), tell=lambda *how_far: told.append(how_far))
    assert [(done, total) for done, total, _ in told] == [(n, 20) for n in range(1, 21)]
    assert told[9][2] == "$5.00"


@pytest.mark.parametrize(("budget", "asked"), [(0.0, 0), (1.0, 10), (0.95, 9), (100.0, 20)])
def test_no_question_is_begun_that_the_budget_does_not_cover(tmp_path: Path, budget: float, asked: int) -> None:
    outcome = asking(tmp_path / "p", costing(0.1), workers=4, budget=budget)
    assert outcome.asked == asked
    assert outcome.left_out == 20 - asked
    assert outcome.dollars <= budget + 1e-9


def test_five_failures_in_a_row_end_the_run_with_the_reason_in_one_line(tmp_path: Path) -> None:
    def predict(question: Question) -> Prediction:
        status = "answered" if question.id == "q2" else "failed"
        return predicted(question, answer(status=status, detail="the key is refused"))  # type: ignore[arg-type]

    with pytest.raises(WriterError, match="5 times in a row") as error:
        asking(tmp_path / "p", predict)
    assert "the key is refused" in str(error.value)
    assert "\n" not in str(error.value)
    assert len(predictions.read(tmp_path / "p")) == 8  # two, the one that went well, five more


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    log = Log(tmp_path / "p")
    for prediction in many(8):
        log.add(prediction)
    log.close()
    assert predictions.read(tmp_path / "p") == many(8)


def test_a_line_that_a_kill_cut_short_costs_only_itself(tmp_path: Path) -> None:
    first, second = many(2)
    file = tmp_path / "p"
    file.write_text(json.dumps(first.to_json()) + "\n" + json.dumps(second.to_json())[:200], encoding="utf-8")
    log = Log(file)
    log.add(replace(second, first_word=9.0))
    log.close()
    assert predictions.read(file) == [first, replace(second, first_word=9.0)]


def test_of_two_answers_to_a_question_the_later_one_counts(tmp_path: Path) -> None:
    one = many(1)[0]
    log = Log(tmp_path / "p")
    for prediction in (one, replace(one, invalid=1)):
        log.add(prediction)
    log.close()
    assert predictions.read(tmp_path / "p") == [replace(one, invalid=1)]


def test_a_run_goes_on_where_it_was_and_asks_nothing_twice(evaluate: Evaluate, tmp_path: Path) -> None:
    file = tmp_path / "run" / predictions.FILE
    assert evaluate("--out", tmp_path / "run", "--limit", 3, "--no-recipe") == 0
    before = file.read_text("utf-8")
    assert before.count("\n") == 3
    file.write_text(before + '{"model": "quotes", "questi', encoding="utf-8")
    assert evaluate("--out", tmp_path / "run", "--no-recipe") == 0
    assert file.read_text("utf-8").startswith(before)
    assert sorted(p.question.id for p in predictions.read(file)) == [f"q{n}" for n in range(8)]
    whole = file.read_text("utf-8")
    assert evaluate("--out", tmp_path / "run", "--no-recipe") == 0
    assert file.read_text("utf-8") == whole


def test_answers_that_failed_are_asked_again(evaluate: Evaluate, tmp_path: Path) -> None:
    file = tmp_path / "run" / predictions.FILE
    assert evaluate("--out", tmp_path / "run", "--no-recipe") == 0
    found = predictions.read(file)
    said = found[1].answer
    assert said is not None
    log = Log(file)
    log.add(replace(found[1], answer=replace(said, status="failed")))
    log.close()
    assert sum(p.failed for p in predictions.read(file)) == 1
    assert evaluate("--out", tmp_path / "run", "--no-recipe") == 0
    assert sum(p.failed for p in predictions.read(file)) == 0


def test_a_run_that_is_killed_ends_as_if_it_had_not_been(small_library: Path, tmp_path: Path) -> None:
    questions = write_questions(tmp_path / "questions.jsonl", times=5)
    command = [sys.executable, "-m", "assistant.cli", "evaluate", str(questions)]
    command += ["--library", str(small_library), "--no-rerank", "--no-recipe", "--out"]
    file = tmp_path / "killed" / predictions.FILE
    process = subprocess.Popen([*command, str(tmp_path / "killed")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (file.is_file() and file.read_bytes().count(b"\n") >= 5):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(predictions.read(file)) < 40
    for folder in ("killed", "whole"):
        subprocess.run([*command, str(tmp_path / folder)], check=True, capture_output=True)
    killed, whole = (
        {p.question.id: p.answer for p in predictions.read(tmp_path / folder / predictions.FILE)}
        for folder in ("killed", "whole")
    )
    assert killed.keys() == whole.keys()
    for key, answer_ in whole.items():
        other = killed[key]
        assert answer_ is not None
        assert other is not None
        assert (answer_.status, answer_.sentences) == (other.status, other.sentences)


class Inventing:
    """A writer that cites one unit that it was given and some that it was not."""

    name = "inventing"

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        yield Text("Something.")
        yield Cite(((0, 0),), ("99.7",))
        yield Text(" More.")
        yield Cite((), ("77.1", "1.500"))
        yield Stop()


def test_ids_that_a_writer_invents_are_counted_against_those_it_was_given(
    small_library: Path, small_questions: Path, tmp_path: Path
) -> None:
    asked = questions.read(small_questions)[:3]
    assistant = Assistant(small_library, Inventing(), rerank=False)
    log = Log(tmp_path / "p")
    generate(predictor(assistant, "inventing"), "inventing", asked, log, workers=2)
    log.close()
    found = predictions.read(tmp_path / "p")
    assert [(p.cited, p.invalid) for p in found] == [(4, 3)] * 3
    scores = summarise(found).models[0].scores
    assert (scores["footnotes"].value, scores["invalid_footnotes"].value) == (12, 9)


Said = list[Text | Cite | Stop]


class Parrot:
    """A writer that says the first unit of the first passage, one request at a time or many."""

    name = "parrot"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        yield from self.write_batch([request])[0]

    def write_batch(self, requests: Sequence[Request]) -> list[Said]:
        self.sizes.append(len(requests))
        return [[Text(self.first(r)), Cite(((0, 0),)), Stop(usage={"output_tokens": 9})] for r in requests]

    def first(self, request: Request) -> str:
        passage = request.passages[0]
        unit = passage.units[0]
        return passage.text[unit.start - passage.start : unit.end - passage.start]


def outcome(prediction: Prediction) -> tuple[object, ...]:
    said = prediction.answer
    assert said is not None
    return (
        prediction.key,
        said.status,
        said.sentences,
        said.usage,
        prediction.retrieved,
        prediction.cited,
        prediction.invalid,
    )


def test_written_together_answers_are_those_written_one_by_one(
    small_library: Path, small_questions: Path, tmp_path: Path
) -> None:
    parrot = Parrot()
    assistant = Assistant(small_library, parrot, rerank=False)
    library = assistant.library
    asked, _ = questions.place(questions.read(small_questions), [d.path for d in library.documents()], library.text)
    found = []
    for name in ("alone", "together"):
        log = Log(tmp_path / name)
        if name == "alone":
            generate(predictor(assistant, "parrot"), "parrot", asked, log)
            parrot.sizes.clear()
        else:
            result = generate_together(assistant, parrot, "parrot", asked, log, size=3)
            assert (result.asked, result.failed) == (8, 0)
        log.close()
        found.append([outcome(p) for p in predictions.read(tmp_path / name)])
    assert found[0] == found[1]
    assert sum(parrot.sizes) == sum(bool(p[2]) for p in found[0]) >= 1
    assert max(parrot.sizes) <= 3
    assert all(p.answer and p.answer.seconds == {} for p in predictions.read(tmp_path / "together"))


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

    for typed, agrees in (("y\n", True), ("\n", False), ("no\n", False)):
        monkeypatch.setattr("sys.stdin", Terminal(typed))
        assert agreed("9 questions: about $2.50", yes=False) is agrees
        assert "9 questions: about $2.50. Go ahead?" in capsys.readouterr().err
    assert agreed("9 questions: about $2.50", yes=True)
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
        patched.setattr("assistant.writers.claude.sleep", stop)
        assert paid(evaluate, tmp_path / "run", "--yes", "--batch") == 130
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
