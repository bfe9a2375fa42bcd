"""Pages whose words a script writes, in the real browser, before a server on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.library import Library
from ingest.sources.browser import Browser
from ingest.sources.web import FetchError, Web
from tests.assistant.loopback import Reply
from tests.ingest.sources.sites import fetch, page, raw, site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WRITES = """
const said = Array.from({length: 60}, (_, i) => `In case ${i} the rate takes ${3 * i} steps.`).join(' ');
fetch('data.json').then(answer => answer.json()).then(data => {
  document.getElementById('root').innerHTML = `<h1>${data.title}</h1><p>${said}</p>`
    + '<table><tr><th>rate</th><th>steps</th></tr><tr><td>0.1</td><td>7</td></tr></table>';
});
"""
REACHES = """
new WebSocket(location.origin.replace('http', 'ws') + '/secret-socket');
new Image().src = '/secret.png';
navigator.sendBeacon('/secret-beacon', 'x');
fetch('/secret-post', {method: 'POST', body: 'x'}).catch(() => 0);
document.head.insertAdjacentHTML('beforeend', '<link rel=prefetch href=/secret-early><iframe src=/secret-frame>');
"""


def script(text: str) -> Reply:
    return Reply([text.encode()], 200, {"Content-Type": "text/javascript"})


APP = {
    "/docs/": raw("<html><head><title>App</title></head><body><div id=root></div><script src=app.js></script>"),
    "/docs/app.js": script(WRITES),
    "/docs/data.json": Reply(['{"title": "Learning rates, möglichst klein"}'.encode()], 200, {}),
    "/docs/plain.html": page("Plain"),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def driven() -> Iterator[Any]:
    """Another browser of this very process, as the tests of the page have one: neither may be in the way."""
    playwright = pytest.importorskip("playwright.sync_api", reason="--browser needs playwright: pip install playwright")
    if not CHROMIUM:
        pytest.skip("there is no Chromium here: make browser")
    try:
        with playwright.sync_playwright() as driver:
            yield driver
    except playwright.Error:  # where tests of the page run in this process, theirs is the other one
        yield None


def test_a_page_that_a_script_writes_is_read_as_a_browser_shows_it(driven: Any, place: Path) -> None:
    with site(APP) as s:
        report = fetch(place, s.url + "/docs/", "page", browser=True)
    assert report.failed == []
    (document,) = Library(place).documents()
    assert document.title == "Learning rates, möglichst klein"
    text = Library(place).text(document.path)
    assert "In case 59 the rate takes 177 steps." in text
    assert "| rate | steps |\n|---|---|\n| 0.1 | 7 |" in text


def test_a_page_that_shows_its_words_by_itself_starts_no_browser(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Browser, "_browser", lambda self: pytest.fail("a browser was started"))
    with site(APP) as s:
        assert fetch(place, s.url + "/docs/plain.html", "page", browser=True).failed == []


def test_what_a_page_asks_for_goes_through_the_guard_or_nowhere(driven: Any) -> None:
    refused = list[str]()

    class Guarded(Web):
        def part(self, address: str) -> tuple[int, str, bytes]:
            if "secret" in address:
                refused.append(address.rpartition("/")[2])
                raise FetchError("not for you")
            return super().part(address)

    pages = {**APP, "/docs/app.js": script(REACHES + WRITES)}
    with site(pages) as s, Guarded(allow_private=True, delay=0.0) as web, Browser(web) as browser:
        assert b"In case 59" in browser.render(s.url + "/docs/")
        assert [path for path in s.asked if "secret" in path] == []
    assert "secret.png" in refused


def test_a_page_that_cannot_be_had_is_one_line(driven: Any) -> None:
    with site({}) as s, Web(delay=0.0) as web, Browser(web) as browser:  # this machine's addresses are not allowed
        with pytest.raises(FetchError, match="cannot be rendered") as failure:
            browser.render(s.url + "/docs/")
        assert s.asked == []
    assert "\n" not in str(failure.value)
