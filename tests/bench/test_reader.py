from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ingest.embed import Array, Linear, exact, packaged_folder, read_safetensors, rows, to_onnx
from ingest.errors import FootnoteError
from tests.bench.reader import model as training
from tests.bench.reader.groups import Shown
from tests.bench.reader.serve import NOTHING, TOKENS, WEIGHTS, Reader, Text, reading_model, unit_bounds

WHERE = f"{WEIGHTS.parent.name}/{WEIGHTS.name}"
needs_weights = pytest.mark.skipif(
    not WEIGHTS.is_file(), reason=f"no trained reader in tests/bench/{WHERE}: tests/bench/reader/train.py makes one"
)

DROPOUT = [
    "During training, dropout sets a random part of the units to zero at each step.",
    "So no unit can rely on another one, which is why it helps against overfitting.",
    "The lecture was held on a rainy day in spring.",
]
RATE = [
    "Too large a learning rate makes the loss jump about; too small a one makes training crawl.",
    "A common start for Adam is 0.001.",
]
SALARIES = ["| Role | Median |", "| Data analyst | $72,000 |", "| ML engineer | $141,000 |"]
FOREST = [
    "A random forest averages many deep trees, each grown on its own sample of the rows.",
    "Its trees can be grown side by side.",
]
QUESTIONS = [
    ("why does dropout help against overfitting?", 0, 1),
    ("what learning rate should I start with for adam", 1, 1),
    ("How much does an ML engineer earn?", 2, 2),
    ("what is a random forest", 3, 0),
]


def text(context: str, units: list[str], between: str = " ") -> Text:
    """A passage of these units, one after the other."""
    spans, whole = [], ""
    for unit in units:
        whole += between if whole else ""
        spans.append((len(whole), len(whole) + len(unit)))
        whole += unit
    return Text(context, whole, tuple(spans))


PASSAGES = [
    text("Regularisation > Dropout", DROPOUT),
    text("Optimisation > Learning rate", RATE),
    text("Careers > Salaries", SALARIES, "\n"),
    text("Trees > Random forests", FOREST),
]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture(scope="module")
def by_chance() -> dict[str, Array]:
    """The library's own model with heads by chance."""
    chance = np.random.default_rng(0)
    tensors = dict(read_safetensors(packaged_folder() / "model.safetensors"))
    for name, width in (("head", 768), ("token", 384)):
        tensors[f"{name}.weight"] = chance.normal(size=(1, width)).astype(np.float32)
        tensors[f"{name}.bias"] = np.zeros(1, np.float32)
    return tensors


def opened(tensors: dict[str, Array], place: Path, linear: Linear) -> Reader:
    config = json.loads((packaged_folder() / "config.json").read_text("utf-8"))
    weights = place / "model.onnx"
    weights.write_bytes(to_onnx(reading_model(tensors, config, linear)).SerializeToString())
    return Reader(weights)


@pytest.fixture(scope="module")
def untrained(by_chance: dict[str, Array], tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """What has to hold whatever was learned."""
    return opened(by_chance, tmp_path_factory.mktemp("reader"), rows)


@needs_weights
@pytest.mark.parametrize(("question", "right", "unit"), QUESTIONS)
def test_the_passage_that_answers_is_read_as_the_best(reader: Reader, question: str, right: int, unit: int) -> None:
    read = reader.read(question, PASSAGES)
    assert int(np.argmax([one.answers for one in read])) == right


@needs_weights
def test_mostly_the_unit_that_answers_is_the_best_of_its_passage(reader: Reader) -> None:
    best = [int(np.argmax(reader.read(q, PASSAGES)[right].units)) for q, right, _ in QUESTIONS]
    assert sum(one == unit for one, (_, _, unit) in zip(best, QUESTIONS, strict=True)) >= 3


def test_units_are_where_their_offsets_are(untrained: Reader) -> None:
    whole = text("", FOREST)
    first, second = whole.units
    question = "what is a random forest"
    (both,) = untrained.read(question, [whole])
    for units, expected in (((second,), both.units[1:]), ((first,), both.units[:1])):
        (read,) = untrained.read(question, [Text("", whole.text, units)])
        assert read.units == expected
        assert read.answers == both.answers
    (read,) = untrained.read(question, [Text("", whole.text, (first, (first[1], first[1]), second))])
    assert read.units == (both.units[0], NOTHING, both.units[1]), "a unit without a letter says nothing"
    assert both.units[0] != both.units[1]


@needs_weights
def test_questions_that_no_passage_answers_are_read_as_such(reader: Reader) -> None:
    answered = [max(one.answers for one in reader.read(q, PASSAGES)) for q, _, _ in QUESTIONS]
    others = ("who won the world cup in 1998?", "how do I bake sourdough bread", "capital of mongolia")
    not_answered = [max(one.answers for one in reader.read(q, PASSAGES)) for q in others]
    assert min(answered) > max(not_answered)


@needs_weights
def test_an_answer_beyond_the_limit_is_found(reader: Reader) -> None:
    answer = "An ML engineer earns $141,000 a year."
    (without,) = reader.read("How much does an ML engineer earn?", [text("", FILLER)])
    for place in (0, 30, 60):
        units = [*FILLER[:place], answer, *FILLER[place:]]
        (read,) = reader.read("How much does an ML engineer earn?", [text("", units)])
        assert int(np.argmax(read.units)) == place
        assert read.answers > without.answers


FILLER = [f"Step {n} of the build copies the files of part {n} to the folder of the release." for n in range(60)]


def test_every_unit_of_a_passage_beyond_the_limit_gets_a_reading(untrained: Reader) -> None:
    assert len(" ".join(FILLER).split()) > 2 * TOKENS
    (read,) = untrained.read("what is copied?", [text("Build > Release", FILLER)])
    assert len(read.units) == len(FILLER)
    assert NOTHING not in read.units
    assert len(set(read.units)) == len(FILLER), "each is read for itself"


def test_a_unit_longer_than_the_limit_is_read_by_its_beginning(untrained: Reader) -> None:
    long = "It is said again and again that " * 200
    cut, longer = (text("", [FOREST[1], long + end, FOREST[0]]) for end in ("", "it rains " * 50))
    one, other = (untrained.read("what is a random forest", [passage])[0] for passage in (cut, longer))
    assert np.isfinite(one.units).all()
    assert one.units == other.units


def test_a_reading_does_not_depend_on_the_company(untrained: Reader) -> None:
    together = untrained.read("what is a random forest", PASSAGES)
    assert [untrained.read("what is a random forest", [one])[0] for one in PASSAGES] == together


def test_strange_inputs_are_read_and_no_passages_have_no_readings(untrained: Reader) -> None:
    assert untrained.read("dropout", []) == []
    strange = [Text("", "", ()), Text("a " * 900, "\x00 ∑ 学習", ((0, 1), (1, 2), (2, 6))), Text("", "\n\n", ((0, 1),))]
    for read, one in zip(untrained.read("why " * 5000, strange), strange, strict=True):
        assert np.isfinite([read.answers, *read.units]).all()
        assert len(read.units) == len(one.units)


def test_a_token_belongs_to_the_unit_that_it_begins_in() -> None:
    assert unit_bounds([(0, 3), (4, 6), (7, 9), (12, 13)], [(0, 6), (7, 10), (10, 11), (11, 14)]) == [
        (0, 2),
        (2, 3),
        (3, 3),
        (3, 4),
    ]
    assert unit_bounds([], [(0, 0)]) == [(0, 0)]


def test_weights_that_are_not_there_are_named_with_the_way_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(FootnoteError, match="Make them"):
        Reader(tmp_path / "model.onnx")


@pytest.mark.slow
def test_what_is_trained_reads_as_what_serves(by_chance: dict[str, Array], tmp_path: Path) -> None:
    import torch

    trained = training.Reader()
    trained.load_state({name: torch.tensor(by_chance[name]) for name in trained.named()})
    shown = [Shown(p.context, p.text, p.units, (0.0,) * len(p.units), 1.0, False) for p in PASSAGES]
    question = "what is a random forest"
    (batch,) = training.Texts(TOKENS).batches([(question, one) for one in shown], 10_000)
    with torch.inference_mode():
        answers, units = (found.numpy() for found in trained.read(batch))
    served = opened(by_chance, tmp_path, exact).read(question, [PASSAGES[place] for place in batch.places])
    near = {"abs": 0.2, "rel": 0.01}  # words are served in eight bits; these heads give logits of up to 30
    assert answers == pytest.approx([one.answers for one in served], **near)
    assert units == pytest.approx([unit for one in served for unit in one.units], **near)
