"""What can be seen in a page's HTML before it is read: where it leads, its name, why it holds nothing. Pure."""

from __future__ import annotations

import codecs
import contextlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit, urlunsplit

_META_CHARSET = re.compile(rb"(<meta[^>]+charset=[\"']?\s*)([\w-]+)", re.IGNORECASE)
_REFRESH = re.compile(r"^\s*(\d+)[\d.]*\s*[;,]\s*(?:url\s*=\s*)?[\"']?([^\"']+)", re.IGNORECASE)
_AT_ONCE = 5  # seconds: a page that sends its reader on so soon is not meant to be read
_SILENT = "script style noscript template svg head".split()
_SHOWN = f"//text()[not({' or '.join(f'ancestor::{tag}' for tag in _SILENT)})]"

FEW_WORDS = 40  # a page with fewer may be a shell that a script fills, or a form
ALIKE = 0.9  # of two pages' words: more of them in common, and they say the same


def normal(address: str) -> str:
    """One spelling of an address: without fragment, user or default port, the host in lower case."""
    parts = urlsplit(urldefrag(address.strip())[0])
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    with contextlib.suppress(ValueError):
        if parts.port and parts.port != {"http": 80, "https": 443}.get(scheme):
            host = f"{host}:{parts.port}" if ":" not in host else f"[{host}]:{parts.port}"
        elif ":" in host:
            host = f"[{host}]"
    path = re.sub(r"%[0-9a-fA-F]{2}", lambda match: match[0].upper(), parts.path) or "/"
    return urlunsplit((scheme, host, path.replace(" ", "%20"), parts.query, ""))


def is_spelling_of(one: str, other: str) -> bool:
    """Whether two addresses differ only as one page's addresses do: www, https, a slash, index.html, a query."""
    return _bare(one) == _bare(other)


def _bare(address: str) -> tuple[str, str]:
    parts = urlsplit(normal(address))
    path = re.sub(r"(?:/|/index\.html?|\.html?)$", "", parts.path)
    return parts.netloc.removeprefix("www."), path


def as_utf8(data: bytes, charset: str) -> bytes:
    """A page whose encoding only its server told, written so that the file tells it."""
    said = _META_CHARSET.search(data[:4096])
    try:
        server = codecs.lookup(charset).name
        page = codecs.lookup(said[2].decode("ascii")).name if said else "utf-8"
        if server == page or data.startswith(codecs.BOM_UTF8):
            return data
        head = _META_CHARSET.sub(rb"\1utf-8", data[:4096])
        return (head + data[4096:]).decode(server).encode("utf-8")
    except (LookupError, UnicodeError, ValueError):
        return data


@dataclass(frozen=True)
class Page:
    """A page at its address, as it was fetched."""

    address: str
    data: bytes

    @cached_property
    def _root(self) -> Any:
        from lxml import etree, html

        parser = html.HTMLParser(huge_tree=True, encoding=None)
        try:
            return html.document_fromstring(self.data, parser=parser)
        except (etree.ParserError, ValueError):  # "Document is empty"
            return html.document_fromstring("<html></html>")

    @cached_property
    def _base(self) -> str:
        base = self._root.find(".//base[@href]")
        return urljoin(self.address, base.get("href")) if base is not None else self.address

    @property
    def links(self) -> list[str]:
        """Where a reader can go from here, as the page wants it followed."""
        if "nofollow" in self._robots:
            return []
        found: list[str] = []
        for node in self._root.iter("a", "area"):
            if node.get("href") and "nofollow" not in (node.get("rel") or "").lower().split():
                found += self._absolute(node.get("href"))
        return list(dict.fromkeys(found))

    @property
    def is_indexed(self) -> bool:
        """Whether its author wants it found."""
        return "noindex" not in self._robots and "none" not in self._robots

    @property
    def _robots(self) -> str:
        metas = self._root.iter("meta")
        said = [m.get("content") or "" for m in metas if (m.get("name") or "").lower() in ("robots", "footnote")]
        return " ".join(said).lower()

    @property
    def canonical(self) -> str:
        """The address that the page says is its own, if it is only another spelling of the one it came from."""
        for link in self._root.iter("link"):
            if "canonical" in (link.get("rel") or "").lower().split() and link.get("href"):
                for address in self._absolute(link.get("href")):
                    return address if is_spelling_of(address, self.address) else self.address
        return self.address

    @property
    def sent_on(self) -> str:
        """Where the page itself sends its reader at once, or nothing."""
        for meta in self._root.iter("meta"):
            if (meta.get("http-equiv") or "").lower() == "refresh":
                said = _REFRESH.match(meta.get("content") or "")
                if said and int(said[1]) <= _AT_ONCE:
                    return next(iter(self._absolute(said[2].strip())), "")
        return ""

    @cached_property
    def words(self) -> list[str]:
        """All that a browser would show without running a script."""
        return " ".join(self._root.xpath(_SHOWN)).split()

    @property
    def is_shell(self) -> bool:
        """A page that says next to nothing until a script has run."""
        return len(self.words) < FEW_WORDS and next(self._root.iter("script"), None) is not None

    def is_login(self, redirected: bool) -> bool:
        """A form that asks for a password in place of what was asked for."""
        asks = any((node.get("type") or "").lower() == "password" for node in self._root.iter("input"))
        return asks and (redirected or len(self.words) < 2 * FEW_WORDS)

    def is_like(self, other: Page) -> bool:
        """Whether two pages say nearly the same words: so do all answers that only say that there is nothing."""
        mine, others = set(self.words), set(other.words)
        return len(mine & others) >= ALIKE * max(len(mine | others), 1)

    def _absolute(self, href: str) -> list[str]:
        try:
            address = normal(urljoin(self._base, href.strip()))
        except ValueError:
            return []
        return [address] if address.startswith(("http://", "https://")) else []
