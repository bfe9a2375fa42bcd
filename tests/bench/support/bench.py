"""Do these words support this sentence? The judge of support beside the rule that it replaced and plain word overlap.

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
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt

from assistant.facts import Source, negated, normal, swapped
from assistant.footnotes import Claim, is_quote
from assistant.support import DOUBTED, SCALE, SHIFT, SUPPORTED, WEIGHTS, Support
from finetune.support import HELD_OUT, TRAINED, Row, read
from ingest.chunks import split_sentences
from ingest.embed import exact, packaged_folder, pair_model, read_safetensors
from tests.bench.support.changes import CHANGES, changed
from tests.bench.support.rule import coverage, old_score, opposite, turned, unknown_names

ROOT = Path(__file__).resolve().parents[3]
MATERIAL = ROOT.parent / "shared" / "training" / "support"
PAIRS = Path(__file__).with_name("pairs.jsonl")
MOST_DEV = 400  # rows of one dev set
MOST_PASSED, MOST_REFUSED = 0.15, 0.1

Numbers = npt.NDArray[np.float64]
Scorer = Callable[[Sequence[Row]], Numbers]
Finder = Callable[[str, Source], object]  # what speaks against a sentence, if anything

KEPT: dict[str, Finder] = {"negated": lambda said, source: negated(said, source.cited), "swapped": swapped}
GONE: dict[str, Finder] = {
    "opposite": lambda said, source: opposite(said, source.cited),
    "turned": lambda said, source: turned(said, source.cited),
    "names": unknown_names,
}


def claim_of(row: Row) -> Claim:
    """A row as the proof wants it: lines of evidence are units; a single one is cut into its sentences."""
    lines = [line for line in row.evidence.splitlines() if line.strip()]
    units = [line for line in lines if not line.startswith("# ")]
    if len(units) == 1:
        units = [units[0][start:end] for start, end in split_sentences(units[0])]
    return Claim(row.sentence, tuple(units), tuple(line[2:] for line in lines if line.startswith("# ")))


def by_rule(rows: Sequence[Row]) -> Numbers:
    return np.array([old_score(claim_of(row)) for row in rows])


def by_words(rows: Sequence[Row]) -> Numbers:
    return np.array([coverage(claim_of(row)) for row in rows])


def by_model(support: Support) -> Scorer:
    """The rows as the proof has them read."""
    return lambda rows: np.array(support.chances([(normal(row.sentence), claim_of(row).evidence()) for row in rows]))


def with_rules(chances: Numbers, rows: Sequence[Row], *found: Finder) -> Numbers:
    """As it is proved: 1 for a quote, 0 where a figure or identifier is not in the words, or something `found` is."""

    def settled(row: Row, otherwise: float) -> float:
        claim = claim_of(row)
        if is_quote(claim):
            return 1.0
        said, source = normal(row.sentence), Source.of(claim.cited, claim.beside)
        return 0.0 if source.lacks(said) or any(one(said, source) for one in found) else otherwise

    return np.array([settled(row, chance) for row, chance in zip(rows, chances, strict=True)])


def ruled_with(model: Scorer, found: Sequence[Finder], rows: Sequence[Row]) -> Numbers:
    return with_rules(model(rows), rows, *found)


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


def sets_kept_apart(material: Path) -> dict[str, list[Row]]:
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
    """CPU, so that other work on the machine does not count; the clock's time is less where two cores are free."""
    pairs = [(normal(row.sentence), claim_of(row).evidence()) for row in islice(rows, 60)]
    support.chances(pairs[:5])
    started = time.process_time()
    for at in range(0, len(pairs), 6):
        support.chances(pairs[at : at + 6])
    spent = (time.process_time() - started) / len(pairs)
    print(f"\n{1000 * spent:.1f} ms of CPU a sentence, in answers of six")


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
        "the old rule": (remembered(by_rule), 1.0),
        "words": (words, bar),
        "model": (model, 0.5),
        "model + rules": (ruled, 0.5),
        "as proved": (remembered(partial(ruled_with, model, list(KEPT.values()))), 0.5),
    }
    for name in KEPT:
        others = [find for other, find in KEPT.items() if other != name]
        scorers[f"less {name}"] = (remembered(partial(ruled_with, model, others)), 0.5)
    for name, find in GONE.items():
        scorers[f"and {name}"] = (remembered(partial(ruled_with, model, [*KEPT.values(), find])), 0.5)
    if options.exact:
        scorers["model in float"] = (remembered(by_model(float_judge(options.exact))), 0.5)
    tests = sets_kept_apart(options.material)
    kinds = {
        kind: [r for r in own["own pairs"] if r.detail == kind or r.supported]
        for kind in sorted({r.detail for r in own["own pairs"] if not r.supported})
    }
    table("Dev rows (+: nothing learned from the set)", dev, scorers)
    table("Tests", tests, scorers)
    table("Own contrast pairs of ML prose", own, scorers)
    table("The same by kind of change, beside all honest rewordings", kinds, {"model + rules": (ruled, 0.5)})
    outcomes("Model + rules", dev | tests | own, ruled)
    report_changes([row for rows in dev.values() for row in rows], model)
    speed(Support(options.weights), own["own pairs"])


def report_changes(rows: Sequence[Row], model: Scorer) -> None:
    """Sentences that stand there word for word, changed in one place: how many do not pass as supported."""
    units = (claim_of(row).cited for row in rows)
    texts = list(dict.fromkeys(cited[0] for cited in units if len(cited) == 1 and len(cited[0].split()) > 5))
    print(f"\n{len(texts)} sentences changed in one place, supported no more: model, + rules, and negated, and swapped")
    for change in CHANGES:
        made = [Row(other, text, False) for text, other in changed(texts, change)]
        scored = [model(made), with_rules(model(made), made)]
        scored += [with_rules(model(made), made, find) for find in KEPT.values()]
        print(f"{change:22}{len(made):6} " + "".join(f"{(one < SUPPORTED).mean():>9.3f}" for one in scored))


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
