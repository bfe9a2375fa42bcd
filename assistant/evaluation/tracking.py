"""A run in MLflow: its parameters, its scores, its report. Only where MLflow is installed and asked for.

pip install 'footnote[tracking]'
footnote evaluate … --mlflow                     into the folder mlruns/, or where MLFLOW_TRACKING_URI says
footnote evaluate … --mlflow http://localhost:5000
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingest.errors import FootnoteError

EXPERIMENT = "footnote evaluate"
FOLDER = "mlruns"
MOST = 500  # characters of a parameter, which is MLflow's limit


def track(folder: Path, scores: Mapping[str, Any], uri: str = "") -> str:
    """Log a run that has been scored, each model as an MLflow run of its own; gives one line that says where."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or Path(FOLDER).resolve().as_uri()
    if "://" not in uri or uri.startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 wants to be asked twice for a plain folder
    try:
        import mlflow
    except ImportError:
        raise FootnoteError("--mlflow needs MLflow: pip install 'footnote[tracking]', or leave it out") from None
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    try:
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment(EXPERIMENT)
        for system in scores["systems"]:
            if not system["is_floor"]:
                _log(mlflow, folder, scores, system)
    except mlflow.exceptions.MlflowException as error:
        line = " ".join(str(error).split())[:300]
        raise FootnoteError(f"MLflow at {uri} did not take the run ({line}): check the address") from error
    return f"logged to MLflow at {uri}, experiment {EXPERIMENT!r}"


def _log(mlflow: Any, folder: Path, scores: Mapping[str, Any], system: Mapping[str, Any]) -> None:
    with mlflow.start_run(run_name=f"{folder.name} {system['name']}"):
        mlflow.log_params(parameters(scores["record"], system["name"]))
        mlflow.log_metrics(measures(system))
        for file in ("report.md", "report.html", "scores.json", "run.json"):
            if (folder / file).is_file():
                mlflow.log_artifact(str(folder / file))


def parameters(record: Mapping[str, Any], model: str) -> dict[str, str]:
    found = {"model": model, "embedder": str(record.get("embedder", ""))}
    found |= {name: str(value) for name, value in record.get("settings", {}).items() if name != "models"}
    found |= {f"hash of {name}": value for name, value in record.get("hashes", {}).items()}
    found |= {f"version of {name}": value for name, value in record.get("versions", {}).items()}
    return {_name(name): value[:MOST] for name, value in found.items()}


def measures(system: Mapping[str, Any]) -> dict[str, float]:
    """Each score with its interval, and by kind the score alone."""
    found: dict[str, float | None] = {"questions": system["questions"], "dollars_in_all": system["dollars"]}
    for name, score in system["scores"].items():
        found |= {name: score["value"], f"{name}_low": score["low"], f"{name}_high": score["high"]}
    for kind, scores in system["by_kind"].items():
        found |= {f"{kind}.{name}": score["value"] for name, score in scores.items()}
    return {_name(name): float(value) for name, value in found.items() if value is not None}


def _name(name: str) -> str:
    """What MLflow takes as a name."""
    return re.sub(r"[^\w\-. ]", "-", name)
