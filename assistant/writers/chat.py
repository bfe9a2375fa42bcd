"""Any chat server that speaks OpenAI's protocol (vLLM, llama.cpp, Ollama), by its URL, through LangChain's chat model.

    footnote ask "…" --model http://localhost:8000/v1            the first model that the server lists
    footnote ask "…" --model http://localhost:11434/v1#llama3.1  a model by name

The model writes unit ids into its text; `Marks` reads them strictly. vLLM and llama.cpp are given the grammar, so that
they can write only ids that exist. A key is taken from FOOTNOTE_API_KEY; what is
meant for OpenAI (OPENAI_API_KEY, its organisation, its project) is sent to openai.com alone. No redirect is followed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from assistant.prompts import Fitted, fit, is_not_in_guides, messages
from assistant.records import Cite, Passage, Request, Stop, Text, said_by
from assistant.writers.constrain import Marks, as_gbnf
from ingest.errors import WriterError

CHARACTERS_PER_TOKEN = 3  # on the safe side; the server counts for itself
MOST_BYTES = 8 * 2**20  # of one reply: an answer of 1,024 tokens takes some 300,000
MOST_TIMES = 10  # the timeout, which is for a single silence, that a whole reply may take
_NOTHING: Mapping[str, Any] = {}
_SENT = frozenset("host connection accept accept-encoding content-type content-length authorization user-agent".split())


class Chat:
    """One server and one of its models."""

    def __init__(self, url: str, *, max_tokens: int = 1024, timeout: float = 60.0, retries: int = 2) -> None:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise WriterError(f"{url!r} is no URL of a chat server: {said_by(error)}") from error
        path = parts.path.rstrip("/") or "/v1"
        self.name = url
        self._url = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        self._host = parts.hostname or ""
        self._model = parts.fragment
        self._room: int | None = None  # tokens of the model's context, where the server says
        self._asked = False
        self._owner = ""  # which program serves, where the list of models says
        self._max_tokens, self._timeout, self._retries = max_tokens, timeout, retries

    def prompt(self, request: Request) -> str:
        """What is sent, byte for byte as the server's template gets it."""
        return "\n\n".join(f"{m['role'].upper()}\n{m['content']}" for m in messages(self._fitted(request).request))

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        self._learn()
        fitted = self._fitted(request)
        marks, text, reason, usage = Marks(fitted.request.passages), "", "cut", dict[str, int | float]()
        detail = f"{self._url} ended the answer in its middle"
        constraint = _constraint(self._owner, fitted.request.passages)
        stream = self._client(constraint).stream([(m["role"], m["content"]) for m in messages(fitted.request)])
        try:
            for chunk in stream:
                text += chunk.text
                yield from marks.feed(chunk.text)
                reason = chunk.response_metadata.get("finish_reason") or reason
                usage |= _usage(chunk.usage_metadata)
        except Exception as error:  # openai's, httpx's and LangChain's have no common ancestor
            if constraint and not text and _is_refused(error):
                self._owner = ""  # an older program: it writes freely, and ids that do not exist are marked as such
                yield from self.write(request)
                return
            detail = self._explained(error, begun=bool(text))
            if not text:
                raise WriterError(detail) from error
        finally:
            stream.close()
        yield from marks.finish()
        yield _stop(reason, text, usage, detail, fitted.cut)

    def reply(self, system: str, text: str) -> str:
        """What the model says to something else than a `Request`, such as an answer that it is to judge."""
        self._learn()
        try:
            return str(self._client().invoke([("system", system), ("user", text)]).text)
        except Exception as error:  # as in `write`
            raise WriterError(self._explained(error)) from error

    def _client(self, more: Mapping[str, Any] = _NOTHING) -> Any:
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr

        # Only openai.com has moved on from `max_tokens`, and only its models refuse a temperature.
        ours: dict[str, Any] = {"temperature": 0.0, "extra_body": {"max_tokens": self._max_tokens, **more}}
        return ChatOpenAI(
            model=self._model,
            base_url=self._url,
            api_key=SecretStr(self._key() or "none"),
            timeout=self._timeout,
            max_retries=self._retries,
            http_client=self._http(),
            stream_usage=True,
            use_responses_api=False,
            **({"max_completion_tokens": self._max_tokens} if self._is_openai() else ours),
        )

    def _learn(self) -> None:
        """Which model, how long its context is and which program serves it, once. A model that was named needs none
        of it, so a server without a list is as good."""
        if self._asked or (self._model and self._is_openai()):
            return
        try:
            self._ask_for_model()
        except WriterError:
            if not self._model:
                raise
        self._asked = True

    def _ask_for_model(self) -> None:
        """The model that was named or else the first that the server lists."""
        from openai import OpenAI

        client = OpenAI(
            base_url=self._url,
            api_key=self._key() or "none",
            timeout=self._timeout,
            max_retries=self._retries,
            http_client=self._http(),
        )
        try:
            reply = client.get("/models", cast_to=str)  # `models.list` would parse it as it likes
        except Exception as error:
            raise WriterError(self._explained(error)) from error
        finally:
            client.close()
        models = _listed(reply)
        if models is None:
            raise WriterError(
                f"{self._url}/models is no list of models: if it is a chat server, name one: --model {self._url}#NAME"
            )
        if not models:
            raise WriterError(f"{self._url} serves no model: start it with one, or name it: --model {self._url}#NAME")
        chosen = next((model for model in models if model["id"] == self._model), models[0])
        self._model = self._model or chosen["id"]
        self._owner = str(chosen.get("owned_by", ""))
        room = chosen.get("max_model_len")
        self._room = room if isinstance(room, int) and room > 0 else None

    def _http(self) -> Any:
        """A client that sends no more than is meant for this server, and takes no more than an answer can be."""
        import openai

        guarded = self

        class Guarded(openai.DefaultHttpxClient):
            def send(self, request: Any, *, stream: bool = False, **how: Any) -> Any:
                names = request.headers.keys() - _SENT if not guarded._is_openai() else set()
                held = {name: request.headers.pop(name) for name in names}
                request.headers["accept-encoding"] = "identity"
                response = super().send(request, stream=True, **how)
                request.headers.update(held)  # the SDK reads marks of its own from them
                guarded._check(response)
                response.stream = _bounded(response.stream, guarded._url, MOST_TIMES * guarded._timeout)
                if not stream:
                    response.read()
                return response

        return Guarded(follow_redirects=False, timeout=self._timeout)

    def _check(self, response: Any) -> None:
        packed = response.headers.get("content-encoding", "identity")
        if response.is_redirect:
            to = said_by(response.headers.get("location", ""))
            said = f"{self._url} redirects to {to}, which is not followed: give that address to --model if it is meant"
        elif packed != "identity":
            said = (
                f"{self._url} packs its reply ({said_by(packed)[:40]}), which it was asked not to: ask another server"
            )
        else:
            return
        response.close()
        raise WriterError(said)

    def _fitted(self, request: Request) -> Fitted:
        if self._room is None:
            return fit(request, 10**9, len)
        return fit(request, (self._room - self._max_tokens) * CHARACTERS_PER_TOKEN, len)

    def _is_openai(self) -> bool:
        return self._host == "openai.com" or self._host.endswith(".openai.com")

    def _key(self) -> str:
        own = os.environ.get("FOOTNOTE_API_KEY", "").strip()
        return own or (os.environ.get("OPENAI_API_KEY", "").strip() if self._is_openai() else "")

    def _explained(self, error: Exception, begun: bool = False) -> str:
        """One line: what is wrong and what mends it."""
        import openai

        if isinstance(error, WriterError):
            return str(error)
        said = said_by(getattr(error, "message", "") or error)
        model = self._model or "its first"
        if isinstance(error, openai.APITimeoutError):
            return f"{self._url} did not answer within {self._timeout:g} s: is the model still loading? Ask again later"
        if isinstance(error, openai.APIConnectionError) and begun:
            return f"{self._url} broke off in the middle of the answer: ask again"
        if isinstance(error, openai.APIConnectionError):
            return f"{self._url} is out of reach: start the server, or give the URL of one that runs to --model"
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return f"{self._url} refuses the key: export {'OPENAI' if self._is_openai() else 'FOOTNOTE'}_API_KEY=…"
        if isinstance(error, openai.NotFoundError):
            return (
                f"{self._url} has no model {model!r} or is no chat server ({said}): curl {self._url}/models lists them"
            )
        if isinstance(error, openai.RateLimitError):
            return f"{self._url} is busy or the quota is used up ({said}): ask again later"
        if isinstance(error, openai.BadRequestError) and ("context" in said or "too long" in said):
            return f"the passages are too long for {model!r} ({said}): start the server with a longer context"
        return f"{self._url} cannot write an answer with {model!r}: {said or type(error).__name__}"


def _constraint(owner: str, passages: Sequence[Passage]) -> dict[str, Any]:
    """What has vLLM and llama.cpp decode under our grammar; other programs write freely."""
    if owner == "vllm":
        return {"structured_outputs": {"grammar": as_gbnf(passages)}}
    return {"grammar": as_gbnf(passages)} if owner == "llamacpp" else {}


def _is_refused(error: Exception) -> bool:
    import openai

    return isinstance(error, openai.BadRequestError)


def _listed(reply: str) -> list[dict[str, Any]] | None:
    """The models of a server's list; None where the reply is no such list."""
    try:
        listed = json.loads(reply)["data"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(listed, list) or not all(isinstance(model, dict) for model in listed):
        return None
    names = [model.get("id") for model in listed]
    return listed if all(isinstance(name, str) and 0 < len(name) <= 200 for name in names) else None


def _bounded(stream: Any, url: str, seconds: float) -> Any:
    """The same bytes, up to what a reply may have and for as long as it may take."""
    import httpx2

    class Bounded(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            until, left = time.monotonic() + seconds, MOST_BYTES
            for piece in stream:
                left -= len(piece)
                if left < 0:
                    raise WriterError(
                        f"{url} sent more than {MOST_BYTES // 2**20} MB, which is no answer: ask another server"
                    )
                if time.monotonic() > until:
                    raise WriterError(f"{url} was not done after {seconds:g} s: ask again, or another server")
                yield piece

        def close(self) -> None:
            stream.close()

    return Bounded()


def _usage(counted: Any) -> dict[str, int | float]:
    return {name: counted[name] for name in ("input_tokens", "output_tokens") if counted and name in counted}


def _stop(reason: str, text: str, usage: dict[str, int | float], cut_off: str, left_out: tuple[str, ...]) -> Stop:
    if reason == "cut":
        return Stop("cut", usage, cut_off)
    if reason == "length":
        return Stop("max_tokens", usage, "the answer was cut at the model's limit of tokens")
    if reason == "content_filter":
        return Stop("refusal", usage, "the server's filter stopped the answer")
    return Stop("not_in_guides" if is_not_in_guides(text) else "end", usage, "; ".join(left_out))
