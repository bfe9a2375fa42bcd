"""How a model is tuned, and what that takes.

`Recipe`'s fields are the options of `footnote finetune train`, and its defaults stand here alone. What it takes in
memory and tokens is worked out before anything large is loaded; what is bound to go wrong is said in one line.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from assistant.writers.llama import DATE, TEMPLATE, encode, render
from ingest.errors import FootnoteError

ALL = "all-linear"
LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")  # the linear ones of a block


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """QLoRA as the guides describe it."""

    base: Annotated[str, "the base model: a folder, or its name on the Hub"]
    data: Annotated[Path, "the folder that `footnote finetune dataset` made"]
    out: Annotated[Path, "where the adapter goes; the same again goes on from the last checkpoint"]
    rank: Annotated[int, "of the LoRA matrices"] = 16
    alpha: Annotated[int, "the adapter counts alpha/rank times"] = 32
    dropout: Annotated[float, "of what goes into the LoRA matrices"] = 0.05
    targets: Annotated[tuple[str, ...], "the layers that get them: names, or all-linear"] = ("all-linear",)
    quantise: Annotated[bool, "the base in 4 bit (NF4); --no-quantise is plain LoRA"] = True
    double: Annotated[bool, "quantise the scales of the 4 bit weights too"] = True
    compute: Annotated[Literal["bfloat16", "float32"], "what matrices are multiplied in"] = "bfloat16"
    epochs: Annotated[float, "times through the data"] = 3.0
    steps: Annotated[int, "steps instead of epochs; 0: epochs"] = 0
    learning_rate: Annotated[float, "at its highest; it falls as a cosine"] = 2e-4
    warmup: Annotated[float, "the share of the steps in which it rises"] = 0.03
    batch: Annotated[int, "examples at a time"] = 1
    accumulate: Annotated[int, "batches a step"] = 16
    max_length: Annotated[int, "tokens of an example at most; 0: what the longest has. Nothing is ever cut"] = 0
    packing: Annotated[Literal["auto", "on", "off"], "several examples in a row; needs flash attention"] = "auto"
    checkpointing: Annotated[bool, "work activations out again instead of keeping them"] = True
    optimiser: Annotated[str, "transformers' name for it; auto: paged 8 bit AdamW on a GPU, else AdamW"] = "auto"
    evaluate_every: Annotated[int, "steps between evaluations, and checkpoints; 0: four times an epoch"] = 0
    sample: Annotated[
        int, "answers that are written at each evaluation, by which the best checkpoint is chosen; 0: by the loss"
    ] = 16
    patience: Annotated[int, "evaluations without better answers until it stops; 0: never"] = 4
    report: Annotated[Literal["none", "tensorboard", "mlflow"], "where else the losses go"] = "none"
    seed: Annotated[int, "of all that is drawn"] = 0
    cpu: Annotated[bool, "go on without a GPU, however large the model is"] = False

    @property
    def modules(self) -> list[str]:
        """The layers by name; `all-linear` is all of a block, as in the QLoRA paper, and not the output layer."""
        if unknown := [name for name in self.targets if name not in (*LAYERS, ALL)]:
            known = ", ".join((ALL, *LAYERS))
            raise FootnoteError(f"there are no layers {', '.join(unknown)}: --targets takes some of {known}")
        return list(LAYERS) if ALL in self.targets else list(self.targets)

    @property
    def settings(self) -> dict[str, Any]:
        """What the result depends on, fit for JSON. The data is told by its hash, not by its place."""
        chosen = {name: value for name, value in asdict(self).items() if name not in ("data", "out", "report", "cpu")}
        return chosen | {"targets": list(self.targets)}


# How much memory a training run takes, from the model's config alone: asked before anything is loaded. Pure.

GB = 1e9
NF4_BITS = 4 + 8 / 64 + 32 / (64 * 256)  # a byte for 64 weights is their scale, four bytes for 256 of those bytes
NF4_PLAIN_BITS = 4 + 32 / 64  # without double quantisation
PROGRAM = 0.8 * GB  # CUDA and its kernels; without a GPU about as much for torch and the rest
LOGITS = 4 + 4  # bytes for each: the scores in single precision, and their gradient
LOGIT_TOKENS = 2048  # whose scores are held at a time: the output layer's loss is worked out piece by piece
SPARE = 1.1  # the allocator's gaps

KNOWN: Mapping[str, Mapping[str, Any]] = {
    "meta-llama/Llama-3.1-8B-Instruct": {
        "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8,
    },
    "meta-llama/Llama-3.2-3B-Instruct": {
        "vocab_size": 128256, "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28,
        "num_attention_heads": 24, "num_key_value_heads": 8, "tie_word_embeddings": True,
    },
    "meta-llama/Llama-3.2-1B-Instruct": {
        "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True,
    },
}  # fmt: skip  # to say which smaller model would fit


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a Llama's config decides its size."""

    vocabulary: int
    hidden: int
    inner: int
    layers: int
    heads: int
    key_value_heads: int
    head: int
    tied: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        return cls(
            vocabulary=int(config["vocab_size"]),
            hidden=hidden,
            inner=int(config["intermediate_size"]),
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            key_value_heads=int(config.get("num_key_value_heads") or heads),
            head=int(config.get("head_dim") or hidden // heads),
            tied=bool(config.get("tie_word_embeddings", False)),
        )

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """The linear layers of one block: inputs and outputs."""
        query, key = self.heads * self.head, self.key_value_heads * self.head
        return {
            "q_proj": (self.hidden, query),
            "k_proj": (self.hidden, key),
            "v_proj": (self.hidden, key),
            "o_proj": (query, self.hidden),
            "gate_proj": (self.hidden, self.inner),
            "up_proj": (self.hidden, self.inner),
            "down_proj": (self.inner, self.hidden),
        }

    @property
    def linear(self) -> int:
        """Weights that are quantised: those of the blocks, not those of the embeddings and the output layer."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.matrices.values())

    @property
    def other(self) -> int:
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.layers * 2 * self.hidden + self.hidden

    @property
    def parameters(self) -> int:
        return self.linear + self.other

    def adapter(self, rank: int, targets: Sequence[str]) -> int:
        sizes = self.matrices
        return self.layers * rank * sum(sum(sizes[name]) for name in targets if name in sizes)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes, part by part."""

    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values()) * SPARE

    def __str__(self) -> str:
        listed = ", ".join(f"{name} {size / GB:.1f}" for name, size in self.parts.items() if size >= 0.05 * GB)
        return f"{self.total / GB:.1f} GB ({listed})" if listed else f"{self.total / 1e6:.0f} MB"


def training(shape: Shape, recipe: Recipe, length: int, *, gpu: bool = True) -> Estimate:
    """Of one step with examples of `length` tokens."""
    bits = (NF4_BITS if recipe.double else NF4_PLAIN_BITS) if recipe.quantise else 16
    adapter, tokens = shape.adapter(recipe.rank, recipe.modules), recipe.batch * length
    block = tokens * _block_activations(shape)
    kept = tokens * shape.hidden * 2 * shape.layers + block if recipe.checkpointing else block * shape.layers
    return Estimate(
        {
            "weights": shape.linear * bits / 8 + shape.other * 2,
            "adapter": adapter * (4 + 4 + (2 if gpu else 8)),  # itself, its gradient, the optimiser's two moments
            "activations": kept,
            "scores": min(tokens, LOGIT_TOKENS) * shape.vocabulary * LOGITS,
            "workspace": max(i * o for i, o in shape.matrices.values()) * 2 if recipe.quantise else 0,
            "program": PROGRAM,
        }
    )


def _block_activations(shape: Shape) -> int:
    """Bytes a token that one block keeps for its backward pass, in two bytes a number; norms work in four."""
    attention = 2 * shape.heads * shape.head + 2 * shape.key_value_heads * shape.head
    return 2 * (6 * shape.hidden + attention + 4 * shape.inner) + 4 * 2 * shape.hidden


def serving(shape: Shape, *, quantised: bool, length: int, batch: int = 1) -> Estimate:
    """For answering: the weights, and the keys and values of what was read."""
    cache = 2 * 2 * shape.layers * shape.key_value_heads * shape.head * length * batch
    return Estimate({"weights": shape.linear * (NF4_BITS if quantised else 16) / 8 + shape.other * 2, "cache": cache})


def would_fit(available: float, recipe: Recipe, length: int) -> str:
    """The largest known model that trains in this memory, in words; empty where none does."""
    for name, config in KNOWN.items():
        needed = training(Shape.of(config), replace(recipe, batch=1), length).total
        if needed <= available:
            return f"{name} would fit ({needed / GB:.1f} GB)"
    return ""


# What can be known to go wrong before anything large is loaded, each as one line with what mends it.

LARGE = 1.5e9  # parameters; above that a step takes minutes without a GPU
NEEDED = ("torch", "transformers", "peft", "trl", "bitsandbytes", "datasets", "accelerate")


def packages(*more: str) -> None:
    if missing := [name for name in (*NEEDED, *more) if find_spec(name) is None]:
        raise FootnoteError(f"fine-tuning needs {', '.join(missing)}: pip install 'footnote[finetune]'")


def config_of(base: str) -> Mapping[str, Any]:
    """The base model's config, from its folder or from the Hub."""
    folder = Path(base).expanduser()
    if (folder / "adapter_config.json").exists():
        raise FootnoteError(f"{base} is an adapter, not a base model: --base {_base_of(folder)}")
    if folder.is_dir():
        return _read(folder / "config.json", base)
    if base.startswith((".", "/", "~")) or base.count("/") != 1:
        raise FootnoteError(f"there is no base model at {base}: --base FOLDER, or a name such as {_example()}")
    return _read(Path(_fetched(base)), base)


def family(config: Mapping[str, Any], base: str) -> Shape:
    """Its shape, if it is built as a Llama is."""
    try:
        return Shape.of(config)
    except (KeyError, TypeError, ValueError) as error:
        raise FootnoteError(f"{base} is no model of the Llama family ({error} is missing in its config)") from error


def device(shape: Shape, base: str, anyway: bool) -> bool:
    """Whether there is a GPU; a large model needs one."""
    import torch

    if torch.cuda.is_available():
        return True
    if shape.parameters > LARGE and not anyway:
        raise FootnoteError(
            f"{base} has {shape.parameters / 1e9:.1f} billion parameters and this machine has no GPU: train it where"
            f" there is one, or take a smaller --base, or add --cpu to wait (days)"
        )
    return False


def enough_memory(needed: Estimate, recipe: Recipe, length: int, gpu: bool) -> None:
    """What the run takes has to be free."""
    free = _free(gpu)
    if needed.total > free:
        smaller = would_fit(free, recipe, length)
        fewer = "--batch 1" if recipe.batch > 1 else "shorter prompts: footnote finetune dataset --passages 4"
        raise FootnoteError(
            f"not enough memory: training takes about {needed}, free are {free / GB:.1f} GB. Try {fewer}"
            + (f"; {smaller}" if smaller else "")
        )


def room(needed: Estimate, what: str) -> None:
    """Of this machine's memory, GPU or not."""
    if needed.total > (free := _free(False)):
        raise FootnoteError(f"not enough memory: {what}, about {needed}, free are {free / GB:.1f} GB. Close what runs")


def lengths(found: Sequence[int], limit: int, room: int) -> int:
    """The longest example, if nothing would have to be cut for it: a cut example teaches nothing, or worse."""
    longest, most = max(found), min(limit or room, room)
    if over := sum(length > most for length in found):
        raise FootnoteError(
            f"{over} of {len(found)} examples are longer than {most} tokens (the longest has {longest}), and none is"
            f" dropped or cut in silence: --max-length {longest}"
            + (f" is beyond the model's {room}, so: " if longest > room else ", or ")
            + "footnote finetune dataset --passages 4"
        )
    return longest


def _fetched(name: str) -> str:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return str(hf_hub_download(name, "config.json"))
    except GatedRepoError as error:
        raise FootnoteError(
            f"{name} is gated: accept its licence at https://huggingface.co/{name}, then: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise FootnoteError(f"there is no model {name} on the Hub (or no access to it): hf auth login") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        raise FootnoteError(
            f"{name} is neither a folder here nor can it be fetched: check the network, or give --base FOLDER"
        ) from error


def _read(file: Path, base: str) -> Mapping[str, Any]:
    try:
        config: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FootnoteError(f"{base} is no model folder ({file.name} cannot be read): --base FOLDER") from error
    return config


def _base_of(folder: Path) -> str:
    return str(_read(folder / "adapter_config.json", str(folder)).get("base_model_name_or_path", "FOLDER"))


def _example() -> str:
    return "meta-llama/Llama-3.1-8B-Instruct"


def _free(gpu: bool) -> float:
    if gpu:
        import torch

        return float(torch.cuda.mem_get_info()[0])
    import psutil  # type: ignore[import-untyped]

    return float(psutil.virtual_memory().available)


# A training conversation as tokens, by the very functions with which a local Llama is asked.

Conversation = Mapping[str, Sequence[Mapping[str, Any]]]  # {"prompt": [messages], "completion": [messages]}


@dataclass(frozen=True, slots=True)
class Encoded:
    """`completion_mask` is 1 where the model is taught: on the answer and the token that ends it."""

    input_ids: list[int]
    completion_mask: list[int]

    @property
    def prompt(self) -> list[int]:
        return self.input_ids[: self.completion_mask.index(1)]

    @property
    def completion(self) -> list[int]:
        return self.input_ids[self.completion_mask.index(1) :]


def conversations(file: Path) -> list[Conversation]:
    """What `footnote finetune dataset` wrote, or anything else of that form."""
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise FootnoteError(f"there is no {file}: footnote finetune dataset --out {file.parent}") from error
    except ValueError as error:
        raise FootnoteError(f"{file} is damaged ({error}): footnote finetune dataset --out {file.parent}") from error
    for number, row in enumerate(rows, 1):
        if not (isinstance(row, dict) and row.get("prompt") and row.get("completion")):
            raise FootnoteError(f"line {number} of {file} has no prompt and completion: footnote finetune dataset")
    return rows


def encoded(tokenizer: Any, conversation: Conversation, ends: Collection[int]) -> Encoded:
    """Prompt as serving has it, then the answer, up to and with the token that ends it."""
    said = [dict(message) for message in conversation["prompt"]]
    before = render(tokenizer, said)
    whole = render(tokenizer, [*said, *(dict(m) for m in conversation["completion"])], answer=False)
    if not whole.startswith(before):
        raise FootnoteError(
            "the base model's chat template writes a prompt otherwise once it is answered, so that training would not"
            " match serving: take another base, or mend its chat_template"
        )
    prompt = encode(tokenizer, said)
    answer = list(tokenizer(whole[len(before) :], add_special_tokens=False)["input_ids"])
    last = max((i for i, token in enumerate(answer) if token in ends), default=-1)
    answer = answer[: last + 1] if last >= 0 else [*answer, tokenizer.eos_token_id]
    return Encoded([*prompt, *answer], [0] * len(prompt) + [1] * len(answer))


def ends_of(base: str, tokenizer: Any) -> frozenset[int]:
    """All tokens that end an answer, as the model's own generation config has them."""
    from transformers import GenerationConfig

    try:
        named = GenerationConfig.from_pretrained(base).eos_token_id
    except OSError:
        named = None
    listed = named if isinstance(named, list) else [named]
    ends = frozenset(token for token in (*listed, tokenizer.eos_token_id) if token is not None)
    if not ends:
        raise FootnoteError(f"the tokenizer of {base} has no token that ends an answer: give it an eos_token")
    return ends


def with_template(tokenizer: Any) -> Any:
    """The tokenizer with the template that it was trained with, today's date taken out of it."""
    template, fixed = tokenizer.chat_template or TEMPLATE, "{%- set date_string = '" + DATE + "' -%}"
    if "date_string" in template and not template.startswith(fixed):
        template = fixed + template
    tokenizer.chat_template = template
    return tokenizer


# The training data as tokens, with the base's own tokenizer, and how long it is.


@dataclass(frozen=True)
class Material:
    """The data as tokens, with the tokenizer and the tokens that end an answer."""

    tokenizer: Any
    ends: frozenset[int]
    train: list[Encoded]
    eval: list[Encoded]
    length: int


def material(recipe: Recipe, rows: Sequence[Conversation], held_out: Sequence[Conversation], room: int) -> Material:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(recipe.base)
    except (OSError, ValueError, KeyError) as error:
        raise FootnoteError(f"{recipe.base} has no tokenizer: --base FOLDER with tokenizer.json in it") from error
    with_template(tokenizer)
    ends = ends_of(recipe.base, tokenizer)
    taught, checked = ([encoded(tokenizer, row, ends) for row in part] for part in (rows, held_out))
    if not taught:
        raise FootnoteError(f"{recipe.data} has no examples: footnote finetune dataset --out {recipe.data}")
    length = lengths([len(e.input_ids) for e in (*taught, *checked)], recipe.max_length, room)
    return Material(tokenizer, ends, taught, checked, length)
