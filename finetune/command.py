"""`footnote finetune`: from a library to a local Llama that answers with footnotes, in four commands.

footnote finetune dataset --library library --out data
footnote finetune train --base meta-llama/Llama-3.1-8B-Instruct --data data --out adapter
footnote finetune prefer --adapter adapter --data data --out preferred
footnote finetune merge --adapter adapter --out merged
"""

from __future__ import annotations

import inspect
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from assistant.terminal import Bar, agreed, say
from finetune.prefer import Preference
from finetune.recipe import Recipe

# A typed function whose signature is the command line: one option for each parameter, its default in one place.


def add_options(parser: ArgumentParser, function: Callable[..., Any]) -> None:
    """Parameters annotated `Annotated[type, "help"]` become options; the others are for Python only."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        if get_origin(hints[name]) is not Annotated:
            continue
        kind, help_ = get_args(hints[name])[:2]
        required = parameter.default is inspect.Parameter.empty
        shown = (
            ""
            if required or parameter.default in (None, "", False, True)
            else f" (default: {_said(parameter.default)})"
        )
        options: dict[str, Any] = {"help": help_ + shown, "dest": name, "required": required}
        if not required:
            options["default"] = parameter.default
        if kind is bool:
            options["action"] = BooleanOptionalAction
        else:
            options |= {"type": _reader(kind), "metavar": _metavar(kind)}
            if get_origin(kind) is Literal:
                options["choices"] = get_args(kind)
        parser.add_argument("--" + name.replace("_", "-"), **options)


def values(args: Namespace, function: Callable[..., Any]) -> dict[str, Any]:
    """What was given for the function's parameters."""
    return {name: getattr(args, name) for name in inspect.signature(function).parameters if hasattr(args, name)}


def _reader(kind: Any) -> Callable[[str], Any]:
    if get_origin(kind) is tuple:
        return _names
    return kind if kind in (int, float, Path) else str


def _metavar(kind: Any) -> str | None:
    if get_origin(kind) is Literal:
        return None
    return {int: "N", float: "X", Path: "DIR"}.get(kind, "NAME")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _said(default: Any) -> str:
    return ",".join(default) if isinstance(default, tuple) else str(default)


QUESTIONS = Path("corpus/questions.jsonl")


def add_arguments(parser: ArgumentParser, library: ArgumentParser) -> None:
    """`library` is the parser that holds `--library`."""
    parser.set_defaults(run=lambda args: parser.print_help())
    add = parser.add_subparsers(title="steps", metavar="STEP").add_parser
    _add_dataset(add("dataset", parents=[library], help="training conversations from the library"))
    p = add("train", help="QLoRA: an adapter from the conversations")
    add_options(p, Recipe)
    p.set_defaults(run=_train)
    p = add("prefer", help="its own answers, ranked by the proof, teach the adapter once more")
    add_options(p, Preference)
    p.set_defaults(run=_prefer)
    p = add("merge", help="the adapter merged into its base, in bfloat16")
    p.add_argument("--adapter", type=Path, required=True, metavar="DIR", help="what `footnote finetune train` made")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the merged model goes")
    p.add_argument(
        "--base", default="", metavar="NAME", help="the base, where it is no longer where it was at training"
    )
    p.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="measure what merging changes, on the held-out answers of this data set",
    )
    p.set_defaults(run=_merge)


def _add_dataset(p: ArgumentParser) -> None:
    p.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where train.jsonl, eval.jsonl and their card go"
    )
    p.add_argument("--examples", type=int, default=1500, metavar="N", help="about this many (default: %(default)s)")
    p.add_argument(
        "--passages", type=int, default=8, metavar="N", help="in a prompt, as in serving (default: %(default)s)"
    )
    p.add_argument("--eval-share", type=float, default=0.1, metavar="X", help="of the sections (default: %(default)s)")
    p.add_argument(
        "--exclude",
        type=Path,
        metavar="FILE",
        help=f"a question set to keep out (default: {QUESTIONS}, if it is there)",
    )
    p.add_argument("--no-rerank", action="store_true", help="do without the reranker")
    p.add_argument(
        "--phrase-with", default="", metavar="NAME", help="claude, claude:NAME, llama:PATH or a chat server's URL"
    )
    p.add_argument(
        "--questions",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="further questions with passages of their own, up to a third of all; may be repeated",
    )
    p.add_argument("--yes", action="store_true", help="do not ask before Claude is paid")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed makes the same files")
    p.set_defaults(run=_dataset)


def _dataset(args: Namespace) -> int:
    from finetune.dataset import write
    from ingest.library import Library
    from ingest.writing import mend_beside

    exclude = args.exclude or (QUESTIONS if QUESTIONS.is_file() else None)
    with Bar("conversations") as bar:
        card = write(
            Library(args.library, bar.say, mend_beside),
            args.out,
            exclude,
            examples=args.examples,
            passages=args.passages,
            eval_share=args.eval_share,
            rerank=not args.no_rerank,
            seed=args.seed,
            phrase_with=args.phrase_with,
            questions=args.questions,
            agreed=lambda line: agreed(line, args.yes),
            progress=bar.tell,
            say=bar.say,
        )
    say(f"{card['examples']['train']} to train on and {card['examples']['eval']} to evaluate on are in {args.out}")
    return 0


def _train(args: Namespace) -> int:
    from finetune.train import train

    train(Recipe(**values(args, Recipe)), say)
    return 0


def _prefer(args: Namespace) -> int:
    from finetune.prefer import prefer

    prefer(Preference(**values(args, Preference)), say)
    return 0


def _merge(args: Namespace) -> int:
    from finetune.merge import merge

    merge(args.adapter, args.out, args.base, say)
    if args.data:
        from finetune.train import compared

        say(str(compared(args.adapter, args.out, args.data)))
    return 0
