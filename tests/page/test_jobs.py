"""Work in threads of its own: stopped at once, never lost, and never silent about what went wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from assistant.page.jobs import Answering, Ingesting
from assistant.records import Answer, Passages, Proved, Sentence, Written
from ingest.errors import WriterError
from ingest.sync import Progress


def test_stop_ends_at_once_and_keeps_what_was_written_even_if_the_writer_hangs() -> None:
    hang, closed = threading.Event(), threading.Event()

    def events() -> Iterator[Any]:
        try:
            yield Passages((), "q")
            yield Written("One. Two")
            yield Proved(Sentence("One.", True))
            hang.wait(10)
            yield Written("three")
        finally:
            closed.set()

    kept: list[Answer] = []
    job = Answering("q", "slow", events, kept.append)
    while not job.sentences:
        time.sleep(0.01)
    before = time.perf_counter()
    job.stop()
    assert job.wait(0)
    assert time.perf_counter() - before < 0.5
    assert [(s.text, s.supported) for s in kept[0].sentences] == [("One.", True), ("Two", False)]
    assert kept[0].status == "failed"
    hang.set()
    assert closed.wait(5), "the writer is let go of"
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [(WriterError("no such model: name another"), "no such model: name another"), (ZeroDivisionError("oh"), "oh")],
)
def test_whatever_breaks_is_said_and_what_was_written_is_kept(error: Exception, said: str) -> None:
    def events() -> Iterator[Any]:
        yield Passages((), "q")
        yield Written("Half a sen")
        raise error

    kept: list[Answer] = []
    job = Answering("q", "m", events, kept.append)
    assert job.wait(5)
    assert kept[0].sentences[0].text == "Half a sen"
    assert said in kept[0].detail
    assert "\n" not in kept[0].detail


def test_a_finished_answer_is_kept_as_it_is() -> None:
    answer = Answer("q", "answered", (Sentence("A.", True),))
    kept: list[Answer] = []
    job = Answering("q", "m", lambda: iter([Passages((), "q"), Written("A."), answer]), kept.append)
    assert job.wait(5)
    job.stop()
    assert kept == [answer]
    assert job.answer is answer


def test_an_ingest_that_fails_says_why() -> None:
    def work(tell: Any) -> None:
        raise RuntimeError("disk full")

    job = Ingesting(work)
    assert job.wait(5)
    assert "disk full" in job.error


def test_an_ingest_that_is_stopped_ends_when_it_next_tells_its_progress() -> None:
    told, stopped = threading.Event(), threading.Event()

    def work(tell: Any) -> None:
        tell(Progress(0, 2, "a.md"))
        told.set()
        assert stopped.wait(5)
        tell(Progress(1, 2, "b.md"))
        raise AssertionError("it went on")

    job = Ingesting(work)
    assert told.wait(5)
    job.stop()
    stopped.set()
    assert job.wait(5)
    assert job.error.startswith("Stopped")
