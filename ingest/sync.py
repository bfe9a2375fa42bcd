"""A folder becomes, and stays, a library: what is new is added, what changed is read again, what is gone is removed.

Safe to kill at any moment: vectors are kept as they come, and all else is published in one transaction at the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.chunks import Chunk, chunk
from ingest.documents import MAX_BYTES, SUFFIXES, Document, Found, Reader, supported
from ingest.errors import FootnoteError, ReadError
from ingest.library import Failure, Library, Stored, create
from ingest.writing import Change, Touched, Writing

if TYPE_CHECKING:
    from ingest.embed import Embedder
    from ingest.library import Library
    from ingest.writing import Writing

    TellEmbedded = Callable[[int, int], None]


# Which files a person means by a path: a folder's readable files, in order, no loops, none hidden or ignored.

IGNORE_FILE = ".footnoteignore"  # one in any folder, written like a .gitignore


Unseen = tuple[Path, str]  # what could not be looked at, and why


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


# What one run of `sync` did, and what the next one would do.

_READING = ("documents", "clean", "chunks", "words", "readers/*")


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` files, and what is being done."""

    done: int
    total: int
    doing: str


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
    unseen: list[Unseen] = []
    for root in map(Path, library.roots()):
        for file in files(Scope(root, root), library.place, unseen) if root.exists() else ():
            found.add(file.path)
            if stored := known.get(file.path):
                report.changed += [stored.path] if not is_same(file, stored) else []
            elif str(file.path) not in excluded and not _failed_before(file, failed.get(file.path)):
                report.added.append(file.file)
    hidden = {path for path, _ in unseen}
    report.removed = [d.path for path, d in known.items() if path not in found and not is_below(path, hidden)]
    return report


def file_of(root: str, file: str) -> Path:
    """Where a document came from."""
    return Path(root) if Path(root).name == file and not Path(root).is_dir() else Path(root) / file


def is_below(path: Path, others: Iterable[Path]) -> bool:
    return any(path == other or other in path.parents for other in others)


def is_same(found: Found, stored: Stored) -> bool:
    """Whether a file is the one that was read: by size and date, or, where the date is new, by what is in it."""
    if found.size != stored.size:
        return False
    return found.mtime_ns == stored.mtime_ns or _sha256(found.path) == stored.sha256


def _failed_before(found: Found, failure: Failure | None) -> bool:
    return failure is not None and (failure.size, failure.mtime_ns) == (found.size, found.mtime_ns)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@lru_cache(maxsize=1)
def made_by() -> str:
    """The version of all that turns a file into chunks and terms: a document of another one is read again."""
    digest = hashlib.sha256()
    for pattern in _READING:
        for path in sorted(Path(__file__).parent.glob(f"{pattern}.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


# What takes long in an ingest: chunks get the vectors that the library does not have yet, kept as they come.

EMBED_AT_ONCE = 512  # texts; sorted by length inside, so more would fill batches better and lose more to a kill


class Embedding:
    """The embedder is loaded when something has to be embedded: a run that changes nothing needs none."""

    def __init__(self, library: Library, writing: Writing, model: Embedder | str | None) -> None:
        self._library, self._writing = library, writing
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

    def embed(self, chunks: Sequence[Chunk], tell: TellEmbedded) -> None:
        embedder = self.embedder()
        texts = {c.key: c.searchable for c in chunks}
        missing = sorted(self._writing.missing_vectors(embedder.fingerprint, texts))
        for at in range(0, len(missing), EMBED_AT_ONCE):
            tell(at, len(missing))
            keys = missing[at : at + EMBED_AT_ONCE]
            self._writing.keep_vectors(embedder.fingerprint, keys, embedder.embed([texts[k] for k in keys]))
        self.embedded += len(missing)

    def embed_again(self, tell: TellEmbedded) -> None:
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
