"""Ask a library of guides: `from assistant import Assistant`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assistant.answer import Assistant as Assistant
    from assistant.records import Answer as Answer
    from assistant.records import Footnote as Footnote
    from assistant.records import Passage as Passage
    from assistant.records import Sentence as Sentence

_PLACES = {
    "Assistant": "answer",
    "Answer": "records",
    "Footnote": "records",
    "Sentence": "records",
    "Passage": "records",
}
__all__ = ["Answer", "Assistant", "Footnote", "Passage", "Sentence"]


def __getattr__(name: str) -> Any:
    """Imported on first use: `footnote --help` needs none of it."""
    if name not in _PLACES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"assistant.{_PLACES[name]}"), name)
