"""The `footnote` command: what it takes, what each part of it does, and how an answer looks on a terminal.

It alone turns what the library raises into one line and an exit status: 0 done, 1 it could not do what was asked,
2 wrong usage, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
import sys
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from assistant import beside, sources, terminal
from assistant.records import neutralise, one_line
from assistant.terminal import put_json, say
from ingest.errors import FootnoteError

if TYPE_CHECKING:
    from assistant.answer import Assistant, Event
    from assistant.records import Answer, Footnote, Sentence
    from ingest.library import Library, Stored
    from ingest.sync import Report

# Commands of packages that lean on this one: they are imported by name, when they are asked for.
ELSEWHERE = {
    "finetune": ("finetune.command", "a local Llama that answers with footnotes"),
    "evaluate": ("assistant.evaluation.run", "how good it is, and whether it got better"),
}
SHELLS = {  # where each looks for it
    "bash": "~/.local/share/bash-completion/completions/footnote",
    "zsh": "a folder of $fpath, as _footnote",
    "fish": "~/.config/fish/completions/footnote.fish",
}
GO_ON = (
    "ingest",
    "watch",
    "sources",
    "evaluate",
    "finetune",
)  # commands that, stopped and given again, go on from where they were


def main(argv: Sequence[str] | None = None) -> int:
    is_shown = terminal.steady()
    command = ""
    try:
        try:
            args = parser().parse_args(argv)
            command = args.command or ""
            status = int(args.run(args) or 0)
        finally:
            sys.stdout.flush()
    except FootnoteError as error:
        say(f"footnote: {error}")
        return 1
    except KeyboardInterrupt:
        what = "; nothing was lost, the same command goes on from here" if command in GO_ON else ""
        sys.stderr.write("\n")
        say(f"footnote: stopped{what}")
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        terminal.silence()
        return 0
    except OSError as error:
        if not terminal.is_of_the_output(error):
            raise
        terminal.silence()
        say(f"footnote: standard output cannot be written ({error.strerror}): send it elsewhere")
        return 1
    if not is_shown and not status:
        say("footnote: standard output is closed, so nothing could be shown: send it somewhere")
    return status if is_shown else status or 1


# What the command takes.

Add = Callable[..., "Parser"]


class Parser(ArgumentParser):
    """One that gets its arguments when it is first used: what they need is not imported for other commands."""

    fill: Callable[[Parser], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if fill := self.fill:
            self.fill = None
            fill(self)
        known, rest = super().parse_known_args(args, namespace)
        if rest:  # said here, where the usage of this very command is at hand
            self._refuse(rest)
        return known, rest

    def _print_message(self, message: str, file: Any = None) -> None:
        (file or sys.stderr).write(message)  # argparse's own is silent where the disk is full

    def _refuse(self, rest: Sequence[str]) -> NoReturn:
        options = [option for action in self._actions for option in action.option_strings]
        near = difflib.get_close_matches(rest[0].partition("=")[0], options, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        self.error(f"unrecognized arguments: {one_line(' '.join(rest))}{meant}")


class Version(argparse.Action):
    """argparse's own wants to know it beforehand; looking it up takes longer than all else that `--help` does."""

    def __call__(self, parser: ArgumentParser, *given: Any) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"footnote {version('footnote')}")
        except PackageNotFoundError:
            print("footnote, not installed: run from its own folder")
        parser.exit()


def parser() -> Parser:
    top = Parser(
        prog="footnote", description="Answers from your guides, every sentence with a footnote to the exact words."
    )
    top.add_argument("--version", action=Version, nargs=0, help="say which version this is")
    top.set_defaults(run=lambda args: top.print_help())
    add = top.add_subparsers(title="commands", metavar="COMMAND", dest="command").add_parser
    library = Parser(add_help=False)
    where = os.environ.get("FOOTNOTE_LIBRARY", "library")
    library.add_argument("--library", default=where, metavar="DIR", help="the library's folder (default: %(default)s)")
    _ingesting(add, library)
    _asking(add, library)
    p = add("chat", parents=[library], help="the Streamlit app in the browser")
    p.add_argument("--port", type=int, default=8501)
    p.add_argument("--address", default="localhost", help="what to listen on (default: this machine only)")
    p.set_defaults(run=chat)
    _doors(add, library)
    p = add("completion", help="what makes a shell complete this command")
    p.add_argument("shell", choices=list(SHELLS))
    p.set_defaults(run=completion)
    for name, (module, about) in ELSEWHERE.items():
        later = add(name, help=about)
        later.fill = lambda parser, module=module: import_module(module).add_arguments(parser, library)
    return top


def _ingesting(add: Add, library: Parser) -> None:
    p = add("ingest", parents=[library], help="make or renew a library from folders, pages of the web, repositories")
    p.add_argument("paths", nargs="+", metavar="PATH", help="a folder, a file, a page's address or a repository's")
    p.add_argument("--keep-missing", action="store_true", help="keep documents whose file is gone")
    p.add_argument("--embedder", metavar="NAME", help="another sentence-transformers model, by name or folder")
    p.add_argument(
        "--chroma", metavar="URL", help="a Chroma server for the vectors; an empty one goes back to the folder"
    )
    p.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait for another ingest")
    p.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS", help="read and embed on a Ray cluster")
    p.fill = _largest
    p.add_argument("--json", action="store_true", help="the report as one JSON document")
    sources.add_options(p)
    p.set_defaults(run=ingest)
    sources.add_commands(add, library)
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
    p.add_argument("start", type=int, nargs="?", metavar="START", help="with END: these characters; on a terminal")
    p.add_argument("end", type=int, nargs="?", metavar="END", help="highlighted, with the lines around them")
    p.set_defaults(run=show)


def _largest(p: ArgumentParser) -> None:
    from ingest.documents import MAX_BYTES

    help_ = "larger files are refused (default: %(default)s)"
    p.add_argument("--max-mb", type=_count, default=MAX_BYTES // 2**20, metavar="MB", help=help_)


def _asking(add: Add, library: Parser) -> None:
    p = add("search", parents=[library], help="what retrieval alone finds")
    _question(p)
    p.add_argument("-k", type=_count, default=10, metavar="N", help="how many passages at most (default: %(default)s)")
    where: dict[str, Any] = {"action": "append", "default": []}
    p.add_argument("--in", dest="documents", metavar="DOCUMENT", help="only here: a document, folder or glob", **where)
    p.add_argument("--kind", dest="kinds", choices=KINDS, help="only this kind of block (repeatable)", **where)
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=search, parser=p)
    p = add("ask", parents=[library], help="a question, answered with footnotes")
    _question(p)
    models = "quotes, claude, claude:NAME, llama:PATH or a chat server's URL (default: quotes)"
    p.add_argument("--model", type=_model, default="quotes", help=models)
    p.add_argument("--explain", action="store_true", help="show what the writer would see, and ask it nothing")
    p.add_argument("--log", metavar="FILE", help="add the question and how it went to this local file")
    p.add_argument("--json", action="store_true", help="the answer as one JSON document")
    p.set_defaults(run=ask, parser=p)


def _doors(add: Add, library: Parser) -> None:
    from assistant.serve.who import CAN

    p = add("serve", parents=[library], help="the page, /v1, /mcp and /api on one port, for other people's clients too")
    p.add_argument("--port", type=int, default=8501)
    p.add_argument("--address", default="localhost", help="what to listen on (default: this machine only)")
    p.add_argument("--model", dest="models", type=_model, action="append", help="a writer on offer (repeatable)")
    p.add_argument("--base-url", type=_address, metavar="URL", help="the public address that links lead to")
    p.add_argument("--open", action="store_true", help="let everybody ask who can reach it")
    p.add_argument("--trust-header", default="", metavar="NAME", help="a proxy in front names its visitors in this one")
    p.add_argument(
        "--oidc", action="store_true", help="the page asks its visitors to log in, by [auth] of secrets.toml"
    )
    p.add_argument("--visitors-can", choices=CAN, default="ask", help="what those without a token may (default: ask)")
    p.add_argument(
        "--per-minute", type=_count, metavar="N", help="requests a visitor may make (default: 60; here: any)"
    )
    p.add_argument("--log-questions", action="store_true", help="questions stand in the log too")
    p.set_defaults(run=serve)
    p = add("mcp", parents=[library], help="the same tools for an agent on this machine, on standard input and output")
    p.add_argument("--model", dest="models", type=_model, action="append", help="who writes answers (default: quotes)")
    page = "http://localhost:8501"
    p.add_argument("--base-url", type=_address, default=page, metavar="URL", help="the page's (default: %(default)s)")
    p.set_defaults(run=mcp)
    p = add("token", help="who may ask a server that others can reach")
    add = p.add_subparsers(title="what", metavar="WHAT", dest="what", required=True).add_parser
    p = add("add", parents=[library], help="make a token, and show it this once")
    p.add_argument("name", metavar="NAME", help="whose it is")
    p.add_argument("--can", choices=CAN, default="ask", help="each may what the one before may (default: ask)")
    p.set_defaults(run=token)
    p = add("remove", parents=[library], help="take a token back, at once")
    p.add_argument("name", metavar="NAME")
    p.set_defaults(run=token)
    add("list", parents=[library], help="whose there are, and what they may").set_defaults(run=token)


def _address(text: str) -> str:
    from urllib.parse import urlsplit

    seen = urlsplit(text)
    if seen.scheme not in ("http", "https") or not seen.hostname or seen.query or seen.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} is no address: give one such as https://guides.example.org")
    return text.rstrip("/")


def _question(p: ArgumentParser) -> None:
    p.add_argument("question", help="the question, or - to read it from standard input")
    earlier = "an earlier question (repeatable, oldest first)"
    p.add_argument("--history", action="append", default=[], metavar="QUESTION", help=earlier)
    p.add_argument("--no-rerank", action="store_true", help="do without the reranker")


def _count(text: str) -> int:
    number = int(text) if text.strip().isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return number


def _model(name: str) -> str:
    """A name that means a writer; what that one lacks, such as a key, is said when it is asked."""
    from assistant.writers import writer

    try:
        writer(name)
    except FootnoteError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return name


# What each command does: call the library, print the outcome. Heavy things are imported where they are used.

MOST_LISTED = 40  # documents that `status` lists unasked
AROUND = 3  # lines that `show` gives before and behind what it is asked for
SECONDS_TO_END = 5.0  # that the page's server has
KINDS = ("paragraph", "item", "table", "code", "question")


def ingest(args: Namespace) -> int:
    report = sources.synced(
        sources.given(args),
        args.library,
        args.json,
        embedder=args.embedder,
        chroma=args.chroma,
        keep_missing=args.keep_missing,
        wait_seconds=args.wait,
        max_bytes=args.max_mb * 2**20,
        ray=args.ray,
    )
    if not args.json:
        _print_report(report, args)
    return 1 if report.failed else 0


def _print_report(report: Report, args: Namespace) -> None:
    rate = f" ({report.chunks / report.seconds:.0f} chunks/s)" if report.chunks else ""
    embedded = f"{report.chunks} chunks, {report.embedded} embedded, {report.seconds:.1f} s{rate}"
    print(f"{sources.counted(report)}; {embedded}")
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
    from ingest.sync import changes, made_by

    library = _opened(args)
    stale = changes(library)
    outdated = [d.path for d in library.documents() if d.made_by != made_by()]
    if args.json:
        put_json(
            {
                "library": str(args.library),
                "documents": [asdict(d) for d in library.documents()],
                "chunks": library.count(),
                "failures": [asdict(f) for f in library.failures()],
                "taken_out": library.excluded(),
                "stale": {"added": stale.added, "changed": stale.changed, "removed": stale.removed},
                "outdated": outdated,
                "embedder": library.meta("embedder"),
                "generation": library.generation,
                "roots": library.roots(),
            }
        )
        return
    documents, roots = library.documents(), ", ".join(library.roots()) or "nothing"
    print(one_line(f"{args.library}: {len(documents)} documents, {library.count()} chunks, from {roots}"))
    _print_documents(documents, args.verbose)
    for failure in library.failures():
        print(one_line(f"failed: {failure.reason}"))
    for file in library.excluded():
        print(one_line(f"taken out by hand: {file}; `footnote ingest` with its name brings it back"))
    print(one_line(_state(library, stale, len(outdated))))


def _state(library: Library, stale: Report, outdated: int) -> str:
    """Whether the library is what its folders are, and the command that makes it so."""
    roots = " ".join(map(shlex.quote, library.roots())) or "FOLDER"
    again = f"footnote ingest {roots} --library {shlex.quote(str(library.place))}"
    if not library.roots():
        return f"Nothing was ingested into it yet: {again}"
    if stale.added or stale.changed or stale.removed:
        news = {"new": stale.added, "changed": stale.changed, "gone": stale.removed}
        what = ", ".join(f"{len(paths)} {k}" for k, paths in news.items() if paths)
        return f"The folder is newer than the library ({what}): {again}"
    if outdated:
        return f"Another version of Footnote read {outdated} of the documents; to renew them: {again}"
    return "The library is up to date with its folders."


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
    elif start is None:
        terminal.put_long(neutralise(text))
    else:
        terminal.put_long(_around(text, start, end))


def _around(text: str, start: int, end: int) -> str:
    """These characters, marked, and a few lines on either side."""
    before, behind = neutralise(text[:start]).split("\n"), neutralise(text[end:]).split("\n")
    first, last = "\n".join(before[-AROUND - 1 :]), "\n".join(behind[: AROUND + 1])
    return f"{first}{terminal.BEGIN}{neutralise(text[start:end])}{terminal.END}{last}"


def search(args: Namespace) -> None:
    from assistant.answer import Assistant
    from assistant.records import as_json

    asked, library = _asked(args), _opened(args)
    for pattern in args.documents:
        if not library.paths([pattern]):
            args.parser.error(f"argument --in: no document is called {pattern!r}; `footnote status` lists them")
    guide = Assistant(library, rerank=not args.no_rerank)
    found = guide.search(asked, args.k, args.history, documents=args.documents, kinds=args.kinds)
    if args.json:
        put_json([as_json(p) for p in found])
        return
    for i, p in enumerate(found, 1):
        print(one_line(f"{i}. {p.score:.2f}  {p.document}  {p.section}  [{p.start}:{p.end}]"))
        print("   " + neutralise(p.text).replace("\n", "\n   ") + "\n")
    if not found:
        print("Nothing found: the library has no passage that shares anything with the question.")


def ask(args: Namespace) -> int:
    from assistant.answer import Assistant
    from assistant.records import as_json

    asked = _asked(args)
    guide = Assistant(_opened(args), args.model, rerank=not args.no_rerank)
    if args.explain:
        explain(guide, asked, args.history)
        return 0
    if args.json:
        answer = guide.ask(asked, args.history)
        put_json(answer.to_json() | {"passages": [as_json(p) for p in answer.passages]})
    else:
        answer = Printer().show(guide.stream(asked, args.history))
    if args.log:
        from pathlib import Path

        from assistant.evaluation.questions import log_answer

        log_answer(Path(args.log), answer)
    if answer.status in ("failed", "refused") and answer.detail:
        say(f"footnote: {answer.detail}")
    return 1 if answer.status in ("failed", "refused") else 0


def _opened(args: Namespace) -> Library:
    from ingest.library import Library
    from ingest.writing import mend_beside

    return Library(args.library, say, mend_beside, brief=True)


def _asked(args: Namespace) -> str:
    """The question as given, or from standard input where it is `-`."""
    asked = str(sys.stdin.read() if args.question == "-" else args.question).strip()
    if not asked:
        args.parser.error('the question is empty: ask one, as in `footnote ask "What is overfitting?"`')
    return asked


def chat(args: Namespace) -> int:
    """Until it is stopped, as is meant: the server, in a group of its own, is told so by us and ends without a fuss."""
    import signal
    import subprocess

    command = [sys.executable, "-m", "streamlit", "run", str(beside("app.py"))]
    settings = page_settings()  # which Streamlit looks for in the current folder only
    command += [part for name, value in settings.items() for part in (f"--{name}", _as_option(value))]
    command += ["--server.port", str(args.port), "--server.address", args.address]
    env = {**os.environ, "FOOTNOTE_LIBRARY": str(args.library)}
    for ended in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended, signal.default_int_handler)
    server = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, process_group=0)
    try:
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        try:
            server.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:  # told while it was starting, Streamlit may miss it
            server.kill()
        return 0


def _as_option(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def page_settings() -> dict[str, Any]:
    """The page's settings by their names, such as `theme.light.textColor`."""
    import tomllib
    from pathlib import Path

    def flat(table: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
        for key, value in table.items():
            if isinstance(value, dict):
                yield from flat(value, f"{name}{key}.")
            else:
                yield f"{name}{key}", value

    file = Path(__file__).resolve().parent / "page" / "parts" / "config.toml"
    return dict(flat(tomllib.loads(file.read_text("utf-8")), ""))


def serve(args: Namespace) -> None:
    from pathlib import Path

    from assistant.serve.who import rules

    place = Path(args.library)
    may = rules(
        place, args.address, args.base_url or "", open_=args.open, header=args.trust_header, oidc=args.oidc,
        visitors_can=args.visitors_can, per_minute=args.per_minute,
    )  # fmt: skip
    say("footnote: starting …")
    from assistant.serve.app import serve as run
    from assistant.serve.desk import Desk

    desk = Desk(place, tuple(args.models or ("quotes",)), args.base_url or "", args.log_questions)
    run(desk, may, args.address, args.port, page_settings(), say)


def mcp(args: Namespace) -> None:
    from pathlib import Path

    from assistant.serve.app import speak
    from assistant.serve.desk import Desk

    if sys.stdin.isatty():
        say("footnote: waiting for an agent on standard input; its configuration starts this command, Ctrl-C ends it")
    speak(Desk(Path(args.library), tuple(args.models or ("quotes",)), args.base_url))


def token(args: Namespace) -> None:
    from pathlib import Path

    from assistant.serve.who import Tokens

    tokens = Tokens(Path(args.library))
    if args.what == "add":
        print(tokens.add(args.name, args.can))
        say(f"This is shown once. It may {args.can}; `footnote token remove {args.name}` takes it back.")
    elif args.what == "remove":
        tokens.remove(args.name)
        print(f"taken back: {args.name}")
    else:
        for one in tokens.listed():
            print(one_line(f"{one.name} may {one.can}, added {one.added}"))
        if not tokens.listed():
            print("no tokens: `footnote token add NAME` makes one")


def completion(args: Namespace) -> None:
    """A script that knows every command and option, so that nothing is started when Tab is pressed."""
    try:
        import shtab
    except ImportError:
        raise FootnoteError("completion needs shtab, which is not installed: pip install shtab") from None
    top = parser()
    for p in _filled(top):
        for action in p._actions:
            if not isinstance(action, argparse._SubParsersAction):
                action.choices = action.choices and list(action.choices)  # shtab takes a table for commands
            if action.metavar in ("PATH", "FILE", "FOLDER", "QUESTIONS"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.metavar == "DIR":
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    print(shtab.complete(top, args.shell))
    if sys.stdout.isatty():
        say(f"Write this to {SHELLS[args.shell]}: footnote completion {args.shell} > …")


def _filled(p: Parser) -> Iterator[Parser]:
    """A parser and all below it, with what they leave for later."""
    if fill := p.fill:
        p.fill = None
        fill(p)
    yield p
    for action in p._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _filled(below)


def explain(guide: Assistant, question: str, history: list[str]) -> None:
    """The passages in order with their scores, the decision, and the prompt byte for byte."""
    from assistant.judge import unit_text

    request, verdict = guide.prepare(question, history)
    out = [f"Understood as: {request.question}", f"Chance that the guides hold the answer: {verdict.chance:.2f}"]
    would = "It would be answered." if verdict.sure else "It would be quoted as the nearest that the guides come."
    out.append(would if verdict.answerable else f"It would not be answered: {verdict.reason}")
    for number, p in enumerate(request.passages, 1):
        out.append(f"\nPassage {number}, score {p.score:.2f}: {p.document} {p.start}–{p.end} ({p.section})")
        chances = request.evidence[number - 1] if request.evidence else [0.0] * len(p.units)
        for i, (unit, chance) in enumerate(zip(p.units, chances, strict=True), 1):
            out.append(f"  [{number}.{i}] {chance:.2f} {unit_text(p, unit)}")
    prompt = getattr(guide.writer, "prompt", None)
    told = "The quoting writer has no prompt: it chooses among these units."
    out.append(f"\nPrompt:\n{prompt(request)}" if prompt else f"\n{told}")
    print(neutralise("\n".join(out)))


# An answer as it is written, its footnotes below: guide → section → quote.

_WORDS = {"not_in_guides": "Not in the guides.", "refused": "The model refused to answer.", "failed": "Not answered."}
QUOTE_CHARACTERS = 300  # of one quote that are shown


class Printer:
    """An answer on a terminal or in a file: wrapped to the width, coloured only on a terminal.

    Sentences are shown as they are proved, but none before one is supported or in doubt: a text of which nothing is
    supported is no answer, and what was printed cannot be taken back.
    """

    def __init__(self) -> None:
        self.width = terminal.width()
        self.colour = terminal.understands_escapes(sys.stdout) and "NO_COLOR" not in os.environ
        self.notes: dict[Footnote, int] = {}
        self._held: list[Sentence] | None = []  # back, until one may be supported
        self._column = 0
        self._block = False  # whether the sentence before is a line of its own

    def show(self, events: Iterable[Event]) -> Answer:
        from assistant.records import NEAREST, SHOWN, Answer, Passages, Proved

        answer: Answer | None = None
        for event in events:
            if isinstance(event, Passages):
                understood = event.understood
                if event.nearest:
                    self._line(self._bold(NEAREST) + "\n")
            elif isinstance(event, Proved):
                self._proved(event.sentence)
            elif isinstance(event, Answer):
                answer = event
        assert answer is not None
        if answer.status != "not_in_guides":
            self._release()
        if understood != answer.question and answer.status in SHOWN:
            self._line(self._dim(f"\n\nUnderstood as: {neutralise(understood)}"))
        self._end(answer)
        return answer

    def _proved(self, sentence: Sentence) -> None:
        if self._held is None:
            self._sentence(sentence)
            return
        self._held.append(sentence)
        if sentence.outcome != "not supported" and sentence.footnotes:
            self._release()

    def _release(self) -> None:
        held, self._held = self._held or [], None
        for sentence in held:
            self._sentence(sentence)

    def _sentence(self, sentence: Sentence) -> None:
        from assistant.records import FENCES, is_block

        marks = "".join(f"[{self.notes.setdefault(note, len(self.notes) + 1)}]" for note in sentence.footnotes)
        if not sentence.supported:
            marks += f" ({sentence.outcome}: {neutralise(sentence.why)})"
        text = neutralise(sentence.text)
        block, after_block, self._block = is_block(text), self._block, is_block(text)
        if text.startswith(FENCES):
            self._write("\n" * (self._column > 0) + text + "\n" + (self._dim(marks) + "\n" if marks else ""))
            self._column = 0
            return
        if block or after_block:
            self._write("\n" * ((self._column > 0) + (after_block and not block)))
            self._column = 0
        self._words(text, marks)

    def _words(self, text: str, marks: str) -> None:
        """Word by word, so that lines fill up while sentences come; the marks stick to the last word."""
        for word in [*text.split(" "), *([marks] if marks else [])]:
            if self._column and self._column + 1 + len(word) > self.width:
                self._write("\n")
                self._column = 0
            glue = " " if self._column and word != marks else ""
            self._write(glue + (self._dim(word) if word == marks else word))
            self._column += len(glue) + len(word)

    def _end(self, answer: Answer) -> None:
        from assistant.records import SHOWN

        if answer.status not in SHOWN:
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
            if note.address:
                self._line("    " + self._dim(neutralise(note.address)))
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


if __name__ == "__main__":
    sys.exit(main())
