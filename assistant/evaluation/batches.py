"""Claude through message batches: half the price, an answer within a day. Retrieval and proving are done here as ever.

The batch's id is kept in the run's folder as soon as it is known: a run that was stopped while it waited goes on
waiting for the same batch and pays nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, sleep
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from assistant.evaluation.generate import Outcome, cost
from assistant.evaluation.predictions import Log, Prediction
from assistant.evaluation.price import BATCH, collect
from assistant.evaluation.questions import Question
from assistant.evaluation.together import read_out
from assistant.writers import Cite, Request, Stop, Text
from ingest.errors import WriterError

if TYPE_CHECKING:
    from assistant.answer import Assistant
    from assistant.writers.claude import Claude

FILE = "batches.json"
POLL = 30.0  # seconds

Messages = dict[str, Any]  # question id -> the message, or an error's text


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
    from assistant.writers.claude import Claude

    started = perf_counter()
    writer = assistant.writer
    assert isinstance(writer, Claude)
    if not questions:
        return Outcome(0, 0, 0.0)
    messages = _wait(writer, _begun(assistant, writer, model, questions, folder, say), say, poll or POLL)
    answers = [_predict(assistant, writer, model, question, messages) for question in questions]
    for prediction in answers:
        log.add(prediction)
    _forget(folder, model)
    failed, dollars = sum(p.failed for p in answers), sum(map(cost, answers))
    return Outcome(len(answers), failed, dollars, 0, perf_counter() - started)


def _begun(
    assistant: Assistant,
    writer: Claude,
    model: str,
    questions: Sequence[Question],
    folder: Path,
    say: Callable[[str], None],
) -> str:
    """The id of the batch: of the one that waits already, or of a new one; empty where there is nothing to send."""
    waiting = _kept(folder)
    if model in waiting:
        say(f"{model}: going on with batch {waiting[model]}")
        return waiting[model]
    asked = collect(assistant, questions)
    requests = [{"custom_id": _key(question.id), "params": writer.body(request)} for question, request in asked]
    if not requests:
        return ""
    batch = _said(lambda: writer.client().messages.batches.create(requests=requests))
    (folder / FILE).write_text(json.dumps({**waiting, model: batch.id}) + "\n", encoding="utf-8")
    say(f"{model}: batch {batch.id} of {len(requests)} questions sent; it may take a day; stop and go on as you like")
    return str(batch.id)


def _wait(writer: Claude, batch_id: str, say: Callable[[str], None], poll: float) -> Messages:
    if not batch_id:
        return {}
    client, before = writer.client(), ""
    while (batch := _said(lambda: client.messages.batches.retrieve(batch_id))).processing_status != "ended":
        counts = batch.request_counts
        if (line := f"{counts.processing} being answered, {counts.succeeded} done") != before:
            say(f"batch {batch_id}: {line}")
        before = line
        sleep(poll)
    found: Messages = {}
    for each in _said(lambda: client.messages.batches.results(batch_id)):
        result = each.result
        found[each.custom_id] = result.message if result.type == "succeeded" else _reason(result)
    return found


def _predict(assistant: Assistant, writer: Claude, model: str, question: Question, messages: Messages) -> Prediction:
    """At half the price."""
    message = messages.get(_key(question.id), "the batch left it out")

    def read(request: Request) -> Iterable[Text | Cite | Stop]:
        return [Stop("cut", detail=message)] if isinstance(message, str) else writer.read(request, _events(message))

    found = read_out(assistant, model, question, read)
    assert found.answer is not None
    usage = dict(found.answer.usage)
    if "dollars" in usage:
        usage["dollars"] = round(usage["dollars"] * BATCH, 6)
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


def _said(ask: Callable[[], Any]) -> Any:
    """What the API says; its errors become one line."""
    import anthropic

    try:
        return ask()
    except anthropic.AnthropicError as error:
        line = " ".join(str(getattr(error, "message", error)).split())[:200]
        raise WriterError(
            f"the message batch failed: {line}. Run the same command again; it goes on from here"
        ) from error


def _kept(folder: Path) -> dict[str, str]:
    file = folder / FILE
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def _forget(folder: Path, model: str) -> None:
    waiting = {name: batch for name, batch in _kept(folder).items() if name != model}
    (folder / FILE).write_text(json.dumps(waiting) + "\n", encoding="utf-8")
