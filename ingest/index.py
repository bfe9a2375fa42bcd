"""The vector index: a Chroma collection, in a folder or on a server. The only file that knows Chroma.

It holds nothing but ids and vectors that `library.py` keeps too, so it can be thrown away at any time. Each rebuilding
makes a new one beside the old, under the next serial number, and drops the old one when it is complete. What is dropped
bears our name: a folder `footnote-SERIAL`, or a server's collection `footnote-LIBRARY-SERIAL`.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ingest.errors import LibraryError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Batches = Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]]

BATCH = 2000  # Chroma takes 5461 at most
_HNSW = {"space": "cosine", "max_neighbors": 24, "ef_construction": 128, "ef_search": 160}
_SAME = 1e-3  # cosine distance under which a vector has found itself
_OURS = "footnote"

_connecting = threading.Lock()
_open_spellings: set[str] = set()


class IndexTrouble(LibraryError):
    """The index is missing, behind or broken, or cannot be written: SQLite has all that it held. Its
    text is what follows "the vector index"."""


class IndexOutOfReach(LibraryError):
    """The server that holds the index does not answer; it may be whole."""


def is_server(home: str) -> bool:
    return home.startswith(("http://", "https://"))


def is_there(home: str, serial: int) -> bool:
    """Whether it looks as if it were, without asking Chroma; a server has to be asked."""
    return is_server(home) or _file(home, serial).is_file()


def _file(home: str, serial: int) -> Path:
    return Path(home) / f"{_OURS}-{serial}" / "chroma.sqlite3"


class VectorIndex:
    """One collection: ids and vectors in, nearest ids out. `home` is a folder, or the URL of a server."""

    def __init__(self, home: str, library_id: str, serial: int, *, create: bool = False) -> None:
        self._server = home if is_server(home) else ""
        self._file = _file(home, serial)
        self._folder = self._file.parent
        self._prefix = f"{_OURS}-{library_id}-"
        self.name = f"{self._prefix}{serial}"
        self._spelling = ""
        if not self._server:
            self._prepare_folder(create)
        self._client = self._connect()
        try:
            with self._in_words():
                self._collection = self._create() if create else self._client.get_collection(self.name, None)
        except BaseException:
            self.close()
            raise

    def add(self, batches: Batches) -> None:
        for ids, vectors in batches:
            with self._in_words():
                self._collection.upsert(ids=[str(i) for i in ids], embeddings=vectors)

    def remove(self, ids: Sequence[int]) -> None:
        for at in range(0, len(ids), BATCH):
            with self._in_words():
                self._collection.delete(ids=[str(i) for i in ids[at : at + BATCH]])

    def stamp(self, generation: int) -> None:
        """Written last: the index is complete for this generation of the library."""
        with self._in_words():
            self._collection.modify(metadata={"generation": generation})

    def nearest(self, vector: NDArray[np.float32], n: int) -> list[tuple[int, float]]:
        """The nearest ids with their cosine similarity, best first."""
        with self._in_words():
            found = self._collection.query(query_embeddings=[vector], n_results=n, include=["distances"])
            return [(int(i), 1.0 - d) for i, d in zip(found["ids"][0], found["distances"][0], strict=True)]

    def check(self, generation: int, count: int, sample: Batches) -> None:
        """Raises where it cannot be trusted for this generation and number of vectors.

        Each vector of the sample has to find itself, or one just like it.
        """
        if (self._collection.metadata or {}).get("generation") != generation:
            raise IndexTrouble("is of another time than the library")
        with self._in_words():
            there = self._collection.count()
        if there != count:
            raise IndexTrouble(f"holds {there} vectors, the library {count}")
        for ids, vectors in sample:
            for wanted, vector in zip(ids, vectors, strict=True):
                found = self.nearest(vector, min(3, count))
                if not any(i == wanted or 1.0 - cosine < _SAME for i, cosine in found):
                    raise IndexTrouble("does not find what is in it")

    def drop_others(self) -> None:
        """What is left of this library's earlier indexes."""
        if self._server:
            with self._in_words():
                _drop(self._client, self._prefix, keep=self.name)
            return
        for other in _our_folders(self._folder.parent):
            if other != self._folder:
                shutil.rmtree(other, ignore_errors=True)  # what somebody has open on Windows goes the next time

    def close(self) -> None:
        self._client.close()
        with _connecting:
            _open_spellings.discard(self._spelling)

    def _prepare_folder(self, create: bool) -> None:
        if self._folder.parent.is_symlink() or self._folder.is_symlink():
            raise IndexTrouble("cannot be used (its folder is a link, which may lead out of the library)")
        if create:
            shutil.rmtree(self._folder, ignore_errors=True)  # left over from a rebuilding that was killed
        elif not self._file.is_file():
            raise IndexTrouble("is missing")

    def _create(self) -> Any:
        if any(c.name == self.name for c in self._client.list_collections()):
            self._client.delete_collection(self.name)  # left over from a rebuilding that was killed
        return self._client.create_collection(self.name, embedding_function=None, configuration={"hnsw": _HNSW})

    def _connect(self) -> Any:
        if self._server:
            return _server(self._server)
        with _connecting, self._in_words():
            import chromadb

            # Chroma shares clients by the spelling of the path, and a shared one goes on with the index as it was
            # when first opened; under a spelling of its own every client sees today's, and closing it frees it.
            spelling = str(self._folder)
            while spelling in _open_spellings:
                spelling += "/."
            client = chromadb.PersistentClient(spelling, settings=_settings())
            _open_spellings.add(spelling)
            self._spelling = spelling
            return client

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """A broken index raises anything, from SQLite's errors to Rust panics, which are no `Exception`."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit, LibraryError):
            raise
        except BaseException as error:
            if self._server:
                _server(self._server).close()  # raises if it is the server that is gone
            raise IndexTrouble(f"cannot be used ({first_line(error)})") from error


def check_reachable(server: str) -> None:
    _server(server).close()


def forget(home: str, library_id: str) -> None:
    """A library's indexes at this place go, as far as it can be reached."""
    with suppress(LibraryError, OSError):
        if is_server(home):
            client = _server(home)
            _drop(client, f"{_OURS}-{library_id}-")
            client.close()
            return
        for folder in _our_folders(Path(home)):
            shutil.rmtree(folder, ignore_errors=True)
        Path(home).rmdir()  # stays where something else is in it


def _our_folders(home: Path) -> list[Path]:
    if home.is_symlink():
        return []
    named = (path for path in home.iterdir() if re.fullmatch(rf"{_OURS}-\d+", path.name))
    return [path for path in named if path.is_dir() and not path.is_symlink()]


def _drop(client: Any, prefix: str, keep: str = "") -> None:
    for name in [c.name for c in client.list_collections()]:
        if name.startswith(prefix) and name != keep:
            client.delete_collection(name)


def _settings() -> Any:
    from chromadb.config import Settings

    return Settings(anonymized_telemetry=False)


def _server(place: str) -> Any:
    import chromadb

    url = urlsplit(place)
    try:
        return chromadb.HttpClient(
            host=url.hostname or "localhost",
            port=url.port or (443 if url.scheme == "https" else 8000),
            ssl=url.scheme == "https",
            settings=_settings(),
        )
    except Exception as error:
        raise IndexOutOfReach(
            f"no Chroma server answers at {place} ({first_line(error)}): start one with `chroma run`"
        ) from error


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
