"""Agents' door: what the official client sees, over HTTP and on standard input and output."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from assistant.records import Footnote
from assistant.serve.mcp import fetched
from ingest.errors import FootnoteError
from ingest.library import Library
from tests.assistant.serve.conftest import EGGS, LAID, ROOT, Served
from tests.fakes import run

RECORDED = Path(__file__).with_name("session.json")
COMMAND = ["-c", "import sys; from assistant import main; sys.exit(main())", "mcp", "--library"]


async def session(client: Any, at: str) -> list[dict[str, Any]]:
    """A talk as an agent has it; addresses are told as they stand in the recording."""
    told: list[dict[str, Any]] = []

    def record(asked: str, result: Any) -> None:
        value = result.model_dump(
            mode="json", exclude_none=True, exclude={"meta", "result_type", "ttl_ms", "cache_scope"}
        )
        told.append({"asked": asked, "answered": json.loads(json.dumps(value).replace(at, "http://page"))})

    async with client:
        record("list_tools", await client.list_tools())
        found = await client.call_tool("search", {"query": EGGS})
        record("search", found)
        best = found.structured_content["results"][0]["id"]
        record("fetch", await client.call_tool("fetch", {"id": best}))
        record("ask", await client.call_tool("ask", {"question": EGGS, "history": []}))
        record("guides", await client.call_tool("guides", {}))
        listed = await client.list_resources()
        record("list_resources", listed)
        record("read_resource", await client.read_resource(listed.resources[0].uri))
        record("fetch, of nothing", await client.call_tool("fetch", {"id": "nothing#1-2"}))
    return steady(told)


def steady(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what differs from run to run: how long it took."""
    for step in told:
        step["answered"].get("structured_content", {}).pop("seconds", None)
    return told


@pytest.fixture(scope="module")
def over_http(served: Served) -> list[dict[str, Any]]:
    return run(session(Client(f"{served.url}/mcp"), served.url))


def test_the_session_is_the_recorded_one(over_http: list[dict[str, Any]]) -> None:
    if not RECORDED.exists():  # delete it to record anew, and read what has changed
        RECORDED.write_text(json.dumps(over_http, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert over_http == json.loads(RECORDED.read_text(encoding="utf-8"))


def test_search_and_fetch_have_the_shape_that_connectors_ask_for(over_http: list[dict[str, Any]]) -> None:
    answers = {step["asked"]: step["answered"] for step in over_http}
    found, one = answers["search"], answers["fetch"]
    assert json.loads(found["content"][0]["text"]) == found["structured_content"]
    assert all(set(hit) == {"id", "title", "url"} and hit["url"] for hit in found["structured_content"]["results"])
    assert set(one["structured_content"]) == {"id", "title", "text", "url", "metadata"}
    assert json.loads(one["content"][0]["text"]) == one["structured_content"]
    assert LAID in one["structured_content"]["text"]


def test_every_tool_says_that_it_only_reads(over_http: list[dict[str, Any]]) -> None:
    tools = over_http[0]["answered"]["tools"]
    assert {tool["name"] for tool in tools} == {"search", "fetch", "ask", "guides"}
    assert all(tool["annotations"]["read_only_hint"] and not tool["annotations"]["destructive_hint"] for tool in tools)


def test_an_answer_comes_with_the_exact_words_and_where_they_stand(over_http: list[dict[str, Any]]) -> None:
    answer = next(step["answered"] for step in over_http if step["asked"] == "ask")
    (note,) = answer["structured_content"]["sentences"][0]["footnotes"]
    assert (note["quote"], note["start"], note["end"]) == (LAID, 72, 130)
    assert note["url"] == Footnote("bees.md", "", "", 72, 130, LAID).url("http://page")
    assert note["url"] in answer["content"][0]["text"]


def test_what_is_wrong_is_told_to_the_agent(over_http: list[dict[str, Any]]) -> None:
    wrong = over_http[-1]["answered"]
    assert wrong["is_error"]
    assert "take an id that search or guides gave" in wrong["content"][0]["text"]


@pytest.mark.parametrize("name", ["bees.md#50-10", "bees.md#99999-99999", "bees.md#1-99999", "bees.md#x"])
def test_words_that_are_not_there_are_not_fetched(bees: Path, name: str) -> None:
    with pytest.raises(FootnoteError, match="take an id"):
        fetched(Library(bees), name, "http://page")


def test_on_standard_input_and_output_it_is_the_same_talk(bees: Path, over_http: list[dict[str, Any]]) -> None:
    started = StdioServerParameters(
        command=sys.executable, args=[*COMMAND, str(bees), "--base-url", "http://page"], env={"PYTHONPATH": str(ROOT)}
    )
    assert run(session(Client(started), "http://page")) == over_http


def test_a_client_of_the_older_protocol_is_served_too(served: Served) -> None:
    async def talk() -> list[str]:
        async with Client(f"{served.url}/mcp", mode="legacy") as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    assert "ask" in run(talk())
