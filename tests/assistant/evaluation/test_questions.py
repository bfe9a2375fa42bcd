from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.evaluation.questions import Evidence, Question, place, read, same_document, write
from ingest.errors import FootnoteError

SHIPPED = Path(__file__).resolve().parents[3] / "corpus" / "questions.jsonl"
GOOD: dict[str, Any] = {"id": "a", "kind": "fact", "question": "what?", "facts": ["x"]}


def test_the_shipped_set_is_read_whole_and_by_split() -> None:
    everything = read(SHIPPED)
    assert len(everything) == len(read(SHIPPED, "fit")) + len(read(SHIPPED, "test")) >= 240
    follow = next(q for q in everything if q.kind == "follow")
    assert follow.history
    assert follow.facts
    assert follow.evidence[0].quote


texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)


@given(st.lists(texts, max_size=3), texts, texts)
def test_questions_survive_being_written_and_read(
    tmp_path_factory: Any, history: list[str], asked: str, doc: str
) -> None:
    file = tmp_path_factory.mktemp("q") / "q.jsonl"
    question = Question("a", "fact", asked, tuple(history), ("f",), (Evidence(doc, asked, 3, 9),), conflict=True)
    write(file, [question])
    assert read(file) == [question]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        (json.dumps({**GOOD, "question": " "}), "'question' must be a text"),
        (json.dumps({**GOOD, "history": "before"}), "'history' must be a list"),
        (json.dumps({**GOOD, "facts": ["("]}), "not a regular expression"),
        (json.dumps({**GOOD, "facts": []}), "neither evidence nor facts"),
        (json.dumps({**GOOD, "evidence": ["a.md"]}), "must name its 'document'"),
        (json.dumps({**GOOD, "kind": "none", "evidence": [{"document": "a.md", "quote": "x"}]}), "no evidence"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_its_number(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(json.dumps({**GOOD, "id": "first"}) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(FootnoteError, match="line 2") as error:
        read(file)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_two_questions_with_one_id_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(2 * (json.dumps(GOOD) + "\n"), encoding="utf-8")
    with pytest.raises(FootnoteError, match="two questions with the id 'a'"):
        read(file)


def test_a_split_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(FootnoteError, match="it has fit, test"):
        read(SHIPPED, "dev")


@pytest.mark.parametrize(
    ("name", "documents", "found"),
    [
        ("guides/x.md", ["guides/x.md", "x.md"], "guides/x.md"),
        ("guides/x.md", ["x.md", "y.md"], "x.md"),
        ("x.md", ["corpus/guides/x.md"], "corpus/guides/x.md"),
        ("guides/x.md", ["other/x.md", "xx.md"], None),
    ],
)
def test_a_document_is_known_by_the_end_of_its_path(name: str, documents: list[str], found: str | None) -> None:
    assert same_document(name, documents) == found


def test_evidence_is_placed_to_the_character_whatever_the_white_space() -> None:
    text = "# X\n\nOne two\nthree four. Five."
    asked = [
        Question("a", "fact", "?", evidence=(Evidence("guides/x.md", "two three"), Evidence("guides/x.md", "Five.")))
    ]
    (placed,), missing = place(asked, ["x.md"], {"x.md": text}.__getitem__)
    assert missing == []
    assert [text[e.start : e.end] for e in placed.evidence] == ["two\nthree", "Five."]
    assert placed.evidence[0].document == "x.md"


def test_evidence_without_a_quote_is_the_whole_document_and_what_is_missing_is_named() -> None:
    asked = [
        Question("a", "fact", "?", evidence=(Evidence("x.md"), Evidence("x.md", "nowhere"), Evidence("y.md", "z")))
    ]
    (placed,), missing = place(asked, ["x.md"], {"x.md": "text"}.__getitem__)
    assert (placed.evidence[0].start, placed.evidence[0].end) == (0, 4)
    assert [e.start for e in placed.evidence[1:]] == [-1, -1]
    assert len(missing) == 2
    assert "nowhere" in missing[0]
    assert "y.md is not in the library" in missing[1]
