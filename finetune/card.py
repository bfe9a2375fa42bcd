"""Cards: what a data set, an adapter or a merged model is, what it was made of, and how."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from assistant.prompts import SYSTEM
from finetune.examples import Example

CARD, ORIGINS = "card.json", "origins.jsonl"


def write_dataset(parts: Mapping[str, Sequence[Example]], out: Path, made_from: Mapping[str, Any]) -> dict[str, Any]:
    """train.jsonl and eval.jsonl, where each line came from, and the card, which is written last."""
    out.mkdir(parents=True, exist_ok=True)
    for name, examples in parts.items():
        _write(out / f"{name}.jsonl", [example.to_json() for example in examples])
    origins = [
        {"part": name, "line": i, "kind": e.kind, "question": e.question, "sections": e.sections}
        for name, examples in parts.items()
        for i, e in enumerate(examples, 1)
    ]
    _write(out / ORIGINS, origins)
    card = _dataset_card(parts, out, made_from)
    (out / "README.md").write_text(_as_markdown(card, parts), encoding="utf-8")
    _replace(out / CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return card


def digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def adapter_card(settings: Mapping[str, Any], result: Mapping[str, Any], examples: int) -> str:
    """The card of an adapter, in the form that the Hub reads."""
    return (
        _front({"base_model": settings["base"], "library_name": "peft", "pipeline_tag": "text-generation"})
        + f"""
# A LoRA adapter that answers from guides, with footnotes

Made by `footnote finetune train` from {examples} conversations. It is given numbered passages and a question, and ends
every sentence with the ids of the units that it rests on; where the passages do not answer, it says so. It knows no
more than its base and is meant for nothing else.

    footnote ask "…" --model llama:FOLDER

| setting | value |
|---|---|
{_table(settings)}

| outcome | value |
|---|---|
{_table(result)}

How well it answers is measured by `footnote evaluate`, beside its base and beside quoting; nothing is claimed here.
"""
    )


def merged_card(base: str, settings: Mapping[str, Any], parameters: int) -> str:
    return (
        _front({"base_model": base, "library_name": "transformers", "pipeline_tag": "text-generation"})
        + f"""
# A Llama that answers from guides, with footnotes

{parameters:,} parameters in bfloat16: the base model with a LoRA adapter of `footnote finetune train`
merged into it. The licence is the base model's.

    footnote ask "…" --model llama:FOLDER
    vllm serve FOLDER --served-model-name guides

| setting of the training | value |
|---|---|
{_table(settings)}
"""
    )


def _dataset_card(parts: Mapping[str, Sequence[Example]], out: Path, made_from: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "examples": {name: len(examples) for name, examples in parts.items()},
        "kinds": {name: dict(Counter(e.kind for e in examples).most_common()) for name, examples in parts.items()},
        "characters": {
            name: {
                "prompt": _lengths([sum(len(str(m["content"])) for m in e.prompt) for e in examples]),
                "completion": _lengths([len(e.answer) for e in examples]),
            }
            for name, examples in parts.items()
            if examples
        },
        "sha256": {name: digest(out / name) for name in [*(f"{part}.jsonl" for part in parts), ORIGINS]},
        "prompt_sha256": hashlib.sha256(SYSTEM.encode()).hexdigest(),
        **made_from,
    }


def _as_markdown(card: Mapping[str, Any], parts: Mapping[str, Sequence[Example]]) -> str:
    kinds = sorted({kind for counts in card["kinds"].values() for kind in counts})
    rows = "\n".join(
        f"| {kind} | " + " | ".join(str(card["kinds"][part].get(kind, 0)) for part in parts) + " |" for kind in kinds
    )
    shown = {example.kind: example for example in reversed([*parts["train"], *parts["eval"]])}
    examples = "\n\n".join(f"**{kind}**: {shown[kind].question}\n\n{_quoted(shown[kind].answer)}" for kind in kinds)
    lengths = "\n".join(
        f"| {part} | {what} | {' | '.join(str(value) for value in numbers.values())} |"
        for part, both in card["characters"].items()
        for what, numbers in both.items()
    )
    rest = {name: card[name] for name in card if name not in ("kinds", "characters", "examples", "sha256")}
    return f"""# Training conversations

Made by `footnote finetune dataset` from a library, by its structure alone or, where `writer` says so, phrased by
Claude and proved again. Prompts are those of serving, character for character; every answer is proved as in serving.
One JSON object a line: `prompt` and `completion`, lists of messages. `{ORIGINS}` says each line's kind and section.
No section is in both parts. Conflicts are made with a passage of a made-up guide; orders are planted in real passages.

| kind | {" | ".join(parts)} |
|---|{"---|" * len(parts)}
{rows}
| all | {" | ".join(str(card["examples"][part]) for part in parts)} |

| characters of | | median | 95 % | most |
|---|---|---|---|---|
{lengths}

| made from | |
|---|---|
{_table(rest)}
{_table({f"sha256 of {name}": value for name, value in card["sha256"].items()})}

## One of each kind

{examples}
"""


def _lengths(found: Sequence[int]) -> dict[str, int]:
    ordered = sorted(found)
    return {"median": round(median(ordered)), "95%": ordered[int(0.95 * (len(ordered) - 1))], "most": ordered[-1]}


def _table(values: Mapping[str, Any]) -> str:
    return "\n".join(f"| {name} | {json.dumps(value, ensure_ascii=False)} |" for name, value in values.items())


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def _front(fields: Mapping[str, str]) -> str:
    return "---\n" + "".join(f"{name}: {json.dumps(value)}\n" for name, value in fields.items()) + "---\n"


def _write(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    _replace(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _replace(file: Path, text: str) -> None:
    """Whole or not at all."""
    part = file.with_suffix(file.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)
