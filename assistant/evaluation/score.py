"""Predictions become scores: what each is worth, how sure that is, and what changed from one run to another.

The parts in order: intervals, all scores that there are, one prediction, a run, two runs, reliability.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from assistant.evaluation.predictions import RECIPES, WHAT, Prediction, answer_floors, by_model
from assistant.evaluation.questions import Evidence, Question
from assistant.records import Answer, Footnote, Passage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]


# How sure a score is: bootstrap intervals and paired differences. Seeded, so that scoring again gives the same.

SAMPLES = 2000
LEVEL = 0.95
FEWEST = 5  # pairs below which no difference is claimed
QUANTILES = {"p50": 50.0, "p95": 95.0}


@dataclass(frozen=True, slots=True)
class Score:
    """A value with its 95 % interval, and of how many questions."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one to the other over the same questions."""

    before: float
    after: float
    value: float
    low: float
    high: float
    n: int
    verdict: str  # better, worse, no difference seen


def score(values: Values, statistic: Statistic = "mean", *, rate: bool = False) -> Score:
    """A statistic of the values that are not NaN. The bootstrap says nothing about a rate of yes-or-no values at 0 % or
    100 %: there the interval is Wilson's."""
    values = values[~np.isnan(values)]
    n = len(values)
    if not n:
        return Score(math.nan, math.nan, math.nan, 0)
    value = _statistic(values[None, :], statistic)[0]
    if rate and value in (0.0, 1.0) and np.isin(values, (0.0, 1.0)).all():
        return Score(float(value), *wilson(int(value) * n, n), n)
    low, high = _interval(_resampled(values, statistic))
    return Score(float(value), low, high, n)


def difference(before: Values, after: Values, better: int, statistic: Statistic = "mean") -> Difference:
    """Paired: row by row the same question. Rows in which either is NaN are left out."""
    both = ~np.isnan(before) & ~np.isnan(after)
    before, after = before[both], after[both]
    n = len(before)
    if not n:
        return Difference(math.nan, math.nan, math.nan, math.nan, math.nan, 0, "no difference seen")
    if statistic == "mean":
        low, high = _interval(_resampled(after - before, statistic))
    else:
        low, high = _interval(_resampled(after, statistic) - _resampled(before, statistic))
    was, now = (float(_statistic(v[None, :], statistic)[0]) for v in (before, after))
    return Difference(was, now, now - was, low, high, n, _verdict(low, high, better, n))


def _verdict(low: float, high: float, better: int, n: int) -> str:
    if n < FEWEST or low <= 0 <= high:
        return "no difference seen"
    if not better:
        return "different"
    return "better" if (low > 0) == (better > 0) else "worse"


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a rate; it says something at 0 of n too."""
    if not n:
        return math.nan, math.nan
    rate, square = hits / n, z * z / n
    middle = (rate + square / 2) / (1 + square)
    half = z * math.sqrt(rate * (1 - rate) / n + square / (4 * n)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def auc(positive: Values, negative: Values) -> Score:
    """The chance that one of the positive scores is above one of the negative, ties half, with its interval."""
    if not len(positive) or not len(negative):
        return Score(math.nan, math.nan, math.nan, 0)
    above = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    drawn = ((_weights(len(positive), 1) @ above) * _weights(len(negative), 2)).sum(axis=1)
    low, high = _interval(drawn / (len(positive) * len(negative)))
    return Score(float(above.mean()), low, high, len(positive) + len(negative))


def _interval(drawn: Values) -> tuple[float, float]:
    low, high = np.percentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def _resampled(values: Values, statistic: Statistic) -> Values:
    if statistic == "mean":
        drawn: Values = _weights(len(values)) @ values / len(values)
        return drawn
    return _statistic(values[_places(len(values))], statistic)


def _statistic(rows: Values, statistic: Statistic) -> Values:
    if statistic == "mean":
        return np.asarray(rows.mean(axis=1))
    return np.asarray(np.percentile(rows, QUANTILES[statistic], axis=1))


@lru_cache(maxsize=64)
def _weights(n: int, seed: int = 0) -> Values:
    """How often each of n is drawn in each of the samples."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=SAMPLES)
    return drawn.astype(np.float64)


@lru_cache(maxsize=8)
def _places(n: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, n, size=(SAMPLES, n))


# Every score there is, in the order in which it is shown.

Group = Literal["retrieval", "answers", "decision", "cost", "judge"]
Unit = Literal["share", "number", "seconds", "dollars"]
Statistic = Literal["mean", "p50", "p95"]


@dataclass(frozen=True, slots=True)
class Metric:
    """`better` is 1 where more is better, -1 where less is, 0 where neither. `of` is the measure that it sums up."""

    name: str
    label: str
    group: Group
    better: int = 1
    unit: Unit = "share"
    statistic: Statistic = "mean"
    of: str = ""

    @property
    def measure(self) -> str:
        return self.of or self.name


WITHIN = (1000, 2500, 5000)  # characters of passages
HITS = (1, 5, 10)

METRICS: tuple[Metric, ...] = (
    *(Metric(f"all_facts_{n}", f"All facts within {n:,} characters of passages", "retrieval") for n in WITHIN),
    *(Metric(f"facts_{n}", f"Facts within {n:,} characters, mean share", "retrieval") for n in WITHIN),
    *(
        Metric(
            f"hit_{n}",
            f"Evidence among the first {n} passages" if n > 1 else "Evidence in the first passage",
            "retrieval",
        )
        for n in HITS
    ),
    Metric("mrr", "Reciprocal rank of the evidence", "retrieval", unit="number"),
    Metric("ndcg_10", "nDCG@10", "retrieval", unit="number"),
    Metric("all_facts", "All facts in the answer, share of the questions", "answers"),
    Metric("facts_recalled", "Facts in the answer, mean share of a question's", "answers"),
    Metric("facts_in_text", "Facts in its text without quotes, mean share", "answers"),
    Metric("conflicts_shown", "Conflicts shown with all their figures", "answers"),
    Metric("sentences_supported", "Sentences supported", "answers"),
    Metric("sentences_doubted", "Sentences in doubt", "answers", -1),
    Metric("footnote_precision", "Footnotes on the evidence", "answers"),
    Metric("footnote_recall", "Evidence that has a footnote", "answers"),
    Metric("footnotes", "Footnotes written, number in all", "answers", 0, "number"),
    Metric("invalid_footnotes", "Footnotes written that point nowhere, number in all", "answers", -1, "number"),
    Metric("sentences", "Sentences an answer", "answers", 0, "number"),
    Metric("words", "Words an answer", "answers", 0, "number"),
    Metric("false_answers", "False answers (of questions not in the guides)", "decision", -1),
    Metric("false_answers_near", "False answers to near misses", "decision", -1),
    Metric("nearest_absent", "Shown as the nearest (of questions not in the guides)", "decision", 0),
    Metric("answered_outright", "Called an answer (of questions that are in them)", "decision"),
    Metric("false_refusals", "False refusals (of questions that are in them)", "decision", -1),
    Metric("first_word", "Time to first word, median", "cost", -1, "seconds", "p50"),
    Metric("total", "Time to the end, median", "cost", -1, "seconds", "p50"),
    Metric("total_p95", "Time to the end, 95th percentile", "cost", -1, "seconds", "p95", "total"),
    Metric("input_tokens", "Tokens in", "cost", -1, "number"),
    Metric("output_tokens", "Tokens out", "cost", -1, "number"),
    Metric("tokens_per_second", "Tokens written a second, of one answer", "cost", 1, "number"),
    Metric("dollars", "Price a question", "cost", -1, "dollars"),
    Metric("judged_correct", "Correct in the judge's eyes", "judge"),
    Metric("judged_supported", "Sentences supported in the judge's eyes", "judge"),
)
BY_NAME = {metric.name: metric for metric in METRICS}
MEASURES = tuple(dict.fromkeys(metric.measure for metric in METRICS))
HELD = tuple(m.name for m in METRICS if m.better and m.group != "cost")  # what `--must-hold` looks at: time is noisy


def shown(value: float, unit: Unit) -> str:
    """A score as one reads it."""
    if value != value:
        return "–"
    if unit == "share":
        return f"{100 * value:.1f} %" if 0 < value < 1 else f"{100 * value:.0f} %"
    if unit == "seconds":
        return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"
    if unit == "dollars":
        return f"${value:.4f}"
    digits = 0 if abs(value) >= 100 or value == 0 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


# What one prediction is worth, from the prediction alone. NaN where a measure does not apply to the question.

NAN = math.nan
DEEP = 10  # how far down MRR and nDCG look

Measures = Mapping[str, float]
Span = tuple[str, int, int]


def measure(prediction: Prediction) -> dict[str, float]:
    """All measures of one prediction."""
    measures = _retrieval(prediction.question, prediction.retrieved)
    if prediction.answer is not None and not prediction.failed:
        measures |= _answer(prediction, prediction.answer)
        measures |= _decision(prediction)
        measures |= _cost(prediction, prediction.answer)
    return measures


def cause(prediction: Prediction, measures: Measures) -> str:
    """Why an answer is not what it should be, in a few words; empty where it is."""
    question, answer = prediction.question, prediction.answer
    if answer is None or prediction.failed:
        return "failed" if prediction.failed else ""
    if not question.answerable:
        return "false answer" if prediction.answered else ""
    if right(measures):
        return ""
    there = _are_in(question, answer.passages)
    if not prediction.shown:
        return "found, not answered" if there else "not found, not answered"
    return "found, not in the answer" if there else "not found"


def _are_in(question: Question, passages: Sequence[Passage]) -> bool:
    """Whether the passages hold all the facts or all the evidence."""
    if question.facts and facts_in("\n".join(p.text for p in passages), question.facts) == 1.0:
        return True
    return bool(question.evidence) and all(first_rank(piece, passages) for piece in pieces(question))


def right(measures: Measures) -> bool:
    """All facts in the answer; where a question has none, all its evidence cited."""
    recalled = measures.get("all_facts", NAN)
    return (measures.get("footnote_recall", NAN) if recalled != recalled else recalled) == 1.0


def _retrieval(question: Question, passages: Sequence[Passage]) -> dict[str, float]:
    if not question.answerable:
        return {}
    found: dict[str, float] = {}
    if question.facts:
        text = "\n".join(passage.text for passage in passages)
        for n in WITHIN:
            found[f"facts_{n}"] = facts_in(text[:n], question.facts)
            found[f"all_facts_{n}"] = float(found[f"facts_{n}"] == 1.0)
    if question.evidence:
        if any(not evidence.quote for evidence in question.evidence):
            passages = _one_a_document(passages)
        ranks = [first_rank(piece, passages) for piece in pieces(question)]
        first = min(filter(None, ranks), default=0)
        found |= {f"hit_{n}": float(0 < first <= n) for n in HITS}
        found["mrr"] = 1 / first if 0 < first <= DEEP else 0.0
        found["ndcg_10"] = ndcg(ranks)
    return found


def _one_a_document(passages: Sequence[Passage]) -> list[Passage]:
    """The best passage of each document, where documents as a whole are looked for."""
    return list({passage.document: passage for passage in reversed(passages)}.values())[::-1]


def pieces(question: Question) -> list[list[Evidence]]:
    """What has to be found, each with the quotes that serve as well: those that hold the facts that it holds."""

    def held(evidence: Evidence) -> set[str]:
        return {fact for fact in question.facts if _pattern(fact).search(evidence.quote)}

    return [
        [evidence, *(other for other in question.also if held(evidence) and held(evidence) <= held(other))]
        for evidence in question.evidence
    ]


def first_rank(piece: Sequence[Evidence], passages: Sequence[Passage]) -> int:
    """The rank of the first passage that covers a piece of evidence, from 1; 0 if none does."""
    for rank, passage in enumerate(passages, 1):
        if any(covers(passage, evidence) for evidence in piece):
            return rank
    return 0


def covers(passage: Passage, evidence: Evidence) -> bool:
    """Whether a passage, or a copy that was folded into it, holds the evidence."""
    places = [(passage.document, passage.start, passage.end), *passage.also]
    return any(overlap(place, (evidence.document, evidence.start, evidence.end)) for place in places)


def overlap(one: Span, other: Span) -> bool:
    """Whether two spans share at least half of the shorter one."""
    if one[0] != other[0] or min(one[1], other[1]) < 0:
        return False
    shared = min(one[2], other[2]) - max(one[1], other[1])
    return shared > 0 and 2 * shared >= min(one[2] - one[1], other[2] - other[1])


def ndcg(ranks: Sequence[int]) -> float:
    """nDCG@10 of pieces of evidence by their ranks. A passage with two of them counts as two passages in a row."""
    found = sorted(filter(None, ranks))
    placed = [max(rank, i) for i, rank in enumerate(found, 1)]
    ideal = sum(1 / math.log2(i + 1) for i in range(1, min(len(ranks), DEEP) + 1))
    return sum(1 / math.log2(rank + 1) for rank in placed if rank <= DEEP) / ideal


def _answer(prediction: Prediction, answer: Answer) -> dict[str, float]:
    question = prediction.question
    text = answer.text if prediction.shown else ""
    notes = answer.footnotes if prediction.shown else []
    found: dict[str, float] = {}
    if question.answerable and question.facts:
        found["facts_in_text"] = facts_in(text, question.facts)
        found["facts_recalled"] = facts_in("\n".join([text, *(note.quote for note in notes)]), question.facts)
        found["all_facts"] = float(found["facts_recalled"] == 1.0)
        if question.conflict:
            found["conflicts_shown"] = found["all_facts"]
    if question.answerable and question.evidence:
        found["footnote_recall"] = _share([_cited(piece, notes) for piece in pieces(question)])
        if notes:
            wanted = [*question.evidence, *question.also]
            found["footnote_precision"] = _share([any(_on(note, one) for one in wanted) for note in notes])
    if prediction.cited is not None:
        found |= {"footnotes": float(prediction.cited), "invalid_footnotes": float(prediction.invalid)}
    if prediction.shown:
        found["sentences_supported"] = _share([sentence.supported for sentence in answer.sentences])
        found["sentences_doubted"] = _share([sentence.doubted for sentence in answer.sentences])
        found["sentences"] = float(len(answer.sentences))
        found["words"] = float(len(text.split()))
    return found


def _cited(piece: Sequence[Evidence], notes: Sequence[Footnote]) -> bool:
    return any(_on(note, evidence) for note in notes for evidence in piece)


def _on(note: Footnote, evidence: Evidence) -> bool:
    return overlap((note.document, note.start, note.end), (evidence.document, evidence.start, evidence.end))


def _decision(prediction: Prediction) -> dict[str, float]:
    answered, shown = float(prediction.answered), float(prediction.shown)
    if prediction.question.answerable:
        return {"answered_outright": answered, "false_refusals": 1 - shown}
    return {"false_answers": answered, "nearest_absent": shown - answered} | (
        {"false_answers_near": answered} if prediction.question.near else {}
    )


def _cost(prediction: Prediction, answer: Answer) -> dict[str, float]:
    counted = ("input_tokens", "output_tokens", "tokens_per_second", "dollars")
    found = {name: float(answer.usage[name]) for name in counted if name in answer.usage}
    if "total" in answer.seconds:
        found["total"] = float(answer.seconds["total"])
    if prediction.first_word is not None:
        found["first_word"] = prediction.first_word
    return found


def facts_in(text: str, facts: Sequence[str]) -> float:
    """The share of the facts that a text holds."""
    return _share([_pattern(fact).search(text) is not None for fact in facts])


def _share(holds: Sequence[bool]) -> float:
    return sum(holds) / len(holds) if holds else NAN


@lru_cache(maxsize=4096)
def _pattern(fact: str) -> re.Pattern[str]:
    return re.compile(fact, re.IGNORECASE)


# Predictions become scores with intervals: every model beside the floors, by kind, and compared in pairs.

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
    floors = [name for name in WHAT if name in found or name not in RECIPES]
    if models:
        found |= by_model(answer_floors(found[models[0]]))
    verdicts = judged or {}
    rows = {name: [_scored(p, verdicts.get(p.key, {})) for p in found.get(name, [])] for name in [*models, *floors]}
    kinds = Counter(p.question.kind for p in found[models[0] if models else next(iter(found))])
    present = [name for name in rows if rows[name]]
    return Summary([_system(name, place, rows[name]) for place, name in enumerate(present)], dict(kinds))


def _scored(prediction: Prediction, judged: Measures) -> Scored:
    measures = {**measure(prediction), **judged}
    if prediction.model in WHAT and prediction.model not in RECIPES:  # these floors search as the model does
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


def columns(rows: Sequence[Scored]) -> dict[str, Values]:
    """Every measure as a column, NaN where it does not apply."""
    return {name: np.array([row.measures.get(name, NAN) for row in rows], dtype=np.float64) for name in MEASURES}


def _scores(table: Mapping[str, Values]) -> dict[str, Score]:
    scores = {m.name: score(table[m.measure], m.statistic, rate=m.unit == "share") for m in METRICS}
    return {name: found for name, found in scores.items() if found.n}


def _counted(table: Mapping[str, Values]) -> dict[str, Score]:
    """Footnotes are counted, not averaged: of those that point nowhere there should be none."""
    counts = {name: table[name][~np.isnan(table[name])] for name in ("footnotes", "invalid_footnotes")}
    return {name: Score(float(v.sum()), float(v.sum()), float(v.sum()), len(v)) for name, v in counts.items() if len(v)}


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


# Did it get better? Two systems over the same questions, question by question.

SMALL = 1e-9


@dataclass(frozen=True, slots=True)
class Change:
    """A question that is answered otherwise than before. `way` is better, worse or different."""

    id: str
    kind: str
    question: str
    way: str
    what: str


@dataclass(frozen=True, slots=True)
class Comparison:
    before: str
    after: str
    questions: int
    differences: Mapping[str, Difference]
    changes: Sequence[Change]

    @property
    def fallen(self) -> list[str]:
        """The scores that got worse beyond their interval; times are left out, since they are noisy."""
        return [name for name in HELD if name in self.differences and self.differences[name].verdict == "worse"]


def compare(before: System, after: System, label: str = "") -> Comparison:
    """The second against the first, over the questions that both were asked."""
    old = {row.prediction.question.id: row for row in before.rows}
    pairs = [(old[row.prediction.question.id], row) for row in after.rows if row.prediction.question.id in old]
    was, now = columns([a for a, _ in pairs]), columns([b for _, b in pairs])
    differences = {
        m.name: found for m in METRICS if (found := difference(was[m.measure], now[m.measure], m.better, m.statistic)).n
    }
    changes = [change for a, b in pairs if (change := _change(a, b))]
    return Comparison(label or before.name, after.name, len(pairs), differences, changes)


def against(before: Summary, after: Summary, label: str) -> list[Comparison]:
    """Each model of a run against the same one of an earlier run; where each has only one, these two."""
    then = {system.name: system for system in before.models}
    if len(then) == len(after.models) == 1 and after.models[0].name not in then:
        (old,) = then.values()
        return [compare(old, after.models[0], f"{old.name} in {label}")]
    return [compare(then[s.name], s, f"{s.name} in {label}") for s in after.models if s.name in then]


def between(summary: Summary) -> list[Comparison]:
    """The first model against each of the others."""
    return [compare(summary.models[0], other) for other in summary.models[1:]]


def _change(before: Scored, after: Scored) -> Change | None:
    what = _differences(before, after)
    if not what:
        return None
    gain = _worth(after) - _worth(before)
    way = "different" if abs(gain) < SMALL else "better" if gain > 0 else "worse"
    question = after.prediction.question
    return Change(question.id, question.kind, question.question, way, "; ".join(what))


def _worth(row: Scored) -> float:
    """One number for a question: right or not, then how much of it, then how high its evidence was found."""
    m, question = row.measures, row.prediction.question
    if not question.answerable:
        return -m.get("false_answers", 0.0)
    return float(right(m)) + m.get("facts_recalled", 0.0) + m.get("footnote_recall", 0.0) + 0.01 * m.get("mrr", 0.0)


def _differences(before: Scored, after: Scored) -> list[str]:
    """In words, what a reader would notice."""
    what = []
    old, new = before.prediction.answer, after.prediction.answer
    if old is not None and new is not None and old.status != new.status:
        what.append(f"{_words(old.status)} → {_words(new.status)}")
    for name in ("facts_recalled", "footnote_recall", "footnote_precision", "facts_2500", "mrr"):
        was, now = before.measures.get(name), after.measures.get(name)
        if was is not None and now is not None and abs(was - now) > SMALL:
            what.append(f"{BY_NAME[name].label.lower()} {was:.2f} → {now:.2f}")
    return what


def _words(status: str) -> str:
    return status.replace("_", " ")


# What the best passage's score is worth: how many questions it lets be answered at what risk, and whether it means
# the chance that it says.

COVERAGES = (0.8, 0.9, 0.95)
BINS = 10


@dataclass(frozen=True, slots=True)
class Curve:
    """Answering everything whose best passage scores at least `threshold`: `coverage` of the answerable questions are
    answered, and so are `risk` of those that are not in the guides."""

    thresholds: tuple[float, ...]
    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    area: Score  # under coverage over risk: the chance that an answerable question scores higher than another
    risk_at: dict[str, Score]  # coverage, as "90 %" -> risk


@dataclass(frozen=True, slots=True)
class Bin:
    """Passages with scores of about `score`, of which `share` hold the evidence."""

    score: float
    share: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Reliability:
    bins: tuple[Bin, ...]
    error: float  # expected calibration error: how far score and share are apart, on average
    brier: float


def curve(predictions: Sequence[Prediction]) -> Curve | None:
    """None where all questions are answerable, or none is."""
    held = np.array([p.confidence for p in predictions if p.question.answerable])
    absent = np.array([p.confidence for p in predictions if not p.question.answerable])
    if not len(held) or not len(absent):
        return None
    thresholds = np.unique(np.concatenate([held, absent, [np.inf]]))[::-1]
    coverage, risk = (_share_above(values, thresholds) for values in (held, absent))
    return Curve(
        tuple(float(t) for t in thresholds[1:]),
        tuple(map(float, coverage[1:])),
        tuple(map(float, risk[1:])),
        auc(held, absent),
        {f"{100 * c:.0f} %": _risk_at(held, absent, c) for c in COVERAGES},
    )


def _share_above(values: Values, thresholds: Values) -> Values:
    return np.asarray(1 - np.searchsorted(np.sort(values), thresholds, side="left") / len(values))


def _risk_at(held: Values, absent: Values, coverage: float) -> Score:
    """The risk at the threshold that answers this share of the answerable; the threshold is drawn anew each time."""

    def risk(held: Values, absent: Values) -> float:
        threshold = np.sort(held)[::-1][max(0, int(np.ceil(coverage * len(held))) - 1)]
        return float((absent >= threshold).mean())

    draw = np.random.default_rng(0)
    drawn = [risk(draw.choice(held, len(held)), draw.choice(absent, len(absent))) for _ in range(1000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Score(risk(held, absent), float(low), float(high), len(held) + len(absent))


def reliability(predictions: Sequence[Prediction]) -> Reliability | None:
    """Of all passages that were retrieved, also for questions that nothing answers."""
    pairs = [
        (passage.score, any(covers(passage, evidence) for evidence in (*p.question.evidence, *p.question.also)))
        for p in predictions
        for passage in p.retrieved
    ]
    if not pairs:
        return None
    scores, holds = np.array([s for s, _ in pairs]), np.array([h for _, h in pairs], dtype=float)
    return calibrated(scores, holds)


def calibrated(chances: Values, holds: Values) -> Reliability:
    """What was said beside what came true (1 or 0), in bands of a tenth."""
    places = np.clip((chances * BINS).astype(int), 0, BINS - 1)
    bins = []
    for i in np.unique(places):
        inside = places == i
        n, hits = int(inside.sum()), int(holds[inside].sum())
        bins.append(Bin(float(chances[inside].mean()), hits / n, *wilson(hits, n), n))
    error = sum(abs(b.score - b.share) * b.n for b in bins) / len(chances)
    return Reliability(tuple(bins), error, float(((chances - holds) ** 2).mean()))
