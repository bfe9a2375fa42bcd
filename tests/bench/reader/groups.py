"""What the reader sees at once: a question, a passage that answers it, and passages that do not.

Passages are cut to runs of whole units, so that they look like a library's chunks. Which run, which wrong passages and
whether the title is shown are drawn anew each time a question comes up.
"""

from __future__ import annotations

import pickle
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from finetune.reranker import Miner, Words, best
from ingest.embed import MiniLM
from tests.bench.reader.rows import SHARES, Row, rows_of

FEWEST, MOST = 35, 130  # tokens of a passage, about 150 to 550 characters
MOST_SHOWN = 3  # passages of a question, the right one among them
MINED = 12  # wrong passages kept for each question
NEARER = 0.97  # a passage nearer than this share of the right one's similarity may answer too
EMBEDDED = 300  # characters of a passage
EMBEDDED_POOLS: tuple[str, ...] = ()  # the others are mined by words alone, which takes a tenth of the time
POOLS = (  # sets whose passages are wrong ones for each other
    ("docs_faq", "docs_howto"),
    ("qed_nq_dev", "selqa", "quotesum_dev"),
    ("squad2_testhalf", "squad2_train_sample"),
    ("squad1_nqg_sentences",),
    ("epqa_dev",),
    ("semipqa_tables",),
    ("fetaqa_tables", "wtq_tables"),
    ("tatqa",),
    ("medquad",),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A run of a row's units as the reader sees it. `labels` are of the units; `trust` is what they weigh."""

    context: str
    text: str
    units: tuple[tuple[int, int], ...]
    labels: tuple[float, ...]
    trust: float
    right: bool


@dataclass(frozen=True, slots=True)
class Group:
    question: str
    passages: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Material:
    """Rows with, for each, the places of rows whose passages look right and are not, and of its twins."""

    rows: list[Row]
    mined: list[list[int]]
    twins: list[list[int]]
    pool: list[int]
    pools: list[list[int]]


def prepare(folder: Path, cache: Path, held_out: bool, limit: int = 1_000_000) -> Material:
    """Reads the sets and looks for wrong passages; the result is kept, as it takes minutes."""
    if cache.is_file():
        kept: Material = pickle.loads(cache.read_bytes())
        return kept
    random, model = Random(0), MiniLM()
    material = Material([], [], [], [], [])
    for names in POOLS:
        _pool(folder, names, held_out, limit, model, random, material)
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_bytes(pickle.dumps(material))
    return material


def _pool(
    folder: Path, names: Sequence[str], held_out: bool, limit: int, model: MiniLM, random: Random, into: Material
) -> None:
    """The rows of a few sets, with each other's passages as wrong ones."""
    first, rows = len(into.rows), _read(folder, names, held_out, limit, random)
    texts = list(dict.fromkeys(row.passage for row in rows))
    holder = {row.passage: place for place, row in reversed(list(enumerate(rows)))}
    questions = list(dict.fromkeys(row.question for row in rows))
    sights = [f"{rows[holder[text]].title}\n{text[:EMBEDDED]}" for text in texts]
    looked = _by_both(sights, questions, model) if names[0] in EMBEDDED_POOLS else _by_words(sights, questions)
    alike = dict(zip(questions, ([(texts[i], near) for i, near in found] for found in looked), strict=True))
    right, twins = _by_question(rows, first)
    for row in rows:
        wrong = _wrong(row, alike[row.question], right[row.question])
        into.mined.append([first + holder[text] for text in wrong][:MINED])
        into.twins.append(twins[row.question] if row.answerable else [])
        into.pool.append(len(into.pools))
    into.rows.extend(rows)
    into.pools.append(list(range(first, first + len(rows))))
    sys.stderr.write(f"{' '.join(names)}: {len(rows)} rows, {len(texts)} passages\n")


def _read(folder: Path, names: Sequence[str], held_out: bool, limit: int, random: Random) -> list[Row]:
    """A set's rows, and of its twins (`.removed`, `.mined`) those whose question is among them."""
    rows: list[Row] = []
    for name in names:
        for kind in ("", ".removed", ".mined"):
            if (folder / f"{name}{kind}.jsonl.gz").is_file():
                found = [row for row in rows_of(folder, name + kind) if row.held_out is held_out]
                rows += found if kind else random.sample(found, min(_wanted(name, len(found)), limit, len(found)))
    asked = {row.question for row in rows if "." not in row.source}
    return [row for row in rows if "." not in row.source or row.question in asked]


def _by_question(rows: Sequence[Row], first: int) -> tuple[dict[str, set[str]], dict[str, list[int]]]:
    """The passages that answer each question, and the places of its twins."""
    right: dict[str, set[str]] = defaultdict(set)
    twins: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.answerable:
            right[row.question].add(row.passage)
        if "." in row.source:
            twins[row.question].append(first + place)
    return right, twins


def _wrong(row: Row, alike: Sequence[tuple[str, float]], right: set[str]) -> list[str]:
    """Of the passages that look right, those that are not, as far as one can tell."""
    near = dict(alike)
    most = NEARER * near.get(row.passage, 9.0) if row.answerable and row.trust < 1 else 9.0
    return [text for text, cosine in alike if text not in right and cosine < most and not _overlap(text, row.passage)]


def _by_both(texts: Sequence[str], questions: Sequence[str], model: MiniLM) -> Iterator[list[tuple[int, float]]]:
    """The places nearest by vector and by words, each with its cosine."""
    miner, asking = Miner(texts, model), model.embed(questions)
    for vector, places in zip(asking, miner.alike(questions, dense=16, lexical=10), strict=True):
        yield [(place, float(miner.vectors[place] @ vector)) for place in places]


def _by_words(texts: Sequence[str], questions: Sequence[str]) -> Iterator[list[tuple[int, float]]]:
    words = Words(texts)
    for question in questions:
        yield [(place, 0.0) for place in best(words.scores(question), MINED + 2)]


def _wanted(name: str, count: int) -> int:
    return max(1, round(min(1.0, 3 * SHARES[name]) * count))


def _overlap(one: str, other: str) -> bool:
    middle = other[len(other) // 2 : len(other) // 2 + 60]
    return len(middle) > 30 and middle in one


def plan(material: Material, passes: int, seed: int) -> list[int]:
    """The places of rows in the order in which they come up."""
    random = Random(seed)
    order: list[int] = []
    for _ in range(passes):
        one = []
        for place, row in enumerate(material.rows):
            if "." in row.source:
                continue
            share = max(SHARES[row.source], 1 / 3)  # of the others, three times their share are here
            one += [place] * (int(share) + (random.random() < share % 1))
        random.shuffle(one)
        order += one
    return order


def draw(material: Material, place: int, random: Random, count_tokens: dict[str, list[int]]) -> Group:
    """A question with its passages: the right one first, if there is one."""
    row = material.rows[place]
    keep = random.random() < 0.5
    show = Show(random, keep, count_tokens)
    passages = [show.run(row, row.answers, right=True)] if row.answerable else [show.run(row, frozenset(), right=False)]
    wrong: list[Shown] = []
    if row.answerable and row.trust == 1 and random.random() < 0.45:
        beside = show.beside(row)
        wrong += [beside] if beside else []
    if material.twins[place] and random.random() < 0.5:
        wrong.append(show.run(material.rows[random.choice(material.twins[place])], frozenset(), right=False))
    mined = material.mined[place]
    for _ in range(1 if wrong or not row.answerable else 2):
        if mined:
            other = material.rows[mined[min(int(random.expovariate(0.3)), len(mined) - 1)]]
            wrong.append(show.run(other, frozenset(), right=False, trust=0.25))
    if random.random() < (0.5 if row.answerable else 0.15):
        other = material.rows[random.choice(material.pools[material.pool[place]])]
        if other.passage != row.passage and other.question != row.question:
            wrong.append(show.run(other, frozenset(), right=False, trust=0.5))
    question = row.question
    if random.random() < 0.25:
        question = question.rstrip(" ?").lower()
    random.shuffle(wrong)
    return Group(question, tuple((passages + wrong)[:MOST_SHOWN]))


class Show:
    """Cuts rows to runs of units, with or without what stands beside them."""

    def __init__(self, random: Random, keep: bool, counts: dict[str, list[int]]) -> None:
        self.random, self.keep, self.counts = random, keep, counts

    def run(self, row: Row, answers: frozenset[int], right: bool, trust: float | None = None) -> Shown:
        sizes = self._sizes(row)
        start = self.random.choice(sorted(answers)) if answers else self.random.randrange(len(row.units))
        first, last = self._grown(sizes, start, 0, len(sizes))
        return self._shown(row, first, last, answers, right, row.trust if trust is None else trust)

    def beside(self, row: Row) -> Shown | None:
        """Units of the same passage of which none answers: a near miss that people have looked at."""
        runs, first = [], None
        for place in range(len(row.units) + 1):
            if place == len(row.units) or place in row.answers:
                if first is not None and row.units[place - 1][1] - row.units[first][0] > 150:
                    runs.append((first, place))
                first = None
            elif first is None:
                first = place
        if not runs:
            return None
        low, high = self.random.choice(runs)
        first, last = self._grown(self._sizes(row), self.random.randrange(low, high), low, high)
        return self._shown(row, first, last, frozenset(), False, row.trust)

    def _sizes(self, row: Row) -> list[int]:
        if row.passage not in self.counts:
            self.counts[row.passage] = [
                1 + len(re.findall(r"\w{1,6}|[^\w\s]", row.passage[start:end])) for start, end in row.units
            ]
        return self.counts[row.passage]

    def _grown(self, sizes: Sequence[int], start: int, low: int, high: int) -> tuple[int, int]:
        """From one unit, units are added before and after it until there are enough tokens."""
        wanted = self.random.uniform(FEWEST, MOST)
        first, last, total = start, start + 1, sizes[start]
        lean = self.random.random()
        while total < wanted and (first > low or last < high):
            before = first > low and (last >= high or self.random.random() < lean)
            size = sizes[first - 1] if before else sizes[last]
            if total + size > MOST:
                break
            first, last, total = (first - 1, last, total + size) if before else (first, last + 1, total + size)
        return first, last

    def _shown(self, row: Row, first: int, last: int, answers: frozenset[int], right: bool, trust: float) -> Shown:
        begin = row.units[first][0]
        text = row.passage[begin : row.units[last - 1][1]]
        units = tuple((start - begin, end - begin) for start, end in row.units[first:last])
        labels = tuple(float(place in answers) for place in range(first, last))
        context = row.title if self.keep else ""
        header = row.passage[slice(*row.units[0])]
        if first and header.startswith("|") and row.passage[begin] == "|":
            context = f"{context}\n{header[:200]}".strip()
        return Shown(context, text, units, labels, trust, right)
