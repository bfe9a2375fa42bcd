"""Which addresses may be reached: never this machine or its network, unless that is wanted.

A page somebody else wrote can name any address, redirect to it, or have a name that resolves to it. So names are
resolved here, every address that comes out is looked at, and the connection goes to the one that was looked at: a name
that resolves to something else a moment later changes nothing. That holds for every redirect as well.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import httpx

from ingest.errors import FootnoteError

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # an IPv4 address stands in the last four bytes
# Set aside by IANA, or used as if they were: which of them `ipaddress` knows depends on the Python.
_LOCAL = tuple(
    map(
        ipaddress.ip_network,
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24"
        " 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3 168.63.129.16/32"
        " ::/8 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fc00::/7 fe80::/9"
        " ff00::/8".split(),
    )
)


class Forbidden(FootnoteError):
    """An address of this machine or its network, or of no kind that is fetched."""


def is_public(address: str) -> bool:
    """Whether an IP address is somewhere out on the internet, whatever it is written or wrapped as."""
    try:
        ip: IP = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inner(ip)
    return _is_public(ip) if inner is None else is_public(str(inner))


def _inner(ip: IP) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one is another spelling of."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped


def _is_public(ip: IP) -> bool:
    return ip.is_global and not any(ip in network for network in _LOCAL)


def is_own(address: str) -> bool:
    """Whether it is an address of this very machine, which may be a public one: only those can be listened on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as listener:
        listener.bind((address, 0))
        return True
    return False


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, or of whatever the system takes for an address, such as 2130706433 or 0x7f.1."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def reachable(host: str, port: int, resolve: Resolve = resolve, own: Callable[[str], bool] = is_own) -> str:
    """The address to connect to; every one that the name has must be allowed."""
    bare = host.strip("[]")
    try:
        found = resolve(bare, port)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"no such host: {bare}") from error
    for address in found:
        if not is_public(address) or own(address):
            which = "" if address == bare else f"{address}, "
            raise Forbidden(
                f"{bare} is {which}an address of this machine or its network: add --allow-private if it is meant"
            )
    if not found:
        raise httpx.ConnectError(f"no such host: {bare}")
    return found[0]


def check_scheme(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise Forbidden(f"{address!r} is no address that is fetched: give one that begins with https:// or http://")


class Guarded(httpx.BaseTransport):
    """Sends each request to an address that was looked at. Proxies are not used: what they reach cannot be looked at.

    Each name has connections of its own, as certificates are checked for the name.
    """

    def __init__(self, allow_private: bool = False, resolve: Resolve = resolve) -> None:
        self._allow_private, self._resolve = allow_private, resolve
        self._lines: dict[str, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        check_scheme(str(url))
        line = self._lines.setdefault(url.host, httpx.HTTPTransport())
        if self._allow_private:
            return line.handle_request(request)
        port = url.port or (443 if url.scheme == "https" else 80)
        address = reachable(url.host, port, self._resolve)
        pinned = httpx.Request(
            request.method,
            url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": url.host},
        )
        return line.handle_request(pinned)

    def close(self) -> None:
        for line in self._lines.values():
            line.close()
