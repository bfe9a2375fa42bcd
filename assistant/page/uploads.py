"""Files that a visitor gives to the library. They are kept in its own folder, whatever they are called."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from ingest.documents import SUFFIXES
from ingest.errors import LibraryError, ReadError
from ingest.library import Library

if TYPE_CHECKING:
    from ingest.sync import Report, Tell

FOLDER = "uploads"
NAME_CHARACTERS = 100
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
    folder = (place / FOLDER).resolve()
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
    from ingest.sync import sync

    return sync(list(paths), place, progress=tell, wait_seconds=30.0)


def take_up(place: Path, tell: Tell, fresh: Sequence[Path] = ()) -> Report:
    """Reads the uploads. Stopped by the visitor, those that were fresh are not wanted after all, unless an earlier one
    of the same name has been read."""
    from assistant.page.jobs import Stopped

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
    from ingest.sync import remove as leave_out

    stored = next((d for d in library.documents() if d.path == document), None)
    if stored and (file := upload_of(library, stored.root, stored.file)):
        return discard(library, file, tell)
    leave_out([document], library.place)
    return None


def upload_of(library: Library, root: str, file: str) -> Path | None:
    """The file, if it is an upload."""
    from ingest.sync import file_of

    path = file_of(root, file)
    return path if path.parent.resolve() == (library.place / FOLDER).resolve() else None


def discard(library: Library, file: Path, tell: Tell) -> Report:
    file.unlink(missing_ok=True)
    others = any(path.suffix in SUFFIXES for path in file.parent.iterdir())
    return take_up(library.place, tell) if others else again(library, tell)  # a folder with nothing in it is an error
