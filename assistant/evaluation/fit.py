"""Fits what turns features into chances on the `fit` half of a question set, and says how it does on the `test` half.

    python -m assistant.evaluation.fit --library library --questions corpus/questions.jsonl
    python -m assistant.evaluation.fit --proof FOLDER      the proving, on SQuAD 2.0 (corpus.jsonl and queries.jsonl)

Writes `assistant/calibration.json`: logistic regressions for chunks, units and the decision to answer, and the
thresholds of that decision, once without the reranker and once with it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from assistant import retrieve
from assistant.answer import PASSAGES
from assistant.evaluation.score import auc, calibrated, wilson
from assistant.facts import Source, contradiction, figures, normal
from assistant.judge import decision_features, unit_features, weigh
from assistant.retrieve import RERANKED, WEIGHTS, Found, Mode, Retriever, as_passage, chance, open_embedder, understand
from ingest.chunks import split_sentences
from ingest.library import Library

if TYPE_CHECKING:
    from assistant.retrieve import Features


FILE = Path(__file__).parent.parent / "calibration.json"
FALSE = 0.15  # of the unanswerable questions of the fit half may pass for answered; what is below is "nearest"
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
    parser.add_argument("--proof", type=Path, metavar="FOLDER", help="SQuAD 2.0: fit the proving instead")
    args = parser.parse_args()
    if args.proof:
        main_proof(args.proof)
        return
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
    labels = np.array(rows.labels)
    answerable, absent = _chances(rows, model)[labels], _chances(rows, model)[~labels]
    thresholds = {
        "strict": round(float(np.quantile(answerable, 1 - COVERAGE)), 4),
        "loose": round(float(np.quantile(answerable, 1 - LOOSE_COVERAGE)), 4),
        "sure": round(float(np.quantile(absent, 1 - FALSE)), 4),
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


def _report(rows: Rows, model: Mapping[str, float], threshold: float) -> None:
    chances, answerable = _chances(rows, model), np.array(rows.labels)
    answered = chances >= threshold
    for what, these in (("answerable questions answered", answerable), ("false answers", ~answerable)):
        low, high = wilson(int((answered & these).sum()), int(these.sum()))
        counts = f"{(answered & these).sum()} of {these.sum()} = {answered[these].mean():.1%}"
        print(f"test, {what}: {counts} [{low:.1%}, {high:.1%}]")
    at = np.quantile(chances[answerable], 0.1)
    print(f"test, false answers where exactly 90 % are answered: {(chances[~answerable] >= at).mean():.1%}")


# Chooses `ENOUGH` of `assistant/footnotes.py` and says how good the proving is, on SQuAD 2.0 in retrieval form.
#
# A question and its answer are put together as a statement in other words than the source's: true of the sentence that
# holds the answer, not of the next best sentence of the paragraph. The threshold is chosen on half of the titles by
# the difference of the two rates of support, and reported on the other half. Then sentences of the source itself are
# changed in one place, to see whether the change is noticed; unchanged, with the short way for quotes shut, none
# should be.

_ASKED = re.compile(
    r"\b(?:how (?:many|much|long|old|often|far)|what (?:kind|type|sort)s? of|(?:what|which) (?:is|are|was|were)"
    r"|who|whom|whose|when|where|why|how|what|which)\b",
    re.IGNORECASE,
)
THRESHOLDS = tuple(step / 20 for step in range(6, 18))


@dataclass(frozen=True, slots=True)
class Pair:
    """A statement beside a source, true of it or not."""

    title: str
    statement: str
    source: str
    true: bool

    @property
    def coverage(self) -> float:
        """Of the words; -1 where something else already speaks against it."""
        said, source = normal(self.statement), Source.of([self.source], [self.title])
        return -1.0 if source.lacks(said) or contradiction(said, source) else source.coverage(said)


def pairs(folder: Path) -> Iterator[Pair]:
    corpus = {row["id"]: row for row in _rows(folder / "corpus.jsonl")}
    for query in _rows(folder / "queries.jsonl"):
        asked = _ASKED.search(query["text"])
        if not query["answerable"] or not asked:
            continue
        passage, answers = corpus[query["gold_passage"]], query["answers"]
        question = query["text"].rstrip("? ")
        statement = f"{question[: asked.start()]}{answers[0]}{question[asked.end() :]}."
        sentences = [passage["text"][start:end] for start, end in split_sentences(passage["text"])]
        close = sorted(sentences, key=lambda s: -Source.of([s]).coverage(normal(question)))
        holding = [sentence for sentence in close if any(answer in sentence for answer in answers)]
        others = [sentence for sentence in close if sentence not in holding]
        yield from (Pair(passage["title"], statement, sentence, True) for sentence in holding[:1])
        yield from (Pair(passage["title"], statement, sentence, False) for sentence in others[:1])


def is_for_fitting(title: str) -> bool:
    return hashlib.sha256(title.encode()).digest()[0] % 2 == 0


def rates(scored: Sequence[tuple[Pair, float]], threshold: float) -> tuple[float, float]:
    """The shares of true and of false statements that come out as supported."""
    both = ([c for pair, c in scored if pair.true], [c for pair, c in scored if not pair.true])
    true, false = (sum(c >= threshold for c in part) / max(1, len(part)) for part in both)
    return true, false


def fit_proof(scored: Sequence[tuple[Pair, float]]) -> float:
    """The threshold at which the two rates differ most."""

    def gain(threshold: float) -> float:
        true, false = rates(scored, threshold)
        return true - false

    return max(THRESHOLDS, key=gain)


def _raise_figure(text: str, chance: random.Random) -> str:
    found = [f for f in figures(text) if text[f.start : f.end].isdigit()]
    if not found:
        return text
    figure = chance.choice(found)
    return f"{text[: figure.start]}{int(text[figure.start : figure.end]) + chance.randint(1, 9)}{text[figure.end :]}"


def _swap_figures(text: str, chance: random.Random) -> str:
    found = [f for f in figures(text) if text[f.start : f.end].strip("%").isdigit()]
    alike = [(a, b) for a in found for b in found if a.end < b.start and a.kind == b.kind and a.value != b.value]
    if not alike:
        return text
    a, b = chance.choice(alike)
    return f"{text[: a.start]}{text[b.start : b.end]}{text[a.end : b.start]}{text[a.start : a.end]}{text[b.end :]}"


def _deny(text: str, chance: random.Random) -> str:
    verbs = list(re.finditer(r"\b(?:is|are|was|were|can|will|should|must)\b(?! not)", text))
    at = chance.choice(verbs).end() if verbs else None
    return f"{text[:at]} not{text[at:]}" if at else text


def _affirm(text: str, _: random.Random) -> str:
    return re.sub(r"\b(is|are|was|were|can|will|should|must|does|do|did) ?not\b", r"\1", text, count=1)


def _rename(text: str, chance: random.Random) -> str:
    names = list(re.finditer(r"(?<=[a-z,] )[A-Z][a-z]{3,}", text))
    match = chance.choice(names) if names else None
    return f"{text[: match.start()]}Quexford{text[match.end() :]}" if match else text


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "nothing": lambda text, _: f"{text} ",
    "a figure raised": _raise_figure,
    "two figures swapped": _swap_figures,
    "a “not” put in": _deny,
    "a “not” left out": _affirm,
    "a name replaced": _rename,
}


def noticed(texts: Sequence[str], change: str) -> tuple[int, int]:
    """How many changed sentences are not supported by their original, of how many that could be changed."""
    chance = random.Random(7)
    changed = [(text, CHANGES[change](text, chance)) for text in texts]
    changed = [(text, other) for text, other in changed if other != text]
    found = sum(Pair("", other, text, False).coverage < 0 for text, other in changed)
    return found, len(changed)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def main_proof(folder: Path) -> None:
    scored = [(pair, pair.coverage) for pair in pairs(folder)]
    fitting = [item for item in scored if is_for_fitting(item[0].title)]
    testing = [item for item in scored if not is_for_fitting(item[0].title)]
    best = fit_proof(fitting)
    out = [f"threshold {best} from {len(fitting)} statements; on the {len(testing)} others:"]
    for threshold in THRESHOLDS:
        true, false = rates(testing, threshold)
        out.append(f"{threshold:5.2f}  supported if true {true:.3f}  if false {false:.3f}")
    sentences = list(dict.fromkeys(pair.source for pair, _ in testing))
    for change in CHANGES:
        found, count = noticed(sentences, change)
        out.append(f"{change}: noticed {found} of {count} ({found / max(1, count):.1%})")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
