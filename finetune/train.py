"""QLoRA: a base model in four bits, and small matrices beside it that learn to answer with footnotes.

    footnote finetune train --base meta-llama/Llama-3.1-8B-Instruct --data data --out adapter

A run that was stopped goes on from its last checkpoint when the same command is given again. What comes out is an
adapter: `footnote ask … --model llama:adapter`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assistant.facts import stems
from assistant.footnotes import Draft
from assistant.prompts import NOT_OUTRIGHT, begins_near, is_not_in_guides, numbered
from assistant.records import Passage, Text
from assistant.writers.constrain import parse
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
from ingest.chunks import Unit
from ingest.errors import FootnoteError

# What is seen of a training run: a line of progress, and what the proof says of a sample of answers.

HISTORY = "history.jsonl"
_WRITTEN = re.compile(r"\[(\d+\.\d+)\]")
_PASSAGE = re.compile(r"^Passage (\d+) from the guide (.*)$")
_UNIT = re.compile(r"^\[(\d+)\.(\d+)\] (.*)$")
_HEADER = "Table header: "
LENIENT = 1.5  # times the reference's words before more of them count as needless
WORTH: Mapping[str, float] = {"supported": 1.0, "in doubt": 0.5, "not supported": 0.0}  # of a sentence, by its outcome
RUN = 30  # words copied in a row before they count as copied at length


def passages_of(conversation: Conversation) -> list[Passage]:
    """The passages as the prompt shows them: what an answer to it has to be proved by."""
    found: list[tuple[str, str, dict[int, str]]] = []
    for line in str(conversation["prompt"][-1]["content"]).split("\n"):
        if named := _PASSAGE.match(line):
            found.append((named[2], "", {}))
        elif found and line.startswith(_HEADER):
            found[-1] = (found[-1][0], line.removeprefix(_HEADER), found[-1][2])
        elif found and (unit := _UNIT.match(line)) and int(unit[1]) == len(found):
            found[-1][2][int(unit[2])] = unit[3]
        elif line == "End of passages.":
            break
    return [_passage(*parts) for parts in found]


def _passage(name: str, header: str, lines: Mapping[int, str]) -> Passage:
    units, text = list[Unit](), ""
    for number in range(1, max(lines, default=0) + 1):
        words = lines.get(number, "")  # a unit without words has a number and is not shown
        units.append(Unit(len(text), len(text) + len(words), "sentence"))
        text += words + "\n"
    title, _, section = name.partition(" — ")
    return Passage(name, title, section, 0, len(text), text, 1.0, tuple(units), header)


@dataclass(frozen=True, slots=True)
class Graded:
    """One answer, by the proof and beside the reference. Shares, but for the three that say what kind it is."""

    refuses: bool
    should_refuse: bool
    near_is_right: bool  # whether it says "not outright" where the reference does, and only there
    support: float  # of its sentences, those that the units they cite support; one in doubt counts half
    recalled: float  # of the reference's ids, those that it cites
    precise: float  # of the ids that it cites, the reference's
    said: float  # of the reference's words, those that it says in whatever form
    needless: float  # of its words, those beyond half as many again as the reference has
    copied: float  # of its words, those beyond that stand in long runs as the passages have them

    @property
    def merit(self) -> float:
        """What is right and supported, less what is needless; graded, so that of two bad answers one is better."""
        if self.should_refuse:
            return 1.0 if self.refuses else 0.2 * self.support
        if self.refuses:
            return 0.0
        covered = (self.recalled + self.said) / 2 * (0.5 + self.precise / 2)
        kind = 1.0 if self.near_is_right else 0.7
        return max(0.0, covered * self.support * kind - 0.2 * self.needless - 0.2 * self.copied)


def graded(answer: str, conversation: Conversation) -> Graded:
    """Pure: nothing but the conversation is looked at."""
    passages, reference = passages_of(conversation), str(conversation["completion"][0]["content"])
    draft = Draft(passages)
    for event in parse([answer], passages):
        if isinstance(event, Text):
            draft.add(event.text)
        else:
            draft.cite(event)
    draft.finished(everything=True)
    stating = draft.sentences[begins_near(answer) :]
    ids, right = (set(_WRITTEN.findall(text)) for text in (answer, reference))
    words, wanted = (_WRITTEN.sub("", text.removeprefix(NOT_OUTRIGHT)) for text in (answer, reference))
    most = LENIENT * len(wanted.split())
    beyond = max(0.0, len(words.split()) - most) / max(1, len(words.split()))
    return Graded(
        refuses=is_not_in_guides(answer),
        should_refuse=is_not_in_guides(reference),
        near_is_right=begins_near(answer) == begins_near(reference),
        support=sum(WORTH[s.outcome] for s in stating if s.footnotes) / max(1, len(stating)),
        recalled=_share(len(ids & right), len(right)),
        precise=_share(len(ids & right), len(ids)),
        said=_share(len(stems(wanted) & stems(words)), len(stems(wanted))),
        needless=beyond,
        copied=min(beyond, _copied(words, passages)),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _copied(words: str, passages: Sequence[Passage]) -> float:
    """The share of words in runs of `RUN` that stand in a passage just so."""
    said, there = words.split(), [f" {' '.join(passage.text.split())} " for passage in passages]
    inside = [False] * len(said)
    for at in range(len(said) - RUN + 1):
        if any(f" {' '.join(said[at : at + RUN])} " in text for text in there):
            inside[at : at + RUN] = [True] * RUN
    return _share(sum(inside), len(said))


@dataclass(frozen=True, slots=True)
class Sampled:
    """Shares, of answers that were written freely: serving forbids invalid ids, so here is seen what was learned.

    None where there is nothing that it could be a share of.
    """

    merit: float | None  # the mean of all; see `Graded`
    answered: float | None  # of what can be answered, that which is not refused
    refused: float | None  # of what cannot be answered, that which is refused
    supported: float | None  # of the sentences of answers
    precision: float | None  # of the ids of answers
    recall: float | None  # of the reference's ids, in answers
    footnotes_valid: float | None  # of the ids written, those that the prompt shows
    exact: float | None  # of the answers, those that are the reference word for word

    def __str__(self) -> str:
        shares = {name.replace("_", " "): value for name, value in asdict(self).items()}
        return ", ".join(f"{name} {'–' if value is None else f'{value:.0%}'}" for name, value in shares.items())


def sampled(answers: Sequence[str], conversations: Sequence[Conversation]) -> Sampled:
    """How answers compare with what the conversations teach. Pure."""
    grades = [graded(answer, said) for answer, said in zip(answers, conversations, strict=True)]
    answerable = [grade for grade in grades if not grade.should_refuse]
    given = [grade for grade in answerable if not grade.refuses]
    valid = [
        id_ in known
        for answer, said in zip(answers, conversations, strict=True)
        for known in [{f"{p}.{u}" for p, passage in enumerate(passages_of(said), 1) for u, _ in _shown(passage)}]
        for id_ in _WRITTEN.findall(answer)
    ]
    references = [str(said["completion"][0]["content"]) for said in conversations]
    return Sampled(
        merit=_mean([grade.merit for grade in grades]),
        answered=_mean([not grade.refuses for grade in answerable]),
        refused=_mean([grade.refuses for grade in grades if grade.should_refuse]),
        supported=_mean([grade.support for grade in given]),
        precision=_mean([grade.precise for grade in given]),
        recall=_mean([grade.recalled for grade in given]),
        footnotes_valid=_mean(valid),
        exact=_mean([answer.strip() == reference for answer, reference in zip(answers, references, strict=True)]),
    )


def _shown(passage: Passage) -> list[tuple[int, str]]:
    return [(number + 1, words) for number, words in numbered(passage)]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


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
    """A callback that writes and measures a sample at each evaluation; by that the best checkpoint is chosen."""
    from transformers import TrainerCallback

    class Footnotes(TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            found = sampled(written(model, tokenizer, examples, ends), conversations)
            metrics = kwargs["metrics"]
            loss = metrics["eval_loss"]
            metrics[ANSWERS] = (found.merit or 0.0) - TIE * min(loss, 10.0)
            row = {"step": state.global_step, "eval_loss": loss, **asdict(found)}
            with (out / HISTORY).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            say(f"step {state.global_step}: eval loss {loss:.4f}; of {len(examples)} answers: {found}")

    return Footnotes()


ANSWERS = "eval_answers"
TIE = 0.001  # of the loss decides between checkpoints that answer equally well


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
    if is_finished(recipe.out, settings):
        say(f"{recipe.out} is finished already; --model llama:{recipe.out} answers with it")
        return recipe.out
    gpu = device(shape, recipe.base, recipe.cpu)
    material = read_material(recipe, rows, held_out, int(config.get("max_position_embeddings", 4096)))
    needed = training(shape, recipe, material.length, gpu=gpu)
    enough_memory(needed, recipe, material.length, gpu)
    say(f"{len(rows)} examples of up to {material.length} tokens; training takes about {needed}")
    claim(recipe.out, settings)
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


def recipe_of(adapter: Path, data: Path, out: Path) -> Recipe:
    """What an adapter was trained with, as far as it says how its base is loaded."""
    try:
        before = json.loads((adapter / SETTINGS).read_text("utf-8"))
        how = {name: before[name] for name in ("base", "quantise", "double", "compute", "rank", "targets")}
    except (OSError, ValueError, KeyError) as error:
        raise FootnoteError(
            f"{adapter} is no adapter of ours ({error}): footnote finetune train --out {adapter}"
        ) from error
    return Recipe(**{**how, "targets": tuple(how["targets"])}, data=data, out=out)


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
        metric_for_best_model=(ANSWERS if recipe.sample else "eval_loss") if evaluated else None,
        greater_is_better=bool(recipe.sample) if evaluated else None,
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
        if recipe.sample:
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
        "best_answers" if recipe.sample else "best_eval_loss": state.best_metric,
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


def is_finished(out: Path, settings: dict[str, Any]) -> bool:
    return (out / FINISHED).exists() and _settings(out) == settings


def claim(out: Path, settings: dict[str, Any]) -> None:
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


# What merging changes: the adapter was trained beside rounded weights, and the merged model has the true ones.


@dataclass(frozen=True, slots=True)
class Compared:
    """Over the tokens of held-out answers, each predicted from what stands before it."""

    tokens: int
    same: float  # share of them for which both models find the same token likeliest
    loss_beside: float  # a token, of the adapter beside the base as it was trained, in 4 bit for QLoRA
    loss_merged: float

    def __str__(self) -> str:
        return (
            f"of {self.tokens} tokens of held-out answers {self.same:.1%} are chosen alike; loss {self.loss_beside:.4f}"
            f" beside the base as it was trained, {self.loss_merged:.4f} merged"
        )


def compared(adapter: Path, merged: Path, data: Path, most: int = 32) -> Compared:
    """One model after the other, so that both need not fit at once."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    recipe, gpu = recipe_of(adapter, data, merged), torch.cuda.is_available()
    held_out = conversations(data / "eval.jsonl")[:most]
    examples = read_material(recipe, held_out, [], 10**9).train
    with quiet():
        beside = _predicted(PeftModel.from_pretrained(load(recipe, gpu), str(adapter)), examples)
        place = {"device_map": {"": 0}} if gpu else {}
        whole = _predicted(AutoModelForCausalLM.from_pretrained(merged, dtype=torch.bfloat16, **place), examples)
    n = len(beside)
    return Compared(
        n,
        sum(one[0] == other[0] for one, other in zip(beside, whole, strict=True)) / n,
        *(sum(loss for _, loss in each) / n for each in (beside, whole)),
    )


def _predicted(model: Any, examples: Sequence[Encoded]) -> list[tuple[int, float]]:
    """For each token of the answers the likeliest one, and how unlikely the right one was found."""
    import torch

    model.eval()
    found: list[tuple[int, float]] = []
    for example in examples:
        ids, first = torch.tensor([example.input_ids], device=model.device), len(example.prompt)
        with torch.inference_mode():
            logs = torch.log_softmax(model(input_ids=ids).logits[0, first - 1 : -1].float(), dim=-1)
        losses = -logs.gather(1, ids[0, first:, None])[:, 0]
        found += zip(logs.argmax(-1).tolist(), losses.tolist(), strict=True)
    return found
