from __future__ import annotations

import sys
from pathlib import Path

import pytest

from assistant.cli import main
from assistant.evaluation import predictions
from assistant.evaluation.predictions import Log
from tests.assistant.evaluation.making import many


def run(folder: Path) -> Path:
    folder.mkdir()
    log = Log(folder / predictions.FILE)
    for prediction in [*many(20), *many(20, model="n")]:
        log.add(prediction)
    log.close()
    return folder


def test_a_run_is_in_the_file_store_with_parameters_scores_and_report(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'footnote[tracking]'")
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
    assert "pip install 'footnote[tracking]'" in capsys.readouterr().err
    assert (tmp_path / "run" / "report.html").is_file()  # the run is not lost for it
