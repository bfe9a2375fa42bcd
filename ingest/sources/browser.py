"""A page whose words a script writes, as a browser shows it. All that the browser asks for goes through our guard."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from ingest.sources.pages import Page, as_utf8
from ingest.sources.web import FetchError, Web

SECONDS = 30.0
PATIENCE = 10.0  # seconds in which words may come when all is loaded
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_NOWHERE = "http://127.0.0.1:9"  # the proxy of whatever the browser would ask for by itself: nothing listens there
_OPTIONS = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync", "--disable-gpu")


class Browser:
    """Started with the first page that needs it. Use it as a context manager.

    It has a thread to itself: playwright refuses to run where another one, or any event loop, runs already.
    """

    def __init__(self, web: Web) -> None:
        self._web = web
        self._thread = ThreadPoolExecutor(1, "browser")
        self._started: tuple[Any, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._started:
            self._thread.submit(self._stop, *self._started).result()
        self._thread.shutdown()

    def render(self, address: str) -> bytes:
        """The page's HTML when its scripts have run and it asks for nothing more."""
        return self._thread.submit(self._render, address).result()

    @staticmethod
    def _stop(playwright: Any, browser: Any) -> None:
        browser.close()
        playwright.stop()

    def _render(self, address: str) -> bytes:
        from playwright.sync_api import Error

        context = self._browser().new_context(service_workers="block", accept_downloads=False)
        try:
            context.route("**/*", self._fulfil)
            context.route_web_socket("**/*", lambda socket: socket.close())
            page = context.new_page()
            page.goto(address, wait_until="networkidle", timeout=SECONDS * 1000)
            return _filled(page)
        except Error as error:
            what = " ".join(str(error).split())[:120]
            raise FetchError(f"{address} cannot be rendered ({what}): save it from a browser, ingest that") from error
        finally:
            context.close()

    def _fulfil(self, route: Any) -> None:
        """Fetches for the browser what a page may have: what a guard refuses or nobody has, it does not get."""
        if route.request.method != "GET":
            route.abort()
            return
        try:
            status, kind, data = self._web.part(route.request.url)
        except FetchError:
            route.abort()
        else:
            route.fulfill(status=status, headers={"Content-Type": kind}, body=data)

    def _browser(self) -> Any:
        if self._started is None:
            try:
                from playwright.sync_api import Error, sync_playwright
            except ImportError:
                raise FetchError(
                    "--browser needs playwright: pip install playwright && playwright install chromium"
                ) from None
            playwright = sync_playwright().start()
            found = next(filter(None, map(shutil.which, _NAMES)), None)
            try:
                options = ["--no-sandbox" if _is_root() else "--no-pings", *_OPTIONS]
                browser = playwright.chromium.launch(
                    executable_path=found, args=options, proxy={"server": _NOWHERE, "bypass": "<-loopback>"}
                )
            except Error as error:
                playwright.stop()
                raise FetchError("--browser finds no Chromium: playwright install chromium") from error
            self._started = playwright, browser
        return self._started[1]


def _filled(page: Any) -> bytes:
    """A page that asks for nothing more may still be busy with what it got: it has some time to show words."""
    until = time.monotonic() + PATIENCE
    while True:
        data = as_utf8(str(page.content()).encode("utf-8", "replace"), "utf-8")
        if not Page(page.url, data).is_shell or time.monotonic() > until:
            return data
        page.wait_for_timeout(250)


def _is_root() -> bool:
    import os

    return hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium's sandbox does not start for root
