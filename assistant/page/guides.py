"""Guides in the panel: which there are, which failed and why; adding, removing, reading again."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from assistant.page import uploads, visit
from assistant.page.jobs import Ingesting
from assistant.plain import neutralise
from ingest.documents import SUFFIXES
from ingest.errors import FootnoteError
from ingest.library import Library
from ingest.sync import Report, Tell, changes

SLOT = "ingest"


def begin(work: Callable[[Tell], Report | None]) -> None:
    """Starts an ingest, unless one is under way, and shows the page again, with its progress."""
    running = visit.ingesting().get(SLOT)
    if running is None or running.wait(0):
        visit.ingesting()[SLOT] = Ingesting(work)
        st.session_state.watching = True
    st.rerun()


def under_way(key: str) -> bool:
    """Shows the progress of an ingest, if there is one."""
    job = visit.ingesting().get(SLOT)
    if job is None or job.wait(0):
        return False
    _progress(key)
    return True


@st.fragment(run_every=0.4)
def _progress(key: str) -> None:
    job = visit.ingesting().get(SLOT)
    if job is None or job.wait(0):
        st.rerun()
        return
    progress = job.progress
    share = progress.done / progress.total if progress and progress.total else 0.0
    doing = (
        f"Reading {neutralise(progress.doing)}, {progress.done} of {progress.total} done" if progress else "Starting…"
    )
    st.progress(min(share, 1.0), text=visit.label(doing))
    if st.button("Stop reading", icon=":material/stop_circle:", key=f"stop-reading-{key}"):
        job.stop()


def outcome(failures: bool = True) -> None:
    """What the last ingest of this visit came to."""
    job = visit.ingesting().get(SLOT)
    if job is None or not job.wait(0) or not st.session_state.get("watching"):
        return
    if job.error:
        st.error(visit.label(job.error))
    for failure in job.report.failed if job.report and failures else []:
        st.warning(visit.label(neutralise(failure.reason)))
    if job.report:
        (st.info if job.report.failed else st.success)(summary(job.report))


def summary(report: Report) -> str:
    counts = {name: len(getattr(report, name)) for name in ("added", "changed", "moved", "removed", "failed")}
    said = [f"{n} {name}" for name, n in counts.items() if n]
    return (", ".join(said) or "Nothing new") + f", {report.unchanged} unchanged."


def upload(key: str) -> None:
    """A field for files; what is given is kept in the library's own folder and read at once."""
    serial = st.session_state.get("uploaded", 0)
    kinds = sorted(suffix.lstrip(".") for suffix in SUFFIXES)
    given = st.file_uploader("Add guides", type=kinds, accept_multiple_files=True, key=f"upload-{key}-{serial}")
    for error in st.session_state.get("upload_errors", []):
        st.error(visit.label(error))
    if not given:
        return
    st.session_state.uploaded = serial + 1  # an emptied field, so that the same files are not taken again
    st.session_state.upload_errors = errors = list[str]()
    kept = []
    for file in given:
        try:
            kept.append(uploads.keep(visit.place(), file.name, file.getvalue()))
        except FootnoteError as error:
            errors.append(neutralise(str(error)))
    if kept:
        place = visit.place()
        begin(lambda tell: uploads.take_up(place, tell, kept))
    st.rerun()


def listing(library: Library) -> None:
    """Each guide with its size, and a way to take it out."""
    documents = library.documents()
    for document in documents[:200]:
        notes = "; ".join([*document.notes, *(f"{n} {kind}" for kind, n in document.repairs.items())])
        row = st.container(
            horizontal=True, wrap=False, vertical_alignment="center", gap="small", key=f"guide-{document.id}"
        )
        title = neutralise(document.title) or document.path
        help_text = visit.label(f"{document.path}, {document.chunks} passages{', ' + notes if notes else ''}")
        if row.button(visit.label(title), key=f"read-{document.id}", type="tertiary", help=help_text, width="stretch"):
            visit.go_to("read", document=document.path)
        with row.popover(f"About {visit.label(title)}", type="tertiary", icon=":material/more_horiz:"):
            st.caption(help_text)
            if st.button("Take out of the library", key=f"remove-{document.id}"):
                begin(lambda tell, path=document.path: uploads.remove(library, path, tell))  # type: ignore[misc]
    if len(documents) > 200:
        st.caption(f"And {len(documents) - 200} more: footnote status -v lists them all.")
    for i, failure in enumerate(library.failures()):
        st.warning(visit.label(neutralise(f"Not read: {failure.reason}")))
        file = uploads.upload_of(library, failure.root, failure.file)
        if file and st.button("Remove this file", icon=":material/delete:", key=f"discard-{i}"):
            begin(lambda tell, file=file: uploads.discard(library, file, tell))  # type: ignore[misc]


def renewal(library: Library) -> None:
    """Whether the folders are newer than the library, and a button to read them again."""
    news = changes(library)
    parts = {"new": news.added, "changed": news.changed, "gone": news.removed}
    said = ", ".join(f"{len(found)} {name}" for name, found in parts.items() if found)
    st.caption(f"Newer than the library: {said}." if said else "Up to date with its folders.")
    if st.button("Read the folders again", icon=":material/sync:", width="stretch"):
        begin(lambda tell: uploads.again(library, tell))
