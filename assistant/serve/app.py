"""`footnote serve`: page, /v1, /mcp and /api in one process on one port. `footnote mcp`: the same tools on stdio."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from assistant import beside
from assistant.serve.desk import Desk
from assistant.serve.gate import PAGE_HEADERS, Gate
from assistant.serve.who import Rules
from ingest.errors import FootnoteError

SECONDS_TO_END = 20  # for answers that are being written when the server is stopped


def doors(desk: Desk, rules: Rules) -> ASGIApp:
    """Everything that is served, behind one gate."""
    import streamlit as st
    from mcp.server.transport_security import TransportSecuritySettings

    from assistant.serve.api import api
    from assistant.serve.mcp import server
    from assistant.serve.v1 import v1

    mcp = server(desk, lambda ctx: desk.base_url or _asked_at(ctx))
    unguarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # the gate looks at hosts and origins
    spoken = mcp.streamable_http_app(
        stateless_http=True, json_response=True, transport_security=unguarded, max_request_body_size=rules.most_bytes
    )

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        threading.Thread(target=_warm, args=(desk,), daemon=True).start()
        async with mcp.session_manager.run():
            yield
        desk.close()

    routes = [*_watched(desk), *spoken.routes, Mount("/api", api(desk)), Mount("/v1", v1(desk))]
    gate = Middleware(Gate, rules=rules, counts=desk.counts)
    return st.App(beside("app.py"), routes=routes, lifespan=lifespan, middleware=[gate])


def _asked_at(ctx: Any) -> str:
    request = ctx.request_context.request
    return f"{request.url.scheme}://{request.url.netloc}" if request is not None else "http://localhost:8501"


def _warm(desk: Desk) -> None:
    """Models load while nobody waits yet; what goes wrong with them is said with the first question."""
    try:
        desk.assistant().search("warm", k=1)
    except FootnoteError:
        return


def _watched(desk: Desk) -> list[Route]:
    """What watches over the server looks at."""
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        try:
            chunks = await desk.run(lambda: desk.library().count())
        except FootnoteError:
            chunks = 0
        state = {"status": "ready" if chunks else "no library, or nothing in it"}
        return JSONResponse(state, 200 if chunks else 503)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(desk.counts.registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)]


def serve(
    desk: Desk, rules: Rules, address: str, port: int, config: Mapping[str, Any], say: Callable[[str], None]
) -> None:
    """Until it is told to stop; then no new question is taken, and answers under way are finished."""
    import uvicorn
    from streamlit.web import bootstrap

    listening = _bound(address, port)
    os.environ["FOOTNOTE_LIBRARY"] = str(desk.place)
    bootstrap.load_config_options(page_options(config, desk.base_url, address, listening.getsockname()[1]))
    if rules.oidc:
        _check_login()
    logging.getLogger("mcp").setLevel(logging.ERROR)
    serving = uvicorn.Config(
        doors(desk, rules), log_level="warning", access_log=False, ws="websockets-sansio", ws_max_size=200 * 2**20,
        timeout_graceful_shutdown=SECONDS_TO_END, server_header=False, limit_concurrency=2000,
    )  # fmt: skip
    port = listening.getsockname()[1]
    say(f"footnote: page, /v1, /mcp and /api at {desk.base_url or f'http://{address}:{port}'} (Ctrl-C ends it)")
    for ended in (signal.SIGTERM, signal.SIGHUP):  # uvicorn raises it again when all is finished
        signal.signal(ended, lambda number, frame: sys.exit(0))
    with suppress(KeyboardInterrupt), listening:
        uvicorn.Server(serving).run(sockets=[listening])


def page_options(config: Mapping[str, Any], base_url: str, address: str, port: int) -> dict[str, Any]:
    """What Streamlit has to know: how the page looks, where it is seen, and which headers of the gate name users."""
    options = dict(config)
    options |= {"server.port": port, "server.address": address, "server.headless": True}
    options["server.trustedUserHeaders"] = json.dumps(PAGE_HEADERS)
    if base_url:
        seen = urlsplit(base_url)
        options["browser.serverAddress"] = seen.hostname
        options["browser.serverPort"] = seen.port or (443 if seen.scheme == "https" else 80)
    return options


def _check_login() -> None:
    """Without a provider the page would be closed to everybody."""
    import streamlit as st

    if find_spec("authlib") is None:
        raise FootnoteError("--oidc needs Authlib, which is not installed: pip install 'footnote[login]'")
    try:
        known = "auth" in st.secrets
    except FileNotFoundError:
        known = False
    if not known:
        raise FootnoteError(
            "--oidc needs a provider: write [auth] into .streamlit/secrets.toml, as Streamlit describes"
        )


def _bound(address: str, port: int) -> socket.socket:
    """Listening already, so that a port that is taken is said in one line."""
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(found[0], socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
        listening.listen(2048)
    except OSError as error:
        raise FootnoteError(
            f"{address}:{port} cannot be listened on ({error.strerror or error}): choose another with --port"
        ) from error
    listening.set_inheritable(True)
    return listening


def speak(desk: Desk) -> None:
    """MCP on standard input and output, until they are closed."""
    from assistant.serve.mcp import server

    threading.Thread(target=_warm, args=(desk,), daemon=True).start()
    server(desk, lambda ctx: desk.base_url).run("stdio")
