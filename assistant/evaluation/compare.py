"""Did it get better? Two systems over the same questions, question by question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assistant.evaluation.metrics import BY_NAME, HELD, METRICS
from assistant.evaluation.score import right
from assistant.evaluation.statistics import Difference, difference
from assistant.evaluation.summary import Scored, Summary, System, columns

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
