"""The reader: question and passage together, and what of the passage answers.

One pass gives the passage's logit and one for each of its units. An experiment: a small cross-encoder of our own, in
eight bits on onnxruntime, that does not beat what ships (NOTES.md, "A judge that reads"), so no weights of it are in
the repository. `tests.bench.reader.train` makes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.embed import (
    Array,
    Builder,
    Linear,
    Model,
    _embedded,
    _integers,
    _layer,
    _mean,
    cores,
    exact,
    open_session,
    packaged_folder,
    rows,
)
from ingest.errors import FootnoteError

if TYPE_CHECKING:
    import onnxruntime

WEIGHTS = Path(__file__).with_name("model.onnx")  # where the tests look; kept out of git
TOKENS = 256  # question, context, passage and the three marks around them
QUESTION_TOKENS, CONTEXT_TOKENS = 64, 96  # of a longer question the beginning is read, of a longer context the end

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Text:
    """A passage to be read. `context` is what stands beside it: title, headings, a table's header. `units` are offsets
    in `text`."""

    context: str
    text: str
    units: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """Logits: above 0 where the passage, or the unit, more likely than not answers."""

    answers: float
    units: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a passage is read at once: its tokens from `start` to `end`, and the units that it tells of."""

    place: int
    start: int
    end: int
    units: range


class Reader:
    """Opens in about 0.1 s. Safe to use from several threads."""

    def __init__(self, weights: Path = WEIGHTS, threads: int = 0) -> None:
        from tokenizers import Tokenizer

        if not weights.is_file():
            raise FootnoteError(f"The reader's weights are not at {weights}. Make them: tests/bench/reader/train.py")
        self._session = open_session(weights)
        self._threads = threads or cores()
        self._tokenizer = Tokenizer.from_file(str(packaged_folder() / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._start, self._end = self._tokenizer.encode("").ids

    def read(self, question: str, passages: Sequence[Text]) -> list[Reading]:
        """A reading of each passage. One that is too long is read in parts: its best part speaks for it."""
        texts = [question, *(t for p in passages for t in (p.context, p.text))]
        asked, *read = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        first = [self._start, *asked.ids[:QUESTION_TOKENS], self._end]
        beside = [context.ids[-CONTEXT_TOKENS:] for context in read[::2]]
        bounds = [unit_bounds(t.offsets, p.units) for t, p in zip(read[1::2], passages, strict=True)]
        parts = [
            part
            for place, text in enumerate(read[1::2])
            for part in _parts(place, len(text.ids), bounds[place], TOKENS - len(first) - len(beside[place]) - 1)
        ]
        feeds = []
        for part in parts:
            second = [*beside[part.place], *read[2 * part.place + 1].ids[part.start : part.end], self._end]
            feeds.append({"ids": first + second, "types": [0] * len(first) + [1] * len(second)})
        best = [-np.inf] * len(passages)
        units = [[-np.inf] * len(p.units) for p in passages]
        for part, (answers, tokens) in zip(parts, run_all(self._session, feeds, self._threads), strict=True):
            best[part.place] = max(best[part.place], float(answers[0]))
            shift = len(first) + len(beside[part.place]) - part.start
            for unit in part.units:
                low, high = bounds[part.place][unit]
                of_unit = tokens[max(low, part.start) + shift : min(high, part.end) + shift]
                units[part.place][unit] = float(of_unit.mean()) if len(of_unit) else NOTHING
        return [Reading(one, tuple(of)) for one, of in zip(best, units, strict=True)]


NOTHING = -9.0  # of a unit without a single token: an empty line


def unit_bounds(offsets: Sequence[Span], units: Sequence[Span]) -> list[Span]:
    """Each unit's first token and the one behind its last. A token belongs to the unit that it begins in."""
    starts = np.array([start for start, _ in offsets], np.int64)
    return [(int(low), int(high)) for low, high in np.searchsorted(starts, np.array(units, np.int64).reshape(-1, 2))]


def _parts(place: int, tokens: int, bounds: Sequence[Span], room: int) -> Iterator[_Part]:
    """The whole passage where there is room; otherwise runs of whole units, each with the last unit of the one before,
    which may say what "it" is. A unit longer than the room is read by its beginning."""
    if tokens <= room or not bounds:
        yield _Part(place, 0, min(tokens, room), range(len(bounds)))
        return
    cuts = [0]
    for unit, (_, high) in enumerate(bounds):
        if high - bounds[_lead(cuts[-1], bounds, room)][0] > room and unit > cuts[-1]:
            cuts.append(unit)
    for first, behind in pairwise([*cuts, len(bounds)]):
        start = bounds[_lead(first, bounds, room)][0] if first else 0
        end = bounds[behind - 1][1] if behind < len(bounds) else tokens
        yield _Part(place, start, min(start + room, end), range(first, behind))


def _lead(first: int, bounds: Sequence[Span], room: int) -> int:
    """The unit before, where it leaves room for most of what it leads to."""
    return first - 1 if first and bounds[first - 1][1] - bounds[first - 1][0] < room // 3 else first


# The graph, and how it is run: as `ingest.embed` has it for one output, here with two.


def reading_model(tensors: Mapping[str, Array], config: Mapping[str, Any], linear: Linear = rows) -> Model:
    """Two texts read as one: how well the second answers the first, and a score for each token.

    A unit's score is the mean of its tokens', so a unit may be any run of tokens and the graph need not know of it.
    """
    builder = Builder()
    before = _two_texts(builder, tensors, config)
    last = config["num_hidden_layers"] - 1
    for number in range(last):
        before = _layer(builder, before, number, tensors, config, linear)
    mean = _mean(builder, before)
    states = _layer(builder, before, last, tensors, config, linear)
    at = [_integers(builder, f"first{i}", [i]) for i in (0, 1, 1)]
    first = builder.add("Squeeze", [builder.add("Slice", [states, *at], "first.state"), at[1]], "first")
    both = builder.add("Concat", [first, mean], "both", axis=-1)
    exact(builder, both, tensors["head.weight"], tensors["head.bias"], "answers")
    each = exact(builder, states, tensors["token.weight"], tensors["token.bias"], "tokens.wide")
    builder.add("Squeeze", [each, _integers(builder, "last", [2])], "tokens")
    return _model(builder, ["ids", "types"], {"answers": 1, "tokens": "tokens"})


def _two_texts(builder: Builder, tensors: Mapping[str, Array], config: Mapping[str, Any]) -> str:
    """Words, in eight bits each as they are half of all weights, with their place and which text they are in."""
    from onnx import TensorProto

    words = tensors["embeddings.word_embeddings.weight"]
    scales = np.maximum(np.abs(words).max(axis=1, keepdims=True) / 127, 1e-12).astype(np.float32)
    whole = builder.weight("words", np.rint(words / scales).astype(np.int8))
    word = builder.add("Cast", [builder.add("Gather", [whole, "ids"], "word.int")], "word.float", to=TensorProto.FLOAT)
    scale = builder.add("Gather", [builder.weight("words.scales", scales), "ids"], "word.scale")
    types = builder.weight("types.table", tensors["embeddings.token_type_embeddings.weight"])
    kind = builder.add("Gather", [types, "types"], "type")
    return _embedded(builder, builder.add("Mul", [word, scale], "word"), kind, tensors, config)


def _model(builder: Builder, inputs: Sequence[str], outputs: Mapping[str, int | str]) -> Model:
    """`outputs` by name with their width, a number or `tokens`."""
    from onnx import TensorProto, helper

    tokens = [helper.make_tensor_value_info(name, TensorProto.INT32, [1, "tokens"]) for name in inputs]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, wide]) for name, wide in outputs.items()]
    return Model(helper.make_graph(builder.nodes, "texts", tokens, results), builder.weights)


def run_all(
    session: onnxruntime.InferenceSession, inputs: Sequence[Mapping[str, Sequence[int]]], threads: int
) -> list[list[Array]]:
    """All results of each input, in order; the longest go first, so that no thread is left with one at the end."""

    def run(place: int) -> list[Array]:
        feed = {name: np.array([values], np.int32) for name, values in inputs[place].items()}
        return [result[0] for result in session.run(None, feed)]

    order = sorted(range(len(inputs)), key=lambda place: -len(inputs[place]["ids"]))
    if threads == 1 or len(order) < 2:
        found = dict(zip(order, map(run, order), strict=True))
    else:
        with ThreadPoolExecutor(min(threads, len(order))) as pool:
            found = dict(zip(order, pool.map(run, order), strict=True))
    return [found[place] for place in range(len(inputs))]
