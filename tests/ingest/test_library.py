"""The vector index can be lost or spoilt in any way: it is noticed, mended without embedding, never answered from."""

from __future__ import annotations

import contextlib
import os
import shutil
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

from ingest.library import Library
from ingest.sync import sync
from ingest.writing import Writing, mend
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
