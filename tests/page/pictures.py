"""The README's pictures of the page: a question to the shipped corpus, its source open, in light and dark.

python -m tests.page.pictures LIBRARY docs
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import sync_playwright

from tests.page.conftest import CHROMIUM, FLAGS, serving

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
QUESTION = "How do I choose a learning rate?"


def main(library: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as away,
        serving(library.absolute(), Path(away) / "log") as url,
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for theme in THEMES:
            page = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=theme).new_page()
            page.set_default_timeout(120_000)
            page.goto(url)
            page.locator('[class*="st-key-starter-"] button').first.click()  # so that the models are loaded
            page.locator("article footer.meta").wait_for()
            page.get_by_role("button", name="New conversation").click()
            page.locator(".footnote-title").wait_for()
            page.locator('[data-testid="stChatInputTextArea"]').fill(QUESTION)
            page.keyboard.press("Enter")
            page.locator("article", has_text=QUESTION).locator("footer.meta").wait_for()
            page.locator("article .note").first.click()
            page.mouse.move(640, 790)
            page.wait_for_timeout(1500)
            page.screenshot(path=folder / f"chat-{theme}.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
