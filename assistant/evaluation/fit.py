"""Fits what turns features into chances on the `fit` half of a question set, and says how it does on the `test` half.

    python -m assistant.evaluation.fit --library library --questions corpus/questions.jsonl [--others FOLDER]

Writes `assistant/calibration.json`: logistic regressions for chunks, units and the decision to answer, and the
thresholds of that decision, once without the reranker and once with it. `--others` holds sets from elsewhere, each a
folder with a `library` and its `asked.jsonl` in the form of the question set (`python -m tests.bench judge --folder`
makes them): the decision is fitted on all of them, each with equal weight, and reported on each as if it were left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from assistant import retrieve
from assistant.answer import PASSAGES
from assistant.asked import understand
from assistant.evaluation.score import auc, calibrated, wilson
from assistant.judge import decision_features, unit_features, weigh
from assistant.retrieve import RERANKED, WEIGHTS, Found, Mode, Retriever, as_passage, chance, open_embedder
from ingest.library import Library

if TYPE_CHECKING:
    from assistant.retrieve import Features


FILE = Path(__file__).parent.parent / "calibration.json"
ASKED = "asked.jsonl"  # beside another set's library
FALSE = 0.03  # of the unanswerable questions of the fit half may pass for answered; elsewhere 15 % then do (NOTES.md)
COVERAGE = 0.92  # of the answerable questions of the fit half that the strict threshold answers
LOOSE_COVERAGE = 0.985  # the same for a model that reads the passages itself

Question = Mapping[str, Any]
Spans = list[tuple[str, int, int]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Features and labels of many pairs."""

    features: list[Mapping[str, float]]
    labels: list[bool]


def fit(sets: Sequence[Rows], names: Sequence[str], strength: float = 1.0) -> dict[str, float]:
    """A logistic regression on standardised features, its weights for the raw ones. Each set counts the same."""
    from sklearn.linear_model import LogisticRegression

    matrix = np.array([[row[name] for name in names] for rows in sets for row in rows.features])
    labels = [label for rows in sets for label in rows.labels]
    shares = np.concatenate([np.full(len(rows.labels), len(labels) / len(sets) / len(rows.labels)) for rows in sets])
    mean, spread = matrix.mean(axis=0), matrix.std(axis=0) + 1e-9
    model = LogisticRegression(C=strength, max_iter=5000).fit((matrix - mean) / spread, labels, shares)
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
        self.vectors: dict[str, NDArray[np.float32]] = {}  # a library's units come up with many questions
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
            columns = self.unit_features[q["id"]] = unit_features(found, self._embed)
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

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        embedder = open_embedder(self.library.meta("embedder_name"))
        self.vectors |= dict(zip(new, embedder.embed(new), strict=True)) if new else {}
        return np.array([self.vectors[text] for text in texts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="library")
    parser.add_argument("--questions", default="corpus/questions.jsonl")
    parser.add_argument("--others", type=Path, metavar="FOLDER", help="sets from elsewhere, for the decision to answer")
    args = parser.parse_args()
    questions = _asked(Path(args.questions))
    others = sorted(args.others.glob(f"*/{ASKED}")) if args.others else []
    modes: list[Mode] = ["plain", "reranked"] if WEIGHTS.is_file() else ["plain"]
    for mode in modes:
        print(f"\n{mode}")
        run(Fitting(Library(args.library), questions, mode), {file.parent.name: file for file in others})


def _asked(file: Path) -> list[Question]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


def run(fitting: Fitting, others: Mapping[str, Path]) -> None:
    mode, learn, test = fitting.mode, fitting.half("fit"), fitting.half("test")
    names = ["fused", "reranker"] if mode == "reranked" else ["fused"]
    _step(mode, "chunk", names, [fitting.chunks(learn)], fitting.chunks(test))
    _step(mode, "unit", None, [fitting.units(learn)], fitting.units(test))
    home, held_out = fitting.decisions(learn), fitting.decisions(test)
    sets = {"home": home} | {name: elsewhere(file, mode) for name, file in others.items()}
    model = _step(mode, "answer", None, list(sets.values()), held_out)
    _keep(mode, "threshold", thresholds(home, model))
    for name, rows in sets.items():
        other = _without(sets, name)
        _report(f"{name}, left out", rows, other, thresholds(home, other))
    _report("test", held_out, model, thresholds(home, model))


def elsewhere(file: Path, mode: Mode) -> Rows:
    """The decision's features on another set; its chunks and units are weighed as they were fitted at home."""
    fitting = Fitting(Library(file.with_name("library")), _asked(file), mode)
    fitting.units(fitting.questions)
    return fitting.decisions(fitting.questions)


def _without(sets: Mapping[str, Rows], name: str) -> dict[str, float]:
    """The decision fitted on all sets but this one; on itself where there is no other."""
    return fit([rows for other, rows in sets.items() if other != name or len(sets) == 1], list(sets[name].features[0]))


def thresholds(home: Rows, model: Mapping[str, float]) -> dict[str, float]:
    """What is too unlikely to be written, and what is likely enough to be called an answer."""
    labels, chances = np.array(home.labels), _chances(home, model)
    return {
        "strict": round(float(np.quantile(chances[labels], 1 - COVERAGE)), 4),
        "loose": round(float(np.quantile(chances[labels], 1 - LOOSE_COVERAGE)), 4),
        "sure": round(float(np.quantile(chances[~labels], 1 - FALSE)), 4),
    }


def _step(
    mode: Mode, name: str, features: Sequence[str] | None, sets: Sequence[Rows], held_out: Rows
) -> dict[str, float]:
    model = fit(sets, features or list(held_out.features[0]))
    _keep(mode, name, model)
    pairs = sum(len(rows.labels) for rows in sets)
    print(f"{name}: {pairs} pairs, AUC fit {_auc(sets[0], model):.3f}, test {_auc(held_out, model):.3f}, {model}")
    _reliability(_chances(held_out, model), np.array(held_out.labels))
    return model


def _keep(mode: Mode, name: str, value: object) -> None:
    stored = json.loads(FILE.read_text("utf-8"))
    stored.setdefault(mode, {})[name] = value
    FILE.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
    retrieve.calibration.cache_clear()


def _chances(rows: Rows, model: Mapping[str, float]) -> NDArray[np.float64]:
    totals = np.array([model["bias"] + sum(model[n] * row[n] for n in model if n != "bias") for row in rows.features])
    return np.asarray(1 / (1 + np.exp(-totals)))


def _auc(rows: Rows, model: Mapping[str, float]) -> float:
    chances, labels = _chances(rows, model), np.array(rows.labels)
    return auc(chances[labels], chances[~labels]).value


def _reliability(chances: NDArray[np.float64], labels: NDArray[np.bool_]) -> None:
    """What was said beside what came true, in bands."""
    for band in calibrated(chances, labels.astype(float)).bins:
        print(f"    said {band.score:.2f}, came true {band.share:.2f} ({band.n})")


def _report(name: str, rows: Rows, model: Mapping[str, float], known: Mapping[str, float]) -> None:
    """The shares that are called an answer, and those that are that or the nearest."""
    chances, answerable = _chances(rows, model), np.array(rows.labels)
    print(f"{name}: AUC {auc(chances[answerable], chances[~answerable]).value:.3f}")
    for threshold, shown in (("sure", "called an answer"), ("strict", "that or the nearest")):
        for what, these in (("answerable", answerable), ("unanswerable", ~answerable)):
            count = int((chances[these] >= known[threshold]).sum())
            low, high = wilson(count, int(these.sum()))
            print(f"    {shown}, {what}: {count} of {these.sum()} = {count / these.sum():.1%} [{low:.1%}, {high:.1%}]")
    at = np.quantile(chances[answerable], 0.1)
    print(f"    false answers where exactly 90 % are answered: {(chances[~answerable] >= at).mean():.1%}")


if __name__ == "__main__":
    main()
