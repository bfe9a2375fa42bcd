"""What was said: subtitles with their times, and chats as they are exported. A heading tells when, or by whom."""

from __future__ import annotations

import contextlib
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ingest.errors import ReadError
from ingest.readers import Draft, Reading, decode, markdown, one_line

# Subtitles, .vtt and .srt. Sentences run on from cue to cue, so cues are joined; each minute begins a section.

SECTION_SECONDS = 60
_TIMES = re.compile(r"^\s*(?:(\d+):)?(\d{1,2}):(\d{2})[.,]\d+\s+-->\s+(?:\d+:)?\d{1,2}:\d{2}[.,]\d+")
_VOICE = re.compile(r"<v(?:\.[\w.]+)?\s+([^>]+)>")
_TAG = re.compile(r"</?[^<>]{1,80}>|\{\\[^}]{1,40}\}")


@dataclass(frozen=True, slots=True)
class Cue:
    seconds: int
    text: str


def read_subtitles(data: bytes, name: str) -> Reading:
    text, notes, repairs = decode(data, name)
    draft = Draft()
    section: list[str] = []
    begun = -1
    for cue in [*_cues(text), Cue(-1, "")]:
        over = section and section[-1].endswith((".", "!", "?", "…")) and cue.seconds - begun >= SECTION_SECONDS
        if section and (over or cue.seconds < 0 or cue.seconds - begun >= 2 * SECTION_SECONDS):
            draft.heading(_clock(begun), 2)
            draft.add("paragraph", one_line(" ".join(section)))
            section = []
        begun = begun if section else cue.seconds
        section.append(cue.text)
    if not draft.blocks:
        raise ReadError(f"{name} holds no subtitles: no line gives times, as in 00:01.000 --> 00:04.000")
    return draft.reading("", notes, repairs)


def _cues(text: str) -> Iterator[Cue]:
    """Each line once: captions that roll up say what stands above them again."""
    said: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.split("\n")
        found = [(i, times) for i, line in enumerate(lines) if (times := _TIMES.match(line))]
        if not found:
            continue
        at, times = found[0]
        hours, minutes, seconds = (int(part or 0) for part in times.groups())
        fresh = [line for line in map(_plain, lines[at + 1 :]) if line and line not in said]
        said = [*said, *fresh][-3:]
        if fresh:
            yield Cue(hours * 3600 + minutes * 60 + seconds, " ".join(fresh))


def _plain(line: str) -> str:
    return one_line(html.unescape(_TAG.sub("", _VOICE.sub(r"\1: ", line))))


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


# Chats: lines or a list of conversations, as tuning data and the exports of chat programs have them.

_WHO = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}


def read_chats(data: bytes, name: str) -> Reading:
    text, notes, repairs = decode(data, name)
    draft = Draft()
    for number, value in enumerate(_values(text, name), 1):
        turns = [(who, said) for who, said in _turns(value) if said.strip() and who != "system"]
        if turns:
            draft.heading(str(value.get("title") or f"Conversation {number}") if isinstance(value, dict) else "Chat", 2)
        for who, said in turns:
            draft.heading(_WHO.get(who, who), 3)
            draft.extend(said.strip("\n"), markdown.blocks_in(said.strip("\n"), level=3))
    if not draft.blocks:
        raise ReadError(f"{name} holds no chat: none of its entries has messages with a role and a content")
    return draft.reading("", notes, repairs)


def _values(text: str, name: str) -> list[Any]:
    with contextlib.suppress(ValueError):
        whole = json.loads(text)
        return whole if isinstance(whole, list) and not _is_message(whole[:1]) else [whole]
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise ReadError(
            f"{name} is no JSON that can be read ({one_line(str(error))[:80]}). Export it again."
        ) from error


def _is_message(values: list[Any]) -> bool:
    return bool(values) and isinstance(values[0], dict) and "content" in values[0] and "role" in values[0]


def _turns(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and isinstance(value.get("mapping"), dict):
        value = _along(value["mapping"], value.get("current_node"))
    elif isinstance(value, dict):
        value = value.get("messages") or value.get("conversations") or value.get("chat_messages") or []
    for message in value if isinstance(value, list) else []:
        if isinstance(message, dict):
            author = message.get("author")
            who = message.get("role") or message.get("from") or message.get("sender")
            who = who or (author.get("role") if isinstance(author, dict) else author) or "said"
            yield str(who), _words(message.get("content", message.get("value", message.get("text", ""))))


def _along(mapping: dict[str, Any], last: Any) -> list[Any]:
    """A tree of messages along the branch that its reader saw last."""
    found: list[Any] = []
    seen: set[str] = set()
    last = last if last in mapping else next(reversed(mapping), None)
    while isinstance(last, str) and last in mapping and last not in seen:
        seen.add(last)
        node = mapping[last] if isinstance(mapping[last], dict) else {}
        found.append(node.get("message"))
        last = node.get("parent")
    return found[::-1]


def _words(content: Any) -> str:
    """Text, or parts of which some are pictures and the like."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _words(content.get("parts", content.get("text", "")))
    if isinstance(content, list):
        return "\n\n".join(filter(None, map(_words, content)))
    return ""
