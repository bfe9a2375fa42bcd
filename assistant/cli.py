"""The `footnote` command. It alone turns what the library raises into one line and an exit status.

Exit status: 0 done, 1 it could not do what was asked, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from assistant import asking, commands
from assistant.evaluation import command as evaluation
from assistant.plain import one_line
from ingest.documents import MAX_BYTES
from ingest.errors import FootnoteError


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except FootnoteError as error:
        print(one_line(f"footnote: {error}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nfootnote: stopped; nothing was lost, the same command goes on from here", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="footnote", description="Answers from your guides, every sentence with a footnote to the exact words."
    )
    top.set_defaults(run=lambda args: top.print_help())
    add = top.add_subparsers(title="commands", metavar="COMMAND").add_parser
    library = argparse.ArgumentParser(add_help=False)
    where = os.environ.get("FOOTNOTE_LIBRARY", "library")
    library.add_argument("--library", default=where, metavar="DIR", help="the library's folder (default: %(default)s)")
    _ingesting(add, library)
    _asking(add, library)
    _more(add, library)
    return top


def _ingesting(add, library) -> None:  # type: ignore[no-untyped-def]  # argparse names no type for add_parser
    p = add("ingest", parents=[library], help="make or renew a library from folders and files")
    p.add_argument("paths", nargs="+", metavar="PATH", help="a folder or a file")
    p.add_argument("--keep-missing", action="store_true", help="keep documents whose file is gone")
    p.add_argument("--embedder", metavar="NAME", help="another sentence-transformers model, by name or folder")
    p.add_argument(
        "--chroma", metavar="URL", help="a Chroma server for the vectors; an empty one goes back to the folder"
    )
    p.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait for another ingest")
    p.add_argument(
        "--max-mb",
        type=int,
        default=MAX_BYTES // 2**20,
        metavar="MB",
        help="larger files are refused (default: %(default)s)",
    )
    p.add_argument("--json", action="store_true", help="the report as one JSON document")
    p.set_defaults(run=commands.ingest)
    p = add("remove", parents=[library], help="take documents out of the library; their files stay")
    p.add_argument("documents", nargs="+", metavar="DOCUMENT")
    p.set_defaults(run=commands.remove)
    p = add("status", parents=[library], help="what is in the library, what failed and why, is it stale")
    p.add_argument("-v", "--verbose", action="store_true", help="each document with its repairs")
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=commands.status)
    p = add("show", parents=[library], help="a document's canonical text")
    p.add_argument("document", metavar="DOCUMENT")
    p.add_argument(
        "start", type=int, nargs="?", metavar="START", help="with END: these characters, highlighted on a terminal"
    )
    p.add_argument("end", type=int, nargs="?", metavar="END")
    p.set_defaults(run=commands.show)


def _asking(add, library) -> None:  # type: ignore[no-untyped-def]
    p = add("search", parents=[library], help="what retrieval alone finds")
    p.add_argument("question", help="the question, or - to read it from standard input")
    p.add_argument("-k", type=int, default=10, metavar="N", help="how many passages at most (default: %(default)s)")
    p.add_argument(
        "--in",
        dest="documents",
        action="append",
        default=[],
        metavar="DOCUMENT",
        help="only here: a document, folder or glob",
    )
    p.add_argument(
        "--kind",
        dest="kinds",
        action="append",
        default=[],
        metavar="KIND",
        help="only this kind: paragraph, item, table, code, question",
    )
    p.add_argument(
        "--history",
        action="append",
        default=[],
        metavar="QUESTION",
        help="an earlier question (repeatable, oldest first)",
    )
    p.add_argument("--no-rerank", action="store_true", help="do without the reranker")
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=commands.search)


def _more(add, library) -> None:  # type: ignore[no-untyped-def]
    asking.add_arguments(add("ask", parents=[library], help="a question, answered with footnotes"))
    p = add("chat", parents=[library], help="the Streamlit app in the browser")
    p.add_argument("--port", type=int, default=8501)
    p.add_argument("--address", default="localhost", help="what to listen on (default: this machine only)")
    p.set_defaults(run=commands.chat)
    tuning = import_module(
        "finetune.command"
    )  # by name: the package leans on this one, and only the command joins them
    tuning.add_arguments(add("finetune", help="a local Llama that answers with footnotes"), library)
    evaluation.add_arguments(add("evaluate", parents=[library], help="how good it is, and whether it got better"))


if __name__ == "__main__":
    sys.exit(main())
