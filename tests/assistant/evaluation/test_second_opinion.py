"""The judge, against a server on loopback."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assistant.evaluation import predictions, second_opinion
from assistant.evaluation.questions import Question
from assistant.evaluation.second_opinion import Verdict
from ingest.errors import WriterError
from tests.assistant.evaluation.claudes import PRICE, Claude
from tests.assistant.evaluation.making import Evaluate, answer, evidence, many, note, predicted
from tests.assistant.loopback import Asked, Loopback, Reply, as_json

RIGHT = Question("a", "fact", "?", facts=("12",), evidence=(evidence(0, 9, quote="12 it is"),))
GOOD = answer(("12.", (note(0, 9, quote="12 it is"),)), ("So.", ()))


def judged(
    claude: Claude, folder: Path, said: list[predictions.Prediction], *verdicts: dict[str, Any]
) -> list[Verdict]:
    claude.verdicts = list(verdicts)
    folder.mkdir(exist_ok=True)
    second_opinion.run("claude", said, folder, lambda dollars, what: dollars > 0, lambda line: None)
    return second_opinion.read(folder)


def test_the_judge_is_shown_question_reference_and_quotes_and_answers_in_structure(
    claude: Claude, tmp_path: Path
) -> None:
    said = predicted(RIGHT, GOOD)
    (verdict,) = judged(claude, tmp_path / "r", [said], {"correct": True, "unsupported": [2, 9], "reason": "why"})
    assert verdict == Verdict("m", "a", True, (2,), "why", pytest.approx(PRICE))
    body = claude.asked("/messages")[0].body
    assert "json_schema" in json.dumps(body["output_config"])
    shown = json.loads(body["messages"][0]["content"])
    assert shown["reference"] == ["12 it is"]
    assert shown["answer"][0] == {"number": 1, "text": "12.", "quotes": ["12 it is"]}
    measures = second_opinion.measures([verdict], [said])
    assert measures["m", "a"] == {"judged_correct": 1.0, "judged_supported": 0.5}


def test_nothing_is_judged_twice_and_refusals_are_not_judged(claude: Claude, tmp_path: Path) -> None:
    yes = {"correct": True, "unsupported": [], "reason": ""}
    some = [p for p in many(8) if p.question.answerable][:2]
    refusal = predicted(RIGHT, answer(status="not_in_guides"))
    assert len(judged(claude, tmp_path / "r", [*some, refusal], yes, yes)) == 2
    assert len(judged(claude, tmp_path / "r", [*some, refusal])) == 2
    assert len(claude.asked("/messages")) == 2


def test_agreement_is_counted_both_ways_and_corrected_for_chance() -> None:
    found = [p for p in many(40) if p.question.answerable]
    right = {p.question.id: p.answer is not None and "fact" in p.answer.text for p in found}
    same = [Verdict("m", key, value, ()) for key, value in right.items()]
    row = second_opinion.agreement(same, found)[0]
    assert row[1:] == [str(sum(right.values())), "0", "0", str(30 - sum(right.values())), "100 %", "1.00"]
    always = [Verdict("m", key, True, ()) for key in right]
    assert second_opinion.agreement(always, found)[0][-1] == "0.00"
    assert second_opinion.agreement([], found) == []


def test_judgements_reach_the_report(claude: Claude, evaluate: Evaluate, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    log = predictions.Log(run / predictions.FILE)
    log.add(predicted(RIGHT, GOOD))
    log.close()
    claude.verdicts = [{"correct": False, "unsupported": [], "reason": ""}]
    assert evaluate("--out", run, "--judge", "claude", "--yes", asking=False) == 0
    report = (run / "report.md").read_text("utf-8")
    assert "| Correct in the judge's eyes | 0 % (0–79) |" in report
    assert "| answer correct / all facts in it | 0 | 0 | 1 | 0 | 0 % | 0.00 |" in report


def test_a_judge_that_there_is_not_is_one_line(
    evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("--out", tmp_path / "run", "--no-recipe") == 0
    capsys.readouterr()
    assert evaluate("--out", tmp_path / "run", "--judge", "gpt", asking=False) == 1
    assert "there is no judge 'gpt'" in capsys.readouterr().err


def test_any_chat_server_can_judge(loopback: Loopback, tmp_path: Path) -> None:
    replies = [
        'Here: {"correct": true, "unsupported": [2, 9], "reason": "why"}',
        '{"correct": "yes", "unsupported": [], "reason": ""}',
    ]

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/models"):
            model = {"id": "tiny", "object": "model", "created": 0, "owned_by": "x"}
            return as_json({"object": "list", "data": [model]})
        message = {"role": "assistant", "content": replies.pop(0)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return as_json({"id": "1", "object": "chat.completion", "created": 0, "model": "tiny", "choices": [choice]})

    loopback.answer = answer
    said, other = predicted(RIGHT, GOOD), predicted(replace(RIGHT, id="b"), GOOD)

    def agreed(dollars: float, what: str) -> bool:
        return dollars == 0

    with pytest.raises(WriterError, match="gave no verdict") as error:
        second_opinion.run(f"{loopback.url}/v1", [said, other], tmp_path, agreed, lambda line: None)
    assert "\n" not in str(error.value)
    assert second_opinion.read(tmp_path) == [Verdict("m", "a", True, (2,), "why", 0.0)]
    system, user = loopback.asked[-1].body["messages"]
    assert "one JSON object" in system["content"]
    assert json.loads(user["content"])["reference"] == ["12 it is"]
