"""A run's report: what it says, block by block, and these blocks as Markdown and as a page with pictures.

scores.json beside them holds all numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from assistant.evaluation.predictions import WHAT, Prediction
from assistant.evaluation.score import (
    BY_NAME,
    METRICS,
    Comparison,
    Difference,
    Group,
    Metric,
    Score,
    Scored,
    Summary,
    System,
    facts_in,
    first_rank,
    pieces,
    shown,
    to_json,
    wilson,
    write,
)
from assistant.records import neutralise

# What reports are made of. Blocks hold plain text; what is made of them escapes it.


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """The first cell of a row is its name; a row of one cell parts groups of rows."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """`svg` is drawn below, with all text in it escaped."""

    title: str
    svg: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A question that went wrong, folded up under its title."""

    title: str
    lines: Sequence[tuple[str, str]]


Block = Heading | Text | Table | Picture | Case


# What a report of a run says, block by block.

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
            by_kind(searched, "all_facts_2500"),
            "By kind of question, with 95 % intervals.",
        ),
        Picture(
            "All facts in the answer",
            by_kind(answered, "all_facts"),
            "By kind of question, with 95 % intervals.",
        ),
        Picture("What became of the questions", outcomes(models), "Of all questions, with 95 % intervals."),
        Picture(
            "Coverage and risk",
            coverage_and_risk(models),
            "If the best passage's score alone decided, threshold by threshold. A dot is where a model stands.",
        ),
        Picture(
            "Reliability of the score",
            reliability(models),
            "On the dashed line a score is the chance that the passage holds the evidence. Passages that hold the "
            "answer in other words than the evidence count against it.",
        ),
        Picture(
            "Time to the end of the answer",
            latency(models),
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
            yield from (_case_block(row) for row in rows[:WORST])


def _badness(row: Scored) -> tuple[float, float, str]:
    """What says least of what it should, of these what looked surest first."""
    return row.measures.get("facts_recalled", 0.0), -row.prediction.confidence, row.prediction.question.id


def _case_block(row: Scored) -> Case:
    p, question = row.prediction, row.prediction.question
    answer = p.answer
    lines = [("asked before", " / ".join(question.history))] if question.history else []
    if answer is not None:
        lines.append(("answer", answer.text if p.shown else f"{answer.status.replace('_', ' ')}. {answer.detail}"))
        shown_text = "\n".join([answer.text, *(note.quote for note in answer.footnotes)]) if p.shown else ""
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


# As Markdown, and written down.

MARKDOWN, PAGE = "report.md", "report.html"
_MARKUP = re.compile(r"[\\<>|`\[\]*]|(?<!\w)[_#]|_(?!\w)")


def write_report(folder: Path, report: Report) -> Mapping[str, Any]:
    """Writes the three files; gives what is in scores.json."""
    value = to_json(
        report.summary,
        record=report.record,
        comparisons=[asdict(comparison) for comparison in report.comparisons],
        agreement=[list(row) for row in report.agreement],
    )
    found = list(blocks(report))
    (folder / MARKDOWN).write_text(markdown(report.title, found), encoding="utf-8")
    (folder / PAGE).write_text(page(report.title, found), encoding="utf-8")
    write(folder, value)
    return value


def in_brief(report: Report) -> str:
    """The scores as one Markdown table, and what changed for better or worse."""
    lines = [table(scores_table(report.summary))]
    for found in report.comparisons:
        verdicts = [f"{BY_NAME[name].label}: {d.verdict}" for name, d in found.differences.items() if d.value]
        lines.append(f"{found.after} against {found.before}: " + ("; ".join(verdicts) or "no difference"))
    return "\n\n".join(lines)


def markdown(title: str, found: Sequence[Block]) -> str:
    parts = [f"# {_plain(title)}", *filter(None, map(_block, found))]
    return "\n\n".join(parts) + "\n"


def table(found: Table) -> str:
    """A Markdown table. A row of one cell, which parts groups, becomes bold."""
    width = len(found.head)
    rows = [list(map(_plain, row)) for row in found.rows]
    rows = [[f"**{row[0]}**", *[""] * (width - 1)] if len(row) == 1 else row for row in rows]
    lines = [list(map(_plain, found.head)), ["---"] * width, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_plain(block.text)}"
    if isinstance(block, Text):
        return _plain(block.text)
    if isinstance(block, Table):
        return table(block)
    if isinstance(block, Picture):
        return ""  # Markdown has no pictures of its own: they are in report.html
    return _case(block)


def _case(case: Case) -> str:
    lines = [f"- **{_plain(case.title)}**"]
    lines += [f"  - {name}: {_plain(text)}" for name, text in case.lines]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """One line in which nothing of a guide or a model acts as Markdown or HTML."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(neutralise(text).split()))


# Pictures of the scores, drawn as SVG by hand: they follow the page's colours, light or dark, and load nothing.

WIDTH, HEIGHT = 520, 340
LEFT, RIGHT, TOP, BOTTOM = 78, 28, 16, 48
SERIES = 6  # colours that the page has
BAR, GAP = 13, 14
KIND_LABELS, CAUSE_LABELS = 92, 232  # room for names
TICKS_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """A pair of axes: what is at which place of the picture."""

    x: Callable[[float], float]
    y: Callable[[float], float]


def coverage_and_risk(systems: Sequence[System]) -> str:
    """Empty where there is nothing to draw."""
    drawn = [system for system in systems if system.curve]
    if not drawn:
        return ""
    frame, parts = _shares("answerable, answered", "not in the guides, answered")
    for system in drawn:
        assert system.curve
        i = system.place
        points = [(0.0, 0.0), *zip(system.curve.coverage, system.curve.risk, strict=True)]
        parts.append(_line([(frame.x(a), frame.y(b)) for a, b in points], i))
        refusals, answers = system.scores.get("false_refusals"), system.scores.get("false_answers")
        if refusals and answers:
            parts.append(
                _dot(frame.x(1 - refusals.value), frame.y(answers.value), i, 6, f"{system.name} as it decides")
            )
    return _svg("Coverage and risk", parts, drawn)


def reliability(systems: Sequence[System]) -> str:
    drawn = [system for system in systems if system.reliability]
    if not drawn:
        return ""
    frame, parts = _shares("score of a passage", "share that holds the evidence")
    parts.append(f'<path class="guide" d="M{frame.x(0)},{frame.y(0)}L{frame.x(1)},{frame.y(1)}"/>')
    for system in drawn:
        assert system.reliability
        i = system.place
        bins = system.reliability.bins
        parts.append(_line([(frame.x(b.score), frame.y(b.share)) for b in bins], i))
        for b in bins:
            x = round(frame.x(b.score), 1)
            parts.append(f'<path class="whisker s{i % SERIES}" d="M{x},{frame.y(b.low):.1f}V{frame.y(b.high):.1f}"/>')
            tip = f"{b.n} passages of about {b.score:.2f}: {100 * b.share:.0f} % hold the evidence"
            parts.append(_dot(x, frame.y(b.share), i, 2.5 + min(5, math.log10(b.n + 1)), tip))
    return _svg("Reliability of the score", parts, drawn)


def latency(systems: Sequence[System]) -> str:
    drawn = [system for system in systems if system.seconds]
    if not drawn:
        return ""
    times = [max(s, TICKS_SECONDS[0]) for system in drawn for s in system.seconds]
    low, high = math.log(min(times) / 1.1), math.log(max(times) * 1.1)
    frame = Frame(lambda s: LEFT + (WIDTH - LEFT - RIGHT) * (math.log(s) - low) / (high - low), _share_y)
    ticks = [(frame.x(t), _seconds(t)) for t in TICKS_SECONDS if low <= math.log(t) <= high]
    parts = _axes(ticks, "seconds to the end of the answer", "share of the answers")
    for system in drawn:
        n = len(system.seconds)
        points = [(frame.x(max(s, TICKS_SECONDS[0])), frame.y((k + 1) / n)) for k, s in enumerate(system.seconds)]
        parts.append(_line([(points[0][0], frame.y(0)), *points], system.place))
    return _svg("Time to the end of the answer", parts, drawn)


def by_kind(systems: Sequence[System], metric: str) -> str:
    """A bar for each kind of question and system, with its interval."""
    drawn = [s for s in systems if any(metric in scores for scores in s.by_kind.values())]
    kinds = dict.fromkeys(kind for s in drawn for kind, scores in s.by_kind.items() if metric in scores)
    rows = {kind: [s.by_kind.get(kind, {}).get(metric) for s in drawn] for kind in kinds}
    return _bars(BY_NAME[metric].label, rows, drawn, KIND_LABELS)


def outcomes(systems: Sequence[System]) -> str:
    """Which share of all questions went right, and where the others went wrong."""
    drawn = [system for system in systems if system.questions]
    counts = [{"right": s.questions - sum(s.causes.values()), **s.causes} for s in drawn]
    names = dict.fromkeys(name for found in counts for name in found)

    def share(found: Mapping[str, int], name: str, n: int) -> Score:
        hits = found.get(name, 0)
        return Score(hits / n, *wilson(hits, n), n)

    rows = {name: [share(c, name, s.questions) for c, s in zip(counts, drawn, strict=True)] for name in names}
    return _bars("What became of the questions", rows, drawn, CAUSE_LABELS)


def _bars(name: str, rows: Mapping[str, Sequence[Score | None]], drawn: Sequence[System], labels: int) -> str:
    """Empty where there is nothing to draw."""
    if not rows:
        return ""
    row = len(drawn) * BAR + GAP
    bottom = TOP + len(rows) * row

    def x(share: float) -> float:
        return labels + (WIDTH - labels - RIGHT) * share

    parts = [_tick_down(x(t), t, TOP, bottom) for t in (0, 0.25, 0.5, 0.75, 1)]
    for k, (label, scores) in enumerate(rows.items()):
        y = TOP + k * row + GAP / 2
        middle = y + len(drawn) * BAR / 2 + 4
        parts.append(
            f'<text class="label" x="{labels - 8}" y="{middle:.1f}" text-anchor="end">{_escaped(label)}</text>'
        )
        for i, (system, found) in enumerate(zip(drawn, scores, strict=True)):
            if found:
                parts.append(_bar(x, y + i * BAR, found, system.place, f"{system.name}, {label}"))
    return _svg(name, parts, drawn, bottom + 26)


def _bar(x: Callable[[float], float], y: float, score: Score, i: int, name: str) -> str:
    tip = f"{name}: {100 * score.value:.0f} % ({100 * score.low:.0f}–{100 * score.high:.0f}) of {score.n}"
    middle = y + BAR / 2 - 1
    return (
        f'<g><title>{_escaped(tip)}</title><rect class="bar s{i % SERIES}" x="{x(0):.1f}" y="{y:.1f}" '
        f'width="{x(score.value) - x(0):.1f}" height="{BAR - 2}" rx="2"/>'
        f'<path class="whisker ink" d="M{x(score.low):.1f},{middle:.1f}H{x(score.high):.1f}"/></g>'
    )


def _tick_down(x: float, share: float, top: float, bottom: float) -> str:
    label = f'<text class="tick" x="{x:.1f}" y="{bottom + 18:.1f}" text-anchor="middle">{100 * share:.0f} %</text>'
    return f'<path class="grid" d="M{x:.1f},{top}V{bottom:.1f}"/>{label}'


def _shares(across: str, up: str) -> tuple[Frame, list[str]]:
    """Axes from 0 to 100 % both ways."""
    frame = Frame(lambda share: LEFT + (WIDTH - LEFT - RIGHT) * share, _share_y)
    return frame, _axes([(frame.x(t), f"{100 * t:.0f} %") for t in (0, 0.25, 0.5, 0.75, 1)], across, up)


def _share_y(share: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def _axes(ticks: Iterable[tuple[float, str]], across: str, up: str) -> list[str]:
    bottom = HEIGHT - BOTTOM
    parts = []
    for x, label in ticks:
        parts.append(f'<path class="grid" d="M{x:.1f},{TOP}V{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_escaped(label)}</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = round(_share_y(share), 1)
        parts.append(f'<path class="grid" d="M{LEFT},{y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{100 * share:.0f} %</text>')
    middle = (TOP + bottom) / 2
    place = f'x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle"'
    parts.append(f'<text class="name" {place}>{_escaped(across)}</text>')
    turned = f'transform="rotate(-90 13 {middle})" text-anchor="middle"'
    parts.append(f'<text class="name" x="13" y="{middle}" {turned}>{_escaped(up)}</text>')
    return parts


def _line(points: Sequence[Point], i: int) -> str:
    path = "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<path class="line s{i % SERIES}" d="M{path}"/>'


def _dot(x: float, y: float, i: int, radius: float, tip: str) -> str:
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"'
    return f'<circle class="dot s{i % SERIES}" {place}><title>{_escaped(tip)}</title></circle>'


def _svg(name: str, parts: Sequence[str], systems: Sequence[System], height: float = HEIGHT) -> str:
    drawing = f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{_escaped(name)}">{"".join(parts)}</svg>'
    keys = "".join(f'<span class="key s{s.place % SERIES}">{_escaped(s.name)}</span>' for s in systems)
    return f'{drawing}<div class="keys">{keys}</div>'


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{1000 * seconds:g} ms"


# The report as one page that needs nothing else: no script, no font, no picture from elsewhere; light and dark.

_STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfa; --ink: #1c2024; --soft: #5a636c; --line: #dfe2e4; --card: #f3f4f2;
  --good: #1d6b3f; --bad: #a32a1d;
  --s0: #2458b3; --s1: #b3590b; --s2: #21774a; --s3: #83429d; --s4: #5c6670; --s5: #a12c4e; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181b; --ink: #e6e8ea; --soft: #a2abb3; --line: #32383d;
  --card: #1d2125; --good: #6fce97; --bad: #ff9184;
  --s0: #7fadff; --s1: #f2a65a; --s2: #6fce97; --s3: #cf9be8; --s4: #a6b0ba; --s5: #f58aa7; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .75rem; text-wrap: balance; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 3rem 0 .75rem; } h3 { font-size: 1.02rem; margin: 2rem 0 .5rem; }
p { margin: .6rem 0 1rem; max-width: 76ch; color: var(--soft); }
.wide { overflow-x: auto; margin: 1rem 0; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .75rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
tr:last-child > * { border-bottom: 0; }
thead th { background: var(--card); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 400; min-width: 9rem; }
.numbers td { white-space: nowrap; }
td small { color: var(--soft); font-size: .8rem; }
tr.group th { padding-top: 1rem; font-weight: 650; color: var(--soft); font-size: .78rem; letter-spacing: .04em;
  text-transform: uppercase; }
.better { color: var(--good); font-weight: 600; } .worse { color: var(--bad); font-weight: 600; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1.25rem;
  margin: 1.75rem 0; align-items: start; }
figure { margin: 0; padding: 1rem; border: 1px solid var(--line); border-radius: 8px; }
figure h3 { margin: 0 0 .75rem; font-size: .95rem; }
figcaption { font-size: .84rem; color: var(--soft); margin-top: .6rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 12px; font-family: inherit; } svg .label { fill: var(--ink); font-size: 13px; }
.grid { stroke: var(--line); fill: none; } .guide { stroke: var(--soft); stroke-dasharray: 4 4; fill: none; }
.line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
.dot { fill: var(--c); stroke: var(--paper); stroke-width: 1.5; } .bar { fill: var(--c); }
.whisker { stroke: var(--c); stroke-width: 1.5; fill: none; opacity: .75; }
.whisker.ink { stroke: var(--ink); opacity: .7; }
.keys { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin-top: .5rem; font-size: .8rem; }
.key::before { content: ""; display: inline-block; width: .75em; height: .75em; margin-right: .45em;
  border-radius: 2px; background: var(--c); }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); } .s4 { --c: var(--s4); }
.s5 { --c: var(--s5); }
details { border-top: 1px solid var(--line); padding: .6rem 0; } summary { cursor: pointer; overflow-wrap: anywhere; }
summary:focus-visible { outline: 2px solid var(--s0); outline-offset: 3px; border-radius: 3px; }
dl { display: grid; grid-template-columns: 7.5rem 1fr; gap: .35rem 1rem; margin: .8rem 0 .4rem; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 540px) { main { padding: 1.5rem .9rem 3rem; } dl { grid-template-columns: 1fr; gap: .1rem; }
  dd { margin-bottom: .5rem; } h1 { font-size: 1.35rem; } th, td { padding: .4rem .55rem; }
  figure { padding: .8rem .6rem; }
  svg text { font-size: 17px; } svg .label { font-size: 17px; } svg .name { font-size: 16px; } }
@media print { details { break-inside: avoid; } }
"""


def page(title: str, found: Sequence[Block]) -> str:
    """All text is escaped here, but for the pictures' own markup."""
    parts = []
    for are_pictures, group in groupby(found, lambda block: isinstance(block, Picture)):
        inner = "\n".join(map(_block_html, group))
        parts.append(f'<div class="pictures">{inner}</div>' if are_pictures else inner)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{_escaped(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main><h1>{_escaped(title)}</h1>\n" + "\n".join(parts) + "\n</main></body></html>\n"
    )


def _block_html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_escaped(block.text)}</h{block.level}>"
    if isinstance(block, Text):
        return f"<p>{_escaped(block.text)}</p>"
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        caption = f"<figcaption>{_escaped(block.caption)}</figcaption>" if block.caption else ""
        return f"<figure><h3>{_escaped(block.title)}</h3>{block.svg}{caption}</figure>"
    return _case_html(block)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{_escaped(cell)}</th>' for cell in table.head)
    head = f"<thead><tr>{head}</tr></thead>" if any(table.head) else ""
    longest = max((len(cell) for row in table.rows for cell in row[1:]), default=0)
    kind = ' class="numbers"' if longest < 40 else ""
    body = "".join(_row(row, len(table.head)) for row in table.rows)
    return f'<div class="wide" tabindex="0"><table{kind}>{head}<tbody>{body}</tbody></table></div>'


def _row(row: Sequence[str], width: int) -> str:
    if len(row) == 1:
        return f'<tr class="group"><th colspan="{width}" scope="colgroup">{_escaped(row[0])}</th></tr>'
    return f'<tr><th scope="row">{_escaped(row[0])}</th>{"".join(map(_cell, row[1:]))}</tr>'


def _cell(cell: str) -> str:
    """A verdict in its colour, an interval smaller than its value."""
    if cell in ("better", "worse"):
        return f'<td class="{cell}">{cell}</td>'
    value, bracket, interval = cell.partition(" (")
    if bracket and interval.endswith(")") and len(cell) < 40:
        return f"<td>{_escaped(value)} <small>({_escaped(interval)}</small></td>"
    return f"<td>{_escaped(cell)}</td>"


def _case_html(case: Case) -> str:
    lines = "".join(f"<dt>{_escaped(name)}</dt><dd>{_escaped(text)}</dd>" for name, text in case.lines)
    return f"<details><summary>{_escaped(case.title)}</summary><dl>{lines}</dl></details>"


def _escaped(text: str) -> str:
    return escape(neutralise(text))
