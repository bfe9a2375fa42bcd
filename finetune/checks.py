"""What can be known to go wrong before anything large is loaded, each as one line with what mends it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from finetune.memory import GB, Estimate, Shape, would_fit
from finetune.recipe import Recipe
from ingest.errors import FootnoteError

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


def memory(needed: Estimate, recipe: Recipe, length: int, gpu: bool) -> None:
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
