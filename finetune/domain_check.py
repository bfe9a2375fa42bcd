"""Has tuning cost a model what it knew? Forty multiple-choice questions on machine learning, asked without any guide.

    footnote evaluate --domain-check --model llama:BASE --model llama:TUNED

An option is scored by how likely the model finds its words after the question, a character; the likeliest counts as the
answer. Chance is one in four, and the interval is wide: a fall of a few questions says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from ingest.errors import FootnoteError

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


def run(models: Sequence[str], out: Path | None = None) -> list[Result]:
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
    from assistant.writers.weights import load

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


def wilson(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    share, spread = correct / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return middle - half, middle + half
