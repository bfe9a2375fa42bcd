"""What a report of a run says, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.evaluation import pictures
from assistant.evaluation.blocks import Block, Case, Heading, Picture, Table, Text
from assistant.evaluation.compare import Comparison
from assistant.evaluation.floors import WHAT
from assistant.evaluation.metrics import BY_NAME, METRICS, Group, Metric, shown
from assistant.evaluation.predictions import Prediction
from assistant.evaluation.score import facts_in, first_rank, pieces
from assistant.evaluation.statistics import Difference, Score
from assistant.evaluation.summary import Scored, Summary, System

WORST = 8  # of each way to go wrong
CHANGED = 40
GROUPS: Mapping[Group, str] = {
    "retrieval": "Retrieval",
    "answers": "Answers",
    "decision": "Answering or not",
    "cost": "Time and price",
    "judge": "A judge's view",
}
BY_KIND = ("all_facts_1000", "all_facts_2500", "all_facts_5000", "hit_1", "hit_5", "hit_10", "mrr", "ndcg_10")
BY_KIND_ANSWERS = (
    "all_facts",
    "facts_recalled",
    "footnote_precision",
    "footnote_recall",
    "false_refusals",
    "false_answers",
)


@dataclass(frozen=True, slots=True)
class Report:
    """All that there is to report of a run."""

    summary: Summary
    record: Mapping[str, Any]
    comparisons: Sequence[Comparison] = ()
    agreement: Sequence[Sequence[str]] = ()  # rows: of the judge with the mechanical scores
    notes: Sequence[str] = ()

    @property
    def title(self) -> str:
        names = ", ".join(system.name for system in self.summary.models) or "retrieval"
        return f"{names} on {self.record.get('settings', {}).get('questions', 'a question set')}"


def blocks(report: Report) -> Iterator[Block]:
    yield Text(_lead(report))
    yield from map(Text, report.notes)
    yield Heading("Scores")
    yield scores_table(report.summary)
    yield Text(
        "In brackets the 95 % interval (bootstrap over the questions; Wilson's where a rate is 0 % or 100 %). "
        + " ".join(f"{s.name}: {WHAT[s.name]}." for s in report.summary.floors)
    )
    yield from _pictures(report.summary)
    yield from _comparisons(report.comparisons)
    for system in report.summary.models:
        yield from _system(system)
    if report.agreement:
        yield Heading("The judge beside the mechanical scores")
        yield Table(
            ("", "both say yes", "only the judge", "only the score", "both say no", "agreement", "κ"), report.agreement
        )
    yield from _worst(report.summary)
    yield from _record(report.record)


def _lead(report: Report) -> str:
    settings = report.record.get("settings", {})
    kinds = ", ".join(f"{n} {kind}" for kind, n in report.summary.kinds.items())
    total = sum(report.summary.kinds.values())
    split = settings.get("split", "all")
    which = "all of them, not only those for testing" if split == "all" else f"the `{split}` split"
    return f"{total} questions ({kinds}); {which}. Made {report.record.get('made', 'at an unknown time')}."


def scores_table(summary: Summary) -> Table:
    """Every score of every model, beside the floors."""
    rows: list[list[str]] = []
    for group, name in GROUPS.items():
        of_group = [m for m in METRICS if m.group == group and any(m.name in s.scores for s in summary.models)]
        if of_group:
            rows.append([name])
            rows += [[m.label, *(cell(s.scores.get(m.name), m) for s in summary.systems)] for m in of_group]
    return Table(("", *(system.name for system in summary.systems)), rows)


def cell(score: Score | None, metric: Metric) -> str:
    if score is None or not score.n:
        return ""
    if score.low == score.high:
        return shown(score.value, metric.unit)
    return f"{shown(score.value, metric.unit)} ({_range(score.low, score.high, metric)})"


def _range(low: float, high: float, metric: Metric) -> str:
    if metric.unit == "share":
        return f"{100 * low:.0f}–{100 * high:.0f}"
    return f"{shown(low, metric.unit)}–{shown(high, metric.unit)}"


def _pictures(summary: Summary) -> Iterator[Block]:
    models = summary.models
    searched = [*models, *(s for s in summary.floors if "all_facts_2500" in s.scores)]
    answered = [*models, *(s for s in summary.floors if s.scores.get("all_facts") and s.scores["all_facts"].value)]
    found = (
        Picture(
            "All facts within 2,500 characters of passages",
            pictures.by_kind(searched, "all_facts_2500"),
            "By kind of question, with 95 % intervals.",
        ),
        Picture(
            "All facts in the answer",
            pictures.by_kind(answered, "all_facts"),
            "By kind of question, with 95 % intervals.",
        ),
        Picture("What became of the questions", pictures.outcomes(models), "Of all questions, with 95 % intervals."),
        Picture(
            "Coverage and risk",
            pictures.coverage_and_risk(models),
            "If the best passage's score alone decided, threshold by threshold. A dot is where a model stands.",
        ),
        Picture(
            "Reliability of the score",
            pictures.reliability(models),
            "On the dashed line a score is the chance that the passage holds the evidence. Passages that hold the "
            "answer in other words than the evidence count against it.",
        ),
        Picture(
            "Time to the end of the answer",
            pictures.latency(models),
            "The share of the answers that were there by then.",
        ),
    )
    yield from (picture for picture in found if picture.svg)


def _comparisons(comparisons: Sequence[Comparison]) -> Iterator[Block]:
    for found in comparisons:
        yield Heading(f"{found.after} against {found.before}")
        rows = [_difference(BY_NAME[name], d) for name, d in found.differences.items()]
        yield Text(
            f"Paired, over the {found.questions} questions that both were asked; between shares in points of a hundred."
        )
        yield Table(("", "before", "after", "difference", ""), rows)
        yield Heading(f"Questions that changed ({len(found.changes)})", 3)
        order = {"worse": 0, "better": 1, "different": 2}
        changes = sorted(found.changes, key=lambda change: order[change.way])
        yield (
            Table(("", "", "question", "what"), [[c.id, c.way, c.question, c.what] for c in changes[:CHANGED]])
            if changes
            else Text("None.")
        )
        if len(changes) > CHANGED:
            yield Text(f"And {len(changes) - CHANGED} more; all of them are in scores.json.")


def _difference(metric: Metric, d: Difference) -> list[str]:
    before, after = (shown(v, metric.unit) for v in (d.before, d.after))
    change, low, high = (_signed(v, metric) for v in (d.value, d.low, d.high))
    return [metric.label, before, after, f"{change} ({low} to {high})", d.verdict]


def _signed(value: float, metric: Metric) -> str:
    """A difference; between shares in points of a hundred."""
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return sign + (f"{abs(100 * value):.1f}" if metric.unit == "share" else shown(abs(value), metric.unit))


def _system(system: System) -> Iterator[Block]:
    yield Heading(f"{system.name}: by kind of question")
    for names in (BY_KIND, BY_KIND_ANSWERS):
        metrics = [BY_NAME[n] for n in names if n in system.scores]
        rows = [[kind, *(cell(found.get(m.name), m) for m in metrics)] for kind, found in system.by_kind.items()]
        if metrics:
            yield Table(("", *(m.label for m in metrics)), [row for row in rows if any(row[1:])])
    if system.curve:
        rates = "; ".join(f"{cell(s, BY_NAME['false_answers'])} at {c}" for c, s in system.curve.risk_at.items())
        area = system.curve.area
        yield Text(
            f"By the best passage's score alone an answerable question stands above another with a chance of "
            f"{area.value:.3f} ({area.low:.3f}–{area.high:.3f}). False answers at a share of answerable questions "
            f"answered: {rates}."
        )
    if system.reliability:
        yield Text(
            f"Reliability of the score: it is off by {system.reliability.error:.3f} on average "
            f"(Brier score {system.reliability.brier:.3f})."
        )
    if system.causes:
        yield Heading(f"{system.name}: where it goes wrong", 3)
        yield Table(("", "questions"), [[name, str(n)] for name, n in system.causes.items()])
    if system.dollars:
        yield Text(f"It cost ${system.dollars:.2f} in all.")


def _worst(summary: Summary) -> Iterator[Block]:
    for system in summary.models:
        wrong = sorted((row for row in system.rows if row.cause), key=_badness)
        if wrong:
            yield Heading(f"{system.name}: the worst questions")
        for cause in system.causes:
            rows = [row for row in wrong if row.cause == cause]
            yield Heading(cause + (f" ({WORST} of {len(rows)})" if len(rows) > WORST else f" ({len(rows)})"), 3)
            yield from (_case(row) for row in rows[:WORST])


def _badness(row: Scored) -> tuple[float, float, str]:
    """What says least of what it should, of these what looked surest first."""
    return row.measures.get("facts_recalled", 0.0), -row.prediction.confidence, row.prediction.question.id


def _case(row: Scored) -> Case:
    p, question = row.prediction, row.prediction.question
    answer = p.answer
    lines = [("asked before", " / ".join(question.history))] if question.history else []
    if answer is not None:
        lines.append(("answer", answer.text if p.answered else f"{answer.status.replace('_', ' ')}. {answer.detail}"))
        shown_text = "\n".join([answer.text, *(note.quote for note in answer.footnotes)]) if p.answered else ""
        lines += [("missed", fact) for fact in question.facts if not facts_in(shown_text, [fact])]
    lines += [("evidence", f"{e.document}: {e.quote}{_where(p, i)}") for i, e in enumerate(question.evidence)]
    if p.retrieved:
        best = p.retrieved[0]
        lines.append(("best passage", f"{best.score:.2f}  {best.document} › {best.section}: {best.text[:300]}"))
    return Case(f"{question.question}  [{question.id}]", lines)


def _where(prediction: Prediction, i: int) -> str:
    rank = first_rank(pieces(prediction.question)[i], prediction.retrieved)
    return f"  (found as number {rank})" if rank else "  (not found)"


def _record(record: Mapping[str, Any]) -> Iterator[Block]:
    if not record:
        return
    yield Heading("What it was made of")
    rows = [[name, str(value)] for name, value in record.get("settings", {}).items()]
    rows += [[f"hash of {name}", value] for name, value in record.get("hashes", {}).items()]
    rows += [[name, value] for name, value in record.get("versions", {}).items()]
    rows += [[name, str(record[name])] for name in ("embedder", "documents", "machine") if name in record]
    yield Table(("", ""), rows)
