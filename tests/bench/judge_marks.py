"""Which units people marked as the answer, against which are chosen: precision, recall and words, set by set."""

from __future__ import annotations

import hashlib
import pickle
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from assistant.asked import Understood, understand
from assistant.judge import unit_features, unit_text, weigh
from assistant.records import Passage
from assistant.retrieve import Found, Query, open_embedder, rarity
from ingest.chunks import Unit
from ingest.words import content_terms, terms
from tests.bench.judge_sets import Scored
from tests.bench.reader.rows import Row, rows_of
from tests.bench.reader.serve import Reader, Text

NEVER_TRAINED = ("sosum", "multispanqa_valid", "covidqa")
HELD_OUT = ("selqa", "qed_nq_dev", "squad2_testhalf", "epqa_dev", "docs_faq", "fetaqa_tables", "tatqa")
SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # of the best unit's chance
GAPS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0)  # of log-odds below the best unit's
MOST = 5

Chances = Sequence[float]


@dataclass(frozen=True, slots=True)
class Marked:
    row: Row
    today: Chances
    reader: Chances


def marks(rows: Path, folder: Path, reader: Reader, most: int) -> None:
    """At most five units, cut by a share of the best one's chance or by log-odds, chosen on the other sets."""
    sets = {name: _marked(rows, folder, reader, name, most) for name in (*NEVER_TRAINED, *HELD_OUT)}
    worth = {way: {name: [_f1(of, way, cut) for cut in way.cuts] for name, of in sets.items()} for way in WAYS}
    print("\nunits that people marked: precision, recall, F1, words (the cut)")
    print(f"{'':24}{'today, shipped (0.2, 4)':>26}" + "".join(f"{way.name:>32}" for way in WAYS) + f"{'marked':>10}")
    for name, of in sets.items():
        cells = [f"{_cell(of, WAYS[0], 0.2, 4):>26}"]
        for way in WAYS:
            cut = way.cuts[int(np.mean([worth[way][n] for n in sets if n != name], axis=0).argmax())]
            cells.append(f"{_cell(of, way, cut, MOST)} ({cut})".rjust(32))
        base = np.mean([len(m.row.answers) / len(m.row.units) for m in of])
        print(f"{name:18}{len(of):6}{''.join(cells)}{base:>10.2f}", flush=True)
    for way in WAYS:
        means = np.round(np.mean([worth[way][n] for n in sets], axis=0), 3).tolist()
        print(f"{way.name}: mean F1 by cut {way.cuts}: {means}")


@dataclass(frozen=True, slots=True)
class Way:
    """Whose chances, and how they are cut."""

    name: str
    whose: str
    by_odds: bool
    cuts: tuple[float, ...]


WAYS = (
    Way("today, by share", "today", False, SHARES),
    Way("today, by log-odds", "today", True, GAPS),
    Way("reader, by share", "reader", False, SHARES),
    Way("reader, by log-odds", "reader", True, GAPS),
)


def _marked(rows: Path, folder: Path, reader: Reader, name: str, most: int) -> list[Marked]:
    found = [row for row in rows_of(rows, name) if row.answerable and (name in NEVER_TRAINED or row.held_out)]
    chosen = Random(0).sample(found, min(most, len(found)))
    today = _todays(chosen, folder / "scores" / f"marks-{name}-{most}.pickle")
    texts = [Text(row.title, row.passage, row.units) for row in chosen]
    read = [reader.read(row.question, [text])[0] for row, text in zip(chosen, texts, strict=True)]
    return [
        Marked(row, chances, [1 / (1 + np.exp(-unit)) for unit in one.units])
        for row, chances, one in zip(chosen, today, read, strict=True)
    ]


def _todays(rows: Sequence[Row], file: Path) -> list[Chances]:
    """Today's unit weights, as if retrieval had brought the passage alone; rarity is that of the set's passages."""
    key = hashlib.sha256(repr([(r.question, r.passage) for r in rows]).encode()).hexdigest()
    if file.is_file() and (kept := pickle.loads(file.read_bytes()))[0] == key:
        return list(kept[1])
    frequencies = Counter(term for row in rows for term in set(terms(row.passage)))
    found = [_found(row, frequencies, len(rows)) for row in rows]
    chances = [list(weigh(one, unit_features(one, open_embedder("").embed)).flat) for one in found]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps((key, chances)))
    return chances


def _found(row: Row, frequencies: Mapping[str, int], count: int) -> Found:
    weights = {term: rarity(frequencies.get(term, 0), count) for term in content_terms(row.question)}
    kind = [("row" if row.passage[start] == "|" else "sentence") for start, _ in row.units]
    units = tuple(Unit(a, b, k) for (a, b), k in zip(row.units, kind, strict=True))  # type: ignore[arg-type]
    header = row.passage[slice(*row.units[0])] if row.passage.startswith("|") else ""
    passage = Passage("", row.title, row.title, 0, len(row.passage), row.passage, 0.5, units, header)
    return Found(Understood(row.question), Query(weights, {}), (passage,), {}, "reranked")


def todays_units(s: Scored, passages: int = 6) -> list[tuple[float, str]]:
    """Today's chances of the units of the best passages."""
    order = np.argsort(-s.today, kind="stable")[:passages]
    best = tuple(
        Passage(p.document, p.title, p.section, p.start, p.end, p.text, float(s.today[i]), p.units, p.header)
        for i, p in ((i, s.passages[i]) for i in order)
    )
    question = s.asked.question
    assert question is not None
    understood = understand(question.question, question.history)
    words = Counter(term for p in s.passages for term in set(terms(p.text)))
    query = Query({t: rarity(words.get(t, 0), len(s.passages)) for t in content_terms(understood.text)}, {})
    found = Found(understood, query, best, {}, "reranked")
    weighed = weigh(found, unit_features(found, open_embedder("").embed))
    return [
        (chance, unit_text(p, unit))
        for p, chances in zip(best, weighed.chances, strict=True)
        for unit, chance in zip(p.units, chances, strict=True)
        if unit.kind != "heading" and unit_text(p, unit).strip() != p.header
    ]


def _chosen(chances: Chances, way: Way, cut: float, most: int) -> set[int]:
    odds = np.log(np.clip(chances, 1e-6, 1 - 1e-6) / (1 - np.clip(chances, 1e-6, 1 - 1e-6)))
    near = odds >= odds.max() - cut if way.by_odds else np.array(chances) >= cut * max(chances)
    return {int(i) for i in np.argsort(-odds, kind="stable")[:most] if near[i]}


def _measures(of: Sequence[Marked], way: Way, cut: float, most: int) -> tuple[float, float, float, float]:
    values = []
    for one in of:
        picked = _chosen(getattr(one, way.whose), way, cut, most)
        hit = len(picked & one.row.answers)
        precision, recall = hit / max(1, len(picked)), hit / len(one.row.answers)
        words = sum(len(one.row.passage[slice(*one.row.units[i])].split()) for i in picked)
        values.append((precision, recall, 2 * hit / (len(picked) + len(one.row.answers)), words))
    return tuple(float(v) for v in np.mean(values, axis=0))  # type: ignore[return-value]


def _f1(of: Sequence[Marked], way: Way, cut: float) -> float:
    return _measures(of, way, cut, MOST)[2]


def _cell(of: Sequence[Marked], way: Way, cut: float, most: int) -> str:
    precision, recall, f1, words = _measures(of, way, cut, most)
    return f"{precision:.2f} {recall:.2f} {f1:.3f} {words:4.0f}"
