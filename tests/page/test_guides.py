"""Uploads stay in the library's own folder, whatever they are called."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.page import guides
from assistant.page.jobs import Ingesting, Stopped
from ingest.errors import LibraryError, ReadError
from ingest.library import Library
from ingest.sync import Progress

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


def test_a_guide_is_of_the_moment_at_which_it_was_read(library: Path) -> None:
    before = time.time()
    guides.keep(library, "chisels.md", b"# Chisels\n\nA chisel is honed at 30 degrees.\n")
    guides.take_up(library, lambda progress: None)
    opened = Library(library)
    read = {d.path: guides.read_at(opened)[d.id] for d in opened.documents()}
    assert read["bees.md"] < before <= read["chisels.md"] <= time.time()
    assert guides.when(time.time(), time.time()).count(":") == 1, "today has its time"
    assert guides.when(0, 1e9) == time.strftime("%-d %b %Y", time.localtime(0))


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


def test_a_guide_that_was_read_before_is_back_when_reading_it_anew_is_stopped(library: Path) -> None:
    def tell(progress: object) -> None:
        raise Stopped("enough")

    path = guides.keep(library, "tea.md", b"# Tea\n\nGreen tea is brewed at 80 degrees.\n")
    guides.take_up(library, lambda progress: None)
    assert guides.keep(library, "tea.md", b"# Tea\n\nGreen tea is brewed at 75 degrees.\n") == path
    with pytest.raises(Stopped):
        guides.take_up(library, tell, [path])
    assert "80" in path.read_text()
    assert "80" in Library(library).text("tea.md")
    assert [p.name for p in path.parent.iterdir()] == ["tea.md"]


def test_an_upload_that_cannot_be_read_is_not_kept_and_what_it_would_have_replaced_is(library: Path) -> None:
    tea = guides.keep(library, "tea.md", b"# Tea\n\nGreen tea is brewed at 80 degrees.\n")
    assert not guides.take_up(library, lambda progress: None, [tea]).failed
    fresh = [guides.keep(library, name, b"  ") for name in ("tea.md", "empty.md")]
    report = guides.take_up(library, lambda progress: None, fresh)
    assert sorted(failure.file for failure in report.failed) == ["empty.md", "tea.md"]
    assert [path.name for path in tea.parent.iterdir()] == ["tea.md"]
    assert "80 degrees" in tea.read_text()
    opened = Library(library)
    assert "80 degrees" in opened.text("tea.md")
    assert opened.failures() == [], "nothing is told of a file that is not kept"


def test_a_file_that_is_not_to_replace_another_has_a_name_that_is_free(tmp_path: Path) -> None:
    for name in ("tea.md", "tea (2).md"):
        guides.keep(tmp_path, name, b"x")
    assert guides.other_name(tmp_path, "tea.md") == "tea (3).md"


def test_progress_counts_what_takes_long() -> None:
    assert guides.told(None) == (0.0, "Starting…")
    assert guides.told(Progress(1, 4, "a.md")) == (0.25, "Reading a.md, 1 of 4 done")
    assert guides.told(Progress(4, 4, "d.md: 512 of 4080 chunks", 512, 4080))[0] == pytest.approx(512 / 4080)
    assert "512 of 4,080 passages" in guides.told(Progress(4, 4, "d.md: 512 of 4080 chunks", 512, 4080))[1]


def test_an_ingest_that_is_stopped_ends_though_a_file_is_still_being_read(tmp_path: Path) -> None:
    from ingest.sync import sync

    (tmp_path / "guides").mkdir()
    (tmp_path / "guides" / "long.md").write_text("# Long\n\n" + "A sentence of this long guide says a thing. " * 60_000)
    job = Ingesting(lambda tell: sync([tmp_path / "guides"], tmp_path / "library", progress=tell))
    while job.progress is None or not job.progress.total:
        assert not job.wait(0.01)
    before = time.process_time()
    job.stop()
    assert job.wait(60), "by the clock two seconds, on a machine that nobody else uses"
    assert time.process_time() - before < 2.0
    assert "Stopped" in job.error
