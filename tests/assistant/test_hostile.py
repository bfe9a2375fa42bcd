"""Text of documents is data: no attack of `attacks.py` changes what a writer is told, can cite, or shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from assistant.footnotes import Draft
from assistant.prompts import CLAUDE_SYSTEM, SYSTEM, messages
from assistant.records import Cite, Passage, Request, Stop, Text, Turn, neutralise
from assistant.writers.chat import Chat
from assistant.writers.claude import Claude
from assistant.writers.llama import Llama
from assistant.writers.quotes import Quotes
from ingest.chunks import Unit
from tests.assistant.attacks import ATTACKS
from tests.assistant.loopback import Loopback, as_events, as_json

each_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())


def planted(attack: str) -> Request:
    """The attack everywhere a document can put it: units, title, section, a table's header, an earlier answer."""
    good, space = "Dropout lowers overfitting.", " "
    units = (Unit(0, len(good), "sentence"), Unit(len(good) + 1, len(good) + 1 + len(attack), "sentence"))
    text = good + space + attack
    first = Passage("a.md", attack, attack, 0, len(text), text, 0.9, units, attack)
    code = Passage("b.md", "B", "S", 0, len(attack), attack, 0.5, (Unit(0, len(attack), "code"),))
    return Request("Why does dropout help?", (first, code), (Turn("What is dropout?", attack),))


def valid(request: Request, cite: Cite) -> bool:
    return all(p < len(request.passages) and u < len(request.passages[p].units) for p, u in cite.units)


def test_there_are_more_than_forty_attacks() -> None:
    assert len(ATTACKS) > 40


@each_attack
def test_the_prompt_has_our_lines_our_ids_and_no_others(attack: str) -> None:
    system, user = messages(planted(attack))
    content = user["content"]
    assert system == {"role": "system", "content": SYSTEM}
    assert re.findall(r"\[[0-9]+\.[0-9]+\]", content) == ["[1.1]", "[1.2]", "[2.1]"]
    lines = content.splitlines()
    assert lines == content.split("\n")
    assert [line[:5] for line in lines if line.startswith("[")] == ["[1.1]", "[1.2]", "[2.1]"]
    assert [line[:9] for line in lines if line.startswith("Passage")] == ["Passage 1", "Passage 2"]
    assert [line for line in lines if line.startswith(("End of", "Question"))] == ["End of passages.", lines[-1]]
    assert not re.search(r"<\|(?! )|<｜|\[/?INST\]|</?s>|<</?SYS>>|<(start|end)_of_turn>|</?think>", content)
    assert content == neutralise(content)


@each_attack
def test_claude_is_sent_the_attack_inside_document_blocks_alone(
    attack: str, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    loopback.answer = lambda asked: as_json({"type": "error", "error": {"type": "x", "message": "x"}}, 400)
    for text in (attack, "Harmless."):
        with pytest.raises(Exception, match="claude"):
            list(Claude(base_url=loopback.url, retries=0).write(planted(text)))
    sent, harmless = (_emptied(json.loads(asked.raw)) for asked in loopback.asked)
    assert sent == harmless
    assert sent["system"][0]["text"] == CLAUDE_SYSTEM
    assert "tools" not in sent


def _emptied(body: dict[str, Any]) -> dict[str, Any]:
    """The request without what documents and earlier answers say: what is left must not depend on them."""
    for message in body["messages"]:
        if message["role"] == "assistant":
            assert isinstance(message["content"], str)
            message["content"] = ""
            continue
        for block in message["content"]:
            if block["type"] == "document":
                assert set(block) <= {"type", "source", "title", "context", "citations", "cache_control"}
                assert all(set(unit) == {"type", "text"} for unit in block["source"]["content"])
                block |= {"source": len(block["source"]["content"]), "title": "", "context": ""}
    return body


@each_attack
def test_a_model_that_obeys_the_attack_still_cites_strictly(attack: str, loopback: Loopback) -> None:
    """The server repeats the attack, as a model would that fell for it."""

    def chunk(text: str, finish: str | None = None) -> tuple[str, object]:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
        return "", {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}

    said = attack.encode(errors="replace").decode()
    loopback.answer = lambda asked: as_events([chunk(said[:30]), chunk(said[30:]), chunk("", "stop"), ("", "[DONE]")])
    request = planted(attack)
    *events, stop = Chat(f"{loopback.url}/v1#m", retries=0).write(request)
    assert [message["role"] for message in loopback.asked[-1].body["messages"]] == ["system", "user"]
    assert isinstance(stop, Stop)
    cites = [event for event in events if isinstance(event, Cite)]
    assert all(valid(request, cite) for cite in cites)
    outside_code = re.sub(r"`[^`]*`?", "", said)
    if "[9.9]" in outside_code and "`" not in said:
        assert [cite.invalid for cite in cites] == [("9.9",)]
    shown = "".join(event.text for event in events if isinstance(event, Text))
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e01ff]", neutralise(shown)
    )


@pytest.fixture(scope="module")
def answers(llama: Path) -> dict[str, list[Text | Cite | Stop]]:
    """What the tiny Llama writes to each attack; a few at a time, and of each attack no more than its beginning."""
    import torch

    torch.set_num_threads(1)
    writer, attacks = Llama(llama, max_new_tokens=16), list(ATTACKS.values())
    found: dict[str, list[Text | Cite | Stop]] = {}
    for start in range(0, len(attacks), 8):
        batch = attacks[start : start + 8]
        found |= zip(batch, writer.write_batch([planted(attack[:120]) for attack in batch]), strict=True)
    return found


@each_attack
def test_a_local_model_can_cite_only_what_it_was_given(
    attack: str, answers: dict[str, list[Text | Cite | Stop]]
) -> None:
    cites = [event for event in answers[attack] if isinstance(event, Cite)]
    assert all(not cite.invalid and valid(planted(attack), cite) for cite in cites)


@each_attack
def test_no_attack_becomes_a_special_token_of_a_local_model(attack: str, llama: Path) -> None:
    marks = r"<\|(?:begin_of_text|eot_id|start_header_id|end_header_id|pad)\|>"
    prompts = [Llama(llama, max_new_tokens=24).prompt(planted(text)) for text in (attack[:500], "Harmless.")]
    assert re.findall(marks, prompts[0]) == re.findall(marks, prompts[1])


@each_attack
def test_the_quoting_writer_cites_what_it_was_given_and_says_nothing_else(attack: str) -> None:
    request = planted(attack)
    draft = Draft(request.passages)
    for event in Quotes().write(request):
        if isinstance(event, Text):
            draft.add(event.text)
        elif isinstance(event, Cite):
            assert valid(request, event)
            assert not event.invalid
            draft.cite(event)
    draft.finished(everything=True)
    texts = {passage.document: passage.text for passage in request.passages}
    assert draft.sentences
    for sentence in draft.sentences:
        assert sentence.text == neutralise(sentence.text)
        for note in sentence.footnotes:
            assert texts[note.document][note.start : note.end] == note.quote
