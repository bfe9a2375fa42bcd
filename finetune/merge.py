"""After training: the adapter merged into its base, the cards, and whether the model lost what it knew.

    footnote finetune merge --adapter adapter --out merged

The base is loaded in bfloat16, never in 4 bit: what was trained beside rounded weights belongs to the true ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from assistant.evaluation.score import wilson
from assistant.footnotes import segments
from assistant.prompts import NOT_OUTRIGHT, SYSTEM, begins_near
from assistant.writers.llama import quiet
from finetune import recipe
from finetune.phrasing import Example
from finetune.recipe import with_template
from ingest.errors import FootnoteError

# Cards: what a data set, an adapter or a merged model is, what it was made of, and how.

CARD, ORIGINS = "card.json", "origins.jsonl"
SHOWN = 30  # examples in the report


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
        "answers": {name: _answers(examples) for name, examples in parts.items() if examples},
        "sha256": {name: digest(out / name) for name in [*(f"{part}.jsonl" for part in parts), ORIGINS]},
        "prompt_sha256": hashlib.sha256(SYSTEM.encode()).hexdigest(),
        **made_from,
    }


def _as_markdown(card: Mapping[str, Any], parts: Mapping[str, Sequence[Example]]) -> str:
    kinds = sorted({kind for counts in card["kinds"].values() for kind in counts})
    rows = "\n".join(
        f"| {kind} | " + " | ".join(str(card["kinds"][part].get(kind, 0)) for part in parts) + " |" for kind in kinds
    )
    shown = _shown([*parts["train"], *parts["eval"]])
    examples = "\n\n".join(f"**{e.kind}**: {e.question}\n\n{_quoted(e.answer)}" for e in shown)
    lengths = "\n".join(
        f"| {part} | {what} | {' | '.join(str(value) for value in numbers.values())} |"
        for part, both in card["characters"].items()
        for what, numbers in both.items()
    )
    answers = "\n".join(
        f"| {part} | {what} | {json.dumps(value)} |"
        for part, all_ in card["answers"].items()
        for what, value in all_.items()
    )
    rest = {name: card[name] for name in card if name not in ("kinds", "characters", "answers", "examples", "sha256")}
    return f"""# Training conversations

Made by `footnote finetune dataset` from a library, by its structure alone or, where `phrased` says so, phrased by a
model and proved again. Prompts are those of serving, character for character; every answer is proved as in serving.
One JSON object a line: `prompt` and `completion`, lists of messages. `{ORIGINS}` says each line's kind and section.
No section is in both parts. Conflicts are made with a passage of a made-up guide; orders are planted in real passages.

| kind | {" | ".join(parts)} |
|---|{"---|" * len(parts)}
{rows}
| all | {" | ".join(str(card["examples"][part]) for part in parts)} |

| characters of | | median | 95 % | most |
|---|---|---|---|---|
{lengths}

| answers of | | |
|---|---|---|
{answers}

| made from | |
|---|---|
{_table(rest)}
{_table({f"sha256 of {name}": value for name, value in card["sha256"].items()})}

## {len(shown)} examples, at least one of each kind

{examples}
"""


def _shown(examples: Sequence[Example]) -> list[Example]:
    """One of each kind, then the first others: the order is drawn already."""
    firsts = {example.kind: example for example in reversed(examples)}
    others = [example for example in examples if example is not firsts[example.kind]]
    shown = [*firsts.values(), *others[: max(0, SHOWN - len(firsts))]]
    return sorted(shown, key=lambda example: example.kind)


def _answers(examples: Sequence[Example]) -> dict[str, Any]:
    """What kinds of answer there are, and how densely they are footnoted."""
    said = [example for example in examples if example.places]
    sentences = [e.answer[a:b] for e in said for a, b in segments(e.answer, begins_near(e.answer) * len(NOT_OUTRIGHT))]
    ids = Counter(min(5, len(re.findall(r"\[\d+\.\d+\]", sentence))) for sentence in sentences)
    return {
        "share of refusals": round(1 - len(said) / len(examples), 3),
        "share of nearest": round(sum(begins_near(e.answer) for e in said) / len(examples), 3),
        "share of follow-ups": round(sum(bool(e.request.history) for e in examples) / len(examples), 3),
        "words of a question": _lengths([len(e.question.split()) for e in examples]),
        "words of an answer": _lengths([len(e.answer.split()) for e in said]) if said else {},
        "lines by their ids (5: or more; those of code stand below it)": {str(n): ids[n] for n in sorted(ids)},
    }


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


# Has tuning cost a model what it knew? Forty multiple-choice questions on machine learning, asked without any guide.
#
#     footnote evaluate --domain-check --model llama:BASE --model llama:TUNED
#
# An option is scored by how likely the model finds its words after the question, a character; the likeliest counts as
# the answer. Chance is one in four, and the interval is wide: a fall of a few questions says nothing.

QUESTIONS = Path(__file__).with_name("domain_check.jsonl")
FILE = "domain_check.json"


@dataclass(frozen=True, slots=True)
class Choice:
    question: str
    options: tuple[str, ...]
    answer: int  # which of the options


@dataclass(frozen=True, slots=True)
class Result:
    """`low` and `high` are Wilson's 95 % interval."""

    model: str
    correct: int
    total: int
    low: float
    high: float
    wrong: tuple[str, ...]  # the questions

    def __str__(self) -> str:
        share = self.correct / self.total
        return f"{self.model}: {self.correct} of {self.total} right ({share:.0%}, {self.low:.0%} to {self.high:.0%})"


def questions(file: Path = QUESTIONS) -> list[Choice]:
    rows = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    return [Choice(row["question"], tuple(row["options"]), row["answer"]) for row in rows]


def domain_check(models: Sequence[str], out: Path | None = None) -> list[Result]:
    """The check for each local model; what is no local model is left out, since it gives no likelihoods."""
    local = [model for model in models if model.startswith("llama:")]
    if not local:
        raise FootnoteError("--domain-check needs a local model: --model llama:PATH, once for each")
    results = [check(model, questions()) for model in local]
    for result in results:
        print(result)  # noqa: T201  # what `footnote evaluate --domain-check` is asked for
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / FILE).write_text(json.dumps([asdict(r) for r in results], indent=2) + "\n", encoding="utf-8")
    return results


def check(model: str, asked: Sequence[Choice]) -> Result:
    from assistant.writers.llama import load

    loaded = load(Path(model.removeprefix("llama:")).expanduser())
    with loaded.lock:
        wrong = [choice.question for choice in asked if best(loaded.model, loaded.tokenizer, choice) != choice.answer]
    correct = len(asked) - len(wrong)
    return Result(model, correct, len(asked), *wilson(correct, len(asked)), tuple(wrong))


def best(model: Any, tokenizer: Any, choice: Choice) -> int:
    """The option whose words are likeliest, their logarithms added up and shared out among its characters."""
    stem = f"Question: {choice.question}\nAnswer:"
    scores = likelihoods(model, tokenizer, stem, [f" {option}" for option in choice.options])
    shares = [score / len(option) for score, option in zip(scores, choice.options, strict=True)]
    return max(range(len(shares)), key=shares.__getitem__)


def likelihoods(model: Any, tokenizer: Any, stem: str, endings: Sequence[str]) -> list[float]:
    """The logarithm of the probability of each ending after the stem."""
    import torch

    before = tokenizer(stem)["input_ids"]
    ends = [tokenizer(ending, add_special_tokens=False)["input_ids"] for ending in endings]
    width = max(map(len, ends))
    rows = torch.tensor([[*before, *end, *[0] * (width - len(end))] for end in ends], device=model.device)
    mask = torch.tensor(
        [[1] * (len(before) + len(end)) + [0] * (width - len(end)) for end in ends], device=model.device
    )
    with torch.inference_mode():
        logits = model(input_ids=rows, attention_mask=mask).logits[:, len(before) - 1 : -1].float()
    logs = torch.log_softmax(logits, dim=-1)
    return [float(sum(logs[i, n, token] for n, token in enumerate(end))) for i, end in enumerate(ends)]


def merge(adapter: Path, out: Path, base: str = "", say: Callable[[str], None] = lambda line: None) -> Path:
    """A whole model: bfloat16 safetensors, tokenizer with its chat template, generation config, card.

    `base` is for where the base model is no longer where it was at training.
    """
    recipe.packages()
    base = base or _base_of(adapter)
    shape = recipe.family(recipe.config_of(base), base)
    if out.exists() and any(out.iterdir()):
        raise FootnoteError(f"{out} is not empty: give another --out, or delete it")
    needed = recipe.serving(shape, quantised=False, length=0)
    recipe.room(needed, f"merging takes the whole of {base} in bfloat16")
    say(f"merging {adapter} into {base}: about {needed}")
    part = out.with_name(out.name + ".part")
    with quiet():
        model, tokenizer = _merged(adapter, base)
        model.save_pretrained(str(part), safe_serialization=True)
        tokenizer.save_pretrained(str(part))
    settings = json.loads((adapter / "settings.json").read_text()) if (adapter / "settings.json").exists() else {}
    (part / "README.md").write_text(merged_card(base, settings, shape.parameters), encoding="utf-8")
    for weights in part.glob("*.safetensors"):  # written for their owner's eyes alone; a server may be another user
        weights.chmod((part / "README.md").stat().st_mode)
    if out.exists():
        out.rmdir()
    part.rename(out)
    say(f"{out} is whole; --model llama:{out} answers with it")
    return out


def _merged(adapter: Path, base: str) -> tuple[Any, Any]:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
        tuned = PeftModel.from_pretrained(model, str(adapter), dtype=torch.bfloat16)
        named = adapter if (adapter / "tokenizer_config.json").exists() else base
        tokenizer = with_template(AutoTokenizer.from_pretrained(str(named)))
        return tuned.merge_and_unload(safe_merge=True), tokenizer
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FootnoteError(
            f"{adapter} cannot be merged into {base} ({reason}): --base FOLDER names another"
        ) from error


def _base_of(adapter: Path) -> str:
    try:
        return str(json.loads((adapter / "adapter_config.json").read_text("utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError) as error:
        raise FootnoteError(f"{adapter} is no adapter: footnote finetune train --out {adapter} makes one") from error
