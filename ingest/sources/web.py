"""Fetching from the web: politely, no more than needed, and never where it may not go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import httpx

from ingest.documents import MAX_BYTES
from ingest.errors import FootnoteError
from ingest.sources.addresses import Forbidden, Guarded, Resolve, resolve
from ingest.sources.pages import Page, as_utf8, normal

if TYPE_CHECKING:
    from protego import Protego

AGENT = "footnote"
TRIES = 3  # of a server that is busy
LONGEST_WAIT = 60.0  # seconds that a server may ask us to wait
REDIRECTS = 10
TIMEOUT = 30.0
_BUSY = (429, 502, 503, 504)

KINDS = {  # what is read, by the type that the server says it is
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "text/x-rst": ".rst",
    "text/asciidoc": ".adoc",
    "text/x-tex": ".tex",
    "application/x-tex": ".tex",
    "application/vnd.oasis.opendocument.text": ".odt",
    "text/csv": ".csv",
    "text/plain": ".txt",
    "application/pdf": ".pdf",
    "application/x-ipynb+json": ".ipynb",
    "application/epub+zip": ".epub",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
}
_VAGUE = ("text/plain", "application/octet-stream", "application/json", "binary/octet-stream", "")


class FetchError(FootnoteError):
    """What is at an address cannot be had; what else was asked for still can."""


class Gone(FetchError):
    """There is nothing at the address any more: a document that came from there goes as well."""


class NotRead(FetchError):
    """What is there is of a kind that is not read."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of an address, so that it is only sent again if it is another."""

    etag: str = ""
    modified: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. `suffix` says how it is read; without `data` it is as it was."""

    asked: str
    address: str  # after redirects
    suffix: str = ""
    data: bytes = b""
    etag: str = ""
    modified: str = ""
    unchanged: bool = False

    @property
    def page(self) -> Page:
        return Page(self.address, self.data)

    @property
    def redirected(self) -> bool:
        return normal(self.address) != normal(self.asked)


@dataclass
class Web:
    """Fetches, one address after the other. Use it as a context manager."""

    allow_private: bool = False
    delay: float = 0.5  # seconds between two requests to a server
    max_bytes: int = MAX_BYTES
    resolve: Resolve = resolve
    requests: int = field(default=0, init=False)

    def __enter__(self) -> Self:
        self._client = httpx.Client(
            transport=Guarded(self.allow_private, self.resolve),
            headers={"User-Agent": f"{AGENT} (a reader's own assistant)", "Accept": "text/html,*/*;q=0.5"},
            follow_redirects=True,
            max_redirects=REDIRECTS,
            timeout=TIMEOUT,
            trust_env=False,
        )
        self._robots: dict[str, Protego] = {}
        self._last: dict[str, float] = {}
        return self

    def __exit__(self, *raised: object) -> None:
        self._client.close()

    def get(self, address: str, known: Known | None = None) -> Response:
        """What is at an address; what is there and cannot be read raises, in one line that names it."""
        headers = {"If-None-Match": known.etag, "If-Modified-Since": known.modified} if known else {}
        with self._answer(address, {k: v for k, v in headers.items() if v}) as answer:
            final = str(answer.url)
            if answer.status_code == 304:
                return Response(address, final, unchanged=True)
            _check_status(address, answer.status_code)
            suffix = suffix_of(final, answer.headers.get("Content-Type", ""))
            if not suffix:
                raise NotRead(
                    f"{address} is {answer.headers.get('Content-Type') or 'of no known kind'}: it is not read"
                )
            data = self._body(address, answer)
        if suffix == ".html":
            data = as_utf8(data, answer.charset_encoding or "")
        etag, modified = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
        return Response(address, final, suffix, data, etag, modified)

    def text(self, address: str) -> bytes:
        """A file that says how to go about a site; empty where there is none."""
        try:
            with self._answer(address, {}) as answer:
                return self._body(address, answer) if answer.status_code == 200 else b""
        except FetchError:
            return b""

    def final(self, address: str) -> str:
        """Where an address leads in the end."""
        with self._answer(address, {}) as answer:
            return str(answer.url)

    def part(self, address: str) -> tuple[int, str, bytes]:
        """A part of a page, for a browser that shows it: status, type and bytes."""
        with said_of(address), self._client.stream("GET", address) as answer:
            return answer.status_code, answer.headers.get("Content-Type", ""), self._body(address, answer)

    def robots(self, address: str) -> Protego:
        """What the site of an address wants robots to do."""
        from protego import Protego

        parts = urlsplit(address)
        site = f"{parts.scheme}://{parts.netloc}"
        if site not in self._robots:
            self._robots[site] = Protego.parse(self.text(f"{site}/robots.txt").decode("utf-8", "replace"))
        return self._robots[site]

    def may(self, address: str) -> bool:
        return self.robots(address).can_fetch(address, AGENT)

    @contextlib.contextmanager
    def _answer(self, address: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """The answer's head; its body is read by who wants it. A busy server is waited for, as long as it says."""
        for attempt in range(1, TRIES + 1):
            self._wait(address)
            with said_of(address), self._client.stream("GET", address, headers=headers) as answer:
                if answer.status_code not in _BUSY or attempt == TRIES:
                    yield answer
                    return
                pause = _asked_wait(answer.headers.get("Retry-After", ""), attempt * max(self.delay, 0.05))
            time.sleep(pause)

    def _wait(self, address: str) -> None:
        """As many seconds between two requests as we, or the site, want."""
        host = urlsplit(address).netloc
        site = next((r for s, r in self._robots.items() if s.endswith(f"//{host}")), None)
        wanted = float(site.crawl_delay(AGENT) or 0.0) if site else 0.0
        left = self._last.get(host, 0.0) + min(max(self.delay, wanted), LONGEST_WAIT) - time.monotonic()
        if left > 0:
            time.sleep(left)
        self._last[host] = time.monotonic()
        self.requests += 1

    def _body(self, address: str, answer: httpx.Response) -> bytes:
        data = bytearray()
        with said_of(address):
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > self.max_bytes:
                    raise FetchError(
                        f"{address} has more than {self.max_bytes // 2**20} MB: raise the limit with --max-mb"
                    )
        return bytes(data)


@contextlib.contextmanager
def said_of(address: str) -> Iterator[None]:
    """What goes wrong on the way, as one line that names the address."""
    try:
        yield
    except Forbidden as error:
        raise FetchError(f"{address} is not fetched: {error}") from error
    except httpx.TooManyRedirects as error:
        raise FetchError(f"{address} redirects more than {REDIRECTS} times: give the page's own address") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        what = " ".join(str(error).split())[:150] or type(error).__name__
        raise FetchError(f"{address} cannot be fetched ({what}): try it in a browser, then again") from error


def _check_status(address: str, status: int) -> None:
    if status in (404, 410):
        raise Gone(f"{address} does not exist ({status}): check the address")
    if status in (401, 403, 407):
        raise FetchError(f"{address} needs a login ({status}): save the page from a browser, ingest that")
    if status != 200:
        raise FetchError(f"{address} cannot be fetched (its server says {status}): try again later")


def _asked_wait(said: str, else_wait: float) -> float:
    """Seconds, or a date."""
    if said.strip().isdigit():
        return min(float(said), LONGEST_WAIT)
    with contextlib.suppress(TypeError, ValueError):
        from email.utils import parsedate_to_datetime

        return min(max(parsedate_to_datetime(said).timestamp() - time.time(), 0.0), LONGEST_WAIT)
    return else_wait


def suffix_of(address: str, content_type: str) -> str:
    """How what is there is read: by its type, and where that says little, by its name."""
    from ingest.documents import SUFFIXES

    kind = content_type.partition(";")[0].strip().lower()
    leaf = urlsplit(address).path.rpartition("/")[2].lower()
    named = f".{leaf.rpartition('.')[2]}" if "." in leaf else ""
    if kind in _VAGUE and named in SUFFIXES:
        return named
    return KINDS.get(kind, "")
