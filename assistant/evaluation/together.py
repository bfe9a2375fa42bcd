"""Answers that are written many at once: what a writer is asked is collected, and what it wrote is then read out.

Retrieval, the decision to answer and the proving are those of `Assistant`, question by question; only times are not
measured, since nobody waits for one answer alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from assistant.evaluation.generate import Outcome, Progress, predictor
from assistant.evaluation.predictions import Log, Prediction
from assistant.evaluation.price import collect
from assistant.evaluation.questions import Question
from assistant.writers import Cite, Request, Stop, Text

if TYPE_CHECKING:
    from assistant.answer import Assistant

Events = Iterable[Text | Cite | Stop]
NOT_ASKED: Events = (Stop("cut", detail="it was not asked together with the others"),)


@runtime_checkable
class WritesMany(Protocol):
    """A writer that answers several requests faster together than one by one."""

    def write_batch(self, requests: Sequence[Request]) -> Sequence[Events]: ...


class _Reader:
    """A writer that reads out what was written elsewhere."""

    def __init__(self, name: str, read: Callable[[Request], Events]) -> None:
        self.name, self._read = name, read

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        yield from self._read(request)


def read_out(assistant: Assistant, model: str, question: Question, read: Callable[[Request], Events]) -> Prediction:
    """The prediction that asking alone would have given, but for its times."""
    from assistant.answer import Assistant

    reader = Assistant(assistant.library, _Reader(model, read))
    reader.retriever = assistant.retriever
    found = predictor(reader, model)(question)
    assert found.answer is not None
    return replace(found, answer=replace(found.answer, seconds={}), first_word=None)


def generate_together(
    assistant: Assistant,
    writer: WritesMany,
    model: str,
    questions: Sequence[Question],
    log: Log,
    *,
    size: int,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Ask the questions, `size` at a time as one batch of the model."""
    started = time.perf_counter()
    done = failed = 0
    for first in range(0, len(questions), size):
        some = questions[first : first + size]
        asked = collect(assistant, some)
        written = writer.write_batch([request for _, request in asked]) if asked else []
        events = {question.id: each for (question, _), each in zip(asked, written, strict=True)}
        for question in some:
            said = events.get(question.id, NOT_ASKED)
            prediction = read_out(assistant, model, question, lambda request, said=said: said)  # type: ignore[misc]
            log.add(prediction)
            failed += prediction.failed
        done += len(some)
        elapsed = time.perf_counter() - started
        tell(Progress(model, done, len(questions), elapsed / done * (len(questions) - done), 0.0))
    return Outcome(done, failed, 0.0, 0, time.perf_counter() - started)
