"""What `app.py` shows. Only these files know Streamlit; `parts/` holds what runs in the browser.

ask       the conversation: questions, answers, what one can do with them; the first page
side      the panel beside every page; a guide to read; the report of an evaluation
guides    guides in the panel: uploads, reading, taking out
visit     who is visiting, where they are, and what can write an answer
view      an answer becomes what the browser draws            (no Streamlit)
share     an answer as HTML that stands alone                  (no Streamlit)
layout    its sentences as paragraphs, lists, tables, code    (no Streamlit)
jobs      an answer, or an ingest, under way in its own thread (no Streamlit)
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent / "parts"
ICON = HERE / "icon.png"
_SCRIPTS = {
    "answer": ("render.js", "panel.js", "draw.js", "answer.js"),
    "reader": ("render.js", "panel.js", "reader.js"),
    "picker": ("render.js", "picker.js"),
    "report": ("report.js",),
    "page": ("page.js",),
    "theme": ("theme.js",),
    "asked": ("render.js", "asked.js"),
}


@lru_cache(maxsize=8)
def _code(name: str) -> tuple[str, str]:
    css = (HERE / "parts.css").read_text(encoding="utf-8")
    scripts = [(HERE / file).read_text(encoding="utf-8") for file in _SCRIPTS[name]]
    return "\n".join([f"const CSS = {json.dumps(css)};", *scripts]), css


def mount(name: str, key: str, data: dict[str, Any], *triggers: str) -> Any:
    """Draws a part, and gives what the reader did in it: one attribute for each of its triggers."""
    script, css = _code(name)
    part = st.components.v2.component(f"footnote_{name}", js=script, css=css)
    listed: dict[str, Any] = {f"on_{trigger}_change": _nothing for trigger in triggers}
    return part(key=key, data=data, **listed)


def page_style() -> str:
    return f"<style>{(HERE / 'page.css').read_text(encoding='utf-8')}</style>"


def _nothing() -> None:
    """A trigger needs a callback to be listed in what its part gives back."""
