"""What is shown where there is no library yet, or an empty one: how to fill it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from assistant.page import guides, visit
from assistant.page.uploads import renew
from ingest.errors import FootnoteError

CORPUS = Path(__file__).resolve().parents[2] / "corpus"


def page(why: str) -> None:
    st.html("<h1 class='footnote-title'>Ask your guides</h1>")
    st.markdown(
        "Footnote answers from your own documents, every sentence with a footnote that leads to the exact words."
    )
    if guides.under_way("first"):
        return
    if "no library at" not in why:
        st.warning(visit.label(why))
    st.markdown("**There is nothing to ask yet.** Choose what it should read:")
    if CORPUS.is_dir() and st.button("Read the starter guides", type="primary", icon=":material/auto_stories:"):
        _start(str(CORPUS))
    with st.form("folder", border=True):
        folder = st.text_input("Or a folder of your own", placeholder="/home/you/guides")
        if st.form_submit_button("Read this folder") and folder:
            _start(folder)
    guides.upload("first")
    guides.outcome()


def _start(folder: str) -> None:
    path = Path(folder).expanduser()
    try:
        if not path.exists():
            raise FootnoteError(f"There is no file or folder {folder}. Give one that exists.")
        guides.begin(lambda tell: renew(visit.place(), [path], tell))
    except FootnoteError as error:
        st.error(visit.label(str(error)))
