from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue

import pytest

from ingest.library import Library
from ingest.sources import Source
from ingest.sources.watch import Told, Watch
from ingest.sync import Report
from tests.fakes import BagOfWords
from tests.ingest.folders_of_guides import fill, guide
from tests.ingest.sources.sites import page, site

PATIENCE = 60.0  # seconds, on a machine that does much else


@contextmanager
def watching(watch: Watch) -> Iterator[Queue[Told]]:
    told: Queue[Told] = Queue()
    watch.stop = threading.Event()
    thread = threading.Thread(target=lambda: [told.put(one) for one in watch.told()])
    thread.start()
    try:
        yield told
    finally:
        watch.stop.set()
        thread.join(PATIENCE)


def report(told: Queue[Told]) -> Report:
    one = told.get(timeout=PATIENCE)
    assert isinstance(one, Report), one
    return one


def until(told: Queue[Told], attribute: str) -> list[str]:
    """What the next reports come to, as soon as they say anything of this: an editor's save may take two."""
    while not (said := getattr(report(told), attribute)):
        pass
    return list(said)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "guides")


def test_what_is_saved_renamed_and_deleted_is_taken_up(folder: Path, tmp_path: Path) -> None:
    place = folder / "library"  # inside the folder that is watched: its own writing is no change
    with watching(Watch([folder], place, embedder=BagOfWords())) as told:
        assert len(report(told).added) == 4
        time.sleep(0.5)
        with pytest.raises(Empty):
            told.get(timeout=2)
        (folder / "new.md").write_text(guide("novelty"))
        assert until(told, "added") == ["new.md"]
        waiting = folder / "dropout.md~"
        waiting.write_text(guide("dropout", 2))
        waiting.replace(folder / "dropout.md")
        assert until(told, "changed") == ["dropout.md"]
        (folder / "new.md").unlink()
        assert until(told, "removed") == ["new.md"]


def test_a_folder_that_is_gone_keeps_its_documents_and_is_watched_again_when_it_is_back(
    folder: Path, tmp_path: Path
) -> None:
    place = tmp_path / "library"
    with watching(Watch([folder], place, embedder=BagOfWords())) as told:
        assert len(report(told).added) == 4
        folder.rename(tmp_path / "away")
        assert "is gone" in str(told.get(timeout=PATIENCE))
        folder.mkdir()
        assert "holds nothing to read" in str(told.get(timeout=PATIENCE))
        assert len(Library(place).paths()) == 4
        shutil.rmtree(folder)
        assert "is gone" in str(told.get(timeout=PATIENCE))
        (tmp_path / "away" / "new.md").write_text(guide("novelty"))
        (tmp_path / "away").rename(folder)
        assert until(told, "added") == ["new.md"]


def test_what_is_fetched_is_fetched_again_every_so_often(tmp_path: Path) -> None:
    with site({"/a": page("First")}) as s:
        source = Source("page", f"{s.url}/a", delay=0, allow_private=True)
        with watching(Watch([source], tmp_path / "library", every=0.2, embedder=BagOfWords())) as told:
            assert len(report(told).added) == 1
            s.pages["/a"] = page("Second")
            assert len(until(told, "changed")) == 1
