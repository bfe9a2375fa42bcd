"""What a run was made of, so that it can be gone on with, understood, and made again."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.evaluation.predictions import Prediction
from assistant.retrieve import Passage
from ingest.errors import FootnoteError

if TYPE_CHECKING:
    from ingest.library import Library

FILE = "run.json"
CLOSE = 1e-3  # scores of passages that differ by less are the same: the nearest neighbours are found approximately
_HOME = Path(__file__).absolute().parents[2]
_PACKAGES = ("numpy", "onnxruntime", "tokenizers", "chromadb", "anthropic", "transformers", "torch", "langchain-core")

Record = dict[str, Any]


def make(library: Library, questions: Path, settings: Mapping[str, Any]) -> Record:
    """`settings` are what the command was given; `hashes` say what it was given in truth."""
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": dict(settings),
        "hashes": hashes(library, questions),
        "embedder": library.meta("embedder"),
        "documents": len(library.documents()),
        "versions": {"footnote": _version("footnote"), "python": platform.python_version()} | _versions(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def hashes(library: Library, questions: Path) -> dict[str, str]:
    """Of everything that an answer depends on, the model aside."""
    documents = library.documents()
    code = [f for p in ("assistant", "ingest") for f in (_HOME / p).rglob("*.py") if "evaluation" not in f.parts]
    fitted = [f for f in (_HOME / "assistant").rglob("*") if f.suffix in (".json", ".onnx") and f.is_file()]
    return {
        "code": _of_files(code),
        "prompts": _of_files([_HOME / "assistant" / "prompts.py"]),
        "thresholds and weights": _of_files(fitted),
        "corpus": _digest(f"{d.path} {d.sha256}" for d in documents),
        "library": _digest([*(f"{d.path} {d.text_sha256} {d.chunks}" for d in documents), library.meta("embedder")]),
        "embedder": _digest([library.meta("embedder")]),
        "questions": hashlib.sha256(questions.read_bytes()).hexdigest()[:16],
    }


def check(folder: Path, new: Record) -> None:
    """Refuse to go on with a run that was made of something else: half of it would be of the one, half of the other."""
    if old := read(folder):
        if changed := differing(old["hashes"], new["hashes"]):
            raise FootnoteError(
                f"{folder} was begun with another state of: {', '.join(changed)}; start anew with --out ANOTHER, or "
                f"score what it has with `footnote evaluate --out {folder}`"
            )
        new["settings"]["models"] = list(dict.fromkeys([*old["settings"]["models"], *new["settings"]["models"]]))


def write(folder: Path, record: Record) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Record:
    """The record of a run; empty where there is none."""
    file = folder / FILE
    if not file.is_file():
        return {}
    loaded: Record = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return [name for name in other if one.get(name) != other[name]]


def changed(before: Sequence[Prediction], after: Sequence[Prediction]) -> list[str]:
    """One line for each answer that is not the same as before; how long it took does not count."""
    old = {prediction.key: prediction for prediction in before}
    found = [
        (p, _differences(old[p.key], p) if p.key in old else ["answer, since it was not asked then"]) for p in after
    ]
    return [f"{p.model}, {p.question.id}: other {', '.join(what)}" for p, what in found if what]


def _differences(before: Prediction, after: Prediction) -> list[str]:
    was, now = before.answer, after.answer
    what = []
    if was is not None and now is not None:
        what += [name for name in ("status", "sentences") if getattr(was, name) != getattr(now, name)]
        if not _same(was.passages, now.passages):
            what.append("passages")
    if not _same(before.retrieved, after.retrieved):
        what.append("search")
    return what


def _same(one: Sequence[Passage], other: Sequence[Passage]) -> bool:
    return len(one) == len(other) and all(
        (a.document, a.start, a.end, a.text) == (b.document, b.start, b.end, b.text) and abs(a.score - b.score) < CLOSE
        for a, b in zip(one, other, strict=True)
    )


def _versions() -> dict[str, str]:
    return {name: found for name in _PACKAGES if (found := _version(name))}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _of_files(files: Iterable[Path]) -> str:
    return _digest(f"{f.relative_to(_HOME)} {hashlib.sha256(f.read_bytes()).hexdigest()}" for f in sorted(files))


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:16]
