"""The gate that every request goes through: who is there, what they may, how much and how often.

On loopback nothing is asked, but only what was meant for this machine comes in: a page of some other site, or a name
that somebody else has made point here, does not. Bound to anything else, a visitor shows a token, is named by a proxy
that is trusted, or everybody may (`--open`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from assistant.records import one_line
from assistant.serve.desk import Counts, Failure, failure_of, log
from assistant.serve.who import CAN, Rules, Visitor
from ingest.errors import LibraryError

DOORS = ("/api", "/v1", "/mcp", "/metrics")
FREE = ("/health", "/ready")
COOKIE = "footnote_token"
SECONDS_TO_READ_OFF = 5
ENTER = "/enter"
# How the page is told who is there: in `st.user`, by these names.
PAGE_HEADERS = {
    "x-footnote-user": "footnote_user",
    "x-footnote-can": "footnote_can",
    "x-footnote-login": "footnote_login",  # whether the page has to ask for one
}
_PREFLIGHT = "access-control-request-method"
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
_NEEDS = (("/metrics", "", "admin"), ("/api/guides", "POST", "ingest"), ("/api/guides", "DELETE", "ingest"))


@dataclass
class Gate:
    """Every request of every door, and the page's. Who comes through stands in the scope as `footnote`."""

    app: ASGIApp
    rules: Rules
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self._pace = Pace(self.rules.per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        path, headers = scope["path"], _headers(scope)
        door = next((d for d in DOORS if path == d or path.startswith(d + "/")), "")
        send = self._noting(scope, send, door or "page", time.perf_counter()) if scope["type"] == "http" else send
        if path in FREE:
            await self.app(scope, receive, send)
            return
        try:
            await self._guarded(scope, headers, receive, send, door)
        except LibraryError as error:  # the file of tokens cannot be read: nobody comes in
            await _refuse(scope, receive, send, failure_of(error), door)
        except asyncio.CancelledError:  # the server is being stopped, and this answer would have taken too long
            if scope["type"] == "websocket":
                raise
            if not scope.get("footnote_begun"):
                await _refuse(scope, receive, send, Failure(503, "the server was stopped", "server_error"), door)

    async def _guarded(self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send, door: str) -> None:
        if door and scope["type"] == "http" and headers.get("origin"):
            send = self._readable(headers, send)
        if scope["type"] == "http" and scope["path"] == ENTER:
            await self._enter(scope, receive, send)
        elif door and scope["type"] == "http" and _PREFLIGHT in headers:
            await self._preflight(scope, headers, receive, send, door)
        elif failure := self._refused(scope, headers, door):
            if scope["type"] == "http":
                await _read_off(receive)
            await _refuse(scope, receive, send, failure, door)
        else:
            await self._let_in(scope, receive, send, door)

    def _refused(self, scope: Scope, headers: Mapping[str, str], door: str) -> Failure | None:
        """Why not; if there is no reason, the visitor stands in the scope."""
        if failure := self._stranger(scope, headers):
            return failure
        visitor = self._visitor(headers, door)
        if visitor is None:
            wrong = "this token opens nothing here" if _token(headers) else "a token is needed here"
            return Failure(401, f"{wrong}: Authorization: Bearer fn_…", code="invalid_api_key")
        scope["footnote"] = visitor
        method = scope.get("method", "GET")
        for prefix, when, can in _NEEDS:
            if scope["path"].startswith(prefix) and when in ("", method) and not visitor.may(can):
                return Failure(403, f"this token may not: `footnote token add NAME --can {can}`", code="not_allowed")
        client = visitor.name or (scope.get("client") or ("",))[0]
        if door and not self._pace.may(client):
            limit = f"more than {self.rules.per_minute} requests a minute: wait a little"
            return Failure(429, limit, "rate_limit_error", "rate_limit_exceeded")
        length = headers.get("content-length", "0")
        if door and (not length.isdigit() or int(length) > self._most(scope)):
            return Failure(413, f"at most {self._most(scope):,} bytes are taken here", code="too_large")
        return None

    def _stranger(self, scope: Scope, headers: Mapping[str, str]) -> Failure | None:
        """Another site's page in a visitor's browser, or, on this machine, a name that is not this machine's."""
        host = _name(f"//{headers.get('host', '')}")
        if self.rules.local and host not in _THIS_MACHINE | self.rules.hosts:
            return Failure(421, f"{one_line(host)!r} is not this server: --base-url names it", code="wrong_host")
        if scope.get("method") not in ("GET", "HEAD") and not (self._is_ours(headers) or self._bears(headers)):
            return Failure(403, "another site's page may not ask here", code="wrong_origin")
        return None

    def _is_ours(self, headers: Mapping[str, str]) -> bool:
        """Whether it is no page, or one of this server, or on this machine one of this machine."""
        ours = _THIS_MACHINE if self.rules.local else {_name(f"//{headers.get('host', '')}")}
        return not headers.get("origin") or _name(headers["origin"]) in ours | self.rules.hosts

    def _bears(self, headers: Mapping[str, str]) -> bool:
        """Whether a page of another site has been given a key by its user. Here any key will do: without the preflight,
        which is refused here, no browser sends one."""
        return "authorization" in headers if self.rules.local else bool(self.rules.tokens.find(_token(headers)))

    async def _preflight(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send, door: str
    ) -> None:
        """A browser asks whether a page may: pages of ours, and where tokens are asked for any that brings one."""
        wanted = headers.get("access-control-request-headers", "")
        failure = self._stranger({**scope, "method": "GET"}, headers)
        if not failure and not self._is_ours(headers) and (self.rules.local or "authorization" not in wanted.lower()):
            failure = Failure(403, "another site's page may not ask here", code="wrong_origin")
        if failure:
            await _refuse(scope, receive, send, failure, door)
            return
        told = {"Access-Control-Allow-Methods": "GET, POST, DELETE", "Access-Control-Allow-Headers": wanted}
        origin = {"Access-Control-Allow-Origin": headers.get("origin", ""), "Access-Control-Max-Age": "600"}
        await Response(None, 204, told | origin | {"Vary": "Origin"})(scope, receive, send)

    def _readable(self, headers: Mapping[str, str], send: Send) -> Send:
        """Lets the browser show an answer to a page that may ask. Cookies are never sent along: they open no door."""
        may = self._is_ours(headers) or (not self.rules.local and self._bears(headers))

        async def readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(scope=message)
                told.add_vary_header("Origin")
                if may:
                    told["Access-Control-Allow-Origin"] = headers["origin"]
            await send(message)

        return readable

    def _visitor(self, headers: Mapping[str, str], door: str) -> Visitor | None:
        rules = self.rules
        if found := rules.tokens.find(_token(headers)):
            return found
        if rules.header and (name := one_line(headers.get(rules.header, ""))):
            return Visitor(name, rules.visitors_can)
        if not door and (found := rules.tokens.find(_cookie(headers))):
            return found
        if rules.local or rules.open or (rules.oidc and not door):
            return Visitor("", rules.visitors_can)
        return None

    async def _let_in(self, scope: Scope, receive: Receive, send: Send, door: str) -> None:
        visitor: Visitor = scope["footnote"]
        if not door:
            kept = [(name, value) for name, value in scope["headers"] if name.decode("latin-1") not in PAGE_HEADERS]
            login = "needed" if self.rules.oidc and not visitor.name else ""
            can = " ".join(filter(visitor.may, CAN))
            told = dict(zip(PAGE_HEADERS, (quote(visitor.name), can, login), strict=True))
            await self.app(
                {**scope, "headers": kept + [(k.encode(), v.encode()) for k, v in told.items()]}, receive, send
            )
            return
        with contextlib.suppress(Exception):  # told and logged where it happened
            await self.app(scope, self._counted(receive, self._most(scope)), send)

    def _most(self, scope: Scope) -> int:
        return self.rules.most_upload if scope["path"].startswith("/api/guides") else self.rules.most_bytes

    def _counted(self, receive: Receive, most: int) -> Receive:
        """A body may come in pieces, without saying how long it is going to be."""
        had = 0

        async def counted() -> Message:
            nonlocal had
            message = await receive()
            had += len(message.get("body", b""))
            if had > most:
                if message.get("more_body"):
                    await _read_off(receive)
                raise HTTPException(413, f"at most {most:,} bytes are taken here")
            return message

        return counted

    def _noting(self, scope: Scope, send: Send, door: str, started: float) -> Send:
        """Counts and logs a request of a door when its answer begins."""

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["footnote_begun"] = True
            if message["type"] == "http.response.start" and door != "page":
                self.counts.requests.labels(door.strip("/"), message["status"]).inc()
                who = scope.get("footnote", Visitor()).name
                seconds = round(time.perf_counter() - started, 4)
                log(event="request", door=door, method=scope["method"], path=scope["path"],
                    status=message["status"], seconds=seconds, who=who)  # fmt: skip
            await send(message)

        return noted

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the form sends; the token becomes a cookie, which scripts cannot read and other sites cannot send."""
        body = b""
        async for piece in Request(scope, receive).stream():
            body = (body + piece)[:4097]
        if len(body) > 4096:
            await _refuse(scope, receive, send, Failure(413, "at most 4,096 bytes are taken here"), "/api")
            return
        given = parse_qs(body.decode("utf-8", "replace"))
        token, to = given.get("token", [""])[0].strip(), given.get("to", ["/"])[0]
        if not self.rules.tokens.find(token):
            await _refuse(scope, receive, send, Failure(401, "That token opens nothing here."), "")
            return
        response = RedirectResponse(to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/", 303)
        secure = scope["scheme"] == "https" or _headers(scope).get("x-forwarded-proto") == "https"
        response.set_cookie(COOKIE, token, max_age=30 * 86400, httponly=True, samesite="lax", secure=secure)
        await response(scope, receive, send)


class Pace:
    """So many a minute each, spread out; those who were not seen for long are forgotten."""

    KNOWN = 10_000

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def may(self, who: str) -> bool:
        if not self.per_minute:
            return True
        now = time.monotonic()
        left, at = self._left.pop(who, (float(self.per_minute), now))
        left = min(float(self.per_minute), left + (now - at) * self.per_minute / 60)
        self._left[who] = (max(0.0, left - 1) if left >= 1 else left, now)
        if len(self._left) > self.KNOWN:
            self._left.popitem(last=False)
        return left >= 1


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _token(headers: Mapping[str, str]) -> str:
    kind, _, text = headers.get("authorization", "").partition(" ")
    return text.strip() if kind.lower() == "bearer" else ""


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _cookie(headers: Mapping[str, str]) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


async def _read_off(receive: Receive) -> None:
    """What is still being sent: a client that is cut off meanwhile sees a broken connection, and not why."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SECONDS_TO_READ_OFF):
            while (await receive()).get("more_body"):
                pass


async def _refuse(scope: Scope, receive: Receive, send: Send, failure: Failure, door: str) -> None:
    if scope["type"] == "websocket":
        await WebSocketClose(1008, failure.message)(scope, receive, send)
        return
    response: Response = JSONResponse(failure.body(), failure.status, failure.headers)
    if failure.status == 401 and door:
        response.headers["WWW-Authenticate"] = "Bearer"
    elif failure.status == 401 and scope["method"] in ("GET", "POST"):
        response = HTMLResponse(_form(scope, failure), 401, {"Cache-Control": "no-store"})
    await response(scope, receive, send)


def _form(scope: Scope, failure: Failure) -> str:
    """Where a visitor of the page shows a token."""
    query = scope.get("query_string", b"").decode("latin-1")
    to = scope["path"] + (f"?{query}" if query else "")
    wrong = failure.message if scope["path"] == ENTER else ""
    to = "/" if scope["path"] == ENTER else to
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Footnote</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>body{{font:1rem/1.5 sans-serif;max-width:26rem;margin:15vh auto;padding:0 1rem}}
input,button{{font:inherit;padding:.5rem .7rem;width:100%;box-sizing:border-box;margin:.3rem 0}}</style>
<h1>Footnote</h1><form method="post" action="{ENTER}"><label for="token">Your token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input type="hidden" name="to" value="{escape(to, quote=True)}"><button>Enter</button></form>
<p role="alert">{escape(wrong)}</p></html>"""
