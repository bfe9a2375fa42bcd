"""Ask a library of guides: `from assistant import Assistant`, and all that it gives and takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from assistant.answer import Assistant as Assistant
    from assistant.records import Answer as Answer
    from assistant.records import Footnote as Footnote
    from assistant.records import Passage as Passage
    from assistant.records import Passages as Passages
    from assistant.records import Proved as Proved
    from assistant.records import Sentence as Sentence
    from assistant.records import Turn as Turn
    from assistant.records import Written as Written
    from ingest.errors import FootnoteError as FootnoteError
    from ingest.sync import sync as sync

_PLACES = {
    "Assistant": "assistant.answer",
    "Answer": "assistant.records",
    "Footnote": "assistant.records",
    "FootnoteError": "ingest.errors",
    "Passage": "assistant.records",
    "Passages": "assistant.records",
    "Proved": "assistant.records",
    "Sentence": "assistant.records",
    "Turn": "assistant.records",
    "Written": "assistant.records",
    "sync": "ingest.sync",
}
__all__ = [
    "Answer",
    "Assistant",
    "Footnote",
    "FootnoteError",
    "Passage",
    "Passages",
    "Proved",
    "Sentence",
    "Turn",
    "Written",
    "sync",
]


def __getattr__(name: str) -> Any:
    """Imported on first use: `footnote --help` needs none of it."""
    if name not in _PLACES:
        raise AttributeError(f"module 'assistant' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)


def beside(name: str) -> Path:
    """`app.py` or the starter corpus: beside the packages in the repository, inside this one where a wheel put it."""
    from pathlib import Path

    here = Path(__file__).resolve().parent
    return here / "starter" / name if (here / "starter").is_dir() else here.parent / name


def main() -> int:
    """The `footnote` command. It stands here so that Ctrl-C while its modules are loaded is no traceback either."""
    try:
        from assistant.cli import main as command

        return command()
    except KeyboardInterrupt:
        return 130
