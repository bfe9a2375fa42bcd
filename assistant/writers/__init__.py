"""`--model NAME` becomes a writer; what a writer needs is imported only when it is chosen."""

from __future__ import annotations

from assistant.records import Writer
from ingest.errors import WriterError

CHOICES = "quotes, claude, claude:NAME, llama:PATH, or the URL of a chat server such as http://localhost:8000/v1"


def writer(name: str) -> Writer:
    """Raises `WriterError` for a name that is none of the choices."""
    kind, _, rest = name.partition(":")
    if name == "quotes":
        from assistant.writers.quotes import Quotes

        return Quotes()
    if name == "claude" or (kind == "claude" and rest):
        from assistant.writers.claude import Claude

        return Claude(rest) if rest else Claude()
    if kind == "llama" and rest:
        from assistant.writers.llama import Llama

        return Llama(rest)
    if kind in ("http", "https") and rest.strip("/"):
        from assistant.writers.chat import Chat

        return Chat(name)
    raise WriterError(f"there is no model {name!r}: --model takes {CHOICES}")
