"""`parts/render.js`: whatever the text, what is drawn is that text, and what is marked are those characters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.page import HERE, view
from assistant.page.view import AROUND, WINDOW, Sources, in_words
from assistant.records import Footnote
from ingest.library import Library
from ingest.sync import sync
from tests.fakes import BagOfWords
from tests.ingest.readers.test_pdf import fake_engine, pdf, saying, scanned
from tests.page.conftest import PRESS

FILES = Path(__file__).parent / "files"

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
    place = sources.place(Footnote(document, "", "", start, end, text[start:end]))
    first = start - len(place.before)
    last = end + len(place.after)
    assert text[first:last] == place.before + place.quote + place.after
    assert (place.start, place.end, place.quote) == (start, end, text[start:end])
    assert first == 0 or text[first - 1] == "\n"
    assert last == len(text) or text[last] == "\n"
    assert (place.opens, place.closes) == (first == 0, last == len(text))
    assert len(place.before) <= 2 * AROUND
    assert place.said == ""
    assert "".join(piece for _, piece, _ in place.pieces) == text[first:last]


def test_the_section_of_a_quote_is_shown_and_not_the_whole_guide(sources: Sources) -> None:
    text = sources.library.text("bees.md")
    quote = "Honey is ripe when it holds less than 18 % water; a refractometer shows it."
    at = text.index(quote)
    place = sources.place(Footnote("bees.md", "", "", at, at + len(quote), quote))
    assert "| Acacia |" in place.before
    assert "A strong colony" not in place.before


def test_a_run_is_told_by_the_blocks_that_ingest_found(sources: Sources) -> None:
    text = sources.library.text("bread.md")
    start = text.index("water / flour")
    place = sources.place(Footnote("bread.md", "", "", start, start + 13, "water / flour"))
    kinds = {text: kind for kind, text, _ in place.pieces if kind != "gap"}
    assert {"heading", "question", "paragraph", "code"} >= set(kinds.values()) >= {"heading", "code"}
    assert next(text for text, kind in kinds.items() if kind == "code").startswith("```python\ndef hydration")
    assert (place.inline, place.kept) == (True, False)


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("orchard")
    (folder / "press.pdf").write_bytes(pdf(*PRESS))
    assert not sync([FILES, folder / "press.pdf"], folder / "library", embedder=BagOfWords()).failed
    return Sources(Library(folder / "library"))


def test_of_a_sentence_that_runs_over_a_pages_edge_each_page_holds_its_own_words(orchard: Sources) -> None:
    text = orchard.library.text("press.pdf")
    start = text.index("The juice is left")
    end = text.index("in the cold.") + len("in the cold.")
    assert orchard.whole("press.pdf", start, end).page == 1  # type: ignore[union-attr]
    assert orchard.words_on("press.pdf", 1, start, end) == ("The juice is left to stand overnight, since ", 0)
    assert orchard.words_on("press.pdf", 2, start, end) == ("the must settles in the cold.", 0)
    again = text.rindex("cider press")
    assert orchard.words_on("press.pdf", 2, again, again + 11) == ("cider press", 0)
    assert orchard.words_on("press.pdf", 1, again, again + 11) == ("", 0)
    press = text.index("press takes")
    assert orchard.words_on("press.pdf", 1, press, press + 5) == ("press", 3), "Pressing and pressed come before"


def test_a_plain_text_keeps_its_lines_and_every_character(orchard: Sources) -> None:
    text = orchard.library.text("orchard.txt")
    place = orchard.whole("orchard.txt", 0, 0)
    assert place
    assert (place.inline, place.kept) == (False, True)
    assert "".join(piece for _, piece, _ in place.pieces) == text
    headings = [piece for kind, piece, _ in place.pieces if kind == "heading"]
    assert headings == ["Keeping an orchard", "Pruning", "Spraying"], "and no comment of the code among them"
    code = next(piece for kind, piece, _ in place.pieces if kind == "code")
    assert code.startswith("    def litres"), "code begins with its indentation"


def test_code_without_fences_is_known_as_a_block_with_its_lines(orchard: Sources) -> None:
    text = orchard.library.text("orchard.txt")
    start = text.index("return")
    code = orchard.code(Footnote("orchard.txt", "", "", start, start + 6, "return"))
    assert code is not None
    assert code[0].strip().startswith("def litres")
    assert code[0] in text
    assert orchard.code(Footnote("orchard.txt", "", "", 0, 7, text[:7])) is None


def test_a_footnote_leads_to_where_its_guide_was_fetched_if_that_is_on_the_web(orchard: Sources) -> None:
    text = orchard.library.text("orchard.txt")
    for address, shown in (("https://a.org/x#L3", "https://a.org/x#L3"), ("javascript:alert(1)", "")):
        note = Footnote("orchard.txt", "", "", 0, 7, text[:7], address=address)
        assert orchard.place(note).address == shown


def test_of_words_read_from_a_picture_it_is_said_how_sure_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_engine(tmp_path, monkeypatch, saying(("Wild yeast lives in the dough.", 93)))
    scanned().save(tmp_path / "dough.png")
    assert not sync([tmp_path / "dough.png"], tmp_path / "library", embedder=BagOfWords()).failed
    sources = Sources(Library(tmp_path / "library"))
    note = Footnote("dough.png", "Dough", "", 0, 4, "Wild", page=1, ocr=93)
    whole = sources.whole("dough.png", 0, 4)
    assert whole
    assert whole.reading == view.drawn(sources.place(note))["reading"] == "read by OCR, 93 % sure"
    assert sources.place(Footnote("dough.png", "Dough", "", 0, 4, "Wild")).reading == ""
    assert (sources.place(note).page, sources.words_on("dough.png", 1, 0, 4)) == (1, ("Wild", 0))


def test_of_a_very_long_guide_a_window_around_the_words_is_drawn_and_all_headings_are_known(tmp_path: Path) -> None:
    parts = [f"## Part {n}\n\n" + f"The sentence of part {n} says little. " * 40 for n in range(300)]
    (tmp_path / "long.md").write_text("# Long\n\n" + "\n\n".join(parts))
    assert not sync([tmp_path / "long.md"], tmp_path / "library", embedder=BagOfWords()).failed
    sources = Sources(Library(tmp_path / "library"))
    text = sources.library.text("long.md")
    assert len(text) > 2 * WINDOW
    headings = sources.headings("long.md")
    assert [heading.label for heading in headings] == ["Long", *(f"Part {n}" for n in range(300))]
    start = text.index("The sentence of part 200")
    at: int | None = None
    drawn = ""
    place = sources.whole("long.md", start, start + 12)
    assert place
    assert place.quote == "The sentence"
    assert not place.opens
    at = 0
    while at is not None and (place := sources.whole("long.md", start, start + 12, at=at)):
        run = "".join(piece for _, piece, _ in place.pieces)
        assert len(run) < WINDOW + 2 * AROUND
        drawn += run
        at = None if place.closes else len(drawn)
    assert drawn == text, "window by window it is the whole guide"
    assert all(text[heading.start :].lstrip("# ").startswith(heading.label) for heading in headings)


def test_where_an_earlier_footnote_has_kept_no_blocks_the_text_is_shown_with_its_lines(orchard: Sources) -> None:
    library = orchard.library
    kept = library.blocks
    library.blocks = lambda path: ()  # type: ignore[method-assign]
    try:
        place = Sources(library).whole("orchard.txt", 0, 18)
    finally:
        library.blocks = kept  # type: ignore[method-assign]
    assert place
    assert place.pieces == (("paragraph", library.text("orchard.txt"), 0),)


def test_a_score_is_said_in_words() -> None:
    assert [in_words(score) for score in (0.95, 0.6, 0.3, 0.05)] == ["very likely", "likely", "possibly", "unlikely"]


WORDS = (
    "a bc word . ** * _ ` `` # ### - 1. [1] > [ ]( ) ![x](y) <b> </b> &amp; $ \\| | 🐝 é snake_case_name 2*3*4".split()
)
LINES = [
    " ",
    "\n",
    "\n\n",
    "\t",
    "```\n",
    "~~~",
    "---\n",
    "===",
    "title: x\n",
    "# ",
    "- ",
    "  - ",
    "| a | b |\n|---|---|\n| c |\n",
]
TEXTS = st.lists(st.sampled_from([*WORDS, *LINES]), max_size=12).map("".join)
KINDS = ["gap", "heading", "question", "paragraph", "item", "table", "code", "front_matter", "furniture"]
PIECES = st.lists(st.tuples(st.sampled_from(KINDS), TEXTS, st.integers(0, 6)), max_size=8)

DRAW = """([pieces, from, to, inline, kept]) => {
  const into = document.createElement("div");
  drawText(into, { pieces, from, to, inline, kept });
  return [into.textContent, [...into.querySelectorAll("mark")].map((m) => m.textContent).join(""),
          into.querySelectorAll("a, img, script, b, iframe").length];
}"""


@pytest.fixture(scope="module")
def drawing(chromium: Any) -> Any:
    page = chromium.new_page()
    page.add_script_tag(content=(HERE / "render.js").read_text(encoding="utf-8"))
    yield page
    page.close()


@given(data=st.data(), pieces=PIECES, inline=st.booleans(), kept=st.booleans())
@settings(max_examples=400)
def test_no_character_is_lost_or_moved_and_the_marks_hold_the_quote(
    drawing: Any, data: st.DataObject, pieces: list[tuple[str, str, int]], inline: bool, kept: bool
) -> None:
    text = "".join(piece for _, piece, _ in pieces)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    units = [len(text[:at].encode("utf-16-le")) // 2 for at in (start, end)]  # JavaScript counts in these
    drawn, marked, live = drawing.evaluate(DRAW, [pieces, *units, inline, kept])
    assert drawn == text
    assert marked == text[start:end]
    assert live == 0


SEEN = """([kind, text, inline]) => { document.body.replaceChildren(); const style = document.createElement("style");
  style.textContent = ".m{display:none} .kept p{white-space:pre-wrap}"; const into = document.createElement("div");
  drawText(into, { pieces: [[kind, text, 1]], inline, kept: !inline });
  document.body.append(style, into); return into.innerText }"""


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("paragraph", "**Bold** and `code` and *this*.", "Bold and code and this."),
        ("paragraph", "A snake_case_name, 2 * 3 * 4 and __init__.", "A snake_case_name, 2 * 3 * 4 and __init__."),
        ("paragraph", "> said\n> twice", "said twice"),
        ("heading", "## A heading", "A heading"),
        ("heading", "A heading\n=========", "A heading"),
        ("item", "- an item", "an item"),
        ("item", "[1] a source", "[1] a source"),
        ("table", "| a | b |\n|---|---|\n| c | d |", "a\nb\nc\nd"),
        ("table", "Tree   Litres\nApple  2.0", "Tree   Litres\nApple  2.0"),
        ("code", "```python\nx = 1\n```", "x = 1"),
        ("code", "# no heading", "# no heading"),
        ("front_matter", "---\ntitle: Bees\ndate: 2026\n---", "title: Bees date: 2026"),
        ("paragraph", "<b>not bold</b> $x$ :smile:", "<b>not bold</b> $x$ :smile:"),
    ],
)
def test_markup_is_hidden_and_everything_else_is_seen(drawing: Any, kind: str, text: str, shown: str) -> None:
    assert " ".join(drawing.evaluate(SEEN, [kind, text, True]).split()) == " ".join(shown.split())


def test_what_is_no_markup_stands_as_it_was_typed_line_by_line(drawing: Any) -> None:
    text = "A *star*, __init__ and\n  the next line."
    assert drawing.evaluate(SEEN, ["paragraph", text, False]).strip() == text


def test_items_are_a_list_to_whoever_hears_the_page_and_headings_are_headings(drawing: Any) -> None:
    pieces = [
        ["heading", "## Tools", 2],
        ["gap", "\n\n", 0],
        ["item", "- saw", 1],
        ["gap", "\n", 0],
        ["item", "- rope", 1],
    ]
    drawing.evaluate("(pieces) => { document.body.replaceChildren(); drawText(document.body, { pieces }) }", pieces)
    assert drawing.get_by_role("heading", level=3).count() == 1
    assert drawing.get_by_role("list").count() == 1
    assert drawing.get_by_role("listitem").count() == 2


def test_guides_that_differ_stand_side_by_side_each_under_its_name(chromium: Any) -> None:
    said = [("Keeping bees", "A hive weighs 30 kg."), ("Winter", "A hive weighs 25 kg."), ("", "Both are right.")]
    sentences = [
        {"text": f"- {guide}: {text}", "said": text, "guide": guide, "supported": True, "notes": []}
        for guide, text in said
    ]
    cards = [{"guide": guide, "of": [i]} for i, (guide, _) in enumerate(said[:2])]
    layout = [{"kind": "sides", "sides": cards}, {"kind": "prose", "of": [2], "skip": 0}]
    page = chromium.new_page()
    page.set_content("<div></div>")
    for script in ("render.js", "panel.js", "draw.js"):
        page.add_script_tag(content=(HERE / script).read_text(encoding="utf-8"))
    draw = "([sentences, blocks]) => drawAnswer({ data: { sentences, blocks } }, document.querySelector('div'))"
    page.evaluate(draw, [sentences, layout])
    assert page.locator(".side h3").all_inner_texts() == ["Keeping bees", "Winter"]
    assert [text.strip() for text in page.locator(".side p").all_inner_texts()] == [text for _, text in said[:2]]
    assert "Both are right." in page.locator("p").last.inner_text()
    page.close()


def test_a_paragraph_full_of_marks_is_drawn_at_once(drawing: Any) -> None:
    timed = """([kind, text]) => { const at = performance.now();
      drawText(document.body, { pieces: [[kind, text, 1]], inline: true }); return performance.now() - at }"""
    for bit in ("**a ", "**", "[", "[a](", "`", "``a` ", "*_", "|", "![](", "\\|", "- "):
        for kind in ("paragraph", "table", "item"):
            assert drawing.evaluate(timed, [kind, (bit * 60_000)[:60_000]]) < 15_000, bit  # a minute where it is not
            assert drawing.evaluate(timed, [kind, (bit * 3900)[:3900]]) < 2000, bit
