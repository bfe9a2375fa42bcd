"""A folder becomes, and stays, a library: what is new is added, what changed is read again, what is gone is removed.

Safe to kill at any moment: vectors are kept as they come, and all else is published in one transaction at the end.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.changes import Progress, Report, Tell, changes, file_of, is_below, is_same, made_by
from ingest.chunks import Chunk, chunk
from ingest.database import create
from ingest.documents import MAX_BYTES, SUFFIXES, Document, Reader
from ingest.embedding import EMBED_AT_ONCE, Embedding
from ingest.errors import FootnoteError, ReadError
from ingest.folders import Found, Unseen, files, printable, scopes
from ingest.library import Failure, Library, Stored
from ingest.removal import remove
from ingest.writing import Change, Touched, Writing

if TYPE_CHECKING:
    from ingest.embed import Embedder

__all__ = ["Progress", "Report", "Tell", "changes", "file_of", "remove", "sync"]

YOUNG_NS = 2_000_000_000  # a file this young may change again without getting another date


def sync(
    paths: Sequence[str | Path],
    place: str | Path,
    *,
    embedder: Embedder | str | None = None,
    chroma: str | None = None,
    keep_missing: bool = False,
    wait_seconds: float = 0.0,
    max_bytes: int = MAX_BYTES,
    progress: Tell = lambda progress: None,
    notify: Callable[[str], None] = lambda line: None,
) -> Report:
    """Bring the library at `place` to the state of these folders and files. Every one that can be read is in it."""
    scopes(paths, [])  # what is wrong with them is said before a library is made for nothing
    create(Path(place))
    with (
        contextlib.closing(Library(place, notify)) as library,
        Writing(library, "ingest " + " ".join(map(str, paths)), wait_seconds) as writing,
        Reader(max_bytes=max_bytes) as reader,
    ):
        if chroma is not None and chroma != library.meta("chroma"):
            writing.move_index(chroma)
        return _Run(library, writing, paths, embedder, progress).go(reader, keep_missing)


class _Run:
    """One run over all scopes: what was known, what is found, and what was done so far."""

    def __init__(
        self,
        library: Library,
        writing: Writing,
        paths: Sequence[str | Path],
        model: Embedder | str | None,
        progress: Tell,
    ) -> None:
        self.library, self.writing, self.paths, self.progress = library, writing, paths, progress
        self.scopes = scopes(paths, library.roots())
        self.embedding = Embedding(library, writing, model)
        self.report = Report()
        self.started = time.time()
        self.known = {file_of(d.root, d.file): d for d in library.documents()}
        self.gone: list[Stored] = []  # their file is
        self.replaced: list[Stored] = []
        self.touched: list[Touched] = []
        self.unseen: list[Path] = []
        self.files = 0

    def go(self, reader: Reader, keep_missing: bool) -> Report:
        found = self._found()
        here = {f.path for f in found}
        missing = [d for path, d in self.known.items() if path not in here and self._covers(path)]
        if not (found or missing or self.report.failed):
            where = ", ".join(map(str, self.paths))
            raise FootnoteError(f"nothing to read in {where}: read are files that end in {' '.join(sorted(SUFFIXES))}")
        self.gone = [] if keep_missing else [d for d in missing if not is_below(_path(d), self.unseen)]
        fresh = [f for f in found if not self._is_unchanged(f)]
        self.report.unchanged = len(found) - len(fresh)
        for batch in self._batches(self._documents(fresh, reader)):
            self._embed([c for _, _, chunks in batch for c in chunks], batch[-1][0].file)
            self.writing.stage(batch, made_by())
        if self.embedding.is_another:
            self.embedding.embed_again(self._telling("embedding again"))
        self._publish(found)
        return self.report

    # What there is

    def _found(self) -> list[Found]:
        excluded = set(self.library.excluded()) - {str(s.path) for s in self.scopes}
        found: dict[Path, Found] = {}
        for scope in self.scopes:
            unseen: list[Unseen] = []
            found |= {f.path: f for f in files(scope, self.library.place, unseen) if str(f.path) not in excluded}
            for path, reason in unseen:
                self.unseen.append(path)
                file = printable(path.relative_to(scope.root)) if path != scope.root else path.name
                self.report.failed.append(Failure(str(scope.root), file, reason))
        return list(found.values())

    def _is_unchanged(self, found: Found) -> bool:
        known = self.known.get(found.path)
        if not known or known.made_by != made_by() or known.root != found.root or not is_same(found, known):
            return False
        if known.mtime_ns != found.mtime_ns:
            self.touched.append(Touched(known.id, self._dated(found)))
        return True

    def _dated(self, found: Found) -> Found:
        """Without its date where the file is so young that a change of it could go unnoticed."""
        young = self.started * 1e9 - found.mtime_ns < YOUNG_NS
        return replace(found, mtime_ns=-1) if young else found

    def _covers(self, path: Path) -> bool:
        return any(scope.covers(path) for scope in self.scopes)

    # Reading

    def _documents(self, fresh: Sequence[Found], reader: Reader) -> Iterator[tuple[Found, Document]]:
        """The files that have to be read, as documents. One that cannot be read is a failure; its old version stays."""
        self.files = len(fresh)
        rerooted = {f.path for f in fresh if f.path in self.known and self.known[f.path].root != f.root}
        leaving = {_path(d) for d in self.gone} | rerooted
        taken = {d.path for path, d in self.known.items() if path not in leaving}
        for done, found in enumerate(fresh):
            self.progress(Progress(done, self.files, found.file))
            known = self.known.get(found.path)
            keeps = known is not None and found.path not in rerooted
            name = known.path if known and keeps else _free_name(found, taken)
            try:
                document = reader.read(found.path, name)
            except ReadError as error:
                self.report.failed.append(Failure(found.root, found.file, str(error), found.size, found.mtime_ns))
                taken.add(known.path if known else name)
                continue
            taken.add(name)
            if not self._is_as_known(found, document, known):
                self._note(document, known)
                yield self._dated(found), document

    def _is_as_known(self, found: Found, document: Document, known: Stored | None) -> bool:
        if not known or (known.sha256, known.path, known.made_by) != (document.sha256, document.path, made_by()):
            return False
        self.touched.append(Touched(known.id, self._dated(found)))
        self.report.unchanged += 1
        return True

    def _note(self, document: Document, known: Stored | None) -> None:
        report = self.report
        moved = next((d for d in self.gone if d.sha256 == document.sha256), None)
        if known:
            self.replaced.append(known)
            same = known.sha256 == document.sha256
            how = report.changed if not same else report.renewed if known.path == document.path else report.moved
            how.append(document.path)
        elif moved:
            self.gone.remove(moved)
            self.replaced.append(moved)
            report.moved.append(document.path)
        else:
            report.added.append(document.path)
        report.repairs.update(document.repairs)
        report.notes += [f"{document.path}: {note}" for note in document.notes]

    # Chunks and vectors

    def _batches(
        self, documents: Iterable[tuple[Found, Document]]
    ) -> Iterator[list[tuple[Found, Document, Sequence[Chunk]]]]:
        """Documents with their chunks, as many at once as embed well together."""
        batch: list[tuple[Found, Document, Sequence[Chunk]]] = []
        for found, document in documents:
            batch.append((found, document, chunk(document, self.embedding.embedder().token_counts)))
            if sum(len(chunks) for _, _, chunks in batch) >= EMBED_AT_ONCE:
                yield batch
                batch = []
        if batch:
            yield batch

    def _embed(self, chunks: Sequence[Chunk], doing: str) -> None:
        self.embedding.embed(chunks, self._telling(doing))
        self.report.chunks += len(chunks)

    def _telling(self, doing: str) -> Callable[[int, int], None]:
        report = self.report
        read = len(report.added) + len(report.changed) + len(report.moved) + len(report.renewed) + len(report.failed)
        return lambda done, total: self.progress(
            Progress(min(read, self.files), self.files, f"{doing}: {done} of {total} chunks")
        )

    # Done

    def _publish(self, found: Sequence[Found]) -> None:
        report, library = self.report, self.library
        report.removed = sorted(d.path for d in self.gone)
        report.embedded = self.embedding.embedded
        elsewhere = [f for f in library.failures() if not self._covers(file_of(f.root, f.file))]
        named = {str(f.path) for f in found}
        counted = ("added", "changed", "moved", "renewed", "removed", "failed")
        summary = {name: len(getattr(report, name)) for name in counted}
        change = Change(
            embedder=self.embedding.name,
            fingerprint=self.embedding.fingerprint,
            roots=_widest([*library.roots(), *(str(s.root) for s in self.scopes)]),
            started=self.started,
            removed=[d.id for d in (*self.gone, *self.replaced)],
            touched=self.touched,
            failures=[*elsewhere, *report.failed],
            excluded=[file for file in library.excluded() if file not in named],
            summary={**summary, "chunks": report.chunks, "embedded": report.embedded},
        )
        self.writing.publish(change, self._telling("writing the vector index"))
        report.seconds = time.time() - self.started


def _path(stored: Stored) -> Path:
    return file_of(stored.root, stored.file)


def _free_name(found: Found, taken: set[str]) -> str:
    """The path below the root; with the root's name in front where another root has the same one."""
    names = [found.file, f"{Path(found.root).name}/{found.file}"]
    names += [f"{Path(found.root).name}-{i}/{found.file}" for i in range(2, len(taken) + 3)]
    return next(name for name in names if name not in taken)


def _widest(roots: Sequence[str]) -> list[str]:
    """Without the roots that lie in another: they belong to it now."""
    paths = sorted({Path(root) for root in roots})
    return [str(p) for p in paths if not any(other in p.parents for other in paths)]
