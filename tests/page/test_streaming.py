"""Answers that take their time: shown as they come, stopped, left and found again. The writer is real, on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.assistant.loopback import Loopback, Reply, as_events, as_json, serving

Visit = Callable[..., Any]
QUESTION = "How many eggs does the queen lay a day in early summer?"
END = {"index": 0, "delta": {}, "finish_reason": "stop"}
BOX = '[data-testid="stChatInputTextArea"]'


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as loopback:
        yield loopback


def streamed(*pieces: str, pause: float) -> Reply:
    def event(**delta: Any) -> tuple[str, object]:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        return "", {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}

    end = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [END]}
    return as_events([*(event(content=piece) for piece in pieces), ("", end), ("", "[DONE]")], pause=pause)


def answers_with(server: Loopback, reply: Reply) -> None:
    models = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]}
    server.answer = lambda asked: as_json(models) if asked.path.endswith("/models") else reply


def asked_of(page: Any, server: Loopback) -> Any:
    page.get_by_test_id("stSelectbox").get_by_role("combobox").click()
    page.get_by_role("option", name="A chat server").click()
    page.get_by_label("Address").fill(server.url)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Try it and use it").click()
    page.get_by_role("button", name="Try it and use it").wait_for(state="detached")
    assert [asked.path for asked in server.asked][-1].endswith("completions"), "it was tried before it was chosen"
    server.asked.clear()
    server.left.clear()
    page.locator(BOX).fill(QUESTION)
    page.locator(BOX).press("Enter")
    return page.locator("article")


def test_words_are_shown_as_they_come_and_stop_keeps_them(visit: Visit, server: Loopback, shots: Any) -> None:
    answers_with(
        server, streamed("The queen lays up to 2,000 eggs a day [1.1]. ", *["And then more. "] * 100, pause=0.3)
    )
    page = visit()
    article = asked_of(page, server)
    article.locator(".passage, .answer p").first.wait_for()
    article.locator(".answer").get_by_text("The queen lays up to 2,000 eggs").wait_for()
    assert article.get_attribute("aria-busy") == "true"
    shots(page, "streaming")
    page.get_by_role("button", name="Stop").click()
    article.locator(".state.failed").wait_for()
    assert "2,000 eggs" in article.inner_text()
    assert "Stopped" in article.inner_text()
    shots(page, "stopped")
    assert server.left.wait(5), "the writer's connection is closed"
    page.reload()
    article.locator(".state.failed").wait_for()
    assert "2,000 eggs" in article.inner_text()


def test_an_answer_goes_on_while_the_reader_is_away(visit: Visit, server: Loopback) -> None:
    answers_with(server, streamed("The queen lays up ", "to 2,000 eggs ", "a day [1.2]. ", pause=0.7))
    page = visit()
    asked_of(page, server).locator(".wait").wait_for()
    page.wait_for_url("**c=*")  # the question is shown before the server has it
    for _ in range(600):  # who leaves before the writer is asked may have left before the question came
        if any("completions" in asked.path for asked in server.asked):
            break
        page.wait_for_timeout(100)
    address = page.url
    page.goto("about:blank")
    page.wait_for_timeout(2500)
    page.goto(address)
    page.locator("article footer.meta").wait_for()
    assert "2,000 eggs a day" in page.locator("article .answer").inner_text()
    assert len([asked for asked in server.asked if "completions" in asked.path]) == 1


def test_a_sentence_that_is_not_supported_looks_different_and_says_why(
    visit: Visit, server: Loopback, shots: Any
) -> None:
    answers_with(
        server, streamed("The queen lays up to 2,000 eggs a day [1.2]. ", "She lives for 70 years [1.2]. ", pause=0.0)
    )
    page = visit()
    article = asked_of(page, server)
    article.locator("footer.meta").wait_for()
    doubtful = article.locator(".unsupported")
    assert "70 years" in doubtful.inner_text()
    assert "dashed" in doubtful.evaluate("node => getComputedStyle(node).textDecorationStyle")
    sign = article.locator(".doubt")
    assert "not supported" in sign.inner_text()
    why = article.locator(".why")
    assert not why.is_visible()
    sign.focus()
    assert why.is_visible()
    assert doubtful.get_attribute("aria-describedby") == why.get_attribute("id")
    shots(page, "unsupported")


def test_a_sentence_in_doubt_is_called_so_and_looks_milder(visit: Visit, server: Loopback, shots: Any) -> None:
    answers_with(server, streamed("The queen lays most of her eggs in early summer [1.2]. ", pause=0.0))
    page = visit()
    article = asked_of(page, server)
    article.locator("footer.meta").wait_for()
    assert article.locator(".doubt .sign").inner_text() == "in doubt"
    assert (article.locator(".why").text_content() or "").startswith("Perhaps supported by the guides")
    style = article.locator(".unsupported").evaluate("node => getComputedStyle(node).textDecorationStyle")
    assert style == "dotted"
    shots(page, "in-doubt")


def test_a_server_that_breaks_off_leaves_what_it_wrote(visit: Visit, server: Loopback) -> None:
    reply = streamed("The queen lays up to 2,000 eggs a day [1.2]. ", "And", pause=0.05)
    answers_with(server, Reply(reply.pieces[:2], 200, reply.headers, cut=True, pause=0.05))
    page = visit()
    article = asked_of(page, server)
    article.locator(".state.failed").wait_for()
    assert "2,000 eggs" in article.inner_text()
