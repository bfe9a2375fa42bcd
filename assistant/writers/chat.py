"""Any chat server that speaks OpenAI's protocol (vLLM, llama.cpp, Ollama), by its URL, through LangChain's chat model.

    footnote ask "…" --model http://localhost:8000/v1            the first model that the server lists
    footnote ask "…" --model http://localhost:11434/v1#llama3.1  a model by name

The model writes unit ids into its text; `marks.py` reads them strictly. A key is taken from FOOTNOTE_API_KEY; that of
OPENAI_API_KEY is sent to openai.com alone, so that no other server ever sees it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from assistant.prompts import Fitted, fit, is_not_in_guides, messages
from assistant.records import Cite, Request, Stop, Text, neutralise
from assistant.writers.constrain import Marks
from ingest.errors import WriterError

CHARACTERS_PER_TOKEN = 3  # on the safe side; the server counts for itself


class Chat:
    """One server and one of its models."""

    def __init__(self, url: str, *, max_tokens: int = 1024, timeout: float = 60.0, retries: int = 2) -> None:
        parts = urlsplit(url)
        path = parts.path.rstrip("/") or "/v1"
        self.name = url
        self._url = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        self._host = parts.hostname or ""
        self._model = parts.fragment
        self._room: int | None = None  # tokens of the model's context, where the server says
        self._asked = bool(parts.fragment)
        self._max_tokens, self._timeout, self._retries = max_tokens, timeout, retries

    def prompt(self, request: Request) -> str:
        """What is sent, byte for byte as the server's template gets it."""
        return "\n\n".join(f"{m['role'].upper()}\n{m['content']}" for m in messages(self._fitted(request).request))

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        if not self._asked:
            self._ask_for_model()
        fitted = self._fitted(request)
        marks, text, reason, usage = Marks(fitted.request.passages), "", "cut", dict[str, int | float]()
        detail = f"{self._url} ended the answer in its middle"
        stream = self._client().stream([(m["role"], m["content"]) for m in messages(fitted.request)])
        try:
            for chunk in stream:
                text += chunk.text
                yield from marks.feed(chunk.text)
                reason = chunk.response_metadata.get("finish_reason") or reason
                usage |= _usage(chunk.usage_metadata)
        except Exception as error:  # openai's, httpx's and LangChain's have no common ancestor
            detail = self._explained(error, begun=bool(text))
            if not text:
                raise WriterError(detail) from error
        finally:
            stream.close()
        yield from marks.finish()
        yield _stop(reason, text, usage, detail, fitted.cut)

    def reply(self, system: str, text: str) -> str:
        """What the model says to something else than a `Request`, such as an answer that it is to judge."""
        if not self._asked:
            self._ask_for_model()
        try:
            return str(self._client().invoke([("system", system), ("user", text)]).text)
        except Exception as error:  # as in `write`
            raise WriterError(self._explained(error)) from error

    def _client(self) -> Any:
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr

        # Only openai.com has moved on from `max_tokens`, and only its models refuse a temperature.
        ours: dict[str, Any] = {"temperature": 0.0, "extra_body": {"max_tokens": self._max_tokens}}
        return ChatOpenAI(
            model=self._model,
            base_url=self._url,
            api_key=SecretStr(self._key() or "none"),
            timeout=self._timeout,
            max_retries=self._retries,
            stream_usage=True,
            use_responses_api=False,
            **({"max_completion_tokens": self._max_tokens} if self._is_openai() else ours),
        )

    def _ask_for_model(self) -> None:
        """The first model that the server lists, and how long its context is."""
        from openai import OpenAI

        client = OpenAI(
            base_url=self._url, api_key=self._key() or "none", timeout=self._timeout, max_retries=self._retries
        )
        try:
            listed = client.models.list().data
        except Exception as error:
            raise WriterError(self._explained(error)) from error
        finally:
            client.close()
        if not listed:
            raise WriterError(f"{self._url} serves no model: start it with one, or name it: --model {self._url}#NAME")
        self._model, self._asked = listed[0].id, True
        room = (listed[0].model_extra or {}).get("max_model_len")
        self._room = room if isinstance(room, int) else None

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

        said = neutralise(" ".join(str(getattr(error, "message", "") or error).split()))[:200]
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
