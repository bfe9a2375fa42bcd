"""The `footnote` command. It alone turns what the library raises into one line and an exit status.

Exit status: 0 done, 1 it could not do what was asked, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import textwrap
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any

from assistant.records import neutralise, one_line
from ingest.documents import MAX_BYTES
from ingest.errors import FootnoteError

if TYPE_CHECKING:
    from assistant.answer import Assistant, Event
    from assistant.records import Answer, Footnote, Sentence
    from ingest.library import Stored
    from ingest.sync import Progress, Report


# How far an ingest is: a bar on a terminal, elsewhere a plain line every few seconds.

SECONDS_BETWEEN_LINES = 5.0


class Shown:
    """`with Shown() as shown: sync(..., progress=shown.tell, notify=shown.say)`"""

    def __init__(self) -> None:
        self._bar: Any = None
        self._last = time.monotonic()

    def __enter__(self) -> Shown:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def tell(self, progress: Progress) -> None:
        if sys.stderr.isatty():
            self._draw(progress)
        elif time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self.say(f"{progress.done} of {progress.total} files: {progress.doing}")

    def say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        print(one_line(line), file=sys.stderr, flush=True)

    def _draw(self, progress: Progress) -> None:
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(unit="file", leave=False, bar_format="{l_bar}{bar:24}| {n}/{total} {elapsed}{postfix}")
        self._bar.total, self._bar.n = progress.total, progress.done
        self._bar.set_postfix_str(one_line(progress.doing)[-60:])


# `footnote ask`: the answer as it is written, its footnotes below, guide → section → quote.

_WORDS = {"not_in_guides": "Not in the guides.", "refused": "The model refused to answer.", "failed": "Not answered."}
QUOTE_CHARACTERS = 300  # of one quote that are shown


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("question", help="the question, or - to read it from standard input")
    add(
        "--model",
        default="quotes",
        help="quotes, claude, claude:NAME, llama:PATH or a chat server's URL (default: quotes)",
    )
    add(
        "--history",
        action="append",
        default=[],
        metavar="QUESTION",
        help="an earlier question (repeatable, oldest first)",
    )
    add("--no-rerank", action="store_true", help="do without the reranker")
    add("--explain", action="store_true", help="show what the writer would see, and ask it nothing")
    add("--log", metavar="FILE", help="add the question and how it went to this local file")
    add("--json", action="store_true", help="the answer as one JSON document")
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    from assistant.answer import Assistant
    from assistant.records import Answer
    from ingest.errors import FootnoteError
    from ingest.library import Library
    from ingest.writing import mend_beside

    asked = question(args)
    if not asked:
        raise FootnoteError('the question is empty: ask one, as in `footnote ask "What is overfitting?"`')
    guide = Assistant(Library(args.library, say, mend_beside), args.model, rerank=not args.no_rerank)
    if args.explain:
        explain(guide, asked, args.history)
        return 0
    if args.json:
        answer = guide.ask(asked, args.history)
        put_json(answer.to_json())
    else:
        answer = Printer().show(guide.stream(asked, args.history))
    if args.log:
        from pathlib import Path

        from assistant.evaluation.questions import log_answer

        log_answer(Path(args.log), answer)
    assert isinstance(answer, Answer)
    if answer.status in ("failed", "refused") and answer.detail:
        say(f"footnote: {neutralise(answer.detail)}")
    return 1 if answer.status in ("failed", "refused") else 0


class Printer:
    """An answer on a terminal or in a file: wrapped to the width, coloured only on a terminal."""

    def __init__(self) -> None:
        self.width = min(shutil.get_terminal_size((100, 24)).columns, 100)
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.notes: dict[Footnote, int] = {}
        self._column = 0
        self._block = False  # whether the sentence before is a line of its own

    def show(self, events: Iterable[Event]) -> Answer:
        from assistant.records import Answer, Passages, Proved

        answer: Answer | None = None
        for event in events:
            if isinstance(event, Passages):
                understood = event.understood
            elif isinstance(event, Proved):
                self._sentence(event.sentence)
            elif isinstance(event, Answer):
                answer = event
        assert answer is not None
        if understood != answer.question and answer.status == "answered":
            self._line(self._dim(f"\n\nUnderstood as: {neutralise(understood)}"))
        self._end(answer)
        return answer

    def _sentence(self, sentence: Sentence) -> None:
        from assistant.records import is_block

        marks = "".join(f"[{self.notes.setdefault(note, len(self.notes) + 1)}]" for note in sentence.footnotes)
        if not sentence.supported:
            marks += f" (not supported: {sentence.why})"
        text = neutralise(sentence.text)
        block, after_block, self._block = is_block(text), self._block, is_block(text)
        if text.startswith("```"):
            self._write("\n" * (self._column > 0) + text + "\n" + (self._dim(marks) + "\n" if marks else ""))
            self._column = 0
            return
        if block or after_block:
            self._write("\n" * ((self._column > 0) + (after_block and not block)))
            self._column = 0
        for word in [*text.split(" "), *([marks] if marks else [])]:
            if self._column and self._column + 1 + len(word) > self.width:
                self._write("\n")
                self._column = 0
            glue = " " if self._column and word != marks else ""
            self._write(glue + (self._dim(word) if word == marks else word))
            self._column += len(glue) + len(word)

    def _end(self, answer: Answer) -> None:
        if answer.status != "answered":
            self._line(("\n" if self._column else "") + self._bold(_WORDS[answer.status]))
            if answer.status == "not_in_guides":
                self._line(textwrap.fill(neutralise(answer.detail), self.width))
            self._headings(answer)
        elif answer.detail:
            self._line("\n\n" + textwrap.fill(neutralise(answer.detail), self.width))
        if self.notes:
            self._line("\n")
        for note, number in self.notes.items():
            where = neutralise(note.place)
            self._line(f"{self._bold(f'[{number}]')} {where}  {self._dim(f'{note.document} {note.start}–{note.end}')}")
            quote = textwrap.shorten(neutralise(note.quote), QUOTE_CHARACTERS, placeholder=" …")
            self._line(textwrap.indent(textwrap.fill(f"“{quote}”", self.width - 4), "    "))

    def _headings(self, answer: Answer) -> None:
        from assistant.records import place

        nearest = dict.fromkeys(place(p.title, p.section) for p in answer.passages[:4])
        if nearest:
            self._line("The nearest to read instead:")
        for where in nearest:
            self._line("  " + neutralise(where))

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _line(self, text: str) -> None:
        self._write(text + "\n")
        self._column = 0

    def _bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self.colour else text

    def _dim(self, text: str) -> str:
        return f"\033[2m{text}\033[0m" if self.colour else text


def explain(guide: Assistant, question: str, history: list[str]) -> None:
    """The passages in order with their scores, the decision, and the prompt byte for byte."""
    request, verdict = guide.prepare(question, history)
    out = [f"Understood as: {request.question}", f"Chance that the guides hold the answer: {verdict.chance:.2f}"]
    out.append("It would be answered." if verdict.answerable else f"It would not be answered: {verdict.reason}")
    for number, p in enumerate(request.passages, 1):
        out.append(f"\nPassage {number}, score {p.score:.2f}: {p.document} {p.start}–{p.end} ({p.section})")
        chances = request.evidence[number - 1] if request.evidence else [0.0] * len(p.units)
        for i, (unit, chance) in enumerate(zip(p.units, chances, strict=True), 1):
            out.append(f"  [{number}.{i}] {chance:.2f} {p.text[unit.start - p.start : unit.end - p.start]}")
    prompt = getattr(guide.writer, "prompt", None)
    out.append(
        "\nPrompt:\n" + prompt(request)
        if prompt
        else "\nThe quoting writer has no prompt: it chooses among these units."
    )
    print(neutralise("\n".join(out)))


# What each `footnote` command does: call the library, print the outcome. Heavy things are imported where used.

MOST_LISTED = 40  # documents that `status` lists unasked


def ingest(args: Namespace) -> int:
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

    for path in remove_documents(args.documents, args.library, wait_seconds=args.wait):
        print(one_line(f"removed {path}; `footnote ingest` with its file's name brings it back"))


def status(args: Namespace) -> None:
    from ingest.library import Library
    from ingest.sync import changes, made_by

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
                "taken_out": library.excluded(),
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
    for file in library.excluded():
        print(one_line(f"taken out by hand: {file}; `footnote ingest` with its name brings it back"))
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
    from ingest.library import Library

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
    from assistant.records import as_json
    from assistant.retrieve import Retriever
    from ingest.library import Library
    from ingest.writing import mend_beside

    retriever = Retriever(Library(args.library, say, mend_beside), rerank=not args.no_rerank)
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


# Commands of packages that lean on this one: they are imported by name, when they are asked for.
ELSEWHERE = {
    "finetune": ("finetune.command", "a local Llama that answers with footnotes"),
    "evaluate": ("assistant.evaluation.run", "how good it is, and whether it got better"),
}


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


class Parser(argparse.ArgumentParser):
    """One that gets its arguments when it is first used: what they need is not imported for other commands."""

    fill: Callable[[Parser], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if fill := self.fill:
            self.fill = None
            fill(self)
        return super().parse_known_args(args, namespace)


def parser() -> Parser:
    top = Parser(
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
    p.set_defaults(run=ingest)
    p = add("remove", parents=[library], help="take documents out of the library; their files stay")
    p.add_argument("documents", nargs="+", metavar="DOCUMENT")
    p.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait for an ingest")
    p.set_defaults(run=remove)
    p = add("status", parents=[library], help="what is in the library, what failed and why, is it stale")
    p.add_argument("-v", "--verbose", action="store_true", help="each document with its repairs")
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=status)
    p = add("show", parents=[library], help="a document's canonical text")
    p.add_argument("document", metavar="DOCUMENT")
    p.add_argument(
        "start", type=int, nargs="?", metavar="START", help="with END: these characters, highlighted on a terminal"
    )
    p.add_argument("end", type=int, nargs="?", metavar="END")
    p.set_defaults(run=show)


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
    p.set_defaults(run=search)


def _more(add, library) -> None:  # type: ignore[no-untyped-def]
    add_arguments(add("ask", parents=[library], help="a question, answered with footnotes"))
    p = add("chat", parents=[library], help="the Streamlit app in the browser")
    p.add_argument("--port", type=int, default=8501)
    p.add_argument("--address", default="localhost", help="what to listen on (default: this machine only)")
    p.set_defaults(run=chat)
    for name, (module, about) in ELSEWHERE.items():
        later = add(name, help=about)
        later.fill = lambda parser, module=module: import_module(module).add_arguments(parser, library)


if __name__ == "__main__":
    sys.exit(main())
