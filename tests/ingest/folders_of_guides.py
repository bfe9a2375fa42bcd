"""Folders of small guides, and what a library of them holds, for the tests of `ingest`."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.library import Library

SUBJECTS = "dropout boosting attention pooling embeddings pruning bagging clustering regression tokenizers".split()


def guide(subject: str, sections: int = 3) -> str:
    return f"# All about {subject}\n" + "".join(_section(subject, i) for i in range(sections))


def _section(subject: str, i: int) -> str:
    text = f"The {subject} of part {i} takes {i * 7 + 3} steps. " + "It helps. " * 20
    return f"\n## Part {i} of {subject}\n\n{text}\n"


def fill(folder: Path, subjects: list[str] = SUBJECTS[:4], sections: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for subject in subjects:
        (folder / f"{subject}.md").write_text(guide(subject, sections), "utf-8")
    return folder


def state(place: Path) -> dict[str, Any]:
    """All that a reader can see, ids and dates left out: two libraries with the same answer the same."""
    with contextlib.closing(Library(place)) as library, library.reading():
        documents = [(d.path, d.title, d.sha256, d.text_sha256, d.chunks) for d in library.documents()]
        ids = library.select()
        ordered = sorted((c.document, c.start, i) for i, c in library.chunks(ids).items())
        chunks = library.chunks(ids)
        words = dict(zip(sorted(ids), library.words(ids), strict=True))
        known, vectors = library.vectors()
        rows = dict(zip(known.tolist(), vectors.tolist(), strict=True))
        texts = {d.path: library.text(d.path) for d in library.documents()}
        return {
            "documents": documents,
            "texts": texts,
            "chunks": [(chunks[i], words[i], rows[i]) for _, _, i in ordered],
            "failures": [(f.file, f.reason) for f in library.failures()],
            "forms": library.long_forms(),
            "frequencies": library.frequencies(["dropout", "part", "step"]),
            "count": library.count(),
            "embedder": library.meta("embedder"),
        }


@contextlib.contextmanager
def permissions_count() -> Iterator[None]:
    """Root passes over permissions; inside, it does not. For others nothing changes."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    before = data[0]
    data[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, data) == 0
    try:
        yield
    finally:
        data[0] = before
        assert libc.capset(header, data) == 0
