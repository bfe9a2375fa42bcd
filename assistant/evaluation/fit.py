"""Fits what turns features into chances on the `fit` half of a question set, and says how it does on the `test` half.

    python -m assistant.evaluation.fit --library library --questions corpus/questions.jsonl

Writes `assistant/calibration.json`: logistic regressions for chunks, units and the decision to answer, and the
thresholds of that decision, once without the reranker and once with it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from assistant import ranking
from assistant.answer import PASSAGES
from assistant.decide import decision_features
from assistant.evaluation.statistics import wilson
from assistant.evidence import unit_features, weigh
from assistant.followups import understand
from assistant.ranking import Mode, chance
from assistant.rerank import WEIGHTS
from assistant.retrieve import RERANKED, Found, Retriever, as_passage, open_embedder
from ingest.library import Library

if TYPE_CHECKING:
    from assistant.ranking import Features

FILE = Path(__file__).parent.parent / "calibration.json"
COVERAGE = 0.94  # of the answerable questions of the fit half that the strict threshold answers
LOOSE_COVERAGE = 0.985  # the same for a model that reads the passages itself

Question = Mapping[str, Any]
Spans = list[tuple[str, int, int]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Features and labels of many pairs."""

    features: list[Mapping[str, float]]
    labels: list[bool]

    def matrix(self) -> NDArray[np.float64]:
        names = list(self.features[0])
        return np.array([[row[name] for name in names] for row in self.features])


def fit(rows: Rows, names: Sequence[str], strength: float = 1.0) -> dict[str, float]:
    """A logistic regression on standardised features, its weights for the raw ones."""
    from sklearn.linear_model import LogisticRegression

    matrix = np.array([[row[name] for name in names] for row in rows.features])
    mean, spread = matrix.mean(axis=0), matrix.std(axis=0) + 1e-9
    model = LogisticRegression(C=strength, max_iter=5000).fit((matrix - mean) / spread, rows.labels)
    weights = model.coef_[0] / spread
    bias = float(model.intercept_[0] - (weights * mean).sum())
    return {"bias": round(bias, 5)} | {n: round(float(w), 5) for n, w in zip(names, weights, strict=True)}


class Fitting:
    """The question set over one library; each step fits one model and uses it in the next."""

    def __init__(self, library: Library, questions: Sequence[Question], mode: Mode) -> None:
        self.library, self.questions, self.mode = library, questions, mode
        self.retriever = Retriever(library, rerank=mode == "reranked")
        self.texts = {document.path: library.text(document.path) for document in library.documents()}
        self.candidates = {
            q["id"]: self.retriever.candidates(understand(q["question"], q.get("history", ()))) for q in questions
        }
        if mode == "reranked":
            self.candidates = {key: self.retriever.reread(c)[0] for key, c in self.candidates.items()}
        self.unit_features: dict[str, Features] = {}
        self.spans = {q["id"]: list(self._evidence(q)) for q in questions}

    def half(self, split: str) -> list[Question]:
        return [q for q in self.questions if q["split"] == split]

    def _evidence(self, question: Question) -> Iterator[tuple[str, int, int]]:
        for item in [*question["evidence"], *question.get("also", ())]:
            path = next((p for p in self.texts if item["document"].endswith(p)), item["document"])
            at = self.texts.get(path, "").find(item["quote"])
            if at >= 0:
                yield path, at, at + len(item["quote"])

    def holds(self, question: Question, document: str, start: int, end: int) -> bool:
        """Whether this piece has most of one of the question's quotes, or lies in it."""
        return any(
            d == document and min(b, end) - max(a, start) > 0.5 * min(b - a, end - start)
            for d, a, b in self.spans[question["id"]]
        )

    def chunks(self, questions: Sequence[Question]) -> Rows:
        """The candidates that the reranker reads, or would: the chances have to be right where it matters."""
        rows = Rows([], [])
        for q in questions:
            c = self.candidates[q["id"]]
            for i in np.argsort(-c.features["fused"], kind="stable")[:RERANKED]:
                piece = c.chunks[i]
                rows.features.append({name: float(column[i]) for name, column in c.features.items()})
                rows.labels.append(self.holds(q, piece.document, piece.start, piece.end))
        return rows

    def found(self, question: Question) -> Found:
        """As `Retriever.find`, with the reranker always or never."""
        c = self.candidates[question["id"]]
        scores = chance(c.features, self.mode, "chunk")
        best = np.argsort(-scores, kind="stable")[:PASSAGES]
        passages = tuple(as_passage(c.chunks[i], float(scores[i])) for i in best)
        return Found(c.understood, c.query, passages, {n: f[best] for n, f in c.features.items()}, self.mode)

    def units(self, questions: Sequence[Question]) -> Rows:
        rows = Rows([], [])
        for q in questions:
            found = self.found(q)
            columns = self.unit_features[q["id"]] = unit_features(found, self._embedder)
            pieces = [(p.document, u.start, u.end) for p in found.passages for u in p.units]
            for i, piece in enumerate(pieces):
                rows.features.append({name: float(column[i]) for name, column in columns.items()})
                rows.labels.append(self.holds(q, *piece))
        return rows

    def decisions(self, questions: Sequence[Question]) -> Rows:
        rows = Rows([], [])
        for q in questions:
            found = self.found(q)
            rows.features.append(decision_features(found, weigh(found, self.unit_features[q["id"]])))
            rows.labels.append(q["kind"] != "none")
        return rows

    @property
    def _embedder(self) -> Any:
        return open_embedder(self.library.meta("embedder_name"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="library")
    parser.add_argument("--questions", default="corpus/questions.jsonl")
    args = parser.parse_args()
    questions = [json.loads(line) for line in Path(args.questions).read_text("utf-8").splitlines() if line.strip()]
    modes: list[Mode] = ["plain", "reranked"] if WEIGHTS.is_file() else ["plain"]
    for mode in modes:
        print(f"\n{mode}")
        run(Fitting(Library(args.library), questions, mode))


def run(fitting: Fitting) -> None:
    mode, learn, test = fitting.mode, fitting.half("fit"), fitting.half("test")
    names = ["fused", "reranker"] if mode == "reranked" else ["fused"]
    _step(mode, "chunk", names, fitting.chunks(learn), fitting.chunks(test))
    _step(mode, "unit", None, fitting.units(learn), fitting.units(test))
    rows, held_out = fitting.decisions(learn), fitting.decisions(test)
    model = _step(mode, "answer", None, rows, held_out, strength=0.1)
    answerable = np.sort(_chances(rows, model)[np.array(rows.labels)])
    thresholds = {
        "strict": round(float(np.quantile(answerable, 1 - COVERAGE)), 4),
        "loose": round(float(np.quantile(answerable, 1 - LOOSE_COVERAGE)), 4),
    }
    _keep(mode, "threshold", thresholds)
    _report(held_out, model, thresholds["strict"])


def _step(
    mode: Mode, name: str, features: Sequence[str] | None, rows: Rows, held_out: Rows, strength: float = 1.0
) -> dict[str, float]:
    model = fit(rows, features or list(rows.features[0]), strength)
    _keep(mode, name, model)
    print(
        f"{name}: {len(rows.labels)} pairs, AUC fit {_auc(rows, model):.3f}, test {_auc(held_out, model):.3f}, {model}"
    )
    _reliability(_chances(held_out, model), np.array(held_out.labels))
    return model


def _keep(mode: Mode, name: str, value: object) -> None:
    stored = json.loads(FILE.read_text("utf-8"))
    stored.setdefault(mode, {})[name] = value
    FILE.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
    ranking.calibration.cache_clear()


def _chances(rows: Rows, model: Mapping[str, float]) -> NDArray[np.float64]:
    totals = np.array([model["bias"] + sum(model[n] * row[n] for n in model if n != "bias") for row in rows.features])
    return np.asarray(1 / (1 + np.exp(-totals)))


def _auc(rows: Rows, model: Mapping[str, float]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(rows.labels, _chances(rows, model)))


def _reliability(chances: NDArray[np.float64], labels: NDArray[np.bool_]) -> None:
    """What was said beside what came true, in five bands."""
    edges = [0, 0.05, 0.2, 0.4, 0.6, 0.8, 1.0001]
    for low, high in pairwise(edges):
        inside = (chances >= low) & (chances < high)
        if inside.any():
            print(f"    said {chances[inside].mean():.2f}, came true {labels[inside].mean():.2f} ({inside.sum()})")


def _report(rows: Rows, model: Mapping[str, float], threshold: float) -> None:
    chances, answerable = _chances(rows, model), np.array(rows.labels)
    answered = chances >= threshold
    for what, these in (("answerable questions answered", answerable), ("false answers", ~answerable)):
        low, high = wilson(int((answered & these).sum()), int(these.sum()))
        counts = f"{(answered & these).sum()} of {these.sum()} = {answered[these].mean():.1%}"
        print(f"test, {what}: {counts} [{low:.1%}, {high:.1%}]")
    at = np.quantile(chances[answerable], 0.1)
    print(f"test, false answers where exactly 90 % are answered: {(chances[~answerable] >= at).mean():.1%}")


if __name__ == "__main__":
    main()
