"""The panel beside every page: conversations, the writer, the guides, what answers took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import streamlit as st

from assistant.page import guides, mount, page_style, view, visit
from assistant.page.visit import CLAUDE_MODELS, LABELS, missing, shown_turns
from assistant.records import Answer, neutralise
from ingest.errors import FootnoteError
from ingest.library import Library

LISTED = 12  # conversations before the fold


def panel(answers: list[Answer] | None = None) -> None:
    st.html(page_style())
    with st.sidebar:
        st.html("<p class='footnote-name'>Footnote<sup>1</sup></p>")
        try:
            library = visit.library()
            if st.button("New conversation", icon=":material/edit_square:", width="stretch", key="new"):
                open_conversation(None)
            _conversations()
            st.divider()
            _writer()
            _guides(library)
            _took(answers or [])
        except FootnoteError as error:
            none = "no library at" in str(error)
            st.caption("There is no library yet." if none else visit.label(str(error)))
        if st.button("Evaluation", type="tertiary", icon=":material/monitoring:", key="evaluation"):
            visit.go_to("evaluation")


def open_conversation(name: str | None) -> None:
    st.session_state.conversation = name
    st.session_state.editing = None
    visit.go_to("ask", **({"c": name} if name else {}))


def _conversations() -> None:
    owned = visit.conversations().owned(visit.owner())
    current = st.session_state.get("conversation")
    for conversation in owned[:LISTED]:
        _entry(conversation.id, conversation.title, conversation.id == current)
    if owned[LISTED:]:
        with st.expander(f"{len(owned) - LISTED} older"):
            for conversation in owned[LISTED:]:
                _entry(conversation.id, conversation.title, conversation.id == current)


def _entry(name: str, title: str, current: bool) -> None:
    row = st.container(
        horizontal=True,
        wrap=False,
        vertical_alignment="center",
        gap="small",
        key=f"entry{'-now' if current else ''}-{name}",
    )
    if row.button(visit.label(neutralise(title)), key=f"open-{name}", type="tertiary", width="stretch") and not current:
        open_conversation(name)
    if current:
        with row.popover(
            "Rename, export or delete", type="tertiary", icon=":material/more_horiz:", key="conversation-menu"
        ):
            _manage(name, title)


def _manage(name: str, title: str) -> None:
    store, owner = visit.conversations(), visit.owner()
    with st.form(f"rename-{name}", border=False):
        new = st.text_input("Name", value=title, key=f"title-{name}")
        if st.form_submit_button("Rename") and new.strip():
            store.rename(owner, name, new)
            st.rerun()
    written = view.markdown(title, shown_turns(name))
    file = "".join(c if c.isalnum() else "-" for c in title)[:60].strip("-") or "conversation"
    st.download_button("Export as Markdown", written, f"{file}.md", "text/markdown", icon=":material/download:")
    if st.button("Delete this conversation", icon=":material/delete:", key=f"delete-{name}"):
        store.delete(owner, name)
        open_conversation(None)


def _writer() -> None:
    """Which writer, and where it cannot write: why, and the field or command that makes it so."""
    choice = visit.choice()
    kinds = list(LABELS)
    kind = st.selectbox(
        "Who writes", kinds, kinds.index(choice.kind), format_func=LABELS.__getitem__, key="writer-kind"
    )
    choice = replace(choice, kind=kind)
    if kind == "claude":
        model = st.selectbox("Model", CLAUDE_MODELS, CLAUDE_MODELS.index(choice.model), key="writer-model")
        key = st.text_input(
            "API key", choice.key, type="password", key="writer-key", help="Kept until you leave, in memory only."
        )
        choice = replace(choice, model=model, key=key.strip())
    elif kind == "llama":
        choice = replace(choice, path=st.text_input("The model's folder", choice.path, key="writer-path").strip())
    elif kind == "url":
        choice = replace(
            choice,
            url=st.text_input("Address", choice.url, key="writer-url", placeholder="http://localhost:8000/v1").strip(),
        )
    st.session_state.choice = choice
    if why := missing(choice):
        st.caption(f":material/info: {visit.label(why)}")


def _guides(library: Library) -> None:
    if failures := library.failures():
        st.caption(f":material/warning: {len(failures)} files could not be read: see Guides.")
    fold = st.expander("Guides", icon=":material/library_books:", key="guides", on_change="rerun")
    with fold:
        if guides.under_way("side") or not fold.open:  # its content costs a look at every file
            return
        st.caption(f"{len(library.documents())} guides, {library.count()} passages")
        guides.outcome(failures=False)  # they are in the list
        guides.listing(library)
        guides.upload("side")
        guides.renewal(library)


def _took(answers: list[Answer]) -> None:
    with st.expander("What the answers took", icon=":material/timer:", key="took"):
        if not answers:
            st.caption("Nothing was asked yet.")
        for number, answer in enumerate(answers, 1):
            st.caption(visit.label(f"{number}. {view.meta(answer)}"))
        st.toggle(
            "Log the questions of this visit",
            key="log",
            help="Into log.jsonl in the library's folder; footnote evaluate --log reports on it.",
        )
        dollars = sum(answer.usage.get("dollars", 0) for answer in answers)
        if dollars:
            st.caption(visit.label(f"Together ${dollars:.4f}"))


# A whole guide, scrolled to the words that led here: /read?document=…&start=…&end=…&words=…, their hash.


def guide_page() -> None:
    panel()
    if st.button("Back to the conversation", icon=":material/arrow_back:", type="tertiary"):
        visit.go_to("ask")
    query = st.query_params
    document, words = query.get("document", ""), query.get("words", "")
    try:
        found = visit.sources().whole(document, _number(query.get("start")), _number(query.get("end")), words)
    except FootnoteError as error:
        st.error(visit.label(str(error)))
        return
    if found is None:
        st.info(visit.label(f"There is no guide {document} in the library. Its list stands in the panel on the left."))
        return
    st.subheader(visit.label(neutralise(found.title)), anchor=False)
    st.caption(visit.label(document))
    if found.said:
        st.warning(visit.label(found.said))
    data = {"key": f"{document}:{found.start}:{found.end}:{len(found.after)}", "title": neutralise(found.title)}
    mount("reader", "reader", {**data, "before": found.before, "quote": found.quote, "after": found.after})


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else 0


# The last report of `footnote evaluate`, as it stands in runs/.

RUNS = Path("runs")


def evaluation_page() -> None:
    panel()
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
