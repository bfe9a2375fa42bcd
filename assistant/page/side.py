"""The panel beside every page: conversations, the writer, the guides, what answers took."""

from __future__ import annotations

import glob
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from assistant.page import guides, mount, page_style, share, view, visit
from assistant.page.visit import CLAUDE_MODELS, LABELS, Choice, missing, shown_turns
from assistant.records import Answer, hash_of, neutralise
from assistant.writers import found as found_writers
from ingest.errors import FootnoteError
from ingest.library import Library

LISTED = 12  # conversations before the fold
HITS, HIT_CHARACTERS = 6, 120  # of a search in a guide
FEW = 4  # conversations that need no search


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
            st.caption("There is no library yet." if none else visit.label(view.plain(str(error))))
        if st.button("Evaluation", type="tertiary", icon=":material/monitoring:", key="evaluation"):
            visit.go_to("evaluation")
        mount("theme", "theme", {})


def open_conversation(name: str | None) -> None:
    st.session_state.editing = None
    st.session_state.pop("conversation", None)  # the address says which one is open
    if not name:
        st.query_params.pop("c", None)
    visit.go_to("ask", **({"c": name} if name else {}))


def _conversations() -> None:
    store, owner = visit.conversations(), visit.owner()
    found = store.owned(owner)
    if len(found) > FEW:
        words = st.text_input(
            "Search conversations", key="search-conversations", placeholder="Search conversations",
            label_visibility="collapsed",
        )  # fmt: skip
        if words.strip():
            found = store.search(owner, words)
            if not found:
                st.caption("In none of them.")
    current = st.session_state.get("conversation")
    for conversation in found[:LISTED]:
        _entry(conversation.id, conversation.title, conversation.id == current)
    if found[LISTED:]:
        with st.expander(f"{len(found) - LISTED} older"):
            for conversation in found[LISTED:]:
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
            st.session_state.pop("conversation", None)
            st.rerun()
    written = view.markdown(title, shown_turns(name))
    file = "".join(c if c.isalnum() else "-" for c in title)[:60].strip("-") or "conversation"
    st.download_button("Export as Markdown", written, f"{file}.md", "text/markdown", icon=":material/download:")
    if st.session_state.get("deleting") != name:
        if st.button("Delete this conversation", icon=":material/delete:", key=f"delete-{name}"):
            st.session_state.deleting = name
            st.rerun()
        return
    st.markdown("Delete it with all its answers? It cannot be brought back.")
    buttons = st.container(horizontal=True)
    if buttons.button("Delete", type="primary", key=f"really-delete-{name}"):
        store.delete(owner, name)
        open_conversation(None)
    if buttons.button("Keep it", key=f"keep-{name}"):
        st.session_state.deleting = None
        st.rerun()


def _writer() -> None:
    """Which writer: what is found on this machine, Claude, and what the visitor may name. Another one writes only
    after it has been tried."""
    choice, found = visit.choice(), visit.found_writers(str(visit.place()))
    labels = {"quotes": LABELS["quotes"], **{one.name: one.label for one in found if one.name != "claude"}}
    labels |= {kind: LABELS[kind] for kind in ("claude", *(("url", "llama") if visit.is_own() else ()))}
    now = choice.name if choice.name in labels else choice.kind
    options = list(labels)
    kind = st.selectbox(
        "Who writes", options, options.index(now) if now in options else 0, format_func=labels.__getitem__,
        key="writer-kind",
    )  # fmt: skip
    wanted = _wanted(choice, kind)
    if why := missing(wanted):
        st.caption(f":material/info: {visit.label(why)}.")
    elif wanted != choice:
        _try(wanted, choice)
    if len(labels) == 2 + 2 * visit.is_own() and kind == "quotes":
        st.caption(visit.label(found_writers.HOW))


def _wanted(choice: Choice, kind: str) -> Choice:
    """What the fields say."""
    if kind == "claude":
        model = st.selectbox("Model", CLAUDE_MODELS, CLAUDE_MODELS.index(choice.model), key="writer-model")
        kept = "Kept in this server's memory until it ends, and nowhere else."
        key = st.text_input("API key", choice.key, type="password", key="writer-key", help=kept)
        return replace(choice, kind=kind, model=model, key=key.strip())
    if kind == "llama":
        path = st.text_input("The model's folder", choice.path, key="writer-path")
        return replace(choice, kind=kind, path=path.strip())
    if kind == "url":
        shown = "http://localhost:8000/v1"
        url = st.text_input("Address", choice.url, key="writer-url", placeholder=shown)
        return replace(choice, kind=kind, url=url.strip())
    if kind.startswith("llama:"):
        return replace(choice, kind="llama", path=kind.partition(":")[2])
    return replace(choice, kind="url", url=kind) if kind.startswith("http") else replace(choice, kind="quotes")


def _try(wanted: Choice, before: Choice) -> None:
    """A writer writes from when it has answered; the one before it until then. Quotes need no trial."""
    if wanted.kind == "quotes":
        visit.choose(wanted)
        return
    if why := st.session_state.get("untried", {}).get(wanted):
        st.error(visit.label(f"It did not answer: {view.plain(why)}"))
    st.caption(visit.label(f"Until it has been tried, {LABELS[before.kind]} goes on writing."))
    if st.button("Try it and use it", icon=":material/play_circle:", key="writer-try", width="stretch"):
        with st.spinner("Asking it for a few words…"):
            why = found_writers.tried(visit.writer(wanted))
        st.session_state.untried = {wanted: why}
        if not why:
            visit.choose(wanted)
        st.rerun()


def _guides(library: Library) -> None:
    st.html("<h2 class='footnote-part'>Guides</h2>")
    if not guides.under_way("side"):
        guides.outcome(failures=False)  # they are in the list
        guides.listing(library)
        guides.upload("side")


def _took(answers: list[Answer]) -> None:
    with st.expander("What the answers took", icon=":material/timer:", key="took"):
        if not answers:
            st.caption("Nothing was asked yet.")
        for number, answer in enumerate(answers, 1):
            st.caption(visit.label(f"{number}. {view.meta(answer)}"))
        st.toggle(
            "Log the questions of this visit",
            key="log",
            help="Into log.jsonl in the library's folder, for an evaluation to report on.",
        )
        dollars = sum(answer.usage.get("dollars", 0) for answer in answers)
        if dollars:
            st.caption(visit.label(f"Together ${dollars:.4f}"))


# A whole guide, scrolled to the words that led here: /read?doc=…&start=…&end=…&hash=… (`Footnote.url`).


def guide_page() -> None:
    panel()
    query = st.query_params
    document, known, name = query.get("doc", ""), query.get("hash", ""), query.get("c", "")
    back = "Back to the conversation" if name else "Ask your guides"
    if st.button(back, icon=":material/arrow_back:", type="tertiary"):
        visit.go_to("ask", **({"c": name} if name else {}))
    try:
        at = _number(query["at"]) if "at" in query else None
        found = visit.sources().whole(document, _number(query.get("start")), _number(query.get("end")), known, at)
        sheet = _sheet(found) if found else None
        origin = visit.library().origins([document]).get(document)
    except FootnoteError as error:
        st.error(visit.label(view.plain(str(error))))
        return
    if found is None:
        st.info(visit.label(f"There is no guide {document} in the library. Its list stands in the panel on the left."))
        return
    st.set_page_config(page_title=neutralise(found.title))
    st.subheader(visit.label(neutralise(found.title)), anchor=False)
    st.caption(visit.label(document))
    if origin and (address := share.web_address(origin[0])):
        st.link_button("Where it was fetched", address, type="tertiary", icon=":material/open_in_new:")
    if found.reading:
        st.caption(visit.label(f"The words that led here are a reading: {found.reading}"))
    if found.said:
        st.warning(visit.label(found.said))
    _search_in(document)
    done = _drawn(found, sheet)
    if done.turn:
        st.session_state.sheet = (document, found.start, _number(str(done.turn)))
        st.rerun()
    if done.go is not None:
        visit.go_to("read", **{**query.to_dict(), "at": _number(str(done.go))})


def _drawn(found: view.Place, sheet: dict[str, object] | None) -> Any:
    """The guide, or the window of a very long one, with the list of all its headings."""
    first = found.start - len(found.before)
    last = found.end + len(found.after)
    headings = visit.sources().headings(found.document)
    data = {
        **view.drawn(found),
        "key": f"{found.document}:{found.start}:{found.end}:{first}:{last}",
        "sheet": sheet,
        "headings": [[heading.label, heading.level, heading.start] for heading in headings],
        "above": sum(heading.start < first for heading in headings),
        "up": None if found.opens else max(0, first - view.WINDOW + view.AROUND),
        "down": None if found.closes else last,
    }
    with st.container(key="with-sheet" if sheet else "guide"):
        return mount("reader", "reader", data, "turn", "go")


def _sheet(found: view.Place) -> dict[str, object] | None:
    """The page that the words stand on, as it looks; or the one that the reader has turned to."""
    if found.page is None:
        return None
    document, start, page = st.session_state.get("sheet", ("", 0, 0))
    turned = (document, start) == (found.document, found.start)
    return visit.picture(found.document, page if turned else found.page, found.start, found.end)


def _search_in(document: str) -> None:
    """Passages of this guide, by words and by meaning, each a step to its place."""
    words = st.text_input(
        "Search in this guide", key=f"search-{document}", placeholder="Search in this guide",
        label_visibility="collapsed", icon=":material/search:",
    )  # fmt: skip
    for i, found in enumerate(
        visit.assistant().search(words, HITS, documents=[glob.escape(document)]) if words else ()
    ):
        section = found.section.rsplit(" > ", 1)[-1]
        line = " ".join(neutralise(found.text).split())
        start = f"{neutralise(section)}: {line}" if section and not line.startswith(section) else line
        if st.button(visit.label(start[:HIT_CHARACTERS] + "…"), key=f"hit-{i}", type="tertiary", width="stretch"):
            place = {"start": found.start, "end": found.end, "hash": hash_of(found.text)}
            visit.go_to("read", doc=document, **place)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else 0


# The last report of `footnote evaluate`, as it stands in runs/.

RUNS = Path("runs")


def evaluation_page() -> None:
    panel()
    st.header("Evaluation", anchor=False)
    found = reports(RUNS)
    if not found:
        st.info("No report yet. Whoever runs this server makes one; the README says how, under Numbers.")
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
