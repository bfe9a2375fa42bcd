"""The door for chat clients: what the real ones get, and that nothing of a guide acts in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from markdown_it import MarkdownIt
from openai import APIError, BadRequestError, NotFoundError, OpenAI
from starlette.testclient import TestClient

from assistant.records import Cite, Footnote, Request, Sentence, Stop, Text
from assistant.serve.desk import Desk
from assistant.serve.v1 import Message, Told, asked_in, chore, inert, v1
from ingest.errors import WriterError
from ingest.library import Library
from tests.assistant.attacks import ATTACKS
from tests.assistant.serve.conftest import EGGS, LAID, Served

ASKED: Any = [{"role": "user", "content": EGGS}]


@pytest.fixture(scope="module")
def client(served: Served) -> OpenAI:
    return OpenAI(base_url=f"{served.url}/v1", api_key="anything", max_retries=0)


def holds(text: str, annotations: Iterator[Any], url: str) -> None:
    """Each annotation's start and end are those of a mark in the text, and its address opens the exact words."""
    found = list(annotations)
    assert found
    for note in found:
        assert re.fullmatch(r"\[\[\d+\]\]\(.*\)", text[note.start_index : note.end_index])
        assert text[note.start_index : note.end_index].endswith(f"]({note.url})")
        assert note.url == Footnote("bees.md", "", "", 72, 130, LAID).url(url)
        assert note.title == "Keeping bees › The hive"


def test_openais_client_gets_the_footnotes_as_notes_as_annotations_and_in_full(client: OpenAI, served: Served) -> None:
    assert [model.id for model in client.models.list()] == ["footnote", "footnote/quotes"]
    assert client.models.retrieve("footnote/quotes").owned_by == "footnote"
    completion = client.chat.completions.create(model="footnote", messages=ASKED)
    message = completion.choices[0].message
    assert message.content is not None
    holds(message.content, (note.url_citation for note in message.annotations or []), served.url)
    assert f"1. “{LAID}” [Keeping bees › The hive](" in message.content
    told = completion.model_extra["footnote"]  # type: ignore[index]
    note = told["sentences"][0]["footnotes"][0]
    assert (told["status"], note["document"], note["start"], note["end"]) == ("nearest", "bees.md", 72, 130)
    assert note["quote"] == LAID


def test_a_stream_says_the_same_and_names_its_sources_to_open_webui(client: OpenAI, served: Served) -> None:
    stream = client.chat.completions.create(
        model="footnote", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert all(len(chunk.choices) == 1 for chunk in chunks[:-1])  # there are clients that take the first unseen
    assert chunks[-1].usage is not None
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    whole = client.chat.completions.create(model="footnote", messages=ASKED)
    assert text == whole.choices[0].message.content
    events = [chunk.model_extra["event"] for chunk in chunks if "event" in (chunk.model_extra or {})]
    notes = [note for chunk in chunks[:-1] for note in getattr(chunk.choices[0].delta, "annotations", None) or []]
    assert [event["data"]["document"] for event in events] == [[LAID]]
    metadata = events[0]["data"]["metadata"][0]
    assert metadata["source"] == metadata["source_url"] == notes[0]["url_citation"]["url"]
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:-1]] == ["stop"]


def test_the_helper_that_puts_a_stream_together_ends_with_all_annotations(client: OpenAI) -> None:
    asked: Any = [{"role": "user", "content": "What is a hive?"}]
    with client.chat.completions.stream(model="footnote", messages=asked) as stream:
        final = stream.get_final_completion()
    whole = client.chat.completions.create(model="footnote", messages=asked)
    annotations = whole.choices[0].message.annotations
    assert len(annotations or []) > 1
    assert final.choices[0].message.annotations == annotations


def test_the_newer_protocol_says_the_same_whole_and_streamed(client: OpenAI, served: Served) -> None:
    response = client.responses.create(model="footnote", input=EGGS)
    part: Any = response.output[0].content[0]  # type: ignore[union-attr]
    holds(response.output_text, iter(part.annotations), served.url)
    with client.responses.stream(model="footnote", input=ASKED) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert "response.output_text.annotation.added" in kinds
    assert final.output_text == response.output_text


def test_langchain_reads_the_text_and_by_the_newer_protocol_the_annotations(served: Served) -> None:
    from langchain_openai import ChatOpenAI

    asking: Any = {"base_url": f"{served.url}/v1", "api_key": "x", "model": "footnote", "max_retries": 0}
    assert LAID in ChatOpenAI(**asking).invoke(EGGS).text
    blocks = ChatOpenAI(**asking, use_responses_api=True).invoke(EGGS).content_blocks
    assert [note["title"] for note in blocks[0]["annotations"]] == ["Keeping bees › The hive"]  # type: ignore[typeddict-item]
    assert LAID in "".join(chunk.text for chunk in ChatOpenAI(**asking).stream(EGGS))


def test_errors_have_the_shape_and_the_status_that_openais_client_knows(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-9", messages=ASKED)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    for wrong in ([{"role": "user", "content": "x" * 5000}], [{"role": "assistant", "content": "Yes."}], []):
        with pytest.raises(BadRequestError):
            client.chat.completions.create(model="footnote", messages=wrong)  # type: ignore[arg-type]
    parts = [{"type": "image_url", "image_url": {"url": "data:"}}]
    with pytest.raises(BadRequestError, match="image_url: only text"):
        client.chat.completions.create(model="footnote", messages=[{"role": "user", "content": parts}])  # type: ignore[list-item,misc]
    nothing: Any = [{"role": "user", "content": [{"type": "text", "text": None}]}]
    with pytest.raises(BadRequestError, match="part is None"):
        client.chat.completions.create(model="footnote", messages=nothing)
    with pytest.raises(BadRequestError, match="previous_response_id"):
        client.responses.create(model="footnote", input="And how often?", previous_response_id="resp_1")


def test_what_the_guides_do_not_say_is_not_answered_here_either(client: OpenAI) -> None:
    message = (
        client.chat.completions.create(
            model="footnote", messages=[{"role": "user", "content": "Who won the chess olympiad of 1972?"}]
        )
        .choices[0]
        .message
    )
    assert (message.content or "").startswith("Not in the guides.")
    assert not message.annotations


# Within the process: writers and texts that a test chooses.


class Says:
    """A writer that says this, citing the second unit behind each sentence."""

    name = "says"

    def __init__(self, *texts: str, then: Exception | None = None) -> None:
        self.texts, self.then = texts, then
        self.requests: list[Request] = []

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        self.requests.append(request)
        for text in self.texts:
            yield Text(text)
            yield Cite(((0, 1),))
        if self.then:
            raise self.then
        yield Stop()


def door(library: Path, writer: Says) -> TestClient:
    desk = Desk(library)
    desk.assistant()._model = writer
    return TestClient(v1(desk))


def say(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_earlier_turns_are_understood_without_their_notes(library: Path) -> None:
    writer = Says("The queen lays up to 2,000 eggs a day in early summer.")
    asking = door(library, writer)
    first = asking.post("/chat/completions", json={"messages": [say(EGGS)]}).json()["choices"][0]["message"]
    talk = [say(EGGS), first, say("And when do the drones leave it?")]
    assert asking.post("/chat/completions", json={"messages": talk}).status_code == 200
    (turn,) = writer.requests[1].history
    assert (turn.question, turn.answer) == (EGGS, "The queen lays up to 2,000 eggs a day in early summer.")


def test_system_prompts_and_parts_are_taken_and_the_last_user_is_the_one_who_asks() -> None:
    talk = [
        Message(role="system", content="You are a pirate."),
        Message(role="user", content=[{"type": "text", "text": "What is"}, {"type": "text", "text": "honey?"}]),
    ]
    assert asked_in(talk) == ("What is\nhoney?", [])


def test_a_writer_that_breaks_off_is_told_in_the_stream_and_not_as_an_answer(library: Path) -> None:
    asking = door(library, Says(then=WriterError("the model is out of reach: start it")))
    whole = asking.post("/chat/completions", json={"messages": [say(EGGS)]}).json()
    assert whole["choices"][0]["message"]["content"].startswith("Not answered. the model is out of reach")
    assert whole["choices"][0]["finish_reason"] == "length"
    broken = door(library, Says("The queen lays eggs.", then=ZeroDivisionError("inside")))
    lines = [
        json.loads(line[6:])
        for line in broken.post("/chat/completions", json={"messages": [say(EGGS)], "stream": True}).text.splitlines()
        if line.startswith("data: {")
    ]
    assert lines[-1]["error"]["type"] == "server_error"
    assert "inside" not in json.dumps(lines)


def test_what_is_told_only_when_a_writer_has_failed_has_its_annotations_too(library: Path) -> None:
    def cited(**more: Any) -> Any:
        writer = Says("The queen lays 900 tonnes of eggs.", then=WriterError("the model is out of reach"))
        return door(library, writer).post("/chat/completions", json={"messages": [say(EGGS)], **more})

    whole = cited().json()["choices"][0]["message"]["annotations"]
    lines = [json.loads(line[6:]) for line in cited(stream=True).text.splitlines() if line.startswith("data: {")]
    assert len(whole) == 1
    assert [line["choices"][0]["delta"]["annotations"] for line in lines if "annotations" in str(line)] == [whole]
    assert len([line for line in lines if "event" in line]) == 1


def test_openais_client_raises_what_a_stream_says_is_wrong(library: Path) -> None:
    asking = door(library, Says("The queen lays eggs.", then=ZeroDivisionError("inside")))
    client = OpenAI(base_url="http://testserver", api_key="x", http_client=cast(Any, asking), max_retries=0)
    with pytest.raises(APIError, match="Something went wrong"):
        list(client.chat.completions.create(model="footnote", messages=ASKED, stream=True))


CHORES = {
    "title": '### Task:\nGenerate a title.\n### Output:\nJSON format: { "title": "your title" }\n### Chat History:\n'
    f"<chat_history>\nUSER: {EGGS}\nASSISTANT: Many.\n</chat_history>",
    "tags": '### Task:\nGenerate 1-3 tags.\n### Output:\nJSON format: { "tags": ["tag1", "tag2"] }\n'
    f"<chat_history>\nUSER: {EGGS}\n</chat_history>",
    "follow_ups": '### Task:\nSuggest 3-5 questions.\n### Output:\nJSON format: { "follow_ups": ["Question 1?"] }\n'
    f"<chat_history>\nUSER: {EGGS}\n</chat_history>",
}


def test_a_clients_own_prompts_are_answered_without_a_look_at_the_guides(library: Path) -> None:
    desk = Desk(library / "nowhere")  # a look would fail
    for key, prompt in CHORES.items():
        reply = TestClient(v1(desk)).post("/chat/completions", json={"messages": [say(prompt)]})
        said = json.loads(reply.json()["choices"][0]["message"]["content"])
        assert said == {key: EGGS if key == "title" else []}
    streamed = TestClient(v1(desk)).post("/chat/completions", json={"messages": [say(CHORES["title"])], "stream": True})
    assert EGGS in streamed.text
    librechat = (
        "Provide a concise title. Only return the title itself.\n\nConversation:\nUser: What is honey?\nAI: Sweet"
    )
    assert chore(librechat) == "What is honey?"
    assert chore("What is a task, and what is its output?") is None


def test_a_missing_library_is_503_and_says_what_makes_one(tmp_path: Path) -> None:
    reply = TestClient(v1(Desk(tmp_path))).post("/chat/completions", json={"messages": [say(EGGS)]})
    assert reply.status_code == 503
    assert "footnote ingest" in reply.json()["error"]["message"]


HOSTILE = [
    "![x](http://evil.example/?q=1)",
    "![x][ref]\n\n[ref]: http://evil.example/",
    "<img src=http://evil.example/>",
    "[free](javascript:alert(1))",
    "`![x](http://evil.example/)",
    "```\n![x](http://evil.example/)\n```\n![x](http://evil.example/)\n```",
    "a ` b ![x](http://evil.example/) ` c",
    *ATTACKS.values(),
]


@pytest.mark.parametrize("attack", HOSTILE)
def test_no_picture_link_or_tag_of_a_guide_becomes_one_in_a_client(attack: str) -> None:
    note = Footnote("a.md", attack, attack, 0, 5, attack)
    told = Told("http://localhost")
    for text in ("A ` tick.", attack, "Another ` tick."):
        told.add(Sentence(text, True, (note,)))
    told.end(_answer(attack))
    page = MarkdownIt("commonmark").enable("table").parse(told.text)
    inline = [child for token in page for child in token.children or [token]]
    assert not [t for t in inline if t.type in ("image", "html_inline", "html_block")]
    links = {str(t.attrGet("href")) for t in inline if t.type == "link_open"}
    assert all(link.startswith("http://localhost/read?") for link in links if not link.startswith(("http:/", "mailto")))
    assert not [link for link in links if "evil" in link.split("?")[0]]


def _answer(detail: str) -> Any:
    from assistant.records import Answer

    return Answer("Why?", "answered", detail=detail)


def test_code_stays_as_it_is_for_who_copies_it() -> None:
    code = "```python\nx = a[0](b) if c<d else '![x](y)'\n```"
    assert inert(code) == code


def test_quotes_are_the_guides_words_to_the_character(bees: Path) -> None:
    assert Library(bees).text("bees.md")[72:130] == LAID
