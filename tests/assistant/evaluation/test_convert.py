from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assistant.cli import main
from assistant.evaluation.questions import Question, read
from ingest.sync import sync
from tests.conftest import ROOT

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
