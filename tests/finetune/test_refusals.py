"""What can be known beforehand is said before anything is loaded, in one line that says what mends it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune import checks
from finetune.memory import KNOWN, Shape, training
from finetune.merge import merge
from finetune.recipe import Recipe
from finetune.train import last_checkpoint, train
from ingest.errors import FootnoteError


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
    recipe = Recipe(base="", data=Path(), out=Path(), batch=4)
    needed = training(Shape.of(KNOWN["meta-llama/Llama-3.1-8B-Instruct"]), recipe, 2048)
    monkeypatch.setattr(checks, "_free", lambda gpu: 8e9)
    with pytest.raises(
        FootnoteError, match=r"free are 8\.0 GB\. Try --batch 1; meta-llama/Llama-3\.2-3B-Instruct would fit"
    ):
        checks.memory(needed, recipe, 2048, gpu=True)


def test_examples_that_are_too_long_are_neither_cut_nor_dropped() -> None:
    assert checks.lengths([5, 80, 7], 0, 100) == 80
    with pytest.raises(FootnoteError, match=r"^1 of 3 examples are longer than 60 tokens .* --max-length 80, or "):
        checks.lengths([5, 80, 7], 60, 100)
    with pytest.raises(FootnoteError, match=r"2 of 2 examples .* --max-length 300 is beyond the model's 100, so: "):
        checks.lengths([300, 200], 0, 100)


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
