"""What can write on this machine, and what a visitor may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.records import Stop, Text
from assistant.writers.found import LISTED, Found, found, is_own, refused, tried
from ingest.errors import WriterError
from tests.assistant.loopback import Loopback, as_json
from tests.assistant.test_answer import Saying

MODELS = {"object": "list", "data": [{"id": "llama3.1"}, {"id": "qwen"}]}


def port_of(loopback: Loopback) -> int:
    return int(loopback.url.rsplit(":", 1)[1].split("/")[0])


def test_what_is_found_is_a_key_a_server_that_answers_and_weights(
    loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.answer = lambda asked: as_json(MODELS)
    for name, inside in {"tuned": ("config.json", "model.safetensors"), "notes": ("config.json",)}.items():
        (tmp_path / name).mkdir()
        for file in inside:
            (tmp_path / name / file).write_text("{}")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-x")
    port = port_of(loopback)
    assert found({"Ollama": port, "nobody": 9}, [tmp_path, tmp_path / "none"]) == [
        Found("claude", "Claude, by the key in the environment"),
        Found(f"http://127.0.0.1:{port}/v1#llama3.1", "llama3.1, Ollama on this machine"),
        Found(f"http://127.0.0.1:{port}/v1#qwen", "qwen, Ollama on this machine"),
        Found(f"llama:{tmp_path / 'tuned'}", f"tuned, weights in {tmp_path.name}"),
    ]


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"data": 3}', '{"data": [{"no": 1}]}', "<html>"])
def test_whatever_else_answers_there_is_no_writer(loopback: Loopback, body: str) -> None:
    from tests.assistant.loopback import Reply

    loopback.answer = lambda asked: Reply([body.encode()], 200, {})
    assert found({"Ollama": port_of(loopback)}, []) == []


def test_a_page_is_its_machines_own_only_on_loopback_and_without_a_proxy() -> None:
    assert is_own("localhost", {"Host": "localhost:8501"})
    assert is_own("127.0.0.1", {})
    for address, headers in (
        (None, {"Host": "localhost:8501"}),
        ("0.0.0.0", {"Host": "localhost"}),
        ("localhost", {"Host": "footnote.example.com"}),
        ("localhost", {"Host": "localhost", "X-Forwarded-For": "1.2.3.4"}),
        ("localhost", {"Host": "evil.example", "Via": "1.1 proxy"}),
    ):
        assert not is_own(address, headers), (address, headers)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.7/v1",
        "http://169.254.169.254/latest",
        "http://localhost:22/",
        "http://[::1]:6379/",
        "http://127.0.0.1:11434@evil.example/v1",
        "http://2130706433:11434/",
        "http://[bad",
    ],
)
def test_from_elsewhere_no_address_can_be_named_but_those_that_are_listed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(url, own=False)
    monkeypatch.setenv(LISTED, "http://other.example/v1, http://10.0.0.7/v1")
    assert bool(refused(url, own=False)) == (url != "http://10.0.0.7/v1")
    assert refused("http://169.254.169.254/latest", own=True), "nor the network's own by anybody"
    assert refused("llama:/etc", own=False)
    assert not refused("llama:/models/mine", own=True)
    assert not refused("http://127.0.0.1:11434/v1#llama3.1", own=False), "where one was found"


def test_a_writer_is_tried_by_asking_it_for_a_few_words() -> None:
    assert tried(Saying(Text(" "), Text("Two thousand."), Stop())) == ""
    assert tried(Saying(Stop("cut", detail="no room"))) == "no room"
    assert tried(Saying(WriterError("nobody there"))) == "nobody there"
    assert tried(Saying(Stop())) == "it answered nothing"
