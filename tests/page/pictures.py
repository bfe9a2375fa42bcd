"""The README's pictures of the page: a question to the shipped corpus with its source open, in light and dark; a source
that is a plain text; one that is a PDF.

python -m tests.page.pictures LIBRARY docs
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from ingest.sync import sync
from tests.page.conftest import CHROMIUM, FILES, FLAGS, serving

CURVE = FILES / "reading-a-learning-curve.txt"
# A picture's name, the theme, what is asked, and in which file's words the source is opened.
PICTURES = (
    ("chat-light", "light", "How do I choose a learning rate?", ""),
    ("chat-dark", "dark", "How do I choose a learning rate?", ""),
    (
        "source-text",
        "light",
        "On a learning curve, what does it mean that the held-out line turns upwards?",
        CURVE.name,
    ),
    ("source-pdf", "dark", "What is the difference between data drift and concept drift?", "models-in-production.pdf"),
)
FILE_OF = "(note) => note.turn.data.places[Number(note.dataset.place)].document"


def main(library: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as away, sync_playwright() as driver:
        copy = Path(shutil.copytree(library, Path(away) / "library"))
        sync([CURVE], copy)
        with serving(copy, Path(away) / "log") as url:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            for name, theme, question, file in PICTURES:
                context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=theme)  # type: ignore[arg-type]
                page = context.new_page()
                page.set_default_timeout(120_000)
                page.goto(url)
                taken(page, question, file).screenshot(path=folder / f"{name}.png")
            browser.close()


def taken(page: Any, question: str, file: str) -> Any:
    """The page with the question answered, and the source of its first footnote in this file open beside it."""
    page.locator('[class*="st-key-starter-"] button').first.click()  # so that the models are loaded
    page.locator("article footer.meta").wait_for()
    page.get_by_role("button", name="New conversation").click()
    page.locator(".footnote-title").wait_for()
    page.locator('[data-testid="stChatInputTextArea"]').fill(question)
    page.keyboard.press("Enter")
    page.locator("article", has_text=question).locator("footer.meta").wait_for()
    notes = page.locator("article .note").all()
    next(note for note in notes if file in note.evaluate(FILE_OF)).click()
    if file.endswith(".pdf"):
        page.locator("#footnote-source .sheet img").wait_for()
    page.mouse.move(640, 790)
    page.wait_for_timeout(1500)
    return page


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
