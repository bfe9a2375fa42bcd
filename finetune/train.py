"""QLoRA: a base model in four bits, and small matrices beside it that learn to answer with footnotes.

    footnote finetune train --base meta-llama/Llama-3.1-8B-Instruct --data data --out adapter

A run that was stopped goes on from its last checkpoint when the same command is given again. What comes out is an
adapter: `footnote ask … --model llama:adapter`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assistant.prompts import NOT_IN_GUIDES, is_not_in_guides
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
    enough_memory,
    family,
    packages,
    training,
)
from finetune.recipe import material as read_material
from ingest.errors import FootnoteError

# What is seen of a training run: a line of progress, and how well a sample of answers is footnoted.

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


SETTINGS, FINISHED, CHECKPOINTS = "settings.json", "finished.json", "checkpoints"
KEPT = 2  # checkpoints: the last and the best


def train(recipe: Recipe, say: Callable[[str], None] = lambda line: None) -> Path:
    """Train, or go on with a training that was stopped; a finished one is left as it is."""
    packages(*([recipe.report] if recipe.report != "none" else []))
    recipe = replace(recipe, base=_named(recipe.base))
    config = config_of(recipe.base)
    shape = family(config, recipe.base)
    rows, held_out = (conversations(recipe.data / f"{part}.jsonl") for part in ("train", "eval"))
    settings = recipe.settings | {"data": digest(recipe.data / "train.jsonl", recipe.data / "eval.jsonl")}
    if _is_finished(recipe.out, settings):
        say(f"{recipe.out} is finished already; --model llama:{recipe.out} answers with it")
        return recipe.out
    gpu = device(shape, recipe.base, recipe.cpu)
    material = read_material(recipe, rows, held_out, int(config.get("max_position_embeddings", 4096)))
    needed = training(shape, recipe, material.length, gpu=gpu)
    enough_memory(needed, recipe, material.length, gpu)
    say(f"{len(rows)} examples of up to {material.length} tokens; training takes about {needed}")
    _claim(recipe.out, settings)
    with quiet():
        trainer = _trainer(recipe, material, gpu)
        for callback in _callbacks(recipe, material, held_out, gpu, say):
            trainer.add_callback(callback)
        trainer.train(resume_from_checkpoint=last_checkpoint(recipe.out / CHECKPOINTS))
        return _finish(trainer, recipe, material, settings, gpu, say)


def load(recipe: Recipe, gpu: bool, flash: bool = False) -> Any:
    """The base model, in 4 bit unless told otherwise."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    dtype = torch.bfloat16 if recipe.compute == "bfloat16" else torch.float32
    how: dict[str, Any] = {"dtype": dtype}
    if recipe.quantise:
        how["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=recipe.double,
            bnb_4bit_compute_dtype=dtype,
        )
    if gpu:
        how["device_map"] = {"": 0}
    if flash:
        how["attn_implementation"] = "flash_attention_2"
    try:
        return AutoModelForCausalLM.from_pretrained(recipe.base, **how)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FootnoteError(f"{recipe.base} cannot be loaded ({reason}): --base FOLDER with whole weights") from error


def last_checkpoint(folder: Path) -> str | None:
    """The last one that is whole: its state is written after its weights."""
    found = []
    for state in folder.glob("checkpoint-*/trainer_state.json"):
        try:
            found.append((int(json.loads(state.read_text())["global_step"]), str(state.parent)))
        except (ValueError, KeyError):
            continue  # it was being written when the run was killed
    return max(found)[1] if found else None


def _trainer(recipe: Recipe, material: Material, gpu: bool) -> Any:
    from datasets import Dataset, disable_progress_bars  # type: ignore[import-untyped]
    from peft import LoraConfig
    from transformers import PrinterCallback, set_seed
    from trl.trainer.sft_trainer import SFTTrainer

    disable_progress_bars()
    set_seed(recipe.seed)  # the adapter's first weights are drawn before the trainer sees to it
    arguments = _arguments(recipe, material, gpu)
    lora = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        bias="none",
        task_type="CAUSAL_LM",
        target_modules=recipe.modules,
    )
    parts = [
        Dataset.from_dict({name: [getattr(e, name) for e in part] for name in ("input_ids", "completion_mask")})
        for part in (material.train, material.eval)
    ]
    trainer = SFTTrainer(
        model=load(recipe, gpu, flash=arguments.packing),
        args=arguments,
        train_dataset=parts[0],
        eval_dataset=parts[1] if material.eval else None,
        processing_class=material.tokenizer,
        peft_config=lora,
    )
    for weight in trainer.model.parameters():  # type: ignore[union-attr]
        if weight.requires_grad:  # trl rounds them to bfloat16, where small steps are lost; and a resumed run would not
            weight.data = weight.data.float()
    trainer.remove_callback(PrinterCallback)  # `watch.progress` says it better
    _nothing_lost(trainer, material)
    return trainer


def _arguments(recipe: Recipe, material: Material, gpu: bool) -> Any:
    from trl.trainer.sft_config import SFTConfig

    in_an_epoch = -(-len(material.train) // (recipe.batch * recipe.accumulate))
    every = recipe.evaluate_every or max(1, in_an_epoch // 4)
    evaluated = bool(material.eval)
    return SFTConfig(
        output_dir=str(recipe.out / CHECKPOINTS),
        num_train_epochs=recipe.epochs,
        max_steps=recipe.steps or -1,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup,
        per_device_train_batch_size=recipe.batch,
        per_device_eval_batch_size=recipe.batch,
        gradient_accumulation_steps=recipe.accumulate,
        gradient_checkpointing=recipe.checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        optim=("paged_adamw_8bit" if gpu else "adamw_torch") if recipe.optimiser == "auto" else recipe.optimiser,
        max_length=material.length,
        completion_only_loss=True,
        packing=_packs(recipe, gpu),
        eval_packing=False,
        eval_strategy="steps" if evaluated else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=KEPT,
        load_best_model_at_end=evaluated,
        logging_steps=max(1, every // 4),
        report_to=recipe.report,
        bf16=recipe.compute == "bfloat16",
        use_cpu=not gpu,
        seed=recipe.seed,
        data_seed=recipe.seed,
        disable_tqdm=True,
        dataloader_pin_memory=gpu,
    )


def _packs(recipe: Recipe, gpu: bool) -> bool:
    """Packed examples would see one another without flash attention, which keeps them apart."""
    able = gpu and find_spec("flash_attn") is not None
    if recipe.packing == "on" and not able:
        raise FootnoteError("--packing on needs a GPU and flash attention: pip install flash-attn, or --packing auto")
    return able and recipe.packing != "off"


def _nothing_lost(trainer: Any, material: Material) -> None:
    """trl drops an example without a word if nothing of its answer is left in `max_length`."""
    taught = sum(sum(example.completion_mask) for example in material.train)
    labels = sum(len([label for label in row if label != -100]) for row in trainer.train_dataset["labels"])
    if labels != taught:
        raise FootnoteError(
            f"{taught - labels} of {taught} taught tokens were lost on the way to the trainer: --packing off"
        )


def _callbacks(
    recipe: Recipe, material: Material, held_out: Sequence[Conversation], gpu: bool, say: Callable[[str], None]
) -> list[Any]:
    from transformers import EarlyStoppingCallback

    callbacks = [progress(say, gpu)]
    if held_out:
        sample = slice(0, recipe.sample)
        callbacks.append(
            footnotes(held_out[sample], material.eval[sample], material.tokenizer, material.ends, recipe.out, say)
        )
        if recipe.patience:
            callbacks.append(EarlyStoppingCallback(early_stopping_patience=recipe.patience))
    return callbacks


def _finish(trainer: Any, recipe: Recipe, material: Material, settings: dict[str, Any], gpu: bool, say: Any) -> Path:
    """The adapter with tokenizer, template and card; the mark that it is whole comes last."""
    out, state = recipe.out, trainer.state
    trainer.model.save_pretrained(str(out))
    material.tokenizer.save_pretrained(str(out))
    result = {
        "steps": state.global_step,
        "best_eval_loss": state.best_metric,
        "train_loss": next((row["train_loss"] for row in reversed(state.log_history) if "train_loss" in row), None),
        "peak_gb": round(peak(gpu) / 1e9, 2),
    }
    (out / "README.md").write_text(adapter_card(settings, result, len(material.train)), encoding="utf-8")
    (out / FINISHED).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    say(f"finished after {state.global_step} steps; --model llama:{out} answers with it")
    return out


def _named(base: str) -> str:
    """A folder by its whole path, since the adapter remembers it; a Hub name as it is."""
    folder = Path(base).expanduser()
    return str(folder.resolve()) if folder.is_dir() else base


def _is_finished(out: Path, settings: dict[str, Any]) -> bool:
    return (out / FINISHED).exists() and _settings(out) == settings


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """A folder belongs to one run: another's checkpoints would be gone on from."""
    before = _settings(out)
    if before and before != settings:
        other = ", ".join(f"{k} {before.get(k)!r} then, {v!r} now" for k, v in settings.items() if before.get(k) != v)
        raise FootnoteError(f"{out} holds a run with other settings ({other}): give another --out, or delete {out}")
    out.mkdir(parents=True, exist_ok=True)
    (out / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _settings(out: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
