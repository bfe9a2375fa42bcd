"""Claude's phrasing against a server on loopback that speaks the message batches' protocol."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.prompts import NOT_IN_GUIDES, NOT_OUTRIGHT
from assistant.records import Turn
from assistant.writers.claude import BATCHES
from finetune import ideas
from finetune.ideas import Idea, Line, Place, prose_ideas
from finetune.phrasing import Phrasing, answered, nearest, proved, refused, shown, writable, written
from ingest.errors import FootnoteError, WriterError
from tests.assistant.conftest import passage
from tests.assistant.loopback import Asked, Loopback, Reply, as_json, serving
from tests.finetune.making import chunks, passages
from tests.finetune.test_ideas import CODE, STEPS, TABLE

DROPOUT_IDEA = passage("dropout.md", "Why", "Dropout lowers overfitting.", "It drops half of the units.")
BOOSTING = passage("boosting.md", "When", "Boosting wins on tables.", "Deep nets win on images.")
FIRST = Place("dropout.md", 0, 27)


def idea(text: str, *places: Place) -> Idea:
    return Idea("definition", "What does dropout do?", (Line(text, places),), (("dropout.md", "Why"),))


def test_ids_stand_before_the_full_stop_and_follow_the_passages_order() -> None:
    plain = idea("Dropout lowers overfitting.", FIRST)
    assert answered(plain, [DROPOUT_IDEA, BOOSTING]).answer == "Dropout lowers overfitting [1.1]."  # type: ignore[union-attr]
    assert answered(plain, [BOOSTING, DROPOUT_IDEA]).answer == "Dropout lowers overfitting [2.1]."  # type: ignore[union-attr]


def test_an_answer_whose_unit_is_not_shown_is_not_given() -> None:
    assert answered(idea("Dropout lowers overfitting.", FIRST), [BOOSTING]) is None


def test_an_answer_that_its_units_do_not_support_is_not_kept() -> None:
    assert answered(idea("Dropout lowers overfitting by 40 percent.", FIRST), [DROPOUT_IDEA]) is None
    assert not proved("Dropout lowers overfitting [1.2].", [DROPOUT_IDEA], (Place("dropout.md", 28, 55),))
    assert not proved("Dropout lowers overfitting [1.1] [1.7].", [DROPOUT_IDEA], (FIRST,)), "1.7 does not exist"


def test_lists_and_code_are_written_as_the_prompt_asks(tmp_path: Path) -> None:
    found = chunks(tmp_path, STEPS)
    steps = next(i for i in prose_ideas(found[0], None, Random(0)) if i.kind == "list")
    assert written(steps.lines, passages(found)) == (
        "A run has three steps [1.1]:\n1. Read the rows [1.2].\n2. Fit the weights [1.3]\n3. Keep the best [1.4]."
    )
    found = chunks(tmp_path, CODE)
    code = next(i for i in prose_ideas(found[0], None, Random(0)) if i.kind == "code")
    example = answered(code, passages(found))
    assert example is not None
    assert example.answer.endswith("forest.fit(X, y)\n```\n[1.1][1.2][1.3][1.4]")


def test_a_refusal_is_the_phrase_and_nothing_else() -> None:
    assert refused(idea("Dropout lowers overfitting.", FIRST), [BOOSTING]).to_json()["completion"] == [
        {"role": "assistant", "content": NOT_IN_GUIDES}
    ]


def test_a_follow_up_is_asked_as_serving_asks_it() -> None:
    follow = Idea(
        "follow",
        "And its rate?",
        (Line("Dropout lowers overfitting.", (FIRST,)),),
        (),
        (Turn("What is dropout?", "A way."),),
    )
    example = answered(follow, [DROPOUT_IDEA])
    assert example is not None
    assert example.request.question == "What is dropout? And its rate?"
    assert "Earlier in this conversation:\nQ: What is dropout?\nA: A way." in example.prompt[1]["content"]


def test_a_planted_order_changes_neither_ids_nor_offsets() -> None:
    given_order = ideas.with_order(DROPOUT_IDEA, Random(3))
    assert set(shown([DROPOUT_IDEA]).items()) < set(shown([given_order]).items())
    last = given_order.units[-1]
    assert given_order.text[last.start - given_order.start :] in ideas.ORDERS
    example = answered(idea("Dropout lowers overfitting.", FIRST), [given_order, BOOSTING])
    assert example is not None
    assert example.answer == "Dropout lowers overfitting [1.1]."


def test_a_made_up_guide_has_other_figures_and_both_are_given(tmp_path: Path) -> None:
    found = chunks(tmp_path, TABLE)
    cell = next(i for i in ideas.table_ideas(found[0], Random(1)) if i.figure == "$148,000")
    made = ideas.rival(cell, passages(found)[0], Random(1))
    assert made is not None
    other, (here, there) = made
    assert "148,000" not in other.text
    assert re.fullmatch(r"Pay: .*ML engineer.*\$148,000\.", here.text)
    example = answered(Idea("conflict", "?", (here, there), ()), [passages(found)[0], other])
    assert example is not None
    assert example.answer.count("[1.2]") == 1
    assert example.answer.count("[2.1]") == 1


@given(
    st.lists(st.sampled_from(["Dropout lowers overfitting", "Use 3.5 times", 'He said "no"', "e.g. this"]), min_size=1)
)
def test_every_sentence_of_a_line_ends_with_ids(sentences: list[str]) -> None:
    text = written([Line(". ".join(sentences) + ".", (FIRST,))], [DROPOUT_IDEA])
    assert text.count("[1.1]") >= 1
    assert text.endswith("[1.1].")
    assert text.replace(" [1.1]", "") == ". ".join(sentences) + "."


def test_what_constrained_decoding_forbids_is_not_taught() -> None:
    lines = passage("code.md", "Run", *(f"step_{n}()" for n in range(6)))
    ids = "".join(f"[1.{n}]" for n in range(1, 7))
    code = "```\n" + "\n".join(f"step_{n}()" for n in range(6)) + "\n```\n"
    assert writable(code + ids, [lines])
    assert not writable(code, [lines]), "code without ids"
    assert not writable(f"It runs {ids}.", [lines]), "more ids than a sentence may have"
    assert not writable("It runs [1.9].", [lines])


DROPOUT = passage("dropout.md", "Why", "Dropout lowers overfitting.", "It drops half of the units.")
IDEA = Idea(
    "definition", "What does dropout do?", (Line("Dropout lowers overfitting.", (Place("dropout.md", 0, 27),)),), ()
)
CODE_IDEA = Idea("code", "Show the code.", (Line("```\nx\n```", (Place("dropout.md", 0, 27),)),), ())


class Batches:
    """The three calls that a batch takes; `said` answers each request."""

    def __init__(self, server: Loopback, said: Callable[[dict[str, Any]], str]) -> None:
        self.server, self.said = server, said
        self.requests: list[dict[str, Any]] = []
        self.created = self.looked = 0
        server.answer = self.answer

    def answer(self, asked: Asked) -> Reply:
        path = asked.path.split("?")[0]
        if path.endswith("/results"):
            lines = [json.dumps(self._result(request)) for request in self.requests]
            return Reply(["\n".join(lines).encode()], 200, {"Content-Type": "application/x-jsonl"})
        if path == "/v1/messages/batches":
            self.created += 1
            self.requests = asked.body["requests"]
        else:
            self.looked += 1
        return as_json(self._batch("ended" if self.looked > 1 else "in_progress"))

    def _batch(self, status: str) -> dict[str, Any]:
        counts = {"processing": 1, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        day = "2026-11-20T00:00:00Z"
        return {
            "id": "msgbatch_1", "type": "message_batch", "processing_status": status, "request_counts": counts,
            "created_at": day, "expires_at": day, "ended_at": None, "archived_at": None, "cancel_initiated_at": None,
            "results_url": f"{self.server.url}/v1/messages/batches/msgbatch_1/results",
        }  # fmt: skip

    def _result(self, request: dict[str, Any]) -> dict[str, Any]:
        message = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5",
            "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 5},
            "content": [{"type": "text", "text": self.said(request["params"])}],
        }  # fmt: skip
        return {"custom_id": request["custom_id"], "result": {"type": "succeeded", "message": message}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
    with serving() as loopback:
        yield loopback


def says(question: str, answer: str) -> Callable[[dict[str, Any]], str]:
    return lambda body: json.dumps({"question": question, "answer": answer})


def phrasing(server: Loopback, out: Path, agreed: bool = True, said: list[str] | None = None) -> Phrasing:
    def agree(line: str) -> bool:
        (said if said is not None else []).append(line)
        return agreed

    return Phrasing("claude", out, agree, lambda line: None, base_url=server.url, poll=0.01)


def test_an_idea_comes_back_in_other_words_with_its_units(server: Loopback, tmp_path: Path) -> None:
    batches = Batches(server, says("why bother with dropout", "Overfitting is lowered by dropout [1.1]."))
    (fresh,) = phrasing(server, tmp_path)([(IDEA, [DROPOUT])])
    assert fresh is not None
    assert fresh.question == "why bother with dropout"
    assert fresh.lines == (Line("Overfitting is lowered by dropout.", IDEA.places),)
    body = batches.requests[0]["params"]
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert body["messages"][0]["content"].endswith("Ids of the units that answer it: [1.1]")
    assert "[1.2] It drops half of the units." in body["messages"][0]["content"]


@pytest.mark.parametrize(
    "answer",
    [
        "It drops half of the units [1.2].",
        "Dropout helps [7.1].",
        "Dropout helps.",
        "Dropout helps [1.1]. And more.",
        "",
    ],
)
def test_what_cites_other_units_or_none_is_not_taken(server: Loopback, tmp_path: Path, answer: str) -> None:
    Batches(server, says("why dropout", answer))
    assert phrasing(server, tmp_path)([(IDEA, [DROPOUT])]) == [None]


def test_what_is_no_json_is_not_taken(server: Loopback, tmp_path: Path) -> None:
    Batches(server, lambda body: "Sure! Here is")
    assert phrasing(server, tmp_path)([(IDEA, [DROPOUT])]) == [None]


def test_code_and_what_is_not_shown_is_not_sent(server: Loopback, tmp_path: Path) -> None:
    batches = Batches(server, says("why dropout", "Dropout lowers overfitting [1.1]."))
    first, second, third = phrasing(server, tmp_path)([(CODE_IDEA, [DROPOUT]), (IDEA, []), (IDEA, [DROPOUT])])
    assert (first, second) == (None, None)
    assert third is not None
    assert len(batches.requests) == 1


def test_the_price_is_said_before_anything_is_sent(server: Loopback, tmp_path: Path) -> None:
    batches, said = Batches(server, says("", "")), list[str]()
    with pytest.raises(FootnoteError, match="nothing was sent to Claude: add --yes"):
        phrasing(server, tmp_path, agreed=False, said=said)([(IDEA, [DROPOUT])] * 1000)
    assert batches.created == 0
    assert not server.asked
    price = re.search(r"phrases 1000 conversations through message batches, about \$(\d+\.\d\d) ", said[0])
    assert price
    assert 0.5 < float(price[1]) < 5


def test_a_run_that_was_stopped_waits_for_the_same_batch(server: Loopback, tmp_path: Path) -> None:
    batches = Batches(server, says("why dropout", "Dropout lowers overfitting [1.1]."))
    first = phrasing(server, tmp_path)([(IDEA, [DROPOUT])])
    assert list(json.loads((tmp_path / BATCHES).read_text()).values()) == ["msgbatch_1"]
    assert phrasing(server, tmp_path, agreed=False)([(IDEA, [DROPOUT])]) == first
    assert batches.created == 1


def test_an_error_of_the_api_is_one_line(server: Loopback, tmp_path: Path) -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "too many requests in a batch"}}
    server.answer = lambda asked: as_json(error, 400)
    with pytest.raises(WriterError, match=r"the message batch failed: .*too many requests") as caught:
        phrasing(server, tmp_path)([(IDEA, [DROPOUT])])
    assert "\n" not in str(caught.value)


def test_another_writer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FootnoteError, match="takes claude, claude:NAME, llama:PATH or a chat server's URL"):
        Phrasing("gpt", tmp_path, lambda line: True, lambda line: None)


def test_a_chat_server_phrases_as_well_and_is_asked_once_for_each(tmp_path: Path) -> None:
    """It may write words around the form; what it wrote is kept, so that the same again asks nothing."""
    said = 'Sure: {"question": "why dropout", "answer": "Overfitting is lowered by dropout [1.1]."} Done.'
    message = {"role": "assistant", "content": said}
    reply = {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }  # fmt: skip
    with serving() as server:
        server.answer = lambda asked: as_json({"data": [{"id": "m"}]} if asked.path.endswith("/models") else reply)
        for _ in range(2):
            phrase = Phrasing(f"{server.url}/v1#m", tmp_path, lambda line: True, lambda line: None)
            (fresh,) = phrase([(IDEA, [DROPOUT])])
            assert fresh is not None
            assert fresh.lines == (Line("Overfitting is lowered by dropout.", IDEA.places),)
            assert phrase.outcome["asked"] == 1
        (asked,) = [asked for asked in server.asked if asked.path.endswith("/completions")]
    assert "one JSON object and nothing else" in asked.body["messages"][0]["content"]
    assert asked.body["messages"][1]["content"].endswith("Ids of the units that answer it: [1.1]")


def test_what_cannot_be_taken_is_counted(server: Loopback, tmp_path: Path) -> None:
    Batches(server, says("why dropout", "Dropout helps [7.1]."))
    phrase = phrasing(server, tmp_path)
    phrase([(IDEA, [DROPOUT]), (CODE_IDEA, [DROPOUT])])
    assert phrase.outcome == {"asked": 1, "not of the form, or cites what it should not": 1}


def test_what_comes_near_is_said_to_be_no_answer_and_is_proved() -> None:
    example = nearest(idea("Dropout lowers overfitting.", FIRST), [BOOSTING, DROPOUT_IDEA])
    assert example is not None
    assert (example.kind, example.answer) == ("near", f"{NOT_OUTRIGHT} Dropout lowers overfitting [2.1].")
    assert nearest(idea("Dropout lowers overfitting by 40 percent.", FIRST), [DROPOUT_IDEA]) is None
