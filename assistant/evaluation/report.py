"""A run's report as Markdown and as a page; scores.json beside them holds all numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assistant.evaluation.blocks import Block, Case, Heading, Picture, Table, Text
from assistant.evaluation.content import Report, blocks, scores_table
from assistant.evaluation.metrics import BY_NAME
from assistant.evaluation.page import page
from assistant.evaluation.summary import to_json, write
from assistant.plain import neutralise

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
