"""Guides in the panel: which there are, which failed and why; adding, removing, reading again."""

from __future__ import annotations

import glob
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import streamlit as st

from assistant.page import visit
from assistant.page.jobs import Ingesting, Stopped
from assistant.records import neutralise
from ingest.documents import SUFFIXES
from ingest.errors import FootnoteError, ReadError
from ingest.library import Library, Stored, own, unpack_pages
from ingest.sources import Source, source_of
from ingest.sync import Progress, Report, Tell, changes, file_of, sync
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
    """Writes an upload into the library's folder; one of the same name replaces it, and is kept until it is read."""
    path = kept_as(place, name)
    waiting = path.with_name(f".{path.name}.part")
    try:
        waiting.write_bytes(data)
        if path.exists():
            path.replace(_before(path))
        waiting.replace(path)
    except OSError as error:
        raise ReadError(f"{path.name} cannot be kept ({error.strerror}). Make room, or the folder writable.") from error
    return path


def kept_as(place: Path, name: str) -> Path:
    """Where an upload of this name is kept."""
    folder = own(place, FOLDER).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / safe_name(name)
    if path.is_symlink() or path.parent != folder:
        raise ReadError(f"{name!r} leads out of the library's folder. Give the file another name.")
    return path


def other_name(place: Path, name: str) -> str:
    """A name that is free, for a file that is not to replace the one of its own."""
    stem, _, suffix = name.rpartition(".")
    return next(n for i in count(2) if not kept_as(place, n := f"{stem} ({i}).{suffix}").exists())


def _before(path: Path) -> Path:
    """What an upload replaces stands here until the new one has been read."""
    return path.with_name(f".{path.name}.before")


def _undone(path: Path) -> None:
    """The upload goes again; what it replaced is back."""
    if _before(path).exists():
        _before(path).replace(path)
    else:
        path.unlink(missing_ok=True)


def renew(place: Path, paths: Iterable[str | Path | Source], tell: Tell) -> Report:
    """Brings these folders, files and addresses into the library."""
    return sync(list(paths), place, progress=tell, wait_seconds=PATIENT_SECONDS)


def take_up(place: Path, tell: Tell, fresh: Sequence[Path] = ()) -> Report:
    """Reads the uploads. Of the fresh ones none stays that could not be read, or whose reading the visitor stopped;
    what it replaced does."""
    try:
        report = renew(place, [place / FOLDER], tell)
    except (Stopped, FootnoteError):
        for path in fresh:
            _undone(path)
        raise
    failed = {file_of(failure.root, failure.file).resolve() for failure in report.failed}
    refused = [path for path in fresh if path.resolve() in failed]
    for path in refused:
        _undone(path)
    for path in fresh:
        _before(path).unlink(missing_ok=True)
    if refused:
        _look_again(place, tell)
    return report


def _look_again(place: Path, tell: Tell) -> None:
    """So that the library does not go on telling of files that were refused and are gone."""
    with suppress(FootnoteError):  # a folder with nothing in it is an error, and then nothing is told of it
        again(Library(place), tell)


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
    if not visit.may("ingest"):
        return
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
    share, doing = told(job.progress)
    st.progress(share, text=visit.label("Stopping…" if job.stopping else doing))
    if not job.stopping and st.button("Stop reading", icon=":material/stop_circle:", key=f"stop-reading-{key}"):
        job.stop()


def told(progress: Progress | None) -> tuple[float, str]:
    """How far an ingest is, as a share, and in words: of what takes long just now."""
    if progress is None or not progress.total:
        return 0.0, "Starting…"
    if progress.parts:
        doing = neutralise(progress.doing.split(":")[0])
        return min(progress.part / progress.parts, 1.0), f"{doing}: {progress.part:,} of {progress.parts:,} passages"
    return min(progress.done / progress.total, 1.0), (
        f"Reading {neutralise(progress.doing)}, {progress.done} of {progress.total} done"
    )


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
    """A field for files; what is given is kept in the library's own folder and read at once. Files that are dropped
    anywhere on the page land in it (`parts/page.js`)."""
    if not visit.may("ingest"):
        return
    serial = st.session_state.get("uploaded", 0)
    kinds = sorted(suffix.lstrip(".") for suffix in SUFFIXES)
    given = st.file_uploader("Add guides", type=kinds, accept_multiple_files=True, key=f"upload-{key}-{serial}")
    if st.button("From the web, or as text", icon=":material/add_link:", key=f"fetch-{key}", width="stretch"):
        _other_guides()
    for error in st.session_state.get("upload_errors", []):
        st.error(visit.label(error))
    if given:
        st.session_state.uploaded = serial + 1  # an emptied field, so that the same files are not taken again
        _take([(file.name, file.getvalue()) for file in given])
    if waiting := st.session_state.get("replacing"):
        _replace(waiting)


Given = tuple[str, bytes]  # a file's name and what is in it


def _take(given: Sequence[Given], replace: bool = False) -> None:
    """Keeps what is given and has it read. What would replace another is asked about first."""
    place, errors = visit.place(), list[str]()
    fresh, waiting = list[Path](), list[Given]()
    for name, data in given:
        try:
            path = kept_as(place, name)
            if path.exists() and not replace and path.read_bytes() != data:
                waiting.append((name, data))
            else:
                fresh.append(keep(place, name, data))
        except (FootnoteError, OSError) as error:
            errors.append(neutralise(str(error)))
    st.session_state.update(upload_errors=errors, replacing=waiting)
    if fresh:
        begin(lambda tell: take_up(place, tell, fresh))
    st.rerun()


@st.dialog("Add guides")
def _other_guides() -> None:
    """What is no file of the visitor's: an address that the server fetches, or a text that is pasted."""
    with st.form("fetching", border=False):
        address = st.text_input("Address of a page, a site or a repository (.git)", placeholder="https://").strip()
        site = st.toggle("All pages below it", help="The site's pages whose address begins with this one, 500 at most.")
        if st.form_submit_button("Fetch and read", type="primary") and address:
            _fetch(address, site)
    with st.form("pasting", border=False):
        title = st.text_input("Or a text, by the name of", placeholder="Notes on …").strip()
        text = st.text_area("Text", label_visibility="collapsed", placeholder="Paste it here").strip()
        if st.form_submit_button("Keep and read") and text:
            name = re.sub(r"[^\w-]+", "-", title or text.split("\n")[0])[:NAME_CHARACTERS].strip("-") or "text"
            _take([(f"{name}.md", (f"# {title}\n\n{text}\n" if title else text).encode())])


def _fetch(address: str, site: bool) -> None:
    """Only what the web has: places on the server are for whoever may type commands there."""
    if not address.startswith(("https://", "http://")):
        st.error(visit.label(f"{address} is no address of the web: it begins with https://"))
        return
    place, source = visit.place(), source_of(address, site=site and not address.endswith(".git"))
    begin(lambda tell: renew(place, [source], tell))


@st.dialog("There is one of this name")
def _replace(waiting: list[Given]) -> None:
    names = ", ".join(kept_as(visit.place(), name).name for name, _ in waiting)
    st.markdown(visit.label(f"{names}: replace what is in the library, or keep both?"))
    buttons = st.container(horizontal=True)
    if buttons.button("Replace", type="primary", key="replace"):
        _take(waiting, replace=True)
    if buttons.button("Keep both", key="keep-both"):
        _take([(other_name(visit.place(), name), data) for name, data in waiting])
    if buttons.button("Leave it", key="leave-it"):
        st.session_state.replacing = []
        st.rerun()


# The guides in the panel: always in sight, ticked to be asked.

LISTED = 40  # rows; beyond these a guide is looked for by its name
FEW = 8  # guides that need no search
ROW_CHARACTERS = 56  # of a title: three lines, with what is said of the guide below it
FRESH_SECONDS = 20  # a look at every file is not done more often


@dataclass(frozen=True, slots=True)
class Extent:
    sections: int
    pages: int

    def __str__(self) -> str:
        n, what = (self.pages, "page") if self.pages else (self.sections, "section")
        return f"{n} {what}{'' if n == 1 else 's'}"


CHANGED, FAILED = "changed since", "could not be read again"


@dataclass(frozen=True, slots=True)
class About:
    """What is said of a guide in the list."""

    extent: Extent | None
    read: float  # when; 0 where that is not known
    state: str = ""  # where it is not as it was read

    def __str__(self) -> str:
        read = f"read {when(self.read, time.time())}" if self.read else ""
        return ", ".join(filter(None, (str(self.extent) if self.extent else "", read, self.state)))


@st.cache_data(show_spinner=False, max_entries=4)
def _extents(_library: Library, place: str, generation: int) -> dict[int, Extent]:
    sections: dict[int, set[str]] = {}
    last: dict[int, int] = {}
    for document, start, section, packed in _library.rows("SELECT document, start, section, page FROM chunk"):
        sections.setdefault(document, set()).add(section)
        pages = [page for _, page in unpack_pages(start, packed)]
        last[document] = max([last.get(document, 0), *pages])
    return {document: Extent(len(found), last[document]) for document, found in sections.items()}


@st.cache_data(show_spinner=False, max_entries=4)
def _read_at(_library: Library, place: str, generation: int) -> dict[int, float]:
    return read_at(_library)


def read_at(library: Library) -> dict[int, float]:
    """When each document was read: the end of the run that brought it in. Runs of an earlier Footnote do not say."""
    found: dict[int, float] = {}
    for finished, first, last in library.rows(
        "SELECT finished, json_extract(summary, '$.documents[0]'), json_extract(summary, '$.documents[1]') FROM run"
        " WHERE json_extract(summary, '$.documents[1]') >= json_extract(summary, '$.documents[0]')"
    ):
        found |= dict.fromkeys(range(first, last + 1), finished)
    return found


def when(at: float, now: float) -> str:
    """A moment as one says it: its time today, its day this year."""
    then, today = time.localtime(at), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M", then)
    return f"{then.tm_mday} {time.strftime('%b' if then.tm_year == today.tm_year else '%b %Y', then)}"


@st.cache_data(show_spinner=False, max_entries=4, ttl=FRESH_SECONDS)
def _news(_library: Library, place: str, generation: int) -> tuple[list[str], list[str], list[str]]:
    """What is new, changed and gone in the folders, since they were read."""
    found = changes(_library)
    return found.added, found.changed, found.removed


def chosen(library: Library) -> list[str] | None:
    """The guides that are ticked; nothing where all are, since then none has to be named."""
    left_out = st.session_state.get("left_out", set())
    if not left_out:
        return None
    return [path for path in library.paths() if path not in left_out]


def listing(library: Library) -> None:
    documents = library.documents()
    known = str(visit.place()), library.generation
    added, changed, gone = _news(library, *known)
    left_out = _left_out(documents)
    _heading(documents, left_out)
    _renewal(library, added, changed, gone)
    shown, failed = _sought(documents), {(f.root, f.file) for f in library.failures()}
    extents, read_at = _extents(library, *known), _read_at(library, *known)
    states = {**dict.fromkeys(changed, CHANGED), **dict.fromkeys(gone, "its file is gone")}
    with st.container(key="guides-list"):
        for document in shown[:LISTED]:
            state = FAILED if (document.root, document.file) in failed else states.get(document.path, "")
            told = About(extents.get(document.id), read_at.get(document.id, 0.0), state)
            _row(library, document, told, left_out)
    if len(shown) > LISTED:
        st.caption(f"And {len(shown) - LISTED} more: look for them by name.")
    _failures(library)


def _sought(documents: Sequence[Stored]) -> list[Stored]:
    if len(documents) <= FEW:
        return list(documents)
    name = st.text_input("Find a guide", key="find-guide", placeholder="Find a guide", label_visibility="collapsed")
    return [d for d in documents if name.lower() in f"{d.title} {d.path}".lower()]


def _left_out(documents: Sequence[Stored]) -> set[str]:
    """The guides that are not ticked, those that are not in sight just now among them."""
    return {document.path for document in documents} & set(st.session_state.get("left_out", ()))


def _heading(documents: Sequence[Stored], left_out: set[str]) -> None:
    paths = {document.path for document in documents}
    with st.container(horizontal=True, wrap=False, vertical_alignment="center", key="guides-heading"):
        asked = f"{len(documents) - len(left_out)} of {len(documents)} asked"
        st.caption(asked if left_out else f"{len(documents)} guide{'s' * (len(documents) > 1)}, all asked")
        if left_out:
            st.button("All", key="tick-all", type="tertiary", on_click=_leave_out, args=(set(),))
        elif len(documents) > 1:
            st.button("None", key="tick-none", type="tertiary", on_click=_leave_out, args=(paths,))


def _leave_out(paths: set[str]) -> None:
    """Asks all guides but these from now on."""
    st.session_state.update(left_out=set(paths), ticks={}, ticked=st.session_state.get("ticked", 0) + 1)


def _tick(row: Any, document: Stored, title: str, left_out: set[str]) -> None:
    """A box that only a click changes. What is ticked is kept apart from it: on the way from page to page Streamlit
    lets go of boxes, and begins anew with what they were given first."""
    key = f"tick-{document.id}-{st.session_state.get('ticked', 0)}"
    first = st.session_state.setdefault("ticks", {})
    if key not in st.session_state:
        first[key] = document.path not in left_out
    row.checkbox(
        f"Ask {visit.label(title)}", first[key], key=key, on_change=_ticked, args=(key, document.path),
        label_visibility="collapsed",
    )  # fmt: skip


def _ticked(key: str, path: str) -> None:
    left_out = set(st.session_state.get("left_out", ()))
    st.session_state.left_out = left_out - {path} if st.session_state[key] else left_out | {path}


def _row(library: Library, document: Stored, told: About, left_out: set[str]) -> None:
    title = neutralise(document.title) or document.path
    row = st.container(
        horizontal=True, wrap=False, vertical_alignment="center", gap="small", key=f"guide-{document.id}"
    )
    _tick(row, document, title, left_out)
    short = title if len(title) <= ROW_CHARACTERS else title[: ROW_CHARACTERS - 1].rstrip() + "…"
    said = f"{visit.label(short)}  \n:small[{visit.label(str(told))}]"
    if row.button(said, key=f"read-{document.id}", type="tertiary", width="stretch"):
        visit.go_to("read", doc=document.path)
    if row.button(
        f"About {visit.label(title)}", key=f"about-{document.id}", type="tertiary", icon=":material/more_horiz:"
    ):
        _about(library, document, told)


@st.dialog("Guide")
def _about(library: Library, document: Stored, told: About) -> None:
    """What is known of a guide, and what can be done with it."""
    title = neutralise(document.title) or document.path
    st.markdown(f"**{visit.label(title)}**")
    dated = _dated(document.mtime_ns / 1e9) if document.mtime_ns > 0 else ""
    origin = library.origins([document.path]).get(document.path)
    read = f" It was read {_dated(told.read)}." if told.read else ""
    repairs = [f"{n} {kind}" for kind, n in document.repairs.items()]
    for line in (
        f"{document.path}: {told.extent}, {document.chunks} passage{'' if document.chunks == 1 else 's'}",
        (f"The file is of {dated}." if dated else "") + read,
        f"Fetched from {origin[0]} {_dated(origin[1])}." if origin else "",
        f"It has {told.state}: read the folders again to bring it in." if told.state == CHANGED else told.state,
        "; ".join([*document.notes, *repairs]),
    ):
        if line:
            st.caption(visit.label(neutralise(line)))
    buttons = st.container(horizontal=True)
    if buttons.button("Summarise", icon=":material/summarize:", key="summarise"):
        st.session_state.starter = f"Summarise the guide “{title}”"
        visit.go_to("ask")
    only = (set(library.paths()) - {document.path},)
    icon = ":material/filter_alt:"
    if buttons.button("Ask only this", icon=icon, key="only-this", on_click=_leave_out, args=only):
        st.rerun()
    if not visit.may("ingest"):
        return
    st.divider()
    with st.container(horizontal=True, vertical_alignment="center"):
        upload = upload_of(library, document.root, document.file) is not None
        st.caption("Its file goes with it." if upload else "Its file stays where it is.")
        if st.button("Take out of the library", icon=":material/delete:", key=f"remove-{document.id}"):
            begin(lambda tell: remove(library, document.path, tell))


def _dated(at: float) -> str:
    return time.strftime("%d %B %Y, %H:%M", time.localtime(at))


def _failures(library: Library) -> None:
    for i, failure in enumerate(library.failures()):
        file = upload_of(library, failure.root, failure.file)
        if file and not file.exists():
            continue  # it was refused, and is not kept
        st.warning(visit.label(neutralise(f"Not read: {failure.reason}")))
        if file and visit.may("ingest") and st.button("Remove this file", icon=":material/delete:", key=f"discard-{i}"):
            begin(lambda tell, file=file: discard(library, file, tell))  # type: ignore[misc]


def _renewal(library: Library, added: Sequence[str], changed: Sequence[str], gone: Sequence[str]) -> None:
    """Whether the folders are newer than the library, and a button to read them again."""
    parts = {"new": added, "changed": changed, "gone": gone}
    if said := ", ".join(f"{len(found)} {name}" for name, found in parts.items() if found):
        st.caption(f":material/update: Newer than the library: {said}.")
        if visit.may("ingest") and st.button(
            "Read the folders again", icon=":material/sync:", width="stretch", key="renew"
        ):
            begin(lambda tell: again(library, tell))
