"""Comparing with an earlier run, making a run again, and what is refused."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.cli import main
from assistant.evaluation import predictions
from assistant.evaluation.predictions import Log
from ingest.sync import sync
from tests.assistant.evaluation.making import GUIDES, Evaluate, many, write_questions
from tests.conftest import ROOT


def run_of(folder: Path, *, right: float) -> Path:
    folder.mkdir()
    log = Log(folder / predictions.FILE)
    for prediction in many(80, right=right, model="quotes"):
        log.add(prediction)
    log.close()
    return folder


def against(now: Path, before: Path, *more: str) -> int:
    return main(["evaluate", "--out", str(now), "--against", str(before), *more])


def test_a_run_that_got_worse_does_not_hold_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = run_of(tmp_path / "good", right=0.9), run_of(tmp_path / "bad", right=0.4)
    assert against(bad, good, "--must-hold") == 1
    printed = capsys.readouterr()
    assert "did not hold: quotes: all_facts is worse" in printed.err
    assert "All facts in the answer, share of the questions: worse" in printed.out
    assert against(bad, good) == 0  # said, but only held against it if asked to
    changed = json.loads((bad / "scores.json").read_text("utf-8"))["comparisons"][0]["changes"]
    assert {change["way"] for change in changed} == {"worse"}
    assert "Questions that changed" in (bad / "report.md").read_text("utf-8")


def test_a_run_holds_against_itself_and_against_a_worse_one(tmp_path: Path) -> None:
    good, bad = run_of(tmp_path / "good", right=0.9), run_of(tmp_path / "bad", right=0.4)
    assert against(good, good, "--must-hold") == 0
    assert against(good, bad, "--must-hold") == 0


def test_a_slower_run_still_holds(tmp_path: Path) -> None:
    good, slow = run_of(tmp_path / "good", right=0.9), run_of(tmp_path / "slow", right=0.9)
    found = predictions.read(slow / predictions.FILE)
    log = Log(slow / predictions.FILE)
    for p in found:
        if p.answer:
            log.add(replace(p, answer=replace(p.answer, seconds={"total": 60.0})))
    log.close()
    assert against(slow, good, "--must-hold") == 0


def test_a_run_made_again_is_identical(evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--out", tmp_path / "run") == 0
    capsys.readouterr()
    assert main(["evaluate", "--replay", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out == "identical\n"


def test_a_run_made_again_on_another_library_says_what_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guides, library, run = tmp_path / "guides", tmp_path / "library", tmp_path / "run"
    guides.mkdir()
    for name, text in GUIDES.items():
        (guides / name).write_text(text, encoding="utf-8")
    sync([guides], library)
    questions = write_questions(tmp_path / "q.jsonl")
    assert main(["evaluate", str(questions), "--library", str(library), "--out", str(run), "--no-recipe"]) == 0
    (guides / "nets.md").write_text(GUIDES["nets.md"].replace("40 %", "55 %"), encoding="utf-8")
    sync([guides], library)
    capsys.readouterr()
    assert main(["evaluate", "--replay", str(run)]) == 1
    said = capsys.readouterr().out.split("\n")
    assert {"the corpus changed", "the library changed"} <= set(said)
    assert any(line.startswith("quotes, q1: other") for line in said)  # asks about these 40 %
    assert said[-2].endswith("of 8 answers are not the same")


def test_a_run_is_not_gone_on_with_after_the_question_set_changed(
    evaluate: Evaluate, small_questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("--out", tmp_path / "run", "--limit", 2, "--no-recipe") == 0
    small_questions.write_text(small_questions.read_text("utf-8").replace("batch size", "size of a batch"), "utf-8")
    capsys.readouterr()
    assert evaluate("--out", tmp_path / "run", "--no-recipe") == 1
    assert "was begun with another state of: questions" in capsys.readouterr().err
    assert evaluate("--out", tmp_path / "run", asking=False) == 0  # what it has can be scored


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        (("--split", "test"), ("--split", "fit"), "was begun with --split test, not --split fit"),
        ((), ("--rerank",), "was begun with --no-rerank, not no --no-rerank"),
        (("--limit", 6), ("--limit", 2), "was begun with --limit 6, not --limit 2"),
        ((), ("--limit", 2), "was begun with no --limit, not --limit 2"),
    ],
)
def test_a_run_is_not_gone_on_with_by_other_settings_and_says_which_command_does(
    first: tuple[str, ...],
    then: tuple[str, ...],
    said: str,
    small_library: Path,
    small_questions: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    command = ["evaluate", str(small_questions), "--library", str(small_library), "--no-recipe", "--out", str(run)]
    assert main([*command, "--no-rerank", *map(str, first)]) == 0
    kept, record = (run / predictions.FILE).read_bytes(), (run / "run.json").read_bytes()
    capsys.readouterr()
    other = [] if then == ("--rerank",) else ["--no-rerank", *map(str, then)]
    assert main([*command, *other]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert (run / predictions.FILE).read_bytes() == kept
    assert (run / "run.json").read_bytes() == record
    (again,) = re.findall(r"`footnote (evaluate .*?)` goes on, --out ANOTHER starts anew", error)
    assert main([*shlex.split(again), "--library", str(small_library), "--no-recipe"]) == 0
    assert (run / predictions.FILE).read_bytes() == kept


def test_a_record_says_what_the_run_was_made_of(evaluate: Evaluate, tmp_path: Path) -> None:
    assert evaluate("--out", tmp_path / "run", "--split", "test", "--no-recipe") == 0
    kept = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert set(kept["hashes"]) == {
        "code", "prompts", "thresholds and weights", "corpus", "library", "embedder", "questions",
    }  # fmt: skip
    assert all(len(value) == 16 for value in kept["hashes"].values())
    assert kept["settings"]["split"] == "test"
    assert kept["settings"]["models"] == ["quotes"]
    assert "the `test` split" not in (tmp_path / "run" / "report.md").read_text("utf-8").split("\n")[0]
    assert "test" in (tmp_path / "run" / "report.md").read_text("utf-8").split("\n")[2]


def test_a_library_of_other_documents_is_refused(
    small_library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = ROOT / "corpus" / "questions.jsonl"
    assert main(["evaluate", str(shipped), "--library", str(small_library), "--out", str(tmp_path / "r")]) == 1
    assert "nothing that the questions rest on is in the library" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_one_piece_of_evidence_that_is_missing_is_said_and_the_rest_is_scored(
    small_library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = write_questions(tmp_path / "q.jsonl")
    questions.write_text(questions.read_text("utf-8").replace("drawn from 1 to 999", "drawn from a hat"), "utf-8")
    command = ["evaluate", str(questions), "--library", str(small_library), "--out", str(tmp_path / "r"), "--no-recipe"]
    assert main(command) == 0
    assert "evidence not found: q5: trees.md does not hold “drawn from a hat”" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["q.jsonl", "--log", "x"],
        ["--convert", "x"],
        ["q.jsonl", "--must-hold"],
        ["q.jsonl", "--limit", "0"],
        ["q.jsonl", "--replay", "x"],
        ["q.jsonl", "--model", "clade"],
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", *wrong])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nothing.jsonl", "--out", "x"], "cannot read the question set nothing.jsonl"),
        (["--out", "nowhere"], "no run at nowhere"),
        (["--replay", "nowhere"], "no run at nowhere"),
        (["--out", "x", "--against", "nowhere"], "no run at nowhere"),
        (["--log", "nowhere"], "no log at nowhere"),
        (["--convert", "nowhere", "--out", "x"], "nowhere"),
    ],
)
def test_what_is_not_there_is_one_line_and_exit_1(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *options]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_several_models_stand_in_one_run_beside_each_other(evaluate: Evaluate, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert evaluate("--out", run, "--no-recipe") == 0
    log = Log(run / predictions.FILE)
    for p in predictions.read(run / predictions.FILE):
        log.add(replace(p, model="other"))
    log.close()
    assert evaluate("--out", run, asking=False) == 0
    scores = json.loads((run / "scores.json").read_text("utf-8"))
    assert [s["name"] for s in scores["systems"] if not s["is_floor"]] == ["quotes", "other"]
    assert (scores["comparisons"][0]["before"], scores["comparisons"][0]["after"]) == ("quotes", "other")
    shutil.rmtree(run)


def run(folder: Path) -> Path:
    folder.mkdir()
    log = Log(folder / predictions.FILE)
    for prediction in [*many(20), *many(20, model="n")]:
        log.add(prediction)
    log.close()
    return folder


def test_a_run_is_in_the_file_store_with_parameters_scores_and_report(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'footnote[mlflow]'")
    uri = (tmp_path / "store").as_uri()
    assert main(["evaluate", "--out", str(run(tmp_path / "run")), "--mlflow", uri]) == 0
    mlflow.set_tracking_uri(uri)
    runs = mlflow.search_runs(experiment_names=["footnote evaluate"], output_format="list")
    assert sorted(r.data.params["model"] for r in runs) == ["m", "n"]
    one = next(r for r in runs if r.data.params["model"] == "m")
    assert one.data.metrics["all_facts"] == pytest.approx(0.8)
    assert one.data.metrics["all_facts_low"] < 0.8 < one.data.metrics["all_facts_high"]
    assert one.data.metrics["none.false_answers"] == pytest.approx(0.6)
    artifacts = mlflow.artifacts.list_artifacts(run_id=one.info.run_id)
    assert sorted(a.path for a in artifacts) == ["report.html", "report.md", "scores.json"]


def test_without_mlflow_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert main(["evaluate", "--out", str(run(tmp_path / "run")), "--mlflow"]) == 1
    assert "pip install 'footnote[mlflow]'" in capsys.readouterr().err
    assert (tmp_path / "run" / "report.html").is_file()  # the run is not lost for it
