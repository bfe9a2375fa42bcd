from __future__ import annotations

import gc
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingest.errors import LibraryBusy, LibraryError
from ingest.library import Library, create
from ingest.sync import remove, sync
from ingest.writing import Change, Writing
from tests.fakes import BagOfWords
from tests.ingest.folders_of_guides import SUBJECTS, fill, guide, permissions_count, state

ROOT = Path(__file__).resolve().parents[2]

INGEST = """
import sys
from ingest.sync import sync
from tests.fakes import BagOfWords
sync([sys.argv[1]], sys.argv[2], embedder=BagOfWords(2000), notify=lambda line: print(line, file=sys.stderr))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    sync([fill(tmp_path / "guides", SUBJECTS[:2])], tmp_path / "library", embedder=BagOfWords(2000))
    return tmp_path / "library"


def test_a_second_writer_says_who_holds_the_library(place: Path) -> None:
    with Writing(Library(place), "ingest guides"), pytest.raises(LibraryBusy) as busy:
        sync([place.parent / "guides"], place, embedder=BagOfWords(2000))
    line = str(busy.value)
    assert f"process {os.getpid()} (ingest guides, since " in line
    assert "--wait SECONDS" in line
    assert "\n" not in line


def test_a_second_writer_can_wait(place: Path) -> None:
    holder = f"""
import sys, time
from ingest.library import Library
from ingest.writing import Writing
with Writing(Library({str(place)!r}), "hold"):
    print("held", flush=True)
    time.sleep(1.5)
"""
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        started = time.monotonic()
        report = sync([place.parent / "guides"], place, embedder=BagOfWords(2000), wait_seconds=30)
        assert time.monotonic() - started > 0.5
    assert report.unchanged == 2


def test_the_lock_of_a_killed_writer_is_free(place: Path) -> None:
    holder = f"""
import time
from ingest.library import Library
from ingest.writing import Writing
with Writing(Library({str(place)!r}), "hold"):
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert sync([place.parent / "guides"], place, embedder=BagOfWords(2000)).unchanged == 2


TAKE_PART = """
import sys
from ingest.sync import remove, sync
from tests.fakes import BagOfWords
what, argument, place = sys.argv[1:]
if what == "ingest":
    sync([argument], place, embedder=BagOfWords(2000), wait_seconds=60)
else:
    remove([argument], place, wait_seconds=60)
"""


def test_several_writers_in_turn_leave_the_state_of_the_folders_less_what_was_taken_out_by_hand(tmp_path: Path) -> None:
    place, chance, gone = tmp_path / "library", random.Random(5), list[str]()
    one, other = fill(tmp_path / "one", SUBJECTS[:6]), fill(tmp_path / "other", SUBJECTS[6:])
    sync([one, other], place, embedder=BagOfWords(2000))
    for _ in range(2):
        for folder in (one, other):
            changed = chance.choice(sorted(folder.iterdir()))
            changed.write_text(guide(changed.stem, chance.randint(1, 9)))
            fill(folder, [f"new{chance.randrange(1000)}"])
        gone.append(chance.choice(sorted({d.path for d in Library(place).documents()} - set(gone))))
        work = [("ingest", str(one)), ("ingest", str(other)), ("remove", gone[-1])]
        chance.shuffle(work)
        parts = [subprocess.Popen([sys.executable, "-c", TAKE_PART, *part, str(place)]) for part in work]
        while any(part.poll() is None for part in parts):
            library = Library(place)
            with library.reading():
                assert len(library.chunks(library.select())) == library.count() == len(library.vectors()[0])
            library.close()
            time.sleep(0.02)
        assert [part.returncode for part in parts] == [0, 0, 0]
    fresh = tmp_path / "fresh"
    sync([one, other], fresh, embedder=BagOfWords(2000))
    remove(gone, fresh)
    assert state(place) == state(fresh)
    assert {Path(file).name for file in Library(place).excluded()} == set(gone)
    assert not set(gone) & {d.path for d in Library(place).documents()}
    Library(place, lambda line: pytest.fail(line)).nearest(BagOfWords(2000).embed(["dropout"])[0], 5)


def test_nothing_is_written_through_a_link_that_was_left_in_the_librarys_folder(place: Path) -> None:
    mine = place.parent / "mine"
    mine.write_text("my words")
    (place / "writer.json").symlink_to(mine)
    (place / "staging.sqlite").symlink_to(mine)
    fill(place.parent / "guides", SUBJECTS[2:3])
    assert len(sync([place.parent / "guides"], place, embedder=BagOfWords(2000)).added) == 1
    (place / "lock").unlink()
    (place / "lock").symlink_to(mine)
    with pytest.raises(LibraryError, match="is a link"):
        sync([place.parent / "guides"], place, embedder=BagOfWords(2000))
    assert mine.read_text() == "my words"


def test_taking_out_twice_as_many_of_twice_as_many_documents_takes_about_twice_as_long(tmp_path: Path) -> None:
    def seconds(n: int) -> float:
        place = tmp_path / str(n)
        create(place)
        db = sqlite3.connect(place / "library.sqlite")
        with db:
            row = "INSERT INTO document VALUES (?1, '', ?1, ?1, '', 0, '', '', '', 0, 0, '', '{}', '[]')"
            db.executemany(row, [(i,) for i in range(n)])
            forms = ((f"S{i}", f"long form {j}", i) for i in range(n) for j in range(20))
            db.executemany("INSERT INTO short_form VALUES (?, ?, ?)", forms)
        db.close()
        library = Library(place)
        started = time.process_time()
        with Writing(library, "a test") as writing:
            writing.publish(Change("", "", [], 0.0, removed=list(range(0, n, 2))))
        assert len(library.documents()) == n // 2
        return time.process_time() - started

    seconds(50)
    assert seconds(1600) < 3 * seconds(800)


def test_what_is_stopped_in_the_middle_leaves_the_library_as_it_was_and_unlocked(place: Path) -> None:
    before = state(place)
    gc.collect()
    fill(place.parent / "guides", SUBJECTS[2:6])

    class Failing(BagOfWords):
        def embed(self, texts):  # type: ignore[no-untyped-def]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync([place.parent / "guides"], place, embedder=Failing(2000))
    assert {file.name for file in place.iterdir()} <= {"library.sqlite", "chroma", "lock"}
    assert state(place) == before
    assert len(sync([place.parent / "guides"], place, embedder=BagOfWords(2000)).added) == 4


def test_vectors_are_kept_as_they_come_so_that_a_kill_loses_little(place: Path) -> None:
    fill(place.parent / "guides", SUBJECTS[2:6])

    class Once(BagOfWords):
        def embed(self, texts):  # type: ignore[no-untyped-def]
            if self.embedded:
                raise KeyboardInterrupt
            return super().embed(texts)

    (place.parent / "guides" / "long.md").write_text(
        "\n\n".join(f"# H{i}\n\nText {i}. " + "Word. " * 40 for i in range(700))
    )
    first, second = Once(2000), BagOfWords(2000)
    with pytest.raises(KeyboardInterrupt):
        sync([place.parent / "guides"], place, embedder=first)
    report = sync([place.parent / "guides"], place, embedder=second)
    assert first.embedded
    assert len(second.embedded) == report.chunks - len(first.embedded)


@pytest.mark.parametrize("blocks", [1, 60, 150, 400, 900])
def test_a_full_disk_leaves_the_old_library_whole(place: Path, blocks: int) -> None:
    """No file may grow beyond a limit that is met now while staging, now in SQLite, now in Chroma."""
    before = state(place)
    fill(place.parent / "guides", SUBJECTS[2:], 9)
    limit = (place / "library.sqlite").stat().st_size + blocks * 1024 if blocks > 1 else 4096
    done = subprocess.run(
        [sys.executable, "-c", INGEST, str(place.parent / "guides"), str(place)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
        capture_output=True,
        text=True,
    )
    after = state(place)
    if done.returncode:
        assert "LibraryError: cannot " in done.stderr
        assert after == before
    else:
        assert len(after["documents"]) == len(SUBJECTS)
    question = BagOfWords(2000).embed(["part 2 of dropout"])[0]
    assert len(Library(place).nearest(question, 5)) == 5
    sync([place.parent / "guides"], place, embedder=BagOfWords(2000))
    shutil.rmtree(place.parent / "fresh", ignore_errors=True)
    sync([place.parent / "guides"], place.parent / "fresh", embedder=BagOfWords(2000))
    assert state(place) == state(place.parent / "fresh")


def test_a_folder_that_cannot_be_written_says_so(place: Path) -> None:
    place.chmod(0o555)
    for file in place.iterdir():
        file.chmod(0o444) if file.is_file() else file.chmod(0o555)
    try:
        with permissions_count(), pytest.raises(LibraryError, match=r"cannot (write to|make a library at)") as error:
            sync([place.parent / "guides"], place, embedder=BagOfWords(2000))
        assert "\n" not in str(error.value)
    finally:
        for file in (place, *place.iterdir()):
            file.chmod(0o755)


def test_a_library_of_another_format_or_a_damaged_one_says_what_to_do(place: Path) -> None:
    db = sqlite3.connect(place / "library.sqlite")
    with db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    db.close()
    with pytest.raises(LibraryError, match="format 99, this Footnote reads 1: ingest the folder again"):
        Library(place)
    for file in place.glob("library.sqlite*"):
        file.write_bytes(b"this is no database" * 1000)
    with pytest.raises(LibraryError, match="move it away"):
        Library(place)
    with pytest.raises(LibraryError, match="make one with `footnote ingest FOLDER"):
        Library(place / "nowhere")


def test_every_run_is_on_record(place: Path) -> None:
    rows = Library(place).rows("SELECT started, finished, summary FROM run")
    assert len(rows) == 1
    assert rows[0][0] < rows[0][1]
    assert json.loads(rows[0][2])["added"] == 2


def test_memory_stays_flat_as_vectors_are_read_in_batches(place: Path) -> None:
    from ingest.library import batches

    library = Library(place)
    sizes = [len(ids) for ids, _ in batches(library.db, library.meta("embedder"), size=2)]
    assert sum(sizes) == library.count()
    assert max(sizes) == 2
