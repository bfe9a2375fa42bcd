"""The last report of `footnote evaluate`, as it stands in runs/."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from assistant.page import side, visit
from assistant.page.parts import mount

RUNS = Path("runs")


def page() -> None:
    side.panel()
    st.header("Evaluation", anchor=False)
    found = reports(RUNS)
    if not found:
        st.info("No report yet. This makes one, here or on the command line:")
        st.code("footnote evaluate corpus/questions.jsonl --model quotes --out runs/today", language="bash")
        return
    names = [report.parent.relative_to(RUNS).as_posix() for report in found]
    chosen = st.selectbox("Run", range(len(found)), format_func=lambda i: names[i]) if len(found) > 1 else 0
    report = found[chosen]
    st.caption(visit.label(str(report)))
    text = report.read_text(encoding="utf-8", errors="replace")
    if report.suffix == ".html":
        mount("report", "report", {"key": f"{report}:{report.stat().st_mtime}", "title": names[chosen], "html": text})
    else:
        st.code(text, language=None, wrap_lines=True)


def reports(runs: Path) -> list[Path]:
    """One report of each run, the newest first; as a page where there is one."""
    found = {path.parent: path for pattern in ("*.md", "*.html") for path in runs.glob(f"**/report{pattern[1:]}")}
    return sorted(found.values(), key=lambda path: path.stat().st_mtime, reverse=True)
