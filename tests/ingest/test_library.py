"""The library as its readers see it. Its vector index can be lost or spoilt in any way: that is noticed, mended without
embedding, never answered from."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ingest.documents import read
from ingest.errors import LibraryError
from ingest.library import Library, create, pack_blocks, unpack_blocks
from ingest.readers import Block
from ingest.sync import remove, sync
from ingest.writing import Writing, mend, mend_beside
from tests.fakes import BagOfWords
from tests.ingest.folders_of_guides import SUBJECTS, fill, guide, permissions_count, state

QUESTION = BagOfWords().embed(["The dropout of part 1 takes 10 steps"])[0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("made")
    sync([fill(base / "now" / "guides", SUBJECTS, 6)], base / "now" / "library", embedder=BagOfWords())
    shutil.copytree(base / "now", base / "at first")
    return base


@pytest.fixture
def base(made: Path) -> Path:
    """Guides and their library, as they were at first, where they were made."""
    shutil.rmtree(made / "now")
    shutil.copytree(made / "at first", made / "now")
    return made / "now"


def exactly(library: Library, n: int) -> list[float]:
    return [float(c) for c in sorted(library.vectors()[1] @ QUESTION, reverse=True)[:n]]


def check(place: Path, expected: str) -> None:
    """One line at most says what was mended, the answers are exact, and the next opening has nothing to say."""
    lines: list[str] = []
    library = Library(place, lines.append, mend)
    found = library.nearest(QUESTION, 10)
    assert [cosine for _, cosine in found] == pytest.approx(exactly(library, 10), abs=1e-5)
    assert len(lines) == bool(expected)
    assert expected in "".join(lines)
    again = Library(place, lambda line: pytest.fail(line))
    assert {i for i, _ in again.nearest(QUESTION, 5)} <= {i for i, _ in found}
    library.close()
    again.close()
    assert len(list((place / "chroma").iterdir())) == 1


def test_searches_do_not_wait_while_the_index_is_mended(base: Path) -> None:
    lose(next((base / "library" / "chroma").iterdir()))
    may_begin, threads = threading.Event(), list[threading.Thread]()

    def later(library: Library, reason: str) -> None:
        threads.append(threading.Thread(target=lambda: may_begin.wait(30) and mend(library, reason)))
        threads[-1].start()

    library = Library(base / "library", troubled=later)
    for _ in range(3):
        assert [c for _, c in library.nearest(QUESTION, 10)] == pytest.approx(exactly(library, 10), abs=1e-5)
    assert len(threads) == 1
    may_begin.set()
    threads[0].join(30)
    assert library.meta("index_clean") == "1"
    assert len(list((base / "library" / "chroma").iterdir())) == 1
    library.nearest(QUESTION, 10)
    assert len(threads) == 1


def index_is_whole(place: Path, seconds: float) -> bool:
    """Whether it is within that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if Library(place).meta("index_clean") == "1" and not (place / "writer.json").exists():
            return True
        time.sleep(0.05)
    return False


def test_a_server_mends_what_another_process_left_when_it_died_in_the_middle_of_writing(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.library.RETRY_SECONDS", 0.3)
    place, lines = base / "library", list[str]()
    server = Library(place, lines.append, mend_beside)
    server.nearest(QUESTION, 10)
    fill(base / "guides", SUBJECTS, 60)
    code = (
        "import sys; from ingest.sync import sync; from tests.fakes import BagOfWords;"
        "sync([sys.argv[1]], sys.argv[2], embedder=BagOfWords())"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(base / "guides"), str(place)]) as writer:
        while server.meta("index_clean") == "1":
            assert writer.poll() is None
        writer.send_signal(signal.SIGSTOP)  # between publishing and the end of the index
        for _ in range(3):
            assert [c for _, c in server.nearest(QUESTION, 10)] == pytest.approx(exactly(server, 10), abs=1e-5)
            time.sleep(0.4)
        assert not lines
        assert server.meta("index_clean") == "0"
        writer.send_signal(signal.SIGKILL)
    time.sleep(1.3)
    assert [c for _, c in server.nearest(QUESTION, 10)] == pytest.approx(exactly(server, 10), abs=1e-5)
    assert index_is_whole(place, 30)
    assert len(lines) == 1
    assert "was not finished" in lines[0]
    server.close()
    check(place, "")


def test_what_only_seemed_to_be_in_disorder_is_left_as_it_is(base: Path) -> None:
    place, lines = base / "library", list[str]()
    (before,) = (place / "chroma").iterdir()
    mend(Library(place, lines.append), "is of another time than the library")
    assert list((place / "chroma").iterdir()) == [before]
    assert lines == []


def test_a_search_does_not_wait_for_one_that_is_long_in_opening_the_index(base: Path) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(library: Library, reason: str) -> None:
        asked.set()
        answer.wait(30)

    lose(next((base / "library" / "chroma").iterdir()))
    library = Library(base / "library", troubled=slow)
    thread = threading.Thread(target=lambda: library.nearest(QUESTION, 10))
    thread.start()
    assert asked.wait(30)
    assert [c for _, c in library.nearest(QUESTION, 10)] == pytest.approx(exactly(library, 10), abs=1e-5)
    assert thread.is_alive()
    answer.set()
    thread.join(30)


def set_meta(place: Path, **values: str) -> None:
    """As somebody may have done who made the library and gave it away."""
    db = sqlite3.connect(place / "library.sqlite")
    with db:
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())
    db.close()


def test_a_library_that_names_a_folder_of_the_users_for_its_index_deletes_nothing_there(base: Path) -> None:
    place, mine = base / "library", fill(base / "mine" / "Documents")
    (base / "mine" / "footnote-2").mkdir()
    set_meta(place, chroma=str(base / "mine"))
    lose(next((place / "chroma").iterdir()))
    check(place, "is missing")
    with Writing(Library(place), "a test") as writing:
        writing.move_index("")
    assert sorted(path.name for path in (base / "mine").iterdir()) == ["Documents", "footnote-2"]
    assert len(list(mine.iterdir())) == 4


def test_a_link_in_place_of_the_index_leads_nowhere(base: Path) -> None:
    place, mine = base / "library", base / "mine"
    (mine / "footnote-2").mkdir(parents=True)
    shutil.rmtree(place / "chroma")
    (place / "chroma").symlink_to(mine)
    lines: list[str] = []
    library = Library(place, lines.append, mend)
    assert [c for _, c in library.nearest(QUESTION, 10)] == pytest.approx(exactly(library, 10), abs=1e-5)
    assert "link" in "".join(lines)
    with Writing(library, "a test") as writing:
        writing.move_index("")
    assert [path.name for path in mine.iterdir()] == ["footnote-2"]


def test_in_the_index_folder_too_only_what_bears_our_name_is_dropped(base: Path) -> None:
    place = base / "library"
    (index,) = (place / "chroma").iterdir()
    (place / "chroma" / "notes").mkdir()
    (place / "chroma" / "footnote-0").symlink_to(base / "guides")
    lose(index)
    Library(place, troubled=mend).nearest(QUESTION, 10)
    with Writing(Library(place), "a test") as writing:
        writing.move_index("")
    assert sorted(path.name for path in (place / "chroma").iterdir()) == ["footnote-0", "notes"]
    assert len(list((base / "guides").iterdir())) == len(SUBJECTS)


def test_vectors_are_not_sent_to_what_is_no_address(base: Path) -> None:
    with pytest.raises(LibraryError, match="no address of a Chroma server"):
        sync([base / "guides"], base / "library", embedder=BagOfWords(), chroma=str(base / "elsewhere"))
    check(base / "library", "")


def truncate_database(home: Path) -> None:
    os.truncate(home / "chroma.sqlite3", 5000)


def garble_database(home: Path) -> None:
    (home / "chroma.sqlite3").write_bytes(b"not a database at all" * 500)


def truncate_vectors(home: Path) -> None:
    for file in home.glob("*/*.bin"):
        os.truncate(file, file.stat().st_size // 2)


def drop_half(home: Path) -> None:
    import chromadb

    client = chromadb.PersistentClient(str(home))
    collection = client.list_collections()[0]
    ids = client.get_collection(collection.name, None).get(include=[])["ids"]
    client.get_collection(collection.name, None).delete(ids=ids[: len(ids) // 2])
    client.close()


def swap_vectors(home: Path) -> None:
    """As many as there should be, and all of them wrong."""
    import chromadb

    client = chromadb.PersistentClient(str(home))
    collection = client.get_collection(client.list_collections()[0].name, None)
    ids = collection.get(include=[])["ids"]
    vectors = np.random.default_rng(0).normal(size=(len(ids), 64)).astype(np.float32)
    collection.upsert(ids=ids, embeddings=vectors)
    client.close()


def lose(home: Path) -> None:
    shutil.rmtree(home)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lose, "is missing"),
        (truncate_database, "cannot be used"),
        (garble_database, "cannot be used"),
        (drop_half, "holds"),
        (swap_vectors, "does not find what is in it"),
    ],
)
def test_a_spoilt_index_is_mended_from_the_librarys_own_vectors(
    base: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    (home,) = (base / "library" / "chroma").iterdir()
    spoil(home)
    check(base / "library", expected)


def test_halved_vector_files_never_give_a_wrong_answer(base: Path) -> None:
    (home,) = (base / "library" / "chroma").iterdir()
    truncate_vectors(home)
    library = Library(base / "library")
    assert [c for _, c in library.nearest(QUESTION, 10)] == pytest.approx(exactly(library, 10), abs=1e-5)


def test_an_index_from_an_older_copy_of_the_folder_is_noticed(base: Path) -> None:
    place = base / "library"
    shutil.copytree(place / "chroma", base / "older")
    file = base / "guides" / "dropout.md"
    file.write_text(file.read_text().replace("10 steps", "12 steps"))
    sync([base / "guides"], place, embedder=BagOfWords())
    shutil.rmtree(place / "chroma")
    shutil.copytree(base / "older", place / "chroma")
    check(place, "is of another time than the library")


def test_an_index_that_a_killed_writer_left_unfinished_is_rebuilt(base: Path) -> None:
    db = sqlite3.connect(base / "library" / "library.sqlite")
    with db:
        db.execute("UPDATE meta SET value = '0' WHERE key = 'index_clean'")
    db.close()
    check(base / "library", "was not finished")


def test_a_whole_index_is_used_without_a_word(base: Path) -> None:
    check(base / "library", "")


def test_for_a_question_or_two_chroma_is_not_imported_and_the_vectors_themselves_answer(base: Path) -> None:
    code = f"""
import sys
from ingest.library import Library
from tests.ingest.test_library import QUESTION, exactly
library = Library({str(base / "library")!r}, brief=True)
assert [cosine for _, cosine in library.nearest(QUESTION, 10)] == exactly(library, 10)
print("chromadb" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_for_a_question_or_two_too_an_index_that_is_gone_is_noticed(base: Path) -> None:
    shutil.rmtree(base / "library" / "chroma")
    told: list[str] = []
    Library(base / "library", troubled=lambda library, reason: told.append(reason), brief=True).nearest(QUESTION, 10)
    assert told == ["is missing"]


def test_small_changes_go_into_the_index_that_is_there_and_large_ones_make_a_new_one(base: Path) -> None:
    place = base / "library"
    (before,) = (place / "chroma").iterdir()
    (base / "guides" / "new.md").write_text(guide("novelty", 2))
    (base / "guides" / "pruning.md").unlink()
    sync([base / "guides"], place, embedder=BagOfWords())
    assert list((place / "chroma").iterdir()) == [before]
    check(place, "")
    for subject in SUBJECTS[:7]:
        (base / "guides" / f"{subject}.md").unlink(missing_ok=True)
    sync([base / "guides"], place, embedder=BagOfWords())
    assert list((place / "chroma").iterdir()) != [before]
    check(place, "")


def test_a_search_while_somebody_writes_answers_without_the_index_and_without_waiting(base: Path) -> None:
    place = base / "library"
    shutil.rmtree(place / "chroma")
    with Writing(Library(place), "a test"):
        library = Library(place, lambda line: pytest.fail(line))
        assert len(library.nearest(QUESTION, 10)) == 10
        assert not (place / "chroma").exists()


def test_a_library_that_can_only_be_read_is_searched_all_the_same(base: Path) -> None:
    place = base / "library"
    before = state(place)
    shutil.rmtree(place / "chroma")
    place.chmod(0o555)
    try:
        with permissions_count():
            lines: list[str] = []
            assert state(place) == before
            library = Library(place, lines.append, mend)
            assert [c for _, c in library.nearest(QUESTION, 5)] == pytest.approx(exactly(library, 5), abs=1e-5)
            assert len(lines) == 1
            assert "searching without it" in lines[0]
    finally:
        place.chmod(0o755)


def rename(place: Path, title: str, leave_journal: bool) -> None:
    """One committed row; where the journal is left, it stands there and nowhere else, as after a kill."""
    code = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('PRAGMA wal_autocheckpoint = 0');"
        "db.execute('UPDATE document SET title = ?', (sys.argv[2],)); db.commit();"
        f"os._exit(0) if {leave_journal} else db.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(place / "library.sqlite"), title], check=True)


@contextlib.contextmanager
def reading_only(place: Path) -> Iterator[None]:
    place.chmod(0o555)
    try:
        with permissions_count():
            yield
    finally:
        place.chmod(0o755)


def titles(library: Library) -> set[str]:
    return {d.title for d in library.documents()}


def test_what_is_committed_is_seen_where_nothing_can_be_written_though_it_stands_in_the_journal_alone(
    base: Path,
) -> None:
    rename(base / "library", "New", leave_journal=True)
    assert (base / "library" / "library.sqlite-wal").stat().st_size
    with reading_only(base / "library"):
        assert titles(Library(base / "library")) == {"New"}


def test_a_journal_that_cannot_be_read_is_said_and_nothing_older_is_shown(base: Path) -> None:
    rename(base / "library", "New", leave_journal=True)
    (base / "library" / "library.sqlite-shm").unlink()
    with reading_only(base / "library"), pytest.raises(LibraryError, match="footnote status") as error:
        Library(base / "library")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("leave_journal", [True, False])
def test_whoever_can_only_read_sees_what_others_write_meanwhile(base: Path, leave_journal: bool) -> None:
    place = base / "library"
    with reading_only(place):
        library = Library(place)
        assert "New" not in titles(library)
    for title in ("New", "Newer"):
        rename(place, title, leave_journal)
        with reading_only(place):
            assert titles(library) == {title}
            assert len(library.nearest(QUESTION, 5)) == 5


def test_the_blocks_of_a_document_are_kept_and_an_earlier_library_has_none_until_it_is_written(base: Path) -> None:
    with contextlib.closing(Library(base / "library")) as library:
        path = library.paths()[0]
        kept = library.blocks(path)
        assert kept == read(base / "guides" / path).blocks
        assert "heading" in {block.kind for block in kept}
        assert library.blocks("not-there.md") == ()
    with contextlib.closing(sqlite3.connect(base / "library" / "library.sqlite")) as db:
        db.execute("DROP TABLE layout")
        db.execute("DROP TABLE ocr")
    with contextlib.closing(Library(base / "library")) as library:
        assert library.blocks(path) == ()
        assert library.sure(path, 0, 9) is None
        remove([path], base / "library")
        assert library.paths([path]) == []


def test_blocks_that_were_packed_before_there_was_ocr_are_the_same() -> None:
    blocks = (Block("heading", 0, 9, 1, "Why", page=1), Block("item", 11, 40, 2, page=1, turns=((9, 2),)))
    earlier = json.dumps([row[:-1] for row in json.loads(pack_blocks(blocks))])

    assert unpack_blocks(earlier) == unpack_blocks(pack_blocks(blocks)) == blocks


def test_a_thousand_documents_are_chosen_by_name_folder_or_pattern(tmp_path: Path) -> None:
    place = tmp_path / "library"
    create(place)
    names = [f"part{i % 10}/guide{i}.md" for i in range(1000)] + ["odd [1].md", "part1.md", "part10.md"]
    db = sqlite3.connect(place / "library.sqlite")
    row = "INSERT INTO document VALUES (NULL, '', ?1, ?1, '', 0, '', '', '', 0, 0, '', '{}', '[]')"
    with db:
        db.executemany(row, [(name,) for name in names])
    db.close()
    library = Library(place)
    assert library.paths(names) == sorted(names)
    assert library.paths(["odd [1].md"]) == ["odd [1].md"]
    assert library.paths(["part1"]) == library.paths(["part1/"]) == library.paths(["part1/*"])
    assert len(library.paths(["part1"])) == 100
    assert library.paths(["part1?.md", "nothing.md"]) == ["part10.md"]
    assert library.paths(["part[12]"]) == library.paths(["part1", "part2"])


def test_an_open_library_sees_the_old_state_whole_until_the_new_one_is_complete(base: Path) -> None:
    """Read by one thread, again and again, while another ingests: each reading is the old state or the new one."""
    place = base / "library"
    old = state(place)
    reader = Library(place)
    reader.nearest(QUESTION, 5)
    for subject in SUBJECTS[:5]:
        (base / "guides" / f"{subject}.md").write_text(guide(subject, 9))
    (base / "guides" / "pruning.md").unlink()
    thread = threading.Thread(target=lambda: sync([base / "guides"], place, embedder=BagOfWords()))
    thread.start()
    seen, searches = [], 0
    while thread.is_alive():
        seen.append(state(place))
        with reader.reading():
            _, matrix = reader.vectors()
            best = reader.nearest(QUESTION, 1)[0]
            assert best[1] == pytest.approx(float((matrix @ QUESTION).max()), abs=1e-5)
            assert best[0] in reader.chunks([best[0]])
            searches += 1
    thread.join()
    new = state(place)
    assert new != old
    assert seen[0] == old
    assert all(one in (old, new) for one in seen)
    assert searches > 2
    assert reader.count() == new["count"]
    assert reader.nearest(QUESTION, 1)[0][0] in reader.select()


def test_a_long_life_of_changes_leaves_no_files_or_threads_open(base: Path) -> None:
    place = base / "library"
    reader = Library(place)
    counts = []
    for i in range(6):
        (base / "guides" / "dropout.md").write_text(guide("dropout", i + 1))
        sync([base / "guides"], place, embedder=BagOfWords())
        assert reader.nearest(QUESTION, 3)
        counts.append(len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0)
    assert counts[-1] <= counts[1] + 8


@contextlib.contextmanager
def chroma_server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def test_the_vectors_can_live_on_a_chroma_server(base: Path) -> None:
    place, port = base / "library", free_port()
    url = f"http://127.0.0.1:{port}"
    with chroma_server(base / "server", port):
        sync([base / "guides"], place, embedder=BagOfWords(), chroma=url)
        assert not (place / "chroma").exists()
        library = Library(place, lambda line: pytest.fail(line))
        assert [c for _, c in library.nearest(QUESTION, 10)] == pytest.approx(exactly(library, 10), abs=1e-5)
        (base / "guides" / "new.md").write_text(guide("novelty", 2))
        (base / "guides" / "pruning.md").unlink()
        sync([base / "guides"], place, embedder=BagOfWords())
        assert [c for _, c in library.nearest(QUESTION, 10)] == pytest.approx(exactly(library, 10), abs=1e-5)
    lines: list[str] = []
    library = Library(place, lines.append, mend)
    assert [c for _, c in library.nearest(QUESTION, 10)] == pytest.approx(exactly(library, 10), abs=1e-5)
    assert len(lines) == 1
    assert f"no Chroma server answers at {url}" in lines[0]
    with chroma_server(base / "empty server", port):
        lines.clear()
        library = Library(place, lines.append, mend)
        assert [c for _, c in library.nearest(QUESTION, 10)] == pytest.approx(exactly(library, 10), abs=1e-5)
        assert len(lines) == 1
        assert "rebuilding it" in lines[0]
        sync([base / "guides"], place, embedder=BagOfWords(), chroma="")
        check(place, "")


def test_searches_go_on_while_the_chroma_server_is_away_and_use_it_when_it_is_back(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.library.RETRY_SECONDS", 0.0)
    place, port, lines = base / "library", free_port(), list[str]()
    with chroma_server(base / "server", port):
        sync([base / "guides"], place, embedder=BagOfWords(), chroma=f"http://127.0.0.1:{port}")
        library = Library(place, lines.append, mend_beside)
        expected = pytest.approx(exactly(library, 10), abs=1e-5)
        assert [c for _, c in library.nearest(QUESTION, 10)] == expected
        assert lines == []
    for _ in range(3):
        assert [c for _, c in library.nearest(QUESTION, 10)] == expected
    assert all("no Chroma server answers" in line for line in lines)
    with chroma_server(base / "server", port):
        lines.clear()
        for _ in range(3):
            assert [c for _, c in library.nearest(QUESTION, 10)] == expected
        assert lines == []
        assert library._nearest._usable_index() is not None
