"""How a model is tuned. Its fields are the options of `footnote finetune train`, and its defaults stand here alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """QLoRA as the guides describe it."""

    base: Annotated[str, "the base model: a folder, or its name on the Hub"]
    data: Annotated[Path, "the folder that `footnote finetune dataset` made"]
    out: Annotated[Path, "where the adapter goes; the same again goes on from the last checkpoint"]
    rank: Annotated[int, "of the LoRA matrices"] = 16
    alpha: Annotated[int, "the adapter counts alpha/rank times"] = 32
    dropout: Annotated[float, "of what goes into the LoRA matrices"] = 0.05
    targets: Annotated[tuple[str, ...], "the layers that get them"] = ("q_proj", "k_proj", "v_proj", "o_proj")
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
    sample: Annotated[int, "answers that are written at each evaluation"] = 16
    patience: Annotated[int, "evaluations without a better loss until it stops; 0: never"] = 4
    report: Annotated[Literal["none", "tensorboard", "mlflow"], "where else the losses go"] = "none"
    seed: Annotated[int, "of all that is drawn"] = 0
    cpu: Annotated[bool, "go on without a GPU, however large the model is"] = False

    @property
    def settings(self) -> dict[str, Any]:
        """What the result depends on, fit for JSON. The data is told by its hash, not by its place."""
        chosen = {name: value for name, value in asdict(self).items() if name not in ("data", "out", "report", "cpu")}
        return chosen | {"targets": list(self.targets)}
