from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ingest.embed import MiniLM
from ingest.errors import FootnoteError, LibraryError
from ingest.library import Library
from ingest.sync import Progress, Report, changes, remove, sync
from tests.fakes import BagOfWords
from tests.ingest.folders_of_guides import SUBJECTS, fill, guide, permissions_count, state
from tests.ingest.kill import main
from tests.ingest.mutants import WHOLE, mutants
from tests.ingest.readers.test_pdf import PAPER, fake_engine, saying, scanned, with_scans

ROOT = Path(__file__).resolve().parents[2]


def test_a_killed_ingest_leaves_the_old_library_or_the_new_one_whole() -> None:
    """Five kills; `python -m tests.ingest.kill --times 50` does more."""
    outcomes = main(times=5, seed=7)
    assert sum(outcomes.values()) == 5


def ingest(place: Path, *paths: Path, **options: object) -> Report:
    return sync(list(paths), place, **{"embedder": BagOfWords(), **options})  # type: ignore[arg-type]


def paths(place: Path) -> list[str]:
    return [d.path for d in Library(place).documents()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "guides")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "library"


def test_a_second_run_reads_nothing_embeds_nothing_and_changes_nothing(folder: Path, place: Path) -> None:
    first = ingest(place, folder)
    assert sorted(first.added) == sorted(paths(place)) == [f"{subject}.md" for subject in sorted(SUBJECTS[:4])]
    assert first.embedded == first.chunks > 4
    before, generation, embedder = state(place), Library(place).generation, BagOfWords()
    again = ingest(place, folder, embedder=embedder)
    assert (again.unchanged, again.chunks, again.added, again.changed, again.removed) == (4, 0, [], [], [])
    assert embedder.embedded == []
    assert state(place) == before
    assert Library(place).generation == generation


def test_only_chunks_whose_text_changed_are_embedded_again(folder: Path, place: Path) -> None:
    ingest(place, folder)
    text = (folder / "dropout.md").read_text().replace("takes 10 steps", "takes 11 steps")
    (folder / "dropout.md").write_text(text)
    embedder = BagOfWords()
    report = ingest(place, folder, embedder=embedder)
    assert report.changed == ["dropout.md"]
    assert report.embedded == len(embedder.embedded) == 1
    assert "takes 11 steps" in embedder.embedded[0]
    assert Library(place).text("dropout.md") == text


def test_moved_and_renamed_files_are_not_embedded_again_not_even_without_a_title(folder: Path, place: Path) -> None:
    (folder / "some_notes.md").write_text("These notes have no title. " * 30)
    ingest(place, folder)
    (folder / "deep").mkdir()
    (folder / "dropout.md").rename(folder / "deep" / "dropout.md")
    (folder / "some_notes.md").rename(folder / "other_notes.md")
    report = ingest(place, folder)
    assert sorted(report.moved) == ["deep/dropout.md", "other_notes.md"]
    assert (report.embedded, report.added, report.removed) == (0, [], [])
    assert {d.path: d.title for d in Library(place).documents()}["other_notes.md"] == "Other notes"
    fresh = place.with_name("fresh")
    ingest(fresh, folder)
    assert state(place) == state(fresh)


def test_a_file_that_was_only_touched_is_not_read_again(folder: Path, place: Path) -> None:
    ingest(place, folder)
    os.utime(folder / "dropout.md", (1, 1))
    read: list[Progress] = []
    assert changes(Library(place)).changed == []
    assert ingest(place, folder, progress=read.append).unchanged == 4
    assert read == []


def test_a_change_in_the_very_moment_of_the_ingest_is_noticed_though_date_and_size_are_the_same(
    folder: Path, place: Path
) -> None:
    file = folder / "dropout.md"
    ingest(place, folder)
    date = file.stat().st_mtime_ns
    file.write_text(file.read_text().replace("helps", "harms"))
    os.utime(file, ns=(date, date))
    assert ingest(place, folder).changed == ["dropout.md"]


def test_what_is_gone_is_removed_unless_it_is_to_be_kept(folder: Path, place: Path) -> None:
    ingest(place, folder)
    (folder / "dropout.md").unlink()
    assert changes(Library(place)).removed == ["dropout.md"]
    assert ingest(place, folder, keep_missing=True).removed == []
    assert "dropout.md" in paths(place)
    assert ingest(place, folder).removed == ["dropout.md"]
    assert "dropout.md" not in paths(place)


def test_a_file_that_cannot_be_read_stops_nothing_keeps_its_old_version_and_is_tried_again(
    folder: Path, place: Path
) -> None:
    ingest(place, folder)
    old = Library(place).text("dropout.md")
    (folder / "dropout.md").write_text("")
    (folder / "new.md").write_text(guide("novelty"))
    report = ingest(place, folder)
    assert [f.file for f in report.failed] == ["dropout.md"]
    assert "dropout.md is empty" in report.failed[0].reason
    assert report.added == ["new.md"]
    assert Library(place).text("dropout.md") == old
    assert [f.file for f in Library(place).failures()] == ["dropout.md"]
    assert [f.file for f in ingest(place, folder).failed] == ["dropout.md"]
    (folder / "dropout.md").write_text(guide("dropout", 2))
    assert ingest(place, folder).changed == ["dropout.md"]
    assert Library(place).failures() == []


def test_a_file_that_vanishes_after_it_was_seen_is_a_failure_and_the_rest_is_in(folder: Path, place: Path) -> None:
    def vanish(progress: Progress) -> None:
        (folder / "pooling.md").unlink(missing_ok=True)

    report = ingest(place, folder, progress=vanish)
    assert [(f.file, "gone" in f.reason) for f in report.failed] == [("pooling.md", True)]
    assert len(paths(place)) == 3


def test_each_of_several_roots_keeps_its_own_documents_and_one_path_in_two_of_them_gets_two_names(
    tmp_path: Path, place: Path
) -> None:
    one, two = fill(tmp_path / "one", SUBJECTS[:2]), fill(tmp_path / "two", SUBJECTS[1:3])
    ingest(place, one, two)
    assert paths(place) == ["attention.md", "boosting.md", "dropout.md", "two/boosting.md"]
    (one / "boosting.md").write_text(guide("boosting", 2))
    (two / "boosting.md").write_text(guide("boosting", 1))
    assert sorted(ingest(place, two, one).changed) == [
        "boosting.md",
        "two/boosting.md",
    ]  # names stay, whatever the order
    assert Library(place).text("boosting.md") == guide("boosting", 2)
    (two / "attention.md").unlink()
    assert ingest(place, one).removed == []
    assert ingest(place, two).removed == ["attention.md"]
    assert Library(place).roots() == [str(one), str(two)]


def test_a_root_inside_another_belongs_to_the_wider_one(tmp_path: Path, place: Path) -> None:
    outer = fill(tmp_path / "outer", SUBJECTS[:1])
    inner = fill(outer / "inner", SUBJECTS[1:2])
    single = outer / "dropout.md"
    ingest(place, inner, single)
    assert paths(place) == ["boosting.md", "dropout.md"]
    report = ingest(place, outer)
    assert paths(place) == ["dropout.md", "inner/boosting.md"]
    assert (report.moved, report.embedded) == (["inner/boosting.md"], 0)
    assert Library(place).roots() == [str(outer)]
    (inner / "pooling.md").write_text(guide("pooling"))
    assert ingest(place, inner).added == ["inner/pooling.md"]
    fresh = place.with_name("fresh")
    ingest(fresh, outer)
    assert state(place) == state(fresh)


def test_single_files_are_ingested_under_their_name(folder: Path, place: Path) -> None:
    ingest(place, folder / "dropout.md", folder / "boosting.md")
    assert paths(place) == ["boosting.md", "dropout.md"]
    assert changes(Library(place)) == Report()


def test_links_that_lead_in_circles_end_and_odd_names_are_kept(tmp_path: Path, place: Path) -> None:
    folder = fill(tmp_path / "guides", SUBJECTS[:1])
    (folder / "circle").symlink_to(folder, target_is_directory=True)
    (folder / "itself.md").symlink_to("itself.md")
    (folder / "nowhere.md").symlink_to("gone.md")
    odd = ["with space.md", "new\nline.md", "Ελληνικά 学習.md", "quote'\".md", "-dash.md", "a%20b#c?.md", "UPPER.MD"]
    for i, name in enumerate(odd):
        (folder / name).write_text(guide(f"oddity{i}"))
    unreadable = os.fsencode(folder) + b"/latin-\xe9.md"
    with open(unreadable, "w") as file:
        file.write(guide("bytes"))
    os.mkfifo(folder / "pipe.md")
    report = ingest(place, folder)
    assert sorted(paths(place)) == sorted(["dropout.md", *odd])
    assert {f.file for f in report.failed} == {"itself.md", "nowhere.md", "latin-\\xe9.md", "pipe.md"}
    assert ingest(place, folder).unchanged == 8


def test_a_folder_that_cannot_be_opened_loses_none_of_its_documents(tmp_path: Path, place: Path) -> None:
    folder = fill(tmp_path / "guides", SUBJECTS[:2])
    closed = fill(folder / "closed", SUBJECTS[2:4])
    ingest(place, folder)
    closed.chmod(0)
    try:
        with permissions_count():
            report = ingest(place, folder)
            assert changes(Library(place)).removed == []
    finally:
        closed.chmod(0o755)
    assert [f.file for f in report.failed] == ["closed"]
    assert report.removed == []
    assert len(paths(place)) == 4


def test_the_library_inside_the_folder_is_not_ingested(folder: Path) -> None:
    place = folder / "library"
    ingest(place, folder)
    (place / "chroma" / "stray.md").write_text("# Not a guide\n")
    assert ingest(place, folder).added == []


def test_ignored_and_hidden_files_are_left_out(folder: Path, place: Path) -> None:
    (folder / ".footnoteignore").write_text("drafts/\n*oost*\n")
    fill(folder / "drafts", SUBJECTS[5:6])
    fill(folder / ".git", SUBJECTS[6:7])
    ingest(place, folder)
    assert paths(place) == ["attention.md", "dropout.md", "pooling.md"]


def test_an_empty_folder_and_a_missing_one_say_so(tmp_path: Path, place: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FootnoteError, match=r"nothing to read in .*empty.*\.md"):
        ingest(place, tmp_path / "empty")
    with pytest.raises(FootnoteError, match=r"no file or folder .*gone"):
        ingest(place, tmp_path / "gone")
    (tmp_path / "film.mp4").write_bytes(b"png")
    with pytest.raises(FootnoteError, match="of a kind that is not read"):
        ingest(place, tmp_path / "film.mp4")


def test_another_embedder_of_the_same_dimension_takes_over_completely(folder: Path, place: Path) -> None:
    ingest(place, folder)
    other = BagOfWords(salt="other")
    report = ingest(place, folder, embedder=other)
    assert report.unchanged == 4
    assert len(other.embedded) == report.embedded == Library(place).count()
    fresh = place.with_name("fresh")
    ingest(fresh, folder, embedder=BagOfWords(salt="other"))
    assert state(place) == state(fresh)
    library = Library(place, lambda line: pytest.fail(line))
    vector = other.embed(["dropout of part 1"])[0]
    ids, matrix = library.vectors()
    assert library.nearest(vector, 1)[0][0] == ids[(matrix @ vector).argmax()]


def test_a_new_file_brings_everything_to_the_new_model_when_the_old_one_is_no_more(folder: Path, place: Path) -> None:
    ingest(place, folder)
    fill(folder, SUBJECTS[5:6])
    ingest(place, folder, embedder=BagOfWords(32))
    fresh = place.with_name("fresh")
    ingest(fresh, folder, embedder=BagOfWords(32))
    assert state(place) == state(fresh)


def test_a_document_that_an_older_footnote_read_is_read_again(folder: Path, place: Path) -> None:
    ingest(place, folder)
    before = state(place)
    with sqlite3.connect(place / "library.sqlite") as db:
        db.execute("UPDATE document SET made_by = 'older', title = 'Wrong' WHERE path = 'dropout.md'")
    db.close()
    report = ingest(place, folder)
    assert (report.renewed, report.unchanged) == (["dropout.md"], 3)
    assert state(place) == before


def test_a_scan_that_nothing_could_read_is_read_once_there_is_an_engine(
    folder: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "both.pdf").write_bytes(with_scans(scanned(), text=PAPER))
    monkeypatch.setenv("PATH", str(tmp_path))
    ingest(place, folder)
    assert "apt-get install tesseract-ocr" in Library(place).documents(["both.pdf"])[0].notes[0]
    assert ingest(place, folder).unchanged == 5

    fake_engine(tmp_path, monkeypatch, saying(("What the scanner saw.", 90), ("And what else it did.", 80)))
    report = ingest(place, folder)
    assert (report.renewed, report.unchanged) == (["both.pdf"], 4)
    assert report.notes == ["both.pdf: page 4: read by OCR, 85 % sure"]
    library = Library(place)
    at, text = library.text("both.pdf").index("What the scanner"), library.text("both.pdf")
    assert library.sure("both.pdf", at, at + 21) == 90
    assert library.sure("both.pdf", at, len(text)) == 85
    assert library.sure("both.pdf", 0, at) is None
    assert library.sure("dropout.md", 0, 99) is None
    assert ingest(place, folder).unchanged == 5
    remove(["both.pdf"], place)
    assert library.rows("SELECT * FROM ocr") == []


def test_pictures_of_a_folder_are_read_where_they_are_named(
    folder: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_engine(tmp_path, monkeypatch, saying(("What the scanner saw.", 90)))
    scanned().save(folder / "figure.png")
    assert "figure.png" not in ingest(place, folder).added
    assert ingest(place, folder / "figure.png").added == ["figure.png"]


def test_a_removed_document_stays_out_until_its_file_is_given_by_name(folder: Path, place: Path) -> None:
    ingest(place, folder)
    assert remove(["dropout.md"], place) == ["dropout.md"]
    assert ingest(place, folder).added == []
    assert changes(Library(place)) == Report()
    with pytest.raises(LibraryError, match=r"no document 'dropout.md'"):
        remove(["dropout.md"], place)
    assert ingest(place, folder / "dropout.md").added == ["dropout.md"]
    assert ingest(place, folder).unchanged == 4
    assert remove(["*o*"], place) == ["attention.md", "boosting.md", "dropout.md", "pooling.md"]
    assert Library(place).count() == 0


def test_status_knows_what_the_next_run_would_do(folder: Path, place: Path) -> None:
    (folder / "empty.md").write_text("")
    ingest(place, folder)
    assert changes(Library(place)) == Report()
    (folder / "dropout.md").write_text(guide("dropout", 1))
    (folder / "boosting.md").unlink()
    fill(folder, ["fresh"])
    (folder / "empty.md").write_text("# No longer\n")
    report = changes(Library(place))
    assert (report.added, report.changed, report.removed) == (["empty.md", "fresh.md"], ["dropout.md"], ["boosting.md"])


names = st.sampled_from(["a.md", "b.md", "c.txt", "sub/a.md", "sub/deep/d.md"])
steps = st.one_of(
    st.tuples(st.just("write"), names, st.integers(1, 3)),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("rename"), names, names),
    st.tuples(st.just("ingest")),
)


@settings(max_examples=8, phases=[Phase.generate])  # each example is several ingests; shrinking takes minutes
@given(st.lists(steps, min_size=2, max_size=9))
def test_whatever_happens_to_the_folder_the_library_is_that_of_a_fresh_ingest(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, ...]]
) -> None:
    base = tmp_path_factory.mktemp("sequence")
    folder, place = base / "guides", base / "library"
    fill(folder, ["constant"])
    for step in [*steps, ("ingest",)]:
        apply(step, folder, place)
    ingest(base / "fresh", folder)
    assert state(place) == state(base / "fresh")
    shutil.rmtree(base)


def apply(step: tuple[str, ...], folder: Path, place: Path) -> None:
    match step:
        case ("write", name, which):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(guide(SUBJECTS[int(which)], int(which)))
        case ("delete", name):
            (folder / name).unlink(missing_ok=True)
        case ("rename", name, other) if (folder / name).exists():
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(folder / other)
        case ("ingest",):
            ingest(place, folder)


class Stumbling(BagOfWords):
    """A model that cannot count one word and cannot embed another."""

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        if any("uncountable" in text for text in texts):
            raise TypeError("not a\ntext")
        return super().token_counts(texts)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if any("unbearable" in text for text in texts):
            raise ValueError("too much")
        return super().embed(texts)


def test_whatever_goes_wrong_with_one_document_costs_that_file_and_one_line(folder: Path, place: Path) -> None:
    ingest(place, folder)
    old = Library(place).text("dropout.md")
    (folder / "dropout.md").write_text(guide("uncountable"))
    (folder / "heavy.md").write_text(guide("unbearable"))
    (folder / "new.md").write_text(guide("novelty"))
    report = ingest(place, folder, embedder=Stumbling())
    assert {f.file: f.reason for f in report.failed} == {
        "dropout.md": "dropout.md cannot be taken in (TypeError: not a text). Take it out of the folder, or report it.",
        "heavy.md": "heavy.md cannot be taken in (ValueError: too much). Take it out of the folder, or report it.",
    }
    assert report.added == ["new.md"]
    assert Library(place).text("dropout.md") == old
    again = ingest(place, folder)
    assert (again.added, again.changed, again.failed) == (["heavy.md"], ["dropout.md"], [])


def test_a_change_of_any_file_that_reading_leans_on_makes_old_documents_outdated(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ingest", tmp_path / "ingest")
    code = """
import sys
from importlib import import_module
from pathlib import Path
from ingest.documents import READERS, read
for reader in READERS.values():
    import_module("ingest.readers." + reader.split(".")[0])
from ingest.chunks import chunk
from ingest.words import terms
leant_on = [Path(module.__file__) for name, module in sys.modules.items() if name.startswith("ingest.")]
from ingest.sync import made_by
seen = {made_by()}
for file in leant_on:
    file.write_text(file.read_text() + "# changed" + chr(10))
    made_by.cache_clear()
    assert made_by() not in seen, file
    seen.add(made_by())
index = Path("ingest/index.py")
index.write_text(index.read_text() + "# changed" + chr(10))
made_by.cache_clear()
assert made_by() in seen
print(len(leant_on))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 11


def test_the_work_of_naming_files_grows_with_their_number_and_not_with_its_square(tmp_path: Path) -> None:
    def seconds(count: int) -> float:
        paths = [tmp_path / str(count) / str(i) / "a.md" for i in range(count)]
        for path in paths:
            path.parent.mkdir(parents=True)
            path.write_text("")
        began = time.process_time()
        assert len(ingest(tmp_path / f"library{count}", *paths).failed) == count
        return time.process_time() - began

    seconds(10)
    assert seconds(2000) < 8 * seconds(500)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", WHOLE)
def test_of_five_hundred_broken_files_each_is_in_or_named_and_none_ends_the_ingest(
    tmp_path: Path, place: Path, suffix: str
) -> None:
    class Counting(BagOfWords):
        token_counts = staticmethod(MiniLM().token_counts)  # type: ignore[assignment]

    seed = int(os.environ.get("FOOTNOTE_SEED", "20261121"))
    print(f"seed {seed}: FOOTNOTE_SEED={seed} breaks the same files")  # noqa: T201
    mutants(tmp_path / "broken", suffix, 500, seed)
    report = ingest(place, tmp_path / "broken", embedder=Counting())
    assert len(report.added) + len(report.failed) == 500
    for failure in report.failed:
        assert "\n" not in failure.reason
        assert "cannot be taken in" not in failure.reason
    library = Library(place)
    for c in library.chunks(library.select()).values():
        assert c.text == library.text(c.document)[c.start : c.end]
        assert c.text.strip()
