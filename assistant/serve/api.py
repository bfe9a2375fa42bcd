"""A plain HTTP API of our own, with its OpenAPI page: the same JSON as `--json`."""

from __future__ import annotations

import contextlib
import json
import re
import traceback
from collections.abc import AsyncIterator
from dataclasses import asdict
from html import escape
from typing import Annotated, Any

from fastapi import FastAPI, File, Path, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, Field, StringConstraints, model_validator
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from assistant.answer import Event
from assistant.records import Answer, Passages, Proved, Written, as_json, one_line
from assistant.serve.desk import NAME, Desk, Failure, begun, failure_of, log, sse, turns
from ingest.errors import FootnoteError


class Body(BaseModel):
    """What comes in is text, all of it: what no reader of texts could take is refused before one has to."""

    @model_validator(mode="before")
    @classmethod
    def is_text(cls, value: Any) -> Any:
        try:
            json.dumps(value, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(error.object[error.start]):x}"
            raise ValueError(f"{half} is half of a character and stands alone: send it whole") from error
        except RecursionError as error:
            raise ValueError("lists in lists in lists, too deep to be read") from error
        return value


Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Earlier(BaseModel):
    """An earlier question and its answer in plain words."""

    question: str
    answer: str = ""


class Asked(Body):
    question: Question = Field(examples=["What is dropout?"])
    history: list[str | Earlier] = Field([], max_length=100, description="earlier turns, oldest first")
    model: str = Field(NAME, description="one of GET /v1/models")
    stream: bool = Field(
        False, strict=True, description="server-sent events: passages, text, sentence, at the end answer"
    )


class Searched(Body):
    question: Question = Field(examples=["learning rate"])
    k: int = Field(10, ge=1, le=100, description="how many passages at most")
    history: list[str] = Field([], max_length=100, description="earlier questions, oldest first")
    documents: list[str] = Field([], max_length=100, description="only these: documents, folders or glob patterns")
    kinds: list[str] = Field([], max_length=10, description="only these kinds of blocks, such as table or code")


Document = Annotated[str, Path(description="as `document` of a passage or footnote", examples=["guides/a.md"])]


def api(desk: Desk) -> FastAPI:
    """To be mounted at /api."""
    app = FastAPI(title="Footnote", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    answers_with_errors(app)
    _asking(app, desk)
    _guides(app, desk)

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(_page(app.openapi()))

    return app


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": words, "content": {"application/json": {"schema": {"type": "object"}}}}
    for status, words in {
        400: "what is asked for cannot be done, or is not understood",
        401: "no token, or none that is known",
        403: "the token may not do this",
        404: "there is no such guide or model",
        413: "too large",
        429: "too often",
        503: "the library is missing or busy, or too many questions wait: see Retry-After",
    }.items()
}


def _asking(app: FastAPI, desk: Desk) -> None:
    either = {"application/json": {}, "text/event-stream": {"schema": {"type": "string"}}}

    @app.post("/ask", responses=ERRORS | {200: {"description": "the answer, or its events", "content": either}})
    async def ask(asked: Asked) -> Any:
        """A question, answered with footnotes. `status` says whether the guides do answer it."""
        events = await begun(desk.events(asked.question, turns(asked.history), asked.model, "api"))
        if asked.stream:
            return StreamingResponse(_streamed(events), media_type="text/event-stream", headers=UNBUFFERED)
        async with contextlib.aclosing(events):
            return [as_answer(event) async for event in events if isinstance(event, Answer)][-1]

    @app.post("/search", responses=ERRORS)
    async def search(searched: Searched) -> list[dict[str, Any]]:
        """What retrieval alone finds: passages, best first."""
        s = searched
        found = await desk.search(s.question, s.k, s.history, documents=s.documents, kinds=s.kinds)
        return [as_json(passage) for passage in found]


def _guides(app: FastAPI, desk: Desk) -> None:
    @app.get("/guides", responses=ERRORS)
    async def guides() -> list[dict[str, Any]]:
        """All guides in the library."""
        return await desk.run(lambda: listed(desk))

    @app.get("/guides/{document:path}", responses=ERRORS)
    async def guide(document: Document) -> dict[str, Any]:
        """A guide's text: what footnotes' `start` and `end` count in."""
        return await desk.run(lambda: _whole(desk, document))

    @app.post("/guides", responses=ERRORS)
    async def add(file: Annotated[UploadFile, File(description="a guide; one of the same name is replaced")]) -> Any:
        """Adds a guide and reads it at once."""
        name, data = file.filename or "", await file.read()
        return await desk.run(lambda: _add(desk, name, data))

    @app.delete("/guides/{document:path}", responses=ERRORS)
    async def remove(document: Document) -> dict[str, Any]:
        """Takes a guide out of the library. An upload goes with its file; any other file stays where it is."""
        return await desk.run(lambda: _remove(desk, document))

    @app.get("/status", responses=ERRORS)
    async def status() -> dict[str, Any]:
        """How much there is, what could not be read, whether the folders are newer."""
        return await desk.run(lambda: _status(desk))


def as_answer(answer: Answer) -> dict[str, Any]:
    """As `footnote ask --json` has it."""
    return answer.to_json() | {"passages": [as_json(passage) for passage in answer.passages]}


UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def _streamed(events: AsyncIterator[Event]) -> AsyncIterator[str]:
    try:
        async for event in events:
            yield _told(event)
    except Exception as error:  # noqa: BLE001  # the status is long sent: an event says what happened
        yield sse("error", noted(error).body())


def _told(event: Event) -> str:
    if isinstance(event, Passages):
        found = [as_json(passage) for passage in event.passages]
        return sse("passages", {"passages": found, "understood": event.understood, "nearest": event.nearest})
    if isinstance(event, Written):
        return sse("text", {"text": event.text})
    if isinstance(event, Proved):
        return sse("sentence", asdict(event.sentence))
    return sse("answer", as_answer(event))


def listed(desk: Desk) -> list[dict[str, Any]]:
    return [
        {"document": d.path, "title": d.title, "passages": d.chunks, "sha256": d.sha256}
        for d in desk.library().documents()
    ]


def _whole(desk: Desk, document: str) -> dict[str, Any]:
    for found in desk.library().documents():
        if found.path == document:
            return {"document": document, "title": found.title, "text": desk.library().text(document)}
    raise HTTPException(404, f"no guide {one_line(document)!r} here: GET /api/guides lists them")


def _add(desk: Desk, name: str, data: bytes) -> dict[str, Any]:
    from assistant.page.guides import keep, take_up

    desk.library()
    report = take_up(desk.place, lambda progress: None, [file := keep(desk.place, name, data)])
    if failed := [failure.reason for failure in report.failed if failure.file == file.name]:
        raise FootnoteError(failed[0])
    return {"added": report.added, "changed": report.changed, "unchanged": report.unchanged, "chunks": report.chunks}


def _remove(desk: Desk, document: str) -> dict[str, Any]:
    from assistant.page.guides import remove

    _whole(desk, document)
    remove(desk.library(), document, lambda progress: None)
    return {"removed": document}


def _status(desk: Desk) -> dict[str, Any]:
    from ingest.sync import changes

    library = desk.library()
    news = changes(library)
    return {
        "documents": len(library.documents()),
        "chunks": library.count(),
        "failures": [{"file": failure.file, "reason": failure.reason} for failure in library.failures()],
        "stale": {"added": len(news.added), "changed": len(news.changed), "removed": len(news.removed)},
        "generation": library.generation,
    }


# Errors, in one shape for /api and /v1.


def answers_with_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return as_response(_invalid(error))

    @app.exception_handler(HTTPException)
    async def known(request: Request, error: HTTPException) -> JSONResponse:
        response = as_response(Failure(error.status_code, str(error.detail)))
        if error.status_code == 405:
            response.headers["Allow"] = ", ".join(sorted(_allowed(app, request)))
        return response

    @app.exception_handler(FootnoteError)
    async def ours(request: Request, error: FootnoteError) -> JSONResponse:
        return as_response(failure_of(error))

    @app.exception_handler(Exception)
    async def others(request: Request, error: Exception) -> JSONResponse:
        return as_response(noted(error))  # and raised again, which the gate keeps from the log: it is in it


def noted(error: Exception) -> Failure:
    failure = failure_of(error)
    if failure.status == 500:
        log(event="error", error=one_line(repr(error)), where=traceback.format_tb(error.__traceback__)[-3:])
    return failure


def as_response(failure: Failure) -> JSONResponse:
    return JSONResponse(failure.body(), failure.status, failure.headers)


def _allowed(app: FastAPI, request: Request) -> set[str]:
    routes = [r for r in app.routes if isinstance(r, Route) and r.matches(request.scope)[0] is not Match.NONE]
    return {method for route in routes for method in route.methods or ()}


def _invalid(error: RequestValidationError) -> Failure:
    """The first thing that is wrong, in one line, and where, as OpenAI writes it: `messages[0].content`."""
    first = error.errors()[0]
    kind, said, steps = first["type"], str(first["msg"]).removeprefix("Value error, "), first["loc"][1:]
    if kind == "json_invalid":
        return Failure(400, one_line(f"the body is no JSON: {first['ctx']['error']}, at character {steps[0]}"))
    if not steps and kind in ("missing", "model_attributes_type"):
        return Failure(400, "a JSON object is taken here: send one, with the header Content-Type: application/json")
    named = [step for step in steps if not _KIND.fullmatch(str(step))]
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in named).lstrip(".")
    return Failure(400, one_line(f"{where}: {said}" if where else said), param=where or None)


_KIND = re.compile(r"str|list\[.*\]|Earlier")  # what pydantic adds to a place where one of several kinds may stand


# The OpenAPI page, without a script and without anything from elsewhere.

_STYLE = (
    "body{font:1rem/1.5 sans-serif;max-width:54rem;margin:2rem auto;padding:0 1rem}pre{overflow:auto;padding:.8rem;"
    "border:1px solid #8886;border-radius:6px}summary{cursor:pointer;font-weight:600}h2 code{font-size:1rem}"
)


def _page(schema: dict[str, Any]) -> str:
    parts = [
        f"<h2><code>{method.upper()} /api{escape(path)}</code></h2><p>{escape(does.get('description', ''))}</p>"
        f"{_takes(does)}{_curl(method, path, does)}"
        for path, methods in schema["paths"].items()
        for method, does in methods.items()
    ]
    shapes = "".join(
        f"<details><summary>{escape(name)}</summary><pre>{escape(_pretty(shape))}</pre></details>"
        for name, shape in schema.get("components", {}).get("schemas", {}).items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"<title>Footnote: API</title><style>{_STYLE}</style><h1>Footnote: API</h1>"
        '<p>As <a href="openapi.json">openapi.json</a>. Where tokens are asked for, send <code>Authorization: Bearer'
        " fn_…</code>. Errors have OpenAI's shape.</p>"
        f"{''.join(parts)}<h2>Shapes</h2>{shapes}</html>"
    )


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _takes(does: dict[str, Any]) -> str:
    for kind, body in does.get("requestBody", {}).get("content", {}).items():
        name = body["schema"].get("$ref", "").rpartition("/")[2]
        return f"<p>Takes <code>{escape(kind)}</code>: {escape(name)}</p>"
    return ""


def _curl(method: str, path: str, does: dict[str, Any]) -> str:
    kinds = does.get("requestBody", {}).get("content", {})
    given = ""
    if "application/json" in kinds:
        given = """ -H 'Content-Type: application/json' -d '{"question": "What is dropout?"}'"""
    elif kinds:
        given = " -F file=@guide.md"
    verb = "" if method == "get" or given else f" -X {method.upper()}"
    return f"<pre>{escape(f'curl{verb} http://localhost:8501/api{path}{given}')}</pre>"
