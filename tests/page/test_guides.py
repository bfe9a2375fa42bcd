"""Uploads stay in the library's own folder, whatever they are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.page import guides
from assistant.page.jobs import Stopped
from ingest.errors import LibraryError, ReadError
from ingest.library import Library

BITS = st.sampled_from(
    ["..", "/", "\\", "a", "ü", "C:", "~", "\0", "\n", " ", ".", "con", "-", "%2e%2e", ".md", ".txt", "x" * 300]
)


@given(name=st.one_of(st.text(max_size=40), st.lists(BITS, max_size=8).map("".join)).map(lambda stem: stem + ".md"))
def test_no_name_leads_out_of_the_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    place = tmp_path_factory.mktemp("library")
    try:
        path = guides.keep(place, name, b"text")
    except ReadError:
        assert not list(place.rglob("*.md"))
        return
    assert path.parent == place / "uploads"
    assert [p for p in place.rglob("*") if p.is_file()] == [path]
    assert not path.name.startswith(".")
    assert len(path.name.encode()) < 255


@pytest.mark.parametrize("name", ["evil.exe", "noend", "", "..", ".md"])
def test_what_cannot_be_read_is_not_kept(tmp_path: Path, name: str) -> None:
    with pytest.raises(ReadError):
        guides.keep(tmp_path, name, b"x")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_link_planted_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("mine")
    (tmp_path / "library" / "uploads").mkdir(parents=True)
    (tmp_path / "library" / "uploads" / "guide.md").symlink_to(outside)
    with pytest.raises(ReadError):
        guides.keep(tmp_path / "library", "guide.md", b"theirs")
    assert outside.read_text() == "mine"


def test_a_folder_of_uploads_that_leads_elsewhere_is_neither_written_nor_emptied(library: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "diary.md").write_text("# Diary\n\nToday the bees swarmed over the garden.\n")
    (library / guides.FOLDER).symlink_to(mine)
    with pytest.raises(LibraryError, match="is a link"):
        guides.keep(library, "guide.md", b"theirs")
    guides.renew(library, [mine], lambda progress: None)
    guides.remove(Library(library), "diary.md", lambda progress: None)
    assert [path.name for path in mine.iterdir()] == ["diary.md"]
    assert "diary.md" not in Library(library).paths()


def test_an_upload_is_taken_up_and_leaves_with_its_file_and_may_come_back(library: Path) -> None:
    for _ in range(2):
        path = guides.keep(library, "chisels.md", b"# Chisels\n\nA chisel is honed at 30 degrees.\n")
        assert guides.take_up(library, lambda progress: None).added == ["chisels.md"]
        opened = Library(library)
        assert "chisels.md" in [d.path for d in opened.documents()]
        guides.remove(opened, "chisels.md", lambda progress: None)
        assert not path.exists()
        assert "chisels.md" not in [d.path for d in Library(library).documents()]


def test_a_guide_from_elsewhere_is_taken_out_and_its_file_stays(library: Path) -> None:
    opened = Library(library)
    guides.remove(opened, "bread.md", lambda progress: None)
    assert "bread.md" not in [d.path for d in Library(library).documents()]
    assert (Path(__file__).parent / "guides" / "bread.md").exists()


def test_an_upload_that_could_not_be_read_can_be_removed_and_a_file_from_elsewhere_is_none(library: Path) -> None:
    path = guides.keep(library, "empty.md", b"")
    assert guides.take_up(library, lambda progress: None).failed
    opened = Library(library)
    [failure] = opened.failures()
    assert guides.upload_of(opened, failure.root, failure.file) == path
    guides.discard(opened, path, lambda progress: None)
    assert not path.exists()
    assert Library(library).failures() == []
    [bread] = [d for d in opened.documents() if d.path == "bread.md"]
    assert guides.upload_of(opened, bread.root, bread.file) is None


def test_a_fresh_upload_leaves_again_when_its_reading_is_stopped(library: Path) -> None:
    def tell(progress: object) -> None:
        raise Stopped("enough")

    path = guides.keep(library, "long.md", b"# Long\n\nA long guide says a lot of things.\n")
    with pytest.raises(Stopped):
        guides.take_up(library, tell, [path])
    assert not path.exists()
    assert "long.md" not in [d.path for d in Library(library).documents()]
    guides.keep(library, "short.md", b"# Short\n\nA short guide says one thing.\n")
    assert guides.take_up(library, lambda progress: None).added == ["short.md"]


def test_a_guide_that_was_read_before_stays_when_reading_it_anew_is_stopped(library: Path) -> None:
    def tell(progress: object) -> None:
        raise Stopped("enough")

    path = guides.keep(library, "tea.md", b"# Tea\n\nGreen tea is brewed at 80 degrees.\n")
    guides.take_up(library, lambda progress: None)
    assert guides.keep(library, "tea.md", b"# Tea\n\nGreen tea is brewed at 75 degrees.\n") == path
    with pytest.raises(Stopped):
        guides.take_up(library, tell, [path])
    assert "75" in path.read_text()
    assert "80" in Library(library).text("tea.md")
