from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.evaluation import predictions
from assistant.evaluation.generate import Outcome, Progress, generate
from assistant.evaluation.predictions import Log, Prediction
from assistant.evaluation.questions import Question
from assistant.evaluation.telling import Bar
from ingest.errors import WriterError
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


def test_progress_tells_the_time_left_and_what_it_cost(tmp_path: Path) -> None:
    told: list[Progress] = []
    asking(tmp_path / "p", costing(0.5), tell=told.append)
    assert [p.done for p in told] == list(range(1, 21))
    assert told[9].dollars == pytest.approx(5.0)
    assert told[9].left > told[18].left >= 0
    assert told[19].left == 0


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


def test_the_bar_is_one_line_on_a_terminal_and_few_lines_elsewhere() -> None:
    told: list[str] = []
    bar = Bar(told.append, terminal=True)
    for done in (1, 2):
        bar(Progress("claude", done, 2, 65.0, 0.5))
    assert told[0].startswith("\r")
    assert "1 of 2, 1:05 left, $0.50" in told[0]
    assert not told[0].endswith("\n")
    assert told[1].endswith("\n")
    quiet: list[str] = []
    bar = Bar(quiet.append, terminal=False)
    for done in range(1, 21):
        bar(Progress("quotes", done, 20, 1.0, 0.0))
    assert len(quiet) == 1
