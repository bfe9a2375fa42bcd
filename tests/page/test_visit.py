"""Who writes: what each writer lacks, and what becomes of a question when it cannot write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from assistant.conversations import Conversations
from assistant.page.view import plain
from assistant.page.visit import Choice
from tests.assistant.loopback import Asked, Loopback, Reply, as_events, as_json, serving
from tests.page.conftest import OWNER
from tests.page.test_app import EGGS, answers, ask, button, good, texts

Open = Callable[..., AppTest]


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with serving() as server:
        yield server


@pytest.mark.parametrize(
    ("kind", "what"),
    [("claude", "needs a key"), ("llama", "folder"), ("url", "http://")],
)
def test_a_writer_that_cannot_write_says_why_and_what_would_help(open_: Open, kind: str, what: str) -> None:
    app = open_()
    next(s for s in app.selectbox if s.key == "writer-kind").set_value(kind).run()
    assert what in texts(good(app)).replace("\\", "").replace("\u200b", "")
    [turn] = answers(ask(app, EGGS))
    assert turn["status"] == "answered", "until another one can, quotes write"


def test_a_writer_is_chosen_when_it_has_answered_and_is_there_after_a_reload(
    open_: Open, library: Path, loopback: Loopback
) -> None:
    import json

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/models"):
            return as_json({"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]})
        choice = {"index": 0, "delta": {"content": "Yes."}, "finish_reason": None}
        said = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return as_events([("", said), ("", "[DONE]")])

    app = open_()
    name(app, loopback.url)
    assert "Quotes, no model goes on writing" in texts(app).replace("\\", "")
    loopback.answer = lambda asked: Reply([b"{}"], 500, {})
    button(app, "writer-try").click().run()
    assert "did not answer" in texts(good(app))
    assert app.session_state["choice"].kind == "quotes"
    loopback.answer = answer
    button(app, "writer-try").click().run()
    assert good(app).session_state["choice"].url == loopback.url
    again = open_()
    assert next(s for s in again.selectbox if s.key == "writer-kind").value == "url"
    assert again.session_state["choice"].url == loopback.url
    assert json.dumps(loopback.url) in json.dumps(Conversations(library).preferred(OWNER))


def name(app: AppTest, url: str) -> None:
    next(s for s in app.selectbox if s.key == "writer-kind").set_value("url").run()
    next(t for t in app.text_input if t.key == "writer-url").set_value(url).run()


def test_a_key_for_claude_is_kept_in_memory_only(open_: Open, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assistant.writers import found

    monkeypatch.setattr(found, "tried", lambda writer: "")  # it would ask the real Claude
    app = open_()
    next(s for s in app.selectbox if s.key == "writer-kind").set_value("claude").run()
    next(t for t in app.text_input if t.key == "writer-key").set_value("sk-secret-of-mine").run()
    button(app, "writer-try").click().run()
    assert app.session_state["choice"].key == "sk-secret-of-mine"
    assert "sk-secret" not in repr(app.session_state["choice"])
    assert not [f for f in library.rglob("*") if f.is_file() and b"sk-secret" in f.read_bytes()]


def test_on_a_page_that_others_reach_no_address_and_no_folder_can_be_named(open_: Open) -> None:
    from streamlit import config

    app = open_()
    name(app, "http://10.0.0.7/v1")
    config.set_option("server.address", "0.0.0.0")
    app = open_()
    assert set(next(s for s in app.selectbox if s.key == "writer-kind").options) == {"Quotes, no model", "Claude"}
    app.session_state["choice"] = Choice("url", url="http://10.0.0.7/v1")
    app.chat_input[0].set_value(EGGS).run()
    assert answers(good(app)) == []
    assert "whoever runs this server" in texts(app)


def test_what_is_said_on_a_page_has_no_command_in_it() -> None:
    said = {
        "no library at lib: make one with `footnote ingest FOLDER --library lib`": "no library at lib",
        "2 files (a.md…) could not be read: `footnote status` says why. 1 other.": "2 files (a.md…) could not be read.",
        "It has 4 MB: too much": "It has 4 MB: too much",
    }
    for told, shown in said.items():
        assert plain(told).startswith(shown)
        assert "footnote" not in plain(told)


def test_a_writer_out_of_reach_is_said_and_the_passages_stay(open_: Open) -> None:
    app = open_()
    app.session_state["choice"] = Choice("url", url="http://127.0.0.1:9/v1")
    [turn] = answers(ask(app, EGGS))
    assert turn["status"] == "failed"
    assert "127.0.0.1:9" in turn["detail"]
    assert turn["passages"]


def named(open_: Open, name: str, can: str, *place: Path, **query: str) -> AppTest:
    """The page as `footnote serve` gives it to a visitor whom its gate knows."""
    app = open_(*place)
    app.user = {"footnote_user": name, "footnote_can": can, "footnote_login": ""}
    if query:
        app.query_params = query
        del app.session_state["conversation"]
    return good(app.run())


def test_conversations_belong_to_the_visitor_whom_the_server_names(open_: Open) -> None:
    conversation = ask(named(open_, "anna", "ask"), EGGS).query_params["c"]
    assert answers(named(open_, "anna", "ask", c=conversation))
    assert not answers(named(open_, "bob", "ask", c=conversation))


def test_only_who_may_add_guides_is_offered_it(open_: Open, tmp_path: Path) -> None:
    nothing_yet = tmp_path / "none"
    offered = {can: named(open_, "anna", can, nothing_yet).get("file_uploader") for can in ("ask", "ask ingest")}
    assert not offered["ask"]
    assert offered["ask ingest"]


def test_where_a_login_is_asked_for_nothing_else_is_shown(open_: Open) -> None:
    app = open_()
    app.user = {"footnote_user": "", "footnote_can": "ask", "footnote_login": "needed"}
    assert [button.label for button in good(app.run()).button] == ["Log in"]
    assert not app.chat_input
    app.user |= {"is_logged_in": True, "sub": "user-7"}
    assert good(app.run()).chat_input


def test_the_servers_own_key_writes_for_those_alone_who_run_it(open_: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-the-server")
    needs = {}
    for can in ("ask", "ask ingest admin"):
        app = named(open_, "anna", can)
        next(s for s in app.selectbox if s.key == "writer-kind").set_value("claude").run()
        needs[can] = "It needs a key" in texts(good(app))
    assert needs == {"ask": True, "ask ingest admin": False}
