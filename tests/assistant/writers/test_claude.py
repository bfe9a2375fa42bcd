"""Claude's Messages API with streaming and citations, spoken by a server on loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from assistant.prompts import CLAUDE_SYSTEM, NOT_IN_GUIDES
from assistant.records import Cite, Request, Stop, Text, Turn
from assistant.writers.claude import PRICES, Claude, dollars
from ingest.errors import WriterError
from tests.assistant.loopback import Asked, Loopback, Reply, as_events, as_json

Events = list[tuple[str, object]]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")


def event(kind: str, **fields: Any) -> tuple[str, object]:
    return kind, {"type": kind, **fields}


def block(index: int, *texts: str, cites: tuple[tuple[int, int, int], ...] = ()) -> Events:
    """A text block: its text in pieces, then its citations as (document, first block, end)."""
    start = {"type": "text", "text": "", **({"citations": []} if cites else {})}
    events = [event("content_block_start", index=index, content_block=start)]
    events += [event("content_block_delta", index=index, delta={"type": "text_delta", "text": text}) for text in texts]
    for document, first, end in cites:
        location = {
            "type": "content_block_location",
            "cited_text": "…",
            "document_index": document,
            "document_title": "x",
        }
        location |= {"start_block_index": first, "end_block_index": end, "file_id": None}
        delta = {"type": "citations_delta", "citation": location}
        events.append(event("content_block_delta", index=index, delta=delta))
    return [*events, event("content_block_stop", index=index)]


def message(*blocks: Events, stop: str | None = "end_turn", details: object = None, **how: Any) -> Reply:
    usage = {
        "input_tokens": 1000,
        "output_tokens": 1,
        "cache_read_input_tokens": 400,
        "cache_creation_input_tokens": 200,
    }
    opened = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": [], "usage": usage}
    events: Events = [
        event("message_start", message={**opened, "stop_reason": None, "stop_sequence": None}),
        event("ping"),
    ]
    events += [one for each in blocks for one in each]
    if stop:
        delta = {"stop_reason": stop, "stop_sequence": None, "stop_details": details}
        events += [event("message_delta", delta=delta, usage={"output_tokens": 50}), event("message_stop")]
    return as_events(events, **how)


def error(kind: str, said: str, status: int, **headers: str) -> Reply:
    return as_json({"type": "error", "error": {"type": kind, "message": said}}, status, **headers)


def serve(loopback: Loopback, reply: Reply, **how: Any) -> Claude:
    loopback.answer = lambda asked: reply
    return Claude(base_url=loopback.url, **{"retries": 0, "timeout": 5.0, **how})


def written(events: list[Text | Cite | Stop]) -> tuple[str, list[Cite], Stop]:
    stop = events[-1]
    assert isinstance(stop, Stop)
    assert not any(isinstance(event, Stop) for event in events[:-1])
    text = "".join(event.text for event in events if isinstance(event, Text))
    return text, [event for event in events if isinstance(event, Cite)], stop


HELPS = block(0, "Dropout ", "lowers overfitting.", cites=((0, 0, 1),))


def test_text_streams_and_citations_become_footnotes_behind_it(loopback: Loopback, request_: Request) -> None:
    reply = message(HELPS, block(1, " And"), block(2, " it drops units.", cites=((0, 0, 2), (1, 1, 2), (0, 1, 2))))
    events = list(serve(loopback, reply).write(request_))
    assert events[:5] == [
        Text("Dropout "),
        Text("lowers overfitting."),
        Cite(((0, 0),)),
        Text(" And"),
        Text(" it drops units."),
    ]
    assert events[5] == Cite(((0, 0), (0, 1), (1, 1)))
    assert isinstance(events[6], Stop)


def test_a_citation_of_what_was_not_sent_is_invalid(loopback: Loopback, request_: Request) -> None:
    reply = message(block(0, "Yes.", cites=((0, 1, 4), (7, 0, 1))))
    _, cites, _ = written(list(serve(loopback, reply).write(request_)))
    assert cites == [Cite(((0, 1),), ("1.3", "1.4", "8.1"))]


def test_the_request_holds_units_as_content_blocks_and_no_sampling(loopback: Loopback, request_: Request) -> None:
    history = (Turn("What is dropout?", "A layer."),)
    writer = serve(loopback, message(HELPS), effort="low")
    list(writer.write(replace(request_, history=history)))
    asked = loopback.asked[0]
    assert asked.headers["authorization"] == "Bearer sk-test"
    body = asked.body
    assert set(body) == {"model", "max_tokens", "output_config", "system", "messages", "stream"}
    assert (body["model"], body["output_config"]) == ("claude-sonnet-5-5", {"effort": "low"})
    assert body["system"] == [{"type": "text", "text": CLAUDE_SYSTEM, "cache_control": {"type": "ephemeral"}}]
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
    documents = body["messages"][-1]["content"][:-1]
    assert [[unit["text"] for unit in d["source"]["content"]] for d in documents] == [
        ["Dropout lowers overfitting.", "It drops half of the units."],
        ["Boosting wins on tables.", "Deep nets win on images."],
    ]
    assert all(document["citations"] == {"enabled": True} for document in documents)
    assert json.loads(writer.prompt(replace(request_, history=history))) | {"stream": True} == body


def test_tokens_and_dollars_are_counted(loopback: Loopback, request_: Request) -> None:
    *_, stop = serve(loopback, message(HELPS)).write(request_)
    assert isinstance(stop, Stop)
    assert stop.usage == {
        "input_tokens": 1000,
        "output_tokens": 50,
        "cache_read_tokens": 400,
        "cache_write_tokens": 200,
        "dollars": pytest.approx((1000 * 2 + 400 * 0.1 + 200 * 2.5 + 50 * 10) / 1e6),
    }


def test_a_model_without_a_known_price_has_tokens_and_no_dollars(loopback: Loopback, request_: Request) -> None:
    loopback.answer = lambda asked: message(HELPS)
    *_, stop = Claude("claude-next", base_url=loopback.url).write(request_)
    assert isinstance(stop, Stop)
    assert stop.usage["output_tokens"] == 50
    assert "dollars" not in stop.usage
    assert loopback.asked[0].body["model"] == "claude-next"


def test_prices_follow_the_table_and_a_long_prompt_costs_more() -> None:
    assert dollars({"input_tokens": 1_000_000}, "claude-opus-5-5") == 4.0
    assert dollars({"output_tokens": 1_000_000}, "claude-fable-5-1-20261001") == 50.0
    assert dollars({"input_tokens": 100_000, "output_tokens": 1000}, "claude-haiku-5-5") == pytest.approx(0.0105)
    assert dollars({"input_tokens": 200_000, "output_tokens": 1000}, "claude-haiku-5-5") == pytest.approx(0.1025)
    assert len(PRICES) == 4


@pytest.mark.parametrize(
    ("reply", "reason", "detail"),
    [
        (message(HELPS), "end", ""),
        (message(block(0, NOT_IN_GUIDES)), "not_in_guides", ""),
        (message(HELPS, stop="max_tokens"), "max_tokens", "limit of tokens"),
        (message(HELPS, stop="model_context_window_exceeded"), "max_tokens", "limit of tokens"),
        (
            message(stop="refusal", details={"type": "refusal", "category": "frontier_llm"}),
            "refusal",
            "machine learning",
        ),
        (message(stop="refusal", details={"type": "refusal", "category": "bio"}), "refusal", "bio"),
        (message(HELPS, stop="refusal"), "refusal", "declined"),
        (message(HELPS, stop=None), "cut", "in the middle"),
        (message(HELPS, stop=None, cut=True), "cut", "connection"),
    ],
)
def test_each_way_of_ending_is_told_apart(
    loopback: Loopback, request_: Request, reply: Reply, reason: str, detail: str
) -> None:
    _, _, stop = written(list(serve(loopback, reply).write(request_)))
    assert (stop.reason, "\n" in stop.detail) == (reason, False)
    assert detail in stop.detail
    assert bool(stop.detail) == (reason not in ("end", "not_in_guides"))
    assert stop.usage["input_tokens"] == 1000


def test_an_error_in_mid_stream_keeps_the_text_and_its_footnotes(loopback: Loopback, request_: Request) -> None:
    broken = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    reply = message(HELPS, [broken], stop=None)
    text, cites, stop = written(list(serve(loopback, reply).write(request_)))
    assert (text, cites) == ("Dropout lowers overfitting.", [Cite(((0, 0),))])
    assert stop.reason == "cut"
    assert "overloaded" in stop.detail


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (error("authentication_error", "invalid x-api-key", 401), "export ANTHROPIC_API_KEY=…"),
        (error("permission_error", "not allowed", 403), "export ANTHROPIC_API_KEY=…"),
        (error("not_found_error", "model: claude-sonnet-5-5", 404), "no model 'claude-sonnet-5-5'"),
        (error("rate_limit_error", "tokens per minute", 429), "rate limit"),
        (error("overloaded_error", "Overloaded", 529), "overloaded"),
        (error("api_error", "boom\x1b[31m\nmore", 500), "boom�[31m more"),
        (
            error("invalid_request_error", "prompt is too long: 1200000 tokens > 1000000 maximum", 400),
            "shorter question",
        ),
        (error("request_too_large", "Request exceeds the maximum size", 413), "shorter question"),
        (error("invalid_request_error", "credit balance is too low", 400), "credit balance"),
        (message([event("error", error={"type": "overloaded_error", "message": "x"})], stop=None), "overloaded"),
        (message(stop=None, cut=True), "reached"),
    ],
)
def test_what_fails_before_the_first_word_is_one_line_with_the_cure(
    loopback: Loopback, request_: Request, reply: Reply, said: str
) -> None:
    with pytest.raises(WriterError) as raised:
        list(serve(loopback, reply).write(request_))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_without_a_key_nothing_is_sent(loopback: Loopback, request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", " ")
    with pytest.raises(WriterError, match="export ANTHROPIC_API_KEY="):
        list(serve(loopback, message(HELPS)).write(request_))
    assert loopback.asked == []


@pytest.mark.parametrize("status", [429, 529])
def test_a_busy_api_is_asked_again(loopback: Loopback, request_: Request, status: int) -> None:
    busy = error("rate_limit_error", "slow", status, **{"retry-after-ms": "10"})
    replies: Iterator[Reply] = iter([busy, busy, message(HELPS)])
    loopback.answer = lambda asked: next(replies)
    text, _, stop = written(list(Claude(base_url=loopback.url, retries=2).write(request_)))
    assert (text, stop.reason, len(loopback.asked)) == ("Dropout lowers overfitting.", "end", 3)


def test_an_api_that_hangs_is_given_up(loopback: Loopback, request_: Request) -> None:
    def answer(asked: Asked) -> Reply:
        time.sleep(0.6)
        return message(HELPS)

    loopback.answer = answer
    with pytest.raises(WriterError, match=r"within 0\.2 s"):
        list(Claude(base_url=loopback.url, timeout=0.2, retries=0).write(request_))


def test_a_stream_that_falls_silent_is_cut_and_keeps_its_text(loopback: Loopback, request_: Request) -> None:
    reply = message(HELPS, stop=None)
    silent = replace(reply, pieces=[b"".join(reply.pieces), b": silence\n\n"], pause=1.0)
    text, _, stop = written(list(serve(loopback, silent, timeout=0.3).write(request_)))
    assert (text, stop.reason) == ("Dropout lowers overfitting.", "cut")


def test_a_server_that_is_not_there_is_said(request_: Request) -> None:
    with pytest.raises(WriterError, match="cannot be reached"):
        list(Claude(base_url="http://127.0.0.1:9", retries=0).write(request_))


def test_whoever_stops_listening_ends_the_request(loopback: Loopback, request_: Request) -> None:
    long = block(0, *["word "] * 400)
    events = serve(loopback, message(long, pause=0.01)).write(request_)
    assert isinstance(next(events), Text)
    events.close()  # type: ignore[attr-defined]
    assert loopback.left.wait(3.0)
