"""A folder becomes, and stays, a library: what is new is added, what changed is read again, what is gone is removed.

Safe to kill at any moment: vectors are kept as they come, and everything else is published in one transaction at the end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.chunks import Chunk, chunk
from ingest.database import create
from ingest.documents import MAX_BYTES, Document, Reader
from ingest.errors import ReadError
from ingest.folders import Found, Scope, files, scopes
from ingest.library import Failure, Library, Stored
from ingest.writing import Change, Writing

if TYPE_CHECKING:
    from ingest.embed import Embedder

EMBED_AT_ONCE = 512  # texts; sorted by length inside, so more would fill batches better and lose more to a kill


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` files, and what is being done."""

    done: int
    total: int
    doing: str


Tell = Callable[[Progress], None]


@dataclass(slots=True)
class Report:
    """What one run did."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    failed: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    repairs: Counter[str] = field(default_factory=Counter)
    chunks: int = 0
    embedded: int = 0
    seconds: float = 0.0


def sync(
    paths: Sequence[str | Path],
    place: str | Path,
    *,
    embedder: str | None = None,
    chroma: str | None = None,
    keep_missing: bool = False,
    wait_seconds: float = 0.0,
    max_bytes: int = MAX_BYTES,
    progress: Tell = lambda progress: None,
    notify: Callable[[str], None] = lambda line: None,
) -> Report:
    """Bring the library at `place` to the state of these folders and files. Every document that can be read is in it."""
    for path in paths:  # said before a library is made for nothing
        scopes([path], [])
    create(Path(place))
    library = Library(place, notify)
    with Writing(library, "ingest " + " ".join(map(str, paths)), wait_seconds) as writing:
        if chroma is not None and chroma != library.meta("chroma"):
            writing.move_index(chroma)
        run = _Run(library, writing, scopes(paths, library.roots()), progress)
        with Reader(max_bytes=max_bytes) as reader:
            return run.go(reader, embedder, keep_missing)


def remove(documents: Sequence[str], place: str | Path) -> list[str]:
    """Take documents out of the library and leave them out until their file is given by name. The files stay."""
    library = Library(place)
    with Writing(library, "remove") as writing:
        stored = {d.path: d for d in library.documents()}
        for path in documents:
            library.text(path)  # raises, with the nearest name, if it is not there
        gone = [stored[path] for path in documents]
        writing.publish(
            Change(
                embedder=library.meta("embedder_name"),
                fingerprint=library.meta("embedder"),
                roots=library.roots(),
                started=time.time(),
                removed=[d.id for d in gone],
                failures=library.failures(),
                excluded=[*library.excluded(), *(str(file_of(d)) for d in gone)],
                summary={"removed": documents},
            )
        )
    return list(documents)


def file_of(stored: Stored) -> Path:
    """Where a document came from."""
    root = Path(stored.root)
    return root if root.name == stored.file and not root.is_dir() else root / stored.file


def changes(library: Library) -> Report:
    """What `sync` over the library's own folders would add, change and remove; nothing is read."""
    report, found = Report(), set()
    known = {file_of(d): d for d in library.documents()}
    failed = {Path(f.root) / f.file for f in library.failures()} | {Path(f.root) for f in library.failures()}
    excluded = set(library.excluded())
    for root in map(Path, library.roots()):
        if not root.exists():
            continue
        for file in files(Scope(root, root), library.place, []):
            found.add(file.path)
            stored = known.get(file.path)
            if stored and (stored.size, stored.mtime_ns) != (file.size, file.mtime_ns):
                report.changed.append(stored.path)
            elif not stored and file.path not in failed and str(file.path) not in excluded:
                report.added.append(file.file)
    report.removed = [d.path for path, d in known.items() if path not in found]
    return report


class _Run:
    """One run over all scopes: what was known, what is found, and what was done so far."""

    def __init__(self, library: Library, writing: Writing, scopes: Sequence[Scope], progress: Tell) -> None:
        self.library, self.writing, self.scopes, self.progress = library, writing, scopes, progress
        self.report = Report()
        self.started = time.time()
        self.known = {file_of(d): d for d in library.documents()}
        self.removed: list[Stored] = []
        self.touched: list[tuple[int, int, int]] = []
        self.failures: list[Failure] = []

    def go(self, reader: Reader, model: str | None, keep_missing: bool) -> Report:
        found = self._found()
        fresh = [f for f in found if not self._is_unchanged(f)]
        self.report.unchanged = len(found) - len(fresh)
        if not keep_missing:
            here = {f.path for f in found}
            self.removed = [d for path, d in self.known.items() if path not in here and self._covers(path)]
        embedder = _Lazy(model or self.library.meta("embedder_name") or None)
        if self.known and model and embedder.get().fingerprint != self.library.meta("embedder"):
            self._embed_known(embedder)
        for batch in self._batches(self._documents(fresh, reader), embedder):
            self._embed([c for _, _, chunks in batch for c in chunks], embedder)
            self.writing.stage([(f.root, f.file, f.size, f.mtime_ns, d, chunks) for f, d, chunks in batch])
        self._publish(found, embedder)
        return self.report

    # What there is

    def _found(self) -> list[Found]:
        excluded = set(self.library.excluded()) - {str(s.path) for s in self.scopes}
        found, failed = [], list[tuple[str, str]]()
        for scope in self.scopes:
            found += [f for f in files(scope, self.library.place, failed) if str(f.path) not in excluded]
            self.failures += [Failure(str(scope.root), file, reason, None, None) for file, reason in failed]
            failed.clear()
        return list({f.path: f for f in found}.values())

    def _is_unchanged(self, found: Found) -> bool:
        known = self.known.get(found.path)
        return known is not None and (known.root, known.size, known.mtime_ns) == (
            found.root,
            found.size,
            found.mtime_ns,
        )

    def _covers(self, path: Path) -> bool:
        return any(scope.covers(path) for scope in self.scopes)

    # Reading

    def _documents(self, fresh: Sequence[Found], reader: Reader) -> Iterator[tuple[Found, Document]]:
        """The files that have to be read, as documents; what cannot be read becomes a failure, and the old version stays."""
        replaced = {f.path for f in fresh} | {file_of(d) for d in self.removed}
        taken = {d.path for path, d in self.known.items() if path not in replaced}
        for done, found in enumerate(fresh):
            self.progress(Progress(done, len(fresh), found.file))
            known = self.known.get(found.path)
            try:
                document = reader.read(found.path, _free_name(found, taken))
            except ReadError as error:
                self.failures.append(Failure(found.root, found.file, str(error), found.size, found.mtime_ns))
                taken.update([known.path] if known else [])
                continue
            taken.add(document.path)
            if known and (known.sha256, known.path, known.root) == (document.sha256, document.path, found.root):
                self.touched.append((found.size, found.mtime_ns, known.id))
                self.report.unchanged += 1
                continue
            self._note(document, known)
            yield found, document

    def _note(self, document: Document, known: Stored | None) -> None:
        moved = next((d for d in self.removed if d.sha256 == document.sha256 and d.path not in self.report.moved), None)
        if known:
            self.removed.append(known)
            self.report.changed.append(document.path)
        elif moved:
            self.report.moved.append(moved.path)
        else:
            self.report.added.append(document.path)
        self.report.repairs.update(document.repairs)
        self.report.notes += [f"{document.path}: {note}" for note in document.notes]

    # Chunks and vectors

    def _batches(
        self, documents: Iterable[tuple[Found, Document]], embedder: _Lazy
    ) -> Iterator[list[tuple[Found, Document, list[Chunk]]]]:
        """Documents with their chunks, as many at once as embed well together."""
        batch: list[tuple[Found, Document, list[Chunk]]] = []
        for found, document in documents:
            batch.append((found, document, chunk(document, embedder.get().token_counts)))
            if sum(len(chunks) for _, _, chunks in batch) >= EMBED_AT_ONCE:
                yield batch
                batch = []
        if batch:
            yield batch

    def _embed(self, chunks: Sequence[Chunk], embedder: _Lazy) -> None:
        texts = {c.key: c.searchable for c in chunks}
        missing = sorted(self.writing.missing_vectors(embedder.get().fingerprint, list(texts)))
        for at in range(0, len(missing), EMBED_AT_ONCE):
            keys = missing[at : at + EMBED_AT_ONCE]
            self.writing.keep_vectors(embedder.get().fingerprint, keys, embedder.get().embed([texts[k] for k in keys]))
        self.report.chunks += len(chunks)
        self.report.embedded += len(missing)

    def _embed_known(self, embedder: _Lazy) -> None:
        """With another model, what is not read again needs new vectors all the same."""
        ids = self.library.select()
        for at in range(0, len(ids), EMBED_AT_ONCE):
            self.progress(Progress(at, len(ids), f"embedding again with {embedder.name or 'the default model'}"))
            self._embed(list(self.library.chunks(ids[at : at + EMBED_AT_ONCE]).values()), embedder)

    # Done

    def _publish(self, found: Sequence[Found], embedder: _Lazy) -> None:
        report, library = self.report, self.library
        report.failed = self.failures
        gone = {d.path for d in self.removed} - set(report.changed) - set(report.moved)
        report.removed = sorted(gone)
        report.seconds = time.time() - self.started
        elsewhere = [
            f for f in library.failures() if not self._covers(Path(f.root) / f.file) and not self._covers(Path(f.root))
        ]
        named = {str(f.path) for f in found}
        self.writing.publish(
            Change(
                embedder=embedder.name or "",
                fingerprint=embedder.get().fingerprint if embedder.loaded else library.meta("embedder"),
                roots=_widest([*library.roots(), *(str(s.root) for s in self.scopes)]),
                started=self.started,
                removed=[d.id for d in self.removed],
                touched=self.touched,
                failures=[*elsewhere, *self.failures],
                excluded=[file for file in library.excluded() if file not in named],
                summary={
                    "added": len(report.added),
                    "changed": len(report.changed),
                    "removed": len(report.removed),
                    "failed": len(report.failed),
                    "chunks": report.chunks,
                    "embedded": report.embedded,
                },
            )
        )
        report.seconds = time.time() - self.started


class _Lazy:
    """The embedder, loaded when something has to be embedded: a run that changes nothing needs none."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self._embedder: Embedder | None = None

    @property
    def loaded(self) -> bool:
        return self._embedder is not None

    def get(self) -> Embedder:
        if self._embedder is None:
            from ingest.embed import embedder

            self._embedder = embedder(self.name)
        return self._embedder


def _free_name(found: Found, taken: set[str]) -> str:
    """The path below the root; with the root's name in front where another root has the same one."""
    names = [found.file, f"{Path(found.root).name}/{found.file}"]
    names += [f"{Path(found.root).name}-{i}/{found.file}" for i in range(2, len(taken) + 3)]
    return next(name for name in names if name not in taken)


def _widest(roots: Sequence[str]) -> list[str]:
    """Without the roots that lie in another: they belong to it now."""
    paths = sorted({Path(root) for root in roots})
    return [str(p) for p in paths if not any(other in p.parents for other in paths)]
