"""From a library to a model that answers, through the real 4 bit path, on a Llama made on the spot.

The whole must learn: after half a minute's training the model says word for word what it was taught, with its unit ids.
That holds only if template, mask, lengths, merging and serving all fit together.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from finetune import recipe
from finetune.merge import merge
from finetune.phrasing import Example
from finetune.prefer import Preference, prefer
from finetune.recipe import Encoded
from finetune.train import FINISHED, compared, train
from tests.finetune import tiny


@dataclass(frozen=True)
class World:
    place: Path
    examples: list[Example]
    base: Path
    data: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = tmp_path_factory.mktemp("world")
    with tiny.one_thread():
        found = tiny.examples(tiny.library(place / "guides"))
        yield World(place, found, tiny.llama(place / "base", found), tiny.data(place / "data", found))


@pytest.fixture(scope="module")
def adapter(world: World) -> Path:
    return train(tiny.recipe(world.base, world.data, world.place / "adapter"))


def test_what_is_taught_has_answers_with_ids_and_refusals(world: World) -> None:
    kinds = {example.kind for example in world.examples}
    assert {"table", "column", "code", "follow", "missing", "elsewhere"} <= kinds
    assert len(world.examples) == 24


def test_a_killed_run_goes_on_to_the_very_same_weights(world: World) -> None:
    recipe = replace(tiny.recipe(world.base, world.data, world.place / "killed"), **tiny.SHORT)
    undisturbed = train(replace(recipe, out=world.place / "undisturbed"))
    _kill_after(recipe.out / "checkpoints" / "checkpoint-5" / "trainer_state.json", recipe.out)
    assert not (recipe.out / FINISHED).exists()
    said: list[str] = []
    train(recipe, said.append)
    first = next(line for line in said if line.startswith("step "))
    assert int(first.split()[1]) > 5, "it began anew"
    same = "adapter_model.safetensors"
    assert (recipe.out / same).read_bytes() == (undisturbed / same).read_bytes()


def test_the_adapter_and_the_merged_model_say_what_was_taught_word_for_word(world: World, adapter: Path) -> None:
    assert tiny.learned(adapter, world.examples) == 1
    assert tiny.learned(adapter, world.examples, "nf4") == 1
    merged = merge(adapter, world.place / "merged")
    assert {"model.safetensors", "tokenizer.json", "chat_template.jinja", "README.md"} <= set(os.listdir(merged))
    assert (merged / "model.safetensors").stat().st_mode == (merged / "README.md").stat().st_mode
    assert tiny.learned(merged, world.examples) == 1
    found = compared(adapter, merged, world.data)
    assert found.tokens > 50
    assert found.same > 0.9
    assert max(found.loss_beside, found.loss_merged) < 0.5
    assert f"{found.same:.1%} are chosen alike" in str(found)
    assert tiny.learned(world.base, world.examples) == 0


def test_a_model_learns_to_prefer_what_the_proof_prefers(world: World, adapter: Path) -> None:
    """Its own answers, drawn so hot that some are wrong: each better one gains on its worse one."""
    preference = Preference(
        adapter=adapter, data=world.data, out=world.place / "preferred", questions=6, answers=4, temperature=2.5,
        margin=0.1, room=40, steps=8, batch=4, accumulate=1, learning_rate=5e-4, checkpointing=False, sample=2,
    )  # fmt: skip
    said: list[str] = []
    preferred = prefer(preference, said.append)
    pairs = [
        row["pair"] for row in map(json.loads, (preferred / "pairs.jsonl").read_text().splitlines()) if row["pair"]
    ]
    assert len(pairs) > 3
    assert all(pair["merits"][0] > pair["merits"][1] for pair in pairs)
    before, after = (tiny.leads(folder, world.data, pairs) for folder in (adapter, preferred))
    assert sum(one < other for one, other in zip(before, after, strict=True)) == len(pairs)
    assert said[0].startswith("before: of 2 held-out answers: merit ")
    assert "answered 100%" in said[0]
    assert (preferred / FINISHED).exists()
    assert tiny.learned(preferred, world.examples[:6]) > 0.5, "it forgot what it knew"


def _answer_not_taught(example: Encoded) -> Encoded:
    """Only its first token is."""
    first = len(example.prompt)
    return Encoded(example.input_ids, [int(i == first) for i in range(len(example.input_ids))])


def _end_not_taught(example: Encoded) -> Encoded:
    return Encoded(example.input_ids, [*example.completion_mask[:-1], 0])


def _another_template(example: Encoded) -> Encoded:
    """Without the mark at which the assistant begins."""
    cut = len(example.prompt) - 1
    drop = slice(cut - 2, cut + 1)
    ids, mask = list(example.input_ids), list(example.completion_mask)
    del ids[drop], mask[drop]
    return Encoded(ids, mask)


SLOW = pytest.param(_answer_not_taught, marks=pytest.mark.slow)


@pytest.mark.parametrize("broken", [SLOW, _end_not_taught, _another_template])
def test_a_broken_mask_or_template_is_found_out(world: World, broken: object, monkeypatch: pytest.MonkeyPatch) -> None:
    right = recipe.encoded
    monkeypatch.setattr(recipe, "encoded", lambda *given: broken(right(*given)))  # type: ignore[operator]
    out = world.place / broken.__name__  # type: ignore[attr-defined]
    assert tiny.learned(train(tiny.recipe(world.base, world.data, out)), world.examples) < 0.5


def test_a_finished_run_is_left_as_it_is(world: World, adapter: Path) -> None:
    before = (adapter / "adapter_model.safetensors").stat().st_mtime_ns
    said: list[str] = []
    train(tiny.recipe(world.base, world.data, adapter), said.append)
    assert said == [f"{adapter} is finished already; --model llama:{adapter} answers with it"]
    assert (adapter / "adapter_model.safetensors").stat().st_mtime_ns == before


def _kill_after(file: Path, out: Path) -> None:
    """The same training from the command line, shot once it has got so far."""
    command = [
        sys.executable,
        "-m",
        "tests.finetune.tiny",
        str(out.parent / "base"),
        str(out.parent / "data"),
        str(out),
    ]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
    waited = time.monotonic()
    while not file.exists() and process.poll() is None and time.monotonic() - waited < 300:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert file.exists(), errors.decode()[-2000:]
