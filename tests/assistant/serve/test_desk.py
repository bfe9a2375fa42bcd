"""What all doors share: questions in line, clients that leave, writers on offer by short names."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.records import Cite, Passages, Request, Stop, Text
from assistant.serve import desk as desks
from assistant.serve.desk import Busy, Desk, NoSuchModel
from tests.assistant.serve.conftest import EGGS
from tests.fakes import run


class Slow:
    """Writes a word whenever it is let; says when it was left."""

    name = "slow"

    def __init__(self) -> None:
        self.go, self.left = threading.Event(), threading.Event()
        self.words = 0

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        try:
            for _ in range(1000):
                assert self.go.wait(20)
                self.words += 1
                yield Text("Bees hum. ")
            yield Stop()
        finally:
            self.left.set()


def slow(library: Path) -> tuple[Desk, Slow]:
    desk, writer = Desk(library), Slow()
    desk.assistant()._model = writer
    return desk, writer


def test_a_client_that_leaves_takes_its_writer_along(library: Path) -> None:
    desk, writer = slow(library)

    async def leave_early() -> None:
        async with contextlib.aclosing(desk.events(EGGS)) as events:
            async for event in events:
                assert isinstance(event, Passages)
                break
        writer.go.set()
        assert await asyncio.to_thread(writer.left.wait, 20)

    run(leave_early())
    assert writer.words < 10
    assert desk.counts.registry.get_sample_value("footnote_answers_under_way") == 0


def test_who_comes_when_too_many_wait_is_told_to_come_back(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "WAITING", 2)
    desk, writer = slow(library)

    async def crowd() -> None:
        waiting = [desk.events(EGGS) for _ in range(2)]
        for events in waiting:
            await anext(events)
        with pytest.raises(Busy, match="ask again"):
            await anext(desk.events(EGGS))
        writer.go.set()
        for events in waiting:
            await events.aclose()
        assert len(await desk.run(lambda: desk.library().paths())) == 3  # there is room again

    run(crowd())


def test_names_on_offer_tell_clients_no_path_of_this_machine(tmp_path: Path) -> None:
    offered = Desk(tmp_path, ("claude", "llama:/secret/models/mine", "http://10.0.0.7:8000/v1")).offered
    assert list(offered) == [
        "footnote",
        "footnote/quotes",
        "footnote/claude",
        "footnote/llama:mine",
        "footnote/chat:10.0.0.7",
    ]
    assert offered["footnote"] == "claude"
    with pytest.raises(NoSuchModel):
        Desk(tmp_path).assistant("footnote/llama:/etc")


def test_a_library_that_was_made_anew_is_opened_anew(library: Path, bees: Path) -> None:
    import shutil

    desk = Desk(library)
    first = desk.library()
    assert desk.library() is first
    shutil.rmtree(library)
    shutil.copytree(bees, library)
    assert desk.library() is not first


def test_questions_are_logged_only_where_that_was_asked_for(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(Desk(library).answer(EGGS))
    assert "queen" not in capsys.readouterr().err
    run(Desk(library, log_questions=True).answer(EGGS))
    assert EGGS in capsys.readouterr().err
