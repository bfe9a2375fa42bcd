"""Keeps a library up to date: folders as they change, what is fetched every so often. Nothing else is touched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.documents import SUFFIXES
from ingest.errors import FootnoteError
from ingest.sources import Source
from ingest.sources.folders import Looked, Scope, files
from ingest.sync import Report, sync

if TYPE_CHECKING:
    from watchfiles import Change

    from ingest.embed import Embedder

QUIET_MS = 300  # an editor writes a file in several steps; so long is waited for the last of them
LOOK_MS = 1000  # how often it is looked whether a folder is gone or back, and whether it is time to fetch
PATIENT_SECONDS = 600.0  # for another writer

Told = Report | str  # what came of a change, or one line about what went wrong


@dataclass
class Watch:
    """`for told in Watch(paths, place).told():` goes on until `stop` is set. `paths` are folders, files and sources."""

    paths: Sequence[str | Path | Source]
    place: Path
    every: float = 0.0  # seconds between two visits to what is fetched; none without
    embedder: Embedder | str | None = None
    stop: threading.Event | None = None
    notify: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        self._local = [Path(p).expanduser().resolve() for p in self.paths if not isinstance(p, Source)]
        self._fetched = [p for p in self.paths if isinstance(p, Source)]
        self._home = self.place.resolve()

    def told(self) -> Iterator[Told]:
        self.stop = self.stop or threading.Event()
        yield from self._synced([*self._local, *self._fetched])
        here, fetch_at = self._marks(), time.monotonic() + self.every
        yield from self._gone(set(self._local) - set(here))
        while not self.stop.is_set():
            for changed in self._changes(here):
                yield from self._synced(changed)
                if self.every and time.monotonic() >= fetch_at:
                    yield from self._synced(self._fetched)
                    fetch_at = time.monotonic() + self.every
                if self._marks() != here:
                    break
            before, here = here, self._marks()
            yield from self._gone(set(before) - set(here))
            yield from self._synced([path for path in here if here[path] != before.get(path)])

    def _gone(self, paths: Iterable[Path]) -> Iterator[Told]:
        for path in sorted(paths):
            yield f"{path} is gone: its documents stay; `footnote sources remove` takes them out"

    def _synced(self, paths: Sequence[Path | Source]) -> Iterator[Told]:
        """One run; what is wrong with it is told, and the next change brings another."""
        there = [path for path in paths if isinstance(path, Source) or path.exists()]
        wanted = [path for path in there if isinstance(path, Source) or not self._is_emptied(path)]
        for path in there:
            if path not in wanted:
                yield f"{path} holds nothing to read now: its documents stay; `footnote ingest {path}` takes them out"
        if not wanted:
            return
        try:
            yield sync(wanted, self.place, embedder=self.embedder, wait_seconds=PATIENT_SECONDS, notify=self.notify)
        except FootnoteError as error:
            yield str(error)

    def _is_emptied(self, path: Path) -> bool:
        """A drive that was taken off leaves an empty folder: nobody wants its documents gone for that."""
        return path.is_dir() and next(files(Scope(path, path), self.place, Looked()), None) is None

    def _marks(self) -> dict[Path, tuple[int, int]]:
        """Each path that is there, and which folder or file it is: one of the same name may take its place."""
        marks = {}
        for path in self._local:
            try:
                stat = (path if path.is_dir() else path.parent).stat()
            except OSError:
                continue
            if path.exists():
                marks[path] = (stat.st_dev, stat.st_ino)
        return marks

    def _changes(self, here: dict[Path, tuple[int, int]]) -> Iterator[list[Path]]:
        """The paths in which something changed, and an empty list now and then."""
        from watchfiles import watch

        folders = {path if path.is_dir() else path.parent for path in here}
        if not folders:
            assert self.stop
            self.stop.wait(LOOK_MS / 1000)
            yield []
            return
        for changes in watch(
            *folders,
            watch_filter=self._matters,
            debounce=QUIET_MS,
            step=50,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
            stop_event=self.stop,
            ignore_permission_denied=True,
        ):
            paths = [Path(path) for _, path in changes]
            yield [one for one in here if any(one == path or one in path.parents for path in paths)]

    def _matters(self, change: Change, path: str) -> bool:
        """Neither the library itself, nor what is hidden, nor a file that is not read."""
        changed = Path(path)
        if changed == self._home or self._home in changed.parents:
            return False
        mine = next((one for one in self._local if one == changed or one in changed.parents), None)
        if mine is None or any(step.startswith(".") for step in changed.relative_to(mine).parts):
            return changed.name == ".footnoteignore" and mine is not None
        return changed.suffix.lower() in SUFFIXES or not changed.is_file()
