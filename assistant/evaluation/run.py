"""`footnote evaluate`: generate, then score, then report.

footnote evaluate corpus/questions.jsonl --model quotes --split test --out runs/today
footnote evaluate --out runs/today                          score again what is there; no model is asked
footnote evaluate corpus/questions.jsonl --out runs/now --against runs/today --must-hold
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import platform
import re
import shlex
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assistant.evaluation import predictions, questions, report, score, second_opinion
from assistant.evaluation.predictions import (
    Log,
    Prediction,
    WritesMany,
    estimate,
    generate_batch,
    generate_together,
    is_claude,
)
from assistant.evaluation.questions import Question
from assistant.evaluation.report import Report
from assistant.evaluation.score import Measures
from assistant.records import Passage
from assistant.terminal import Bar, agreed, say
from assistant.writers import writer
from ingest.errors import FootnoteError, WriterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from assistant.answer import Assistant
    from ingest.library import Library


# What is asked for.


def add_arguments(parser: ArgumentParser, library: ArgumentParser) -> None:
    """`library` is the parser that knows `--library`."""
    add = parser.add_argument
    add("--library", default=library.get_default("library"), metavar="DIR", help="the library (default: %(default)s)")
    add(
        "questions",
        nargs="?",
        type=Path,
        metavar="QUESTIONS",
        help="a question set; without one, --out is scored again",
    )
    add("--model", dest="models", action="append", default=[], metavar="NAME", help="as `ask` takes it; repeatable")
    add("--out", type=Path, metavar="DIR", help="the run's folder; a run that was stopped goes on (default: runs/DATE)")
    add("--split", default="all", help="fit, test or all (default: %(default)s)")
    add("--limit", type=int, metavar="N", help="N of the questions, spread over their kinds")
    add(
        "--workers",
        type=int,
        metavar="N",
        help="questions at once (default: 4 for a server, else 1); llama answers them as one batch",
    )
    add("--no-rerank", action="store_true", help="do without the reranker")
    add("--no-recipe", action="store_true", help="do without the recipe, the floor of retrieval that has to embed")
    paid = parser.add_argument_group("what costs money")
    paid.add_argument("--yes", action="store_true", help="do not ask before a run that costs money")
    paid.add_argument("--budget", type=float, metavar="DOLLARS", help="begin no more questions once this is spent")
    paid.add_argument(
        "--batch", action="store_true", help="Claude through message batches: half the price, up to a day"
    )
    paid.add_argument("--judge", metavar="NAME", help="have claude, claude:NAME or a chat server's URL judge too")
    then = parser.add_argument_group("comparing and keeping")
    then.add_argument("--against", type=Path, metavar="RUN", help="compare with an earlier run's folder")
    then.add_argument("--must-hold", action="store_true", help="exit 1 if a score fell beyond its interval")
    then.add_argument("--replay", type=Path, metavar="RUN", help="make a run again and say what is not the same")
    then.add_argument("--mlflow", nargs="?", const="", metavar="URI", help="log the run to MLflow")
    then.add_argument("--json", action="store_true", help="scores.json on standard output")
    other = parser.add_argument_group("instead of a question set")
    other.add_argument("--convert", type=Path, metavar="SOURCE", help="a BEIR folder or a SQuAD file, into --out")
    other.add_argument("--log", type=Path, metavar="FILE", help="report on the questions that were logged in real use")
    other.add_argument("--domain-check", action="store_true", help="what local models know without any guide")
    parser.set_defaults(run=run, parser=parser)


def run(args: Namespace) -> int:
    """Exit status 0, 1 where something did not hold or was not finished, 2 for options that do not go together."""
    if args.domain_check:
        import_module("finetune.merge").domain_check(args.models, args.out)  # by name: finetune leans on this package
        if not args.questions:
            return 0
    _check(args)
    if args.convert:
        from assistant.evaluation.questions import convert

        return convert(args.convert, args.out)
    if args.log:
        return report_log(args.log, args.out)
    if args.replay:
        return replay(args)

    return evaluate(args)


def _check(args: Namespace) -> None:
    wrong = args.parser.error
    ways = [name for name in ("questions", "convert", "log", "replay") if getattr(args, name)]
    if len(ways) > 1:
        wrong(f"{' and '.join(ways)} are different things to do: give one of them")
    if not ways and not args.out:
        wrong("give a question set, or the --out of a run to score again")
    if args.convert and not args.out:
        wrong("--convert needs --out, the folder to put documents and questions into")
    if args.must_hold and not args.against:
        wrong("--must-hold needs --against RUN")
    for name in ("limit", "workers"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            wrong(f"--{name} must be 1 or more")
    for name in args.models:
        try:
            writer(name)
        except WriterError as error:
            wrong(f"argument --model: {error}")
    if args.against and not (args.against / "predictions.jsonl").is_file():
        raise FootnoteError(
            f"no run at {args.against}: make one with `footnote evaluate QUESTIONS --out {args.against}`"
        )


# Questions asked, scored and reported, and made again.

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
    from ingest.writing import mend_beside

    args.models = args.models or ["quotes"]
    chosen = questions.spread(questions.read(args.questions, args.split), args.limit)
    library = Library(args.library, say, mend_beside)
    chosen = _placed(library, chosen)
    kept = make(library, args.questions, _settings(args))
    check(args.out, kept, args.questions)
    assistants = {name: _assistant(library, name, args) for name in args.models}
    left = {name: _unanswered(args.out, name, chosen) for name in args.models}
    if not _agreed(args, assistants, left):
        raise FootnoteError(
            "not begun: the price was not agreed to; --yes goes ahead without asking, --limit N asks less"
        )
    write(args.out, kept)
    log = Log(args.out / predictions.FILE)
    try:
        outcomes = [_ask(args, assistants[name], name, left[name], log) for name in args.models]
        if not args.no_recipe:
            _recipes(args, library, chosen, log)
    finally:
        log.close()
    return not any(o.left_out or o.failed for o in outcomes)


def _assistant(library: Library, name: str, args: Namespace) -> Assistant:
    from assistant.answer import Assistant

    assistant = Assistant(library, name, rerank=not args.no_rerank)
    if is_claude(name):  # that its key is missing is said now and not with every question
        assistant.writer.client()  # type: ignore[attr-defined]
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
    return _may_cost(dollars, f"{sum(map(len, left.values()))} questions", args)


def _may_cost(dollars: float, what: str, args: Namespace) -> bool:
    limit = f", at most ${args.budget:.2f}" if args.budget is not None else ""
    return not dollars or agreed(f"{what}: about ${dollars:.2f}{limit}", args.yes)


def _ask(args: Namespace, assistant: Assistant, name: str, left: Sequence[Question], log: Log) -> predictions.Outcome:
    workers = args.workers or (SERVER_WORKERS if is_claude(name) or name.startswith("http") else 1)
    many = assistant.writer
    with Bar(f"questions by {name}") as bar:
        if args.batch and is_claude(name):
            outcome = generate_batch(assistant, name, left, log, args.out, bar.say)
        elif workers > 1 and isinstance(many, WritesMany):
            outcome = generate_together(assistant, many, name, left, log, size=workers, tell=bar.tell)
        else:
            spent = sum(predictions.cost(p) for p in predictions.read(args.out / predictions.FILE))
            budget = None if args.budget is None else args.budget - spent
            predict = predictions.predictor(assistant, name)
            outcome = predictions.generate(predict, name, left, log, workers=workers, budget=budget, tell=bar.tell)
    if outcome.asked:
        price = f", ${outcome.dollars:.2f}" if outcome.dollars else ""
        say(f"{name}: {outcome.asked} questions in {outcome.seconds:.1f} s{price}")
    if outcome.failed:
        say(f"{name}: {outcome.failed} answers failed; the same command asks them again")
    if outcome.left_out:
        say(f"{name}: {outcome.left_out} questions not asked, the budget is spent; a larger --budget goes on from here")
    return outcome


def _recipes(args: Namespace, library: Library, chosen: Sequence[Question], log: Log) -> None:
    """The floors of retrieval, with the library's own embedding model."""
    from ingest.embed import embedder

    left = {name: _unanswered(args.out, name, chosen) for name in predictions.RECIPES}
    if not any(left.values()):
        return
    started = time.perf_counter()
    ways = predictions.recipes(library, embedder(library.meta("embedder_name") or None))
    for name, asked in left.items():
        predictions.generate(ways[name], name, asked, log)
    say(f"{', '.join(left)}: {len(chosen)} questions in {time.perf_counter() - started:.1f} s, embedding included")


def _report(args: Namespace) -> int:
    """Score what is there; 1 where `--must-hold` does not."""
    found = predictions.read(args.out / predictions.FILE)
    if not found:
        raise FootnoteError(f"no run at {args.out}: make one with `footnote evaluate QUESTIONS --out {args.out}`")
    kept = read(args.out)
    judged, agreement = _judged(args, found)
    scored = score.summarise(found, judged)
    comparisons = score.between(scored)
    if args.against:
        before = score.summarise(predictions.read(args.against / predictions.FILE))
        comparisons = [*score.against(before, scored, str(args.against)), *comparisons]
    made = Report(scored, kept, comparisons, agreement, _notes(args, kept, found))
    value = report.write_report(args.out, made)
    if args.mlflow is not None:
        say(track(args.out, value, args.mlflow))
    sys.stdout.write((json.dumps(value, ensure_ascii=False, indent=1) if args.json else report.in_brief(made)) + "\n")
    say(f"{args.out / report.PAGE} has pictures, the worst questions and what was missed")
    return _held(comparisons if args.must_hold else [], str(args.against), scored)


def _judged(
    args: Namespace, found: Sequence[Prediction]
) -> tuple[Mapping[second_opinion.Key, Measures], list[list[str]]]:
    if args.judge:
        second_opinion.run(args.judge, found, args.out, lambda dollars, what: _may_cost(dollars, what, args), say)
    verdicts = second_opinion.read(args.out)
    return second_opinion.measures(verdicts, found), second_opinion.agreement(verdicts, found)


def _notes(args: Namespace, kept: Record, found: Sequence[Prediction]) -> list[str]:
    notes = []
    if failed := sum(p.failed for p in found):
        notes.append(f"{failed} answers failed and are left out of the scores; the same command asks them again.")
    if args.against and (changed := differing(read(args.against).get("hashes", {}), kept.get("hashes", {}))):
        notes.append(f"Since {args.against} these have changed: {', '.join(changed)}.")
    return notes


def _held(comparisons: Sequence[score.Comparison], label: str, scored: score.Summary) -> int:
    fallen = [f"{c.after}: {name}" for c in comparisons if c.before.endswith(f" in {label}") for name in c.fallen]
    for line in fallen:
        say(f"did not hold: {line} is worse than in {label}, beyond its interval")
    return 1 if fallen else 0


def replay(args: Namespace) -> int:
    """Make a run again from its record, elsewhere, and say what is not the same: 0 if nothing is."""
    kept, before = read(args.replay), predictions.read(args.replay / predictions.FILE)
    if not kept or not before:
        raise FootnoteError(f"no run at {args.replay}: --replay takes the folder that `footnote evaluate --out` made")
    with tempfile.TemporaryDirectory() as folder:
        again = Namespace(**{**vars(args), **kept["settings"], "out": args.out or Path(folder)})
        again.questions, again.library = Path(again.questions), Path(again.library)
        _generate(again)
        after = predictions.read(again.out / predictions.FILE)
        hashes = read(again.out)["hashes"]
    changed = [f"the {name} changed" for name in differing(kept["hashes"], hashes)]
    lines = changed_answers(before, after)
    more = [f"and {len(lines) - CHANGES_SHOWN} more"] if len(lines) > CHANGES_SHOWN else []
    end = f"{len(lines)} of {len(after)} answers are not the same" if lines else "identical"
    sys.stdout.write("\n".join([*changed, *lines[:CHANGES_SHOWN], *more, end]) + "\n")
    return 1 if lines else 0


# What a run was made of, so that it can be gone on with, understood, and made again.

FILE = "run.json"
CLOSE = 1e-3  # scores of passages that differ by less are the same: the nearest neighbours are found approximately
_HOME = Path(__file__).absolute().parents[2]
_PACKAGES = ("numpy", "onnxruntime", "tokenizers", "chromadb", "anthropic", "transformers", "torch", "langchain-core")

Record = dict[str, Any]


def make(library: Library, questions: Path, settings: Mapping[str, Any]) -> Record:
    """`settings` are what the command was given; `hashes` say what it was given in truth."""
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": dict(settings),
        "hashes": hashes(library, questions),
        "embedder": library.meta("embedder"),
        "documents": len(library.documents()),
        "versions": {"footnote": _version("footnote"), "python": platform.python_version()} | _versions(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def hashes(library: Library, questions: Path) -> dict[str, str]:
    """Of everything that an answer depends on, the model aside."""
    documents = library.documents()
    code = [f for p in ("assistant", "ingest") for f in (_HOME / p).rglob("*.py") if "evaluation" not in f.parts]
    fitted = [f for f in (_HOME / "assistant").rglob("*") if f.suffix in (".json", ".onnx") and f.is_file()]
    return {
        "code": _of_files(code),
        "prompts": _of_files([_HOME / "assistant" / "prompts.py"]),
        "thresholds and weights": _of_files(fitted),
        "corpus": _digest(f"{d.path} {d.sha256}" for d in documents),
        "library": _digest([*(f"{d.path} {d.text_sha256} {d.chunks}" for d in documents), library.meta("embedder")]),
        "embedder": _digest([library.meta("embedder")]),
        "questions": hashlib.sha256(questions.read_bytes()).hexdigest()[:16],
    }


# Settings that a run has one of. More models and floors may join it, and a larger --limit: the first N stay among more.
SAME = ("split", "limit", "no_rerank")


def check(folder: Path, new: Record, asked: Path) -> None:
    """Refuse to go on with a run that was made of something else: half of it would be of the one, half of the other."""
    old = read(folder)
    if not old:
        return
    if changed := differing(old["hashes"], new["hashes"]):
        raise FootnoteError(
            f"{folder} was begun with another state of: {', '.join(changed)}; start anew with --out ANOTHER, or "
            f"score what it has with `footnote evaluate --out {folder}`"
        )
    was, now = old["settings"], new["settings"]
    more = (now["limit"] or math.inf) > (was.get("limit") or math.inf)
    if other := [name for name in SAME if was.get(name) != now[name] and not (name == "limit" and more)]:
        begun, given = (" ".join(_option(name, of.get(name)) for name in other) for of in (was, now))
        same = " ".join(filter(None, (_option(name, was.get(name), "") for name in SAME)))
        raise FootnoteError(
            f"{folder} was begun with {begun}, not {given}: `footnote evaluate {shlex.quote(str(asked))} {same} "
            f"--out {folder}` goes on, --out ANOTHER starts anew"
        )
    now["models"] = list(dict.fromkeys([*was["models"], *now["models"]]))
    now["no_recipe"] = was.get("no_recipe", False) and now["no_recipe"]


def _option(name: str, value: object, absent: str = "no ") -> str:
    """A setting as it is typed; where it was not given, `absent` and its name, or nothing."""
    option = "--" + name.replace("_", "-")
    if value in (None, False):
        return absent + option if absent else ""
    return option if value is True else f"{option} {value}"


def write(folder: Path, record: Record) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Record:
    """The record of a run; empty where there is none."""
    file = folder / FILE
    if not file.is_file():
        return {}
    loaded: Record = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return [name for name in other if one.get(name) != other[name]]


def changed_answers(before: Sequence[Prediction], after: Sequence[Prediction]) -> list[str]:
    """One line for each answer that is not the same as before; how long it took does not count."""
    old = {prediction.key: prediction for prediction in before}
    found = [
        (p, _differences(old[p.key], p) if p.key in old else ["answer, since it was not asked then"]) for p in after
    ]
    return [f"{p.model}, {p.question.id}: other {', '.join(what)}" for p, what in found if what]


def _differences(before: Prediction, after: Prediction) -> list[str]:
    was, now = before.answer, after.answer
    what = []
    if was is not None and now is not None:
        what += [name for name in ("status", "sentences") if getattr(was, name) != getattr(now, name)]
        if not _same(was.passages, now.passages):
            what.append("passages")
    if not _same(before.retrieved, after.retrieved):
        what.append("search")
    return what


def _same(one: Sequence[Passage], other: Sequence[Passage]) -> bool:
    return len(one) == len(other) and all(
        (a.document, a.start, a.end, a.text) == (b.document, b.start, b.end, b.text) and abs(a.score - b.score) < CLOSE
        for a, b in zip(one, other, strict=True)
    )


def _versions() -> dict[str, str]:
    return {name: found for name in _PACKAGES if (found := _version(name))}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _of_files(files: Iterable[Path]) -> str:
    return _digest(f"{f.relative_to(_HOME)} {hashlib.sha256(f.read_bytes()).hexdigest()}" for f in sorted(files))


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:16]


# A run in MLflow: its parameters, its scores, its report. Only where MLflow is installed and asked for.
#
# pip install 'footnote[mlflow]'
# footnote evaluate … --mlflow                     into the folder mlruns/, or where MLFLOW_TRACKING_URI says
# footnote evaluate … --mlflow http://localhost:5000

EXPERIMENT = "footnote evaluate"
FOLDER = "mlruns"
MOST = 500  # characters of a parameter, which is MLflow's limit


def track(folder: Path, scores: Mapping[str, Any], uri: str = "") -> str:
    """Log a run that has been scored, each model as an MLflow run of its own; gives one line that says where."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or Path(FOLDER).resolve().as_uri()
    if "://" not in uri or uri.startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 wants to be asked twice for a plain folder
    try:
        import mlflow
    except ImportError:
        raise FootnoteError("--mlflow needs MLflow: pip install 'footnote[mlflow]', or leave it out") from None
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    try:
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment(EXPERIMENT)
        for system in scores["systems"]:
            if not system["is_floor"]:
                _log(mlflow, folder, scores, system)
    except mlflow.exceptions.MlflowException as error:
        line = " ".join(str(error).split())[:300]
        raise FootnoteError(f"MLflow at {uri} did not take the run ({line}): check the address") from error
    return f"logged to MLflow at {uri}, experiment {EXPERIMENT!r}"


def _log(mlflow: Any, folder: Path, scores: Mapping[str, Any], system: Mapping[str, Any]) -> None:
    with mlflow.start_run(run_name=f"{folder.name} {system['name']}"):
        mlflow.log_params(parameters(scores["record"], system["name"]))
        mlflow.log_metrics(measures(system))
        for file in ("report.md", "report.html", "scores.json", "run.json"):
            if (folder / file).is_file():
                mlflow.log_artifact(str(folder / file))


def parameters(record: Mapping[str, Any], model: str) -> dict[str, str]:
    found = {"model": model, "embedder": str(record.get("embedder", ""))}
    found |= {name: str(value) for name, value in record.get("settings", {}).items() if name != "models"}
    found |= {f"hash of {name}": value for name, value in record.get("hashes", {}).items()}
    found |= {f"version of {name}": value for name, value in record.get("versions", {}).items()}
    return {_name(name): value[:MOST] for name, value in found.items()}


def measures(system: Mapping[str, Any]) -> dict[str, float]:
    """Each score with its interval, and by kind the score alone."""
    found: dict[str, float | None] = {"questions": system["questions"], "dollars_in_all": system["dollars"]}
    for name, one in system["scores"].items():
        found |= {name: one["value"], f"{name}_low": one["low"], f"{name}_high": one["high"]}
    for kind, scores in system["by_kind"].items():
        found |= {f"{kind}.{name}": score["value"] for name, score in scores.items()}
    return {_name(name): float(value) for name, value in found.items() if value is not None}


def _name(name: str) -> str:
    """What MLflow takes as a name."""
    return re.sub(r"[^\w\-. ]", "-", name)


# What the log of real use says.

LOG_REPORT = "log.md"
FEWEST = 20  # questions in each part before a drift is spoken of
PARTS = 3  # the first third of the time's questions is compared with the last


def report_log(file: Path, out: Path | None = None) -> int:
    """Print what the log says, and keep it as Markdown where `out` is given; 0."""
    found = questions.read_log(file)
    asked = f"{len(found)} questions, {found[0].time[:10]} to {found[-1].time[:10]}"
    text = f"{asked}\n\n{report.table(by_month(found))}\n\n{drift(found)}\n"
    sys.stdout.write(text)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / LOG_REPORT).write_text(f"# What was asked\n\n{text}", encoding="utf-8")
    return 0


def by_month(found: Sequence[questions.Logged]) -> report.Table:
    """How many were not answered, how many answers had a sentence without support, how sure retrieval was."""
    months = dict.fromkeys(one.time[:7] for one in found)
    rows = [[month, *_cells([one for one in found if one.time.startswith(month)])] for month in months]
    head = (
        "",
        "questions",
        "not answered",
        "answers with unsupported sentences",
        "best passage's score",
        "median time",
    )
    return report.Table(head, [*rows, ["all", *_cells(found)]])


def _cells(found: Sequence[questions.Logged]) -> list[str]:
    answered = [one for one in found if one.status == "answered"]
    refused = score.score(_column([one.status != "answered" for one in found]), rate=True)
    unsupported = score.score(_column([one.unsupported > 0 for one in answered]), rate=True)
    sure, median = (
        score.score(_column([one.confidence for one in found])),
        score.score(_column([one.seconds for one in found]), "p50"),
    )
    return [str(len(found)), _share(refused), _share(unsupported), _number(sure), f"{median.value:.2f} s"]


def drift(found: Sequence[questions.Logged]) -> str:
    """Whether later questions are further from the documents than the earlier ones, in one sentence."""
    part = len(found) // PARTS
    if part < FEWEST:
        return f"Too few questions to speak of a drift: it takes {PARTS * FEWEST}."
    first, last = (_column([one.confidence for one in some]) for some in (found[:part], found[-part:]))
    draw = np.random.default_rng(0)
    drawn = [draw.choice(last, part).mean() - draw.choice(first, part).mean() for _ in range(2000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    change = f"{last.mean() - first.mean():+.3f} ({low:+.3f} to {high:+.3f})"
    words = f"by {change} from the first third of the questions to the last"
    if high < 0:
        return f"The questions drift away from the documents: the best passage's score fell {words}."
    if low > 0:
        return f"The questions come closer to the documents: the best passage's score rose {words}."
    return f"No drift seen: the best passage's score changed {words}."


def _column(values: Sequence[float | bool]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _share(found: score.Score) -> str:
    return f"{100 * found.value:.0f} % ({100 * found.low:.0f}–{100 * found.high:.0f})" if found.n else ""


def _number(found: score.Score) -> str:
    return f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})" if found.n else ""
