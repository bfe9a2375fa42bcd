"""A chat server by URL, on loopback."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from assistant.prompts import NOT_IN_GUIDES, messages
from assistant.records import Cite, Request, Stop, Text
from assistant.writers.chat import Chat
from assistant.writers.constrain import as_gbnf
from ingest.errors import WriterError
from tests.assistant.loopback import Asked, Loopback, Reply, as_events, as_json, serving

MODELS = {"object": "list", "data": [{"id": "guides-8b", "object": "model", "created": 1, "owned_by": "x"}]}
USAGE = {"prompt_tokens": 90, "completion_tokens": 7, "total_tokens": 97}


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FOOTNOTE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def chunk(**delta: Any) -> dict[str, Any]:
    finish = delta.pop("finish", None)
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "guides-8b", "choices": choices}


def stream(*pieces: str, finish: str | None = "stop", done: bool = True, **how: Any) -> Reply:
    events: list[tuple[str, object]] = [("", chunk(role="assistant", content=""))]
    events += [("", chunk(content=piece)) for piece in pieces]
    if finish:
        events += [("", chunk(finish=finish)), ("", chunk() | {"choices": [], "usage": USAGE})]
    return as_events([*events, *([("", "[DONE]")] if done else [])], **how)


def serve(loopback: Loopback, reply: Reply, models: object = MODELS) -> Chat:
    loopback.answer = lambda asked: as_json(models) if asked.path.endswith("/models") else reply
    return Chat(loopback.url, timeout=5.0, retries=0)


def written(events: list[Text | Cite | Stop]) -> tuple[str, list[Cite], Stop]:
    stop = events[-1]
    assert isinstance(stop, Stop)
    assert not any(isinstance(event, Stop) for event in events[:-1])
    text = "".join(event.text for event in events if isinstance(event, Text))
    return text, [event for event in events if isinstance(event, Cite)], stop


def test_text_and_footnotes_come_as_they_are_streamed(loopback: Loopback, request_: Request) -> None:
    writer = serve(loopback, stream("Dropout lowers over", "fitting [1.", "1][1.2", "]. It ", "wins [7.7]."))
    text, cites, stop = written(list(writer.write(request_)))
    assert text == "Dropout lowers overfitting. It wins."
    assert cites == [Cite(((0, 0), (0, 1))), Cite((), ("7.7",))]
    assert stop == Stop("end", {"input_tokens": 90, "output_tokens": 7})


def test_the_server_is_sent_our_prompt_and_its_own_first_model(loopback: Loopback, request_: Request) -> None:
    writer = serve(loopback, stream("Yes [1.1]."))
    list(writer.write(request_))
    assert [asked.path for asked in loopback.asked] == ["/v1/models", "/v1/chat/completions"]
    body = loopback.asked[-1].body
    assert (body["model"], body["stream"], body["max_tokens"], body["temperature"]) == ("guides-8b", True, 1024, 0.0)
    assert body["messages"] == messages(request_)
    assert writer.prompt(request_).endswith(body["messages"][1]["content"])
    list(writer.write(request_))
    assert len(loopback.asked) == 3  # the list of models is asked for once


def test_the_fragment_of_the_url_names_the_model(loopback: Loopback, request_: Request) -> None:
    serve(loopback, stream("Yes [1.1]."))
    list(Chat(f"{loopback.url}/v1#other", retries=0).write(request_))
    assert [asked.path for asked in loopback.asked] == ["/v1/models", "/v1/chat/completions"]
    assert loopback.asked[1].body["model"] == "other"


@pytest.mark.parametrize(
    ("owner", "given"),
    [
        ("vllm", lambda body: body["structured_outputs"]["grammar"]),
        ("llamacpp", lambda body: body["grammar"]),
    ],
)
def test_a_server_that_can_decodes_under_the_grammar(
    loopback: Loopback, request_: Request, owner: str, given: Any
) -> None:
    models = {"data": [{"id": "base"}, {"id": "guides", "owned_by": owner, "max_model_len": 4096}]}
    serve(loopback, stream("Yes [1.1]."), models)
    list(Chat(f"{loopback.url}/v1#guides", retries=0).write(request_))
    assert given(loopback.asked[-1].body) == as_gbnf(request_.passages)


def test_a_server_that_knows_no_grammar_is_asked_without(loopback: Loopback, request_: Request) -> None:
    models = {"data": [{"id": "guides", "owned_by": "vllm"}]}

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/models"):
            return as_json(models)
        if "structured_outputs" in asked.body:
            return as_json({"error": {"message": "extra fields not permitted"}}, 400)
        return stream("Yes [1.1].")

    loopback.answer = answer
    writer = Chat(loopback.url, retries=0)
    assert written(list(writer.write(request_)))[0] == "Yes."
    list(writer.write(request_))
    assert ["structured_outputs" in asked.body for asked in loopback.asked if "chat" in asked.path] == [
        True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "reason", "detail"),
    [
        (stream("Dropout helps [1.1].", finish="length"), "max_tokens", "limit of tokens"),
        (stream("Dropout", finish="content_filter"), "refusal", "filter"),
        (stream(NOT_IN_GUIDES), "not_in_guides", ""),
        (stream("Dropout helps [1.1]. And", finish=None, cut=True, done=False), "cut", "broke off in the middle"),
        (stream("Dropout helps [1.1]. And", finish=None, done=False), "cut", "in its middle"),
        (as_events([("", chunk(content="Drop")), ("", {"error": {"message": "CUDA out of memory"}})]), "cut", "CUDA"),
    ],
)
def test_each_way_of_ending_is_told_apart_and_keeps_the_text(
    loopback: Loopback, request_: Request, reply: Reply, reason: str, detail: str
) -> None:
    text, _, stop = written(list(serve(loopback, reply).write(request_)))
    assert (stop.reason, "\n" in stop.detail) == (reason, False)
    assert detail in stop.detail
    assert text


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        (401, "bad key", "export FOOTNOTE_API_KEY="),
        (403, "bad key", "export FOOTNOTE_API_KEY="),
        (404, "The model `x` does not exist.", "no model 'guides-8b'"),
        (400, "This model's maximum context length is 512 tokens", "longer context"),
        (429, "slow down", "ask again later"),
        (500, "boom\x1b[2J\nmore", "boom�[2J more"),
    ],
)
def test_what_fails_before_the_first_word_is_one_line_with_the_cure(
    loopback: Loopback, request_: Request, status: int, message: str, said: str
) -> None:
    writer = serve(loopback, as_json({"error": {"message": message}}, status))
    with pytest.raises(WriterError) as raised:
        list(writer.write(request_))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_server_that_is_not_there_is_named(request_: Request) -> None:
    for url in ("http://127.0.0.1:9", "http://127.0.0.1:9/v1#m"):
        with pytest.raises(WriterError, match=r"http://127\.0\.0\.1:9/v1 is out of reach"):
            list(Chat(url, retries=0).write(request_))


def test_a_server_without_a_model_says_how_to_name_one(loopback: Loopback, request_: Request) -> None:
    with pytest.raises(WriterError, match="serves no model"):
        list(serve(loopback, stream("x"), {"object": "list", "data": []}).write(request_))


def test_a_server_that_hangs_is_given_up(loopback: Loopback, request_: Request) -> None:
    def answer(asked: Asked) -> Reply:
        time.sleep(0.6)
        return as_json(MODELS)

    loopback.answer = answer
    with pytest.raises(WriterError, match=r"did not answer within 0\.2 s"):
        list(Chat(loopback.url, timeout=0.2, retries=0).write(request_))


def test_a_busy_server_is_asked_again(loopback: Loopback, request_: Request) -> None:
    replies: Iterator[Reply] = iter([as_json({}, 503, **{"retry-after-ms": "10"}), stream("Yes [1.1].")])
    loopback.answer = lambda asked: as_json(MODELS) if asked.path.endswith("/models") else next(replies)
    text, _, stop = written(list(Chat(f"{loopback.url}/v1#m", retries=1).write(request_)))
    assert (text, stop.reason) == ("Yes.", "end")


def test_no_server_but_openai_sees_the_key_for_openai(
    loopback: Loopback, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-theirs")
    list(serve(loopback, stream("Yes [1.1].")).write(request_))
    monkeypatch.setenv("FOOTNOTE_API_KEY", "ours")
    list(serve(loopback, stream("Yes [1.1].")).write(request_))
    assert [asked.headers["authorization"] for asked in loopback.asked] == ["Bearer none"] * 2 + ["Bearer ours"] * 2


def test_passages_that_do_not_fit_the_model_are_left_out_and_said(loopback: Loopback, request_: Request) -> None:
    long = replace(request_.passages[1], section="long " * 30)
    crowded = replace(request_, passages=(*request_.passages, *[long] * 40))
    models = {"object": "list", "data": [MODELS["data"][0] | {"max_model_len": 2048}]}  # type: ignore[index]
    _, _, stop = written(list(serve(loopback, stream("Yes [1.1]."), models).write(crowded)))
    assert "passage 42 left out" in stop.detail
    assert len(str(loopback.asked[-1].body["messages"])) < (2048 - 1024) * 3 + 200


def test_whoever_stops_listening_ends_the_request(loopback: Loopback, request_: Request) -> None:
    events = serve(loopback, stream(*["word "] * 400, pause=0.01)).write(request_)
    assert isinstance(next(events), Text)
    events.close()  # type: ignore[attr-defined]
    assert loopback.left.wait(3.0)


def test_nothing_that_is_meant_for_openai_reaches_another_server(
    loopback: Loopback, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_ORGANIZATION", "OPENAI_PROJECT_ID", "OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "sk-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Mine: sk-secret")
    list(serve(loopback, stream("Yes [1.1].")).write(request_))
    assert len(loopback.asked) == 2
    assert "secret" not in str([asked.headers for asked in loopback.asked])
    assert not [name for asked in loopback.asked for name in asked.headers if name.startswith(("openai", "x-"))]


@pytest.mark.parametrize("path", ["/models", "/chat/completions"])
def test_a_redirect_is_named_and_nothing_is_sent_after_it(
    loopback: Loopback, request_: Request, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("FOOTNOTE_API_KEY", "ours")
    with serving() as other:
        away = Reply(status=307, headers={"Location": f"{other.url}/v1{path}"})
        loopback.answer = lambda asked: away if asked.path.endswith(path) else as_json(MODELS)
        with pytest.raises(WriterError, match=f"redirects to {other.url}/v1{path}, which is not followed"):
            list(Chat(loopback.url, retries=0).write(request_))
        assert other.asked == []


@pytest.mark.parametrize(
    "models",
    [
        {"data": "x"},
        {"data": [None]},
        {"data": [{}]},
        {"data": [{"id": 7}]},
        {"data": [{"id": None}]},
        {"data": [{"id": ""}]},
        {"data": [{"id": ["x"]}]},
        {"data": ["x"]},
        {"data": [[]]},
        {"data": {}},
        {"data": None},
        {"data": 3},
        {"models": []},
        {},
        [],
        [None],
        "x",
        None,
        7,
        {"data": [{"id": "x" * 10_000}]},
        {"data": [{"id": "good"}, None]},
    ],
)
def test_what_is_no_list_of_models_is_said_in_one_line(loopback: Loopback, request_: Request, models: object) -> None:
    with pytest.raises(WriterError, match=r"^http://[^\n]*/v1/models is no list of models[^\n]*$"):
        list(serve(loopback, stream("x"), models).write(request_))


@pytest.mark.parametrize("body", [b"", b"<html>hello</html>", b"[" * 100_000, b"\xff\xfe", b"{", b'{"data": [NaN'])
def test_a_reply_that_is_no_json_is_said_in_one_line(loopback: Loopback, request_: Request, body: bytes) -> None:
    loopback.answer = lambda asked: Reply([body] if body else [], 200, {"Content-Type": "application/json"})
    with pytest.raises(WriterError, match=r"^http://[^\n]*is no list of models[^\n]*$"):
        list(Chat(loopback.url, retries=0).write(request_))


@pytest.mark.parametrize("fragment", ["", "#m"])
def test_a_gzip_bomb_is_not_unpacked(loopback: Loopback, request_: Request, fragment: str) -> None:
    bomb = gzip.compress(b" " * 2**24)
    loopback.answer = lambda asked: Reply([bomb], 200, {"Content-Type": "application/json", "Content-Encoding": "gzip"})
    with pytest.raises(WriterError, match="packs its reply"):
        list(Chat(f"{loopback.url}/v1{fragment}", retries=0).write(request_))
    assert loopback.asked[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("fragment", ["", "#m"])
def test_a_reply_without_an_end_is_left_at_eight_megabytes(
    loopback: Loopback, request_: Request, fragment: str
) -> None:
    loopback.answer = lambda asked: Reply([b"data: " + b"x" * 2**20] * 64, 200, {"Content-Type": "text/event-stream"})
    with pytest.raises(WriterError, match="sent more than 8 MB"):
        list(Chat(f"{loopback.url}/v1{fragment}", retries=0).write(request_))


def test_a_reply_that_only_drips_is_left_after_ten_timeouts(loopback: Loopback, request_: Request) -> None:
    dripping = stream(*["word "] * 600, pause=0.02)
    loopback.answer = lambda asked: as_json(MODELS) if asked.path.endswith("/models") else dripping
    started = time.monotonic()
    _, _, stop = written(list(Chat(f"{loopback.url}/v1#m", timeout=0.5, retries=0).write(request_)))
    assert stop.reason == "cut"
    assert "not done after 5 s" in stop.detail
    assert time.monotonic() - started < 11  # all of it takes 12


@pytest.mark.parametrize("url", ["http://[::1", "http://x:99999999/v1", "http://x:port"])
def test_what_is_no_url_is_said_before_anything_is_sent(url: str) -> None:
    with pytest.raises(WriterError, match="is no URL of a chat server"):
        Chat(url)
