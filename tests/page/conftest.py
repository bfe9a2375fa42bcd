"""What the tests of the page share: a small library, and a real browser before a real server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from ingest.sync import sync
from tests.ingest.readers.test_pdf import Words, pdf

ROOT = Path(__file__).absolute().parents[2]
APP = ROOT / "app.py"
OWNER = "owner-of-these-tests"
GUIDES = Path(__file__).parent / "guides"
FILES = Path(__file__).parent / "files"
PRESS = (
    [
        Words("The cider press", 60, 740, 20, "F2"),
        Words("1 Pressing", 60, 700, 13, "F2"),
        Words("Apples are milled before they are pressed, and a press takes about 40 kilo-", 60, 676),
        Words("grams of them at a time. The juice is left to stand overnight, since", 60, 664),
    ],
    [
        Words("the must settles in the cold.", 60, 740),
        Words("2 Cleaning", 60, 700, 13, "F2"),
        Words("The cider press is cleaned with soda, never with soap, and it is dried in the sun.", 60, 676),
    ],
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
).split()


DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a test has proxies that lead nowhere


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shots", metavar="DIR", help="save pictures of the page's main states here")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A browser, a server and other tests on two cores lose a race now and then: a test of the page that fails is tried
    once more, which is said at the end."""
    if not item.nodeid.startswith("tests/page/"):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if any(report.failed for report in reports):
        item.user_properties.append(("tried again", True))
        item._initrequest()  # type: ignore[attr-defined]
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the browser would have shown and nobody looked at is said at the end, with its reason, and what was tried
    twice."""
    passed = [report for report in terminalreporter.stats.get("passed", ()) if dict(report.user_properties)]
    if again := sorted(report.nodeid for report in passed if "tried again" in dict(report.user_properties)):
        terminalreporter.write_line(f"{len(again)} tests of the page passed when tried again: {', '.join(again)}")
    skipped = [report for report in terminalreporter.stats.get("skipped", ()) if "tests/page/" in report.nodeid]
    if skipped:
        why = sorted({str(report.longrepr[-1]).removeprefix("Skipped: ") for report in skipped})
        terminalreporter.write_line(f"{len(skipped)} tests of the page in a browser were left out: {'; '.join(why)}")


@pytest.fixture(scope="session")
def small_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of the guides beside this file, made once. For reading only: `library` is a copy."""
    place = tmp_path_factory.mktemp("small") / "library"
    assert not sync([GUIDES], place).failed
    return place


@pytest.fixture
def library(small_library: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_library, tmp_path / "library"))


@pytest.fixture
def open_(monkeypatch: pytest.MonkeyPatch, library: Path) -> Callable[..., Any]:
    """Opens the page through AppTest on a library, as a visitor with this mark."""
    from streamlit import config
    from streamlit.testing.v1 import AppTest

    config.set_option("server.address", "localhost")  # as `footnote chat` serves it

    def opened(place: Path = library, owner: str = OWNER, **query: str) -> AppTest:
        monkeypatch.setenv("FOOTNOTE_LIBRARY", str(place))
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.session_state["owner"] = owner
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        return app

    return opened


@contextmanager
def serving(library: Path, log: Path, script: Path = APP) -> Iterator[str]:
    """`streamlit run app.py`, as `footnote chat` runs it; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ours = {"FOOTNOTE_LIBRARY": str(library), "PYTHONPATH": str(ROOT), "HOME": str(log.parent), "OMP_NUM_THREADS": "2"}
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")} | ours
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    command += ["--server.headless", "true", "--server.address", "127.0.0.1"]
    with log.open("wb") as out:
        server = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent)
    url = f"http://127.0.0.1:{port}"
    try:
        _healthy(url, server, log)
        yield url
    finally:
        server.terminate()
        server.wait(60)


def _healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(900):  # a machine that others use takes its time
        try:
            with DIRECTLY.open(f"{url}/_stcore/health", timeout=1):
                return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text(encoding='utf-8', errors='replace')}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright drives the browser: pip install playwright"
    )
    with playwright.sync_playwright() as driver:
        found = CHROMIUM or driver.chromium.executable_path
        if not Path(found).exists():
            pytest.skip("there is no Chromium here: make browser")
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served(small_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """One server for all tests of the browser, on a library of its own; its address and the library."""
    folder = tmp_path_factory.mktemp("served")
    library = Path(shutil.copytree(small_library, folder / "library"))
    files = Path(shutil.copytree(FILES, folder / "files"))
    (files / "press.pdf").write_bytes(pdf(*PRESS))
    assert not sync([files], library).failed
    with serving(library, folder / "log") as url:
        yield url, library


@pytest.fixture(scope="session")
def shots(request: pytest.FixtureRequest) -> Callable[[Any, str], None]:
    """Saves a picture of a page into the folder of --shots, if that is given."""
    folder = request.config.getoption("--shots", default=None)

    def shoot(page: Any, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png")

    return shoot


@pytest.fixture(scope="session")
def context(chromium: Any) -> Iterator[Any]:
    """One browser profile for most tests: what it has loaded once, it need not load again."""
    context = chromium.new_context()
    yield context
    context.close()


@pytest.fixture
def visit(chromium: Any, context: Any, served: tuple[str, Path]) -> Iterator[Callable[..., Any]]:
    """Opens the page as a new visitor; what the page complains of, or asks of the world outside, fails the test."""
    _forget(context, served[0])
    pages, complaints = [], list[str]()

    def open_(path: str = "/", width: int = 1440, height: int = 900, dark: bool = False, apart: bool = False) -> Any:
        page = (chromium.new_context() if apart else context).new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        page.set_default_timeout(90_000)  # a machine that others use takes its time
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: _local(asked.url, complaints))
        page.goto(served[0] + path)
        return page

    yield open_
    for page in pages:
        page.close()
    assert not complaints


def _forget(context: Any, url: str) -> None:
    """What an earlier visitor left in the browser: who it was, what was typed, a sidebar that was closed."""
    context.clear_cookies()
    page = context.new_page()
    page.goto(f"{url}/_stcore/health")
    page.evaluate("localStorage.clear()")
    page.close()


def _local(url: str, complaints: list[str]) -> None:
    if not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "about:")):
        complaints.append(f"the page asked for {url}")
