from __future__ import annotations

from pathlib import Path

from tests.ingest.reading import check_blocks, document, kinds, labels, outline, texts

GUIDE = """---
title: "Dropout, explained"
tags: [a]
---
# Dropout {#dropout}

Some *text* on
two lines.

- one
  - inner
- two

  more of two

  ```python
  x = 1
  ```

| A | B |
|---|---|
| 1 | 2 |

$$
y
= x
$$

<!-- a note to
nobody -->

## [**Training**]
:label:`sec_training`

> quoted

[ref]: http://example.org
"""


def test_markdown_keeps_its_text_and_every_block_is_found(tmp_path: Path) -> None:
    read = document(tmp_path, "dropout.md", GUIDE)

    assert read.text == GUIDE
    assert read.title == "Dropout, explained"
    assert labels(read) == [(1, "Dropout"), (2, "Training")]
    assert outline(read) == [
        ("front_matter", 0, '---\ntitle: "Dropout, explained"\ntags: [a]\n---'),
        ("heading", 1, "# Dropout {#dropout}"),
        ("paragraph", 0, "Some *text* on\ntwo lines."),
        ("item", 1, "- one"),
        ("item", 2, "- inner"),
        ("item", 1, "- two\n\n  more of two"),
        ("code", 0, "```python\n  x = 1\n  ```"),
        ("table", 0, "| A | B |\n|---|---|\n| 1 | 2 |"),
        ("paragraph", 0, "$$\ny\n= x\n$$"),
        ("furniture", 0, "<!-- a note to\nnobody -->"),
        ("heading", 2, "## [**Training**]"),
        ("furniture", 0, ":label:`sec_training`"),
        ("paragraph", 0, "> quoted"),
        ("furniture", 0, "[ref]: http://example.org"),
    ]
    check_blocks(read)


def test_a_tables_header_ends_behind_its_line_of_dashes(tmp_path: Path) -> None:
    read = document(tmp_path, "t.md", "| A | B |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |\n")

    table = read.blocks[0]
    assert read.text[table.start : table.header_end] == "| A | B |\n|---|:-:|"


def test_what_jsx_and_svelte_add_is_furniture_and_what_they_wrap_is_read(tmp_path: Path) -> None:
    source = (
        'import Tip from "./tip"\nexport const frontmatter = {\n  title: "BPE",\n};\n\n# BPE[[bpe]]\n\n'
        '<CourseFloatingBanner chapter={6}\n  notebooks={[\n    {label: "Colab > x", value: "y"},\n]} />\n\n'
        "{#if fw === 'pt'}\n\n<Tip warning={true}>\n\nMind the **gap**.\n\n</Tip>\n\n{/if}\n\n"
        '```py\nimport this from "here"\n```\n'
    )
    read = document(tmp_path, "bpe.mdx", source)

    assert read.title == "BPE"
    assert labels(read) == [(1, "BPE")]
    assert texts(read, "paragraph") == ["Mind the **gap**."]
    assert texts(read, "code") == ['```py\nimport this from "here"\n```']
    assert len(texts(read, "furniture")) == 6
    check_blocks(read)


def test_an_import_in_plain_markdown_is_a_sentence(tmp_path: Path) -> None:
    read = document(tmp_path, "a.md", "import duties from abroad are high\n")

    assert kinds(read) == ["paragraph"]


def test_a_box_heading_does_not_open_a_chapter(tmp_path: Path) -> None:
    read = document(tmp_path, "a.qmd", "# A\n\n## B\n\n::: {.callout-tip}\n# Mind this\n\nText.\n:::\n\nMore.\n")

    assert labels(read) == [(1, "A"), (2, "B"), (3, "Mind this")]


def test_a_ruler_under_a_long_paragraph_makes_no_heading(tmp_path: Path) -> None:
    read = document(tmp_path, "a.md", "word " * 30 + "end.\n---\n\nTitle\n=====\n\nText.\n")

    assert labels(read) == [(1, "Title")]
    assert kinds(read) == ["paragraph", "furniture", "heading", "paragraph"]


def test_questions_of_an_faq_and_questions_with_a_short_answer_are_questions(tmp_path: Path) -> None:
    source = (
        "# Guide\n\n## What is ML?\n\n" + "Long. " * 400 + "\n\n## Why?\n\nBecause.\n\n"
        "## FAQ\n\n### Do I need a GPU?\n\n" + "No. " * 500 + "\n\n**Is it free?**\n\nYes.\n\n## End\n\nBye.\n"
    )
    read = document(tmp_path, "a.md", source)

    found = [(block.kind, block.label) for block in read.blocks if block.label]
    assert found == [
        ("heading", "Guide"),
        ("heading", "What is ML?"),
        ("question", "Why?"),
        ("heading", "FAQ"),
        ("question", "Do I need a GPU?"),
        ("question", "Is it free?"),
        ("heading", "End"),
    ]


def test_a_table_of_contents_of_anchors_is_furniture(tmp_path: Path) -> None:
    read = document(tmp_path, "a.md", "Table of Contents:\n\n- [One](#one)\n    - [Two](#two)\n\n# One\n\nText.\n")

    assert kinds(read) == ["furniture"] * 3 + ["heading", "paragraph"]


def test_a_link_in_a_list_of_other_things_stays_an_item(tmp_path: Path) -> None:
    read = document(tmp_path, "a.md", "# A\n\n- two of them:\n  - [SGD](#sgd)\n      (the Nesterov kind)\n  - Adam\n")

    assert texts(read, "item") == ["- two of them:", "- [SGD](#sgd)\n      (the Nesterov kind)", "- Adam"]
