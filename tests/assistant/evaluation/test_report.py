from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from assistant.evaluation import score
from assistant.evaluation.questions import Question
from assistant.evaluation.report import Report, in_brief, write_report
from assistant.evaluation.score import Summary, curve, reliability, summarise
from tests.assistant.evaluation.making import Evaluate, answer, evidence, many, note, passage, predicted

HOSTILE = "<script>alert(1)</script><img src=x onerror=y> | ](http://evil) `*x*` \x1b[31m\u202e"


class Elements(HTMLParser):
    """Whether a page is well formed, and what it would load or run."""

    VOID = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.loads: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.loads += [f"{name}={value}" for name, value in attrs if name in ("src", "href") or name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(file: Path) -> Elements:
    page = Elements()
    page.feed(file.read_text("utf-8"))
    assert page.open == []
    return page


def written(folder: Path, summary: Summary, **more: object) -> Path:
    write_report(folder, Report(summary, {"settings": {"questions": "q.jsonl", "split": "test"}}, **more))  # type: ignore[arg-type]
    return folder


def test_the_page_loads_and_runs_nothing_and_shows_every_picture(tmp_path: Path) -> None:
    both = [*many(), *many(model="n", right=0.5)]
    page = parsed(written(tmp_path, summarise(both)) / "report.html")
    assert page.loads == []
    assert not {"script", "link", "img", "iframe", "style"} & page.seen - {"style"}
    source = (tmp_path / "report.html").read_text("utf-8")
    assert source.count("<svg") == 6
    assert not re.search(r"https?://|@import|url\(", source)
    assert "prefers-color-scheme: dark" in source


def test_text_of_guides_and_models_stays_text(tmp_path: Path) -> None:
    question = Question("a", "fact" + HOSTILE, HOSTILE, (HOSTILE,), ("x",), (evidence(0, 5, quote=HOSTILE),))
    found = passage(HOSTILE, 900, score=0.4)
    said = answer((HOSTILE, (note(3, 9, quote=HOSTILE),)), detail=HOSTILE)
    hostile = replace(predicted(question, said, found), model=HOSTILE)
    page = parsed(written(tmp_path, summarise([hostile, *many(8, model=HOSTILE)])) / "report.html")
    assert page.loads == []
    assert not {"script", "img", "a"} & page.seen
    assert "<script>alert(1)</script>" in page.text
    for name in ("report.html", "report.md"):
        text = (tmp_path / name).read_text("utf-8")
        assert "\x1b" not in text
        assert "\u202e" not in text
    markdown = (tmp_path / "report.md").read_text("utf-8")
    assert "\\<script" in markdown
    assert not re.search(r"(?<!\\)<", markdown)
    assert not re.search(r"(?<!\\)\]\(", markdown)


def test_every_row_of_a_markdown_table_has_its_cells(tmp_path: Path) -> None:
    written(tmp_path, summarise([*many(), *many(model="a|b")]))
    width = 0
    for line in (tmp_path / "report.md").read_text("utf-8").split("\n"):
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (width and cells) or cells == width
        width = cells


def test_scoring_again_writes_the_same_and_json_has_no_nan(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for name in "ab":
        written(tmp_path / name, summarise(many()))
    for file in ("scores.json", "report.md", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    text = (tmp_path / "a" / "scores.json").read_text("utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text)["systems"][0]["scores"]["all_facts"]["n"] == 45


def test_the_worst_questions_stand_with_their_answers_and_what_was_missed(tmp_path: Path) -> None:
    question = Question("bad", "fact", "how deep?", facts=("12 levels",), evidence=(evidence(0, 9, quote="12 levels"),))
    said = answer(("It is deep.", (note(50, 60),)), passages=(passage("12 levels"),))
    written(
        tmp_path, summarise([*many(8, right=1.0), predicted(question, said, passage("far", 900), passage("12 levels"))])
    )
    text = (tmp_path / "report.md").read_text("utf-8")
    (case,) = re.findall(r"### found, not in the answer \(1\)\n\n- \*\*how deep\?.*?(?=\n\n)", text, re.DOTALL)
    assert "answer: It is deep." in case
    assert "missed: 12 levels" in case
    assert "found as number 2" in case


def test_every_score_stands_beside_the_floors_with_its_interval() -> None:
    brief = in_brief(Report(summarise(many()), {}))
    head, _, *rows = brief.split("\n")
    assert [cell.strip() for cell in head.split("|")[2:-1]] == ["m", "top passage", "always answer", "never answer"]
    false_answers = next(row for row in rows if "False answers (" in row)
    assert re.findall(r"[\d.]+ %", false_answers) == ["53.3 %", "53.3 %", "100 %", "0 %"]
    assert all(re.fullmatch(r" [\d.]+ % \(\d+–\d+\) ", cell) for cell in false_answers.split("|")[2:-1])


def test_more_than_three_hundred_questions_are_scored_and_reported_in_under_five_seconds(tmp_path: Path) -> None:
    started = time.process_time()
    written(tmp_path, summarise(many(323)))
    assert time.process_time() - started < 5


def test_by_kind_scores_are_of_that_kind_alone() -> None:
    (system,) = summarise(many()).models
    assert set(system.by_kind) == {"fact", "none"}
    assert "false_answers" not in system.by_kind["fact"]
    assert system.by_kind["none"]["false_answers"].n == 15


def test_coverage_and_risk_rise_together_from_nothing_to_all() -> None:
    found = curve(many())
    assert found is not None
    assert found.coverage == tuple(sorted(found.coverage))
    assert found.risk == tuple(sorted(found.risk))
    assert (found.coverage[-1], found.risk[-1]) == (1, 1)
    assert found.area.value > 0.9
    assert found.risk_at["90 %"].value <= found.risk_at["95 %"].value
    assert curve([p for p in many() if p.question.answerable]) is None


def test_scores_that_say_what_they_mean_are_reliable_and_boasts_are_not() -> None:
    def retrieved(score: float, hits: int) -> list[object]:
        question = Question("a", "fact", "?", evidence=(evidence(0, 10),))
        return [predicted(question, None, passage("x" * 10, 0 if n < hits else 500, score=score)) for n in range(10)]

    honest = reliability([*retrieved(0.2, 2), *retrieved(0.8, 8)])  # type: ignore[list-item]
    boasting = reliability([*retrieved(0.7, 2), *retrieved(0.95, 3)])  # type: ignore[list-item]
    assert honest is not None
    assert boasting is not None
    assert honest.error == pytest.approx(0, abs=1e-9)
    assert boasting.error == pytest.approx((0.5 + 0.65) / 2)
    assert honest.brier < boasting.brier
    timid = reliability([*retrieved(0.2, 8), *retrieved(0.9, 2)])  # type: ignore[list-item]
    assert timid is not None
    assert timid.error == pytest.approx(0.65)  # too low and too high do not make each other good


def test_two_models_are_compared_question_by_question(tmp_path: Path) -> None:
    summary = summarise([*many(80, right=0.4), *many(80, right=0.9, model="n")])
    (found,) = score.between(summary)
    assert (found.before, found.after) == ("m", "n")
    assert found.differences["all_facts"].verdict == "better"
    assert found.differences["false_answers"].verdict == "no difference seen"
    assert {change.way for change in found.changes} == {"better"}
    assert found.fallen == []
    assert "all_facts" in score.compare(summary.models[1], summary.models[0]).fallen


def test_the_command_writes_all_files_and_prints_the_table(
    evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("--out", tmp_path / "run") == 0
    assert sorted(f.name for f in (tmp_path / "run").iterdir()) == [
        "predictions.jsonl", "report.html", "report.md", "run.json", "scores.json",
    ]  # fmt: skip
    printed = capsys.readouterr()
    assert printed.out.startswith("|  | quotes | recipe | recipe (MMR) | top passage |")
    assert "quotes: 8 questions in" in printed.err
    assert "\x1b" not in printed.out


def test_scoring_again_asks_nothing_and_json_is_one_document(
    evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("--out", tmp_path / "run", "--no-recipe") == 0
    capsys.readouterr()
    before = (tmp_path / "run" / "predictions.jsonl").read_bytes()
    assert evaluate("--out", tmp_path / "run", "--json", asking=False) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["systems"][0]["name"] == "quotes"
    assert value["systems"][0]["scores"]["invalid_footnotes"]["value"] == 0
    assert (tmp_path / "run" / "predictions.jsonl").read_bytes() == before
