"""Trains the reader: MiniLM reads a question and a passage and says whether it answers, and which of its units do.

    python -m tests.bench.reader.train --rows DIR --out DIR [--minutes 60] [--device cuda]
        [--start assistant/reranker/model.onnx]
    python -m tests.bench.reader.train --out DIR --export FILE

`--rows` is a folder of the sets that `tests.bench.reader.rows` names. Every five minutes OUT/state.pt (weights,
optimiser, position) and OUT/weights.safetensors (the weights' running mean) are written, whole or not at all; the same
command goes on from there, also on another device. The sets as they were prepared stay beside OUT
(OUT-material.pickle). With `--export FILE` it trains nothing and writes OUT's weights as the file that serves.

An experiment: what it made so far does not beat what ships (NOTES.md, "A judge that reads"). It was run on a CPU only;
`--device cuda` has not been tried yet, and there more `--groups` a step and `--batch-tokens` at once will pay.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from ingest.embed import Linear, exact, packaged_folder, read_safetensors, rows, to_onnx
from tests.bench.reader.groups import Group, draw, plan, prepare
from tests.bench.reader.model import Batch, Reader, Texts, flat
from tests.bench.reader.serve import reading_model

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 224  # of question, context and passage in training; serving reads 256
SAVE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Settings:
    minutes: float = 60.0
    groups_a_step: int = 7
    learning_rate: float = 1e-4
    frozen: int = 2  # of the lowest layers, which the reranker has taught already
    warm_up: float = 0.03  # of the whole
    steady: float = 0.5  # the rate stays until here, then falls to zero
    batch_tokens: int = 1024
    units_weigh: float = 1.5
    mean_of: float = 0.99  # weight of the old in the running mean of the weights
    passes: int = 6
    seed: int = 0
    device: str = "cpu"


class Losses:
    """Running means of the three losses, to be said aloud."""

    def __init__(self) -> None:
        self.means = {"answers": 0.7, "ranked": 1.0, "units": 0.6}

    def add(self, **now: float) -> None:
        for name, value in now.items():
            self.means[name] += 0.02 * (value - self.means[name])

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:.3f}" for name, value in self.means.items())


def step_loss(model: Reader, groups: Sequence[Group], texts: Texts, settings: Settings, said: Losses) -> torch.Tensor:
    """Each passage for itself, each group's right passage against its wrong ones, and the units."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    pairs = flat(groups)
    scores: list[torch.Tensor] = []
    places: list[int] = []
    device = settings.device
    units, weight = torch.zeros((), device=device), 1e-9
    for batch in texts.batches(pairs, settings.batch_tokens):
        there = batch.to(device)
        with torch.autocast(device, torch.bfloat16):
            answers, logits = model.read(there)
        scores.append(answers)
        places += batch.places
        units = units + _units(logits, there)
        weight += float(batch.weights.sum())
    ordered = torch.cat(scores)[torch.tensor(places, device=device).argsort()]
    labels = torch.tensor([float(shown.right) for _, shown in pairs], device=device)
    answers = binary_cross_entropy_with_logits(ordered, labels)
    parts = torch.split(ordered, [len(group.passages) for group in groups])
    ranked = [
        cross_entropy(part.unsqueeze(0), torch.zeros(1, dtype=torch.long, device=device))
        for group, part in zip(groups, parts, strict=True)
        if group.passages[0].right and len(part) > 1
    ]
    listwise = torch.stack(ranked).mean() if ranked else torch.zeros((), device=device)
    said.add(answers=float(answers.detach()), ranked=float(listwise.detach()), units=float(units.detach()) / weight)
    return answers + listwise + settings.units_weigh * units / weight


def _units(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(logits, batch.labels, weight=batch.weights, reduction="sum")


class Run:
    """A training run that can be stopped and gone on with at any time."""

    def __init__(self, rows: Path, out: Path, settings: Settings, start: Path | None) -> None:
        import torch

        self.out, self.settings = out, settings
        torch.manual_seed(settings.seed)
        self.material = prepare(rows, out.with_name(f"{out.name}-material.pickle"), held_out=False)
        self.order = plan(self.material, settings.passes, settings.seed)
        self.texts, self.said = Texts(MAX_TOKENS), Losses()
        self.place, self.elapsed, self.rows_read = 0, 0.0, 0
        kept = out / "state.pt"
        self.model = Reader(None if kept.is_file() else start, settings.device)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=settings.learning_rate, weight_decay=0.01, fused=True
        )
        for layer in self.model.bert.encoder.layer[: settings.frozen]:
            layer.requires_grad_(False)
        self.model.bert.embeddings.requires_grad_(False)
        self.mean = {name: one.detach().clone() for name, one in self.model.named().items()}
        if kept.is_file():
            self._restore(torch.load(kept, settings.device))

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state(state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.mean, self.place, self.elapsed = state["mean"], state["place"], state["elapsed"]
        self.rows_read, self.said.means = state["rows"], state["losses"]

    def save(self) -> None:
        import torch

        self.out.mkdir(parents=True, exist_ok=True)
        state = {
            "weights": self.model.named(),
            "optimiser": self.optimiser.state_dict(),
            "mean": self.mean,
            "place": self.place,
            "elapsed": self.elapsed,
            "rows": self.rows_read,
            "losses": self.said.means,
        }
        torch.save(state, self.out / "state.partial")
        (self.out / "state.partial").replace(self.out / "state.pt")
        self.model.save(self.out / "weights.safetensors", self.mean)
        progress = {"rows": self.rows_read, "seconds": round(self.elapsed), "place": self.place, **self.said.means}
        (self.out / "progress.json").write_text(json.dumps(progress))

    def groups(self) -> list[Group]:
        """The next groups; each is drawn by its own place alone, so a run that was stopped goes on the same."""
        counts: dict[str, list[int]] = {}
        places = range(self.place, min(self.place + self.settings.groups_a_step, len(self.order)))
        seed = self.settings.seed * 10_000_019
        return [draw(self.material, self.order[at], Random(seed + at), counts) for at in places]

    def rate(self, done: float) -> float:
        s = self.settings
        return s.learning_rate * min(done / s.warm_up + 0.02, 1.0, (1 - done) / (1 - s.steady))

    def train(self) -> None:
        import torch

        before, saved, steps = self.elapsed, time.monotonic(), 0
        started = saved
        trained = [name for name, one in self.model.bert.named_parameters() if one.requires_grad]
        trained += [name for name in self.mean if name.startswith(("head.", "token."))]
        while True:
            self.elapsed = before + time.monotonic() - started
            done = max(self.place / len(self.order), self.elapsed / (60 * self.settings.minutes))
            if done >= 1:
                break
            for entry in self.optimiser.param_groups:
                entry["lr"] = self.rate(done)
            groups = self.groups()
            loss = step_loss(self.model, groups, self.texts, self.settings, self.said)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            self.optimiser.zero_grad()
            self._average(trained)
            self.place += len(groups)
            self.rows_read += sum(len(group.passages) for group in groups)
            steps += 1
            if steps % 20 == 0:
                pace = self.rows_read / max(1.0, self.elapsed)
                _say(f"{self.place} of {len(self.order)}, {self.elapsed / 60:.1f} min, {pace:.1f} rows/s, {self.said}")
            if time.monotonic() - saved > SAVE_SECONDS:
                saved = time.monotonic()
                self.save()
        self.save()

    def _average(self, trained: Sequence[str]) -> None:
        """The running mean follows closely at first."""
        steps = self.place // self.settings.groups_a_step
        keep = min(self.settings.mean_of, (1 + steps) / (10 + steps))
        now = self.model.named()
        for name in trained:
            self.mean[name].lerp_(now[name], 1 - keep)


def export(weights: Path, onnx_file: Path, linear: Linear = rows) -> None:
    """The trained weights as the file that serves; it is whole or not there."""
    config = json.loads((packaged_folder() / "config.json").read_text("utf-8"))
    partial = onnx_file.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(to_onnx(reading_model(read_safetensors(weights), config, linear)).SerializeToString())
    partial.replace(onnx_file)


def _device_is_there(parser: argparse.ArgumentParser, device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here: leave out --device cuda")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    about, usual = (__doc__ or "").splitlines()[0], Settings()
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reader.train", description=about)
    parser.add_argument("--rows", type=Path, help="folder of the sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for the run's state and weights")
    parser.add_argument("--minutes", type=float, default=60.0, help="at most, runs before this one counted in")
    parser.add_argument("--start", type=Path, help="weights to begin from: safetensors, or a reranker's model.onnx")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch-tokens", type=int, default=usual.batch_tokens, help="that are read at once")
    parser.add_argument("--groups", type=int, default=usual.groups_a_step, help="questions of a step")
    parser.add_argument("--rate", type=float, default=usual.learning_rate, help="the learning rate at its highest")
    parser.add_argument("--export", type=Path, help="train nothing; write OUT's weights to this ONNX file")
    parser.add_argument("--exact", action="store_true", help="export in full precision, to compare")
    options = parser.parse_args(arguments)
    if options.export:
        export(options.out / "weights.safetensors", options.export, exact if options.exact else rows)
        return
    if options.rows is None:
        parser.error("--rows names the folder of the sets to train on")
    _device_is_there(parser, options.device)
    settings = Settings(
        options.minutes,
        options.groups,
        options.rate,
        batch_tokens=options.batch_tokens,
        seed=options.seed,
        device=options.device,
    )
    Run(options.rows, options.out, settings, options.start).train()


if __name__ == "__main__":
    main()
