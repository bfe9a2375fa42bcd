from __future__ import annotations

import json
import stat
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assistant.cli import main
from assistant.evaluation.log import Logged, drift, log_answer, read
from tests.assistant.evaluation.making import answer, note, passage

START = datetime(2026, 9, 1, tzinfo=UTC)


def logged(n: int, confidence: float = 0.8, status: str = "answered", unsupported: int = 0) -> Logged:
    time = (START + timedelta(days=n)).isoformat(timespec="seconds")
    return Logged(time, f"question {n}", status, "quotes", 2, unsupported, confidence + 0.01 * (n % 7), 0.2)


def write(file: Path, found: list[Logged]) -> Path:
    file.write_text("".join(json.dumps(asdict(one)) + "\n" for one in found), encoding="utf-8")
    return file


def test_an_answer_is_logged_with_what_the_report_needs_and_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "questions.jsonl"
    said = answer(("a", (note(0, 1),)), ("b", ()), supported=False, passages=(passage("x", score=0.7),))
    log_answer(file, said)
    log_answer(file, answer(status="not_in_guides"))
    first, second = read(file)
    assert (first.question, first.status, first.sentences, first.unsupported, first.confidence) == (
        "?", "answered", 2, 2, 0.7,
    )  # fmt: skip
    assert (second.status, second.confidence) == ("not_in_guides", 0.0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_log_is_reported_month_by_month(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    september = [logged(n) for n in range(20)] + [logged(n, status="not_in_guides") for n in range(20, 25)]
    october = [logged(n, unsupported=1 if n % 2 else 0) for n in range(30, 40)]
    file = write(tmp_path / "log.jsonl", [*october, *september])
    file.write_text(file.read_text("utf-8") + '{"time": "2026-10', encoding="utf-8")
    assert main(["evaluate", "--log", str(file), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "35 questions, 2026-09-01 to 2026-10-10"
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in lines if line.startswith("|")}
    assert rows["2026-09"][0] == "25"
    assert rows["2026-09"][1].startswith("20 % (")
    assert rows["2026-10"][2].startswith("50 % (")
    assert (tmp_path / "out" / "log.md").read_text("utf-8").startswith("# What was asked")


@pytest.mark.parametrize(("last", "says"), [(0.5, "drift away"), (0.8, "No drift seen"), (0.95, "come closer")])
def test_a_drift_is_seen_where_there_is_one_and_only_there(last: float, says: str) -> None:
    found = [logged(n) for n in range(40)] + [logged(n, last) for n in range(40, 70)]
    assert says in drift(found)


def test_of_few_questions_no_drift_is_spoken_of() -> None:
    assert drift([logged(n, 0.9 - 0.01 * n) for n in range(30)]).startswith("Too few")


def test_an_empty_log_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--log", str(write(tmp_path / "log.jsonl", []))]) == 1
    assert "holds no logged question" in capsys.readouterr().err
