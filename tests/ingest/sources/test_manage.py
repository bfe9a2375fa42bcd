"""Documents belong to their source: what one brings, no other takes away."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ingest.errors import FootnoteError
from ingest.library import Library
from ingest.sources.manage import remove_sources, sources
from ingest.sync import Report, changes, remove, sync
from tests.fakes import BagOfWords
from tests.ingest.folders_of_guides import fill, guide
from tests.ingest.sources.sites import documents, fetch, page, site


def ingest(place: Path, *paths: Path) -> Report:
    return sync(list(paths), place, embedder=BagOfWords())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "guides")


def test_a_sync_of_a_folder_takes_nothing_of_what_lies_in_its_own_library(folder: Path) -> None:
    place = folder / "library"
    ingest(place, folder)
    with site({"/a": page("Fetched")}) as s:
        fetch(place, f"{s.url}/a", "page")
        upload = place / "uploads" / "brought.md"
        upload.parent.mkdir()
        upload.write_text(guide("bringing"))
        ingest(place, upload.parent)
        report = ingest(place, folder)
        assert (report.unchanged, report.removed) == (4, [])
        fetch(place, f"{s.url}/a", "page")
    assert len(Library(place).paths()) == 6
    assert [s.kind for s in sources(Library(place))] == ["folder", "page", "uploads"]
    assert changes(Library(place)).removed == []


def test_a_folder_that_another_ignores_or_hides_keeps_its_documents(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "library"
    hidden = fill(folder / ".drafts")
    ingest(place, hidden)
    assert ingest(place, folder).removed == []
    assert len(Library(place).paths()) == 8
    assert len(Library(place).roots()) == 2
    (hidden / "dropout.md").unlink()
    assert len(ingest(place, hidden).removed) == 1


@pytest.mark.parametrize("changed", [False, True])
def test_a_root_that_was_renamed_keeps_its_documents(changed: bool, folder: Path, tmp_path: Path) -> None:
    place, new = tmp_path / "library", tmp_path / "handbook"
    ingest(place, folder)
    before = {d.path: d.id for d in Library(place).documents()}
    remove(["pooling.md"], place)
    folder.rename(new)
    if changed:
        (new / "dropout.md").write_text(guide("dropout", 2))
    report = ingest(place, new)
    assert (report.added, report.removed, report.changed) == ([], [], ["dropout.md"] if changed else [])
    after = {d.path: d.id for d in Library(place).documents()}
    del before["pooling.md"]
    assert after.keys() == before.keys()
    assert changed or after == before
    assert Library(place).roots() == [str(new)]
    assert Library(place).excluded() == [str(new / "pooling.md")]


def test_a_copy_of_a_root_is_another_root(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "library"
    ingest(place, folder)
    shutil.copytree(folder, tmp_path / "copy")
    assert len(ingest(place, tmp_path / "copy").added) == 4
    assert len(Library(place).roots()) == 2


def test_a_library_that_was_moved_takes_what_it_fetched_along(folder: Path, tmp_path: Path) -> None:
    place, moved = tmp_path / "library", tmp_path / "elsewhere" / "library"
    with site({"/a": page("Fetched")}) as s:
        fetch(place, f"{s.url}/a", "page")
        moved.parent.mkdir()
        place.rename(moved)
        assert changes(Library(moved)).removed == []
        s.server.asked.clear()
        report = fetch(moved, f"{s.url}/a", "page")
        assert (report.unchanged, report.added, report.removed) == (1, [], [])
        assert len(s.asked) == 1
    (only,) = sources(Library(moved))
    assert only.documents == 1
    assert Path(only.root).is_relative_to(moved)


def test_a_source_is_taken_out_with_its_documents_and_nobody_elses(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "library"
    ingest(place, folder)
    with site({"/a": page("Fetched"), "/b": page("Other")}) as s:
        fetch(place, f"{s.url}/a", "page")
        fetch(place, f"{s.url}/b", "page")
        (gone,) = remove_sources([f"{s.url}/a"], place)
        assert not Path(gone.root).exists()
        assert documents(place)[0] == "b.html"
        assert len(Library(place).paths()) == 5
        remove_sources([str(folder)], place)
        assert documents(place) == ["b.html"]
        assert len(list(folder.iterdir())) == 4
        with pytest.raises(FootnoteError, match="no source"):
            remove_sources([f"{s.url}/a"], place)
        fetch(place, f"{s.url}/a", "page")
        assert documents(place) == ["a.html", "b.html"]
