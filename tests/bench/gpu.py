"""What tuning and answering cost on a GPU, on the 8B shape with random weights: no download, no licence needed.

    python -m tests.bench gpu                       about ten minutes; a table in Markdown on standard output
    python -m tests.bench gpu --shape 1B --length 1024 --json bench.json

Measured: training with QLoRA against plain LoRA in bfloat16, and generation in 4 bit against bfloat16: peak memory,
tokens a second, the share of the machine's matrix throughput that is reached, and what constrained decoding adds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from finetune.recipe import GB, KNOWN, Recipe, Shape, training
from finetune.train import load
from ingest.errors import FootnoteError

SHAPES = {name.split("-")[2]: config for name, config in KNOWN.items()}  # 8B, 3B, 1B
SHAPES["tiny"] = {
    "vocab_size": 512, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip  # to try the script out, with --cpu
LANGUAGES = ("en", "de", "fr", "es")  # whose words the tokens are learned from
MATRIX = 8192  # the side of the matrices whose product shows what the machine can do at best


@dataclass(frozen=True, slots=True)
class Measured:
    what: str
    weights: str  # nf4 or bfloat16
    batch: int
    length: int
    tokens_per_second: float
    peak_gb: float
    estimated_gb: float = 0.0
    share_of_peak: float = 0.0  # of the matrix throughput that was measured


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shape", default="8B", choices=sorted(SHAPES))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--length", type=int, default=2048, help="tokens of a training example")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--new", type=int, default=128, help="tokens that are generated")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--cpu", action="store_true", help="to try the script out, with --shape tiny")
    args = parser.parse_args(argv)
    try:
        found = measure(args)
    except FootnoteError as error:
        print(f"bench gpu: {error}", file=sys.stderr)
        return 1
    print(table(found))
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n", encoding="utf-8")
    return 0


def measure(args: argparse.Namespace) -> list[Measured]:
    import torch

    gpu = torch.cuda.is_available() and not args.cpu
    if not gpu and not args.cpu:
        raise FootnoteError("there is no GPU here: run this where there is one, or try it out with --cpu --shape tiny")
    side = MATRIX if gpu else 512
    peak = matrix_throughput(side, gpu)
    found = [Measured(f"bfloat16 matrices of {side}: {peak / 1e12:.1f} TFLOP/s", "bfloat16", 1, side, 0.0, 0.0)]
    config = dict(SHAPES[args.shape])
    with random_model(config) as base:
        for quantise in (True, False):
            recipe = Recipe(base=str(base), data=base, out=base, quantise=quantise, batch=args.batch)
            found.append(_trained(recipe, Shape.of(config), args, gpu, peak))
            found += _generated(base, quantise, args, gpu)
    return found


def matrix_throughput(side: int, gpu: bool, times: int = 20) -> float:
    """Floating point operations a second, of one large product in bfloat16."""
    import torch

    device = "cuda" if gpu else "cpu"
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    a @ b
    started = _now(gpu)
    for _ in range(times):
        a @ b
    return 2 * side**3 * times / (_now(gpu) - started)


@contextmanager
def random_model(config: dict[str, Any]) -> Iterator[Path]:
    """A folder with weights drawn at random in bfloat16, and a tokenizer of as many tokens as the weights know."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with tempfile.TemporaryDirectory() as place:
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        try:
            with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
                model = LlamaForCausalLM(LlamaConfig(**config, max_position_embeddings=8192, eos_token_id=0))
        finally:
            torch.set_default_dtype(before)
        model.save_pretrained(place)
        del model
        tokenizer_of(config["vocab_size"]).save_pretrained(place)
        yield Path(place)


def tokenizer_of(size: int) -> Any:
    """Byte-level BPE of this many tokens, learned from the most frequent words of several languages.

    What constrained decoding costs depends on the texts of the tokens: with a tokenizer of single bytes nearly all of
    128,256 scores stand for nothing, and looking past them makes the constraint look dear.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast
    from wordfreq import top_n_list

    words = [word for language in LANGUAGES for word in top_n_list(language, max(200, size))]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(words, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|end|>")


def _trained(recipe: Recipe, shape: Shape, args: argparse.Namespace, gpu: bool, peak: float) -> Measured:
    """Steps of forward, backward and update, as `footnote finetune train` takes them."""
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    _reset(gpu)
    model = load(recipe, gpu)
    if recipe.quantise:
        how = {"use_reentrant": False}
        model = prepare_model_for_kbit_training(model, gradient_checkpointing_kwargs=how)  # type: ignore[no-untyped-call]
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    lora = LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules=recipe.modules, task_type="CAUSAL_LM")
    model = get_peft_model(model, lora)
    optimiser = _optimiser([p for p in model.parameters() if p.requires_grad], gpu)
    ids = torch.randint(1, shape.vocabulary, (args.batch, args.length), device=model.device)
    model.train()

    def step() -> None:
        with torch.autocast("cuda" if gpu else "cpu", dtype=torch.bfloat16):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    step()
    started = _now(gpu)
    for _ in range(args.steps):
        step()
    rate = args.steps * args.batch * args.length / (_now(gpu) - started)
    # Forward twice, since activations are worked out again, and backward to the inputs: 2 operations a weight each.
    used = rate * 6 * (shape.linear + shape.vocabulary * shape.hidden)
    estimate = training(shape, replace(recipe, batch=args.batch), args.length, gpu=gpu).total / GB
    weights = "nf4" if recipe.quantise else "bfloat16"
    return Measured("training", weights, args.batch, args.length, rate, _peak(gpu), estimate, used / peak)


def _generated(base: Path, quantise: bool, args: argparse.Namespace, gpu: bool) -> list[Measured]:
    """Through the writer itself; and the same without its constraint, to see what that adds."""
    from assistant.writers.llama import Llama

    weights = "nf4" if quantise else "bfloat16"
    writer = Llama(base, max_new_tokens=args.new, quantise=weights if quantise else "none")  # type: ignore[arg-type]
    found = []
    for batch in (1, 8):
        requests = [_request(n) for n in range(batch)]
        _reset(gpu)
        writer.write_batch(requests[:1])
        started = _now(gpu)
        stops: list[Any] = [events[-1] for events in writer.write_batch(requests)]
        seconds = _now(gpu) - started
        tokens = sum(stop.usage["output_tokens"] for stop in stops)
        length = int(stops[0].usage["input_tokens"])
        found.append(Measured("answering, constrained", weights, batch, length, tokens / seconds, _peak(gpu)))
        rate = _unconstrained(writer, requests, args.new, gpu)
        found.append(Measured("answering, free", weights, batch, length, rate, _peak(gpu)))
    return found


def _unconstrained(writer: Any, requests: Sequence[Any], new: int, gpu: bool) -> float:
    """transformers' own greedy generation on the same prompts."""
    import torch

    from assistant.prompts import messages
    from assistant.writers.llama import encode

    loaded = writer._loaded()
    rows = [encode(loaded.tokenizer, messages(request)) for request in requests]
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=loaded.model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=loaded.model.device)
    started = _now(gpu)
    with torch.inference_mode():
        loaded.model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=0
        )
    return len(rows) * new / (_now(gpu) - started)


def _request(n: int) -> Any:
    from assistant.records import Passage, Request
    from ingest.chunks import Unit

    sentences = [f"Unit {i} of passage {n} says that a rate of {i / 10} was used." for i in range(6)]
    units, start = [], 0
    for sentence in sentences:
        units.append(Unit(start, start + len(sentence), "sentence"))
        start += len(sentence) + 1
    text = " ".join(sentences)
    return Request("Which rate was used?", (Passage("a.md", "A", "B", 0, len(text), text, 0.9, tuple(units)),) * 4)


def table(found: Sequence[Measured]) -> str:
    lines = [
        "| what | weights | batch | tokens | tokens/s | peak GB | estimated GB | of peak |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        numbers = [
            f"{row.tokens_per_second:.1f}",
            f"{row.peak_gb:.1f}",
            f"{row.estimated_gb:.1f}",
            f"{row.share_of_peak:.0%}",
        ]
        lines.append(f"| {row.what} | {row.weights} | {row.batch} | {row.length} | " + " | ".join(numbers) + " |")
    return "\n".join(lines)


def _optimiser(parameters: Sequence[Any], gpu: bool) -> Any:
    if gpu:
        from bitsandbytes.optim.adamw import PagedAdamW8bit

        return PagedAdamW8bit(parameters, lr=2e-4)  # type: ignore[no-untyped-call]
    from torch.optim import AdamW

    return AdamW(parameters, lr=2e-4)


def _now(gpu: bool) -> float:
    if gpu:
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()


def _reset(gpu: bool) -> None:
    import gc

    import torch

    gc.collect()
    if gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak(gpu: bool) -> float:
    from finetune.train import peak

    return peak(gpu) / GB


if __name__ == "__main__":
    sys.exit(main())
