"""Who writes: what each writer lacks, and what becomes of a question when it cannot write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.page.test_app import EGGS, answers, ask, good, texts

Open = Callable[..., AppTest]


@pytest.mark.parametrize(
    ("kind", "what"),
    [("claude", "ANTHROPIC_API_KEY"), ("llama", "folder"), ("url", "http://")],
)
def test_a_writer_that_cannot_write_says_why_and_what_would_help(open_: Open, kind: str, what: str) -> None:
    app = open_()
    next(s for s in app.selectbox if s.key == "writer-kind").set_value(kind).run()
    assert what in texts(good(app)).replace("\\", "").replace("\u200b", "")
    app.chat_input[0].set_value(EGGS).run()
    assert answers(good(app)) == []
    assert app.error


def test_a_key_for_claude_is_kept_in_memory_only(open_: Open, library: Path) -> None:
    app = open_()
    next(s for s in app.selectbox if s.key == "writer-kind").set_value("claude").run()
    next(t for t in app.text_input if t.key == "writer-key").set_value("sk-secret-of-mine").run()
    assert app.session_state["choice"].key == "sk-secret-of-mine"
    assert "sk-secret" not in repr(app.session_state["choice"])
    assert not [f for f in library.rglob("*") if f.is_file() and b"sk-secret" in f.read_bytes()]


def test_a_writer_out_of_reach_is_said_and_the_passages_stay(open_: Open) -> None:
    app = open_()
    next(s for s in app.selectbox if s.key == "writer-kind").set_value("url").run()
    next(t for t in app.text_input if t.key == "writer-url").set_value("http://127.0.0.1:9/v1").run()
    [turn] = answers(ask(app, EGGS))
    assert turn["status"] == "failed"
    assert "127.0.0.1:9" in turn["detail"]
    assert turn["passages"]
