from __future__ import annotations

import gzip
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from ingest.library import Library
from ingest.sources.site import Limits
from tests.assistant.loopback import Asked, Reply
from tests.ingest.sources.sites import documents, fetch, leads_to, page, raw, site


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "library"


def links(*paths: str) -> str:
    return " ".join(f'<a href="{path}">{path}</a>' for path in paths)


DOCS = {
    "/docs/": page(
        "Home", links("dropout.html", "deep/pooling", "/blog/", "dropout.html#why", "mailto:a@b.c", "logo.png")
    ),
    "/docs/dropout.html": page("Dropout", links("./", "gone.html")),
    "/docs/deep/pooling": page("Pooling"),
    "/blog/": page("Blog"),
    "/docs/logo.png": Reply([b"\x89PNG"], 200, {"Content-Type": "image/png"}),
}


def test_a_site_is_all_pages_below_its_address_and_nothing_beside(place: Path) -> None:
    with site(DOCS) as s:
        report = fetch(place, s.url + "/docs/")
    assert documents(place) == ["docs/deep/pooling.html", "docs/dropout.html", "docs/index.html"]
    assert report.failed == []
    assert "3 fetched" in report.notes[0]
    assert "/blog/" not in s.asked
    assert s.asked.count("/docs/dropout.html") == 1


def test_a_page_alone_is_one_document(place: Path) -> None:
    with site(DOCS) as s:
        fetch(place, s.url + "/docs/dropout.html", "page")
    assert documents(place) == ["docs/dropout.html"]


def test_an_unchanged_page_costs_one_304_and_a_changed_one_is_read_again(place: Path) -> None:
    with site(DOCS) as s:
        fetch(place, s.url + "/docs/")
        s.server.asked.clear()
        same = fetch(place, s.url + "/docs/")
        asked = [path for path in s.asked if path.startswith("/docs")]
        assert sorted(asked) == sorted(
            {"/docs/", "/docs/dropout.html", "/docs/deep/pooling", "/docs/gone.html", "/docs/logo.png"}
        )
        assert (same.unchanged, same.changed, same.embedded) == (3, [], 0)
        s.pages["/docs/dropout.html"] = page("Dropout again")
        changed = fetch(place, s.url + "/docs/")
    assert [path.partition("/")[2] for path in changed.changed] == ["docs/dropout.html"]
    assert changed.unchanged == 2


def test_a_page_that_is_gone_goes_and_one_that_cannot_be_had_stays(place: Path) -> None:
    with site(DOCS) as s:
        fetch(place, s.url + "/docs/")
        del s.pages["/docs/dropout.html"]
        s.pages["/docs/deep/pooling"] = Reply([b"broken"], 500)
        report = fetch(place, s.url + "/docs/")
    assert documents(place) == ["docs/deep/pooling.html", "docs/index.html"]
    (failure,) = report.failed
    assert "/docs/deep/pooling cannot be fetched (its server says 500)" in failure.reason
    assert [f.reason for f in Library(place).failures()] == [failure.reason]


def test_robots_are_obeyed_and_the_pace_that_they_ask_for(place: Path) -> None:
    robots = "User-agent: *\nDisallow: /docs/deep/\nDisallow: /*.html$\nCrawl-delay: 0.05\n"
    with site({**DOCS, "/robots.txt": Reply([robots.encode()])}) as s:
        fetch(place, s.url + "/docs/")
        assert documents(place) == ["docs/index.html"]
        assert "/docs/deep/pooling" not in s.asked
        whole = fetch(place, s.url + "/docs/deep/")
    assert "robots.txt" in whole.failed[0].reason


@pytest.mark.parametrize("packed", [False, True])
def test_the_sitemap_names_pages_that_no_link_leads_to(packed: bool, place: Path) -> None:
    def index(asked: Asked) -> Reply:
        url = f"http://{asked.headers['host']}"
        return Reply([f"<sitemapindex><sitemap><loc>{url}/pages.xml</loc></sitemap></sitemapindex>".encode()])

    def pages(asked: Asked) -> Reply:
        url = f"http://{asked.headers['host']}"
        xml = "<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>" + "".join(
            f"<url><loc>{url}{path}</loc></url>"
            for path in ("/docs/lonely.html", "/blog/", "http://elsewhere.example/x")
        )
        data = f"{xml}</urlset>".encode()
        return Reply([gzip.compress(data) if packed else data])

    with site({**DOCS, "/docs/lonely.html": page("Lonely"), "/sitemap.xml": index, "/pages.xml": pages}) as s:
        fetch(place, s.url + "/docs/")
    assert "docs/lonely.html" in documents(place)
    assert not any("blog" in path for path in documents(place))


def test_limits_of_pages_and_depth_hold(place: Path, tmp_path: Path) -> None:
    chain = {f"/d/{i}": page(f"Page {i}", links(f"/d/{i + 1}")) for i in range(9)}
    chain["/d/"] = page("Start", links("/d/0"))
    with site(chain) as s:
        fetch(place, s.url + "/d/", depth=3)
        assert documents(place) == ["d/0.html", "d/1.html", "d/2.html", "d/index.html"]
        report = fetch(tmp_path / "other", s.url + "/d/", pages=2)
    assert len(documents(tmp_path / "other")) == 2
    assert "--pages" in report.notes[0]
    assert Limits().pages == 500


def test_a_page_is_called_by_its_canonical_address_and_kept_once(place: Path) -> None:
    own = '<link rel="canonical" href="/docs/a.html">'
    pages = {
        "/docs/": page("Home", links("a.html?from=home", "a.html?from=menu", "a.html", "copy.html", "other.html")),
        "/docs/copy.html": page("A", head=own),
        "/docs/other.html": page("Other", head='<link rel="canonical" href="/docs/">'),
        **{f"/docs/a.html{query}": page("A", head=own) for query in ("", "?from=home", "?from=menu")},
    }
    with site(pages) as s:
        fetch(place, s.url + "/docs/")
        assert documents(place) == ["docs/a.html", "docs/index.html", "docs/other.html"]
        assert Library(place).address(Library(place).paths()[0], 0, 0) == f"{s.url}/docs/a.html"


def test_redirects_are_followed_and_the_last_address_counts(place: Path) -> None:
    pages = {
        **DOCS,
        "/": leads_to("/docs/", 301),
        "/old": leads_to("/older"),
        "/older": raw('<meta http-equiv="refresh" content="0; url=/docs/dropout.html">'),
        "/circle": leads_to("/circle"),
    }
    with site(pages) as s:
        fetch(place, s.url + "/old", "page")
        assert documents(place) == ["docs/dropout.html"]
        report = fetch(place, s.url + "/circle", "page")
        assert "redirects more than 10 times" in report.failed[0].reason
        assert documents(place) == ["docs/dropout.html"]


def login(asked: Asked) -> Reply:
    return raw("<h1>Sign in</h1><form><input name=u><input type=password></form>")


NOTHING = {
    "a login": ({"/docs/": leads_to("/login"), "/login": login}, "asks for a login"),
    "a login in its place": ({"/docs/": login}, "asks for a login"),
    "a status that says so": ({"/docs/": Reply(status=401)}, "needs a login (401)"),
    "a shell": ({"/docs/": raw("<div id=root></div><script src=app.js></script>")}, "--browser"),
    "nothing": ({}, "does not exist (404)"),
    "a picture": ({"/docs/": Reply([b"\x89PNG"], 200, {"Content-Type": "image/png"})}, "image/png"),
    "a cut": ({"/docs/": Reply([b"<html>half"], 200, {"Content-Type": "text/html"}, cut=True)}, "cannot be fetched"),
    "no words": ({"/docs/": raw("<html><body></body></html>")}, "holds no text"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOTHING)
@pytest.mark.parametrize("kind", ["page", "site"])
def test_what_holds_nothing_is_one_line_that_names_it_and_all_else_is_in(
    case: str, kind: str, place: Path, tmp_path: Path
) -> None:
    pages, expected = NOTHING[case]
    with site(pages) as s:  # type: ignore[arg-type]
        report = fetch(place, s.url + "/docs/", kind)
    (failure,) = report.failed
    assert expected in failure.reason
    assert "docs/" in failure.reason
    assert "\n" not in failure.reason
    assert documents(place) == []


def test_a_site_that_answers_every_address_is_known_by_what_it_says_to_one_that_cannot_exist(place: Path) -> None:
    def not_found(asked: Asked) -> Reply:
        return page("Nothing here", f"<p>There is no {asked.path}</p>")

    with site(DOCS) as s:
        s.missing = not_found
        fetch(place, s.url + "/docs/")
        assert documents(place) == ["docs/deep/pooling.html", "docs/dropout.html", "docs/index.html"]
        report = fetch(place, s.url + "/docs/typo.html", "page")
    assert "soft 404" in report.failed[0].reason


def test_a_site_that_sends_every_unknown_address_home_still_has_its_home(place: Path) -> None:
    with site({**DOCS, "/docs/gone.html": leads_to("/docs/")}) as s:
        s.missing = leads_to("/docs/")
        fetch(place, s.url + "/docs/")
        assert documents(place) == ["docs/deep/pooling.html", "docs/dropout.html", "docs/index.html"]


def test_what_a_site_does_not_want_found_or_followed_is_not(place: Path) -> None:
    pages = {
        "/docs/": page("Home", links("hidden.html") + '<a rel="nofollow" href="paid.html">x</a>'),
        "/docs/hidden.html": page("Hidden", links("behind.html"), '<meta name="robots" content="noindex, nofollow">'),
        "/docs/behind.html": page("Behind"),
        "/docs/paid.html": page("Paid"),
    }
    with site(pages) as s:
        fetch(place, s.url + "/docs/")
    assert documents(place) == ["docs/index.html"]


def test_a_busy_server_is_waited_for(place: Path) -> None:
    tries: list[Asked] = []

    def busy(asked: Asked) -> Reply:
        tries.append(asked)
        return Reply(status=429, headers={"Retry-After": "0"}) if len(tries) < 3 else page("Busy")

    with site({"/docs/": busy}) as s:
        assert fetch(place, s.url + "/docs/", "page").failed == []


@pytest.mark.parametrize(
    ("header", "meta", "encoding"),
    [("windows-1251", "", "cp1251"), ("utf-8", "iso-8859-1", "utf-8"), ("", "cp1251", "cp1251")],
)
def test_an_encoding_that_only_the_server_tells_is_kept(header: str, meta: str, encoding: str, place: Path) -> None:
    said = f'<meta charset="{meta}">' if meta else ""
    html = f"<html><head>{said}</head><body><p>Слой нормализации помогает обучению сети.</p></body></html>"
    kind = f"text/html; charset={header}" if header else "text/html"
    with site({"/": Reply([html.encode(encoding)], 200, {"Content-Type": kind})}) as s:
        fetch(place, s.url + "/", "page")
    assert "Слой нормализации помогает" in Library(place).text(Library(place).paths()[0])


def test_other_formats_are_kept_as_what_they_are(place: Path) -> None:
    notes = Reply([b"# Notes\n\nDropout helps a lot."], 200, {"Content-Type": "text/plain"})
    table = Reply([b"name,value\na,1\n"], 200, {"Content-Type": "text/csv"})
    home = page("Home", links("notes.md", "table"))
    with site({"/docs/": home, "/docs/notes.md": notes, "/docs/table": table}) as s:
        fetch(place, s.url + "/docs/")
    assert documents(place) == ["docs/index.html", "docs/notes.md", "docs/table.csv"]


def test_a_footnote_carries_the_address_of_its_very_words(place: Path) -> None:
    with site(DOCS) as s:
        fetch(place, s.url + "/docs/")
    library = Library(place)
    document = library.paths()[1]
    text = library.text(document)
    at = text.index("In case 3")
    address = library.address(document, at, at + 43)
    found = re.fullmatch(r"(.*/docs/dropout\.html)#:~:text=(.*)", address)
    assert found
    assert found[1] == f"{s.url}/docs/dropout.html"
    assert unquote(found[2]) == text[at : at + 43]


def test_names_that_a_server_makes_up_stay_in_the_folder(place: Path) -> None:
    odd = [
        "/docs/..%2F..%2Fetc",
        "/docs/.hidden.html",
        "/docs/__pycache__/x",
        "/docs/a%00b",
        "/docs/" + "x" * 300,
        "/docs/A",
        "/docs/a",
    ]
    pages = {path: page(f"Odd {i}") for i, path in enumerate(odd)}
    with site({"/docs/": page("Home", links(*odd)), **pages}) as s:
        report = fetch(place, s.url + "/docs/")
    assert report.failed == []
    assert len(documents(place)) == 1 + len(odd)
    root = Path(Library(place).roots()[0])
    assert all(root in (root / d.file).resolve().parents for d in Library(place).documents())
