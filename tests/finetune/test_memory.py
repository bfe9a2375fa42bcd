from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from finetune.memory import GB, KNOWN, NF4_BITS, Shape, serving, training, would_fit
from finetune.recipe import Recipe

RECIPE = Recipe(base="", data=Path(), out=Path())
LLAMA_8B = Shape.of(KNOWN["meta-llama/Llama-3.1-8B-Instruct"])
TINY_LLAMA = {
    "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
    "num_attention_heads": 32, "num_key_value_heads": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (KNOWN["meta-llama/Llama-3.1-8B-Instruct"], 8_030_261_248),
        (KNOWN["meta-llama/Llama-3.2-3B-Instruct"], 3_212_749_824),
        (KNOWN["meta-llama/Llama-3.2-1B-Instruct"], 1_235_814_400),
        (TINY_LLAMA, 1_100_048_384),
    ],
)
def test_the_published_sizes_of_models_come_out(config: dict[str, int], parameters: int) -> None:
    assert Shape.of(config).parameters == parameters


def test_the_adapter_of_the_guides_recipe_has_thirteen_million_weights() -> None:
    assert LLAMA_8B.adapter(16, ("q_proj", "k_proj", "v_proj", "o_proj")) == 13_631_488


def test_a_real_model_has_as_many_weights_as_its_shape_says() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=500,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    model = LlamaForCausalLM(config)
    assert Shape.of(config.to_dict()).parameters == sum(p.numel() for p in model.parameters())


def test_four_bits_take_what_bitsandbytes_takes_for_them(tmp_path: Path) -> None:
    from bitsandbytes.functional import quantize_4bit
    from torch import randn

    packed, state = quantize_4bit(randn(512, 512), quant_type="nf4", compress_statistics=True)
    taken = packed.numel() + state.absmax.numel() + 4 * state.state2.absmax.numel()
    assert taken == pytest.approx(512 * 512 * NF4_BITS / 8, rel=0.01)


def test_eight_billion_weights_in_four_bits_train_on_a_card_of_sixteen_gigabytes_and_plain_lora_does_not() -> None:
    assert 9 * GB < training(LLAMA_8B, RECIPE, 2048).total < 14 * GB
    assert training(LLAMA_8B, replace(RECIPE, quantise=False), 2048).total > 20 * GB


def test_longer_and_more_examples_take_more_and_checkpointing_takes_less() -> None:
    base = training(LLAMA_8B, RECIPE, 1024).total
    assert training(LLAMA_8B, RECIPE, 2048).total > base
    assert training(LLAMA_8B, replace(RECIPE, batch=4), 1024).total > base
    assert training(LLAMA_8B, replace(RECIPE, checkpointing=False), 1024).total > 1.5 * base


def test_what_would_fit_is_the_largest_that_does() -> None:
    assert "8B" in would_fit(16 * GB, RECIPE, 2048)
    assert "3B" in would_fit(8 * GB, RECIPE, 2048)
    assert would_fit(1 * GB, RECIPE, 2048) == ""


def test_a_merge_takes_two_bytes_a_weight() -> None:
    assert serving(LLAMA_8B, quantised=False, length=0).parts["weights"] == 2 * LLAMA_8B.parameters


def test_the_smallest_model_takes_what_the_libraries_take() -> None:
    tiny = Shape.of({**TINY_LLAMA, "vocab_size": 500, "hidden_size": 64, "num_hidden_layers": 2})
    assert 0.7 * GB < training(tiny, RECIPE, 200, gpu=False).total < 1.2 * GB
