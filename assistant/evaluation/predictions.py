"""Questions become predictions: each asked once and kept, one JSON object a line, so that scoring asks no model again.

Questions may go through a writer one by one, many at once, or as Claude's batches at half the price. The floors, which
any system has to beat, make predictions too.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from assistant.asked import Understood
from assistant.evaluation.questions import Question
from assistant.records import (
    SHOWN,
    Answer,
    Cite,
    Footnote,
    Passage,
    Passages,
    Request,
    Sentence,
    Stop,
    Text,
    Writer,
    as_json,
)
from assistant.retrieve import Candidates, Retriever
from ingest.errors import WriterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from assistant.answer import Assistant
    from assistant.writers.claude import Claude
    from ingest.embed import Embedder
    from ingest.library import Library

    Values = NDArray[np.float64]


FILE = "predictions.jsonl"

Tell = Callable[[int, int, str], None]  # how many are done, of how many, and what they cost so far


@dataclass(frozen=True, slots=True)
class Prediction:
    """One model's answer to one question, whose evidence has been placed in the library it was asked of.

    `retrieved` is what a search finds, `answer.passages` what the writer saw. `cited` counts the footnotes that the
    writer wrote, `invalid` those of them that point to nothing it was given. `answer` is None where only retrieval was
    tried.
    """

    model: str
    question: Question
    retrieved: tuple[Passage, ...]
    answer: Answer | None = None
    first_word: float | None = None  # seconds from the question to the first text
    cited: int | None = None  # None where it was not counted
    invalid: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.model, self.question.id

    @property
    def answered(self) -> bool:
        return self.answer is not None and self.answer.status == "answered"

    @property
    def shown(self) -> bool:
        """Whether there is something to read, as the answer or as the nearest to one."""
        return self.answer is not None and self.answer.status in SHOWN

    @property
    def failed(self) -> bool:
        return self.answer is not None and self.answer.status == "failed"

    @property
    def confidence(self) -> float:
        """The score of the best passage."""
        return max((passage.score for passage in self.retrieved), default=0.0)

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "question": self.question.to_json(),
            "answer": self.answer.to_json() if self.answer else None,
            "retrieved": [as_json(p) | ({"also": p.also} if p.also else {}) for p in self.retrieved],
            "first_word": self.first_word,
            "cited": self.cited,
            "invalid": self.invalid,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Prediction:
        return cls(
            model=value["model"],
            question=Question.from_json(value["question"]),
            retrieved=tuple(_passage(p) for p in value["retrieved"]),
            answer=Answer.from_json(value["answer"]) if value["answer"] else None,
            first_word=value["first_word"],
            cited=value.get("cited"),
            invalid=value["invalid"],
        )


def _passage(value: Mapping[str, Any]) -> Passage:
    also = tuple((str(document), int(start), int(end)) for document, start, end in value.get("also", ()))
    return Passage(**{**value, "also": also})


def read(file: Path) -> list[Prediction]:
    """All predictions, the last one of each question and model; a line that a kill cut short is passed over."""
    if not file.is_file():
        return []
    found: dict[tuple[str, str], Prediction] = {}
    for line in file.read_text(encoding="utf-8").split("\n"):
        try:
            prediction = Prediction.from_json(json.loads(line))
        except json.JSONDecodeError:
            continue
        found[prediction.key] = prediction
    return list(found.values())


class Log:
    """The file, opened to add to it. Each prediction is on disk when `add` returns."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        torn = file.is_file() and not file.read_bytes().endswith(b"\n") and file.stat().st_size > 0
        self._file = file.open("a", encoding="utf-8")
        if torn:
            self._file.write("\n")

    def add(self, prediction: Prediction) -> None:
        self._file.write(json.dumps(prediction.to_json(), ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def by_model(predictions: Iterable[Prediction]) -> dict[str, list[Prediction]]:
    """In the order in which the models first appear."""
    found: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        found.setdefault(prediction.model, []).append(prediction)
    return found


# What a run is going to cost, before it does.

SAMPLE = 8  # questions whose prompts are made to see how long they are
CHARACTERS_A_TOKEN = 3.5
OUTPUT_TOKENS = 400  # of an answer with its thinking; a guess, to be on the safe side


def estimate(assistant: Assistant, model: str, questions: Sequence[Question], *, batch: bool = False) -> float:
    """Dollars for these questions, from the prompts of a few of them; 0 for what costs nothing or nobody knows what."""
    if not questions or not is_claude(model):
        return 0.0
    from assistant.writers.claude import HALF, Claude, dollars

    writer = assistant.writer
    assert isinstance(writer, Claude)
    sample = questions[:: max(1, len(questions) // SAMPLE)][:SAMPLE]
    prompts = [len(writer.prompt(request)) / CHARACTERS_A_TOKEN for _, request in collect(assistant, sample)]
    each = (dollars({"input_tokens": n, "output_tokens": OUTPUT_TOKENS}, writer.model) or 0.0 for n in prompts)
    return sum(each) / len(sample) * len(questions) * (HALF if batch else 1.0)


def collect(assistant: Assistant, questions: Sequence[Question]) -> list[tuple[Question, Request]]:
    """What the writer would be asked; nothing for a question that is refused before."""
    prepared = ((question, *assistant.prepare(question.question, question.history)) for question in questions)
    return [(question, request) for question, request, verdict in prepared if verdict.answerable]


def is_claude(model: str) -> bool:
    return model.split(":")[0] == "claude"


# Answers that are written many at once: what a writer is asked is collected, and what it wrote is then read out.
#
# Retrieval, the decision to answer and the proving are those of `Assistant`, question by question; only times are not
# measured, since nobody waits for one answer alone.

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
    tell: Tell = lambda done, total, doing: None,
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
        tell(done, len(questions), "")
    return Outcome(done, failed, 0.0, 0, time.perf_counter() - started)


# Claude through message batches: half the price, an answer within a day. Retrieval and proving are done here as ever.

Results = Mapping[str, Any]  # of a batch: by the key of a question


def generate_batch(
    assistant: Assistant,
    model: str,
    questions: Sequence[Question],
    log: Log,
    folder: Path,
    say: Callable[[str], None],
    *,
    poll: float | None = None,
) -> Outcome:
    """Send what is to be asked as one batch, wait for it, and make predictions of what comes back."""
    from assistant.writers.claude import Batch, Claude

    started = time.perf_counter()
    writer = assistant.writer
    assert isinstance(writer, Claude)
    if not questions:
        return Outcome(0, 0, 0.0)
    batch = Batch(writer.client(), folder, model, say)
    if not batch.id and (asked := collect(assistant, questions)):
        batch.send({_key(question.id): writer.body(request) for question, request in asked})
    results = batch.results(poll) if batch.id else {}
    answers = [_predict(assistant, writer, model, question, results) for question in questions]
    for prediction in answers:
        log.add(prediction)
    batch.forget()
    failed, dollars = sum(p.failed for p in answers), sum(map(cost, answers))
    return Outcome(len(answers), failed, dollars, 0, time.perf_counter() - started)


def _predict(assistant: Assistant, writer: Claude, model: str, question: Question, results: Results) -> Prediction:
    """At half the price."""
    from assistant.writers.claude import HALF

    result = results.get(_key(question.id))

    def read(request: Request) -> Iterable[Text | Cite | Stop]:
        if result is None or result.type != "succeeded":
            return [Stop("cut", detail=_reason(result) if result else "the batch left it out")]
        return writer.read(request, _events(result.message))

    found = read_out(assistant, model, question, read)
    assert found.answer is not None
    usage = dict(found.answer.usage)
    if "dollars" in usage:
        usage["dollars"] = round(usage["dollars"] * HALF, 6)
    return replace(found, answer=replace(found.answer, usage=usage))


def _events(message: Any) -> Iterator[Any]:
    """The events by which the same message would have been streamed."""
    yield SimpleNamespace(type="message_start", message=message)
    for block in message.content:
        if block.type == "text":
            yield _delta(type="text_delta", text=block.text)
            yield from (_delta(type="citations_delta", citation=citation) for citation in block.citations or ())
            yield SimpleNamespace(type="content_block_stop")
    delta = SimpleNamespace(stop_reason=message.stop_reason, stop_details=message.stop_details)
    yield SimpleNamespace(type="message_delta", usage=message.usage, delta=delta)


def _delta(**fields: Any) -> SimpleNamespace:
    return SimpleNamespace(type="content_block_delta", delta=SimpleNamespace(**fields))


def _key(question: str) -> str:
    """Ids of the API have at most 64 letters, digits, - and _."""
    import hashlib

    return hashlib.sha256(question.encode()).hexdigest()[:32]


def _reason(result: Any) -> str:
    inner = getattr(getattr(result, "error", None), "error", None)
    return f"the batch says {result.type}: {getattr(inner, 'message', '') or 'no reason'}"


# Ask every question and keep what is answered. A kill loses nothing of that: the same run goes on from there.

RETRIEVED = 10
RETRIEVED_WHOLE = 30  # where documents as a whole are looked for: several passages of one count once
FAILURES = 5  # answers that fail in a row end the run: something is wrong with the model, not with the question

Predict = Callable[[Question], Prediction]


@dataclass(frozen=True, slots=True)
class Outcome:
    asked: int
    failed: int
    dollars: float
    left_out: int = 0  # for the budget
    seconds: float = 0.0


def predictor(assistant: Assistant, model: str) -> Predict:
    """Asks one assistant: the answer with its timing, and apart from it what a search finds."""
    from assistant.answer import Assistant

    counted = _Counted(assistant.writer)
    asked = Assistant(assistant.library, counted)
    asked.retriever = _Once(assistant.retriever)

    def predict(question: Question) -> Prediction:
        started = time.perf_counter()
        first_word: float | None = None
        counted.begin()
        for event in asked.stream(question.question, question.history):
            if first_word is None and not isinstance(event, Passages | Answer):
                first_word = round(time.perf_counter() - started, 4)
        assert isinstance(event, Answer)  # the last event of every stream
        found = tuple(asked.search(question.question, retrieved(question), question.history))
        return Prediction(model, question, found, event, first_word, *counted.counts())

    return predict


class _Counted:
    """A writer whose footnotes are counted: the ids that it writes, against the units that it was given."""

    def __init__(self, writer: Writer) -> None:
        self.name, self._writer = writer.name, writer
        self._of_this_thread = threading.local()

    def begin(self) -> None:
        self._of_this_thread.counts = (0, 0)

    def counts(self) -> tuple[int, int]:
        """How many were written since `begin`, and how many of them point nowhere."""
        found: tuple[int, int] = self._of_this_thread.counts
        return found

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        for event in self._writer.write(request):
            if isinstance(event, Cite):
                cited, invalid = self.counts()
                written = len(event.units) + len(event.invalid)
                self._of_this_thread.counts = (cited + written, invalid + len(event.invalid))
            yield event


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


def generate(
    predict: Predict,
    model: str,
    questions: Sequence[Question],
    log: Log,
    *,
    workers: int = 1,
    budget: float | None = None,
    tell: Tell = lambda done, total, doing: None,
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
            tell(asked, len(questions), f"${dollars:.2f}" if dollars else "")
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


# What any system has to beat: the guides' own recipe for retrieval, the top passage as the answer, always, never.

RECIPE, RECIPE_MMR = "recipe", "recipe (MMR)"
RECIPES = (RECIPE, RECIPE_MMR)  # which search for themselves
TOP, ALWAYS, NEVER = "top passage", "always answer", "never answer"
WHAT = {
    RECIPE: "the guides' own way to search, by similarity: chunks of 500/50 characters, the same embedding, as many as "
    "are looked at",
    RECIPE_MMR: "the same chunks by MMR (λ 0.5), 5 out of 20 as the guides have it, which is 2,500 characters at most",
    TOP: "the best passage as the answer, where its own score says that it more likely than not holds it",
    ALWAYS: "the best passage as the answer, to every question",
    NEVER: "nothing is answered",
}

CHARACTERS, SHARED = 500, 50  # of a chunk, and of it with the next
DEPTH = 20  # chunks by similarity: enough for 5,000 characters
FOUND, FETCHED, DIVERSITY = 5, 20, 0.5  # k, fetch_k and lambda_mult of the maximal marginal relevance
LIKELY = 0.5  # a passage's score is the chance that it holds the answer


def answer_floors(predictions: Sequence[Prediction]) -> list[Prediction]:
    """The three that need no search of their own: they take what one model's search found, never what it decided."""
    tried = [p for p in predictions if p.answer is not None and not p.failed]
    return [
        *(_with(p, TOP, p.confidence >= LIKELY) for p in tried),
        *(_with(p, ALWAYS, True) for p in tried),
        *(_with(p, NEVER, False) for p in tried),
    ]


def _with(prediction: Prediction, name: str, answered: bool) -> Prediction:
    found = prediction.retrieved[:1] if answered else ()
    sentences = tuple(Sentence(p.text, True, (_whole(p),)) for p in found)
    answer = Answer(
        prediction.question.question, "answered" if found else "not_in_guides", sentences, prediction.retrieved, name
    )
    return replace(prediction, model=name, answer=answer, first_word=None, cited=None, invalid=0)


def _whole(passage: Passage) -> Footnote:
    return Footnote(passage.document, passage.title, passage.section, passage.start, passage.end, passage.text)


def recipes(library: Library, embedder: Embedder) -> dict[str, Callable[[Question], Prediction]]:
    """The guides' recipe over the library's documents, by similarity and by MMR. The history goes in front of the
    question, as it would there."""
    from langchain_core.vectorstores.utils import maximal_marginal_relevance

    chunks = [piece for stored in library.documents() for piece in split(stored.path, stored.title, library)]
    vectors = embedder.embed([chunk.text for chunk in chunks])

    def near(question: Question, n: int) -> tuple[Values, Values, list[int]]:
        vector = embedder.embed([" ".join([*question.history, question.question])])[0]
        cosines = np.asarray(vectors @ vector, dtype=np.float64)
        return np.asarray(vector, dtype=np.float64), cosines, np.argsort(-cosines, kind="stable")[:n].tolist()

    def found(name: str, question: Question, places: Sequence[int], cosines: Values) -> Prediction:
        return Prediction(name, question, tuple(replace(chunks[i], score=float(cosines[i])) for i in places))

    def by_similarity(question: Question) -> Prediction:
        _, cosines, places = near(question, DEPTH)
        return found(RECIPE, question, places, cosines)

    def by_mmr(question: Question) -> Prediction:
        vector, cosines, places = near(question, FETCHED)
        chosen = maximal_marginal_relevance(vector, list(vectors[places]), lambda_mult=DIVERSITY, k=FOUND)
        return found(RECIPE_MMR, question, [places[i] for i in chosen], cosines)

    return {RECIPE: by_similarity, RECIPE_MMR: by_mmr}


def split(path: str, title: str, library: Library) -> list[Passage]:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=CHARACTERS, chunk_overlap=SHARED, add_start_index=True)
    found = splitter.create_documents([library.text(path)])
    starts = [(piece.page_content, int(piece.metadata["start_index"])) for piece in found]
    return [Passage(path, title, "", start, start + len(text), text, 0.0) for text, start in starts]
