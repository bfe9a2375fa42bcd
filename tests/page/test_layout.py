"""Answers are laid out by whole units, and what they quote is drawn as the guide has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assistant.footnotes import Draft
from assistant.page.layout import blocks, code_around, tokens
from assistant.records import Answer, Cite, Passage, Request, Text
from assistant.retrieve import as_passage
from assistant.writers.quotes import Quotes
from ingest.chunks import chunk
from ingest.documents import Document, read
from tests.fakes import BagOfWords

Evidence = dict[str, float]  # words of a unit -> the chance that it answers

LIST = """# Why models fail

- **Overfitting.** The model learns its training data by heart, noise and all.
- **Leakage.** What it learns from holds the answer. It will not have it later.
- Drift.
"""
TABLE = """# Honey

| Honey | Month | Water |
|---|---|---|
| Acacia | May | 17 % |
| Linden | July | 18 % |
| Heather | September | 21 % |
"""
CODE = """# Training

Train it like this:

```python
import torch

model = torch.nn.Linear(2, 1)  # two in, one out
print("done", 42)
```
"""


def guide(folder: Path, text: str, name: str = "guide.md") -> Passage:
    """The guide's first passage, as ingest makes it."""
    (folder / name).write_text(text, encoding="utf-8")
    document: Document = read(folder / name)
    return as_passage(chunk(document, BagOfWords().token_counts)[0], 0.9)


def answer_of(question: str, evidence: Evidence, *passages: Passage) -> Answer:
    """What the quoting writer makes of these passages, proved."""
    chances = tuple(
        tuple(
            max(
                (c for words, c in evidence.items() if words in p.text[u.start - p.start : u.end - p.start]),
                default=0.0,
            )
            for u in p.units
        )
        for p in passages
    )
    draft = Draft(passages)
    for event in Quotes().write(Request(question, passages, evidence=chances)):
        if isinstance(event, Text):
            draft.add(event.text)
        elif isinstance(event, Cite):
            draft.cite(event)
    draft.finished(everything=True)
    return Answer(question, "answered", tuple(draft.sentences), passages)


def said(answer: Answer, block: dict[str, Any]) -> str:
    return " ".join(answer.sentences[number].text for number in block["of"])


def test_a_bullet_with_two_sentences_stays_one_bullet(tmp_path: Path) -> None:
    answer = answer_of("Why do models fail?", {"Overfitting": 0.9}, guide(tmp_path, LIST))
    assert len(answer.sentences) > 3, "the writer hands it over sentence by sentence"
    [drawn] = [block for block in blocks(answer) if block["kind"] == "list"]
    whole = [said(answer, item) for item in drawn["items"]]
    assert whole[0] == "- Overfitting. The model learns its training data by heart, noise and all."
    assert whole[1] == "- Leakage. What it learns from holds the answer. It will not have it later."
    first = drawn["items"][0]
    assert answer.sentences[first["of"][0]].text[first["skip"] :] == "Overfitting."


def test_rows_of_one_table_are_one_table_under_its_header(tmp_path: Path) -> None:
    passage = guide(tmp_path, TABLE)
    answer = answer_of("Which months are they harvested in?", {"Acacia": 0.9, "Linden": 0.8, "Heather": 0.7}, passage)
    [drawn] = blocks(answer)
    assert drawn["kind"] == "table"
    assert drawn["header"] == "| Honey | Month | Water |"
    assert [row["text"] for row in drawn["rows"]] == [
        "| Acacia | May | 17 % |",
        "| Linden | July | 18 % |",
        "| Heather | September | 21 % |",
    ]
    assert all(row["text"] in passage.text for row in drawn["rows"]), "as the guide has them"


def test_a_block_of_code_arrives_whole_whatever_part_of_it_was_quoted(tmp_path: Path) -> None:
    passage = guide(tmp_path, CODE)
    answer = answer_of("Which import does the code need?", {"import torch": 0.9}, passage)
    drawn = next(block for block in blocks(answer) if block["kind"] == "code")
    inside = CODE[CODE.index("import") : CODE.rindex("\n```")]
    assert drawn["text"] == inside
    start = CODE.index("model =")
    assert code_around(CODE, start, start + 5) == (inside, "python")
    assert code_around(CODE, 0, 5) is None, "what stands before a block is not in it"
    longer = "import os\n" + inside
    assert blocks(answer, lambda note: (longer, "python"))[-1]["text"] == longer, "the guide has more of it"


def test_code_is_coloured_and_stays_the_code_to_the_character() -> None:
    code = 'def f(x):\n\treturn x  # "so"\n\n'
    found = tokens(code, "python")
    assert "".join(text for _, text in found) == code
    assert ("k", "def") in found
    assert ("c", '# "so"') in found
    assert tokens("naturally this is prose") == [("", "naturally this is prose")]
    assert tokens("x", "no-such-language") == [("", "x")]


def test_in_a_conflict_of_four_guides_every_sentence_stays_in_its_guides_card(tmp_path: Path) -> None:
    weights = {"North": "30 kg. The bees need it", "South": "18 kg. Winters are mild", "East": "40 kg", "West": "22 kg"}
    passages = [
        guide(tmp_path, f"# Hives in the {name}\n\n- A hive weighs {weight} there.\n", f"{name}.md")
        for name, weight in weights.items()
    ]
    answer = answer_of("How many kg does a hive weigh?", {"hive weighs": 0.9}, *passages)
    [drawn] = blocks(answer)
    cards = {card["guide"]: said(answer, card) for card in drawn["sides"]}
    assert list(cards) == [f"Hives in the {name}" for name in weights]
    for name, weight in weights.items():
        assert weight in cards[f"Hives in the {name}"]


def test_what_another_section_says_is_another_paragraph(tmp_path: Path) -> None:
    one = guide(tmp_path, "# There\n\nThe queen there lays 2,000 eggs a day. She lives long there.\n", "there.md")
    two = guide(tmp_path, "# Here\n\nWorkers here build combs of wax. They fly out for nectar.\n", "here.md")
    answer = answer_of("Tell me of the queen", {"there": 0.9, "here build": 0.8, "fly": 0.8}, one, two)
    assert [block["kind"] for block in blocks(answer)] == ["prose", "prose"]
    numbers = [number for block in blocks(answer) for number in block["of"]]
    assert numbers == list(range(len(answer.sentences))), "every sentence once, in order"


def test_a_guide_that_is_named_alone_is_a_line_as_any_other(tmp_path: Path) -> None:
    passage = guide(tmp_path, "# Hives\n\nA hive weighs 30 kg.\n")
    draft = Draft([passage])
    draft.add("- Hives: A hive weighs 30 kg.")
    draft.cite(Cite(((0, len(passage.units) - 1),)))
    draft.finished(everything=True)
    [drawn] = blocks(Answer("q", "answered", tuple(draft.sentences), (passage,)))
    assert drawn["kind"] == "list"


def test_a_models_own_table_keeps_its_own_header() -> None:
    lines = ["| Kind | Use |", "|---|---|", "| CNN | images |"]
    draft = Draft([])
    draft.add("\n".join(lines))
    draft.finished(everything=True)
    answer = Answer("q", "answered", tuple(draft.sentences), model="claude")
    [drawn] = blocks(answer)
    assert (drawn["header"], [row["text"] for row in drawn["rows"]]) == (lines[0], [lines[2]])
