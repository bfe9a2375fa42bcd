"""Preferences by proof: a tuned model's own answers, ranked by what they can prove, teach it once more.

    footnote finetune prefer --adapter adapter --data data --out preferred

To each of some training questions the model writes several answers. The proof and the reference give each a merit
(`Graded.merit`), the best and the worst become a pair, and DPO moves the adapter from the one to the other. As many
pairs of questions that cannot be answered are taught as of those that can, or the model learns to refuse too much.
`--method grpo` is an experiment: the merit itself is the reward.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

from assistant.writers.llama import quiet
from finetune.merge import adapter_card, digest
from finetune.recipe import (
    Conversation,
    Encoded,
    Material,
    Recipe,
    config_of,
    conversations,
    device,
    encoded,
    enough_memory,
    family,
    packages,
    training,
)
from finetune.recipe import material as read_material
from finetune.train import (
    CHECKPOINTS,
    FINISHED,
    SETTINGS,
    Sampled,
    claim,
    graded,
    is_finished,
    last_checkpoint,
    load,
    peak,
    progress,
    recipe_of,
    sampled,
    written,
)
from ingest.errors import FootnoteError

PAIRS = "pairs.jsonl"
GOOD = 0.5  # merit; where no answer of the model's reaches it, the reference is the better of the pair


@dataclass(frozen=True, kw_only=True)
class Preference:
    """Its fields are the options of `footnote finetune prefer`."""

    adapter: Annotated[Path, "what `footnote finetune train` made"]
    data: Annotated[Path, "the folder that `footnote finetune dataset` made"]
    out: Annotated[Path, "where the new adapter goes; the same again goes on where it stopped"]
    method: Annotated[Literal["dpo", "grpo"], "grpo is an experiment"] = "dpo"
    questions: Annotated[int, "asked; as many that cannot be answered as that can, if there are"] = 400
    answers: Annotated[int, "that the model writes to each"] = 8
    temperature: Annotated[float, "at which it writes them"] = 1.0
    margin: Annotated[float, "of merit by which the best has to be better than the worst"] = 0.2
    room: Annotated[int, "tokens of an answer at most"] = 400
    beta: Annotated[float, "how closely it is kept to what it was"] = 0.1
    imitate: Annotated[float, "weight of keeping the better answer likely, beside preferring it"] = 0.2
    epochs: Annotated[float, "times through the pairs"] = 1.0
    steps: Annotated[int, "steps instead of epochs; 0: epochs"] = 0
    learning_rate: Annotated[float, "at its highest; it falls as a cosine"] = 1e-5
    batch: Annotated[int, "pairs at a time"] = 1
    accumulate: Annotated[int, "batches a step"] = 16
    checkpointing: Annotated[bool, "work activations out again instead of keeping them"] = True
    save_every: Annotated[int, "steps between checkpoints"] = 25
    sample: Annotated[int, "held-out questions that are answered before and after"] = 64
    seed: Annotated[int, "of all that is drawn"] = 0
    cpu: Annotated[bool, "go on without a GPU, however large the model is"] = False


@dataclass(frozen=True, slots=True)
class Pair:
    """`line` is the question's among the training conversations."""

    line: int
    chosen: str
    rejected: str
    merits: tuple[float, float]
    refusal: bool  # whether the question is one to refuse


def prefer(preference: Preference, say: Callable[[str], None] = lambda line: None) -> Path:
    """The adapter, taught by its own answers; a finished run is left as it is."""
    packages()
    recipe = replace(
        recipe_of(preference.adapter, preference.data, preference.out),
        batch=preference.batch,
        checkpointing=preference.checkpointing,
    )
    settings = _settings(preference)
    if is_finished(preference.out, settings):
        say(f"{preference.out} is finished already; --model llama:{preference.out} answers with it")
        return preference.out
    config = config_of(recipe.base)
    shape = family(config, recipe.base)
    gpu = device(shape, recipe.base, preference.cpu)
    rows, held_out = (conversations(preference.data / f"{part}.jsonl") for part in ("train", "eval"))
    material = read_material(recipe, rows, held_out, int(config.get("max_position_embeddings", 4096)))
    needed = training(shape, recipe, 2 * (material.length + preference.room), gpu=gpu)  # both answers of a pair
    enough_memory(needed, recipe, material.length, gpu)
    claim(preference.out, settings)
    with quiet():
        return _preferred(_Run(preference, recipe, rows, held_out, material, gpu, say), settings)


@dataclass(frozen=True)
class _Run:
    preference: Preference
    recipe: Recipe
    rows: Sequence[Conversation]
    held_out: Sequence[Conversation]
    material: Material
    gpu: bool
    say: Callable[[str], None]

    @property
    def sample(self) -> slice:
        return slice(0, self.preference.sample)


def _preferred(run: _Run, settings: Mapping[str, Any]) -> Path:
    preference, say = run.preference, run.say
    model = _tuned(run)
    before = _standing(model, run)
    say(f"before: of {len(run.held_out[run.sample])} held-out answers: {before}")
    trainer = _dpo(model, run) if preference.method == "dpo" else _grpo(model, run)
    trainer.train(resume_from_checkpoint=last_checkpoint(preference.out / CHECKPOINTS))
    after = _standing(trainer.model, run)
    say(f"after: {after}")
    trainer.model.save_pretrained(str(preference.out), selected_adapters=["default"])
    run.material.tokenizer.save_pretrained(str(preference.out))
    result = {
        "steps": trainer.state.global_step,
        "before": asdict(before),
        "after": asdict(after),
        "peak_gb": round(peak(run.gpu) / 1e9, 2),
    }
    card = adapter_card(settings, result, len(run.rows))
    (preference.out / "README.md").write_text(card, encoding="utf-8")
    (preference.out / FINISHED).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    say(f"finished after {trainer.state.global_step} steps; --model llama:{preference.out} answers with it")
    return preference.out


def _standing(model: Any, run: _Run) -> Sampled:
    """Held-out answers, written freely: the share that is answered beside the citations' precision and recall."""
    model.eval()
    answers = written(model, run.material.tokenizer, run.material.eval[run.sample], run.material.ends)
    return sampled(answers, run.held_out[run.sample])


def _settings(preference: Preference) -> dict[str, Any]:
    chosen = {name: value for name, value in asdict(preference).items() if name not in ("data", "out", "cpu")}
    weights = preference.adapter / "adapter_model.safetensors"
    if not weights.is_file():
        raise FootnoteError(f"{preference.adapter} has no weights yet: let footnote finetune train come to its end")
    before = json.loads((preference.adapter / SETTINGS).read_text("utf-8"))
    return chosen | {
        "adapter": digest(weights),
        "base": before["base"],
        "data": digest(preference.data / "train.jsonl", preference.data / "eval.jsonl"),
        **{name: before[name] for name in ("quantise", "double", "compute", "rank", "targets")},
    }


def _tuned(run: _Run) -> Any:
    from peft import PeftModel

    model = PeftModel.from_pretrained(load(run.recipe, run.gpu), str(run.preference.adapter), is_trainable=True)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    return model


# The model's own answers become pairs.


def asked(rows: Sequence[Conversation], n: int, seed: int) -> list[int]:
    """Which questions: as many that cannot be answered as that can, as far as there are."""
    by_refusal: dict[bool, list[int]] = {True: [], False: []}
    for number, row in enumerate(rows):
        by_refusal[_is_refusal(row)].append(number)
    refusals = _drawn(by_refusal[True], n // 2, seed)
    return sorted([*refusals, *_drawn(by_refusal[False], n - len(refusals), seed)])


def _drawn(numbers: Sequence[int], n: int, seed: int) -> list[int]:
    return Random(seed).sample(numbers, min(n, len(numbers)))


def _is_refusal(row: Conversation) -> bool:
    return graded(str(row["completion"][0]["content"]), row).should_refuse


def pair_of(line: int, answers: Sequence[str], row: Conversation, margin: float) -> Pair | None:
    """The best and the worst of some answers, if one is better by enough. Pure.

    Of answers that are equally good the shorter is better, of equally bad ones the longer is worse.
    """
    merits = {answer: graded(answer, row).merit for answer in dict.fromkeys(answers)}
    order = sorted(merits, key=lambda answer: (merits[answer], -len(answer)))
    worst, best = order[0], order[-1]
    reference = str(row["completion"][0]["content"])
    chosen, merit = (best, merits[best]) if merits[best] >= GOOD else (reference, graded(reference, row).merit)
    if merit - merits[worst] < margin:
        return None
    return Pair(line, chosen, worst, (round(merit, 3), round(merits[worst], 3)), _is_refusal(row))


def balanced(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """As many of the one sort as of the other, where there are both; what is too much is left out at random."""
    parts = [[pair for pair in pairs if pair.refusal is sort] for sort in (True, False)]
    least = min(map(len, parts))
    if not least:
        return list(pairs)
    return sorted((pair for part in parts for pair in Random(seed).sample(part, least)), key=lambda pair: pair.line)


def _pairs(model: Any, run: _Run) -> list[Pair]:
    """From the file, as far as an earlier run has come; each question's outcome is kept as soon as it is there."""
    preference, file = run.preference, run.preference.out / PAIRS
    lines = file.read_text("utf-8").split("\n") if file.is_file() else []
    known = {row["line"]: row["pair"] for row in (json.loads(line) for line in lines if line.endswith("}"))}
    numbers = asked(run.rows, preference.questions, preference.seed)
    model.eval()
    with file.open("a", encoding="utf-8") as kept:
        for done, number in enumerate(numbers, 1):
            if number not in known:
                texts = _answers(model, run, number)
                pair = pair_of(number, texts, run.rows[number], preference.margin)
                known[number] = asdict(pair) if pair else None
                kept.write(json.dumps({"line": number, "pair": known[number], "answers": texts}) + "\n")
                kept.flush()
            if done % 20 == 0:
                run.say(f"{done} of {len(numbers)} questions answered, {preference.answers} times each")
    found = [Pair(**{**row, "merits": tuple(row["merits"])}) for n in numbers if (row := known[n])]
    if not found:
        raise FootnoteError(
            f"none of {len(numbers)} questions gave answers that differ by {preference.margin:g}: "
            "more --answers, a higher --temperature or a smaller --margin"
        )
    return found


def _answers(model: Any, run: _Run, number: int) -> list[str]:
    """Some answers to one question, drawn by the seed and the question's number alone."""
    import torch

    material, preference = run.material, run.preference
    prompt = torch.tensor([material.train[number].prompt], device=model.device)
    torch.manual_seed(preference.seed * 1_000_003 + number)
    with torch.inference_mode():
        rows = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=preference.room,
            do_sample=True,
            temperature=preference.temperature,
            top_k=0,
            num_return_sequences=preference.answers,
            eos_token_id=sorted(material.ends),
            pad_token_id=min(material.ends),
        )[:, prompt.shape[1] :].tolist()
    kept = [[token for token in row if token not in material.ends] for row in rows]
    return [
        str(material.tokenizer.decode(row, skip_special_tokens=False, clean_up_tokenization_spaces=False))
        for row in kept
    ]


# Two ways to learn from them, both trl's.


def _dpo(model: Any, run: _Run) -> Any:
    from datasets import Dataset, disable_progress_bars  # type: ignore[import-untyped]
    from transformers import PrinterCallback
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    class Prepared(DPOTrainer):
        """Trains on the very tokens that serving reads and writes; trl would render them in its own way."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    disable_progress_bars()
    preference = run.preference
    found = _pairs(model, run)
    pairs = balanced(found, preference.seed)
    run.say(
        f"{len(found)} questions gave a pair, {sum(pair.refusal for pair in found)} of them to be refused;"
        f" {len(pairs)} are taught"
    )
    arguments = DPOConfig(
        **_arguments(run),
        beta=preference.beta,
        loss_type=["sigmoid", "sft"] if preference.imitate else ["sigmoid"],
        loss_weights=[1.0, preference.imitate] if preference.imitate else None,
        max_length=None,
        num_train_epochs=preference.epochs,
        warmup_steps=0.1,
        per_device_train_batch_size=preference.batch,
        gradient_accumulation_steps=preference.accumulate,
    )
    rows = [_tokens(pair, run) for pair in pairs]
    exact = {name: weight.data.clone() for name, weight in model.named_parameters() if weight.requires_grad}
    trainer = Prepared(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=run.material.tokenizer,
    )
    for name, weight in model.named_parameters():  # as in `train`: trl rounds both to bfloat16
        if (whole := exact.get(name.replace(".ref.", ".default."))) is not None:
            weight.data = whole.clone()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(progress(run.say, run.gpu))
    return trainer


def _tokens(pair: Pair, run: _Run) -> dict[str, list[int]]:
    chosen, rejected = (_encoded(answer, pair.line, run) for answer in (pair.chosen, pair.rejected))
    return {"prompt_ids": chosen.prompt, "chosen_ids": chosen.completion, "rejected_ids": rejected.completion}


def _encoded(answer: str, line: int, run: _Run) -> Encoded:
    said = {**run.rows[line], "completion": [{"role": "assistant", "content": answer}]}
    return encoded(run.material.tokenizer, said, run.material.ends)


def _grpo(model: Any, run: _Run) -> Any:
    from datasets import Dataset, disable_progress_bars
    from transformers import PrinterCallback
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    disable_progress_bars()
    preference, numbers = run.preference, asked(run.rows, run.preference.questions, run.preference.seed)

    def merit(completions: Sequence[Any], line: Sequence[int], **_: Any) -> list[float | None]:
        said = (completion[0]["content"] for completion in completions)
        return [graded(answer, run.rows[number]).merit for answer, number in zip(said, line, strict=True)]

    arguments = GRPOConfig(
        **_arguments(run),
        beta=preference.beta,
        num_generations=preference.answers,
        max_completion_length=preference.room,
        temperature=preference.temperature,
        num_train_epochs=preference.epochs,
        per_device_train_batch_size=preference.answers,
        gradient_accumulation_steps=preference.accumulate,
    )
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=merit,
        args=arguments,
        train_dataset=Dataset.from_list(list(_prompts(run.rows, numbers))),
        processing_class=run.material.tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(progress(run.say, run.gpu))
    return trainer


def _prompts(rows: Sequence[Conversation], numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    for number in numbers:
        yield {"prompt": [dict(message) for message in rows[number]["prompt"]], "line": number}


def _arguments(run: _Run) -> dict[str, Any]:
    """What both ways share."""
    preference = run.preference
    return {
        "output_dir": str(preference.out / CHECKPOINTS),
        "max_steps": preference.steps or -1,
        "learning_rate": preference.learning_rate,
        "lr_scheduler_type": "cosine",
        "gradient_checkpointing": preference.checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "optim": "paged_adamw_8bit" if run.gpu else "adamw_torch",
        "save_strategy": "steps",
        "save_steps": preference.save_every,
        "save_total_limit": 1,
        "logging_steps": max(1, preference.save_every // 5),
        "report_to": "none",
        "bf16": run.recipe.compute == "bfloat16",
        "use_cpu": not run.gpu,
        "seed": preference.seed,
        "data_seed": preference.seed,
        "disable_tqdm": True,
        "dataloader_pin_memory": run.gpu,
    }
