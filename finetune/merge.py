"""An adapter merged into its base, for servers that take no adapters.

    footnote finetune merge --adapter adapter --out merged

The base is loaded in bfloat16, never in 4 bit: what was trained beside rounded weights belongs to the true ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assistant.writers.weights import quiet
from finetune import checks, memory
from finetune.card import merged_card
from finetune.tokens import with_template
from ingest.errors import FootnoteError


def merge(adapter: Path, out: Path, base: str = "", say: Callable[[str], None] = lambda line: None) -> Path:
    """A whole model: bfloat16 safetensors, tokenizer with its chat template, generation config, card.

    `base` is for where the base model is no longer where it was at training.
    """
    checks.packages()
    base = base or _base_of(adapter)
    shape = checks.family(checks.config_of(base), base)
    if out.exists() and any(out.iterdir()):
        raise FootnoteError(f"{out} is not empty: give another --out, or delete it")
    needed = memory.serving(shape, quantised=False, length=0)
    checks.room(needed, f"merging takes the whole of {base} in bfloat16")
    say(f"merging {adapter} into {base}: about {needed}")
    part = out.with_name(out.name + ".part")
    with quiet():
        model, tokenizer = _merged(adapter, base)
        model.save_pretrained(str(part), safe_serialization=True)
        tokenizer.save_pretrained(str(part))
    settings = json.loads((adapter / "settings.json").read_text()) if (adapter / "settings.json").exists() else {}
    (part / "README.md").write_text(merged_card(base, settings, shape.parameters), encoding="utf-8")
    for weights in part.glob("*.safetensors"):  # written for their owner's eyes alone; a server may be another user
        weights.chmod((part / "README.md").stat().st_mode)
    if out.exists():
        out.rmdir()
    part.rename(out)
    say(f"{out} is whole; --model llama:{out} answers with it")
    return out


def _merged(adapter: Path, base: str) -> tuple[Any, Any]:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
        tuned = PeftModel.from_pretrained(model, str(adapter), dtype=torch.bfloat16)
        named = adapter if (adapter / "tokenizer_config.json").exists() else base
        tokenizer = with_template(AutoTokenizer.from_pretrained(str(named)))
        return tuned.merge_and_unload(safe_merge=True), tokenizer
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FootnoteError(
            f"{adapter} cannot be merged into {base} ({reason}): --base FOLDER names another"
        ) from error


def _base_of(adapter: Path) -> str:
    try:
        return str(json.loads((adapter / "adapter_config.json").read_text("utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError) as error:
        raise FootnoteError(f"{adapter} is no adapter: footnote finetune train --out {adapter} makes one") from error
