"""Which files a person means by a path: a folder's readable files, in order, no loops, none hidden or ignored."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.documents import BY_NAME, SUFFIXES, Found, supported
from ingest.errors import FootnoteError
from ingest.library import Stored

IGNORE_FILE = ".footnoteignore"  # one in any folder, written like a .gitignore


@dataclass(slots=True)
class Looked:
    """What a walk came by beside files: what it could not look at, with the reason, and the folders it was in."""

    unseen: list[tuple[Path, str]] = field(default_factory=list)
    entered: set[Path] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Scope:
    """What one path given by the user covers: all of a root, or the part of it at or below `path`."""

    root: Path
    path: Path


def scopes(paths: Sequence[str | Path], known_roots: Sequence[str], library: Path | None = None) -> list[Scope]:
    """Each path with the root it belongs to: itself, or an ingested folder that it lies in and that has it in view."""
    found: list[Scope] = []
    roots = set(map(Path, known_roots))
    home = library.resolve() if library else None
    for given in paths:
        path = Path(given).expanduser().resolve()
        if not path.exists():
            raise FootnoteError(
                f"no file or folder {str(given)!r}: give one that exists, as in `footnote ingest corpus`"
                " (`footnote remove` takes out documents whose file is gone)"
            )
        if not path.is_dir() and not supported(path):
            raise FootnoteError(f"{str(given)!r} is of a kind that is not read: convert it to .md, .txt, .html or .pdf")
        if not _is_unicode(path):
            raise FootnoteError(f"{printable(path)} has a name that is not Unicode: rename it")
        around = [path, *(above for above in path.parents if _has_in_view(above, path, home))]
        found.append(Scope(next((above for above in around if above in roots), path), path))
    everything = {scope.path for scope in found}
    return list(dict.fromkeys(scope for scope in found if everything.isdisjoint(scope.path.parents)))


def _has_in_view(folder: Path, path: Path, home: Path | None) -> bool:
    """Whether a walk of the folder comes by: neither through what is hidden nor into the library."""
    if home in path.parents and home not in (folder, *folder.parents):
        return False
    return not any(step.startswith(".") for step in path.relative_to(folder).parts)


def files(scope: Scope, library: Path, looked: Looked) -> Iterator[Found]:
    """The scope's files. Code is read where it was fetched or is given by name: a project's folder is full of it."""
    single, home = not scope.path.is_dir(), library.resolve()
    suffixes = SUFFIXES if home in scope.path.parents else SUFFIXES - BY_NAME
    paths: Iterator[Path] = iter([scope.path]) if single else _walk(scope.path, home, looked, suffixes)
    for path in paths:
        file = path.name if path == scope.root else path.relative_to(scope.root).as_posix()
        try:
            stat = path.stat()
        except OSError as error:
            looked.unseen.append((path, f"{file} cannot be looked at ({error.strerror}): mend it or take it out"))
            continue
        yield Found(str(scope.root), file, path, stat.st_size, stat.st_mtime_ns)


def printable(path: Path) -> str:
    """The path as text, bytes that are none as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_unicode(path: Path) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in str(path))


def _walk(top: Path, library: Path, looked: Looked, suffixes: Collection[str]) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    ignored: dict[Path, Any] = {}

    def cannot(error: OSError) -> None:
        path = Path(os.fsdecode(error.filename))
        looked.unseen.append((path, f"{path.name} cannot be opened ({error.strerror}): chmod +rx it or take it out"))

    for folder, names, leaves in os.walk(top, onerror=cannot, followlinks=True):
        here = Path(folder)
        if _is_known(here, library, seen):
            names.clear()
            continue
        looked.entered.add(here)
        if IGNORE_FILE in leaves:
            ignored[here] = _patterns(here / IGNORE_FILE)
        names[:] = sorted(
            n for n in names if not n.startswith(".") and n != "__pycache__" and not _is_ignored(here / n, ignored, "/")
        )
        for leaf in sorted(leaves):
            path = here / leaf
            if leaf.startswith(".") or path.suffix.lower() not in suffixes or _is_ignored(path, ignored, ""):
                continue
            if _is_unicode(path):
                yield path
            else:
                looked.unseen.append((path, f"{printable(path)} has a name that is not Unicode: rename it"))


def _is_known(folder: Path, library: Path, seen: set[tuple[int, int]]) -> bool:
    """Whether a link led back to where we have been, or this is the library itself, or it is gone by now."""
    try:
        stat = folder.stat()
        if (stat.st_dev, stat.st_ino) in seen or folder.resolve() == library:
            return True
    except OSError:
        return True
    seen.add((stat.st_dev, stat.st_ino))
    return False


def _patterns(file: Path) -> Any:
    import pathspec

    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return pathspec.GitIgnoreSpec.from_lines(lines)


def _is_ignored(path: Path, ignored: dict[Path, Any], suffix: str) -> bool:
    return any(
        spec.match_file(path.relative_to(folder).as_posix() + suffix)
        for folder, spec in ignored.items()
        if folder in path.parents
    )


def file_of(root: str, file: str) -> Path:
    """Where a document came from."""
    return Path(root) if Path(root).name == file and not Path(root).is_dir() else Path(root) / file


def is_below(path: Path, others: Collection[Path]) -> bool:
    """Whether it is one of them or lies in one. A set of them: it is asked for every document."""
    return path in others or any(above in others for above in path.parents)


# Documents belong to a root. What one root's sync may take out, which roots become part of another, which have moved.


class Owners:
    """To which scope of this run a root belongs by now: to its own, or to a folder around it that was walked."""

    def __init__(self, scopes: Sequence[Scope], looked: Looked, found: Collection[Path]) -> None:
        self._by_path = {scope.path: scope for scope in scopes}
        self._looked, self._found = looked, found

    def owns(self, root: str, path: Path) -> bool:
        """Whether this run may say that a document of this root, whose file is not found, is gone."""
        around = (self._by_path[above] for above in (path, *path.parents) if above in self._by_path)
        return any(root == str(scope.root) for scope in around) or (
            is_below(path, self._by_path.keys()) and self._is_absorbed(Path(root))
        )

    def roots_after(self, roots: Sequence[str]) -> list[str]:
        """Without those that are part of another one now."""
        paths = {*map(Path, roots), *(scope.root for scope in self._by_path.values())}
        return [str(path) for path in sorted(paths) if not self._is_absorbed(path)]

    def _is_absorbed(self, root: Path) -> bool:
        """A folder inside another that is hidden, ignored or the library's own is not walked, and stays by itself."""
        around = (self._by_path[above] for above in root.parents if above in self._by_path)
        inside = any(scope.path == scope.root for scope in around)
        return inside and (root in self._looked.entered or root in self._found or not root.exists())


MOSTLY = 0.5  # of a root's documents that lie in another folder: more, and it is that folder under another name


def moved_roots(scopes: Sequence[Scope], known: Sequence[Stored]) -> dict[str, str]:
    """Roots that are gone, each with the folder of this run that has its files: it was renamed or moved."""
    roots = {d.root for d in known}
    fresh = [s.root for s in scopes if s.path == s.root and s.root.is_dir() and str(s.root) not in roots]
    gone: dict[str, list[Stored]] = {root: [] for root in roots if fresh and not Path(root).exists()}
    for d in known:
        if d.root in gone:
            gone[d.root].append(d)
    return {
        old: str(new)
        for old, documents in gone.items()
        for new in fresh
        if sum(_holds(new, d) for d in documents) > MOSTLY * len(documents)
    }


def _holds(root: Path, document: Stored) -> bool:
    path = root / document.file
    with contextlib.suppress(OSError):
        return path.stat().st_size == document.size and sha256_of(path) == document.sha256
    return False


def sha256_of(path: Path) -> str:
    """Of the bytes of a file; nothing where it cannot be read."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return ""
