"""The vector index: a Chroma collection, in a folder or on a server. The only file that knows Chroma.

It holds nothing but ids and vectors that `library.py` keeps too, so it can be thrown away at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ingest.errors import LibraryBusy, LibraryError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ingest.library import Library

BATCH = 2000  # Chroma takes 5461 at most
_HNSW = {"space": "cosine", "max_neighbors": 24, "ef_construction": 128, "ef_search": 160}
_SAME = 1e-3  # cosine distance under which a vector has found itself
_SAMPLE = 5


class VectorIndex:
    """One collection: ids and vectors in, nearest ids out."""

    def __init__(self, library: Library, serial: int, *, create: bool = False) -> None:
        self.name = f"footnote-{library.meta('id')}-{serial}"
        self._client = _connect(library.meta("chroma") or str(library.place / "chroma"))
        if create:
            self._collection = self._client.get_or_create_collection(
                self.name, embedding_function=None, configuration={"hnsw": _HNSW}
            )
        else:
            self._collection = self._client.get_collection(self.name, embedding_function=None)

    def add(self, ids: Sequence[int], vectors: NDArray[np.float32]) -> None:
        for at in range(0, len(ids), BATCH):
            names = [str(i) for i in ids[at : at + BATCH]]
            self._collection.upsert(ids=names, embeddings=vectors[at : at + BATCH])

    def remove(self, ids: Sequence[int]) -> None:
        for at in range(0, len(ids), BATCH):
            self._collection.delete(ids=[str(i) for i in ids[at : at + BATCH]])

    def nearest(self, vector: NDArray[np.float32], n: int) -> list[tuple[int, float]]:
        """The nearest ids with their cosine similarity, best first."""
        found = self._collection.query(query_embeddings=[vector], n_results=n, include=["distances"])
        return [(int(i), 1.0 - d) for i, d in zip(found["ids"][0], found["distances"][0], strict=True)]

    def agrees_with(self, library: Library, count: int) -> bool:
        """Whether it holds this many vectors and each of a sample finds itself, or one just like it."""
        if self._collection.count() != count:
            return False
        ids, vectors = library.vectors(library.sample(_SAMPLE))
        return all(
            any(found == wanted or 1.0 - cosine < _SAME for found, cosine in self.nearest(vector, min(3, count)))
            for wanted, vector in zip(ids, vectors, strict=True)
        )

    def drop_others(self) -> None:
        """What is left of this library's earlier collections."""
        prefix = self.name.rsplit("-", 1)[0]
        for collection in self._client.list_collections():
            if collection.name.startswith(prefix) and collection.name != self.name:
                self._client.delete_collection(collection.name)


def open_index(library: Library, count: int, clean: bool) -> VectorIndex | None:
    """The library's index, rebuilt first if it disagrees with SQLite. None if that has to wait: then SQLite answers."""
    try:
        if clean and (index := VectorIndex(library, int(library.meta("index_serial")))).agrees_with(library, count):
            return index
        reason = "disagrees with the library" if clean else "was not finished"
    except LibraryError as unreachable:
        library.notify(f"{unreachable}; searching the vectors in the library itself")
        return None
    except Exception as error:  # noqa: BLE001  a broken index raises anything, from SQLite's errors to Rust panics
        reason = f"cannot be read ({_first_line(error)})"
    from ingest.writing import Writing

    try:
        with Writing(library, "mending the vector index") as writing:
            library.notify(
                f"the vector index {reason}: rebuilding it from the library's own vectors, nothing is embedded again"
            )
            return writing.rebuild_index()
    except LibraryBusy:
        return None


def _connect(place: str) -> Any:
    """A Chroma client for a folder or an `http(s)://host:port` server, telemetry off."""
    import chromadb
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False)
    if not place.startswith(("http://", "https://")):
        from chromadb.api.shared_system_client import SharedSystemClient

        SharedSystemClient.clear_system_cache()  # a client opened earlier would go on with the index as it was then
        return chromadb.PersistentClient(place, settings=settings)
    url = urlsplit(place)
    try:
        return chromadb.HttpClient(
            host=url.hostname or "localhost", port=url.port or 8000, ssl=url.scheme == "https", settings=settings
        )
    except Exception as error:
        raise LibraryError(
            f"no Chroma server answers at {place} ({_first_line(error)}): start one with `chroma run`"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120]
