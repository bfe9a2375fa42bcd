"""The chat page, thin: it shows what `Assistant` yields. Run it with `footnote chat`, or:

FOOTNOTE_LIBRARY=library streamlit run app.py
"""

from __future__ import annotations

import streamlit as st

from assistant.page.site import ICON, pages

st.set_page_config(page_title="Footnote", page_icon=str(ICON), layout="wide")
st.navigation(list(pages().values()), position="hidden").run()
