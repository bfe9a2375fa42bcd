"""What is seen of a training run: a line of progress, and how well a sample of answers is footnoted."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assistant.prompts import NOT_IN_GUIDES, is_not_in_guides
from finetune.tokens import Conversation, Encoded

HISTORY = "history.jsonl"
_SHOWN = re.compile(r"^\[(\d+\.\d+)\] ", re.MULTILINE)
_WRITTEN = re.compile(r"\[(\d+\.\d+)\]")


@dataclass(frozen=True, slots=True)
class Sampled:
    """Shares, of answers that were written freely: serving forbids invalid ids, so here is seen what was learned."""

    footnotes_valid: float | None  # of the ids written, those that the prompt shows; None where none was written
    footnotes_right: float  # of the answers, those with exactly the reference's ids
    refusals_right: float  # of the answers, those that refuse where the reference does, and only there
    exact: float  # of the answers, those that are the reference word for word

    def __str__(self) -> str:
        shares = {name.replace("_", " "): value for name, value in asdict(self).items()}
        return ", ".join(f"{name} {'–' if value is None else f'{value:.0%}'}" for name, value in shares.items())


def sampled(answers: Sequence[str], conversations: Sequence[Conversation]) -> Sampled:
    """How answers compare with what the conversations teach. Pure."""
    valid = written = right = refused = exact = 0
    for answer, said in zip(answers, conversations, strict=True):
        shown = set(_SHOWN.findall(str(said["prompt"][-1]["content"])))
        reference = str(said["completion"][0]["content"])
        ids = _WRITTEN.findall(answer)
        written += len(ids)
        valid += sum(i in shown for i in ids)
        right += set(ids) == set(_WRITTEN.findall(reference))
        refused += is_not_in_guides(answer) == (reference == NOT_IN_GUIDES)
        exact += answer.strip() == reference
    n = max(1, len(answers))
    return Sampled(valid / written if written else None, right / n, refused / n, exact / n)


def written(
    model: Any, tokenizer: Any, examples: Sequence[Encoded], ends: Collection[int], room: int = 64
) -> list[str]:
    """What the model answers, greedily and without constraint; a little more room than the reference takes."""
    import torch

    answers = []
    for example in examples:
        prompt = torch.tensor([example.prompt], device=model.device)
        with torch.inference_mode():
            tokens = model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=len(example.completion) + room,
                do_sample=False,
                eos_token_id=sorted(ends),
                pad_token_id=min(ends),
                use_cache=True,
            )[0][prompt.shape[1] :]
        kept = [token for token in tokens.tolist() if token not in ends]
        answers.append(tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False))
    return answers


def footnotes(
    conversations: Sequence[Conversation],
    examples: Sequence[Encoded],
    tokenizer: Any,
    ends: Collection[int],
    out: Path,
    say: Callable[[str], None],
) -> Any:
    """A callback that writes and measures a sample at each evaluation."""
    from transformers import TrainerCallback

    class Footnotes(TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            found = sampled(written(model, tokenizer, examples, ends), conversations)
            loss = (kwargs.get("metrics") or {}).get("eval_loss")
            row = {"step": state.global_step, "eval_loss": loss, **asdict(found)}
            with (out / HISTORY).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            say(f"step {state.global_step}: eval loss {loss:.4f}; of {len(examples)} answers: {found}")

    return Footnotes()


def progress(say: Callable[[str], None], gpu: bool) -> Any:
    """A callback that says how far it is, how long it takes and how much memory it has taken at most."""
    from transformers import TrainerCallback

    class Progress(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.began, self.first = time.monotonic(), state.global_step

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            done = state.global_step - self.first
            if done and "loss" in (logs or {}):
                left = (time.monotonic() - self.began) / done * (state.max_steps - state.global_step)
                say(
                    f"step {state.global_step} of {state.max_steps}: loss {logs['loss']:.4f}, "
                    f"{_clock(left)} left, {peak(gpu) / 1e9:.1f} GB at most"
                )

    return Progress()


def peak(gpu: bool) -> float:
    """Bytes that this process has taken at most."""
    if gpu:
        import torch

        return float(torch.cuda.max_memory_allocated())
    import resource
    import sys

    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(taken if sys.platform == "darwin" else taken * 1024)


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return (
        f"{minutes // 60} h {minutes % 60:02} min"
        if minutes >= 60
        else f"{minutes} min"
        if minutes
        else f"{seconds:.0f} s"
    )
