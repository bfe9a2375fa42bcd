"""Ask every question and keep what is answered. A kill loses nothing of that: the same run goes on from there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.evaluation.predictions import Log, Prediction
from assistant.evaluation.questions import Question
from assistant.followups import Understood
from assistant.records import Answer, Passages
from assistant.retrieve import Candidates, Retriever
from ingest.errors import WriterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from assistant.answer import Assistant
    from ingest.library import Library

RETRIEVED = 10
RETRIEVED_WHOLE = 30  # where documents as a whole are looked for: several passages of one count once
FAILURES = 5  # answers that fail in a row end the run: something is wrong with the model, not with the question

Predict = Callable[[Question], Prediction]


@dataclass(frozen=True, slots=True)
class Progress:
    """`left` is the time that the rest will take, in seconds; `dollars` what was spent so far."""

    model: str
    done: int
    total: int
    left: float
    dollars: float


@dataclass(frozen=True, slots=True)
class Outcome:
    asked: int
    failed: int
    dollars: float
    left_out: int = 0  # for the budget
    seconds: float = 0.0


def predictor(assistant: Assistant, model: str) -> Predict:
    """Asks one assistant: the answer with its timing, and apart from it what a search finds."""
    exact = _Exact(assistant.library)
    assistant.retriever = _Once(assistant.retriever)

    def predict(question: Question) -> Prediction:
        started = time.perf_counter()
        first_word: float | None = None
        for event in assistant.stream(question.question, question.history):
            if first_word is None and not isinstance(event, Passages | Answer):
                first_word = round(time.perf_counter() - started, 4)
        assert isinstance(event, Answer)  # the last event of every stream
        found = tuple(assistant.search(question.question, retrieved(question), question.history))
        return Prediction(model, question, found, event, first_word, exact.invalid(event))

    return predict


class _Once(Retriever):
    """A retriever that works nothing out twice in a row: a question is asked, then searched for."""

    def __init__(self, retriever: Retriever) -> None:
        vars(self).update(vars(retriever))
        self._last = threading.local()

    def candidates(self, understood: Understood, among: Sequence[int] | None = None) -> Candidates:
        kept = getattr(self._last, "candidates", None)
        if kept is None or among is not None or kept[0] != understood:
            kept = self._last.candidates = (understood, super().candidates(understood, among))
        found: Candidates = kept[1]
        return found

    def reread(self, candidates: Candidates) -> tuple[Candidates, NDArray[np.float64]]:
        kept = getattr(self._last, "reread", None)
        if kept is None or kept[0] is not candidates:
            kept = self._last.reread = (candidates, super().reread(candidates))
        found: tuple[Candidates, NDArray[np.float64]] = kept[1]
        return found


def retrieved(question: Question) -> int:
    """How many passages a question is scored on."""
    return RETRIEVED_WHOLE if any(not evidence.quote for evidence in question.evidence) else RETRIEVED


class _Exact:
    """Whether footnotes say what stands there, by the documents' own texts."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._texts: dict[str, str] = {}

    def invalid(self, answer: Answer) -> int:
        return sum(self._text(note.document)[note.start : note.end] != note.quote for note in answer.footnotes)

    def _text(self, document: str) -> str:
        if document not in self._texts:
            self._texts[document] = self._library.text(document)
        return self._texts[document]


def generate(
    predict: Predict,
    model: str,
    questions: Sequence[Question],
    log: Log,
    *,
    workers: int = 1,
    budget: float | None = None,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Ask the questions, `workers` at once, and log each answer as it comes; none is begun once `budget` is spent."""
    started = time.perf_counter()
    asked, in_a_row, failed, dollars = 0, 0, 0, 0.0
    left = iter(questions)
    pool = ThreadPoolExecutor(workers)
    running: set[Future[Prediction]] = set()
    try:
        while True:
            _submit(pool, predict, left, running, workers, _affordable(budget, dollars, asked, len(running), workers))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for prediction in (future.result() for future in done):
                log.add(prediction)
                asked += 1
                failed += prediction.failed
                in_a_row = in_a_row + 1 if prediction.failed else 0
                dollars += cost(prediction)
                if in_a_row == FAILURES:
                    raise WriterError(_broken(prediction))
            elapsed = time.perf_counter() - started
            tell(Progress(model, asked, len(questions), elapsed / asked * (len(questions) - asked), dollars))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return Outcome(asked, failed, dollars, len(questions) - asked, time.perf_counter() - started)


def _submit(
    pool: ThreadPoolExecutor,
    predict: Predict,
    left: Iterator[Question],
    running: set[Future[Prediction]],
    workers: int,
    most: int,
) -> None:
    """Fill the free places, with no more than `most`."""
    for _ in range(min(workers - len(running), most)):
        if (question := next(left, None)) is None:
            return
        running.add(pool.submit(predict, question))


def _affordable(budget: float | None, spent: float, asked: int, running: int, workers: int) -> int:
    """How many more questions the budget allows, those that are being asked counted at the mean price so far."""
    if budget is None:
        return workers
    if not asked:
        return 1 - running if budget > 0 else 0  # one alone at first, to see what a question costs
    each = spent / asked
    return workers if not each else int((budget - spent) / each) - running


def _broken(prediction: Prediction) -> str:
    assert prediction.answer is not None
    return (
        f"{prediction.model} failed {FAILURES} times in a row ({prediction.answer.detail}): "
        "see to that, then run the same command again; it goes on from here"
    )


def cost(prediction: Prediction) -> float:
    return float(prediction.answer.usage.get("dollars", 0.0)) if prediction.answer else 0.0
