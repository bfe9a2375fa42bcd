"""A whole guide, scrolled to the words that led here: /read?document=…&start=…&end=…"""

from __future__ import annotations

import streamlit as st

from assistant.page import side, visit
from assistant.page.parts import mount
from assistant.plain import neutralise
from ingest.errors import FootnoteError


def page() -> None:
    side.panel()
    if st.button("Back to the conversation", icon=":material/arrow_back:", type="tertiary"):
        visit.go_to("ask")
    query = st.query_params
    document = query.get("document", "")
    try:
        found = visit.sources().whole(document, _number(query.get("start")), _number(query.get("end")))
    except FootnoteError as error:
        st.error(visit.label(str(error)))
        return
    if found is None:
        st.info(visit.label(f"There is no guide {document} in the library. Its list stands in the panel on the left."))
        return
    st.subheader(visit.label(neutralise(found.title)), anchor=False)
    st.caption(visit.label(document))
    data = {"key": f"{document}:{found.start}:{found.end}:{len(found.after)}", "title": neutralise(found.title)}
    mount("reader", "reader", {**data, "before": found.before, "quote": found.quote, "after": found.after})


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else 0
