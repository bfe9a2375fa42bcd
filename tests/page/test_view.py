"""`parts/render.js`: whatever the text, what is drawn is that text, and what is marked are those characters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.page import HERE
from assistant.page.view import AROUND, Sources, in_words
from ingest.library import Library

# A footnote's place: the words, and the guide's own text around them.


@pytest.fixture(scope="module")
def sources(small_library: Path) -> Sources:
    return Sources(Library(small_library))


@given(data=st.data(), document=st.sampled_from(["bees.md", "bread.md", "hostile.md"]))
def test_what_stands_around_a_quote_is_the_guides_text_and_ends_with_lines(
    sources: Sources, data: st.DataObject, document: str
) -> None:
    text = sources.library.text(document)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    place = sources.place(document, "", "", start, end, text[start:end])
    first = start - len(place.before)
    last = end + len(place.after)
    assert text[first:last] == place.before + place.quote + place.after
    assert (place.start, place.end, place.quote) == (start, end, text[start:end])
    assert first == 0 or text[first - 1] == "\n"
    assert last == len(text) or text[last] == "\n"
    assert (place.opens, place.closes) == (first == 0, last == len(text))
    assert len(place.before) <= 2 * AROUND
    assert place.said == ""


def test_the_section_of_a_quote_is_shown_and_not_the_whole_guide(sources: Sources) -> None:
    text = sources.library.text("bees.md")
    quote = "Honey is ripe when it holds less than 18 % water; a refractometer shows it."
    at = text.index(quote)
    place = sources.place("bees.md", "", "", at, at + len(quote), quote)
    assert "| Acacia |" in place.before
    assert "A strong colony" not in place.before


def test_a_run_that_begins_inside_a_block_of_code_says_so(sources: Sources) -> None:
    text = sources.library.text("bread.md")
    start = text.index("```python")
    whole = sources.place("bread.md", "", "", start + 20, start + 30, text[start + 20 : start + 30])
    assert not whole.in_code


def test_a_score_is_said_in_words() -> None:
    assert [in_words(score) for score in (0.95, 0.6, 0.3, 0.05)] == ["very likely", "likely", "possibly", "unlikely"]


WORDS = "a bc word . ** * _ ` `` # ### - 1. > [ ]( ) ![x](y) <b> </b> &amp; $ \\| | 🐝 é snake_case_name 2*3*4".split()
LINES = [
    " ",
    "\n",
    "\n\n",
    "\t",
    "```\n",
    "~~~",
    "---\n",
    "title: x\n",
    "# ",
    "- ",
    "  - ",
    "| a | b |\n|---|---|\n| c | d |\n",
]
BITS = st.sampled_from([*WORDS, *LINES])
TEXTS = st.lists(BITS, max_size=60).map("".join)

DRAW = """([text, from, to, inCode]) => {
  const into = document.createElement("div");
  drawText(into, text, { from, to, inCode });
  return [into.textContent, [...into.querySelectorAll("mark")].map((m) => m.textContent).join(""),
          into.querySelectorAll("a, img, script, b, iframe").length];
}"""


@pytest.fixture(scope="module")
def drawing(chromium: Any) -> Any:
    page = chromium.new_page()
    page.add_script_tag(content=(HERE / "render.js").read_text(encoding="utf-8"))
    yield page
    page.close()


@given(data=st.data(), text=TEXTS, in_code=st.booleans())
@settings(max_examples=400)
def test_no_character_is_lost_or_moved_and_the_marks_hold_the_quote(
    drawing: Any, data: st.DataObject, text: str, in_code: bool
) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    units = [len(text[:at].encode("utf-16-le")) // 2 for at in (start, end)]  # JavaScript counts in these
    drawn, marked, live = drawing.evaluate(DRAW, [text, *units, in_code])
    assert drawn == text
    assert marked == text[start:end]
    assert live == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**Bold** and `code` and *this*.", "Bold and code and this."),
        ("A snake_case_name, 2 * 3 * 4 and __init__.", "A snake_case_name, 2 * 3 * 4 and __init__."),
        ("## A heading", "A heading"),
        ("- an item", "an item"),
        ("| a | b |\n|---|---|\n| c | d |", "a\nb\nc\nd"),
        ("```python\nx = 1\n```", "x = 1"),
        ("---\ntitle: Bees\ndate: 2026\n---\n# Bees", "title: Bees date: 2026 Bees"),
        ("<b>not bold</b> $x$ :smile:", "<b>not bold</b> $x$ :smile:"),
    ],
)
def test_markup_is_hidden_and_everything_else_is_seen(drawing: Any, text: str, shown: str) -> None:
    seen = drawing.evaluate(
        """(text) => { document.body.replaceChildren(); const style = document.createElement("style");
        style.textContent = ".m{display:none}"; const into = document.createElement("div");
        drawText(into, text); document.body.append(style, into); return into.innerText }""",
        text,
    )
    assert " ".join(seen.split()) == " ".join(shown.split())


def test_guides_that_differ_stand_side_by_side_each_under_its_name(chromium: Any) -> None:
    said = [("Keeping bees", "A hive weighs 30 kg."), ("Winter", "A hive weighs 25 kg."), ("", "Both are right.")]
    sentences = [
        {"text": f"- {guide}: {text}", "said": text, "guide": guide, "supported": True, "notes": [], "header": ""}
        for guide, text in said
    ]
    page = chromium.new_page()
    page.set_content("<div></div>")
    for script in ("render.js", "panel.js", "draw.js"):
        page.add_script_tag(content=(HERE / script).read_text(encoding="utf-8"))
    draw = "(sentences) => drawAnswer({ data: { sentences } }, document.querySelector('div'))"
    page.evaluate(draw, sentences)
    assert page.locator(".side h3").all_inner_texts() == ["Keeping bees", "Winter"]
    assert page.locator(".side p").all_inner_texts() == ["A hive weighs 30 kg.", "A hive weighs 25 kg."]
    page.locator("div").first.evaluate("node => node.replaceChildren()")
    page.evaluate(draw, sentences[1:])
    assert page.locator(".side").count() == 0, "one guide alone is a line as any other"
    assert "Winter: A hive weighs 25 kg." in page.locator("body").inner_text()
    page.close()


def test_a_paragraph_full_of_marks_is_drawn_at_once(drawing: Any) -> None:
    timed = "(t) => { const at = performance.now(); drawText(document.body, t); return performance.now() - at }"
    for bit in ("**a ", "**", "[", "[a](", "`", "``a` ", "*_", "|", "![](", "\\|", "- "):
        for length in (3900, 60_000):
            assert drawing.evaluate(timed, (bit * length)[:length]) < 2000, bit
