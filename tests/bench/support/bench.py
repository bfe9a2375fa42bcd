"""Do these words support this sentence? The judge of support beside the rule that ships and plain word overlap.

    python -m tests.bench support --weights FILE   # ../shared/training/support, and the repository's own pairs
    python -m tests.bench support --exact FILE     # beside weights.safetensors in float, to see what eight bits cost
    python -m tests.bench support --fit            # fits scale, shift and thresholds on dev rows

Sets under `tests/` are neither learned from nor chosen by; `dev` rows of the other sets are not learned from. Balanced
accuracy is the mean of the shares of right answers among what is supported and what is not; 0.5 is a coin.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt

from assistant.facts import Source, contradiction, names, normal
from assistant.footnotes import prove
from ingest.chunks import split_sentences
from ingest.embed import exact, packaged_folder, pair_model, read_safetensors
from tests.bench.support.rows import HELD_OUT, TRAINED, Row, read
from tests.bench.support.serve import DOUBTED, SCALE, SHIFT, SUPPORTED, WEIGHTS, Support

ROOT = Path(__file__).resolve().parents[3]
MATERIAL = ROOT.parent / "shared" / "training" / "support"
PAIRS = Path(__file__).with_name("pairs.jsonl")
MOST_DEV = 400  # rows of one dev set
MOST_PASSED, MOST_REFUSED = 0.15, 0.1

Numbers = npt.NDArray[np.float64]
Scorer = Callable[[Sequence[Row]], Numbers]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A row's evidence as the proof wants it: what is cited, and what stands beside it."""

    cited: tuple[str, ...]
    beside: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Evidence:
        """Lines are units; a single line is cut into its sentences."""
        lines = [line for line in text.splitlines() if line.strip()]
        units = [line for line in lines if not line.startswith("# ")]
        if len(units) == 1:
            units = [units[0][start:end] for start, end in split_sentences(units[0])]
        return cls(tuple(units), tuple(line[2:] for line in lines if line.startswith("# ")))


def by_rule(rows: Sequence[Row]) -> Numbers:
    """`footnotes.prove` as it stands: 1 and up is supported, below it the share of words tells rows apart."""

    def score(row: Row) -> float:
        evidence = Evidence.of(row.evidence)
        proof = prove(row.sentence, evidence.cited, evidence.beside)
        return proof.supported + proof.coverage - (1 if proof.missing else 0)

    return np.array([score(row) for row in rows])


def by_words(rows: Sequence[Row]) -> Numbers:
    return np.array(
        [Source.of(e.cited, e.beside).coverage(normal(r.sentence)) for r in rows for e in [Evidence.of(r.evidence)]]
    )


def by_model(support: Support) -> Scorer:
    return lambda rows: np.array(support.chances([(row.sentence, row.evidence) for row in rows]))


def with_rules(chances: Numbers, rows: Sequence[Row], named: bool = False) -> Numbers:
    """0 where a figure or identifier is not in the words (`named`: or a name), 1 where the sentence stands there."""
    return np.array([settled(row, named, chance) for row, chance in zip(rows, chances, strict=True)])


def settled(row: Row, named: bool, otherwise: float) -> float:
    evidence, said = Evidence.of(row.evidence), normal(row.sentence)
    if is_quote(row.sentence, evidence.cited):
        return 1.0
    missing = set(Source.of(evidence.cited, evidence.beside).lacks(said))
    return 0.0 if missing - (set() if named else set(names(said))) else otherwise


def not_contradicted(chances: Numbers, rows: Sequence[Row]) -> Numbers:
    """0 also where `facts.contradiction` finds one: does the word list still tell what the model does not?"""
    return np.array([0.0 if _contradicts(row) else chance for row, chance in zip(rows, chances, strict=True)])


def _contradicts(row: Row) -> bool:
    evidence = Evidence.of(row.evidence)
    quoted = is_quote(row.sentence, evidence.cited)
    return not quoted and bool(contradiction(normal(row.sentence), Source.of(evidence.cited, evidence.beside)))


def is_quote(sentence: str, cited: Sequence[str]) -> bool:
    """One or several whole units, word for word."""
    squeezed = [" ".join(normal(text).split()).strip(" .") for text in (sentence, *cited)]
    return bool(squeezed[0]) and squeezed[0] in squeezed[1:]


def balanced(scores: Numbers, truth: npt.NDArray[np.bool_], threshold: float) -> float:
    said = scores >= threshold
    return float((said[truth].mean() + (~said[~truth]).mean()) / 2)


def auc(scores: Numbers, truth: npt.NDArray[np.bool_]) -> float:
    """Ties count half."""
    order = np.sort(scores[~truth])
    below, upto = (np.searchsorted(order, scores[truth], side) for side in ("left", "right"))
    return float((below + upto).mean() / 2 / len(order))


def best_threshold(scores: Numbers, truth: npt.NDArray[np.bool_]) -> float:
    tried: list[float] = np.unique(scores).tolist()
    return max(tried, key=lambda t: balanced(scores, truth, t))


def dev_sets(material: Path) -> dict[str, list[Row]]:
    """`dev` rows of what is learned from, and rows of sets that nothing is learned from ("+"), a sample of each."""
    sets = {name: list(read(material / f"{name}.jsonl.gz", "dev")) for name in TRAINED}
    sets |= {f"+{name}": list(read(material / f"{name}.jsonl.gz")) for name in HELD_OUT}
    return {name: Random(1).sample(rows, min(MOST_DEV, len(rows))) for name, rows in sets.items()}


def test_sets(material: Path) -> dict[str, list[Row]]:
    return {path.name.split(".")[0]: list(read(path)) for path in sorted((material / "tests").glob("*.jsonl.gz"))}


def own_pairs(path: Path = PAIRS) -> list[Row]:
    rows = []
    for one in map(json.loads, path.read_text("utf-8").splitlines()):
        rows.append(Row(one["honest"], one["evidence"], True, 0, "own", one["guide"] and "guide"))
        rows.append(Row(one["changed"], one["evidence"], False, 0, "own", one["change"]))
    return rows


def fit(chances: Mapping[str, Numbers], sets: Mapping[str, Sequence[Row]]) -> tuple[float, float]:
    """Platt's scale and shift on top of the chances as they are, every set with the same weight, by Newton's method."""
    scores = np.concatenate([np.log(c / (1 - c)) for c in chances.values()])
    truth = np.concatenate([[row.supported for row in sets[name]] for name in chances]).astype(float)
    weights = np.concatenate([np.full(len(c), 1 / len(c)) for c in chances.values()])
    inputs, beta = np.stack([scores, np.ones_like(scores)], 1), np.array([1.0, 0.0])
    for _ in range(30):
        likely = 1 / (1 + np.exp(-inputs @ beta))
        slope = inputs.T @ (weights * (truth - likely))
        bend = (inputs * (weights * likely * (1 - likely))[:, None]).T @ inputs
        beta = beta + np.linalg.solve(bend, slope)
    return SCALE * beta[0], SHIFT * beta[0] + beta[1]


def table(title: str, sets: Mapping[str, Sequence[Row]], scorers: Mapping[str, tuple[Scorer, float]]) -> None:
    """Balanced accuracy / AUC of each scorer on each set."""
    print(f"\n{title}: balanced accuracy / AUC\n{'':22}{'rows':>6} " + "".join(f"{name:>17}" for name in scorers))
    sums: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for name, rows in sets.items():
        truth = np.array([row.supported for row in rows])
        cells = []
        for scorer, (score, threshold) in scorers.items():
            scores = score(rows)
            sums[scorer].append((balanced(scores, truth, threshold), auc(scores, truth)))
            cells.append("{:>9.3f} / {:.3f}".format(*sums[scorer][-1]))
        print(f"{name:22}{len(rows):6} " + "".join(cells))
    if len(sets) > 1:
        cells = ["{:>9.3f} / {:.3f}".format(*np.mean(both, axis=0)) for both in sums.values()]
        print(f"{'mean':22}{'':6} " + "".join(cells))


def outcomes(title: str, sets: Mapping[str, Sequence[Row]], score: Scorer) -> None:
    """Three outcomes, of what is supported and of what is not."""
    print(f"\n{title}: supported / in doubt / not, of what is supported and of what is not")
    for name, rows in sets.items():
        truth, likely = np.array([row.supported for row in rows]), score(rows)
        print(f"{name:22}{_shares(likely[truth]):>22}{_shares(likely[~truth]):>22}")


def _shares(likely: Numbers) -> str:
    high, low = (likely >= SUPPORTED).mean(), (likely < DOUBTED).mean()
    return f"{high:.2f} / {1 - high - low:.2f} / {low:.2f}"


def remembered(score: Scorer) -> Scorer:
    """Each set is scored once."""
    known: dict[int, Numbers] = {}

    def again(rows: Sequence[Row]) -> Numbers:
        if id(rows) not in known:
            known[id(rows)] = score(rows)
        return known[id(rows)]

    return again


def float_judge(weights: Path) -> Support:
    config = json.loads((packaged_folder() / "config.json").read_text("utf-8"))
    return Support(pair_model(read_safetensors(weights), config, exact))


def speed(support: Support, rows: Sequence[Row]) -> None:
    pairs = [(row.sentence, row.evidence) for row in islice(rows, 60)]
    support.chances(pairs[:5])
    started = time.perf_counter()
    for pair in pairs:
        support.chances([pair])
    single = (time.perf_counter() - started) / len(pairs)
    started = time.perf_counter()
    for at in range(0, len(pairs), 6):
        support.chances(pairs[at : at + 6])
    answer = (time.perf_counter() - started) / (len(pairs) / 6)
    print(f"\none sentence {1000 * single:.1f} ms, an answer of six in one batch {1000 * answer:.1f} ms")


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench support")
    parser.add_argument("--material", type=Path, default=MATERIAL)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="model.onnx")
    parser.add_argument("--exact", type=Path, help="weights.safetensors, to compare")
    parser.add_argument("--fit", action="store_true", help="fit scale, shift and thresholds on dev rows, and stop")
    options = parser.parse_args(argv)
    dev, own = dev_sets(options.material), {"own pairs": own_pairs()}
    model = remembered(by_model(Support(options.weights)))
    if options.fit:
        report_fit(dev, model)
        return
    words = remembered(by_words)
    bar = best_threshold(
        *(
            np.concatenate(part)
            for part in zip(*((words(r), [x.supported for x in r]) for r in dev.values()), strict=True)
        )
    )
    ruled = remembered(lambda rows: with_rules(model(rows), rows))
    scorers: dict[str, tuple[Scorer, float]] = {
        "today's rule": (remembered(by_rule), 1.0),
        "words": (words, bar),
        "model": (model, 0.5),
        "model + rules": (ruled, 0.5),
        "and names": (remembered(lambda rows: with_rules(model(rows), rows, named=True)), 0.5),
        "and lists": (remembered(lambda rows: not_contradicted(ruled(rows), rows)), 0.5),
    }
    if options.exact:
        scorers["model in float"] = (remembered(by_model(float_judge(options.exact))), 0.5)
    tests = test_sets(options.material)
    kinds = {
        kind: [r for r in own["own pairs"] if r.detail == kind or r.supported]
        for kind in sorted({r.detail for r in own["own pairs"] if not r.supported})
    }
    table("Dev rows (+: nothing learned from the set)", dev, scorers)
    table("Tests", tests, scorers)
    table("Own contrast pairs of ML prose", own, scorers)
    table("The same by kind of change, beside all honest rewordings", kinds, {"model + rules": (ruled, 0.5)})
    outcomes("Model + rules", dev | tests | own, ruled)
    speed(Support(options.weights), own["own pairs"])


def report_fit(dev: Mapping[str, Sequence[Row]], model: Scorer) -> None:
    """Chances from logits first, then where they part: of what is not supported at most `MOST_PASSED` may pass as
    supported, and of what is supported at most `MOST_REFUSED` may be called not supported; all sets weigh the same."""
    chances = {name: model(rows) for name, rows in dev.items()}
    scale, shift = fit(chances, dev)
    grid = np.arange(0.02, 0.99, 0.01)
    passed, refused = [], []
    for name, rows in dev.items():
        logits = (np.log(chances[name] / (1 - chances[name])) - SHIFT) / SCALE
        likely, truth = 1 / (1 + np.exp(-(scale * logits + shift))), np.array([row.supported for row in rows])
        passed.append([(likely[~truth] >= t).mean() for t in grid])
        refused.append([(likely[truth] < t).mean() for t in grid])
    supported = grid[np.mean(passed, axis=0) <= MOST_PASSED][0]
    doubted = grid[np.mean(refused, axis=0) <= MOST_REFUSED][-1]
    print(f"SCALE, SHIFT = {scale:.3f}, {shift:.3f}")
    print(f"SUPPORTED, DOUBTED = {supported:.2f}, {min(doubted, supported):.2f}")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
