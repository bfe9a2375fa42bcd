"""A folder becomes, and stays, a library: what is new is added, what changed is read again, what is gone is removed.

Safe to kill at any moment: vectors are kept as they come, and all else is published in one transaction at the end.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.chunks import Chunk
from ingest.documents import BY_NAME, MAX_BYTES, READERS, SUFFIXES, Document, Found, Reader, Step
from ingest.errors import FootnoteError, ReadError
from ingest.hands import Cluster, Hands, Here, Job, blaming
from ingest.library import Failure, Library, Stored, create
from ingest.readers import scan
from ingest.sources import Source, is_fetched, source_of
from ingest.sources.fetch import Fetching
from ingest.sources.folders import (
    Looked,
    Owners,
    Scope,
    file_of,
    files,
    is_below,
    moved_roots,
    printable,
    scopes,
    sha256_of,
)
from ingest.writing import Change, Touched, Writing

if TYPE_CHECKING:
    from ingest.embed import Embedder

__all__ = ["Progress", "Report", "Tell", "changes", "file_of", "made_by", "remove", "sync"]

# What one run of `sync` did, and what the next one would do.


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` files, and what is being done; where that takes long, how far it is: `part` of `parts`."""

    done: int
    total: int
    doing: str
    part: int = 0
    parts: int = 0


Tell = Callable[[Progress], None]


@dataclass(slots=True)
class Report:
    """What one run did, by the documents' paths."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)  # by the path they have now
    renewed: list[str] = field(default_factory=list)  # the file is as it was, but this Footnote reads it differently
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    failed: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    repairs: Counter[str] = field(default_factory=Counter)
    chunks: int = 0
    embedded: int = 0
    seconds: float = 0.0


def changes(library: Library) -> Report:
    """What `sync` over the library's own folders would add, change and remove. Only what has a new date is read."""
    report, found = Report(), set[Path]()
    known = {file_of(d.root, d.file): d for d in library.documents()}
    failed = {file_of(f.root, f.file): f for f in library.failures()}
    excluded = set(library.excluded())
    looked, fetched = Looked(), set(library.sources())
    for root in map(Path, library.roots()):
        for file in files(Scope(root, root), library.place, looked) if root.exists() else ():
            found.add(file.path)
            if stored := known.get(file.path):
                report.changed += [stored.path] if not is_same(file, stored) else []
            elif str(file.path) not in excluded and not _failed_before(file, failed.get(file.path)):
                report.added.append(file.file)
    hidden = {path for path, _ in looked.unseen}
    gone = {path: d for path, d in known.items() if path not in found and d.root not in fetched}
    report.removed = [d.path for path, d in gone.items() if not is_below(path, hidden)]
    return report


def is_same(found: Found, stored: Stored) -> bool:
    """Whether a file is the one that was read: by size and date, or, where the date is new, by what is in it."""
    if found.size != stored.size:
        return False
    return found.mtime_ns == stored.mtime_ns or sha256_of(found.path) == stored.sha256


def _failed_before(found: Found, failure: Failure | None) -> bool:
    return failure is not None and (failure.size, failure.mtime_ns) == (found.size, found.mtime_ns)


# What a document, its chunks and their terms are made by; each file imports what it leans on.
_MAKERS = ("documents", "chunks", "words", *(f"readers.{reader.split('.')[0]}" for reader in READERS.values()))


@lru_cache(maxsize=1)
def made_by() -> str:
    """The version of all that turns a file into chunks and terms: a document of another one is read again."""
    files: set[Path] = set()
    waiting = [f"ingest.{name}" for name in _MAKERS]
    while waiting:
        file = _file_of_module(waiting.pop())
        if file.is_file() and file not in files:
            files.add(file)
            waiting += _imported(file)
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _file_of_module(name: str) -> Path:
    path = Path(__file__).parent.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(file: Path) -> Iterator[str]:
    """The modules of this package that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("ingest."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ingest":
            yield from (str(node.module), *(f"{node.module}.{name.name}" for name in node.names))


# What takes long in an ingest: chunks get the vectors that the library does not have yet, kept as they come.

EMBED_AT_ONCE = 512  # texts of several files, sorted by length, so that those of a batch are alike
EMBED_BETWEEN = 32  # texts after which it is told how far it is, and may be stopped: about half a second


class Embedding:
    """The embedder is loaded when something has to be embedded: a run that changes nothing needs none."""

    def __init__(self, library: Library, writing: Writing, model: Embedder | str | None, hands: Hands) -> None:
        self._library, self._writing, self._hands = library, writing, hands
        self.name = model or library.meta("embedder_name") if isinstance(model, str | None) else ""
        self._asked_for = model is not None
        self._embedder = None if isinstance(model, str | None) else model
        self.embedded = 0

    @property
    def fingerprint(self) -> str:
        """Of the vectors that the library will have."""
        return self._embedder.fingerprint if self._embedder else self._library.meta("embedder")

    @property
    def is_another(self) -> bool:
        """Whether what is in the library was embedded by another model. Loads the model only if one was asked for."""
        if self._asked_for:
            self.embedder()
        return self._library.count() > 0 and self.fingerprint != self._library.meta("embedder")

    def embedder(self) -> Embedder:
        if self._embedder is None:
            from ingest.embed import embedder

            self._embedder = embedder(self.name or None)
        return self._embedder

    def embed(self, chunks: Sequence[Chunk], tell: Callable[[int, int], None]) -> None:
        """What the model stumbles over is a `ReadError`."""
        embedder = self.embedder()
        texts = {c.key: c.searchable for c in chunks}
        missing = sorted(self._writing.missing_vectors(embedder.fingerprint, texts))
        missing.sort(key=lambda key: len(texts[key]))
        groups = [missing[at : at + EMBED_BETWEEN] for at in range(0, len(missing), EMBED_BETWEEN)]
        found = self._hands.embed([[texts[key] for key in keys] for keys in groups], self.embedder)
        for done, keys in enumerate(groups):
            tell(done * EMBED_BETWEEN, len(missing))
            with blaming(chunks[0].document):
                vectors = next(found)
            self._writing.keep_vectors(embedder.fingerprint, keys, vectors)
            self.embedded += len(keys)

    def embed_again(self, tell: Callable[[int, int], None]) -> None:
        """With another model, what is not read again needs new vectors all the same."""
        ids = self._library.select()
        for at in range(0, len(ids), EMBED_AT_ONCE):
            tell(at, len(ids))
            self.embed(list(self._library.chunks(ids[at : at + EMBED_AT_ONCE]).values()), lambda done, total: None)


# Documents are taken out of the library by hand; `ingest` leaves them out until their file is given by name.


def remove(documents: Sequence[str], place: str | Path, *, wait_seconds: float = 0.0) -> list[str]:
    """Take documents out: by path or glob pattern; a folder means what is in it. The files stay where they are."""
    with contextlib.closing(Library(place)) as library, Writing(library, "remove", wait_seconds) as writing:
        gone = _meant(library, documents)
        writing.publish(
            Change(
                embedder=library.meta("embedder_name"),
                fingerprint=library.meta("embedder"),
                roots=library.roots(),
                started=time.time(),
                removed=[d.id for d in gone],
                failures=library.failures(),
                excluded=[*library.excluded(), *(str(file_of(d.root, d.file)) for d in gone)],
                summary={"removed": len(gone)},
            )
        )
    return [d.path for d in gone]


def _meant(library: Library, patterns: Sequence[str]) -> list[Stored]:
    stored = {d.path: d for d in library.documents()}
    meant: set[str] = set()
    for pattern in patterns:
        found = set(library.paths([pattern]))
        if not found:
            library.text(pattern)  # raises, with the nearest name
        meant |= found
    return [stored[path] for path in sorted(meant)]


# One run: files are found, read, cut and embedded, and what came of them is published.

YOUNG_NS = 2_000_000_000  # a file this young may change again without getting another date


def sync(
    paths: Sequence[str | Path | Source],
    place: str | Path,
    *,
    embedder: Embedder | str | None = None,
    chroma: str | None = None,
    keep_missing: bool = False,
    wait_seconds: float = 0.0,
    max_bytes: int = MAX_BYTES,
    ray: str | None = None,
    progress: Tell = lambda progress: None,
    notify: Callable[[str], None] = lambda line: None,
) -> Report:
    """Bring the library at `place` to the state of these folders, files and addresses: all that can be read.

    `ray` is a cluster's address, or `local`: files are read and embedded there.
    """
    sources, local = _told_apart(paths)
    scopes(local, [])  # what is wrong with them is said before a library is made for nothing
    create(Path(place))
    told = [Progress(0, 0, "")]

    def tell(now: Progress) -> None:
        told[:] = [now]
        progress(now)

    with (
        contextlib.closing(Library(place, notify)) as library,
        Writing(library, "ingest " + " ".join(map(_named, paths)), wait_seconds) as writing,
        Reader(max_bytes=max_bytes, waiting=lambda: progress(_with_step(told[-1], reader.step))) as reader,
    ):
        writing.relocate()
        if chroma is not None and chroma != library.meta("chroma"):
            writing.move_index(chroma)
        fetching = Fetching(writing, max_bytes, lambda *said: tell(Progress(*said)))
        fetched = [fetching.fetch(source) for source in sources]
        with _hands(ray, reader, embedder or library.meta("embedder_name"), max_bytes) as hands:
            run = _Run(library, writing, [*local, *fetched], embedder, hands, tell)
            run.report.failed += fetching.failed
            run.report.notes += fetching.notes
            return run.go(keep_missing)


def _with_step(now: Progress, step: Step | None) -> Progress:
    """How far the reading of a file is that takes long, as a scan does."""
    if not step:
        return now
    return replace(now, doing=f"{now.doing}: page {step.done + 1} of {step.total}", part=step.done, parts=step.total)


def _hands(
    ray: str | None, reader: Reader, model: Embedder | str, max_bytes: int
) -> contextlib.AbstractContextManager[Hands]:
    return Cluster(ray, model, max_bytes) if ray else contextlib.nullcontext(Here(reader))


def _told_apart(paths: Sequence[str | Path | Source]) -> tuple[list[Source], list[str | Path]]:
    """What has to be fetched, and what is on this machine."""
    given = [source_of(str(p)) if not isinstance(p, Source) and is_fetched(p) else p for p in paths]
    return [p for p in given if isinstance(p, Source)], [p for p in given if not isinstance(p, Source)]


def _named(path: str | Path | Source) -> str:
    return path.address if isinstance(path, Source) else str(path)


Made = tuple[Found, Document, Sequence[Chunk]]  # a file, and what became of it


class _Run:
    """One run over all scopes: what was known, what is found, and what was done so far."""

    def __init__(
        self,
        library: Library,
        writing: Writing,
        paths: Sequence[str | Path],
        model: Embedder | str | None,
        hands: Hands,
        progress: Tell,
    ) -> None:
        self.library, self.writing, self.paths, self.progress = library, writing, paths, progress
        self.scopes = scopes(paths, library.roots(), library.place)
        self.looked = Looked()
        self.hands = hands
        self.embedding = Embedding(library, writing, model, hands)
        self.report = Report()
        self.started = time.time()
        documents = library.documents()
        self.moved = moved_roots(self.scopes, documents)
        documents = [replace(d, root=self.moved.get(d.root, d.root)) for d in documents]
        self.known = {file_of(d.root, d.file): d for d in documents}
        self.gone: dict[str, list[Stored]] = {}  # their file is; by its sha256
        self.replaced: list[Stored] = []
        self.touched: list[Touched] = []
        self.files = self.read = 0

    def go(self, keep_missing: bool) -> Report:
        found = self._found()
        here = {f.path for f in found}
        self.owners = Owners(self.scopes, self.looked, here)
        missing = [d for path, d in self.known.items() if path not in here and self.owners.owns(d.root, path)]
        if not (found or missing or self.report.failed):
            where = ", ".join(map(str, self.paths))
            raise FootnoteError(
                f"nothing to read in {where}: read are files that end in {' '.join(sorted(SUFFIXES - BY_NAME))}"
            )
        unseen = {path for path, _ in self.looked.unseen}
        for d in missing if not keep_missing else ():
            if not is_below(_path(d), unseen):
                self.gone.setdefault(d.sha256, []).append(d)
        fresh = [f for f in found if not self._is_unchanged(f)]
        self.report.unchanged = len(found) - len(fresh)
        for batch in _batches(self._made(fresh)):
            self._take_in(batch)
        if self.embedding.is_another:
            self.embedding.embed_again(self._telling("embedding again"))
        self._publish(found)
        return self.report

    # What there is

    def _excluded(self) -> list[str]:
        """What stays out, below roots that have moved where it is now."""
        files = map(Path, self.library.excluded())
        below = ((file, next((old for old in self.moved if Path(old) in file.parents), "")) for file in files)
        return [str(Path(self.moved[old]) / file.relative_to(old)) if old else str(file) for file, old in below]

    def _found(self) -> list[Found]:
        excluded = set(self._excluded()) - {str(s.path) for s in self.scopes}
        found: dict[Path, Found] = {}
        for scope in self.scopes:
            before = len(self.looked.unseen)
            found |= {f.path: f for f in files(scope, self.library.place, self.looked) if str(f.path) not in excluded}
            for path, reason in self.looked.unseen[before:]:
                file = printable(path.relative_to(scope.root)) if path != scope.root else path.name
                self.report.failed.append(Failure(str(scope.root), file, reason))
        return list(found.values())

    def _is_unchanged(self, found: Found) -> bool:
        known = self.known.get(found.path)
        if not known or not _is_as_read_today(known) or known.root != found.root or not is_same(found, known):
            return False
        if known.mtime_ns != found.mtime_ns:
            self.touched.append(Touched(known.id, self._dated(found)))
        return True

    def _dated(self, found: Found) -> Found:
        """Without its date where the file is so young that a change of it could go unnoticed."""
        young = self.started * 1e9 - found.mtime_ns < YOUNG_NS
        return replace(found, mtime_ns=-1) if young else found

    # Reading

    def _made(self, fresh: Sequence[Found]) -> Iterator[Made]:
        """The files that have to be read, as documents and chunks. One that cannot be is a failure."""
        self.files = len(fresh)
        jobs = self._jobs(fresh)
        results = self.hands.cut(jobs, self.embedding.embedder)
        for done, (found, job) in enumerate(zip(fresh, jobs, strict=True)):
            self.progress(Progress(done, self.files, found.file))
            self.read = done + 1
            result = next(results)
            if isinstance(result, ReadError):
                self._fail(found, result)
            elif job.known == result[0].sha256:
                self.touched.append(Touched(self.known[found.path].id, self._dated(found)))
                self.report.unchanged += 1
            else:
                yield found, *result

    def _jobs(self, fresh: Sequence[Found]) -> list[Job]:
        """The files by the names that their documents will have, each by another."""
        rerooted = {f.path for f in fresh if f.path in self.known and self.known[f.path].root != f.root}
        leaving = {_path(d) for d in self._leaving()} | rerooted
        names = _Names(d.path for path, d in self.known.items() if path not in leaving)
        jobs = []
        for found in fresh:
            known = self.known.get(found.path)
            name = known.path if known and found.path not in rerooted else names.free(found)
            names.taken.add(name)
            same = known is not None and known.path == name and _is_as_read_today(known)
            jobs.append(Job(found.path, name, known.sha256 if known and same else ""))
        return jobs

    def _fail(self, found: Found, error: ReadError) -> None:
        """The file's old version stays."""
        self.report.failed.append(Failure(found.root, found.file, str(error), found.size, found.mtime_ns))

    def _leaving(self) -> Iterator[Stored]:
        return itertools.chain.from_iterable(self.gone.values())

    # Chunks and vectors

    def _take_in(self, batch: Sequence[Made]) -> None:
        """Together, as that embeds best; where it fails one by one, so that only the file to blame stays out."""
        try:
            together = [c for _, _, chunks in batch for c in chunks]
            self.embedding.embed(together, self._telling(batch[-1][0].file))
        except ReadError as error:
            if len(batch) == 1:
                self._fail(batch[0][0], error)
            else:
                for made in batch:
                    self._take_in([made])
            return
        for found, document, chunks in batch:
            try:
                with blaming(document.path):
                    self.writing.stage([(self._dated(found), document, chunks)], made_by())
            except ReadError as error:
                self._fail(found, error)
            else:
                self._note(found, document)
                self.report.chunks += len(chunks)

    def _note(self, found: Found, document: Document) -> None:
        report, known, alike = self.report, self.known.get(found.path), self.gone.get(document.sha256)
        if known:
            self.replaced.append(known)
            same = known.sha256 == document.sha256
            how = report.changed if not same else report.renewed if known.path == document.path else report.moved
            how.append(document.path)
        elif alike:
            self.replaced.append(alike.pop(0))
            report.moved.append(document.path)
        else:
            report.added.append(document.path)
        report.repairs.update(document.repairs)
        report.notes += [f"{document.path}: {note}" for note in document.notes]

    def _telling(self, doing: str) -> Callable[[int, int], None]:
        return lambda done, total: self.progress(
            Progress(self.read, self.files, f"{doing}: {done} of {total} chunks", done, total)
        )

    # Done

    def _publish(self, found: Sequence[Found]) -> None:
        report, library = self.report, self.library
        report.removed = sorted(d.path for d in self._leaving())
        report.embedded = self.embedding.embedded
        elsewhere = [f for f in library.failures() if not self.owners.owns(f.root, file_of(f.root, f.file))]
        named = {str(f.path) for f in found}
        counted = ("added", "changed", "moved", "renewed", "removed", "failed")
        summary = {name: len(getattr(report, name)) for name in counted}
        change = Change(
            embedder=self.embedding.name,
            fingerprint=self.embedding.fingerprint,
            roots=self.owners.roots_after([root for root in library.roots() if root not in self.moved]),
            started=self.started,
            moved=self.moved,
            removed=[d.id for d in (*self._leaving(), *self.replaced)],
            touched=self.touched,
            failures=[f for f in elsewhere if f.root not in self.moved] + report.failed,
            excluded=[file for file in self._excluded() if file not in named],
            summary={**summary, "chunks": report.chunks, "embedded": report.embedded},
        )
        self.writing.publish(change, self._telling("writing the vector index"))
        report.seconds = time.time() - self.started


def _is_as_read_today(known: Stored) -> bool:
    """Whether reading the same file once more would give the same document: by this code, with an engine for OCR."""
    waits = any(scan.MEND in note for note in known.notes)
    return known.made_by == made_by() and not (waits and scan.engine())


def _path(stored: Stored) -> Path:
    return file_of(stored.root, stored.file)


def _batches(documents: Iterable[Made]) -> Iterator[list[Made]]:
    """As many at once as embed well together."""
    batch: list[Made] = []
    waiting = 0
    for made in documents:
        batch.append(made)
        waiting += len(made[2])
        if waiting >= EMBED_AT_ONCE:
            yield batch
            batch, waiting = [], 0
    if batch:
        yield batch


class _Names:
    """What documents are called, each by another name."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken)
        self._tried: Counter[tuple[str, str]] = Counter()  # how many names, each of them taken for good

    def free(self, found: Found) -> str:
        """The path below the root; with the root's name in front where another root has the same one."""
        root, file = Path(found.root).name, found.file
        while (name := _name(root, file, self._tried[root, file])) in self.taken:
            self._tried[root, file] += 1
        return name


def _name(root: str, file: str, number: int) -> str:
    return file if number == 0 else f"{root}/{file}" if number == 1 else f"{root}-{number}/{file}"
