"""What can be known beforehand is said before anything is loaded, in one line that says what mends it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trl

import finetune
from assistant.prompts import messages
from assistant.records import Request
from assistant.writers.llama import DATE, TEMPLATE, encode
from finetune import recipe
from finetune.merge import merge
from finetune.recipe import GB, KNOWN, NF4_BITS, Recipe, Shape, encoded, serving, training, with_template, would_fit
from finetune.train import last_checkpoint, train
from ingest.errors import FootnoteError
from tests.assistant.conftest import LLAMA_3, tiny_tokenizer

ANSWER = [{"role": "assistant", "content": "Dropout lowers overfitting [1.1]."}]


def conversation(request_: Request) -> dict[str, Any]:
    return {"prompt": messages(request_), "completion": ANSWER}


@pytest.mark.parametrize("template", [LLAMA_3, None])
def test_the_prompt_is_what_serving_asks_and_the_rest_is_the_answer(request_: Request, template: str | None) -> None:
    tokenizer = with_template(tiny_tokenizer(template))
    example = encoded(tokenizer, conversation(request_), {tokenizer.eos_token_id})
    assert example.prompt == encode(tokenizer, messages(request_))
    assert tokenizer.decode(example.completion).replace("\n", "") == "Dropout lowers overfitting [1.1].<|eot_id|>"
    assert example.completion[-1] == tokenizer.eos_token_id
    assert sum(example.completion_mask) == len(example.completion)


def test_what_follows_the_token_that_ends_is_not_taught(request_: Request) -> None:
    tokenizer = tiny_tokenizer(LLAMA_3.replace("'<|eot_id|>'", "'<|eot_id|>\n\n'"))
    example = encoded(tokenizer, conversation(request_), {tokenizer.eos_token_id})
    assert example.completion[-1] == tokenizer.eos_token_id


def test_a_template_without_an_end_gets_one(request_: Request) -> None:
    tokenizer = tiny_tokenizer(LLAMA_3.replace(" + '<|eot_id|>'", ""))
    example = encoded(tokenizer, conversation(request_), {tokenizer.eos_token_id})
    assert example.completion[-1] == tokenizer.eos_token_id


def test_a_template_that_rewrites_the_prompt_is_refused(request_: Request) -> None:
    tokenizer = tiny_tokenizer("{{ messages | length }}" + LLAMA_3)
    with pytest.raises(FootnoteError, match="training would not match serving"):
        encoded(tokenizer, conversation(request_), {tokenizer.eos_token_id})


def test_the_template_that_is_kept_does_not_know_what_day_it_is() -> None:
    dated = "{% if not date_string is defined %}{% set date_string = 'today' %}{% endif %}{{ date_string }}"
    tokenizer = with_template(with_template(tiny_tokenizer(dated)))
    assert tokenizer.apply_chat_template([{"role": "user", "content": "Q"}], tokenize=False) == DATE
    assert tokenizer.chat_template.count(DATE) == 1
    assert with_template(tiny_tokenizer(None)).chat_template == TEMPLATE


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


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder that says it is Llama 3.1 8B, without any weights."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps(KNOWN["meta-llama/Llama-3.1-8B-Instruct"]))
    return tmp_path / "base"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    row = {"prompt": [{"role": "user", "content": "Q"}], "completion": [{"role": "assistant", "content": "A"}]}
    (tmp_path / "data").mkdir()
    for part in ("train", "eval"):
        (tmp_path / "data" / f"{part}.jsonl").write_text(json.dumps(row) + "\n")
    return tmp_path / "data"


def refusal(base: str | Path, data: Path, **more: object) -> str:
    with pytest.raises(FootnoteError) as caught:
        train(Recipe(base=str(base), data=data, out=data.parent / "out", **more))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not (data.parent / "out").exists()
    return str(caught.value)


def test_no_such_folder(data: Path) -> None:
    assert refusal("./nowhere", data) == (
        "there is no base model at ./nowhere: --base FOLDER, or a name such as meta-llama/Llama-3.1-8B-Instruct"
    )


def test_no_such_model_and_no_network(data: Path) -> None:
    assert "neither a folder here nor can it be fetched" in refusal("somebody/some-model", data)


@pytest.mark.parametrize(
    ("raised", "said"),
    [("GatedRepoError", "is gated: accept its licence at https://huggingface.co/a/b, then: hf auth login"),
     ("RepositoryNotFoundError", "there is no model a/b on the Hub")],
)  # fmt: skip
def test_a_gated_or_unknown_model(data: Path, raised: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    import huggingface_hub
    from huggingface_hub import errors

    def fetch(*_: object) -> str:
        request = httpx.Request("GET", "https://huggingface.co")
        raise getattr(errors, raised)("no", response=httpx.Response(403, request=request))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    assert said in refusal("a/b", data)


def test_a_large_model_without_a_gpu(base: Path, data: Path) -> None:
    assert "has 8.0 billion parameters and this machine has no GPU" in refusal(base, data)


def test_a_model_of_another_family(base: Path, data: Path) -> None:
    (base / "config.json").write_text('{"model_type": "mamba"}')
    assert "is no model of the Llama family" in refusal(base, data)


def test_an_adapter_is_no_base(base: Path, data: Path) -> None:
    (base / "adapter_config.json").write_text('{"base_model_name_or_path": "the/base"}')
    assert refusal(base, data).endswith("is an adapter, not a base model: --base the/base")


def test_no_data_or_damaged_data(base: Path, data: Path) -> None:
    (data / "eval.jsonl").write_text('{"text": "something else"}\n')
    assert "line 1 of" in refusal(base, data)
    (data / "eval.jsonl").unlink()
    assert f"footnote finetune dataset --out {data}" in refusal(base, data)


def test_too_little_memory_names_what_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Recipe(base="", data=Path(), out=Path(), batch=4)
    needed = training(Shape.of(KNOWN["meta-llama/Llama-3.1-8B-Instruct"]), chosen, 2048)
    monkeypatch.setattr(recipe, "_free", lambda gpu: 8e9)
    with pytest.raises(
        FootnoteError, match=r"free are 8\.0 GB\. Try --batch 1; meta-llama/Llama-3\.2-3B-Instruct would fit"
    ):
        recipe.enough_memory(needed, chosen, 2048, gpu=True)


def test_examples_that_are_too_long_are_neither_cut_nor_dropped() -> None:
    assert recipe.lengths([5, 80, 7], 0, 100) == 80
    with pytest.raises(FootnoteError, match=r"^1 of 3 examples are longer than 60 tokens .* --max-length 80, or "):
        recipe.lengths([5, 80, 7], 60, 100)
    with pytest.raises(FootnoteError, match=r"2 of 2 examples .* --max-length 300 is beyond the model's 100, so: "):
        recipe.lengths([300, 200], 0, 100)


def test_packing_without_flash_attention(base: Path, data: Path, tmp_path: Path) -> None:
    from finetune.train import _packs

    with pytest.raises(FootnoteError, match="needs a GPU and flash attention"):
        _packs(Recipe(base=str(base), data=data, out=tmp_path, packing="on"), gpu=False)


def test_a_checkpoint_that_was_being_written_is_not_gone_on_from(tmp_path: Path) -> None:
    for step, state in ((10, '{"global_step": 10}'), (20, '{"global_ste'), (9, '{"global_step": 9}')):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-30").mkdir()
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert last_checkpoint(tmp_path / "nothing") is None


def test_what_is_no_adapter_is_not_merged(base: Path, tmp_path: Path) -> None:
    with pytest.raises(FootnoteError, match="is no adapter: footnote finetune train --out"):
        merge(base, tmp_path / "merged")


def test_a_merge_does_not_write_over_anything(base: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    with pytest.raises(FootnoteError, match="is not empty: give another --out"):
        merge(tmp_path, base)


def test_all_linear_means_every_linear_layer_of_a_block_and_is_the_default(tmp_path: Path) -> None:
    default = Recipe(base="b", data=tmp_path, out=tmp_path)
    named = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert tuple(default.modules) == named == tuple(LLAMA_8B.matrices)
    every, two = replace(default, targets=named), replace(default, targets=("q_proj", "v_proj"))
    assert training(LLAMA_8B, default, 2048) == training(LLAMA_8B, every, 2048)
    assert training(LLAMA_8B, two, 2048).total < training(LLAMA_8B, default, 2048).total
    assert two.modules == ["q_proj", "v_proj"]


def test_layers_that_there_are_not_are_refused_in_one_line_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(FootnoteError, match="there are no layers w_proj: --targets takes some of all-linear, q_proj,"):
        training(LLAMA_8B, Recipe(base="b", data=tmp_path, out=tmp_path, targets=("q_proj", "w_proj")), 2048)


def test_ollamas_template_writes_what_training_wrote() -> None:
    told = (Path(finetune.__file__).parent / "README.md").read_text("utf-8")
    (template,) = re.findall(r'TEMPLATE """(.*?)"""', told, re.DOTALL)
    loop = re.compile(
        r'\{\{ range \.Messages \}\}\{\{ if ne \.Role "system" \}\}(.*?)\{\{ end \}\}\{\{ end \}\}', re.DOTALL
    )
    (turn,) = loop.findall(template)
    one = turn.replace("{{ .Role }}", "user").replace("{{ .Content }}", "Why?")
    by_ollama = loop.sub(lambda match: one, template).replace("{{ .System }}", "Answer.")
    jinja = (Path(trl.__file__).parent / "chat_templates" / "llama3_1.jinja").read_text("utf-8")
    tokenizer = with_template(tiny_tokenizer(jinja))
    asked = [{"role": "system", "content": "Answer."}, {"role": "user", "content": "Why?"}]
    by_training = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert by_training == tokenizer.bos_token + by_ollama  # which llama.cpp puts in front itself
