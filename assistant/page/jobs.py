"""Work that goes on while pages come and go: each job has a thread of its own, and a page looks at it when it likes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from assistant.records import Answer, Passages, Proved, Sentence, Written
from ingest.errors import FootnoteError

if TYPE_CHECKING:
    from assistant.answer import Event
    from assistant.records import Passage
    from ingest.sync import Progress, Report, Tell

STOPPED = "Stopped. What was written until then is kept."
_UNPROVED = "the answer ended before this could be checked against the guides"


class Answering:
    """One answer being written. `keep` is given it once, when it is finished, stopped or broken off; then `offer`
    looks for questions to go on with, while the answer is read."""

    def __init__(
        self,
        question: str,
        model: str,
        events: Callable[[], Iterator[Event]],
        keep: Callable[[Answer], None],
        offer: Callable[[Answer], list[str]] = lambda answer: [],
    ) -> None:
        self.question, self.model = question, model
        self.started = time.monotonic()
        self.passages: tuple[Passage, ...] | None = None
        self.understood, self.nearest = "", False
        self.sentences: list[Sentence] = []
        self.answer: Answer | None = None
        self.offered: list[str] | None = None  # questions to go on with; none yet
        self._text, self._proved = "", 0
        self._events, self._keep, self._offer = events, keep, offer
        self._lock = threading.Lock()
        self._done = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="answering").start()

    @property
    def pending(self) -> str:
        """What is written but not yet proved."""
        return self._text[self._proved :].strip()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def wait(self, seconds: float) -> bool:
        """Whether it is done, after waiting for it this long at most."""
        return self._done.wait(seconds)

    def stop(self) -> None:
        """Ends at once for whoever looks; the writer is let go when it next says something."""
        self._end(self.so_far(STOPPED))

    def so_far(self, detail: str) -> Answer:
        """What there is, as an answer that was not finished."""
        rest = (Sentence(self.pending, False, (), _UNPROVED),) if self.pending else ()
        return Answer(
            question=self.question,
            status="failed",
            sentences=(*self.sentences, *rest),
            passages=self.passages or (),
            model=self.model,
            seconds={"total": round(self.seconds, 4)},
            understood=self.understood,
            detail=detail,
        )

    def _run(self) -> None:
        self._answer()
        with suppress(Exception):  # nothing is lost where there are none
            self.offered = self._offer(self.answer) if self.answer and self.answer.status != "failed" else []
        self.offered = self.offered or []

    def _answer(self) -> None:
        try:
            for event in self._events():
                if self._done.is_set():
                    return  # which closes the generator, and with it the writer's connection
                self._take(event)
            self._end(self.so_far("The writer ended without an answer. Ask again."))
        except FootnoteError as error:
            self._end(self.so_far(str(error)))
        except Exception as error:  # noqa: BLE001  # whatever a writer raises, the page must say something
            what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            self._end(self.so_far(f"The writer broke off ({what}). Ask again, or choose another writer."))

    def _take(self, event: Event) -> None:
        if isinstance(event, Passages):
            self.passages, self.understood, self.nearest = event.passages, event.understood, event.nearest
        elif isinstance(event, Written):
            self._text += event.text
        elif isinstance(event, Proved):
            at = self._text.find(event.sentence.text, self._proved)
            self._proved = at + len(event.sentence.text) if at >= 0 else len(self._text)
            self.sentences.append(event.sentence)
        else:
            self._end(event)

    def _end(self, answer: Answer) -> None:
        with self._lock:
            if self._done.is_set():
                return
            try:
                self._keep(answer)
            except FootnoteError as error:
                answer = self.so_far(str(error))
            self.answer = answer
            self._done.set()


class Stopped(FootnoteError):
    """The visitor wants no more of it."""


class Ingesting:
    """An ingest under way. `work` is given a function that it tells its progress."""

    def __init__(self, work: Callable[[Tell], Report | None]) -> None:
        self.progress: Progress | None = None
        self.report: Report | None = None
        self.error = ""
        self._work = work
        self._done, self._stop = threading.Event(), threading.Event()
        threading.Thread(target=self._run, daemon=True, name="ingesting").start()

    def wait(self, seconds: float) -> bool:
        return self._done.wait(seconds)

    def _run(self) -> None:
        try:
            self.report = self._work(self._tell)
        except FootnoteError as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001  # a thread that dies in silence would leave the page waiting
            self.error = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        finally:
            self._done.set()

    def stop(self) -> None:
        """Ends it when it next tells its progress, at most half a second on: the library can be left at any point."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def _tell(self, progress: Progress) -> None:
        self.progress = progress
        if self._stop.is_set():
            raise Stopped("Stopped. What was not read yet is not in the library.")
