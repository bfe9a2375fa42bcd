"""Jupyter notebooks: their Markdown as it is, their code in fences, and what it printed where that is short text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ingest.errors import ReadError
from ingest.readers import Draft, Reading, markdown
from ingest.readers.decode import decode, tidy
from ingest.readers.questions import mark_questions

_MOST_LINES, _MOST_CHARACTERS = 30, 2000  # longer output is a log or a dump
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OBJECT = re.compile(r"^\s*(?:<[^<>]*(?: at 0x[0-9a-f]+|object|Figure|Axes)[^<>]*>|\[<.*>\]|Text\(.*\))\s*$", re.DOTALL)


def read(data: bytes, name: str) -> Reading:
    import nbformat

    raw, notes, _ = decode(data, name)
    try:
        notebook: Any = nbformat.reads(raw, as_version=4)  # type: ignore[no-untyped-call]
    except Exception as error:  # nbformat raises half a dozen kinds, some of other packages
        what = " ".join(f"{error}".split())[:120]
        raise ReadError(f"{name} is no whole notebook ({what}). Open it in Jupyter and save it again.") from error
    language = notebook.metadata.get("kernelspec", {}).get("language") or "python"
    draft = Draft()
    repairs: Counter[str] = Counter()
    for cell in notebook.cells:
        source, mended = tidy(_joined(cell.get("source", "")))
        repairs += mended
        if cell.cell_type == "code":
            draft.code(source, language)
            for output in _outputs(cell.get("outputs", [])):
                draft.code(tidy(output)[0], "text")
        else:
            source = source.strip("\n")
            level = next((block.level for block in reversed(draft.blocks) if block.kind == "heading"), 0)
            draft.extend(source, markdown.blocks_in(source, level=level))
    reading = draft.reading()
    blocks = mark_questions(reading.text, reading.blocks)
    return Reading(reading.text, blocks, markdown.title_of(reading.text, blocks), repairs, notes)


def _outputs(outputs: Any) -> Iterator[str]:
    for output in outputs:
        if output.get("output_type") == "stream" and output.get("name") != "stderr":
            text = _joined(output.get("text", ""))
        elif output.get("output_type") == "error":
            text = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}"
        else:
            text = _joined(output.get("data", {}).get("text/plain", ""))
        text = _ANSI.sub("", text).strip("\n")
        if (
            text.strip()
            and text.count("\n") < _MOST_LINES
            and len(text) <= _MOST_CHARACTERS
            and not _OBJECT.match(text)
        ):
            yield text


def _joined(text: Any) -> str:
    return text if isinstance(text, str) else "".join(text)
