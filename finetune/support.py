"""Trains the judge of support: MiniLM reads a sentence and the units it cites and says whether every part follows.

    python -m finetune.support --material DIR --start assistant/reranker/model.onnx --out DIR      # seed 0

Again with the same options: goes on where it stopped. `--count` only counts the rows, set by set.

`--material` holds one `NAME.jsonl.gz` a set (claim, evidence, label, detail, license, split), with `tests/` beside it,
whose sentences and evidence are kept out. Every five minutes, and when it is told to stop, everything that is needed to
go on goes to OUT/state.pt, in one piece or not at all, and the averaged weights to OUT/weights.safetensors; at the end
they are in OUT/model.onnx in eight bits. The order of the rows hangs on the seed and the pass alone, so a run that was
stopped ends as one that was not. `--export` makes OUT/model.onnx of the averaged weights that are there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.reranker import CrossEncoder, Pairs, export
from ingest.words import STOPWORDS

if TYPE_CHECKING:
    import torch

# The rows: sentence, evidence, whether it follows.
#
# The weights ship, so they learn only from sets whose licence is stated and allows it: `TRAINED` is that list. The
# others (`HELD_OUT`) choose between recipes; tests are neither learned from nor chosen by.

# How often a row of the set is read in one pass; below 1 it is the share of the set's rows.
TRAINED = {
    "vitaminc_real": 1.0,
    "vitaminc_synthetic": 0.5,  # written by a model and a rule: noisier than the real ones
    "perturb": 0.8,
    "fever_nli": 0.4,
    "cad_nli": 1.0,
    "mnli_dev": 1.0,
    "snli_dev": 1.0,
    "scitail_dev": 1.0,
    "infotabs": 0.3,
    "conjnli": 1.0,
    "entailment_bank": 1.0,
    "fetaqa": 0.4,
    "fool_me_twice_dev": 2.0,
    "citation_integrity": 0.2,  # what authors cite for a claim seldom carries every part of it
    "help": 1.0,
    "scone": 1.0,
}
HELD_OUT = ("begin", "climate_fever", "covid_fact", "healthver", "negation_nli", "add_one_rte", "nli4ct", "curriculum")
UNSTATED = "unstated"  # in a row's licence: such rows of a mixed set are left out
MOST_CHARACTERS = 400  # of a row that is learned from: a second on short rows teaches more than one on long ones
BESIDE, ANOTHERS, SWAPPED = 0.08, 0.04, 0.25  # shares of rows that `varied` changes, where it can
KINDS = {"contradiction": 1, "neutral": 2}  # of what is not supported, where a set says so


@dataclass(frozen=True, slots=True)
class Row:
    sentence: str
    evidence: str
    supported: bool
    kind: int = 0  # of `KINDS`; 0 where it is supported or the set does not say
    source: str = ""  # the set
    detail: str = ""


_NAME = re.compile(r"\b[A-Z][\w'-]+(?: [A-Z][\w'-]+)*")


def read(path: Path, split: str = "") -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for one in map(json.loads, lines):
            if split and one["split"] != split:
                continue
            if split == "train" and not (fits(one["claim"] + one["evidence"]) and UNSTATED not in one["license"]):
                continue
            supported = one["label"] == "supported"
            kind = 0 if supported else KINDS.get(one["detail"], 0)
            yield Row(one["claim"], one["evidence"], supported, kind, path.name.split(".")[0], str(one["detail"]))


def fits(text: str) -> bool:
    return len(text) <= MOST_CHARACTERS


def plain(text: str) -> str:
    """What two texts have to share to count as the same."""
    return " ".join(re.findall(r"\w+", text.lower()))


def of_tests(folder: Path) -> frozenset[str]:
    """The tests' sentences and evidence, as `plain` has them: no row with one of them is learned from."""
    return frozenset(plain(text) for path in folder.glob("*.jsonl.gz") for row in read(path) for text in _texts(row))


def learned_from(folder: Path, tests: frozenset[str]) -> dict[str, list[Row]]:
    sets = {name: list(read(folder / f"{name}.jsonl.gz", "train")) for name in TRAINED}
    return {
        name: [row for row in rows if not tests.intersection(map(plain, _texts(row)))] for name, rows in sets.items()
    }


def one_pass(sets: dict[str, list[Row]], random: Random) -> list[Row]:
    """All rows of one reading, in an order of its own; of a set that is read in part another part each time."""
    rows: list[Row] = []
    for name, own in sets.items():
        times = TRAINED[name]
        rows += own * int(times)
        rows += random.sample(own, round(len(own) * (times % 1)))
    random.shuffle(rows)
    return [varied(row, random.choice(rows), random) for row in rows]


def varied(row: Row, other: Row, random: Random) -> Row:
    """Most rows as they are, some with more evidence beside theirs, with another's, or with two names swapped."""
    chance = random.random()
    if chance < BESIDE:
        texts = [row.evidence, other.evidence]
        return replace(row, evidence="\n".join(random.sample(texts, 2)))
    if chance < BESIDE + ANOTHERS and plain(row.sentence) != plain(other.sentence):
        return replace(row, evidence=other.evidence, supported=False, kind=KINDS["neutral"])
    if chance > 1 - SWAPPED and row.supported and (swapped := with_names_swapped(row.sentence)):
        return replace(row, sentence=swapped, supported=False, kind=KINDS["contradiction"])
    return row


def with_names_swapped(sentence: str) -> str:
    """ "Google bought DeepMind" for its reverse; "" where there are no two names, or they only stand in a list."""
    names = [match for match in _NAME.finditer(sentence) if match[0].split()[0].lower() not in STOPWORDS]
    if len(names) < 2 or names[0][0].lower() == names[1][0].lower():
        return ""
    first, second = names[0], names[1]
    between = sentence[first.end() : second.start()]
    if not re.search(r"[a-z]{3}", between) or re.search(r"\b(?:and|or|with|as well as)\b", between):
        return ""
    return sentence[: first.start()] + second[0] + between + first[0] + sentence[second.end() :]


def _texts(row: Row) -> Sequence[str]:
    return [text for text in (row.sentence, row.evidence) if len(text.split()) > 3]


# The model while it learns.

MAX_TOKENS = 192  # more than twice `MOST_CHARACTERS` nearly ever come to
SAVE_SECONDS = 300.0
SAY_EVERY = 20  # steps


@dataclass(frozen=True, slots=True)
class Settings:
    passes: float = 1.0
    rows_a_step: int = 32
    learning_rate: float = 1e-4
    warm_up: float = 0.05  # of the whole
    kinds: float = 0.3  # weight of telling contradicted from not mentioned, beside telling supported from not
    smoothing: float = 0.03  # some labels are wrong
    pairs_tokens: int = 2048  # at once through the model; a step holds several
    seed: int = 0

    def rate(self, done: float) -> float:
        """Up in a line, then down to nothing."""
        return self.learning_rate * min((done + 1e-3) / self.warm_up, 1 - done)


def load(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, or of a reranker's ONNX file with its eight bits turned back into numbers."""
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        return dict(load_file(path))
    return {name: torch.from_numpy(array) for name, array in dequantised(path).items()}


def dequantised(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """`pair_model`'s graph turned back into BERT's tensors."""
    import onnx
    from onnx import numpy_helper

    held = {one.name: numpy_helper.to_array(one) for one in onnx.load(str(path)).graph.initializer}

    def linear(ours: str, theirs: str) -> dict[str, np.ndarray[Any, Any]]:
        matrix = held[f"{ours}.weight"].astype(np.float32) * held[f"{ours}.scales"]
        return {f"{theirs}.weight": matrix.T.copy(), f"{theirs}.bias": held[f"{ours}.bias"].copy()}

    def norm(ours: str, theirs: str) -> dict[str, np.ndarray[Any, Any]]:
        return {
            f"{theirs}.LayerNorm.weight": held[f"{ours}.scale"].copy(),
            f"{theirs}.LayerNorm.bias": held[f"{ours}.shift"].copy(),
        }

    tensors = {
        "embeddings.word_embeddings.weight": held["words"].astype(np.float32) * held["words.scales"],
        "embeddings.token_type_embeddings.weight": held["types.table"].copy(),
        "embeddings.position_embeddings.weight": held["positions"].copy(),
        "head.weight": held["score.weight"].T.copy(),
        "head.bias": held["score.bias"].copy(),
        **norm("embedded", "embeddings"),
    }
    for number in range(sum(name.endswith(".wide.bias") for name in held)):
        here, there = f"layer{number}.", f"encoder.layer.{number}."
        for part in ("query", "key", "value"):
            tensors |= linear(here + part, f"{there}attention.self.{part}")
        tensors |= linear(here + "mixed", there + "attention.output.dense")
        tensors |= linear(here + "wide", there + "intermediate.dense")
        tensors |= linear(here + "narrow", there + "output.dense")
        tensors |= norm(here + "middle", there + "attention.output")
        tensors |= norm(here + "end", there + "output")
    return tensors


class Judge(CrossEncoder):
    """With a second head while it learns: is what is not supported contradicted, or only not there?"""

    def __init__(self, start: Path | None = None) -> None:
        import torch

        super().__init__(start)
        self.bert.set_attn_implementation("eager")  # on short texts 1.5 times as fast as torch's fused one on a CPU
        self.kinds = torch.nn.Linear(2 * self.bert.config.hidden_size, 1)
        torch.nn.init.zeros_(self.kinds.weight)
        torch.nn.init.zeros_(self.kinds.bias)
        self._seen: list[torch.Tensor] = []
        self.head.register_forward_pre_hook(lambda _, given: self._seen.append(given[0]))

    def load(self, path: Path) -> None:
        """Also a reranker's ONNX file, its eight bits turned back into numbers."""
        tensors = load(path)
        self.head.load_state_dict({name: tensors.pop(f"head.{name}") for name in ("weight", "bias")})
        self.bert.load_state_dict(tensors)

    def to(self, device: str) -> None:
        parts: tuple[torch.nn.Module, ...] = (self.bert, self.head, self.kinds)
        for part in parts:
            part.to(device)

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        yield from super().parameters()
        yield from self.kinds.parameters()

    def both(self, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The logit of "supported", and of "contradicted" where it is not."""
        scores = self.scores(ids, types, mask)
        return scores, self.kinds(self._seen.pop()).squeeze(1)

    def served(self) -> dict[str, torch.Tensor]:
        """What learns and is served, so without the second head."""
        parts = (("", self.bert), ("head.", self.head))
        return {f"{at}{name}": one for at, part in parts for name, one in part.named_parameters() if one.requires_grad}


class Texts(Pairs):
    """Padded so that few shapes come up: a matrix product of a new shape is slow the first time."""

    def batches(self, pairs: Sequence[tuple[str, str]], tokens: int) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
        import torch
        from torch.nn.functional import pad

        for places, parts in super().batches(pairs, tokens):
            missing = -parts[0].shape[1] % 8
            yield places, [pad(torch.as_tensor(part), (0, missing)) for part in parts]


class Run:
    """A training that can be stopped and gone on with."""

    def __init__(self, out: Path, settings: Settings, start: Path | None = None, device: str = "cpu") -> None:
        import torch

        torch.manual_seed(settings.seed)
        self.settings, self._out, self.step, self.seconds = settings, out, 0, 0.0
        self.judge, self._texts, self._device = Judge(start), Texts(MAX_TOKENS), device
        self.judge.to(device)
        self._optimiser = torch.optim.AdamW(
            self.judge.parameters(), lr=settings.learning_rate, weight_decay=0.01, fused=True
        )
        self._average = {name: tensor.detach().clone() for name, tensor in self.judge.served().items()}
        if (out / "state.pt").is_file():
            self._resume(torch.load(out / "state.pt", map_location=device, weights_only=True))

    def learn(self, batch: Sequence[Row], done: float) -> tuple[float, float]:
        """One step; its loss, and the share of rows that were judged right."""
        import torch

        for entry in self._optimiser.param_groups:
            entry["lr"] = self.settings.rate(done)
        loss, right = loss_of(self.judge, batch, self._texts, self.settings, self._device)
        torch.nn.utils.clip_grad_norm_(list(self.judge.parameters()), 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad()
        with torch.no_grad():  # over the latest tenth, about
            for name, tensor in self.judge.served().items():
                self._average[name].lerp_(tensor, 9 / (self.step + 10))
        self.step += 1
        return loss, right

    def _resume(self, state: dict[str, Any]) -> None:
        for at in ("bert", "head", "kinds"):
            getattr(self.judge, at).load_state_dict(state[at])
        self._optimiser.load_state_dict(state["optimiser"])
        self._average.update(state["average"])
        self.step, self.seconds = state["step"], state["seconds"]

    def keep(self) -> None:
        """The state to go on from and, apart, the averaged weights as the export and the evaluation read them."""
        import torch
        from safetensors.torch import save_file

        self._out.mkdir(parents=True, exist_ok=True)
        state: dict[str, Any] = {"optimiser": self._optimiser.state_dict(), "average": self._average}
        state |= {"step": self.step, "seconds": self.seconds, "settings": asdict(self.settings)}
        state |= {at: getattr(self.judge, at).state_dict() for at in ("bert", "head", "kinds")}
        torch.save(state, self._out / "state.partial")
        os.replace(self._out / "state.partial", self._out / "state.pt")
        tensors = self.judge.bert.state_dict() | self._average
        save_file({name: one.contiguous().cpu() for name, one in tensors.items()}, self._out / "weights.partial")
        os.replace(self._out / "weights.partial", self._out / "weights.safetensors")


def loss_of(
    judge: Judge, batch: Sequence[Row], texts: Texts, settings: Settings, device: str = "cpu"
) -> tuple[float, float]:
    """The loss, part by part already turned back into gradients, and the share of rows that were judged right."""
    import torch

    supported = torch.tensor([float(row.supported) for row in batch], device=device)
    kinds = torch.tensor([row.kind for row in batch], device=device)
    total = right = 0.0
    with torch.autocast(torch.device(device).type, torch.bfloat16):
        pairs = [(row.sentence, row.evidence) for row in batch]
        for places, read in texts.batches(pairs, settings.pairs_tokens):
            scores, contradicted = (one.float() for one in judge.both(*(part.to(device) for part in read)))
            loss = _loss(scores, contradicted, supported[places], kinds[places], settings) / len(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
            right += int(((scores.detach() > 0) == (supported[places] > 0)).sum())
    return total, right / len(batch)


def _loss(
    scores: torch.Tensor, contradicted: torch.Tensor, truth: torch.Tensor, kinds: torch.Tensor, settings: Settings
) -> torch.Tensor:
    from torch.nn.functional import binary_cross_entropy_with_logits as entropy

    smooth = truth * (1 - 2 * settings.smoothing) + settings.smoothing
    loss: torch.Tensor = entropy(scores, smooth, reduction="sum")
    known = kinds > 0
    if settings.kinds and bool(known.any()):
        loss = loss + settings.kinds * entropy(contradicted[known], (kinds[known] == 1).float(), reduction="sum")
    return loss


def batches(sets: dict[str, list[Row]], settings: Settings) -> Iterator[list[Row]]:
    """Without end; the order of the `n`th pass hangs on the seed and `n`."""
    number = 0
    while True:
        order = one_pass(sets, Random(settings.seed * 1000 + number))
        for place in range(0, len(order) - settings.rows_a_step + 1, settings.rows_a_step):
            yield order[place : place + settings.rows_a_step]
        number += 1


def train(
    sets: dict[str, list[Row]], out: Path, settings: Settings, start: Path | None = None, device: str = "cpu"
) -> None:
    run = Run(out, settings, start, device)
    whole = round(len(one_pass(sets, Random(0))) // settings.rows_a_step * settings.passes)
    _say(f"{whole} steps of {settings.rows_a_step} rows, {run.step} done")
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    begun, saved, before = time.monotonic(), time.monotonic(), run.seconds
    means = [0.0, 0.0]
    for place, batch in enumerate(batches(sets, settings)):
        if place < run.step:
            continue
        if run.step >= whole or stop:
            break
        learned = run.learn(batch, run.step / whole)
        means = [0.98 * old + 0.02 * new if old else new for old, new in zip(means, learned, strict=True)]
        run.seconds = before + time.monotonic() - begun
        if run.step % SAY_EVERY == 0:
            _say(f"step {run.step}, {run.seconds / 60:.1f} min, loss {means[0]:.3f}, right {means[1]:.3f}")
        if time.monotonic() - saved > SAVE_SECONDS:
            saved = time.monotonic()
            run.keep()
    run.keep()
    if not stop:
        export(out / "weights.safetensors", out / "model.onnx")


def say_counts(folder: Path, sets: dict[str, list[Row]]) -> None:
    for name, rows in sets.items():
        whole = sum(1 for _ in read(folder / f"{name}.jsonl.gz", "train"))
        labels = Counter(row.supported for row in rows)
        _say(f"{name:20} {labels[True]:6} {labels[False]:6}  left out {whole - len(rows)}")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    import torch

    usual = Settings()
    parser = argparse.ArgumentParser(prog="python -m finetune.support", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--material", type=Path, required=True, help="folder of the sets, with tests/ in it")
    parser.add_argument("--out", type=Path, required=True, help="folder for state, weights and model.onnx")
    parser.add_argument("--start", type=Path, help="weights to begin from: safetensors, or a reranker's model.onnx")
    parser.add_argument("--passes", type=float, default=usual.passes)
    parser.add_argument("--rate", type=float, default=usual.learning_rate)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cuda where there is one, with more --passes")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--count", action="store_true", help="count the rows, and stop")
    parser.add_argument("--export", action="store_true", help="OUT/weights.safetensors as OUT/model.onnx, and stop")
    options = parser.parse_args(arguments)
    if options.export:
        export(options.out / "weights.safetensors", options.out / "model.onnx")
        return
    sets = learned_from(options.material, of_tests(options.material / "tests"))
    if options.count:
        say_counts(options.material, sets)
        return
    torch.set_num_threads(options.threads)
    settings = Settings(passes=options.passes, learning_rate=options.rate, seed=options.seed)
    train(sets, options.out, settings, options.start, options.device)


if __name__ == "__main__":
    main()
