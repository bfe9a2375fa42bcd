"""Every score there is, in the order in which it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    *(Metric(f"facts_{n}", f"Facts within {n:,} characters, share", "retrieval") for n in WITHIN),
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
    Metric("all_facts", "All facts in the answer", "answers"),
    Metric("facts_recalled", "Facts in the answer, share", "answers"),
    Metric("facts_in_text", "Facts in its text without quotes, share", "answers"),
    Metric("conflicts_shown", "Conflicts shown with all their figures", "answers"),
    Metric("sentences_supported", "Sentences supported", "answers"),
    Metric("footnote_precision", "Footnotes on the evidence", "answers"),
    Metric("footnote_recall", "Evidence that has a footnote", "answers"),
    Metric("invalid_footnotes", "Invalid footnotes, number in all", "answers", -1, "number"),
    Metric("sentences", "Sentences an answer", "answers", 0, "number"),
    Metric("words", "Words an answer", "answers", 0, "number"),
    Metric("false_answers", "False answers (of questions not in the guides)", "decision", -1),
    Metric("false_answers_near", "False answers to near misses", "decision", -1),
    Metric("false_refusals", "False refusals (of questions that are)", "decision", -1),
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
