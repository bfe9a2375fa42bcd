"""What the tests of fine-tuning share: a question with two passages."""

from __future__ import annotations

import pytest

from assistant.records import Request
from tests.assistant.conftest import passage


@pytest.fixture
def request_() -> Request:
    dropout = passage("dropout.md", "Why", "Dropout lowers overfitting.", "It drops half of the units.")
    boosting = passage("boosting.md", "When", "Boosting wins on tables.", "Deep nets win on images.")
    return Request("Why does dropout help?", (dropout, boosting))
