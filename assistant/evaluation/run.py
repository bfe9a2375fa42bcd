"""One evaluation from the command line: what it asks for, in order, and what it prints."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.evaluation import compare, generate, judge, predictions, questions, record, report, summary
from assistant.evaluation.batches import generate_batch
from assistant.evaluation.content import Report
from assistant.evaluation.floors import RECIPE
from assistant.evaluation.predictions import Log, Prediction
from assistant.evaluation.price import estimate, is_claude
from assistant.evaluation.questions import Question
from assistant.evaluation.score import Measures
from assistant.evaluation.telling import Bar, put, say
from assistant.evaluation.together import WritesMany, generate_together
from ingest.errors import FootnoteError

if TYPE_CHECKING:
    from assistant.answer import Assistant
    from ingest.library import Library

MISSING_SHOWN = 3
CHANGES_SHOWN = 20
SERVER_WORKERS = 4


def evaluate(args: Namespace) -> int:
    args.out = args.out or Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M")
    finished = _generate(args) if args.questions else True
    return _report(args) if finished else max(1, _report(args))


def _generate(args: Namespace) -> bool:
    """Ask what has not been asked yet; False where something is left."""
    from ingest.library import Library

    args.models = args.models or ["quotes"]
    chosen = questions.read(args.questions, args.split)[: args.limit]
    library = Library(args.library, say)
    chosen = _placed(library, chosen)
    kept = record.make(library, args.questions, _settings(args))
    record.check(args.out, kept)
    assistants = {name: _assistant(library, name, args) for name in args.models}
    left = {name: _unanswered(args.out, name, chosen) for name in args.models}
    if not _agreed(args, assistants, left):
        raise FootnoteError(
            "not begun: the price was not agreed to; --yes goes ahead without asking, --limit N asks less"
        )
    record.write(args.out, kept)
    log = Log(args.out / predictions.FILE)
    try:
        outcomes = [_ask(args, assistants[name], name, left[name], log) for name in args.models]
        if not args.no_recipe:
            _recipe(args, library, chosen, log)
    finally:
        log.close()
    return not any(o.left_out or o.failed for o in outcomes)


def _assistant(library: Library, name: str, args: Namespace) -> Assistant:
    from assistant.answer import Assistant

    assistant = Assistant(library, name, rerank=not args.no_rerank)
    writer = assistant.writer  # what it lacks is said now and not with every question; so is a key below
    if is_claude(name):
        writer.client()  # type: ignore[attr-defined]
    return assistant


def _placed(library: Library, chosen: Sequence[Question]) -> list[Question]:
    """With the evidence found in the library, which must be the one that the questions are about."""
    placed, missing = questions.place(chosen, [d.path for d in library.documents()], library.text)
    for line in missing[:MISSING_SHOWN]:
        say(f"evidence not found: {line}")
    if len(missing) > MISSING_SHOWN:
        say(f"and {len(missing) - MISSING_SHOWN} more pieces of evidence that are not in the library")
    wanted = [e for q in placed for e in q.evidence]
    if wanted and not any(e.start >= 0 for e in wanted):
        raise FootnoteError(
            f"nothing that the questions rest on is in the library at {library.place} (it lacks {wanted[0].document}): "
            f"ingest the documents that the questions are about, or name their library with --library DIR"
        )
    return placed


def _settings(args: Namespace) -> dict[str, object]:
    names = ("questions", "library", "split", "limit", "models", "no_rerank", "no_recipe")
    return {name: str(v) if isinstance(v := getattr(args, name), Path) else v for name in names}


def _unanswered(out: Path, model: str, chosen: Sequence[Question]) -> list[Question]:
    done = {p.question.id for p in predictions.read(out / predictions.FILE) if p.model == model and not p.failed}
    return [question for question in chosen if question.id not in done]


def _agreed(args: Namespace, assistants: dict[str, Assistant], left: dict[str, list[Question]]) -> bool:
    """Whether the price of what is left to ask is agreed to; what costs nothing needs no asking."""
    dollars = sum(estimate(assistants[name], name, left[name], batch=args.batch) for name in args.models)
    return agreed(dollars, f"{sum(map(len, left.values()))} questions", args)


def agreed(dollars: float, what: str, args: Namespace) -> bool:
    if not dollars or args.yes:
        return True
    limit = f", at most ${args.budget:.2f}" if args.budget is not None else ""
    line = f"{what}: about ${dollars:.2f}{limit}."
    if not sys.stdin.isatty():
        raise FootnoteError(f"{line} Nobody is there to agree to it: add --yes to go ahead")
    say(f"{line} Go ahead? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _ask(args: Namespace, assistant: Assistant, name: str, left: Sequence[Question], log: Log) -> generate.Outcome:
    spent = sum(generate.cost(p) for p in predictions.read(args.out / predictions.FILE))
    budget = None if args.budget is None else args.budget - spent
    workers, bar = args.workers or (SERVER_WORKERS if is_claude(name) or name.startswith("http") else 1), Bar()
    writer = assistant.writer
    if args.batch and is_claude(name):
        outcome = generate_batch(assistant, name, left, log, args.out, say)
    elif workers > 1 and isinstance(writer, WritesMany):
        outcome = generate_together(assistant, writer, name, left, log, size=workers, tell=bar)
    else:
        predict = generate.predictor(assistant, name)
        outcome = generate.generate(predict, name, left, log, workers=workers, budget=budget, tell=bar)
    if outcome.asked:
        price = f", ${outcome.dollars:.2f}" if outcome.dollars else ""
        say(f"{name}: {outcome.asked} questions in {outcome.seconds:.1f} s{price}")
    if outcome.failed:
        say(f"{name}: {outcome.failed} answers failed; the same command asks them again")
    if outcome.left_out:
        say(f"{name}: {outcome.left_out} questions not asked, the budget is spent; a larger --budget goes on from here")
    return outcome


def _recipe(args: Namespace, library: Library, chosen: Sequence[Question], log: Log) -> None:
    """The floor of retrieval, with the library's own embedding model."""
    from assistant.evaluation.floors import recipe
    from ingest.embed import embedder

    if left := _unanswered(args.out, RECIPE, chosen):
        started = time.perf_counter()
        generate.generate(recipe(library, embedder(library.meta("embedder_name") or None)), RECIPE, left, log)
        say(f"{RECIPE}: {len(left)} questions in {time.perf_counter() - started:.1f} s, embedding included")


def _report(args: Namespace) -> int:
    """Score what is there; 1 where `--must-hold` does not."""
    found = predictions.read(args.out / predictions.FILE)
    if not found:
        raise FootnoteError(f"no run at {args.out}: make one with `footnote evaluate QUESTIONS --out {args.out}`")
    kept = record.read(args.out)
    judged, agreement = _judged(args, found)
    scored = summary.summarise(found, judged)
    comparisons = compare.between(scored)
    if args.against:
        before = summary.summarise(predictions.read(args.against / predictions.FILE))
        comparisons = [*compare.against(before, scored, str(args.against)), *comparisons]
    made = Report(scored, kept, comparisons, agreement, _notes(args, kept, found))
    value = report.write_report(args.out, made)
    if args.mlflow is not None:
        from assistant.evaluation.tracking import track

        say(track(args.out, value, args.mlflow))
    put(json.dumps(value, ensure_ascii=False, indent=1) if args.json else report.in_brief(made))
    say(f"{args.out / report.PAGE} has pictures, the worst questions and what was missed")
    return _held(comparisons if args.must_hold else [], str(args.against), scored)


def _judged(args: Namespace, found: Sequence[Prediction]) -> tuple[Mapping[judge.Key, Measures], list[list[str]]]:
    if args.judge:
        judge.run(args.judge, found, args.out, lambda dollars, what: agreed(dollars, what, args), say)
    verdicts = judge.read(args.out)
    return judge.measures(verdicts, found), judge.agreement(verdicts, found)


def _notes(args: Namespace, kept: record.Record, found: Sequence[Prediction]) -> list[str]:
    notes = []
    if failed := sum(p.failed for p in found):
        notes.append(f"{failed} answers failed and are left out of the scores; the same command asks them again.")
    if args.against and (
        changed := record.differing(record.read(args.against).get("hashes", {}), kept.get("hashes", {}))
    ):
        notes.append(f"Since {args.against} these have changed: {', '.join(changed)}.")
    return notes


def _held(comparisons: Sequence[compare.Comparison], label: str, scored: summary.Summary) -> int:
    fallen = [f"{c.after}: {name}" for c in comparisons if c.before.endswith(f" in {label}") for name in c.fallen]
    for line in fallen:
        say(f"did not hold: {line} is worse than in {label}, beyond its interval")
    return 1 if fallen else 0


def replay(args: Namespace) -> int:
    """Make a run again from its record, elsewhere, and say what is not the same: 0 if nothing is."""
    kept, before = record.read(args.replay), predictions.read(args.replay / predictions.FILE)
    if not kept or not before:
        raise FootnoteError(f"no run at {args.replay}: --replay takes the folder that `footnote evaluate --out` made")
    with tempfile.TemporaryDirectory() as folder:
        again = Namespace(**{**vars(args), **kept["settings"], "out": args.out or Path(folder)})
        again.questions, again.library = Path(again.questions), Path(again.library)
        _generate(again)
        after = predictions.read(again.out / predictions.FILE)
        hashes = record.read(again.out)["hashes"]
    changed = [f"the {name} changed" for name in record.differing(kept["hashes"], hashes)]
    lines = record.changed(before, after)
    for line in [*changed, *lines[:CHANGES_SHOWN]]:
        put(line)
    if len(lines) > CHANGES_SHOWN:
        put(f"and {len(lines) - CHANGES_SHOWN} more")
    put("identical" if not lines else f"{len(lines)} of {len(after)} answers are not the same")
    return 1 if lines else 0
