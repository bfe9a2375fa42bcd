"""Claude through Anthropic's SDK, with the API's own citations: a document a passage, a content block a unit.

export ANTHROPIC_API_KEY=...
footnote ask "…" --model claude                      claude-sonnet-5-5
footnote ask "…" --model claude:claude-opus-5-5      any other
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any, Literal

from assistant.prompts import CLAUDE_SYSTEM, claude_messages, is_not_in_guides, numbered, recent
from assistant.records import Cite, Request, Stop, Text, said_by
from ingest.errors import WriterError

MODEL = "claude-sonnet-5-5"
PRICES_OF = "2026-11"

Effort = Literal["low", "medium", "high", "xhigh", "max"]
Usage = dict[str, int | float]


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens; writing to the cache costs 1.25 times `input`."""

    input: float
    output: float
    cached: float
    long_from: int = 10**9  # tokens of prompt from which on all of it costs `long_times` as much
    long_times: float = 1.0


PRICES = {
    "claude-haiku-5-5": Price(0.10, 0.50, 0.01, long_from=100_001, long_times=5.0),
    "claude-sonnet-5-5": Price(2.0, 10.0, 0.10),
    "claude-opus-5-5": Price(4.0, 20.0, 0.20),
    "claude-fable-5-1": Price(10.0, 50.0, 0.25),
}

_REFUSALS = {
    "frontier_llm": "its filter for building language models, which plain questions about machine learning set off now"
    " and then",
    None: "its safety filter",
}


class Claude:
    """`write` streams; `body` is the request, which message batches take as well."""

    def __init__(
        self,
        model: str = MODEL,
        *,
        key: str | None = None,
        base_url: str | None = None,
        effort: Effort = "medium",
        max_tokens: int = 4096,
        timeout: float = 60.0,
        retries: int = 2,
    ) -> None:
        self.name = "claude" if model == MODEL else f"claude:{model}"
        self.model = model
        self._key = key  # one that was given, not the environment's
        self._base_url, self._effort, self._max_tokens = base_url, effort, max_tokens
        self._timeout, self._retries = timeout, retries

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent. Only the messages hold anything from outside, and documents only their document blocks."""
        system = {"type": "text", "text": CLAUDE_SYSTEM, "cache_control": {"type": "ephemeral"}}
        return {
            "model": self.model,
            "max_tokens": self._max_tokens,
            "output_config": {"effort": self._effort},
            "system": [system],
            "messages": claude_messages(request),
        }

    def prompt(self, request: Request) -> str:
        return json.dumps(self.body(request), indent=2, ensure_ascii=False)

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        answer, client = _Answer(request, self.model), self.client()
        import anthropic

        try:
            with client, client.messages.create(**self.body(request), stream=True) as stream:
                for event in stream:
                    yield from answer.read(event)
        except anthropic.AnthropicError as error:
            if not answer.text:
                raise WriterError(self._explained(error)) from error
            answer.broken = self._explained(error)
        except (OSError, ValueError, _transport_error()) as error:  # the connection's, which the SDK lets through
            if not answer.text:
                raise WriterError(
                    f"claude cannot be reached: {said_by(error)}. Check the network and ask again"
                ) from error
            answer.broken = f"the connection to claude broke: {said_by(error)}"
        yield answer.stop()

    def read(self, request: Request, events: Iterable[Any]) -> Iterator[Text | Cite | Stop]:
        """What the events of an answer say that came by another way."""
        answer = _Answer(request, self.model)
        yield from (part for event in events for part in answer.read(event))
        yield answer.stop()

    def client(self) -> Any:
        key, token = (
            os.environ.get(name, "").strip() or None for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
        )
        key = self._key or key
        if not (key or token):  # the SDK would look in more places, and fail only at the first request
            raise WriterError("claude needs a key: export ANTHROPIC_API_KEY=… (--model quotes needs none)")
        import anthropic

        return anthropic.Anthropic(
            api_key=key,
            auth_token=None if key else token,
            base_url=self._base_url,
            timeout=self._timeout,
            max_retries=self._retries,
        )

    def _explained(self, error: Exception) -> str:
        """One line: what is wrong and what mends it."""
        import anthropic

        said = said_by(getattr(error, "api_message", None) or getattr(error, "message", "") or error)
        kind = getattr(error, "type", "") or ""
        if isinstance(error, anthropic.APITimeoutError):
            return f"claude did not answer within {self._timeout:g} s: ask again, or later"
        if isinstance(error, anthropic.APIConnectionError):
            return "claude cannot be reached: check the network and ask again, or use --model quotes"
        if isinstance(error, anthropic.AuthenticationError | anthropic.PermissionDeniedError):
            return f"claude refuses the key ({said}): export ANTHROPIC_API_KEY=… with one that is valid"
        if isinstance(error, anthropic.NotFoundError):
            return f"there is no model {self.model!r} for this key: --model claude takes {MODEL}"
        if isinstance(error, anthropic.RateLimitError) or kind == "rate_limit_error":
            return f"claude's rate limit is reached, after {self._retries} retries ({said}): ask again in a minute"
        if isinstance(error, anthropic.APIStatusError) and (error.status_code == 529 or kind == "overloaded_error"):
            return f"claude is overloaded, after {self._retries} retries: ask again in a minute"
        if isinstance(error, anthropic.APIStatusError) and _is_too_long(error.status_code, said):
            return f"question and passages are too long for {self.model} ({said}): ask a shorter question"
        return f"claude cannot answer: {said or type(error).__name__}"


class _Answer:
    """The events of the stream so far."""

    def __init__(self, request: Request, model: str) -> None:
        self.text = ""
        self.broken = ""
        self._model = model
        self._left_out = recent(request.history)[1]
        self._units = [[number for number, _ in numbered(passage)] for passage in request.passages]
        self._cited: list[Any] = []
        self._usage: dict[str, int] = {}
        self._reason = ""
        self._category: str | None = None

    def read(self, event: Any) -> Iterator[Text | Cite]:
        if event.type == "message_start":
            self._count(event.message.usage)
        elif event.type == "content_block_delta" and event.delta.type == "text_delta":
            self.text += event.delta.text
            yield Text(event.delta.text)
        elif event.type == "content_block_delta" and event.delta.type == "citations_delta":
            self._cited.append(event.delta.citation)
        elif event.type == "content_block_stop" and self._cited:
            yield self._cite()
        elif event.type == "message_delta":
            self._count(event.usage)
            self._reason = event.delta.stop_reason or self._reason
            self._category = getattr(getattr(event.delta, "stop_details", None), "category", None)

    def stop(self) -> Stop:
        usage = _usage(self._usage, self._model)
        if self.broken or not self._reason:
            return Stop("cut", usage, self.broken or "the connection to claude ended in the middle of the answer")
        if self._reason == "refusal":
            why = _REFUSALS.get(self._category, f"its filter for {self._category}")
            return Stop("refusal", usage, f"{self._model} declined to answer: {why}. The passages are still there")
        if self._reason in ("max_tokens", "model_context_window_exceeded"):
            return Stop("max_tokens", usage, "the answer was cut at the model's limit of tokens")
        left_out = f"the {self._left_out} oldest turns of the conversation were left out" if self._left_out else ""
        return Stop("not_in_guides" if is_not_in_guides(self.text) else "end", usage, left_out)

    def _cite(self) -> Cite:
        """The citations of the text block that ends: each a range of content blocks of one document."""
        units: dict[tuple[int, int], None] = {}
        invalid: dict[str, None] = {}
        for location in self._cited:
            passage = getattr(location, "document_index", -1)
            known = self._units[passage] if 0 <= passage < len(self._units) else []
            for block in range(getattr(location, "start_block_index", 0), getattr(location, "end_block_index", 1)):
                if block < len(known):
                    units[passage, known[block]] = None
                else:
                    invalid[f"{passage + 1}.{block + 1}"] = None
        self._cited = []
        return Cite(tuple(units), tuple(invalid))

    def _count(self, usage: Any) -> None:
        """Counts are cumulative: the latest holds."""
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            if (count := getattr(usage, name, None)) is not None:
                self._usage[name] = count


def dollars(usage: Usage, model: str) -> float | None:
    """What the tokens cost, by the prices of `PRICES_OF`; None for a model whose price is not known here."""
    price = PRICES.get(re.sub(r"-\d{8}$", "", model))
    if price is None:
        return None
    fresh, read, kept = (usage.get(name, 0) for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens"))
    times = price.long_times if fresh + read + kept >= price.long_from else 1.0
    asked = fresh * price.input + read * price.cached + kept * price.input * 1.25
    return round(times * (asked + usage.get("output_tokens", 0) * price.output) / 1e6, 6)


def _usage(counted: dict[str, int], model: str) -> Usage:
    usage: Usage = {name: counted.get(name, 0) for name in ("input_tokens", "output_tokens")}
    usage["cache_read_tokens"] = counted.get("cache_read_input_tokens", 0)
    usage["cache_write_tokens"] = counted.get("cache_creation_input_tokens", 0)
    cost = dollars(usage, model)
    return usage if cost is None else usage | {"dollars": cost}


def _transport_error() -> type[Exception]:
    import httpx2

    error: type[Exception] = httpx2.HTTPError
    return error


def _is_too_long(status: int, said: str) -> bool:
    return status == 413 or (status == 400 and "too long" in said) or "context window" in said


# Message batches: half the price, an answer within a day.

BATCHES = "batches.json"
HALF = 0.5  # what a batch costs of the price
POLL = 30.0  # seconds


class Batch:
    """One batch, whose id is kept in the folder as soon as it is known: whoever was stopped while it waited goes on
    waiting for the same one and pays nothing twice. `key` tells it from others that are kept there."""

    def __init__(self, client: Any, folder: Path, key: str, say: Callable[[str], None]) -> None:
        self._client, self._file, self._key, self._say = client, folder / BATCHES, key, say

    @property
    def id(self) -> str:
        """Of the batch that waits; empty where none does."""
        return self._kept().get(self._key, "")

    def send(self, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        """Each request by the id that its result comes back under: at most 64 letters, digits, - and _."""
        requests = [{"custom_id": name, "params": body} for name, body in bodies.items()]
        batch = _told(lambda: self._client.messages.batches.create(requests=requests))
        self._keep({**self._kept(), self._key: str(batch.id)})
        self._say(f"batch {batch.id} of {len(requests)} was sent; it may take a day; stop and go on as you like")

    def results(self, poll: float | None = None) -> dict[str, Any]:
        """What came of each request, once the batch has ended."""
        waiting, before = self.id, ""
        while (batch := _told(lambda: self._client.messages.batches.retrieve(waiting))).processing_status != "ended":
            counts = batch.request_counts
            if (line := f"{counts.processing} being answered, {counts.succeeded} done") != before:
                self._say(f"batch {waiting}: {line}")
            before = line
            sleep(POLL if poll is None else poll)
        results = _told(lambda: list(self._client.messages.batches.results(waiting)))
        return {each.custom_id: each.result for each in results}

    def forget(self) -> None:
        self._keep({key: batch for key, batch in self._kept().items() if key != self._key})

    def _kept(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._file.read_text("utf-8")) if self._file.is_file() else {}
        return found

    def _keep(self, batches: Mapping[str, str]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(batches) + "\n", encoding="utf-8")


def _told(ask: Callable[[], Any]) -> Any:
    """What the API says; its errors become one line."""
    import anthropic

    try:
        return ask()
    except anthropic.AnthropicError as error:
        line = said_by(getattr(error, "message", error))
        raise WriterError(f"the message batch failed: {line}. The same command again goes on from here") from error
