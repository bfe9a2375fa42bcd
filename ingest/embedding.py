"""What takes long in an ingest: chunks get the vectors that the library does not have yet, kept as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ingest.chunks import Chunk

if TYPE_CHECKING:
    from ingest.embed import Embedder
    from ingest.library import Library
    from ingest.writing import Writing

    Tell = Callable[[int, int], None]

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

    def embed(self, chunks: Sequence[Chunk], tell: Tell) -> None:
        embedder = self.embedder()
        texts = {c.key: c.searchable for c in chunks}
        missing = sorted(self._writing.missing_vectors(embedder.fingerprint, texts))
        for at in range(0, len(missing), EMBED_AT_ONCE):
            tell(at, len(missing))
            keys = missing[at : at + EMBED_AT_ONCE]
            self._writing.keep_vectors(embedder.fingerprint, keys, embedder.embed([texts[k] for k in keys]))
        self.embedded += len(missing)

    def embed_again(self, tell: Tell) -> None:
        """With another model, what is not read again needs new vectors all the same."""
        ids = self._library.select()
        for at in range(0, len(ids), EMBED_AT_ONCE):
            tell(at, len(ids))
            self.embed(list(self._library.chunks(ids[at : at + EMBED_AT_ONCE]).values()), lambda done, total: None)
