"""Which files a person means by a path: a folder's readable files, in order, without loops, hidden folders or what it ignores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.documents import supported
from ingest.errors import FootnoteError

IGNORE_FILE = ".footnoteignore"  # one in any folder, written like a .gitignore


@dataclass(frozen=True, slots=True)
class Found:
    """A file below a root. `file` is relative to the root, with forward slashes; for a root that is a file, its name."""

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
            )
        if path.is_file() and not supported(path):
            raise FootnoteError(f"{str(given)!r} is of a kind that is not read: convert it to .md, .txt, .html or .pdf")
        root = next((Path(r) for r in known_roots if Path(r) in path.parents), path)
        found.append(Scope(root, path))
    wider = [s for s in found if not any(o.path in s.path.parents for o in found)]
    return list(dict.fromkeys(wider))


def files(scope: Scope, library: Path, failed: list[tuple[str, str]]) -> Iterator[Found]:
    """The scope's files; what cannot be looked at is added to `failed` as path and reason."""
    root = scope.root
    paths: Iterator[Path] = iter([scope.path]) if scope.path.is_file() else _walk(scope.path, library.resolve(), failed)
    for path in paths:
        file = path.name if path == root else path.relative_to(root).as_posix()
        try:
            stat = path.stat()
        except OSError as error:
            failed.append((file, f"{file} cannot be looked at ({error.strerror}): check the file and ingest again"))
            continue
        yield Found(str(root), file, path, stat.st_size, stat.st_mtime_ns)


def _walk(top: Path, library: Path, failed: list[tuple[str, str]]) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()

    def cannot(error: OSError) -> None:
        failed.append(
            (str(error.filename), f"{error.filename} cannot be opened ({error.strerror}): check its permissions")
        )

    ignored: dict[Path, Any] = {}
    for folder, names, leaves in os.walk(top, onerror=cannot, followlinks=True):
        here = Path(folder)
        stat = here.stat()
        if (stat.st_dev, stat.st_ino) in seen or here.resolve() == library:
            names.clear()  # a link led back to where we have been
            continue
        seen.add((stat.st_dev, stat.st_ino))
        if IGNORE_FILE in leaves:
            ignored[here] = _patterns(here / IGNORE_FILE)
        names[:] = sorted(
            n for n in names if not n.startswith(".") and n != "__pycache__" and not _is_ignored(here / n, ignored, "/")
        )
        for leaf in sorted(leaves):
            path = here / leaf
            if not leaf.startswith(".") and supported(path) and not _is_ignored(path, ignored, ""):
                yield path


def _patterns(file: Path) -> Any:
    import pathspec

    return pathspec.GitIgnoreSpec.from_lines(file.read_text(encoding="utf-8", errors="replace").splitlines())


def _is_ignored(path: Path, ignored: dict[Path, Any], suffix: str) -> bool:
    return any(
        spec.match_file(path.relative_to(folder).as_posix() + suffix)
        for folder, spec in ignored.items()
        if folder in path.parents
    )
