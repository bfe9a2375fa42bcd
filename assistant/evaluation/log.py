"""Questions of real use, logged where somebody asked for it, into a file that stays here; and what they say.

footnote ask "…" --log questions.jsonl
footnote evaluate --log questions.jsonl
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assistant.evaluation.blocks import Table
from assistant.evaluation.statistics import Score, score
from ingest.errors import FootnoteError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from assistant.records import Answer

REPORT = "log.md"
FEWEST = 20  # questions in each part before a drift is spoken of
PARTS = 3  # the first third of the time's questions is compared with the last


@dataclass(frozen=True, slots=True)
class Logged:
    """One question as it was answered. `confidence` is the best passage's score: low far from the documents."""

    time: str
    question: str
    status: str
    model: str
    sentences: int
    unsupported: int
    confidence: float
    seconds: float


def log_answer(file: Path, answer: Answer) -> None:
    """Add an answer to the log; the file is made readable by its owner only."""
    line = Logged(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        question=answer.question,
        status=answer.status,
        model=answer.model,
        sentences=len(answer.sentences),
        unsupported=sum(not sentence.supported for sentence in answer.sentences),
        confidence=max((passage.score for passage in answer.passages), default=0.0),
        seconds=float(answer.seconds.get("total", 0.0)),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")


def read(file: Path) -> list[Logged]:
    """What was logged, in order of time; a line that a kill cut short is passed over."""
    if not file.is_file():
        raise FootnoteError(f"no log at {file}: `footnote ask … --log {file}` makes one")
    found = []
    for line in file.read_text(encoding="utf-8").split("\n"):
        try:
            found.append(Logged(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    if not found:
        raise FootnoteError(f"{file} holds no logged question: `footnote ask … --log {file}` adds some")
    return sorted(found, key=lambda one: one.time)


def report_log(file: Path, out: Path | None = None) -> int:
    """Print what the log says, and keep it as Markdown where `out` is given; 0."""
    from assistant.evaluation.report import table

    found = read(file)
    asked = f"{len(found)} questions, {found[0].time[:10]} to {found[-1].time[:10]}"
    text = f"{asked}\n\n{table(by_month(found))}\n\n{drift(found)}\n"
    sys.stdout.write(text)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / REPORT).write_text(f"# What was asked\n\n{text}", encoding="utf-8")
    return 0


def by_month(found: Sequence[Logged]) -> Table:
    """How many were not answered, how many answers had a sentence without support, how sure retrieval was."""
    months = dict.fromkeys(one.time[:7] for one in found)
    rows = [[month, *_cells([one for one in found if one.time.startswith(month)])] for month in months]
    head = (
        "",
        "questions",
        "not answered",
        "answers with unsupported sentences",
        "best passage's score",
        "median time",
    )
    return Table(head, [*rows, ["all", *_cells(found)]])


def _cells(found: Sequence[Logged]) -> list[str]:
    answered = [one for one in found if one.status == "answered"]
    refused = score(_column([one.status != "answered" for one in found]), rate=True)
    unsupported = score(_column([one.unsupported > 0 for one in answered]), rate=True)
    sure, median = (
        score(_column([one.confidence for one in found])),
        score(_column([one.seconds for one in found]), "p50"),
    )
    return [str(len(found)), _share(refused), _share(unsupported), _number(sure), f"{median.value:.2f} s"]


def drift(found: Sequence[Logged]) -> str:
    """Whether later questions are further from the documents than the earlier ones, in one sentence."""
    part = len(found) // PARTS
    if part < FEWEST:
        return f"Too few questions to speak of a drift: it takes {PARTS * FEWEST}."
    first, last = (_column([one.confidence for one in some]) for some in (found[:part], found[-part:]))
    draw = np.random.default_rng(0)
    drawn = [draw.choice(last, part).mean() - draw.choice(first, part).mean() for _ in range(2000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    change = f"{last.mean() - first.mean():+.3f} ({low:+.3f} to {high:+.3f})"
    words = f"by {change} from the first third of the questions to the last"
    if high < 0:
        return f"The questions drift away from the documents: the best passage's score fell {words}."
    if low > 0:
        return f"The questions come closer to the documents: the best passage's score rose {words}."
    return f"No drift seen: the best passage's score changed {words}."


def _column(values: Sequence[float | bool]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _share(found: Score) -> str:
    return f"{100 * found.value:.0f} % ({100 * found.low:.0f}–{100 * found.high:.0f})" if found.n else ""


def _number(found: Score) -> str:
    return f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})" if found.n else ""
