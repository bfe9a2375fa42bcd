"""Our own door: the same JSON as the command line, as a whole or as events; guides come and go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from starlette.testclient import TestClient

from assistant.cli import main
from assistant.serve.api import api
from assistant.serve.desk import Desk
from tests.assistant.serve.conftest import EGGS

LATER = ("seconds",)


@pytest.fixture
def door(library: Path) -> TestClient:
    return TestClient(api(Desk(library)), raise_server_exceptions=False)


def without_times(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in LATER}


def test_it_answers_in_the_words_of_the_command_line(
    door: TestClient, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", EGGS, "--json", "--library", str(library)]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert without_times(door.post("/ask", json={"question": EGGS}).json()) == without_times(expected)
    assert main(["search", EGGS, "-k", "3", "--json", "--library", str(library)]) == 0
    found = door.post("/search", json={"question": EGGS, "k": 3}).json()
    assert found == json.loads(capsys.readouterr().out)
    narrowed = door.post("/search", json={"question": EGGS, "documents": ["bread.md"]}).json()
    assert {passage["document"] for passage in narrowed} == {"bread.md"}


def test_events_come_in_order_and_end_with_the_answer(door: TestClient) -> None:
    streamed = door.post("/ask", json={"question": EGGS, "stream": True})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = [part.partition("\ndata: ") for part in streamed.text.strip().split("\n\n")]
    names = [name.removeprefix("event: ") for name, _, _ in events]
    assert (names[0], names[-1]) == ("passages", "answer")
    assert "sentence" in names
    last = json.loads(events[-1][2])
    assert without_times(last) == without_times(door.post("/ask", json={"question": EGGS}).json())


def test_earlier_turns_are_understood(door: TestClient) -> None:
    earlier = [{"question": "What does a strong colony hold in June?", "answer": "40,000 bees."}, EGGS]
    answer = door.post("/ask", json={"question": "And what about the drones?", "history": earlier}).json()
    assert answer["understood"] != answer["question"]


def test_a_guide_comes_is_read_asked_and_goes(door: TestClient, library: Path) -> None:
    text = b"# Wasps\n\nA wasp nest holds 5,000 wasps in August. It is made of paper.\n"
    added = door.post("/guides", files={"file": ("../../wasps.md", text)})
    assert (added.status_code, added.json()["added"]) == (200, ["wasps.md"])
    listed = {guide["document"]: guide for guide in door.get("/guides").json()}
    assert listed["wasps.md"]["title"] == "Wasps"
    assert door.get("/guides/wasps.md").json()["text"].encode() == text
    answer = door.post("/ask", json={"question": "How many wasps does a nest hold in August?"}).json()
    note = answer["sentences"][0]["footnotes"][0]
    assert text.decode()[note["start"] : note["end"]] == note["quote"]
    assert door.delete("/guides/wasps.md").json() == {"removed": "wasps.md"}
    assert door.get("/guides/wasps.md").status_code == 404
    assert list((library / "uploads").glob("*.md")) == []
    assert door.get("/status").json()["documents"] == 3


def test_what_cannot_be_read_is_said_and_not_kept(door: TestClient, library: Path) -> None:
    wrong = door.post("/guides", files={"file": ("run.exe", b"MZ")})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "not_read")
    broken = door.post("/guides", files={"file": ("broken.pdf", b"%PDF-1.7 nothing")})
    assert broken.status_code == 400
    assert list((library / "uploads").glob("*.pdf")) == []


def test_what_a_broken_upload_would_have_replaced_stays(door: TestClient) -> None:
    assert door.post("/guides", files={"file": ("wasps.md", b"# Wasps\n\nA nest holds 5,000 wasps.\n")}).is_success
    assert door.post("/guides", files={"file": ("wasps.md", b"\0\1\2" * 999)}).status_code == 400
    assert "5,000" in door.get("/guides/wasps.md").json()["text"]
    assert set(door.get("/status").json()["stale"].values()) == {0}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ask", {}),
        ("/ask", {"question": ""}),
        ("/ask", {"question": " \n "}),
        ("/ask", {"question": ["a"]}),
        ("/ask", {"question": "half of a character, \ud800"}),
        ("/ask", {"question": EGGS, "model": "\ud800"}),
        ("/search", {"question": EGGS, "documents": ["\ud800"]}),
        ("/ask", {"question": EGGS, "history": [{"answer": "no question"}]}),
        ("/search", {"question": EGGS, "k": 0}),
        ("/search", {"question": EGGS, "k": 10**9}),
    ],
)
def test_what_is_not_understood_is_400_with_one_line(door: TestClient, path: str, body: Any) -> None:
    refused = door.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert refused.status_code == 400
    said = refused.json()["error"]["message"]
    assert said
    assert "\n" not in said


def test_a_body_that_is_no_json_is_400(door: TestClient) -> None:
    for body in (b"{", b"\xff\xfe", b"[" * 50_000, b'{"question": "\\ud800"}', b"null"):
        refused = door.post("/ask", content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code in (200, 400), body[:20]


def test_what_is_wrong_with_a_body_is_named_where_it_stands(door: TestClient) -> None:
    sent: list[tuple[dict[str, Any], str, str | None]] = [
        ({"json": {"question": EGGS, "history": [1]}}, "history[0]", "history[0]"),
        ({"json": {"question": EGGS, "k": 1, "history": [{"answer": "x"}]}}, "history[0]", "history[0]"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, "no JSON", None),
        ({"content": b'{"question": "a"}', "headers": {"Content-Type": "text/plain"}}, "application/json", None),
    ]
    for asked, said, where in sent:
        error = door.post("/ask", **asked).json()["error"]
        assert said in error["message"]
        assert error["param"] == where


def test_a_method_that_is_not_taken_is_told_which_are(door: TestClient) -> None:
    refused = door.put("/guides")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")


def test_the_page_of_the_api_is_complete_and_asks_nothing_of_the_world(door: TestClient) -> None:
    page = door.get("/docs").text
    for path in door.get("/openapi.json").json()["paths"]:
        assert f"/api{path}" in page
    assert "src=" not in page
    assert "http" not in page.replace("http://localhost:8501", "")


def test_whatever_fits_the_openapi_page_or_just_not_is_never_a_5xx(library: Path) -> None:
    """A few of each here; `schemathesis run` sends thousands to a server (NOTES.md)."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", api(Desk(library)))
    for operation in schema.get_all_operations():

        @settings(max_examples=4, deadline=None)
        @given(case=operation.ok().as_strategy())
        def never_5xx(case: Any) -> None:
            assert case.call().status_code < 500

        never_5xx()
