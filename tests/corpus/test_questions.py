"""The question set: every field, every quote in its guide, no near copies, nothing answerable among the unanswerable.

Run by itself: pytest tests/corpus/test_questions.py
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ingest.documents import read

CORPUS = Path(__file__).parents[2] / "corpus"
QUESTIONS: list[dict[str, Any]] = [
    json.loads(line) for line in (CORPUS / "questions.jsonl").read_text(encoding="utf-8").splitlines()
]
GUIDES = sorted(f"guides/{path.name}" for path in (CORPUS / "guides").iterdir())
STYLES = ("define", "why", "choose", "versus", "debug", "fragment", "slip")
ALONE = ("fact", "list", "table", "code", "how", "compare", *STYLES)
ANSWERABLE = (*ALONE, "follow", "turn")
FIELDS = ["id", "kind", "question", "history", "facts", "evidence", "split"]
OPTIONAL = {
    "also": set(ANSWERABLE),
    "conflict": {"compare"},
    "near": {"none"},
    "absent": {"none"},
    "language": {"none"},
}
OLDER = 323  # questions that stood here before the newer ones were written, on 21 November 2026
SAME_WORDS = 0.6  # Jaccard of the content words of two questions, histories included
SAME_LETTERS = 0.8  # difflib's ratio of the two texts in lower case
STOP = set(
    "a an and any are as at be by can could did do does down for from get go had has have how i if in into is it its "
    "let like me much many more most my no not of on one or out shall should so than that the their them then there "
    "these they this those to up use used was we were what when where which who why will with would you your".split()
)
LEANS = re.compile(  # the ways in which a question leans on an earlier one
    r"^(and|what if|why not|with how)\b|\b(it|its|that|those|them|these|this|there|one|other)\b", re.IGNORECASE
)


def of_kind(*kinds: str) -> list[Any]:
    return [pytest.param(question, id=question["id"]) for question in QUESTIONS if question["kind"] in kinds]


def asked(question: dict[str, Any]) -> str:
    return " ".join([*question["history"], question["question"]]).lower()


def content(text: str) -> set[str]:
    """Content words without a plural's s, cut to six letters so that endings meet."""
    return {word.rstrip("s")[:6] for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in STOP}


@functools.cache
def guide(document: str) -> str:
    """The canonical text, as footnotes quote it."""
    return read(CORPUS / document).text


@functools.cache
def blocks(document: str) -> list[str]:
    """Each paragraph, list item, table row and code block, under its heading."""
    found, heading = [], ""
    for part in re.findall(r"```[\s\S]*?```|(?:^[^\n`].*\n?)+", guide(document), re.MULTILINE):
        for block in [part] if part.startswith("```") else split_block(part):
            if block.startswith("#"):
                heading = block
            found.append(f"{heading}\n{block}")
    return found


def split_block(part: str) -> list[str]:
    return part.splitlines() if re.match(r"\||- |\d+\. |#", part) else part.split("\n\n")


@functools.cache
def paragraphs() -> list[tuple[str, str]]:
    """Guide and paragraph: what somebody who drew at random would get."""
    parts = ((name, part.strip()) for name in GUIDES for part in re.split(r"\n\s*\n", guide(name)))
    return [(name, part) for name, part in parts if len(part.split()) >= 4]


def holds(paragraph: str, quote: str) -> bool:
    """Whether the paragraph holds the quote, or a line of it: quotes may run over several paragraphs."""
    return quote in paragraph or any(line in paragraph for line in quote.split("\n") if len(line) > 15)


def passages_with(patterns: list[str]) -> list[str]:
    return [
        block for name in GUIDES for block in blocks(name) if all(re.search(p, block, re.IGNORECASE) for p in patterns)
    ]


def test_ids_are_unique_and_begin_with_the_guide_or_the_kind() -> None:
    ids = [question["id"] for question in QUESTIONS]
    assert len(set(ids)) == len(ids)
    for question in QUESTIONS:
        prefixes = {f"{Path(found['document']).stem}-{question['kind']}" for found in question["evidence"]}
        assert re.sub(r"-\d+$", "", question["id"]) in prefixes | {question["kind"]}


@pytest.mark.parametrize("question", of_kind(*ANSWERABLE, "none"))
def test_every_question_has_its_fields_and_no_others(question: dict[str, Any]) -> None:
    assert [name for name in question if name not in OPTIONAL] == FIELDS
    assert all(question["kind"] in OPTIONAL[name] for name in question if name in OPTIONAL)
    assert question["split"] in {"fit", "test"}
    assert question["question"].strip() == question["question"] != ""
    assert all(isinstance(earlier, str) and earlier for earlier in question["history"])
    assert isinstance(question.get("conflict", False), bool)
    assert isinstance(question.get("near", False), bool)


@pytest.mark.parametrize("question", of_kind(*ANSWERABLE))
def test_every_quote_stands_once_in_its_guide(question: dict[str, Any]) -> None:
    assert question["evidence"]
    for found in question["evidence"] + question.get("also", []):
        assert found.keys() == {"document", "quote"}
        assert guide(found["document"]).count(found["quote"]) == 1, found["quote"]


@pytest.mark.parametrize("question", of_kind(*ANSWERABLE))
def test_every_fact_stands_in_the_evidence(question: dict[str, Any]) -> None:
    assert question["facts"]
    for fact in question["facts"]:
        assert any(re.search(fact, found["quote"], re.IGNORECASE) for found in question["evidence"]), fact


@pytest.mark.parametrize("question", of_kind(*ANSWERABLE))
def test_a_quote_that_serves_as_well_is_another_one_and_holds_a_fact(question: dict[str, Any]) -> None:
    for found in question.get("also", []):
        assert found not in question["evidence"]
        assert any(re.search(fact, found["quote"], re.IGNORECASE) for fact in question["facts"]), found["quote"]


@pytest.mark.parametrize("question", of_kind("compare"))
def test_a_comparison_needs_two_guides_and_each_of_its_quotes_adds_a_fact(question: dict[str, Any]) -> None:
    assert isinstance(question["conflict"], bool)
    assert len({found["document"] for found in question["evidence"]}) > 1
    for found in question["evidence"]:
        assert any(re.search(fact, found["quote"], re.IGNORECASE) for fact in question["facts"]), found["quote"]


@pytest.mark.parametrize("question", of_kind("follow"))
def test_a_follow_up_leans_on_its_history_and_the_history_leads_to_the_evidence(question: dict[str, Any]) -> None:
    assert question["history"]
    assert LEANS.search(question["question"]) or len(content(question["question"])) <= 2
    wanted = set()
    for found in question["evidence"]:
        # the block with its heading: what a search would have to find
        wanted |= set().union(*(content(b) for b in blocks(found["document"]) if found["quote"] in b))
    assert (content(" ".join(question["history"])) - content(question["question"])) & wanted


@pytest.mark.parametrize("question", of_kind("turn"))
def test_a_change_of_subject_has_nothing_to_do_with_what_was_asked_before(question: dict[str, Any]) -> None:
    assert question["history"]
    assert not LEANS.search(question["question"])
    assert not content(question["question"]) & content(" ".join(question["history"]))


@pytest.mark.parametrize("question", of_kind(*ALONE))
def test_only_follow_ups_turns_and_unanswerable_ones_have_a_history(question: dict[str, Any]) -> None:
    assert question["history"] == []


@pytest.mark.parametrize("question", of_kind("none"))
def test_what_would_answer_an_unanswerable_question_stands_in_no_passage(question: dict[str, Any]) -> None:
    """`absent`: patterns that an answering passage would have to match all together (subject and kind of answer)."""
    assert question["facts"] == question["evidence"] == []
    assert question["near"] == bool(question.get("absent"))
    if question["near"]:
        assert passages_with(question["absent"]) == []


@pytest.mark.parametrize("question", of_kind("none"))
def test_no_passage_holds_all_the_content_words_of_an_unanswerable_question(question: dict[str, Any]) -> None:
    wanted = content(asked(question))
    assert [block for name in GUIDES for block in blocks(name) if wanted <= content(block)] == []


def test_a_near_miss_shares_words_with_the_guides() -> None:
    vocabulary = set().union(*(content(guide(name)) for name in GUIDES))
    strangers = [q["id"] for q in QUESTIONS if q.get("near") and not content(asked(q)) & vocabulary]
    assert strangers == []


def test_a_paragraph_on_something_else_hardly_ever_has_the_facts_of_an_answer() -> None:
    """The facts of the newer questions; those of the older ones are looser and only fit thresholds."""
    shares = []
    for question in [q for q in QUESTIONS if q["split"] == "test" and q["facts"]]:
        quotes = [found["quote"] for found in question["evidence"] + question.get("also", [])]
        others = [part for _, part in paragraphs() if not any(holds(part, quote) for quote in quotes)]
        passing = [part for part in others if all(re.search(f, part, re.IGNORECASE) for f in question["facts"])]
        shares.append((len(passing) / len(others), question["id"]))
    assert max(shares)[0] <= 0.01, max(shares)


def test_no_two_questions_are_near_copies() -> None:
    every = [(question["id"], asked(question), content(asked(question))) for question in QUESTIONS]
    for at, (one, text, a) in enumerate(every):
        letters = difflib.SequenceMatcher(None, "", text)
        for other, beside, b in every[:at]:
            assert len(a & b) < SAME_WORDS * len(a | b), f"{other} and {one}"
            letters.set_seq1(beside)
            ratios = (letters.real_quick_ratio, letters.quick_ratio, letters.ratio)  # each at least the next
            assert any(ratio() < SAME_LETTERS for ratio in ratios), f"{other} and {one}"


def test_each_kind_of_the_newer_questions_is_split_in_halves() -> None:
    """The older ones were looked at while weights were fitted: all of them are `fit`."""
    newer = QUESTIONS[OLDER:]
    count = Counter((question["kind"], question["split"]) for question in newer)
    assert {question["split"] for question in QUESTIONS[:OLDER]} == {"fit"}
    for kind in {question["kind"] for question in newer}:
        assert abs(count[kind, "fit"] - count[kind, "test"]) <= 1
    for flag in ("conflict", "near"):
        flagged = Counter(question["split"] for question in newer if question.get(flag))
        assert abs(flagged["fit"] - flagged["test"]) <= 1


def test_there_are_enough_questions_of_every_kind_and_about_every_guide() -> None:
    test = [question for question in QUESTIONS if question["split"] == "test"]
    kinds = Counter(question["kind"] for question in test)
    assert len(test) == 200
    assert kinds.keys() >= {*STYLES, "fact", "list", "table", "how", "compare", "follow", "turn", "none"}
    assert kinds["none"] >= 75
    assert sum(question.get("near", False) for question in test) >= 50
    about = {found["document"] for question in QUESTIONS for found in question["evidence"]}
    assert about == set(GUIDES)


def test_questions_are_typed_in_many_ways() -> None:
    texts = [question["question"] for question in QUESTIONS]
    lengths = sorted(len(text.split()) for text in texts)
    assert lengths[len(lengths) // 10] <= 5
    assert lengths[-len(lengths) // 10] >= 16
    assert 0.4 < sum(text[0].islower() for text in texts) / len(texts) < 0.9
    assert 0.3 < sum(text.endswith("?") for text in texts) / len(texts) < 0.8
    openings = Counter(text.lower().split()[0] for text in texts)
    assert openings.most_common(1)[0][1] < len(texts) / 4


def test_the_readme_counts_the_questions_as_they_are() -> None:
    readme = (CORPUS / "README.md").read_text(encoding="utf-8")
    for kind in (*ANSWERABLE, "none"):
        count = Counter(question["split"] for question in QUESTIONS if question["kind"] == kind)
        assert f"| `{kind}` | {count['fit']} | {count['test']} |" in readme
    for name in GUIDES:
        assert f"`{Path(name).name}`" in readme
    total = Counter(question["split"] for question in QUESTIONS)
    assert f"{len(QUESTIONS)} in all: {total['fit']} to fit, {total['test']} to test" in readme
