"""A hundred attempts to have something fetched from this machine or its network, and the ways that stay open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from ingest.library import Library
from ingest.sources.addresses import Forbidden, Guarded, check_scheme, is_own, is_public, reachable
from ingest.sync import sync
from tests.fakes import BagOfWords
from tests.ingest.sources.sites import Site, fetch, leads_to, page, site

INSIDE = """
127.0.0.1 127.0.0.2 127.255.255.254 127.1.2.3 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.254
192.168.0.1 192.168.255.254 169.254.0.1 169.254.169.254 169.254.170.2 100.64.0.1 100.100.100.200 100.127.255.254
192.0.0.1 192.0.0.192 192.0.2.1 198.18.0.1 198.19.255.254 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250
240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0.0.0.0 ::127.0.0.1 ::10.0.0.1
0:0:0:0:0:0:0:1 0:0:0:0:0:ffff:127.0.0.1 fe80::1 fe80::1%eth0 fe80::1%1 febf::1 fc00::1 fd00:ec2::254 fdff::1 fec0::1
ff02::1 ff05::2 64:ff9b::7f00:1 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: 2002:a00:1::
2002:c0a8:1:: 2002:a9fe:a9fe:: 2001:0:0:0:0:0:80ff:fffe 2001:db8::1 2001:10::1 100::1
""".split()
# What a browser or the system takes for one of those. Each is resolved by the system itself, without a name server.
WRITTEN = """
2130706433 0x7f000001 0x7f.0x0.0x0.0x1 0x7f.1 017700000001 0177.0.0.1 0177.1 127.1 127.0.1 0 0.0 0x0
3232235521 0xc0a80001 0300.0250.0.1 2852039166 0xa9fea9fe 0251.0376.0251.0376 167772161 012.0.0.1 localhost LOCALHOST
""".split()
NAMED = {  # what name servers may say: only what comes out counts, and all of it
    "localhost.example.org": ["127.0.0.1"],
    "127.0.0.1.nip.example": ["127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "both.example.org": ["93.184.216.34", "127.0.0.1"],
    "both6.example.org": ["93.184.216.34", "::1"],
    "mapped.example.org": ["::ffff:192.168.1.1"],
    "router.example.org": ["192.168.1.1"],
    "nat64.example.org": ["64:ff9b::a00:1"],
}
SCHEMES = (
    "file:///etc/passwd",
    "ftp://example.org/",
    "gopher://127.0.0.1:6379/_INFO",
    "data:text/html,hello",
    "javascript:alert(1)",
    "dict://127.0.0.1:11211/stat",
    "http:///etc/passwd",
    "//127.0.0.1/",
)
OUTSIDE = ("93.184.216.34", "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8")


def test_there_are_a_hundred_attempts() -> None:
    assert len(INSIDE) + len(WRITTEN) + len(NAMED) + len(SCHEMES) >= 100


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_of_the_machine_or_its_network_is_none_of_the_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_internet_is_one(address: str) -> None:
    assert is_public(address)
    assert reachable("example.org", 443, lambda host, port: [address], lambda ip: False) == address


@pytest.mark.parametrize("written", WRITTEN)
def test_however_an_address_is_written_it_is_looked_at_after_it_is_resolved(written: str) -> None:
    with pytest.raises((Forbidden, httpx.ConnectError)):
        reachable(written, 80)


@pytest.mark.parametrize("name", NAMED)
def test_a_name_is_refused_if_any_of_its_addresses_is_inside(name: str) -> None:
    with pytest.raises(Forbidden, match="--allow-private"):
        reachable(name, 80, lambda host, port: NAMED[host])


@pytest.mark.parametrize("address", SCHEMES)
def test_nothing_but_http_is_fetched(address: str) -> None:
    with pytest.raises(Forbidden):
        check_scheme(address)


def test_a_public_address_of_this_very_machine_is_refused_too() -> None:
    assert is_own("127.0.0.1")
    assert not is_own("93.184.216.34")
    with pytest.raises(Forbidden):
        reachable("www.example.org", 80, lambda host, port: ["93.184.216.34"], lambda ip: True)


def test_the_connection_goes_to_the_address_that_was_looked_at_though_the_name_means_another_by_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that answers "outside" first and "inside" from then on."""
    answers = iter([["93.184.216.34"]])
    sent: list[httpx.Request] = []
    monkeypatch.setattr(
        httpx.HTTPTransport, "handle_request", lambda self, request: sent.append(request) or httpx.Response(200)
    )

    def rebinding(host: str, port: int) -> Sequence[str]:
        return next(answers, ["127.0.0.1"])

    with httpx.Client(transport=Guarded(resolve=rebinding), trust_env=False) as client:
        client.get("https://rebind.example.org/a?b=c")
        with pytest.raises(Forbidden):
            client.get("https://rebind.example.org/a?b=c")
    (request,) = sent
    assert str(request.url) == "https://93.184.216.34/a?b=c"
    assert request.headers["Host"] == "rebind.example.org"
    assert request.extensions["sni_hostname"] == "rebind.example.org"


@pytest.fixture
def inside() -> Iterator[Site]:
    with site({"/": page("Secret"), "/on": lambda asked: leads_to(asked.headers["x"])}) as made:
        yield made


@pytest.mark.parametrize(
    "form", ["http://{}/", "http://localhost:{port}/", "http://2130706433:{port}/", "http://[::ffff:127.0.0.1]:{port}/"]
)
def test_an_ingest_fetches_nothing_from_this_machine_unless_it_is_told_to(
    form: str, inside: Site, tmp_path: Path
) -> None:
    address = form.format(inside.url.removeprefix("http://"), port=inside.url.rpartition(":")[2])
    (tmp_path / "guide.md").write_text("# Guide\n\nIt is in all the same.")
    report = sync([address, tmp_path / "guide.md"], tmp_path / "library", embedder=BagOfWords())
    (failure,) = report.failed
    assert address in failure.reason
    assert "--allow-private" in failure.reason
    assert "\n" not in failure.reason
    assert inside.asked == []
    assert [d.path for d in Library(tmp_path / "library").documents()] == ["guide.md"]


def test_a_redirect_to_the_inside_is_refused_where_it_leads(inside: Site, tmp_path: Path) -> None:
    """The first address is let through, as one on the internet would be; the second is not."""
    from ingest.sources.web import FetchError, Web

    port = inside.url.rpartition(":")[2]
    inside.pages["/on"] = leads_to(f"http://secret.example.org:{port}/")
    looked: list[str] = []

    class Outside(Guarded):
        """Takes our loopback site for one on the internet."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            self._allow_private = request.url.host == "127.0.0.1"
            looked.append(request.url.host)
            return super().handle_request(request)

    with Web(delay=0) as web:
        web._client._transport = Outside(resolve=lambda host, port: ["169.254.169.254"])
        with pytest.raises(FetchError, match=r"secret\.example\.org is 169\.254\.169\.254"):
            web.get(f"{inside.url}/on")
    assert looked == ["127.0.0.1", "secret.example.org"]
    assert inside.asked == ["/on"]


def test_what_is_meant_is_fetched_from_this_machine(inside: Site, tmp_path: Path) -> None:
    report = fetch(tmp_path / "library", inside.url + "/", "page")
    assert report.failed == []
    assert len(report.added) == 1
