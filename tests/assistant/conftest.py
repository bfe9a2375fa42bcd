"""What the tests of the assistant share: a server on loopback, and two passages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loopback import Loopback, serving

from assistant.retrieve import Passage
from assistant.writers import Request
from ingest.chunks import Unit


def passage(document: str, section: str, *sentences: str) -> Passage:
    units, start = [], 0
    for sentence in sentences:
        units.append(Unit(start, start + len(sentence), "sentence"))
        start += len(sentence) + 1
    return Passage(
        document, document.removesuffix(".md"), section, 0, start - 1, " ".join(sentences), 0.9, tuple(units)
    )


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with serving() as server:
        yield server


@pytest.fixture
def request_() -> Request:
    dropout = passage("dropout.md", "Why", "Dropout lowers overfitting.", "It drops half of the units.")
    boosting = passage("boosting.md", "When", "Boosting wins on tables.", "Deep nets win on images.")
    return Request("Why does dropout help?", (dropout, boosting))
