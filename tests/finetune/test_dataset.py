"""The data set of the shipped corpus, made once, judged from its files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from assistant.prompts import NOT_IN_GUIDES, NOT_OUTRIGHT, SYSTEM
from finetune.dataset import Brought, Held, Kept, Maker, brought, held, write
from finetune.ideas import Idea, Place
from ingest.errors import FootnoteError
from ingest.library import Library
from ingest.sync import remove, sync
from tests.finetune import tiny

TEXT = "Dropout lowers overfitting. It drops half of the units."


@pytest.fixture
def known(tmp_path: Path) -> Held:
    row = {
        "question": "what does dropout do to overfitting?",
        "history": ["is regularisation worth it for small nets"],
        "evidence": [{"document": "guides/dropout.md", "quote": "lowers overfitting"}],
    }
    (tmp_path / "questions.jsonl").write_text(json.dumps(row) + "\n")
    return held(tmp_path / "questions.jsonl", {"dropout.md": TEXT, "other/dropout.txt": TEXT})


@pytest.mark.parametrize(
    "question",
    [
        "What does dropout do to overfitting",
        "does dropout do anything to overfitting?",
        "what does dropuot do to overfiting",
    ],
)
def test_near_copies_of_a_question_are_known(known: Held, question: str) -> None:
    assert known.is_near(question)


def test_earlier_questions_of_a_conversation_count_too(known: Held) -> None:
    assert known.is_near("Is regularisation worth it for small nets?")


def test_other_questions_about_the_same_thing_are_free(known: Held) -> None:
    assert not known.is_near("How many units does dropout switch off?")
    assert not known.is_near("What is bagging?")


def test_a_unit_that_overlaps_evidence_is_held_and_its_neighbour_is_not(known: Held) -> None:
    assert known.holds([Place("dropout.md", 0, 27)])
    assert not known.holds([Place("dropout.md", 28, 55)])
    assert not known.holds([Place("other/dropout.txt", 0, 27)])


def test_a_damaged_question_set_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("{")
    with pytest.raises(FootnoteError, match="is no question set"):
        held(tmp_path / "q.jsonl", {})


ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = ROOT / "corpus" / "questions.jsonl"
_CITED = re.compile(r"\[(\d+\.\d+)\]")


@dataclass(frozen=True)
class Row:
    part: str
    kind: str
    question: str
    sections: tuple[tuple[str, str], ...]
    prompt: str
    answer: str

    @property
    def units(self) -> dict[str, str]:
        return dict(re.findall(r"^\[(\d+\.\d+)\] (.*)$", self.prompt, re.MULTILINE))

    @property
    def cited(self) -> list[str]:
        return [self.units[i] for i in _CITED.findall(self.answer)]


def rows(folder: Path) -> list[Row]:
    origins = [json.loads(line) for line in (folder / "origins.jsonl").read_text().splitlines()]
    lines = {part: (folder / f"{part}.jsonl").read_text().splitlines() for part in ("train", "eval")}
    found = []
    for origin in origins:
        said = json.loads(lines[origin["part"]][origin["line"] - 1])
        assert set(said) == {"prompt", "completion"}
        assert [message["role"] for message in said["prompt"] + said["completion"]] == ["system", "user", "assistant"]
        assert said["prompt"][0]["content"] == SYSTEM
        sections = tuple(map(tuple, origin["sections"]))
        prompt, answer = said["prompt"][1]["content"], said["completion"][0]["content"]
        found.append(Row(origin["part"], origin["kind"], origin["question"], sections, prompt, answer))
    assert len(found) == sum(map(len, lines.values()))
    return found


@pytest.fixture(scope="module")
def folder(corpus_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data")
    write(Library(corpus_library), out, QUESTIONS, examples=160, rerank=False, read=8)
    return out


@pytest.fixture(scope="module")
def made(folder: Path) -> list[Row]:
    return rows(folder)


def leaks(made: list[Row]) -> Iterator[str]:
    """Questions that are near a question of the set, and answers that rest on its evidence."""
    questions = held(QUESTIONS, {})
    quotes = [
        " ".join(evidence["quote"].split())
        for line in QUESTIONS.read_text().splitlines()
        for evidence in (*json.loads(line)["evidence"], *json.loads(line).get("also", ()))
    ]
    for row in made:
        if questions.is_near(row.question):
            yield row.question
        for unit in (" ".join(unit.split()) for unit in row.cited):
            alike = (quote in unit or (unit in quote and len(unit) > 12) for quote in quotes)  # not a line such as ")"
            if any(alike):
                yield unit


def test_nothing_of_the_question_set_is_taught(made: list[Row]) -> None:
    assert list(leaks(made)) == []


def test_without_keeping_it_out_it_would_be_taught(corpus_library: Path, tmp_path: Path) -> None:
    write(Library(corpus_library), tmp_path, None, examples=60, rerank=False, read=8)
    assert len(list(leaks(rows(tmp_path)))) > 10


def test_every_kind_is_there_and_each_answer_cites_what_is_shown(made: list[Row]) -> None:
    kinds = {row.kind for row in made}
    assert {"table", "definition", "reason", "keywords", "heading", "list", "code", "compare", "follow"} <= kinds
    assert {"missing", "near", "planted"} <= kinds
    for row in made:
        assert row.cited or row.answer == NOT_IN_GUIDES
        assert (row.answer == NOT_IN_GUIDES) == (row.kind in ("missing", "elsewhere"))
        assert row.answer.startswith(NOT_OUTRIGHT) == (row.kind == "near")


def test_a_conversation_shows_eight_passages_of_which_most_do_not_answer(made: list[Row]) -> None:
    for row in made:
        assert len(re.findall(r"^Passage \d+ from the guide ", row.prompt, re.MULTILINE)) == 8
        assert len({i.split(".")[0] for i in _CITED.findall(row.answer)}) <= 3


def test_answers_stand_at_different_places_among_the_passages(made: list[Row]) -> None:
    places = [_CITED.search(row.answer) for row in made]
    assert len({place[1].split(".")[0] for place in places if place}) >= 4


def test_no_section_is_both_trained_and_evaluated_on(made: list[Row]) -> None:
    sections = {part: {s for row in made if row.part == part for s in row.sections} for part in ("train", "eval")}
    assert sections["train"]
    assert sections["eval"]
    assert not sections["train"] & sections["eval"]


def test_what_is_missing_is_nowhere_in_what_is_shown(made: list[Row]) -> None:
    derived = ("missing", "elsewhere", "planted", "conflict", "near")
    answered = {row.question: row for row in made if row.kind not in derived}
    twins = [
        (row, answered[row.question]) for row in made if row.kind in ("missing", "near") and row.question in answered
    ]
    assert twins
    for missing, twin in twins:
        shown = set(missing.units.values())
        # A line such as `import torch` stands in many blocks: what must not be there is the block.
        assert not (set(twin.cited) <= shown if twin.kind == "code" else set(twin.cited) & shown)


def test_the_card_counts_what_is_there(folder: Path, made: list[Row]) -> None:
    card = json.loads((folder / "card.json").read_text())
    assert card["examples"] == {part: sum(row.part == part for row in made) for part in ("train", "eval")}
    assert sum(card["kinds"]["train"].values()) == card["examples"]["train"]
    assert card["kept out"]["questions.jsonl"]
    text = (folder / "README.md").read_text()
    assert all(f"**{row.kind}**" in text for row in made)
    assert text.count("\n**") == 30
    assert card["overlap with what is kept out"] == {"near copies of its questions": 0, "answers on its evidence": 0}
    refusals = sum(row.part == "train" and row.answer == NOT_IN_GUIDES for row in made)
    assert card["answers"]["train"]["share of refusals"] == round(refusals / card["examples"]["train"], 3)
    read = card["read by the judge"]
    assert read["answers read"] + read["refusals read"] == 8
    assert read["it would answer"] > read["answers read"] / 2


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "guides").mkdir()
    source = (ROOT / "corpus" / "guides" / "nested-circles.md").read_text()
    (tmp_path / "guides" / "nested-circles.md").write_text(source)
    sync([tmp_path / "guides"], tmp_path / "library")
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        write(
            Library(tmp_path / "library"),
            tmp_path / name,
            None,
            examples=30,
            passages=3,
            rerank=False,
            seed=seed,
            read=2,
        )
    read = {name: (tmp_path / name / "train.jsonl").read_bytes() for name in ("one", "same", "other")}
    assert read["one"] == read["same"] != read["other"]
    assert (tmp_path / "one" / "card.json").read_bytes() == (tmp_path / "same" / "card.json").read_bytes()


def test_other_words_are_proved_again_and_fall_back_to_the_rules(tmp_path: Path) -> None:
    def phrase(kept: Kept) -> list[Idea | None]:
        """Every question anew; of every second answer the words are wrong."""
        fresh: list[Idea | None] = []
        for n, (idea, _) in enumerate(kept):
            wrong = tuple(replace(line, text="Zebras weigh 300 kg.") for line in idea.lines)
            lines = idea.lines if n % 2 else wrong
            fresh.append(replace(idea, question=f"{idea.question} {n}", lines=lines))
        return fresh

    maker = Maker(tiny.library(tmp_path), None, passages=3, rerank=False, seed=0)
    plain = [example for example in maker.make(30, lambda done, total: None) if example.kind == "table"]
    again = maker.phrased(list(plain), phrase)
    changed = [(one, other) for one, other in zip(plain, again, strict=True) if one.question != other.question]
    assert 0 < len(changed) < len(plain)
    assert all(other.answer == one.answer or other.places == one.places for one, other in changed)
    assert not any("Zebras" in example.answer for example in again)
    thrown = maker.phrasing["thrown away: not found by retrieval, or not proved"]
    assert thrown > 0
    assert maker.phrasing["kept"] == len(changed)


def test_questions_from_elsewhere_are_asked_with_passages_of_their_own_set(tmp_path: Path) -> None:
    """Its own passage stands among those that share its words; what cannot be answered sees none of its title."""
    file = tmp_path / "faq.jsonl"
    lines = [_asked_elsewhere(n, answerable=n % 3 > 0) for n in range(12)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    maker = Maker(tiny.library(tmp_path), None, passages=3, rerank=False, seed=0)
    made = brought([file], 9, maker, 3, seed=0)
    assert len(made) == 9
    assert {example.kind for example in made} == {"brought", "brought, missing"}
    for example in made:
        number = int(re.search(r"\d+", example.question)[0])  # type: ignore[index]
        assert len(example.request.passages) == 3
        own = [p for p in example.request.passages if f"Valve {number} " in p.text]
        assert len(own) == 1
        if example.kind == "brought":
            (place,) = example.places
            assert own[0].text[place.start : place.end] == f"Valve {number} opens at {number + 7} bar."
        else:
            assert example.answer == NOT_IN_GUIDES
            assert [p for p in example.request.passages if p.title == own[0].title] == own


def _asked_elsewhere(n: int, answerable: bool) -> dict[str, object]:
    first, second = f"Valve {n} is made of steel.", f"Valve {n} opens at {n + 7} bar."
    return {
        "question": f"When does valve {n} open?", "title": f"Plant {n % 4}", "passage": f"{first} {second}",
        "units": [[0, len(first)], [len(first) + 1, len(first) + 1 + len(second)]],
        "answer_units": [1] if answerable else [], "answerable": answerable,
    }  # fmt: skip


def test_a_file_without_questions_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "x"}\n')
    with pytest.raises(FootnoteError, match=r"holds no questions .*: --questions takes"):
        Brought.of(tmp_path / "q.jsonl")


def test_an_empty_library_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "guides").mkdir()
    (tmp_path / "guides" / "a.md").write_text("# A\n\nText.\n")
    sync([tmp_path / "guides"], tmp_path / "library")
    remove(["a.md"], tmp_path / "library")
    with pytest.raises(FootnoteError, match="is empty: footnote ingest FOLDER"):
        write(Library(tmp_path / "library"), tmp_path / "data", None)
