"""The commands that look after sources: `footnote sources`, `footnote watch`; and the options of what is fetched."""

from __future__ import annotations

import argparse
import re
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant import terminal
from assistant.records import one_line
from assistant.terminal import put_json, say
from ingest.errors import FootnoteError

if TYPE_CHECKING:
    from ingest.library import Library
    from ingest.sources import Source
    from ingest.sources.manage import Listed
    from ingest.sync import Report

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_commands(add: Callable[..., ArgumentParser], library: ArgumentParser) -> None:
    p = add("watch", parents=[library], help="keep the library up to date while folders change")
    p.add_argument("paths", nargs="*", metavar="PATH", help="a folder, file or address (default: all that is in it)")
    p.add_argument("--every", type=_interval, default=0.0, metavar="TIME", help="fetch addresses again: 30m, 6h, 1d")
    add_options(p)
    p.set_defaults(run=watch)
    p = add("sources", parents=[library], help="where the documents come from; refresh or remove a source")
    p.add_argument("what", nargs="?", choices=("list", "refresh", "remove"), default="list")
    p.add_argument("names", nargs="*", metavar="SOURCE", help="a folder or an address, as it is listed")
    p.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait for an ingest")
    p.add_argument("--json", action="store_true")
    p.set_defaults(run=sources)


def add_options(p: ArgumentParser) -> None:
    """How pages, sites and repositories are fetched."""
    web = p.add_argument_group("addresses of the web, and repositories")
    web.add_argument("--site", action="store_true", help="all pages below the address, not only this one")
    web.add_argument("--pages", type=_whole, default=500, metavar="N", help="of a site at most (default: %(default)s)")
    web.add_argument("--depth", type=_whole, default=10, metavar="N", help="links from its first page (%(default)s)")
    web.add_argument("--delay", type=float, default=0.5, metavar="SECONDS", help="between two requests (%(default)s)")
    web.add_argument("--browser", action="store_true", help="run the scripts of pages that show nothing without")
    web.add_argument("--allow-private", action="store_true", help="also addresses of this machine and its network")
    web.add_argument("--ref", default="", help="a repository's branch, tag or commit")
    include: dict[str, Any] = {"action": "append", "default": [], "metavar": "PATTERN"}
    web.add_argument("--include", help="only such files of a repository, as in 'docs/**' (repeatable)", **include)


def _whole(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _interval(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", text.strip().lower())
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: give one such as 30m, 6h or 1d")
    return float(found[1]) * _SECONDS[found[2]]


def given(args: Namespace) -> list[str | Source]:
    """What was given on the command line: paths as they are, addresses and repositories as sources."""
    from ingest.sources import is_fetched, source_of

    names = ("pages", "depth", "delay", "browser", "allow_private")
    options = {name: getattr(args, name) for name in names}
    found: list[str | Source] = []
    for path in args.paths:
        local = not is_fetched(path)
        if local and not ((args.ref or args.include) and _is_repository(path)):
            found.append(path)
        else:
            found.append(source_of(path, site=args.site, ref=args.ref, include=args.include, **options))
    if (args.ref or args.include) and not any(not isinstance(one, str) and one.kind == "git" for one in found):
        raise FootnoteError(f"--ref and --include are for repositories: {args.paths[0]!r} is none")
    return found


def _is_repository(path: str) -> bool:
    folder = Path(path).expanduser()
    return (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())


# footnote watch


def watch(args: Namespace) -> int:
    from ingest.sources.watch import Watch

    paths = given(args) if args.paths else _all(args)
    folders = [path for path in paths if isinstance(path, str)]
    if not args.every and not folders:
        raise FootnoteError("nothing here changes by itself: say how often it is fetched, as in --every 6h")
    said = [*folders, *(f"{p.address} every {args.every:g} s" for p in paths if not isinstance(p, str) and args.every)]
    say(f"watching {', '.join(map(str, said))}; Ctrl-C ends it")
    for told in Watch(paths, Path(args.library), args.every, notify=say).told():
        if isinstance(told, str):
            say(f"{_now()} {told}")
        else:
            _say_report(told)
    return 0


def _all(args: Namespace) -> list[str | Source]:
    from ingest.library import Library
    from ingest.sources.manage import sources as all_sources

    there = all_sources(Library(args.library))
    if not there:
        raise FootnoteError(
            f"nothing was ingested into {args.library} yet: give a folder, as in `footnote watch corpus`"
        )
    return [s.source or s.root for s in there]


def _say_report(report: Report) -> None:
    for failure in report.failed:
        say(f"{_now()} failed: {failure.reason}")
    for kind in ("added", "changed", "moved", "renewed", "removed"):
        for path in getattr(report, kind):
            print(one_line(f"{_now()} {kind} {path}"), flush=True)


def _now() -> str:
    return time.strftime("%H:%M:%S")


# footnote sources


def sources(args: Namespace) -> int:
    from ingest.library import Library
    from ingest.sources.manage import named, remove_sources

    if args.what == "remove":
        if not args.names:
            raise FootnoteError(
                "say which source goes, as in `footnote sources remove https://…`: `footnote sources` lists them"
            )
        gone = remove_sources(args.names, args.library, wait_seconds=args.wait)
        if args.json:
            put_json([_as_json(s) for s in gone])
        for s in gone if not args.json else ():
            stays = "" if s.source else "; its files stay where they are"
            print(one_line(f"removed {s.name} with {s.documents} documents{stays}"))
        return 0
    library = Library(args.library)
    meant = named(library, args.names)
    if args.what == "refresh":
        return _refresh(args, library, meant)
    if args.json:
        put_json([_as_json(s) for s in meant])
    else:
        for s in meant:
            print(one_line(_line(s)))
    return 0


def _refresh(args: Namespace, library: Library, meant: list[Listed]) -> int:
    missing = [s for s in meant if s.missing]
    for s in missing:
        say(f"failed: {s.name} is not there: ingest it from where it is now, or `footnote sources remove {s.name}`")
    there = [s.source or s.root for s in meant if not s.missing]
    if not there:
        return 1
    report = synced(there, library.place, args.json, wait_seconds=args.wait)
    if not args.json:
        print(counted(report))
    return 1 if report.failed or missing else 0


def synced(there: Sequence[str | Source], place: Path | str, as_json: bool, **options: Any) -> Report:
    """A sync with its progress, and what is to be said of it besides its counts; all of it where JSON is asked for."""
    from ingest.sync import sync

    with terminal.Bar("files") as bar:
        report = sync(
            there,
            place,
            progress=lambda progress: bar.tell(progress.done, progress.total, progress.doing),
            notify=bar.say,
            **options,
        )
    for failure in report.failed:
        say(f"failed: {failure.reason}")
    if as_json:
        put_json(asdict(report))
    else:
        for note in report.notes:
            say(f"note: {note}")
    return report


def counted(report: Report) -> str:
    """How many documents of each fate."""
    counts = {k: len(getattr(report, k)) for k in ("added", "changed", "moved", "renewed", "removed", "failed")}
    return ", ".join([f"{n} {k}" for k, n in counts.items() if n] + [f"{report.unchanged} unchanged"])


def _line(s: Listed) -> str:
    failed = f", {s.failed} failed" if s.failed else ""
    when = f", fetched {time.strftime('%Y-%m-%d %H:%M', time.localtime(s.checked))}" if s.checked else ""
    missing = ", not there now" if s.missing else ""
    return f"{s.kind:8}{s.name}  ({s.documents} documents{failed}{when}{missing})"


def _as_json(s: Listed) -> dict[str, Any]:
    return {**asdict(s), "checked": s.checked or None}
