"""Does the judge that reads earn its place? Ranking, the decision to answer, and units, beside what stands today.

    python -m tests.bench judge --weights FILE [--folder DIR] [--parts ranking decision units] [--sets NAME ...]

All judges read the same candidates. Whatever is fitted here (how much a logit weighs, the decision, the cut of units)
is fitted on the other sets and reported on the one left out. `--folder` keeps libraries and scores for the next time;
a folder is good for one `--most` and `--read` each, and for one library format.

The answer so far is no (NOTES.md, "A judge that reads"); `tests.bench.reader.train` makes weights to try again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assistant.evaluation.score import facts_in, wilson
from tests.bench import judge_sets as sets
from tests.bench.judge_marks import marks, todays_units
from tests.bench.judge_sets import Scored, scored
from tests.bench.reader.serve import WEIGHTS, Reader

SHARED = sets.ROOT.parent / "shared"
BUDGETS = (1000, 2500)
GRID = (0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2)  # of a logit beside the first stage's score

Numbers = NDArray[np.float64]
Order = Callable[[Scored], Numbers]


def main(argv: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--folder", type=Path, help="keeps libraries and scores; a temporary one otherwise")
    parser.add_argument("--retrieval", type=Path, default=SHARED / "bench" / "retrieval")
    parser.add_argument("--dialogues", type=Path, default=SHARED / "bench" / "dialog" / "canard_dev.jsonl")
    parser.add_argument("--rows", type=Path, default=SHARED / "training" / "reader")
    parser.add_argument("--most", type=int, default=150, help="questions of a set, of either kind")
    parser.add_argument("--read", type=int, default=20, help="candidates that are read")
    parser.add_argument("--half", default="fit", help="of the corpus' questions")
    parser.add_argument("--sets", nargs="*", help="only these")
    parser.add_argument("--parts", nargs="*", default=["ranking", "decision", "units"])
    args = parser.parse_args(argv)
    if not args.weights.is_file():
        _say(f"\njudge: skipped, {args.weights} is not there")
        return
    with tempfile.TemporaryDirectory() as folder:
        args.folder = args.folder or Path(folder)
        report(args)


def report(args: argparse.Namespace) -> None:
    reader = Reader(args.weights)
    known = all_scored(args, reader)
    if "ranking" in args.parts:
        ranking(known)
    if "decision" in args.parts:
        decision({name: known[name] for name in known if any(not s.asked.answerable for s in known[name])})
    if "units" in args.parts:
        facts_in_units(known.get("corpus", []))
        marks(args.rows, args.folder, reader, args.most)


def all_scored(args: argparse.Namespace, reader: Reader) -> dict[str, list[Scored]]:
    where, most = args.folder, args.most
    made = {
        "corpus": lambda: sets.corpus(where, args.half),
        "squad2": lambda: sets.squad(args.retrieval / "squad2_dev", where, most),
        "docs_faq": lambda: sets.docs_faq(args.rows, where, most),
        "sosum": lambda: sets.sosum(args.rows, where, most),
        "dialogues": lambda: sets.dialogues(args.dialogues, where, most),
        "ml_faq": lambda: sets.retrieval(args.retrieval / "ml_faq", where, most),
        "scifact": lambda: sets.retrieval(args.retrieval / "scifact", where, most),
    }
    found = {}
    for name, make in made.items():
        if args.sets is None or name in args.sets:
            key = f"{name}-{args.half}" if name == "corpus" else f"{name}-{most}"
            found[name] = scored(key, make, reader, args.weights, where, args.read)
            _say(f"read {name}: {len(found[name])} questions")
    return found


# --- ranking ------------------------------------------------------------------------------------------------------


def ranking(known: Mapping[str, Sequence[Scored]]) -> None:
    """Facts within characters on the corpus, nDCG@10 where documents are judged."""
    usable = {n: [s for s in of if s.asked.question or s.asked.right] for n, of in known.items()}
    usable = {n: [s for s in of if s.asked.answerable] for n, of in usable.items() if of}
    judges: dict[str, Callable[[float], Order]] = {
        "today's reranker": lambda w: lambda s: s.fused + w * s.reranker,
        "reader": lambda w: lambda s: s.fused + w * s.answers,
        "reader, best unit": lambda w: lambda s: s.fused + w * (s.answers + _best_units(s)) / 2,
    }
    _head("ranking the same candidates: corpus all facts within 1,000 / 2,500, others nDCG@10", list(usable))
    _row("no judge", [_cell(n, of, lambda s: s.fused) for n, of in usable.items()])
    _row("today (as shipped)", [_cell(n, of, lambda s: s.today) for n, of in usable.items()])
    for label, make in judges.items():
        _row(f"{label} alone", [_cell(n, of, make(1e3)) for n, of in usable.items()])
        worth = {n: [_value(n, of, make(w)) for w in GRID] for n, of in usable.items()}
        cells = []
        for name, of in usable.items():
            others = [np.array(worth[n]) - worth[n][0] for n in usable if n != name] or [np.zeros(len(GRID))]
            w = GRID[int(np.mean(others, axis=0).argmax())]
            cells.append(f"{_cell(name, of, make(w))} ({w})")
        _row(f"{label}, weight by others", cells)
        _say(f"    by weight {GRID}: " + "; ".join(f"{n} {np.round(v, 3).tolist()}" for n, v in worth.items()))


def _best_units(s: Scored) -> Numbers:
    return np.array([max(r.units, default=-9.0) for r in s.readings])


def _value(name: str, of: Sequence[Scored], order: Order) -> float:
    return float(np.mean([_within(s, order) for s in of])) if name == "corpus" else _ndcg(of, order)


def _cell(name: str, of: Sequence[Scored], order: Order) -> str:
    if name != "corpus":
        return f"{_ndcg(of, order):.3f}"
    return " / ".join(f"{share:.3f}" for share in np.mean([_within(s, order) for s in of], axis=0))


def _within(s: Scored, order: Order) -> list[bool]:
    assert s.asked.question is not None
    text = "\n".join(s.passages[i].text for i in np.argsort(-order(s), kind="stable"))
    return [facts_in(text[:n], s.asked.question.facts) == 1 for n in BUDGETS]


def _ndcg(of: Sequence[Scored], order: Order) -> float:
    values = []
    for s in of:
        ranked = list(dict.fromkeys(s.passages[i].document for i in np.argsort(-order(s), kind="stable")))[:10]
        gains = [1 / np.log2(i + 2) for i, d in enumerate(ranked) if d in s.asked.right]
        values.append(sum(gains) / sum(1 / np.log2(i + 2) for i in range(min(10, len(s.asked.right)))))
    return float(np.mean(values))


# --- the decision to answer ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signals:
    names: tuple[str, ...]
    values: Numbers
    answerable: NDArray[np.bool_]

    def only(self, names: Sequence[str]) -> Numbers:
        return self.values[:, [self.names.index(name) for name in names]]


def signals(of: Sequence[Scored]) -> Signals:
    """What is known of a question before anything is written. "first" is the first stage's best passage."""
    rows = []
    for s in of:
        total = s.fused + 0.04 * s.answers
        first, best = int(np.argmax(s.fused)), int(np.argmax(total))
        units = _best_units(s)
        rows.append(
            {
                "plain score": float(s.fused.max()),
                "today's score": float(np.log(s.today.max() / (1 - s.today.max() + 1e-9) + 1e-9)),
                "today's logit": float(s.reranker.max()),
                "cosine": float(s.cosine.max()),
                "words": float(s.anywhere.max()),
                "reader best": float(s.answers.max()),
                "reader first": float(s.answers[first]),
                "reader at best": float(s.answers[best]),
                "reader top 3": float(np.sort(s.answers)[::-1][:3].mean()),
                "unit best": float(units.max()),
                "unit at best": float(units[best]),
                "both best": float((s.answers + units).max()),
            }
        )
    return Signals(
        tuple(rows[0]), np.array([list(r.values()) for r in rows]), np.array([s.asked.answerable for s in of])
    )


FITTED: dict[str, tuple[str, ...]] = {
    "cosine + words": ("cosine", "words"),
    "today's: score, cosine, words, logit": ("plain score", "cosine", "words", "today's logit"),
    "reader: best, first": ("reader best", "reader first"),
    "reader + plain score": ("plain score", "reader best"),
    "reader + cosine, words": ("cosine", "words", "reader best", "reader first"),
    "reader + units + cosine, words": ("cosine", "words", "reader best", "reader first", "unit best"),
    "reader + units + plain score": ("plain score", "reader best", "unit best"),
}


def decision(known: Mapping[str, Sequence[Scored]]) -> None:
    """AUC, and false answers where 90 % of the answerable questions are answered, on the set left out of fitting."""
    of = {name: signals(scored) for name, scored in known.items()}
    if len(of) == 1:
        _say("\nonly one set: what is fitted here is fitted on itself and flattered; ask for more --sets")
    counts = [f"{n} {s.answerable.sum()}+{(~s.answerable).sum()}" for n, s in of.items()]
    _head("decision to answer: AUC [95 % interval] and false answers where 90 % are answered", counts)
    names = next(iter(of.values())).names
    for name in names:
        _row(name, [_judged(s.only([name])[:, 0], s.answerable) for s in of.values()])
    for label, chosen in FITTED.items():
        _row(label, [_judged(left_out(of, name, chosen), of[name].answerable) for name in of])
        coefficients, bias, _ = _fit(list(of.values()), chosen)
        pairs = ", ".join(f"{n} {c:.3f}" for n, c in zip(chosen, coefficients, strict=True))
        _say(f"    fitted on all sets: bias {bias:.3f}, {pairs}")
        if len(of) > 1:
            _thresholds(of, chosen)


def left_out(of: Mapping[str, Signals], name: str, chosen: Sequence[str]) -> Numbers:
    """Log-odds on one set by a regression that was fitted on the others, each set with equal weight."""
    coefficients, bias, _ = _fit([s for n, s in of.items() if n != name] or [of[name]], chosen)
    return np.asarray(of[name].only(chosen) @ coefficients + bias)


def _fit(of: Sequence[Signals], chosen: Sequence[str]) -> tuple[Numbers, float, Numbers]:
    from sklearn.linear_model import LogisticRegression

    values = np.concatenate([s.only(chosen) for s in of])
    labels = np.concatenate([s.answerable for s in of])
    shares = [np.where(s.answerable, s.answerable.mean(), (~s.answerable).mean()) * len(s.answerable) for s in of]
    weights = len(labels) / len(of) / 2 / np.concatenate(shares)
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    model = LogisticRegression(C=1.0, max_iter=5000).fit((values - mean) / spread, labels, weights)
    coefficients = model.coef_[0] / spread
    return coefficients, float(model.intercept_[0] - coefficients @ mean), mean


def _thresholds(of: Mapping[str, Signals], chosen: Sequence[str]) -> None:
    """At two thresholds set on the others: for 90 % of theirs answered, and for 5 % false answers of theirs."""
    cells = []
    for name, s in of.items():
        own = left_out(of, name, chosen)
        coefficients, bias, _ = _fit([o for n, o in of.items() if n != name] or [s], chosen)
        theirs = [(o.only(chosen) @ coefficients + bias, o.answerable) for n, o in of.items() if n != name]
        low = np.mean([np.quantile(v[a], 0.1) for v, a in theirs])
        high = np.mean([np.quantile(v[~a], 0.95) for v, a in theirs])
        shares = [(own[s.answerable] >= low).mean(), (own[~s.answerable] >= low).mean()]
        shares += [(own[s.answerable] >= high).mean(), (own[~s.answerable] >= high).mean()]
        cells.append(f"{name} " + " ".join(f"{100 * share:.0f}" for share in shares))
    _say("    % answered and falsely, at 90 % of the others', then at 5 % false of the others': " + "; ".join(cells))


def _judged(values: Numbers, answerable: NDArray[np.bool_]) -> str:
    from sklearn.metrics import roc_auc_score

    random, areas = np.random.default_rng(0), []
    for _ in range(300):
        drawn = random.integers(0, len(values), len(values))
        if 0 < answerable[drawn].sum() < len(drawn):
            areas.append(roc_auc_score(answerable[drawn], values[drawn]))
    low, high = np.quantile(areas, [0.025, 0.975])
    false = int((values[~answerable] >= np.quantile(values[answerable], 0.1)).sum())
    count = int((~answerable).sum())
    bounds = wilson(false, count)
    area = roc_auc_score(answerable, values)
    return f"{area:.3f} [{low:.2f} {high:.2f}] {100 * false / count:.0f}%<{100 * bounds[1]:.0f}"


# --- units --------------------------------------------------------------------------------------------------------


def facts_in_units(of: Sequence[Scored]) -> None:
    """Facts in at most five units, and how many words they are: the reader's units beside today's."""
    asked = [s for s in of if s.asked.answerable and s.asked.question and s.asked.question.facts]
    if not asked:
        return
    _head("corpus: all facts / share of facts in at most five units, and words", ["0.1", "0.2", "0.3", "0.4", "0.5"])
    ways: dict[str, Callable[[Scored], list[tuple[float, str]]]] = {
        "today's units, today's passages": todays_units,
        "reader's units, today's passages": lambda s: readers_units(s, s.today),
        "reader's units, reader's passages": lambda s: readers_units(s, s.fused + 0.04 * s.answers),
    }
    for label, way in ways.items():
        chosen = [way(s) for s in asked]
        cells = []
        for share in (0.1, 0.2, 0.3, 0.4, 0.5):
            said = [[t for c, t in sorted(one, reverse=True)[:5] if c >= share * max(one)[0]] for one in chosen]
            facts = [facts_in("\n".join(t), s.asked.question.facts) for t, s in zip(said, asked, strict=True)]  # type: ignore[union-attr]
            words = np.mean([len(" ".join(t).split()) for t in said])
            cells.append(f"{np.mean([f == 1 for f in facts]):.3f} {np.mean(facts):.3f} {words:.0f}")
        _row(label, cells)


PASSAGES = 6


def readers_units(s: Scored, order: Numbers) -> list[tuple[float, str]]:
    """The units of the best passages with their chance: the mean of the unit's and its passage's log-odds."""
    found = []
    for i in np.argsort(-order, kind="stable")[:PASSAGES]:
        passage, reading = s.passages[i], s.readings[i]
        for unit, logit in zip(passage.units, reading.units, strict=True):
            text = passage.text[unit.start - passage.start : unit.end - passage.start]
            if unit.kind != "heading" and text.strip() != passage.header:
                found.append((float(1 / (1 + np.exp(-(logit + reading.answers) / 2))), text))
    return found


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _head(title: str, columns: Sequence[str]) -> None:
    _say(f"\n{title}\n{'':38}" + "".join(f"{c:>24}" for c in columns))


def _row(name: str, cells: Sequence[str]) -> None:
    _say(f"{name:38}" + "".join(f"{c:>24}" for c in cells))


if __name__ == "__main__":
    main(sys.argv[1:])
