"""The vector index is brought along with what was published; meanwhile readers compare the vectors themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ingest.errors import LibraryError
from ingest.index import IndexTrouble, VectorIndex, rebuild
from ingest.vectors import batches

if TYPE_CHECKING:
    from ingest.vectors import Vectors
    from ingest.writing import Writing

    Tell = Callable[[int, int], None]


class Upkeep:
    """Works under the lock and on the connection of a `Writing`."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._db = writing.db
        self._meta: dict[str, str] = dict(self._db.execute("SELECT key, value FROM meta"))
        self._home = writing.library.index_home

    def bring_along(self, before: int, gone: Sequence[int], whole: bool, tell: Tell) -> None:
        """Chunks with ids above `before` have come and others are gone; `whole`: what the index holds is of no use."""
        try:
            try:
                if not whole:
                    self._update(before, gone)
            except IndexTrouble:
                whole = True
            if whole:
                self.rebuild(tell).close()
        except LibraryError as error:
            self._writing.library.notify(
                f"the vector index could not be written ({error}): it is mended when it is next used"
            )

    def rebuild(self, tell: Tell) -> VectorIndex:
        serial = int(self._meta["index_serial"]) + 1
        return rebuild(
            self._home,
            self._meta["id"],
            serial,
            int(self._meta["generation"]),
            self._batches(tell),
            done=lambda index: self._writing.set_meta(index_serial=serial, index_clean=1),
        )

    def _update(self, before: int, gone: Sequence[int]) -> None:
        index = VectorIndex(self._home, self._meta["id"], int(self._meta["index_serial"]))
        try:
            index.add(batches(self._db, self._meta["embedder"], after=before))
            index.remove(gone)
            index.stamp(int(self._meta["generation"]))
            self._writing.set_meta(index_clean=1)
        finally:
            index.close()

    def _batches(self, tell: Tell) -> Iterator[Vectors]:
        done, total = 0, self._db.execute("SELECT count(*) FROM chunk").fetchone()[0]
        for ids, vectors in batches(self._db, self._meta["embedder"]):
            tell(done, total)
            yield ids, vectors
            done += len(ids)
