from __future__ import annotations

from pathlib import Path

import pytest

from tests.ingest.reading import check_blocks, document, kinds, labels, outline, texts

GUIDES = Path(__file__).parents[3].parent / "shared" / "guides"

SAVED = """export const frontmatter = { title: "Trees, in short", keywords: ["a"], };
🔥 2,000 words
⏱ ~10 min read
🐍 Code included
Trees
Decision trees split the data again and again until every leaf is pure enough to be useful.
How Trees Learn
Three things are decided:
- Which feature to split on
- Where to split it
# A tree in a few lines
from sklearn.tree import DecisionTreeClassifier
tree = DecisionTreeClassifier(
max_depth=3,
min_samples_leaf=5
)
for name, weight in zip(names, tree.feature_importances_):
print(f"{name}: {weight:.2f}")
PYTHONBoosting & Bagging
Boosting adds trees one after the other, each of which mends what those before it got wrong.
| Method | Trees |
|---|---|
| Bagging | side by side |
import xgboost as xgb
model = xgb.XGBClassifier()
PYTHON
Frequently Asked Questions
Do I need to scale features?
No. A split only asks whether a value is larger than another, so scale does not matter.
Are trees fast?
Yes, on tabular data they train in seconds, and they need no special hardware for it.
Conclusion
Start with trees. They are hard to beat on tables, and easy to explain to other people.
© 2026 Somebody. All rights reserved.
decision trees
random forest
boosting
tabular data
"""


def test_a_text_saved_from_a_web_page_gets_its_structure_back(tmp_path: Path) -> None:
    read = document(tmp_path, "trees.txt", SAVED)

    assert read.title == "Trees, in short"
    assert read.repairs == {"headings parted from a code label": 1}
    assert [(kind, level, text.split("\n")[0][:30]) for kind, level, text in outline(read)] == [
        ("front_matter", 0, "export const frontmatter = { t"),
        ("furniture", 0, "🔥 2,000 words"),
        ("heading", 1, "Trees"),
        ("paragraph", 0, "Decision trees split the data "),
        ("heading", 2, "How Trees Learn"),
        ("paragraph", 0, "Three things are decided:"),
        ("item", 1, "- Which feature to split on"),
        ("item", 1, "- Where to split it"),
        ("code", 0, "# A tree in a few lines"),
        ("furniture", 0, "PYTHON"),
        ("heading", 2, "Boosting & Bagging"),
        ("paragraph", 0, "Boosting adds trees one after "),
        ("table", 0, "| Method | Trees |"),
        ("code", 0, "import xgboost as xgb"),
        ("furniture", 0, "PYTHON"),
        ("heading", 2, "Frequently Asked Questions"),
        ("question", 3, "Do I need to scale features?"),
        ("paragraph", 0, "No. A split only asks whether "),
        ("question", 3, "Are trees fast?"),
        ("paragraph", 0, "Yes, on tabular data they trai"),
        ("heading", 2, "Conclusion"),
        ("paragraph", 0, "Start with trees. They are har"),
        ("furniture", 0, "© 2026 Somebody. All rights re"),
    ]
    check_blocks(read)


def test_code_without_indentation_is_kept_line_by_line(tmp_path: Path) -> None:
    read = document(tmp_path, "trees.txt", SAVED)

    code = texts(read, "code")[0]
    assert code in SAVED
    assert code.endswith('print(f"{name}: {weight:.2f}")')


def test_prose_that_begins_like_code_stays_prose(tmp_path: Path) -> None:
    lines = [
        "import duties are paid at the border.",
        "Accuracy (or the share of right answers) says little here.",
        "for everyone who is new to this, a word of warning:",
        "git is a tool for keeping versions of text.",
        "return policy and warranty are described elsewhere.",
    ]
    read = document(tmp_path, "prose.txt", "\n".join(lines))

    assert "code" not in kinds(read)


def test_two_blank_lines_numbers_and_lone_headings_give_the_levels(tmp_path: Path) -> None:
    text = "The Whole Story of Trees\n\n\n"
    for chapter in ("What Is a Tree?", "How to Grow One", "How to Prune One"):
        text += f"{chapter}\n\nA chapter begins with a sentence such as this one, to be a chapter.\n\n"
        text += "Steps in Detail\n\nStep 1: Begin\n\nWhat is done first is described here in full.\n\n"
        text += "Step 2: End\n\nAnd what is done last is described here, in full as well.\n\nExamples:\n\n"
        text += "  • Oak: an old one.\n\n    • Roots: deep ones.\n\n  • Birch: a white one.\n\n\n"
    read = document(tmp_path, "levels.txt", text)

    assert labels(read)[:6] == [
        (1, "The Whole Story of Trees"),
        (2, "What Is a Tree?"),
        (3, "Steps in Detail"),
        (4, "Step 1: Begin"),
        (4, "Step 2: End"),
        (5, "Examples"),
    ]
    assert [level for kind, level, _ in outline(read) if kind == "item"][:3] == [1, 2, 1]


def test_as_many_headings_stand_below_as_the_sentence_above_them_promises(tmp_path: Path) -> None:
    text = (
        "Deep and Shallow\nThe field has two halves, and this page is about where they part.\nHow They Differ\n"
        "The differences come down to two things:\nData\nOne needs much of it, the other is content with a little.\n"
        "Compute\nOne needs graphics cards, the other runs on whatever there is.\n"
        "When to Use Which\nUse the simple one first, and the other where it fails you.\n"
    )
    read = document(tmp_path, "a.txt", text)

    assert [level for level, _ in labels(read)] == [1, 2, 3, 3, 2]


def test_lines_that_were_wrapped_are_one_paragraph(tmp_path: Path) -> None:
    text = (
        "A HEADING\n\nThis is a paragraph that somebody wrapped at sixty characters\nand that goes on over\n"
        "three more lines of the file until it\nis over at last.\n\nAnother one that was wrapped this way, by the\n"
        "same person, on the same day, with the\nsame editor.\n"
    )
    read = document(tmp_path, "wrapped.txt", text)

    assert kinds(read) == ["heading", "paragraph", "paragraph"]


def test_bullets_on_a_line_of_their_own_are_joined_to_their_text(tmp_path: Path) -> None:
    read = document(
        tmp_path, "b.txt", "Things to know about it all, in order:\n\n•\n\nFirst thing.\n\n•\nSecond thing.\n"
    )

    assert texts(read, "item") == ["• First thing.", "• Second thing."]
    assert read.repairs == {"bullets joined to their text": 2}


def test_columns_between_tabs_are_a_table(tmp_path: Path) -> None:
    read = document(
        tmp_path, "t.txt", "What it costs, by size and by year:\n\nSize\tYear\tCost\n7B\t2024\t$10\n70B\t2025\t$500\n"
    )

    assert texts(read, "table") == ["Size\tYear\tCost\n7B\t2024\t$10\n70B\t2025\t$500"]
    assert read.text[read.blocks[1].start : read.blocks[1].header_end] == "Size\tYear\tCost"


def test_a_text_that_is_markdown_is_read_as_markdown(tmp_path: Path) -> None:
    read = document(tmp_path, "a.txt", "# A\n\n## B\n\nText *x*.\n\n## C\n\n```\n# no heading\n```\n")

    assert labels(read) == [(1, "A"), (2, "B"), (2, "C")]


def test_a_file_named_by_a_machine_is_called_by_its_first_heading(tmp_path: Path) -> None:
    text = "The first paragraph has no heading above it, as on some pages.\nThe Big Picture\nAnd then it goes on.\n"

    assert document(tmp_path, "002_f9772a25146ea2d7.txt", text).title == "The Big Picture"


@pytest.mark.skipif(not GUIDES.is_dir(), reason="the five guides are not beside this checkout")
def test_the_five_guides_come_out_as_a_careful_human_would_type_them() -> None:
    from ingest.documents import read

    read_guides = [read(path) for path in sorted(GUIDES.glob("*.txt"))]
    for guide in read_guides:
        check_blocks(guide)
    assert [kinds(guide).count("table") for guide in read_guides] == [
        guide.text.count("\n|---") for guide in read_guides
    ]
    assert [kinds(guide).count("code") for guide in read_guides] == [0, 0, 2, 25, 0]
    assert [kinds(guide).count("question") for guide in read_guides] == [7, 0, 0, 6, 6]
    assert all(
        guide.text[b.start : b.end].startswith("|") for guide in read_guides for b in guide.blocks if b.header_end
    )
    assert not any(line.startswith(("PYTHON", "BASH")) and len(line) > 6 for line in read_guides[3].text.split("\n"))
    assert "\u0e42" not in read_guides[2].text


@pytest.mark.parametrize(
    "line",
    [
        "Posted on Kaggle in 2019, the data set has 1,460 houses.",
        "Sales agents earn a commission of 5 % on each house that they sell.",
        "Categories such as colour need one-hot encoding.",
        "Category encoders replace a word by a number.",
        "Tags mark what a word is.",
        "Tags: the parser adds them. It is fast.",
        "Share on this disk was the bottleneck.",
        "Recent articles show gains of 5 %.",
        "(c) 2019 saw the release of GPT-2.",
        "Copyright 2019 rules changed what may be scraped.",
        "Leave a comment out and the parser fails.",
        "5 min read is what most people spend on it.",
        "Affiliate links in e-mails are a sign of spam.",
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html"])
def test_a_sentence_that_begins_like_a_pages_own_line_is_text(tmp_path: Path, line: str, name: str) -> None:
    read = document(tmp_path, name, f"<p>{line}</p>" if name == "a.html" else line + "\n")

    assert "furniture" not in kinds(read)
    assert not read.counted


@pytest.mark.parametrize(
    "line",
    [
        "Tags: machine learning, python",
        "Filed under Data Science",
        "Posted by John Smith on March 3, 2021 at 10:00 am",
        "Posted in Machine Learning, Python",
        "Copyright © 2019-2024 Google LLC. All rights reserved.",
        "© 2026 Somebody",
        "We may earn a commission when you buy through our links.",
        "Disclosure: some links are affiliate links and earn us money.",
        "Share on Facebook",
        "Facebook Twitter LinkedIn",
        "10-minute read · March 2024",
        "Last updated on May 3, 2024",
        "Leave a Reply",
    ],
)
def test_a_line_that_is_the_pages_own_is_set_aside_and_counted(tmp_path: Path, line: str) -> None:
    read = document(tmp_path, "a.md", f"# A\n\nText.\n\n{line}\n")

    assert texts(read, "furniture") == [line]
    assert read.counted == {"lines set aside as page furniture": 1}
