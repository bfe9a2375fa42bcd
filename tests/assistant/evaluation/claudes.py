"""The Messages API on loopback, as far as an evaluation needs it."""

from __future__ import annotations

import json
from typing import Any

from tests.assistant.loopback import Asked, Loopback, Reply, as_events, as_json

USAGE = {"input_tokens": 1000, "output_tokens": 100, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
PRICE = (1000 * 2.0 + 100 * 10.0) / 1e6  # of such an answer, by claude-sonnet-5-5


def message(*content: dict[str, Any], stop: str = "end_turn") -> dict[str, Any]:
    return {
        "id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5", "content": list(content),
        "stop_reason": stop, "stop_sequence": None, "usage": USAGE,
    }  # fmt: skip


def said(text: str, *cites: tuple[int, int, int]) -> dict[str, Any]:
    locations = [
        {
            "type": "content_block_location", "cited_text": "…", "document_index": d, "document_title": "x",
            "start_block_index": a, "end_block_index": b, "file_id": None,
        }
        for d, a, b in cites
    ]  # fmt: skip
    return {"type": "text", "text": text, "citations": locations or None}


class Claude:
    """The Messages API as far as an evaluation needs it: streams, batches and structured answers."""

    def __init__(self, loopback: Loopback) -> None:
        self.loopback = loopback
        self.batch: list[dict[str, Any]] = []
        self.polls = 0  # before the batch ends
        self.errored: set[int] = set()
        self.verdicts: list[dict[str, Any]] = []
        loopback.answer = self.answer

    def answer(self, asked: Asked) -> Reply:
        if asked.path.endswith("/messages/batches"):
            self.batch = asked.body["requests"]
            return as_json(self.state("in_progress"))
        if asked.path.endswith("/results"):
            lines = [json.dumps(self.result(n, request)) + "\n" for n, request in enumerate(self.batch)]
            return Reply([line.encode() for line in reversed(lines)], 200, {"Content-Type": "application/x-jsonl"})
        if "/messages/batches/" in asked.path:
            self.polls -= 1
            return as_json(self.state("in_progress" if self.polls >= 0 else "ended"))
        if asked.body.get("stream"):
            return as_events(self.stream())
        return as_json(message({"type": "text", "text": json.dumps(self.verdicts.pop(0)), "citations": None}))

    def state(self, status: str) -> dict[str, Any]:
        counts = {"processing": 1, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        return {
            "id": "batch_1", "type": "message_batch", "processing_status": status, "request_counts": counts,
            "created_at": "2026-11-20T00:00:00Z", "expires_at": "2026-11-21T00:00:00Z", "ended_at": None,
            "archived_at": None, "cancel_initiated_at": None,
            "results_url": f"{self.loopback.url}/v1/messages/batches/batch_1/results" if status == "ended" else None,
        }  # fmt: skip

    def result(self, n: int, request: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {"type": "succeeded", "message": message(said("The first unit says it.", (0, 0, 1)))}
        if n in self.errored:
            inner = {"type": "overloaded_error", "message": "too busy"}
            result = {"type": "errored", "error": {"type": "error", "error": inner, "request_id": None}}
        return {"custom_id": request["custom_id"], "result": result}

    def stream(self) -> list[tuple[str, object]]:
        text = {"type": "text", "text": "", "citations": None}
        delta = {"type": "text_delta", "text": "Just so."}
        events = [
            {"type": "message_start", "message": {**message(), "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": text},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": USAGE},
            {"type": "message_stop"},
        ]
        return [(str(e["type"]), e) for e in events]

    def asked(self, end: str) -> list[Asked]:
        return [asked for asked in self.loopback.asked if asked.path.endswith(end)]
