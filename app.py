"""The chat page, thin: it shows what `Assistant` yields. Run it with `footnote chat`, or:

FOOTNOTE_LIBRARY=library streamlit run app.py
"""

from __future__ import annotations

import streamlit as st

from assistant.page import ICON, ask, side, visit

st.set_page_config(page_title="Footnote", page_icon=str(ICON), layout="wide")
st.session_state.pages = {
    "ask": st.Page(ask.page, title="Footnote", url_path="ask", default=True),
    "read": st.Page(side.guide_page, title="Guide", url_path="read"),
    "evaluation": st.Page(side.evaluation_page, title="Evaluation", url_path="evaluation"),
}
page = st.navigation(list(st.session_state.pages.values()), position="hidden")
if visit.entered():
    page.run()
