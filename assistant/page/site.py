"""The pages there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

ICON = Path(__file__).parent / "parts" / "icon.png"


def pages() -> dict[str, Any]:
    from assistant.page import ask, evaluation, read

    return {
        "ask": st.Page(ask.page, title="Footnote", url_path="ask", default=True),
        "read": st.Page(read.page, title="Guide", url_path="read"),
        "evaluation": st.Page(evaluation.page, title="Evaluation", url_path="evaluation"),
    }
