"""Pictures of the scores, drawn as SVG by hand: they follow the page's colours, light or dark, and load nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from assistant.evaluation.metrics import BY_NAME
from assistant.evaluation.statistics import Score, wilson
from assistant.evaluation.summary import System
from assistant.plain import neutralise

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
        parts.append(f'<text class="label" x="{labels - 8}" y="{middle:.1f}" text-anchor="end">{_text(label)}</text>')
        for i, (system, found) in enumerate(zip(drawn, scores, strict=True)):
            if found:
                parts.append(_bar(x, y + i * BAR, found, system.place, f"{system.name}, {label}"))
    return _svg(name, parts, drawn, bottom + 26)


def _bar(x: Callable[[float], float], y: float, score: Score, i: int, name: str) -> str:
    tip = f"{name}: {100 * score.value:.0f} % ({100 * score.low:.0f}–{100 * score.high:.0f}) of {score.n}"
    middle = y + BAR / 2 - 1
    return (
        f'<g><title>{_text(tip)}</title><rect class="bar s{i % SERIES}" x="{x(0):.1f}" y="{y:.1f}" '
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
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_text(label)}</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = round(_share_y(share), 1)
        parts.append(f'<path class="grid" d="M{LEFT},{y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{100 * share:.0f} %</text>')
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text class="name" x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{_text(across)}</text>'
    )
    turned = f'transform="rotate(-90 13 {middle})" text-anchor="middle"'
    parts.append(f'<text class="name" x="13" y="{middle}" {turned}>{_text(up)}</text>')
    return parts


def _line(points: Sequence[Point], i: int) -> str:
    path = "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<path class="line s{i % SERIES}" d="M{path}"/>'


def _dot(x: float, y: float, i: int, radius: float, tip: str) -> str:
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"'
    return f'<circle class="dot s{i % SERIES}" {place}><title>{_text(tip)}</title></circle>'


def _svg(name: str, parts: Sequence[str], systems: Sequence[System], height: float = HEIGHT) -> str:
    drawing = f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{_text(name)}">{"".join(parts)}</svg>'
    keys = "".join(f'<span class="key s{s.place % SERIES}">{_text(s.name)}</span>' for s in systems)
    return f'{drawing}<div class="keys">{keys}</div>'


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{1000 * seconds:g} ms"


def _text(text: str) -> str:
    return escape(neutralise(text))
