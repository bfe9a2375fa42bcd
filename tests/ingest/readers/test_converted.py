"""Formats that are written down anew: HTML, Word, notebooks, reStructuredText, CSV."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import ReadError
from tests.ingest.reading import check_blocks, document, kinds, labels, outline, texts

PAGE = """<!doctype html><html><head><title>Dropout explained | Some Site</title><style>p {}</style></head><body>
<nav><a href="#">Home</a></nav><header><b>The Site</b></header>
<main><h1>Dropout<a class="headerlink" href="#d">¶</a></h1>
<p>Use <b>dropout</b> with <code>nn.Dropout(p=0.5)</code>.<br>It costs&nbsp;nothing.</p>
<ul><li>One<ul><li>Inner</li></ul></li><li>Two<pre><code class="language-python">if x:
    y = 2</code></pre></li></ul><ol start="3"><li>Three</li></ol>
<table><thead><tr><th>A</th><th>B</th></tr></thead><tbody><tr><td>1</td><td>a|b</td></tr></tbody></table>
<details><summary>Do I need a GPU?</summary>Not to learn.</details>
<div class="share-buttons">Tweet this</div><script>alert(1)</script></main>
<footer>© 2026 Us</footer></body></html>"""


def test_a_web_page_is_written_down_as_markdown_and_the_site_around_it_is_furniture(tmp_path: Path) -> None:
    read = document(tmp_path, "page.html", PAGE)

    assert read.title == "Dropout"
    assert outline(read) == [
        ("furniture", 0, "Home"),
        ("furniture", 0, "The Site"),
        ("heading", 1, "# Dropout"),
        ("paragraph", 0, "Use dropout with `nn.Dropout(p=0.5)`. It costs nothing."),
        ("item", 1, "- One"),
        ("item", 2, "- Inner"),
        ("item", 1, "- Two"),
        ("code", 0, "```python\nif x:\n    y = 2\n```"),
        ("item", 1, "3. Three"),
        ("table", 0, "| A | B |\n|---|---|\n| 1 | a\\|b |"),
        ("question", 2, "## Do I need a GPU?"),
        ("paragraph", 0, "Not to learn."),
        ("furniture", 0, "Tweet this"),
        ("furniture", 0, "© 2026 Us"),
    ]
    check_blocks(read)


def test_a_page_without_a_heading_is_called_by_its_title_without_the_site(tmp_path: Path) -> None:
    page = "<html><head><title>Dropout explained | Some Site</title></head><body><p>Text.</p></body></html>"

    assert document(tmp_path, "page.html", page).title == "Dropout explained"


def test_a_page_is_read_in_the_encoding_that_it_names(tmp_path: Path) -> None:
    page = '<html><head><meta charset="windows-1251"></head><body><p>Привет, мир</p></body></html>'
    read = document(tmp_path, "page.html", page.encode("cp1251"))

    assert read.text == "Привет, мир"
    assert read.notes == ("read as windows-1251",)


def _docx() -> bytes:
    import docx

    word = docx.Document()
    word.add_heading("Trees", 0)
    word.add_heading("Growing", 1)
    word.add_paragraph("They grow slowly.")
    word.add_paragraph("Oak", style="List Bullet")
    word.add_paragraph("Birch", style="List Bullet")
    table = word.add_table(rows=2, cols=2)
    for cell, text in zip((c for row in table.rows for c in row.cells), ("Tree", "Age", "Oak", "500"), strict=True):
        cell.text = text
    buffer = io.BytesIO()
    word.save(buffer)
    return buffer.getvalue()


def test_a_word_file_keeps_headings_lists_and_tables(tmp_path: Path) -> None:
    read = document(tmp_path, "trees.docx", _docx())

    assert read.title == "Trees"
    assert outline(read) == [
        ("heading", 1, "# Trees"),
        ("heading", 1, "# Growing"),
        ("paragraph", 0, "They grow slowly."),
        ("item", 1, "- Oak"),
        ("item", 1, "- Birch"),
        ("table", 0, "| Tree | Age |\n|---|---|\n| Oak | 500 |"),
    ]
    check_blocks(read)


def _zip(**entries: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/") + ".xml", content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04 not whole", "is no whole Word file"),
        (_zip(other=b"x"), "no Word file"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "encrypted"),
        (_zip(**{"[Content_Types]": b"x", "word__document": b"\0" * 40_000_000}), "zip bomb"),
        (_zip(**{"[Content_Types]": b"x", "word__document": b"<w:document"}), "damaged"),
    ],
)
def test_a_word_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(ReadError, match=says) as failure:
        document(tmp_path, "x.docx", content)
    assert str(failure.value).startswith("x.docx ")
    assert "\n" not in str(failure.value)


def _notebook(*cells: dict[str, object]) -> str:
    return json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def _code(source: str, *outputs: dict[str, object]) -> dict[str, object]:
    return {
        "cell_type": "code",
        "id": "a",
        "execution_count": 1,
        "metadata": {},
        "source": source,
        "outputs": list(outputs),
    }


def test_a_notebook_is_its_markdown_its_code_and_its_short_output(tmp_path: Path) -> None:
    printed = {"output_type": "stream", "name": "stdout", "text": ["\x1b[31m0.93\x1b[0m\n"]}
    plot = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "<Figure size 640x480 with 1 Axes>"}}
    log = {"output_type": "stream", "name": "stdout", "text": "epoch\n" * 400}
    cell = {"cell_type": "markdown", "id": "b", "metadata": {}, "source": ["# Trees\n", "\n", "- one\n"]}
    read = document(tmp_path, "n.ipynb", _notebook(cell, _code("score()", printed, plot, log)))

    assert read.title == "Trees"
    assert outline(read) == [
        ("heading", 1, "# Trees"),
        ("item", 1, "- one"),
        ("code", 0, "```python\nscore()\n```"),
        ("code", 0, "```text\n0.93\n```"),
    ]


def test_a_broken_notebook_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"n\.ipynb is no whole notebook"):
        document(tmp_path, "n.ipynb", '{"cells": [')


RST = """
.. _trees:

=====
Trees
=====

.. currentmodule:: sklearn.tree

A :class:`~sklearn.tree.Tree` splits data; see :ref:`growing` and :func:`fit <x.fit>`. It is ``fast``,
:math:`O(n)`.

.. math::

   y = x

.. _growing:

Growing
=======

.. note::

   Slowly.

* one

  * inner

.. list-table::
   :header-rows: 1

   * - A
     - B
   * - 1
     - 2

.. rubric:: References

.. dropdown:: Details

   Hidden text.

   >>> 1 + 1
   2

.. toctree::

   other

.. unheard-of:: argument
   :option: x

   What it holds.
"""


def test_restructured_text_is_read_with_sphinxs_roles_and_directives(tmp_path: Path) -> None:
    read = document(tmp_path, "trees.rst", RST)

    assert outline(read) == [
        ("heading", 1, "# Trees"),
        ("paragraph", 0, "A Tree splits data; see Growing and fit. It is `fast`, $O(n)$."),
        ("paragraph", 0, "$$\ny = x\n$$"),
        ("heading", 2, "## Growing"),
        ("paragraph", 0, "Note: Slowly."),
        ("item", 1, "- one"),
        ("item", 2, "- inner"),
        ("table", 0, "| A | B |\n|---|---|\n| 1 | 2 |"),
        ("heading", 3, "### References"),
        ("heading", 3, "### Details"),
        ("paragraph", 0, "Hidden text."),
        ("code", 0, "```python\n>>> 1 + 1\n2\n```"),
        ("paragraph", 0, "What it holds."),
    ]
    check_blocks(read)


def test_restructured_text_reads_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("hidden words")
    read = document(
        tmp_path, "a.rst", "Title\n=====\n\nText.\n\n.. include:: secret.txt\n\n.. literalinclude:: secret.txt\n"
    )

    assert read.text == "# Title\n\nText."


def test_a_glossarys_terms_stand_with_their_meaning(tmp_path: Path) -> None:
    read = document(
        tmp_path, "g.rst", "G\n=\n\n.. glossary::\n\n   epoch\n   epochs\n      One pass.\n\n   loss\n      An error.\n"
    )

    assert texts(read, "item") == ["- epoch, epochs: One pass.", "- loss: An error."]


@pytest.mark.parametrize(("delimiter", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab")])
def test_a_csv_is_one_table_with_its_header(tmp_path: Path, delimiter: str, name: str) -> None:
    rows = [["Role", "Pay"], ["ML engineer", "$148K"], ["Data | scientist", "120"]]
    read = document(tmp_path, f"pay_{name}.csv", "\n".join(delimiter.join(row) for row in rows))

    assert read.title == f"Pay {name}"
    assert read.text == "| Role | Pay |\n|---|---|\n| ML engineer | $148K |\n| Data \\| scientist | 120 |"
    assert read.text[: read.blocks[0].header_end] == "| Role | Pay |\n|---|---|"


def test_a_csv_that_begins_with_figures_has_no_header(tmp_path: Path) -> None:
    read = document(tmp_path, "a.csv", "1,2\n3,4\n")

    assert kinds(read) == ["table"]
    assert labels(read) == []
    assert read.blocks[0].header_end == 0


TAGS = """div p ul ol li table tr td th span b a section article dl dt dd pre code blockquote h1 h2 summary details
    figure form header main nav br caption tbody thead em center label""".split()
PARTS = st.one_of(
    st.sampled_from(TAGS).map(lambda tag: f"<{tag}>"),
    st.sampled_from(TAGS).map(lambda tag: f"</{tag}>"),
    st.just("<!-- c -->"),
    st.just("word"),
)


@settings(max_examples=300)
@given(st.lists(PARTS, max_size=40))
def test_however_elements_lie_in_each_other_no_word_of_a_page_is_lost(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    page = "".join(f" {part}{i}z " if part == "word" else part for i, part in enumerate(parts))
    read = document(tmp_path_factory.getbasetemp(), "any.html", f"<p>wordfirst</p>{page} wordlast")

    check_blocks(read)
    assert sorted(re.findall(r"word\w+", read.text)) == sorted(re.findall(r"word\w+", f"wordfirst{page} wordlast"))


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 300 + "<p>inner</p>" + "</div>" * 300 + "<p>after</p>",
        "<div>" * 2000 + "<p>inner</p>" + "</div>" * 2000 + "<p>after</p>",
        "<p>" + "<span>" * 2000 + "inner" + "</span>" * 2000 + "<p>after</p>",
        "<ul>" + "<li>x" * 10_000 + "<li>inner</ul>after",
        "<ul><li>x" * 900 + "inner after",
        "<table><tr><td>x" * 500 + "inner" + "</td></tr></table>" * 500 + "after",
        "<ul>inner<li>x</li><!-- c -->after</ul>",
        "<dl><dt>inner<dt>x<dd>y<dt>after</dl>",
        "<table><caption>inner</caption><tr><td>1<td>2<tr><td>3<td>4</table>after",
    ],
)
def test_a_page_that_is_deep_or_left_open_is_read_to_its_end(tmp_path: Path, page: str) -> None:
    text = document(tmp_path, "deep.html", page).text

    assert "inner" in text
    assert "after" in text


def test_a_page_too_deep_for_its_parser_is_named_and_not_cut(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"deep\.html is too large or too deeply nested"):
        document(tmp_path, "deep.html", "<p>before</p>" + "<div>" * 5000 + "inner")


def test_a_section_named_after_its_heading_is_no_part_of_the_site(tmp_path: Path) -> None:
    page = '<h1>A</h1><section id="related-work"><h2>Related work</h2><p>Text.</p></section><div id="comments">Hi</div>'

    assert kinds(document(tmp_path, "a.html", page)) == ["heading", "heading", "paragraph", "furniture"]


def test_halves_of_characters_are_joined_or_replaced(tmp_path: Path) -> None:
    cell = '{"cell_type": "markdown", "id": "b", "metadata": {}, "source": "# A\\n\\nHalf \\ud83d of it."}'
    read = document(tmp_path, "n.ipynb", f'{{"cells": [{cell}], "metadata": {{}}, "nbformat": 4, "nbformat_minor": 5}}')

    assert read.text == "# A\n\nHalf \ufffd of it."
    assert read.repairs == {"halves of characters mended": 1}
    check_blocks(read)
