"""What every door asks: one library, the writers on offer, a few questions at a time, and everything counted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from assistant.answer import Assistant, Event, History
from assistant.records import Answer, Passage
from ingest.errors import FootnoteError, LibraryBusy, LibraryError, ReadError, WriterError
from ingest.library import FILE

if TYPE_CHECKING:
    from ingest.library import Library

T = TypeVar("T")

NAME = "footnote"  # the first writer on offer, for clients; the others are footnote/…
AT_ONCE = 64  # answers under way at a time: most of it is waiting for a model
LOOKING = os.cpu_count() or 2  # of these may look through the library at a time: more would only share the cores
WAITING = 200  # questions that may stand in line; one more is told to come back
AGAIN = 5  # seconds after which to come back


class Busy(FootnoteError):
    """More is asked than can be answered."""


class NoSuchModel(FootnoteError):
    """A name that is not among those on offer."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, as every door tells it: OpenAI's shape, which clients know how to read."""

    status: int
    message: str
    kind: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(AGAIN)} if self.status in (429, 503) else {}


def failure_of(error: Exception) -> Failure:
    """Ours are told as they are; of anything else only that it happened."""
    message = str(error)
    if isinstance(error, NoSuchModel):
        return Failure(404, message, code="model_not_found", param="model")
    if isinstance(error, Busy | LibraryBusy):
        return Failure(503, message, "server_error", "busy")
    if isinstance(error, LibraryError):
        return Failure(503, message, "server_error", "library")
    if isinstance(error, WriterError):
        return Failure(502, message, "server_error", "writer")
    if isinstance(error, FootnoteError):
        return Failure(400, message, code="not_read" if isinstance(error, ReadError) else None)
    return Failure(500, "Something went wrong here, and was written to the server's log.", "server_error")


def log(**said: Any) -> None:
    """One line of JSON on standard error."""
    print(json.dumps(said, ensure_ascii=True, default=str), file=sys.stderr, flush=True)  # noqa: T201


class Counts:
    """What Prometheus reads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        add: dict[str, Any] = {"registry": self.registry}
        self.questions = Counter("footnote_questions", "Questions answered", ["door", "model", "status"], **add)
        self.seconds = Histogram("footnote_answer_seconds", "Seconds an answer took", ["part"], buckets=_BUCKETS, **add)
        self.tokens = Counter("footnote_tokens", "Tokens of models", ["model", "direction"], **add)
        self.requests = Counter("footnote_requests", "Requests", ["door", "code"], **add)
        self.working = Gauge("footnote_answers_under_way", "Questions being answered or waiting", **add)

    def answered(self, door: str, answer: Answer) -> None:
        model = _shown(answer.model)
        self.questions.labels(door, model, answer.status).inc()
        for part, seconds in answer.seconds.items():
            self.seconds.labels(part).observe(seconds)
        for direction in ("input", "output"):
            if tokens := answer.usage.get(f"{direction}_tokens", 0):
                self.tokens.labels(model, direction).inc(tokens)


_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120)


@dataclass
class Desk:
    """`models` are what `--model` takes; clients see short names, in which no path of this machine stands."""

    place: Path
    models: Sequence[str] = ("quotes",)
    base_url: str = ""  # the public address; without one, the address that a request came to
    log_questions: bool = False
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self.offered = {NAME: self.models[0]} | {f"{NAME}/{_shown(m)}": m for m in ("quotes", *self.models)}
        self._open: tuple[int, dict[str, Assistant]] = (-1, {})
        self._opening = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="door")
        self._looking = threading.BoundedSemaphore(LOOKING)
        self._waiting = 0

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def assistant(self, model: str = NAME) -> Assistant:
        """The one with this writer; a library that was made anew in its place is opened anew."""
        if model not in self.offered:
            raise NoSuchModel(f"no model {model!r} here: GET /v1/models lists {', '.join(self.offered)}")
        file = self.place / FILE
        inode = file.stat().st_ino if file.exists() else 0
        with self._opening:
            if self._open[0] != inode:
                self._open = (inode, {"": Assistant(self.place)})
            opened, name = self._open[1], self.offered[model]
            if name not in opened:
                opened[name] = Assistant(opened[""].library, name)
                opened[name].retriever = opened[""].retriever
            return opened[name]

    def library(self) -> Library:
        return self.assistant().library

    async def run(self, work: Callable[[], T]) -> T:
        """Done in a thread, in its turn."""
        self._enter()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._leave()

    async def search(
        self, question: str, k: int = 10, history: History = (), **narrowed: Sequence[str]
    ) -> list[Passage]:
        def look() -> list[Passage]:
            with self._looking:
                return self.assistant().search(question, k, history, **narrowed)

        return await self.run(look)

    async def answer(self, question: str, history: History = (), model: str = NAME, door: str = "api") -> Answer:
        async with contextlib.aclosing(self.events(question, history, model, door)) as events:
            return [event async for event in events if isinstance(event, Answer)][-1]

    async def events(
        self, question: str, history: History = (), model: str = NAME, door: str = "api"
    ) -> AsyncGenerator[Event]:
        """What `Assistant.stream` gives. One thread works it out at its own pace: a client that reads slowly, or has
        left, holds up nobody."""
        loop, left = asyncio.get_running_loop(), threading.Event()
        told: asyncio.Queue[Event | Exception | None] = asyncio.Queue()

        def tell(event: Event | Exception | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody listens
                loop.call_soon_threadsafe(told.put_nowait, event)

        def work() -> None:
            try:
                self._write(question, history, model, door, tell, left)
            except Exception as error:  # noqa: BLE001  # raised again, where it is waited for
                tell(error)
            tell(None)

        self._enter()
        try:
            self._pool.submit(work)
            while (event := await told.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            left.set()
            self._leave()

    def _write(
        self,
        question: str,
        history: History,
        model: str,
        door: str,
        tell: Callable[[Event], None],
        left: threading.Event,
    ) -> None:
        if left.is_set():
            return
        with contextlib.closing(self.assistant(model).stream(question, history)) as events:  # type: ignore[type-var]
            with self._looking:
                found = next(events)
            for event in chain([found], events):
                if left.is_set():
                    return
                if isinstance(event, Answer):
                    self._count(door, event)
                tell(event)

    def _count(self, door: str, answer: Answer) -> None:
        self.counts.answered(door, answer)
        asked = {"question": answer.question} if self.log_questions else {}
        log(
            event="answer", door=door, model=_shown(answer.model), status=answer.status, seconds=answer.seconds, **asked
        )

    def _enter(self) -> None:
        if self._waiting >= WAITING:
            raise Busy(f"{WAITING} questions stand in line: ask again in {AGAIN} seconds")
        self._waiting += 1
        self.counts.working.inc()

    def _leave(self) -> None:
        self._waiting -= 1
        self.counts.working.dec()


def _shown(model: str) -> str:
    """`llama:/models/mine` is called `llama:mine`, a chat server by its host."""
    kind, _, rest = model.partition(":")
    if kind in ("http", "https"):
        return f"chat:{urlsplit(model).hostname}"
    return f"{kind}:{PurePath(rest).name}" if kind == "llama" else model


def sse(event: str, value: Any) -> str:
    """A server-sent event."""
    return (f"event: {event}\n" if event else "") + f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


async def begun(events: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The same, its first already there: what is wrong by then can still be told by a status."""
    first = await anext(events)

    async def all_of_them() -> AsyncGenerator[T]:
        async with contextlib.aclosing(events):
            yield first
            async for event in events:
                yield event

    return all_of_them()


def turns(history: Iterable[Any]) -> list[Any]:
    """Earlier questions as plain strings, or with their answers, as `Assistant.ask` takes them."""
    from assistant.records import Turn

    return [one if isinstance(one, str) else Turn(one.question, one.answer) for one in history]
