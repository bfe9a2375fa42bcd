"""A site of our own on loopback: pages by their path, with ETags, and whatever else a server may come up with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ingest.library import Library
from ingest.sources import Source
from ingest.sync import Report, sync
from tests.assistant.loopback import Asked, Loopback, Reply, serving
from tests.fakes import BagOfWords

Answer = Reply | Callable[[Asked], Reply]


def page(title: str, body: str = "", head: str = "", **headers: str) -> Reply:
    """A page that says something of its own, at some length."""
    said = " ".join(f"In case {i} the {title.lower()} takes {len(title) + i} steps of its own." for i in range(8))
    main = f"<main><h1>{title}</h1><p>{said}</p>{body}</main>"
    return raw(f"<html><head><title>{title}</title>{head}</head><body>{main}</body></html>", **headers)


def raw(html: str, status: int = 200, **headers: str) -> Reply:
    data = html.encode()
    tag = hashlib.sha256(data).hexdigest()[:12]
    return Reply([data], status, {"Content-Type": "text/html; charset=utf-8", "ETag": f'"{tag}"', **headers})


def leads_to(address: str, status: int = 302) -> Reply:
    return Reply(status=status, headers={"Location": address})


@dataclass
class Site:
    server: Loopback
    pages: dict[str, Answer] = field(default_factory=dict)
    missing: Answer = field(default_factory=lambda: Reply([b"nothing here"], 404))

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def asked(self) -> list[str]:
        return [asked.path for asked in self.server.asked]

    def answer(self, asked: Asked) -> Reply:
        found = self.pages.get(asked.path, self.missing)
        reply = found(asked) if callable(found) else found
        same = asked.headers.get("if-none-match") == reply.headers.get("ETag", "none")
        return Reply(status=304, headers={"ETag": reply.headers["ETag"]}) if same else reply


@contextmanager
def site(pages: Mapping[str, Answer]) -> Iterator[Site]:
    with serving() as server:
        made = Site(server, dict(pages))
        server.answer = made.answer
        yield made


def fetch(place: Path, address: str, kind: str = "site", **options: object) -> Report:
    """Brings one source into a library, by the public way in."""
    chosen = {"delay": 0.0, "allow_private": True, **options}
    return sync([Source(kind, address, **chosen)], place, embedder=BagOfWords())  # type: ignore[arg-type]


def documents(place: Path) -> list[str]:
    """Without the host, which has another port each time."""
    return [d.path.partition("/")[2] for d in Library(place).documents()]
