"""Guides in the panel: which there are, which failed and why; adding, removing, reading again."""

from __future__ import annotations

import glob
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import streamlit as st

from assistant.page import visit
from assistant.page.jobs import Ingesting, Stopped
from assistant.records import neutralise
from ingest.documents import SUFFIXES
from ingest.errors import FootnoteError, LibraryError, ReadError
from ingest.library import Library, own
from ingest.sync import Report, Tell, changes, file_of, sync
from ingest.sync import remove as leave_out

# Files that a visitor gives to the library. They are kept in its own folder, whatever they are called.

FOLDER = "uploads"
NAME_CHARACTERS = 100
PATIENT_SECONDS = 30.0  # for another writer of the library
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)


def safe_name(name: str) -> str:
    """A plain file name: no folders, nothing hidden, nothing that any system takes for something else."""
    leaf = PureWindowsPath(PurePosixPath(unicodedata.normalize("NFC", name)).name).name
    leaf = re.sub(r"[^\w.()+ -]+", "_", leaf).strip(" ._")
    stem, _, suffix = leaf.rpartition(".")
    if not stem or f".{suffix.lower()}" not in SUFFIXES:
        raise ReadError(f"{name!r} is of a kind that is not read. Read are: {' '.join(sorted(SUFFIXES))}")
    stem = stem.strip(" .") or "upload"
    stem = f"{stem}_" if _DEVICES.fullmatch(stem) else stem
    return f"{stem[:NAME_CHARACTERS].rstrip(' .')}.{suffix.lower()}"


def keep(place: Path, name: str, data: bytes) -> Path:
    """Writes an upload into the library's folder; one of the same name replaces it."""
    folder = own(place, FOLDER).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / safe_name(name)
    if path.is_symlink() or path.parent != folder:
        raise ReadError(f"{name!r} leads out of the library's folder. Give the file another name.")
    waiting = path.with_name(f".{path.name}.part")
    try:
        waiting.write_bytes(data)
        waiting.replace(path)
    except OSError as error:
        raise ReadError(f"{path.name} cannot be kept ({error.strerror}). Make room, or the folder writable.") from error
    return path


def renew(place: Path, paths: Iterable[str | Path], tell: Tell) -> Report:
    """Brings these folders and files into the library."""
    return sync(list(paths), place, progress=tell, wait_seconds=PATIENT_SECONDS)


def take_up(place: Path, tell: Tell, fresh: Sequence[Path] = ()) -> Report:
    """Reads the uploads. Stopped by the visitor, those that were fresh are not wanted after all, unless an earlier one
    of the same name has been read."""
    try:
        return renew(place, [place / FOLDER], tell)
    except Stopped:
        for path in set(fresh) - _read_before(place):
            path.unlink(missing_ok=True)
        raise


def _read_before(place: Path) -> set[Path]:
    try:
        library = Library(place)
    except LibraryError:  # these were to be the first
        return set()
    found = (upload_of(library, d.root, d.file) for d in library.documents())
    return {path.resolve() for path in found if path}


def again(library: Library, tell: Tell) -> Report:
    """Syncs the folders that the library is made of, those that are still there."""
    return renew(library.place, [root for root in library.roots() if Path(root).exists()], tell)


def remove(library: Library, document: str, tell: Tell) -> Report | None:
    """An upload goes with its file; any other document goes, and its file stays where it is."""
    stored = next((d for d in library.documents([document]) if d.path == document), None)
    if stored and (file := upload_of(library, stored.root, stored.file)):
        return discard(library, file, tell)
    leave_out([glob.escape(document)], library.place, wait_seconds=PATIENT_SECONDS)
    return None


def upload_of(library: Library, root: str, file: str) -> Path | None:
    """The file, if it is an upload."""
    path, folder = file_of(root, file), library.place / FOLDER
    return path if path.parent.resolve() == folder.resolve() and not folder.is_symlink() else None


def discard(library: Library, file: Path, tell: Tell) -> Report:
    file.unlink(missing_ok=True)
    others = any(path.suffix in SUFFIXES for path in file.parent.iterdir())
    return take_up(library.place, tell) if others else again(library, tell)  # a folder with nothing in it is an error


# Reading, seen from the page: how far it is, what came of it.

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
            kept.append(keep(visit.place(), file.name, file.getvalue()))
        except FootnoteError as error:
            errors.append(neutralise(str(error)))
    if kept:
        place = visit.place()
        begin(lambda tell: take_up(place, tell, kept))
    st.rerun()


# The guides in the panel.


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
                begin(lambda tell, path=document.path: remove(library, path, tell))  # type: ignore[misc]
    if len(documents) > 200:
        st.caption(f"And {len(documents) - 200} more: footnote status -v lists them all.")
    for i, failure in enumerate(library.failures()):
        st.warning(visit.label(neutralise(f"Not read: {failure.reason}")))
        file = upload_of(library, failure.root, failure.file)
        if file and st.button("Remove this file", icon=":material/delete:", key=f"discard-{i}"):
            begin(lambda tell, file=file: discard(library, file, tell))  # type: ignore[misc]


def renewal(library: Library) -> None:
    """Whether the folders are newer than the library, and a button to read them again."""
    news = changes(library)
    parts = {"new": news.added, "changed": news.changed, "gone": news.removed}
    said = ", ".join(f"{len(found)} {name}" for name, found in parts.items() if found)
    st.caption(f"Newer than the library: {said}." if said else "Up to date with its folders.")
    if st.button("Read the folders again", icon=":material/sync:", width="stretch"):
        begin(lambda tell: again(library, tell))
