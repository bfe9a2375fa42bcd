"""What `app.py` shows. Only these files know Streamlit; `parts/` holds what runs in the browser.

jobs      an answer, or an ingest, under way in a thread of its own        (no Streamlit)
sources   a footnote becomes its place in the guide                        (no Streamlit)
view      an answer becomes what the browser draws                         (no Streamlit)
uploads   files that a visitor gives, kept in the library's own folder     (no Streamlit)
feedback  an answer becomes a question for the evaluation                  (no Streamlit)
starters  questions drawn from the library                                 (no Streamlit)
writers   what can write an answer here, and if not, why                   (no Streamlit)
visit     who is visiting, and where they are
parts     the pieces of page drawn by our own JavaScript
ask, side, guides, read, evaluation, first   the pages and the panel beside them
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
    "reader": ("render.js", "reader.js"),
    "picker": ("render.js", "picker.js"),
    "report": ("report.js",),
    "page": ("page.js",),
}


@lru_cache(maxsize=4)
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
