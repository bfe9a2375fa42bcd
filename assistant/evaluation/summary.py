"""Predictions become scores with intervals: every model beside the floors, by kind, and compared in pairs."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assistant.evaluation.curves import Curve, Reliability, curve, reliability
from assistant.evaluation.floors import RECIPE, WHAT, answer_floors
from assistant.evaluation.metrics import MEASURES, METRICS
from assistant.evaluation.predictions import Prediction, by_model
from assistant.evaluation.score import NAN, Measures, cause, measure
from assistant.evaluation.statistics import Score, score

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE = "scores.json"
_RETRIEVAL = {metric.name for metric in METRICS if metric.group == "retrieval"}


@dataclass(frozen=True, slots=True)
class Scored:
    """One prediction with its measures, and why it is not right."""

    prediction: Prediction
    measures: Measures
    cause: str


@dataclass(frozen=True, slots=True)
class System:
    """A model or a floor with all its scores."""

    name: str
    is_floor: bool
    scores: Mapping[str, Score]
    by_kind: Mapping[str, Mapping[str, Score]]
    causes: Mapping[str, int]
    dollars: float
    seconds: Sequence[float]  # of each answer, sorted
    place: int = 0  # in the run: gives it its colour
    curve: Curve | None = None
    reliability: Reliability | None = None
    rows: Sequence[Scored] = field(default=(), repr=False)

    @property
    def questions(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Summary:
    systems: Sequence[System]
    kinds: Mapping[str, int]

    @property
    def models(self) -> list[System]:
        return [system for system in self.systems if not system.is_floor]

    @property
    def floors(self) -> list[System]:
        return [system for system in self.systems if system.is_floor]


def summarise(predictions: Sequence[Prediction], judged: Mapping[tuple[str, str], Measures] | None = None) -> Summary:
    """All scores. `judged` are the measures of a judge, by model and question."""
    found = by_model(predictions)
    models = [name for name in found if name not in WHAT]
    floors = ([RECIPE] if RECIPE in found else []) + list(WHAT)[1:]
    if models:
        found |= by_model(answer_floors(found[models[0]]))
    verdicts = judged or {}
    rows = {name: [_scored(p, verdicts.get(p.key, {})) for p in found.get(name, [])] for name in [*models, *floors]}
    kinds = Counter(p.question.kind for p in found[models[0] if models else RECIPE])
    present = [name for name in rows if rows[name]]
    return Summary([_system(name, place, rows[name]) for place, name in enumerate(present)], dict(kinds))


def _scored(prediction: Prediction, judged: Measures) -> Scored:
    measures = {**measure(prediction), **judged}
    if prediction.model in WHAT and prediction.model != RECIPE:  # these floors search as the model does
        measures = {name: value for name, value in measures.items() if name not in _RETRIEVAL}
    return Scored(prediction, measures, cause(prediction, measures))


def _system(name: str, place: int, rows: Sequence[Scored]) -> System:
    is_floor = name in WHAT
    table = columns(rows)
    kinds = np.array([row.prediction.question.kind for row in rows])
    by_kind = {str(kind): _scores({m: v[kinds == kind] for m, v in table.items()}) for kind in dict.fromkeys(kinds)}
    predictions = [row.prediction for row in rows]
    total = table["total"]
    return System(
        name=name,
        is_floor=is_floor,
        scores=_scores(table) | _counted(table),
        by_kind=by_kind,
        causes=dict(Counter(row.cause for row in rows if row.cause).most_common()),
        dollars=float(np.nansum(table["dollars"])),
        seconds=sorted(total[~np.isnan(total)].tolist()),
        place=place,
        curve=None if is_floor else curve(predictions),
        reliability=None if is_floor else reliability(predictions),
        rows=rows,
    )


def columns(rows: Sequence[Scored]) -> dict[str, NDArray[np.float64]]:
    """Every measure as a column, NaN where it does not apply."""
    return {name: np.array([row.measures.get(name, NAN) for row in rows], dtype=np.float64) for name in MEASURES}


def _scores(table: Mapping[str, NDArray[np.float64]]) -> dict[str, Score]:
    scores = {m.name: score(table[m.measure], m.statistic, rate=m.unit == "share") for m in METRICS}
    return {name: found for name, found in scores.items() if found.n}


def _counted(table: Mapping[str, NDArray[np.float64]]) -> dict[str, Score]:
    """Invalid footnotes are counted, not averaged: there must be none."""
    values = table["invalid_footnotes"]
    n, count = int((~np.isnan(values)).sum()), float(np.nansum(values))
    return {"invalid_footnotes": Score(count, count, count, n)} if n else {}


def to_json(summary: Summary, **more: Any) -> dict[str, Any]:
    """The shape of `scores.json`: numbers only, and null for what is not a number."""
    systems = []
    for system in summary.systems:
        fields = {f: getattr(system, f) for f in ("name", "is_floor", "questions", "causes", "dollars")}
        fields["scores"] = {name: asdict(found) for name, found in system.scores.items()}
        fields["by_kind"] = {k: {n: asdict(s) for n, s in found.items()} for k, found in system.by_kind.items()}
        fields["curve"] = asdict(system.curve) if system.curve else None
        fields["reliability"] = asdict(system.reliability) if system.reliability else None
        systems.append(fields)
    value: dict[str, Any] = _finite({"kinds": summary.kinds, "systems": systems, **more})
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def write(folder: Path, value: Mapping[str, Any]) -> None:
    (folder / FILE).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
