"""`footnote evaluate`: generate, then score, then report.

footnote evaluate corpus/questions.jsonl --model quotes --split test --out runs/today
footnote evaluate --out runs/today                          score again what is there; no model is asked
footnote evaluate corpus/questions.jsonl --out runs/now --against runs/today --must-hold
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from importlib import import_module
from pathlib import Path

from ingest.errors import FootnoteError


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
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
    add("--limit", type=int, metavar="N", help="the first N questions")
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
    paid.add_argument("--judge", metavar="NAME", help="have claude or claude:NAME judge the answers too")
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
        import_module("finetune.domain_check").run(args.models, args.out)  # by name: finetune leans on this package
        if not args.questions:
            return 0
    _check(args)
    if args.convert:
        from assistant.evaluation.convert import convert

        return convert(args.convert, args.out)
    if args.log:
        from assistant.evaluation.log import report_log

        return report_log(args.log, args.out)
    if args.replay:
        from assistant.evaluation.run import replay

        return replay(args)
    from assistant.evaluation.run import evaluate

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
    if args.against and not (args.against / "predictions.jsonl").is_file():
        raise FootnoteError(
            f"no run at {args.against}: make one with `footnote evaluate QUESTIONS --out {args.against}`"
        )
