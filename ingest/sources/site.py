"""A page, or all of a site below an address: by its sitemap, its links and what is known of it."""

from __future__ import annotations

import contextlib
import secrets
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin, urlsplit

from ingest.documents import MAX_BYTES
from ingest.sources.pages import Page, normal
from ingest.sources.web import FetchError, Gone, Known, NotRead, Response, Web

SITEMAPS = 50  # files of one site that are looked into
SITEMAP_DEPTH = 3  # of one that names others
REFRESHES = 3  # pages that only send on, one after the other

Render = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is at an address, to be kept. Without data it is as it was."""

    address: str
    response: Response


@dataclass(frozen=True, slots=True)
class Left:
    """What is not kept, and why. `gone`: nor is what was kept before; a `failure` is said, the rest is counted."""

    address: str
    reason: str
    gone: bool = False
    failure: bool = True


Outcome = Kept | Left


@dataclass(frozen=True, slots=True)
class Limits:
    depth: int = 10  # links from the first page
    pages: int = 500


@dataclass
class Visit:
    """One visit to a site. `known` has what was kept before, `kept` gives its bytes, `render` runs a page's scripts."""

    web: Web
    known: Mapping[str, Known]
    kept: Callable[[str], bytes]
    render: Render | None = None
    tell: Callable[[int, int, str], None] = lambda done, total, address: None
    _missing: dict[str, Page | None] = field(default_factory=dict, init=False)

    def page(self, address: str) -> Outcome:
        """One page, wherever redirects lead. What was kept of it stays where it cannot be had now."""
        try:
            for _ in range(REFRESHES):
                response = self._get(address)
                if response.unchanged or response.suffix != ".html" or not response.page.sent_on:
                    break
                address = response.page.sent_on
        except FetchError as error:
            return Left(address, str(error))
        if reason := self._nothing(response):
            return Left(address, reason)
        return Kept(_own_address(response), response)

    def site(self, start: str, limits: Limits) -> Iterator[Outcome]:
        """All pages below an address, the first one first."""
        start = normal(start)
        inside = _Inside(start)
        waiting = deque([(start, 0)])
        waiting += [(address, 1) for address in self._sitemap(start) if inside.holds(address)]
        waiting += [(address, 1) for address in self.known]
        seen, names, done = set[str](), set[str](), 0
        while waiting and done < limits.pages:
            address, depth = waiting.popleft()
            if address in seen or not inside.holds(address):
                continue
            seen.add(address)
            if not self.web.may(address):
                if address == start or address in self.known:
                    yield Left(address, f"{address} is not to be fetched by robots (robots.txt): ask who runs it", True)
                continue
            self.tell(done, done + 1 + len({a for a, _ in waiting} - seen), address)
            outcome, links = self._step(address, depth, inside)
            if isinstance(outcome, Kept) and outcome.address in names:
                continue
            done += 1
            if isinstance(outcome, Kept):
                names.add(outcome.address)
                seen.add(outcome.address)
            yield outcome
            if depth < limits.depth:
                waiting += [(link, depth + 1) for link in links]

    def _step(self, address: str, depth: int, inside: _Inside) -> tuple[Outcome, list[str]]:
        try:
            response = self._get(address)
        except NotRead as error:
            return Left(address, str(error), gone=True, failure=depth == 0), []
        except FetchError as error:
            return Left(address, str(error), isinstance(error, Gone), not isinstance(error, Gone) or depth == 0), []
        if depth == 0:
            inside.move(response.address)
        if not inside.holds(response.address):
            return Left(address, f"{address} leads out of the site, to {response.address}", True, depth == 0), []
        if response.redirected and not self.web.may(response.address):
            return Left(
                address, f"{response.address} is not to be fetched by robots (robots.txt)", True, depth == 0
            ), []
        html = response.suffix == ".html"
        page = Page(response.address, self.kept(address)) if response.unchanged else response.page
        links = page.links if html else []
        if html and page.sent_on:
            return Left(address, f"{address} only sends on", True, False), [page.sent_on, *links]
        if html and not page.is_indexed:
            return Left(address, f"{address} is not to be found (noindex)", True, depth == 0), links
        if reason := self._nothing(response):
            return Left(address, reason, gone=False), links
        return Kept(_own_address(response), response), links

    def _get(self, address: str) -> Response:
        known = self.known.get(normal(address))
        response = self.web.get(address, known)
        if known and response.unchanged:
            return replace(response, suffix=known.suffix)
        if self.render and response.suffix == ".html" and response.page.is_shell:
            data = self.render(response.address)
            return Response(address, response.address, ".html", data)
        return response

    def _nothing(self, response: Response) -> str:
        """Why a page that was fetched holds nothing of what was asked for."""
        if response.unchanged or response.suffix != ".html":
            return ""
        page, address = response.page, response.asked
        if page.is_login(response.redirected):
            return f"{address} asks for a login: save the page from a browser and ingest that"
        if page.is_shell:
            return f"{address} shows its words only by JavaScript: add --browser, which has a browser run it"
        missing = self._answer_to_nothing(response.address)
        led_there = missing and normal(missing.address) == normal(page.address)
        if missing and (response.redirected if led_there else page.is_like(missing)):
            return f"{address} says, like every address there that does not exist, that there is nothing (a soft 404)"
        return ""

    def _answer_to_nothing(self, address: str) -> Page | None:
        """What the server says to an address that cannot exist, if it does not say that there is nothing."""
        parts = urlsplit(address)
        site = f"{parts.scheme}://{parts.netloc}"
        if site not in self._missing:
            self._missing[site] = None
            with contextlib.suppress(FetchError):
                response = self.web.get(f"{site}/{secrets.token_hex(12)}")
                self._missing[site] = response.page if response.suffix == ".html" else None
        return self._missing[site]

    # The sitemap

    def _sitemap(self, start: str) -> Iterator[str]:
        parts = urlsplit(start)
        named = list(self.web.robots(start).sitemaps) or [f"{parts.scheme}://{parts.netloc}/sitemap.xml"]
        if start.endswith(".xml"):
            named.insert(0, start)
        waiting = deque((normal(urljoin(start, name)), 0) for name in named)
        seen: set[str] = set()
        while waiting and len(seen) < SITEMAPS:
            address, depth = waiting.popleft()
            if address in seen or depth > SITEMAP_DEPTH or urlsplit(address).netloc != parts.netloc:
                continue
            seen.add(address)
            others, pages = _entries(self.web.text(address))
            waiting += [(normal(other), depth + 1) for other in others]
            yield from map(normal, pages)


def _own_address(response: Response) -> str:
    """The one to show: without what only the visit needed, as the page itself says."""
    if response.suffix == ".html" and response.data:
        return response.page.canonical
    return normal(response.address)


class _Inside:
    """What lies below an address: its folder on its host."""

    def __init__(self, start: str) -> None:
        self._places = [self._place(start)]

    def _place(self, address: str) -> tuple[str, str]:
        parts = urlsplit(normal(address))
        folder, _, leaf = parts.path.rpartition("/")
        return parts.netloc.removeprefix("www."), f"{folder}/{leaf}/" if leaf and "." not in leaf else f"{folder}/"

    def move(self, address: str) -> None:
        """The first page was redirected: what lies below there is meant too, on its host."""
        self._places.append(self._place(address))

    def holds(self, address: str) -> bool:
        host, folder = self._place(address)
        return any(host == h and folder.startswith(f) for h, f in self._places)


def _entries(data: bytes) -> tuple[list[str], list[str]]:
    """The sitemaps and the pages that a sitemap names."""
    from lxml import etree

    if data.startswith(b"\x1f\x8b"):
        with contextlib.suppress(zlib.error):
            data = zlib.decompressobj(wbits=31).decompress(data, MAX_BYTES)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        root = None
    if root is None:
        return [], [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.startswith("http")]
    found = [(n.getparent(), (n.text or "").strip()) for n in root.iter("{*}loc") if (n.text or "").strip()]
    named = [(etree.QName(above).localname if above is not None else "", address) for above, address in found]
    return [a for tag, a in named if tag == "sitemap"], [a for tag, a in named if tag == "url"]
