"""Which files a person means by a path: a folder's readable files, in order, no loops, none hidden or ignored."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.documents import supported
from ingest.errors import FootnoteError

IGNORE_FILE = ".footnoteignore"  # one in any folder, written like a .gitignore


Unseen = tuple[Path, str]  # what could not be looked at, and why


@dataclass(frozen=True, slots=True)
class Found:
    """A file below a root. `file` is relative to the root, with forward slashes; of a root that is a file, its name."""

    root: str
    file: str
    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What one path given by the user covers: all of a root, or the part of it at or below `path`."""

    root: Path
    path: Path

    def covers(self, path: Path) -> bool:
        return path == self.path or self.path in path.parents


def scopes(paths: Sequence[str | Path], known_roots: Sequence[str]) -> list[Scope]:
    """Each path with the root it belongs to: itself, or an ingested folder that it lies in."""
    found: list[Scope] = []
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
        root = next((Path(r) for r in known_roots if Path(r) in path.parents), path)
        found.append(Scope(root, path))
    wider = [s for s in found if not any(o.path in s.path.parents for o in found)]
    return list(dict.fromkeys(wider))


def files(scope: Scope, library: Path, unseen: list[Unseen]) -> Iterator[Found]:
    """The scope's files; what cannot be looked at is added to `unseen`."""
    single = not scope.path.is_dir()
    paths: Iterator[Path] = iter([scope.path]) if single else _walk(scope.path, library.resolve(), unseen)
    for path in paths:
        file = path.name if path == scope.root else path.relative_to(scope.root).as_posix()
        try:
            stat = path.stat()
        except OSError as error:
            unseen.append((path, f"{file} cannot be looked at ({error.strerror}): mend it or take it out"))
            continue
        yield Found(str(scope.root), file, path, stat.st_size, stat.st_mtime_ns)


def printable(path: Path) -> str:
    """The path as text, bytes that are none as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_unicode(path: Path) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in str(path))


def _walk(top: Path, library: Path, unseen: list[Unseen]) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    ignored: dict[Path, Any] = {}

    def cannot(error: OSError) -> None:
        path = Path(os.fsdecode(error.filename))
        unseen.append((path, f"{path.name} cannot be opened ({error.strerror}): chmod +rx it or take it out"))

    for folder, names, leaves in os.walk(top, onerror=cannot, followlinks=True):
        here = Path(folder)
        if _is_known(here, library, seen):
            names.clear()
            continue
        if IGNORE_FILE in leaves:
            ignored[here] = _patterns(here / IGNORE_FILE)
        names[:] = sorted(
            n for n in names if not n.startswith(".") and n != "__pycache__" and not _is_ignored(here / n, ignored, "/")
        )
        for leaf in sorted(leaves):
            path = here / leaf
            if leaf.startswith(".") or not supported(path) or _is_ignored(path, ignored, ""):
                continue
            if _is_unicode(path):
                yield path
            else:
                unseen.append((path, f"{printable(path)} has a name that is not Unicode: rename it"))


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
