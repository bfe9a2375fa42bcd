from __future__ import annotations

import json
import stat
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.cli import main
from assistant.evaluation.questions import (
    Evidence,
    Logged,
    Question,
    log_answer,
    place,
    read,
    read_log,
    same_document,
    spread,
    write,
)
from assistant.evaluation.run import drift
from assistant.records import Sentence
from ingest.errors import FootnoteError
from ingest.sync import sync
from tests.assistant.evaluation.making import answer, note, passage
from tests.conftest import ROOT

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


BENCH = ROOT.parent / "shared" / "bench" / "retrieval"


def rows(file: Path, *values: dict[str, Any]) -> None:
    file.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), encoding="utf-8")


def beir(folder: Path) -> Path:
    folder.mkdir()
    rows(
        folder / "corpus.jsonl",
        {"_id": "d/1", "title": "Dropout", "text": "Dropout switches units off.\u2028It helps."},
        {"_id": "d 1", "title": "", "text": "Boosting adds trees one by one."},
        {"_id": "D.1", "title": "", "text": "Wine goes with fish."},
    )
    rows(
        folder / "queries.jsonl",
        {"_id": "1", "text": "what does dropout do"},
        {"_id": "2", "text": "how are trees added"},
        {"_id": "3", "text": "of another split"},
        {"_id": "4", "text": "what is on Mars", "answerable": False},
    )
    (folder / "qrels").mkdir()
    lines = ["query-id\tcorpus-id\tscore", "1\td/1\t1", "1\tD.1\t0", "2\td 1\t2"]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def converted(source: Path, out: Path) -> dict[str, Question]:
    assert main(["evaluate", "--convert", str(source), "--out", str(out)]) == 0
    return {q.id: q for q in read(out / "questions.jsonl")}


def test_a_beir_folder_becomes_documents_and_questions(tmp_path: Path) -> None:
    found = converted(beir(tmp_path / "beir"), tmp_path / "out")
    texts = {f.name: f.read_text("utf-8") for f in (tmp_path / "out" / "documents").iterdir()}
    assert len(texts) == len({name.lower() for name in texts}) == 3
    assert set(found) == {"1", "2", "4"}
    assert [texts[e.document] for e in found["1"].evidence] == [
        "Dropout\n\nDropout switches units off.\u2028It helps.\n"
    ]
    assert [texts[e.document] for e in found["2"].evidence] == ["Boosting adds trees one by one.\n"]
    assert found["1"].evidence[0].quote == ""
    assert not found["4"].answerable


def test_what_was_converted_can_be_ingested_and_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    converted(beir(tmp_path / "beir"), out)
    assert not sync([out / "documents"], out / "library").failed
    capsys.readouterr()
    command = ["evaluate", str(out / "questions.jsonl"), "--library", str(out / "library"), "--json"]
    assert main([*command, "--out", str(out / "run")]) == 0
    scores = json.loads(capsys.readouterr().out)["systems"][0]["scores"]
    assert scores["hit_1"] == {**scores["hit_1"], "value": 1.0, "n": 2}
    assert scores["ndcg_10"]["value"] == 1.0
    assert "all_facts_1000" not in scores


SQUAD = {
    "data": [
        {
            "title": "Greentown_Works",
            "paragraphs": [
                {
                    "context": "It was built in 1901. Dr. Moss ran it with 40 men until the flood. Then it was sold.",
                    "qas": [
                        {
                            "id": "q1", "question": "Who ran it?", "is_impossible": False,
                            "answers": [{"text": "Dr. Moss", "answer_start": 22}, {"text": "Moss", "answer_start": 26}],
                        },
                        {"id": "q2", "question": "Who drowned?", "is_impossible": True, "answers": []},
                    ],
                }
            ],
        }
    ]
}  # fmt: skip


def test_squad_becomes_articles_with_the_sentence_of_the_answer_as_evidence(tmp_path: Path) -> None:
    source = tmp_path / "squad.json"
    source.write_text(json.dumps(SQUAD), encoding="utf-8")
    found = converted(source, tmp_path / "out")
    (evidence,) = found["q1"].evidence
    text = (tmp_path / "out" / "documents" / evidence.document).read_text("utf-8")
    assert evidence.quote == "Dr. Moss ran it with 40 men until the flood."
    assert evidence.quote in text
    assert text.startswith("Greentown Works\n\nIt was built")
    assert found["q1"].facts == (r"(?<!\w)Moss(?!\w)|(?<!\w)Dr\.\s+Moss(?!\w)",)
    assert found["q2"].kind == "none"


@pytest.mark.parametrize("content", ["{}", "not json", '{"data": 5}'])
def test_what_is_neither_is_one_line(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "x.json"
    source.write_text(content, encoding="utf-8")
    assert main(["evaluate", "--convert", str(source), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "is not a SQuAD file" in error
    assert error.count("\n") == 1


@pytest.mark.skipif(not BENCH.is_dir(), reason="the sets of ../shared/bench are not here")
@pytest.mark.parametrize(
    ("name", "documents", "questions", "absent"),
    [("ml_faq", 270, 233, 0), ("scifact", 5183, 300, 0), ("squad2_dev", 646, 6078, 3168)],
)
def test_real_sets_are_converted_whole(tmp_path: Path, name: str, documents: int, questions: int, absent: int) -> None:
    found = converted(BENCH / name, tmp_path / "out")
    assert len(list((tmp_path / "out" / "documents").iterdir())) == documents
    assert len(found) == questions
    assert sum(not q.answerable for q in found.values()) == absent


START = datetime(2026, 9, 1, tzinfo=UTC)


def logged(n: int, confidence: float = 0.8, status: str = "answered", unsupported: int = 0) -> Logged:
    time = (START + timedelta(days=n)).isoformat(timespec="seconds")
    return Logged(time, f"question {n}", status, "quotes", 2, unsupported, confidence + 0.01 * (n % 7), 0.2)


def write_log(file: Path, found: list[Logged]) -> Path:
    file.write_text("".join(json.dumps(asdict(one)) + "\n" for one in found), encoding="utf-8")
    return file


def test_an_answer_is_logged_with_what_the_report_needs_and_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "questions.jsonl"
    said = answer(("a", (note(0, 1),)), ("b", ()), supported=False, passages=(passage("x", score=0.7),))
    log_answer(file, said)
    log_answer(file, answer(status="not_in_guides"))
    first, second = read_log(file)
    assert (first.question, first.status, first.sentences, first.unsupported, first.confidence) == (
        "?", "answered", 2, 2, 0.7,
    )  # fmt: skip
    assert (second.status, second.confidence) == ("not_in_guides", 0.0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_sentence_in_doubt_is_logged_apart_from_one_without_support(tmp_path: Path) -> None:
    sentences = (Sentence("a", False, doubted=True), Sentence("b", False))
    log_answer(tmp_path / "log", replace(answer(), sentences=sentences))
    (logged,) = read_log(tmp_path / "log")
    assert (logged.unsupported, logged.doubted) == (1, 1)


def test_a_log_is_reported_month_by_month(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    september = [logged(n) for n in range(20)] + [logged(n, status="not_in_guides") for n in range(20, 25)]
    october = [logged(n, unsupported=1 if n % 2 else 0) for n in range(30, 40)]
    file = write_log(tmp_path / "log.jsonl", [*october, *september])
    file.write_text(file.read_text("utf-8") + '{"time": "2026-10', encoding="utf-8")
    assert main(["evaluate", "--log", str(file), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "35 questions, 2026-09-01 to 2026-10-10"
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in lines if line.startswith("|")}
    assert rows["2026-09"][0] == "25"
    assert rows["2026-09"][1].startswith("20 % (")
    assert rows["2026-10"][2].startswith("50 % (")
    assert (tmp_path / "out" / "log.md").read_text("utf-8").startswith("# What was asked")


@pytest.mark.parametrize(("last", "says"), [(0.5, "drift away"), (0.8, "No drift seen"), (0.95, "come closer")])
def test_a_drift_is_seen_where_there_is_one_and_only_there(last: float, says: str) -> None:
    found = [logged(n) for n in range(40)] + [logged(n, last) for n in range(40, 70)]
    assert says in drift(found)


def test_of_few_questions_no_drift_is_spoken_of() -> None:
    assert drift([logged(n, 0.9 - 0.01 * n) for n in range(30)]).startswith("Too few")


def test_an_empty_log_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--log", str(write_log(tmp_path / "log.jsonl", []))]) == 1
    assert "holds no logged question" in capsys.readouterr().err


def test_a_few_questions_are_of_every_kind_and_stay_among_more() -> None:
    counts = {"fact": 30, "none": 9, "code": 1}
    asked = [Question(f"{kind}{n}", kind, "?") for kind, many in counts.items() for n in range(many)]
    few, more = spread(asked, 4), spread(asked, 20)
    assert {q.kind for q in few} == {"fact", "none", "code"}
    assert set(few) <= set(more)
    assert [sum(q.kind == kind for q in more) for kind in counts] == [14, 5, 1]
    assert more == sorted(more, key=asked.index)
    assert spread(asked, None) == spread(asked, 99) == asked
