"""OpenAI's protocol, so that any chat client can ask: /v1/models, /v1/chat/completions and /v1/responses.

Footnotes come three ways at once: as numbered notes in the text, each with a link to the exact words; as `annotations`
(`url_citation`) whose start and end are those of the mark in the text; and streamed as the event that Open WebUI turns
into its sources. `footnote`, a field of our own, holds the whole answer as `--json` has it.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from assistant.answer import Event
from assistant.records import (
    FENCES,
    NEAREST,
    SHOWN,
    Answer,
    Footnote,
    Passages,
    Proved,
    Sentence,
    Turn,
    joined,
    neutralise,
    one_line,
    with_marks,
)
from assistant.serve.api import ERRORS, UNBUFFERED, Body, answers_with_errors, as_answer, noted
from assistant.serve.desk import NAME, Desk, begun, sse
from ingest.errors import FootnoteError

# An answer as text with marks, written on as its sentences are proved.

_NEAREST = f"*{NEAREST}*\n\n"
_BEFORE_NOTES = "\n\n---\n\n"
_ACTIVE = re.compile(r"!(?=\[)|(?<=\])(?=[(\[:])|<(?=[A-Za-z/!?])|(?<=&)(?=#|\w)")
_SPECIAL = re.compile(r"([\\`*_\[\]<>])")
_WORDS = {"not_in_guides": "Not in the guides.", "refused": "The model refused to answer.", "failed": "Not answered."}


@dataclass(frozen=True, slots=True)
class Mark:
    """A footnote's mark stands in the text from start to end."""

    note: Footnote
    url: str
    start: int
    end: int


@dataclass
class Told:
    """`text` so far. Nothing is told before one sentence may be supported: what was said cannot be taken back."""

    base: str
    text: str = ""
    marks: list[Mark] = field(default_factory=list)
    notes: dict[Footnote, int] = field(default_factory=dict)
    _sentences: list[str] = field(default_factory=list)
    _held: list[Sentence] | None = field(default_factory=list)
    _head: str = ""

    def hear(self, event: Event) -> str:
        """What is new in the text."""
        if isinstance(event, Passages):
            self.begin(event)
        elif isinstance(event, Proved):
            return self.add(event.sentence)
        return self.end(event) if isinstance(event, Answer) else ""

    def begin(self, found: Passages) -> None:
        self._head = _NEAREST if found.nearest else ""

    def add(self, sentence: Sentence) -> str:
        """What is new in the text."""
        if self._held is not None:
            self._held.append(sentence)
            if sentence.outcome == "not supported" or not sentence.footnotes:
                return ""
        return self._release() if self._held is not None else self._add(sentence)

    def end(self, answer: Answer) -> str:
        before = len(self.text)
        if answer.status not in SHOWN:
            if answer.status != "not_in_guides":
                self._release()
            gap = "\n\n" if self.text else ""
            self.text += f"{gap}{_WORDS[answer.status]} {inert(answer.detail)}".rstrip()
            self.text += self._nearest(answer)
        elif answer.detail:
            self.text += f"\n\n{inert(answer.detail)}"
        lines = [f"{n}. “{inert(' '.join(note.quote.split()))}” [{_label(note.place)}]({note.url(self.base)})"
                 for note, n in self.notes.items()]  # fmt: skip
        self.text += _BEFORE_NOTES + "\n".join(lines) if lines else ""
        return self.text[before:]

    def _release(self) -> str:
        held, self._held = self._held or [], None
        return "".join([self._add(sentence) for sentence in held])

    def _add(self, sentence: Sentence) -> str:
        before, links = len(self.text), []
        for note in sentence.footnotes:
            number = self.notes.setdefault(note, len(self.notes) + 1)
            links.append((note, f"[[{number}]]({note.url(self.base)})"))
        doubt = "" if sentence.supported else f" *({sentence.outcome}: {inert(sentence.why)})*"
        marks = "".join(link for _, link in links) + doubt
        self._sentences.append(with_marks(inert(sentence.text), marks))
        self.text = self._head + joined(self._sentences)
        at = len(self.text) - len(marks)
        for note, link in links:
            self.marks.append(Mark(note, note.url(self.base), at, at + len(link)))
            at += len(link)
        return self.text[before:]

    def _nearest(self, answer: Answer) -> str:
        places: dict[str, str] = {}  # the same heading once
        for p in answer.passages[:4]:
            note = Footnote(p.document, p.title, p.section, p.start, p.end, p.text)
            places.setdefault(note.place, note.url(self.base))
        listed = "".join(f"\n- [{_label(where)}]({url})" for where, url in places.items())
        return f"\n\nThe nearest to read instead:\n{listed}" if listed else ""


def inert(text: str) -> str:
    """Guide and model text as a client's Markdown may have it: no picture, link or tag of it does anything.

    A space of no width stands where one would begin; code blocks, in which nothing is active, stay as they are.
    """
    text = neutralise(text)
    if text.startswith(FENCES) and _is_closed(text):
        return text
    return _ACTIVE.sub(lambda found: found.group() + "\u200b", text)


def _is_closed(text: str) -> bool:
    """Whether it is one block of code, which nothing inside ends before its last line."""
    first, *inside, last = text.split("\n") if text.count("\n") else [text, ""]
    fence = first[:3]
    return last.strip() == fence and not any(line.lstrip().startswith(fence) for line in inside)


def _label(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(neutralise(text).split()))


# What is asked.

Part = str | list[dict[str, Any]]


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant", "tool", "function"] = "user"
    content: Part | None = None


class Completions(Body):
    """What is not named here (temperature, tools, …) is taken and changes nothing: the guides answer."""

    model_config = ConfigDict(extra="ignore")
    model: str = Field(NAME, examples=[NAME])
    messages: list[Message] = Field(min_length=1, max_length=1000)
    stream: bool | None = False
    stream_options: dict[str, Any] | None = None
    n: int | None = Field(1, ge=1, le=1)
    response_format: dict[str, Any] | None = None


class Responding(Body):
    model_config = ConfigDict(extra="ignore")
    model: str = Field(NAME, examples=[NAME])
    input: str | list[Message]
    stream: bool | None = False
    previous_response_id: str | None = Field(None, description="nothing is kept here: send the whole conversation")


def asked_in(messages: Sequence[Message]) -> tuple[str, list[Turn]]:
    """The question, and the turns before it. What a system prompt says changes nothing here."""
    turns: list[Turn] = []
    for message in messages:
        text = _text(message.content)
        if message.role == "user" and text:
            turns.append(Turn(text))
        elif message.role == "assistant" and turns:
            turns[-1] = Turn(turns[-1].question, f"{turns[-1].answer}\n{_said(text)}".strip())
    if not turns or not _text(messages[-1].content) or messages[-1].role != "user":
        raise FootnoteError("there is no question: the last message has to be the user's, with text in it")
    return turns[-1].question, turns[:-1]


_MARK = re.compile(r"\[\[\d+\]\]\([^()\s]*\)")


def _said(text: str) -> str:
    """What an earlier answer said, without our marks and notes; nothing where it was none."""
    bare = _MARK.sub("", text.partition(_BEFORE_NOTES)[0]).removeprefix(_NEAREST)
    return "" if bare.startswith(tuple(_WORDS.values())) else bare


def _text(content: Part | None) -> str:
    if not content:
        return ""
    if isinstance(content, str):
        return content.strip()
    kinds = {str(part.get("type", "text")) for part in content}
    if strange := kinds - {"text", "input_text", "output_text", "refusal"}:
        raise FootnoteError(f"a message holds {', '.join(sorted(strange))}: only text can be asked here")
    texts = [part.get("text", "") for part in content]
    if wrong := [repr(text) for text in texts if not isinstance(text, str)]:
        raise FootnoteError(f"the text of a message's part is {one_line(wrong[0])}: it has to be a string")
    return "\n".join(texts).strip()


# Clients' own prompts, for titles and tags: told by their form, and answered without a look at the guides.

_JSON_KEY = re.compile(r"JSON format:?\s*`?\s*\{\s*\"(\w+)\"\s*:\s*(\[?)")
_FIRST_SAID = re.compile(r"(?:<chat_history>|Conversation:)\s*(?:USER|User)?:?\s*(.+)")
TITLE_CHARACTERS = 60


def chore(question: str) -> str | None:
    """The answer, if it is a client that asks for itself and not its user.

    Open WebUI's begin with `### Task:` and hold the talk between tags, LibreChat's ask to return a title only.
    """
    talk = _FIRST_SAID.search(question)
    title = " ".join(talk.group(1).split()) if talk else "Guides"
    title = title if len(title) <= TITLE_CHARACTERS else title[: TITLE_CHARACTERS - 1].rstrip() + "…"
    if question.startswith("### Task:") and "<chat_history>" in question:
        wanted = _JSON_KEY.search(question)
        if not wanted:
            return title
        key, many = wanted.groups()
        return json.dumps({key: [] if many else title if key == "title" else ""}, ensure_ascii=False)
    if "Only return the title itself" in question and "Conversation:" in question:
        return title
    return None


# The doors.


def v1(desk: Desk) -> FastAPI:
    """To be mounted at /v1."""
    app = FastAPI(title="Footnote, by OpenAI's protocol", version="1", docs_url=None, redoc_url=None)
    answers_with_errors(app)
    started = int(time.time())

    def model(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": started, "owned_by": NAME}

    @app.get("/models", responses=ERRORS)
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [model(name) for name in desk.offered]}

    @app.get("/models/{name:path}", responses=ERRORS)
    async def one(name: str) -> dict[str, Any]:
        desk.assistant(name)
        return model(name)

    @app.post("/chat/completions", responses=ERRORS)
    async def completions(asked: Completions, request: Request) -> Any:
        question, history = asked_in(asked.messages)
        completion = Completion(asked.model, base(desk, request))
        if (done := chore(question)) is not None:
            return _stream(completion.chore(done)) if asked.stream else completion.whole(done)
        if (asked.response_format or {}).get("type", "text") != "text":
            raise FootnoteError("response_format: answers are text with footnotes; `footnote` holds them as JSON")
        events = await begun(desk.events(question, history, asked.model, "v1"))
        if asked.stream:
            counted = bool((asked.stream_options or {}).get("include_usage"))
            return _stream(completion.streamed(events, counted))
        return completion.answered(await _last(events, completion.told))

    @app.post("/responses", responses=ERRORS)
    async def responses(asked: Responding, request: Request) -> Any:
        if asked.previous_response_id:
            raise FootnoteError("previous_response_id: nothing is kept here, send the whole conversation as input")
        given = [Message(content=asked.input)] if isinstance(asked.input, str) else asked.input
        question, history = asked_in(given or [Message()])
        response = Response(asked.model, base(desk, request))
        events = await begun(desk.events(question, history, asked.model, "v1"))
        if asked.stream:
            return _stream(response.streamed(events))
        return response.answered(await _last(events, response.told))

    return app


def base(desk: Desk, request: Request) -> str:
    """Where footnotes lead: the public address, else the one that was asked."""
    return desk.base_url or f"{request.url.scheme}://{request.url.netloc}"


def _stream(pieces: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(pieces, media_type="text/event-stream", headers=UNBUFFERED)


async def _last(events: AsyncGenerator[Event], told: Told) -> Answer:
    """The answer, all of it told."""
    async with contextlib.aclosing(events):
        async for event in events:
            told.hear(event)
            if isinstance(event, Answer):
                return event
    raise AssertionError("a stream ends with its answer")


def _tokens(answer: Answer) -> tuple[int, int]:
    return int(answer.usage.get("input_tokens", 0)), int(answer.usage.get("output_tokens", 0))


class Completion:
    """One chat completion, whole or in chunks."""

    def __init__(self, model: str, base: str) -> None:
        self.told = Told(base)
        self._id, self._model, self._created = f"chatcmpl-{uuid.uuid4().hex}", model, int(time.time())

    def answered(self, answer: Answer) -> dict[str, Any]:
        annotations = [_nested(mark) for mark in self.told.marks]
        done = self.whole(self.told.text, _finish(answer), annotations, _tokens(answer))
        return done | {NAME: as_answer(answer)}

    def whole(
        self, text: str, finish: str = "stop", annotations: Sequence[Any] = (), tokens: tuple[int, int] = (0, 0)
    ) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": None, "annotations": list(annotations)}
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return self._head("chat.completion") | {"choices": [choice], "usage": _usage(tokens)}

    async def chore(self, text: str) -> AsyncIterator[str]:
        yield self._chunk({"role": "assistant", "content": text})
        yield self._chunk({}, finish="stop")
        yield "data: [DONE]\n\n"

    async def streamed(self, events: AsyncIterator[Event], counted: bool) -> AsyncIterator[str]:
        yield self._chunk({"role": "assistant", "content": ""})
        try:
            async for event in events:
                for piece in self._pieces(event, counted):
                    yield piece
        except Exception as error:  # noqa: BLE001  # the status is long sent
            yield sse("", noted(error).body())
        yield "data: [DONE]\n\n"

    def _pieces(self, event: Event, counted: bool) -> Iterator[str]:
        known = len(self.told.notes)
        text = self.told.hear(event)
        yield from (self._chunk({}, event=_source(n, self.told)) for n in range(known, len(self.told.notes)))
        if isinstance(event, Answer):
            # All annotations in one chunk: helpers that put chunks together break on a second list of them (Python), or
            # keep that one alone (JavaScript).
            annotations = {"annotations": [_nested(m) for m in self.told.marks]} if self.told.marks else {}
            yield self._chunk({"content": text} | annotations)
            yield self._chunk({}, finish=_finish(event), **{NAME: as_answer(event)})
            if counted:
                yield sse("", self._head("chat.completion.chunk") | {"choices": [], "usage": _usage(_tokens(event))})
        elif text:
            yield self._chunk({"content": text})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
        """With a choice in each: there are clients that take the first of them without a look."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return sse("", self._head("chat.completion.chunk") | {"choices": [choice]} | more)

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


def _usage(tokens: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}


def _finish(answer: Answer) -> str:
    return {"refused": "content_filter", "failed": "length"}.get(answer.status, "stop")


def _citation(mark: Mark) -> dict[str, Any]:
    title = " ".join(neutralise(mark.note.place).split()) or mark.note.document
    return {"url": mark.url, "title": title, "start_index": mark.start, "end_index": mark.end}


def _nested(mark: Mark) -> dict[str, Any]:
    return {"type": "url_citation", "url_citation": _citation(mark)}


def _source(index: int, told: Told) -> dict[str, Any]:
    """Open WebUI's event. Its id is the annotation's address, so that the two become one source, this one first."""
    note = list(told.notes)[index]
    url, name = note.url(told.base), " ".join(neutralise(note.place).split()) or note.document
    metadata = {"source": url, "name": name, "source_url": url} | ({"page": note.page - 1} if note.page else {})
    source = {"name": name, "url": url}
    return {"type": "source", "data": {"source": source, "document": [neutralise(note.quote)], "metadata": [metadata]}}


class Response:
    """One response of the newer protocol, whole or in events."""

    def __init__(self, model: str, base: str) -> None:
        self.told = Told(base)
        self._id, self._item = f"resp_{uuid.uuid4().hex}", f"msg_{uuid.uuid4().hex}"
        self._model, self._created, self._number = model, int(time.time()), -1

    def answered(self, answer: Answer) -> dict[str, Any]:
        incomplete = {"refused": "content_filter", "failed": "max_output_tokens"}.get(answer.status)
        done = self._whole("incomplete" if incomplete else "completed", [self._message("completed")])
        tokens = _tokens(answer)
        done["usage"] = {
            "input_tokens": tokens[0],
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": tokens[1],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sum(tokens),
        }
        done["incomplete_details"] = {"reason": incomplete} if incomplete else None
        return done | {NAME: as_answer(answer)}

    async def streamed(self, events: AsyncIterator[Event]) -> AsyncIterator[str]:
        empty = {"item_id": self._item, "output_index": 0, "content_index": 0}
        for kind in ("created", "in_progress"):
            yield self._event(f"response.{kind}", response=self._whole("in_progress", []))
        yield self._event("response.output_item.added", output_index=0, item=self._message("in_progress"))
        yield self._event("response.content_part.added", **empty, part=self._part())
        try:
            async for event in events:
                for piece in self._pieces(event, empty):
                    yield piece
        except Exception as error:  # noqa: BLE001  # the status is long sent
            failure = noted(error)
            yield self._event("error", code=failure.code or failure.kind, message=failure.message, param=None)

    def _pieces(self, event: Event, where: dict[str, Any]) -> Iterator[str]:
        known = len(self.told.marks)
        if text := self.told.hear(event):
            yield self._event("response.output_text.delta", **where, delta=text, logprobs=[])
        for index, mark in enumerate(self.told.marks[known:], known):
            flat = {"type": "url_citation", **_citation(mark)}
            yield self._event("response.output_text.annotation.added", **where, annotation_index=index, annotation=flat)
        if isinstance(event, Answer):
            yield self._event("response.output_text.done", **where, text=self.told.text, logprobs=[])
            yield self._event("response.content_part.done", **where, part=self._part())
            yield self._event("response.output_item.done", output_index=0, item=self._message("completed"))
            done = self.answered(event)
            yield self._event(f"response.{done['status']}", response=done)

    def _event(self, kind: str, **said: Any) -> str:
        self._number += 1
        return sse(kind, {"type": kind, "sequence_number": self._number, **said})

    def _part(self) -> dict[str, Any]:
        annotations = [{"type": "url_citation", **_citation(mark)} for mark in self.told.marks]
        return {"type": "output_text", "text": self.told.text, "annotations": annotations, "logprobs": []}

    def _message(self, status: str) -> dict[str, Any]:
        content = [self._part()] if status == "completed" else []
        return {"id": self._item, "type": "message", "role": "assistant", "status": status, "content": content}

    def _whole(self, status: str, output: list[Any]) -> dict[str, Any]:
        return {
            "id": self._id, "object": "response", "created_at": self._created, "status": status, "model": self._model,
            "output": output, "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
            "parallel_tool_calls": False, "tool_choice": "none", "tools": [], "temperature": None, "top_p": None,
            "usage": None,
        }  # fmt: skip
