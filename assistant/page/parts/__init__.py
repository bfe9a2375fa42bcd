"""The pieces of page that our own JavaScript draws. What is given to them is data; they never take text for HTML."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
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
    import streamlit as st

    script, css = _code(name)
    part = st.components.v2.component(f"footnote_{name}", js=script, css=css)
    listed: dict[str, Any] = {f"on_{trigger}_change": _nothing for trigger in triggers}
    return part(key=key, data=data, **listed)


def page_style() -> str:
    return f"<style>{(HERE / 'page.css').read_text(encoding='utf-8')}</style>"


def _nothing() -> None:
    """A trigger needs a callback to be listed in what its part gives back."""
