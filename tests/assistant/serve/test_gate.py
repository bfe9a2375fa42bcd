"""Who comes through the gate, to which door, how often and with how much."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from assistant.serve.gate import PAGE_HEADERS, Gate
from assistant.serve.who import FILE, Rules, Tokens, rules
from ingest.library import create
from tests.assistant.serve.conftest import serving
from tests.fakes import run

DOORS = ("/api/guides", "/v1/models", "/mcp", "/metrics")


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    create(tmp_path / "library")
    return Tokens(tmp_path / "library")


def behind(rules: Rules, base_url: str = "http://localhost:8501") -> TestClient:
    """The gate before an app that says what it was given."""

    async def seen(request: Request) -> Response:
        told = {name: request.headers.get(name, "") for name in PAGE_HEADERS}
        return JSONResponse({**told, "bytes": len(await request.body())})

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json({name: websocket.headers.get(name, "") for name in PAGE_HEADERS})
        await websocket.close()

    every = ["GET", "POST", "DELETE", "OPTIONS"]
    app = Starlette(routes=[Route("/{path:path}", seen, methods=every), WebSocketRoute("/_stcore/stream", socket)])
    return TestClient(Gate(app, rules), base_url=base_url)


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def public(tokens: Tokens, **more: Any) -> Rules:
    return rules(tokens.place, "0.0.0.0", **more)


def test_on_loopback_nothing_is_asked(tokens: Tokens) -> None:
    asking = behind(rules(tokens.place, "localhost"))
    assert {asking.get(path).status_code for path in (*DOORS, "/", "/read", "/health")} == {200}
    assert asking.delete("/api/guides/a.md").status_code == 200
    assert asking.get("/v1/models", headers=bearing("sk-whatever-a-client-sends")).status_code == 200


def test_on_loopback_no_other_name_and_no_other_sites_page_comes_in(tokens: Tokens) -> None:
    local = rules(tokens.place, "localhost")
    assert behind(local, "http://rebound.example:8501").get("/api/guides").status_code == 421
    asking, evil = behind(local), {"Origin": "https://evil.example"}
    assert asking.post("/api/guides", files={"file": b"x"}, headers=evil).status_code == 403
    assert asking.post("/v1/chat/completions", headers={"Origin": "null"}).status_code == 403
    assert asking.post("/api/ask", headers={"Origin": "http://localhost:8501"}).status_code == 200
    with pytest.raises(WebSocketDisconnect), asking.websocket_connect("/_stcore/stream", headers=evil):
        pass


ASKS_FIRST = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


def allowed(asking: TestClient, origin: str, **headers: str) -> list[str | None]:
    """To whom the browser may show an answer: when it asks first, and when the request has come."""
    first = asking.options("/v1/chat/completions", headers={"Origin": origin, **ASKS_FIRST})
    then = asking.post("/v1/chat/completions", headers={"Origin": origin, **headers})
    return [reply.headers.get("access-control-allow-origin") for reply in (first, then)]


def test_a_page_of_this_machine_may_read_what_is_answered_on_loopback_and_no_other(tokens: Tokens) -> None:
    asking = behind(rules(tokens.place, "localhost"))
    ours, evil = "http://localhost:3000", "https://evil.example"
    assert allowed(asking, ours) == [ours, ours]
    assert allowed(asking, evil, Authorization="Bearer sk-any") == [None, None]
    assert asking.get("/api/guides", headers={"Origin": evil}).headers.get("access-control-allow-origin") is None
    rebound = behind(rules(tokens.place, "localhost"), "http://rebound.example:8501")
    assert rebound.options("/v1/models", headers={"Origin": ours, **ASKS_FIRST}).status_code == 421


def test_elsewhere_any_page_may_that_brings_a_token_and_only_then(tokens: Tokens) -> None:
    page, asking = "https://chat.example", behind(public(tokens, header="X-User"), "http://guides.example")
    named = {"X-User": "bob"}  # which a proxy says of each request from bob's machine, whoever made it
    assert allowed(asking, page, **bearing(tokens.add("anna", "ask"))) == [page, page]
    assert allowed(asking, page, **named, **bearing("fn_guessed")) == [page, None]
    guessed = {"Origin": page, **named, **bearing("fn_guessed")}
    assert asking.post("/v1/chat/completions", headers=guessed).status_code == 403
    bare = {"Origin": page, "Access-Control-Request-Method": "POST"}
    assert asking.options("/v1/chat/completions", headers=bare).status_code == 403


def test_elsewhere_a_token_opens_what_it_may_and_nothing_else(tokens: Tokens) -> None:
    asks, adds, admin = (tokens.add(name, can) for name, can in (("a", "ask"), ("i", "ingest"), ("m", "admin")))
    asking = behind(public(tokens), "http://guides.example")
    for path in DOORS:
        refused = asking.get(path)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "invalid_api_key"
        assert refused.headers["www-authenticate"] == "Bearer"
    assert asking.get("/health").status_code == 200
    may = {
        token: [
            asking.get("/v1/models", headers=bearing(token)).status_code,
            asking.post("/api/guides", headers=bearing(token)).status_code,
            asking.delete("/api/guides/a.md", headers=bearing(token)).status_code,
            asking.get("/metrics", headers=bearing(token)).status_code,
        ]
        for token in (asks, adds, admin)
    }
    assert may == {asks: [200, 403, 403, 403], adds: [200, 200, 200, 403], admin: [200, 200, 200, 200]}
    tokens.remove("a")
    taken_back = asking.get("/v1/models", headers=bearing(asks))
    assert (taken_back.status_code, "opens nothing" in taken_back.text) == (401, True)


def test_a_visitor_of_the_page_shows_the_token_once(tokens: Tokens) -> None:
    token = tokens.add("anna", "ingest")
    asking = behind(public(tokens), "http://guides.example")
    form = asking.get("/read?doc=a.md&start=1&end=2")
    assert form.status_code == 401
    assert 'value="/read?doc=a.md&amp;start=1&amp;end=2"' in form.text
    with pytest.raises(WebSocketDisconnect), asking.websocket_connect("/_stcore/stream"):
        pass
    wrong = asking.post("/enter", data={"token": "fn_guessed", "to": "/"})
    assert (wrong.status_code, "opens nothing" in wrong.text) == (401, True)
    entered = asking.post("/enter", data={"token": token, "to": "/read?doc=a.md"}, follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, "/read?doc=a.md")
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert asking.get("/read").json()["x-footnote-user"] == "anna"
    cookie = {"Cookie": f"footnote_token={token}"}  # the test's client sends none of its own here
    with asking.websocket_connect("/_stcore/stream", headers=cookie) as page:
        assert page.receive_json() == {
            "x-footnote-user": "anna",
            "x-footnote-can": "ask ingest",
            "x-footnote-login": "",
        }
    assert asking.get("/v1/models").status_code == 401  # a cookie opens the page alone: other sites' pages send it too


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/\\evil.example", "evil"])
def test_who_entered_is_led_nowhere_else(tokens: Tokens, to: str) -> None:
    asking = behind(public(tokens, open_=True), "http://guides.example")
    entered = asking.post("/enter", data={"token": tokens.add("anna", "ask"), "to": to}, follow_redirects=False)
    assert entered.headers["location"] == "/"


def test_a_proxy_that_is_trusted_names_its_visitors_and_nobody_else_can(tokens: Tokens) -> None:
    asking = behind(public(tokens, header="X-Forwarded-User"), "http://guides.example")
    assert asking.get("/v1/models").status_code == 401
    assert asking.get("/v1/models", headers={"X-Forwarded-User": "bob"}).status_code == 200
    forged = {"X-Forwarded-User": "bob", "X-Footnote-User": "root", "X-Footnote-Can": "admin"}
    seen = asking.get("/", headers=forged).json()
    assert (seen["x-footnote-user"], seen["x-footnote-can"]) == ("bob", "ask")
    assert asking.post("/api/guides", headers=forged).status_code == 403


def test_who_is_let_in_without_a_token_may_ask_and_no_more(tokens: Tokens) -> None:
    asking = behind(public(tokens, open_=True), "http://guides.example")
    assert asking.get("/v1/models").status_code == 200
    assert asking.post("/api/guides").status_code == 403
    assert asking.get("/metrics").status_code == 403
    logged_in = behind(public(tokens, oidc=True), "http://guides.example")
    assert logged_in.get("/").json()["x-footnote-login"] == "needed"  # the page itself asks for it
    assert logged_in.get("/v1/models").status_code == 401


def test_too_much_is_413_whether_its_length_is_said_or_not(tokens: Tokens) -> None:
    asking = behind(replace(rules(tokens.place, "localhost"), most_bytes=1000, most_upload=5000))

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    assert asking.post("/api/ask", content=b"x" * 1000).json()["bytes"] == 1000
    assert asking.post("/api/ask", content=b"x" * 1001).status_code == 413
    assert asking.post("/api/ask", content=iter([b"x" * 600] * 2)).status_code == 413
    assert asking.post("/api/ask", headers={"Content-Length": "nonsense"}).status_code == 413
    assert asking.post("/api/guides", content=b"x" * 5000).status_code == 200
    assert asking.post("/api/guides", content=b"x" * 5001).status_code == 413


def test_a_client_that_still_sends_is_told_why_it_was_refused(library: Path, tmp_path: Path) -> None:
    with serving(library, tmp_path) as served:
        for body in (b"x" * 30_000_000, iter([b"x" * 1_000_000] * 30)):
            asked = urllib.request.Request(f"{served.url}/api/ask", body, {"Content-Type": "application/json"})
            with pytest.raises(urllib.error.HTTPError, match="413"):
                urllib.request.urlopen(asked, timeout=60)


def test_a_file_of_tokens_that_cannot_be_read_lets_nobody_in_and_says_so(tokens: Tokens) -> None:
    asking = behind(public(tokens, open_=True), "http://guides.example")
    (tokens.place / FILE).write_text("{not json")
    refused = asking.get("/v1/models", headers=bearing("fn_any"))
    assert (refused.status_code, "move it away" in refused.json()["error"]["message"]) == (503, True)


@pytest.mark.parametrize("has_begun", [False, True])
def test_an_answer_that_a_stopping_server_gives_up_is_a_503_or_ends_and_no_traceback(
    tokens: Tokens, has_begun: bool
) -> None:
    sent: list[Any] = []

    async def never_done(scope: Any, receive: Any, send: Any) -> None:
        if has_begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def stop() -> None:
        scope = {"type": "http", "method": "POST", "path": "/api/ask", "headers": [(b"host", b"localhost")]}
        answering = asyncio.create_task(Gate(never_done, rules(tokens.place, "localhost"))(scope, receive, send))
        await asyncio.sleep(0.1)
        answering.cancel()
        await answering

    run(stop())
    assert [m["status"] for m in sent if m["type"] == "http.response.start"] == [200 if has_begun else 503]


def test_too_often_is_429_for_each_visitor_by_themselves(tokens: Tokens) -> None:
    one, other = tokens.add("one", "ask"), tokens.add("other", "ask")
    asking = behind(public(tokens, per_minute=3), "http://guides.example")
    tried = [asking.get("/v1/models", headers=bearing(one)) for _ in range(4)]
    assert [reply.status_code for reply in tried] == [200, 200, 200, 429]
    assert tried[-1].headers["retry-after"]
    assert tried[-1].json()["error"]["code"] == "rate_limit_exceeded"
    assert asking.get("/v1/models", headers=bearing(other)).status_code == 200


def test_the_log_tells_a_request_without_what_was_in_it(tokens: Tokens, capsys: pytest.CaptureFixture[str]) -> None:
    asking = behind(rules(tokens.place, "localhost"))
    asking.post("/api/ask", content=b"my secret question")
    said = capsys.readouterr().err
    assert '"path": "/api/ask"' in said
    assert "secret" not in said
