"""What can write an answer here, and where something cannot: why, and what would make it so."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from assistant.writers import Writer

CLAUDE_MODELS = ("claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5", "claude-fable-5-1")
LABELS = {
    "quotes": "Quotes, no model",
    "claude": "Claude",
    "llama": "A local Llama",
    "url": "A chat server",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the visitor chose. The key lives in the visit's memory and nowhere else, so it is not shown by `repr`."""

    kind: str = "quotes"
    model: str = CLAUDE_MODELS[0]
    path: str = ""
    url: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Choice({self.name})"

    @property
    def name(self) -> str:
        """As `--model` says it."""
        names = {"claude": f"claude:{self.model}", "llama": f"llama:{self.path}", "url": self.url}
        return names.get(self.kind, "quotes")


def missing(choice: Choice) -> str:
    """Why this cannot write and what to do about it, in one line; "" if it can."""
    checks = {"claude": _claude, "llama": _llama, "url": _url}
    return checks[choice.kind](choice) if choice.kind in checks else ""


def writer(choice: Choice) -> Writer:
    if choice.kind == "claude" and choice.key:
        from assistant.writers.claude import Claude

        return Claude(choice.model, key=choice.key)
    from assistant.writers.choose import writer as named

    return named(choice.name)


def _claude(choice: Choice) -> str:
    if not _installed(["anthropic"]):
        return "Its library is not installed: pip install anthropic"
    if not (choice.key or os.environ.get("ANTHROPIC_API_KEY")):
        return "It needs a key: give one in the panel, or start Footnote after export ANTHROPIC_API_KEY=…"
    return ""


def _llama(choice: Choice) -> str:
    if not _installed(["torch", "transformers"]):
        return "Its libraries are not installed: pip install -e '.[llama]'"
    if not choice.path:
        return "It needs a model: give its folder in the panel, one that footnote finetune merge has made, for example"
    if not Path(choice.path).expanduser().is_dir():
        return f"There is no folder {choice.path}: give the model's own"
    return ""


def _url(choice: Choice) -> str:
    if not choice.url:
        return "It needs an address: give one in the panel, such as http://localhost:8000/v1"
    if not choice.url.startswith(("http://", "https://")):
        return f"{choice.url} is not an address: it begins with http:// or https://"
    return ""


def _installed(libraries: Sequence[str]) -> bool:
    return all(find_spec(library) is not None for library in libraries)
