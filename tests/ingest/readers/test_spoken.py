from __future__ import annotations

import json

import pytest

from ingest.errors import ReadError
from ingest.readers import spoken
from ingest.readers.code import read_lines, read_python

VTT = """WEBVTT

1
00:00:01.000 --> 00:00:04.000
<v Ada>Dropout switches units

00:00:04.000 --> 00:00:07.500 align:start
off while a network &amp; its <c.yellow>layers</c> learn.

01:10.000 --> 01:12.000
It is off afterwards.
"""
SRT = "1\r\n00:00:01,000 --> 00:00:04,000\r\nOne line.\r\n\r\n2\r\n01:02:03,500 --> 01:02:05,000\r\nAn hour later.\r\n"


def test_subtitles_are_prose_with_their_times_as_sections() -> None:
    reading = spoken.read_subtitles(VTT.encode(), "talk.vtt")
    assert reading.text == (
        "## 0:00:01\n\nAda: Dropout switches units off while a network & its layers learn.\n\n"
        "## 0:01:10\n\nIt is off afterwards."
    )
    assert [b.kind for b in reading.blocks] == ["heading", "paragraph", "heading", "paragraph"]
    assert "## 1:02:03\n\nAn hour later." in spoken.read_subtitles(SRT.encode(), "talk.srt").text


def test_captions_that_roll_up_say_each_line_once() -> None:
    rolling = "WEBVTT\n\n00:01.000 --> 00:02.000\none two\n\n00:02.000 --> 00:03.000\none two\nthree four\n"
    assert spoken.read_subtitles(rolling.encode(), "a.vtt").text.endswith("one two three four")


MESSAGES = [{"role": "user", "content": "How far?"}, {"role": "assistant", "content": "One step."}]
TREE = {
    "title": "On steps",
    "current_node": "c",
    "mapping": {
        "a": {"message": {"author": {"role": "user"}, "content": {"parts": ["How far?"]}}, "parent": None},
        "b": {"message": {"author": {"role": "assistant"}, "content": {"parts": ["Dropped."]}}, "parent": "a"},
        "c": {"message": {"author": {"role": "assistant"}, "content": {"parts": ["One step."]}}, "parent": "a"},
    },
}


@pytest.mark.parametrize(
    "exported",
    [
        json.dumps(
            {"messages": [{"role": "user", "content": "How far?"}, {"role": "assistant", "content": "One step."}]}
        ),
        json.dumps({"conversations": [{"from": "human", "value": "How far?"}, {"from": "gpt", "value": "One step."}]}),
        json.dumps(MESSAGES),
        json.dumps([TREE]),
    ],
)
def test_chats_are_turns_under_who_said_them(exported: str) -> None:
    reading = spoken.read_chats(exported.encode(), "chat.jsonl")
    assert reading.text.partition("\n\n")[2] == "### user\n\nHow far?\n\n### assistant\n\nOne step."


@pytest.mark.parametrize(
    "text", ['{"a": 1}', "[1, 2]", '{"messages": [{"role": 1, "content": [null, 3]}]}', "{half", "null"]
)
def test_json_that_is_no_chat_is_one_line(text: str) -> None:
    with pytest.raises(ReadError, match=r"^data\.json "):
        spoken.read_chats(text.encode(), "data.json")


def test_python_is_its_signatures_docstrings_and_comments() -> None:
    source = b'''"""About rates."""
LIMIT = 3  # more than that is never needed


@cached
def rate(step: int,
         floor: float = 0.0) -> float:
    """The rate of a step.

    Args:
        step: counted from one,
            not from zero
        floor: the least

    >>> rate(1)
    0.1
    """
    # Half of it
    # is lost.
    return 0.1 / step
'''
    text = read_python(source, "src/rates.py").text
    assert text == (
        "About rates.\n\n```python\nLIMIT = 3  # more than that is never needed\n```\n\n## rate\n\n"
        "```python\n@cached\ndef rate(step: int,\n         floor: float = 0.0) -> float:\n```\n\n"
        "The rate of a step.\n\nArgs:\n\n- step: counted from one, not from zero\n- floor: the least\n\n"
        "```python\n>>> rate(1)\n0.1\n```\n\nHalf of it is lost."
    )


def test_what_this_python_cannot_read_and_other_code_is_lines() -> None:
    reading = read_python(b"print 'old'\n", "old.py")
    assert reading.text == "```py\nprint 'old'\n```"
    assert reading.notes
    assert read_lines(b"int a;\nint b;\n", "a.c").text == "```c\nint a;\nint b;\n```"
