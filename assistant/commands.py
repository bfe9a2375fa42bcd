"""What each `footnote` command does: call the library, print the outcome. Heavy things are imported where used."""

from __future__ import annotations

import json
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from assistant.plain import neutralise, one_line
from ingest.errors import FootnoteError
from ingest.library import Library, Stored

if TYPE_CHECKING:
    from ingest.changes import Report

MOST_LISTED = 40  # documents that `status` lists unasked


def ingest(args: Namespace) -> int:
    from assistant.progress import Shown
    from ingest.sync import sync

    with Shown() as shown:
        report = sync(
            args.paths,
            args.library,
            embedder=args.embedder,
            chroma=args.chroma,
            keep_missing=args.keep_missing,
            wait_seconds=args.wait,
            max_bytes=args.max_mb * 2**20,
            progress=shown.tell,
            notify=shown.say,
        )
    for failure in report.failed:
        say(f"failed: {failure.reason}")
    if args.json:
        put_json(asdict(report))
    else:
        _print_report(report, args)
    return 1 if report.failed else 0


def _print_report(report: Report, args: Namespace) -> None:
    for note in report.notes:
        say(f"note: {note}")
    counts = {k: len(getattr(report, k)) for k in ("added", "changed", "moved", "renewed", "removed", "failed")}
    line = ", ".join([f"{n} {k}" for k, n in counts.items() if n] + [f"{report.unchanged} unchanged"])
    rate = f" ({report.chunks / report.seconds:.0f} chunks/s)" if report.chunks else ""
    print(f"{line}; {report.chunks} chunks, {report.embedded} embedded, {report.seconds:.1f} s{rate}")
    if report.repairs:
        print("repairs: " + ", ".join(f"{n} {kind}" for kind, n in report.repairs.most_common()))
    if report.added:
        where = "" if str(args.library) == "library" else f" --library {args.library}"
        print(f'Ask it: footnote ask "your question"{where}')


def remove(args: Namespace) -> None:
    from ingest.sync import remove as remove_documents

    for path in remove_documents(args.documents, args.library):
        print(one_line(f"removed {path}; `footnote ingest` with its file's name brings it back"))


def status(args: Namespace) -> None:
    from ingest.changes import changes, made_by

    library = Library(args.library, say)
    documents, failures, stale = library.documents(), library.failures(), changes(library)
    outdated = [d.path for d in documents if d.made_by != made_by()]
    if args.json:
        put_json(
            {
                "library": str(args.library),
                "documents": [asdict(d) for d in documents],
                "chunks": library.count(),
                "failures": [asdict(f) for f in failures],
                "stale": {"added": stale.added, "changed": stale.changed, "removed": stale.removed},
                "outdated": outdated,
                "embedder": library.meta("embedder"),
                "generation": library.generation,
                "roots": library.roots(),
            }
        )
        return
    roots = ", ".join(library.roots()) or "nothing"
    print(one_line(f"{args.library}: {len(documents)} documents, {library.count()} chunks, from {roots}"))
    _print_documents(documents, args.verbose)
    for failure in failures:
        print(one_line(f"failed: {failure.reason}"))
    again = f"footnote ingest {' '.join(map(shlex.quote, library.roots()))} --library {shlex.quote(str(args.library))}"
    if stale.added or stale.changed or stale.removed:
        news = {"new": stale.added, "changed": stale.changed, "gone": stale.removed}
        what = ", ".join(f"{len(paths)} {k}" for k, paths in news.items() if paths)
        print(one_line(f"The folder is newer than the library ({what}): {again}"))
    elif outdated:
        print(one_line(f"Another version of Footnote read {len(outdated)} of the documents; to renew them: {again}"))
    else:
        print("The library is up to date with its folders.")


def _print_documents(documents: Sequence[Stored], verbose: bool) -> None:
    for d in documents if verbose or len(documents) <= MOST_LISTED else []:
        print("  " + one_line(f"{d.path}  {d.title}  ({d.chunks} chunks)"))
        for line in [f"{n} {kind}" for kind, n in d.repairs.items()] + list(d.notes) if verbose else []:
            print("      " + one_line(line))
    if len(documents) > MOST_LISTED and not verbose:
        print("  -v lists them")


def show(args: Namespace) -> None:
    text = Library(args.library).text(args.document)
    start, end = args.start, args.end
    if start is not None and (end is None or not 0 <= start <= end <= len(text)):
        raise FootnoteError(
            f"{args.document} has characters 0 to {len(text)}, not {start} to {end}: give START and END in that range"
        )
    if not sys.stdout.isatty():
        sys.stdout.buffer.write((text if start is None else text[start:end]).encode("utf-8", "surrogatepass"))
        return
    if start is None:
        print(neutralise(text))
    else:
        print(neutralise(text[:start]) + "\033[7m" + neutralise(text[start:end]) + "\033[0m" + neutralise(text[end:]))


def search(args: Namespace) -> None:
    from assistant.retrieve import Retriever, as_json

    retriever = Retriever(Library(args.library, say), rerank=not args.no_rerank)
    found = retriever.search(question(args), k=args.k, history=args.history, documents=args.documents, kinds=args.kinds)
    if args.json:
        put_json([as_json(p) for p in found])
        return
    for i, p in enumerate(found, 1):
        print(one_line(f"{i}. {p.score:.2f}  {p.document}  {p.section}  [{p.start}:{p.end}]"))
        print("   " + neutralise(p.text).replace("\n", "\n   ") + "\n")
    if not found:
        print("Nothing found: the library has no passage that shares anything with the question.")


def chat(args: Namespace) -> int:
    import os
    import subprocess
    from pathlib import Path

    app = Path(__file__).resolve().parent.parent / "app.py"
    command = [sys.executable, "-m", "streamlit", "run", str(app), "--server.port", str(args.port)]
    command += ["--server.address", args.address, "--browser.gatherUsageStats", "false"]
    return subprocess.call(command, env={**os.environ, "FOOTNOTE_LIBRARY": str(args.library)})


def question(args: Namespace) -> str:
    """The question as given, or from standard input where it is `-`."""
    return str(sys.stdin.read() if args.question == "-" else args.question).strip()


def say(line: str) -> None:
    print(one_line(line), file=sys.stderr, flush=True)


def put_json(value: Any) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=str)
    print()
