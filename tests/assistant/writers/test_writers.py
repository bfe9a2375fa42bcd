"""What `--model` takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from assistant.writers import CHOICES, writer
from ingest.errors import WriterError


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("quotes", "Quotes"),
        ("claude", "Claude"),
        ("claude:claude-opus-5-5", "Claude"),
        ("llama:models/guides", "Llama"),
        ("http://localhost:8000/v1", "Chat"),
        ("https://example.org/v1#guides", "Chat"),
    ],
)
def test_each_choice_gives_its_writer_under_its_own_name(name: str, kind: str) -> None:
    chosen = writer(name)
    assert (type(chosen).__name__, chosen.name) == (kind, name)


@pytest.mark.parametrize(
    "name", ["", "gpt", "claude:", "llama:", "llama", "http://", "ftp://host", "Quotes", "localhost:8000"]
)
def test_any_other_name_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(WriterError) as raised:
        writer(name)
    assert repr(name) in str(raised.value)
    assert CHOICES in str(raised.value)


def test_choosing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from assistant.writers import writer\n"
        "for name in ('claude', 'llama:x', 'http://localhost:1'): writer(name)\n"
        "print([m for m in ('torch', 'transformers', 'anthropic', 'openai', 'langchain_openai') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
