"""Kills an ingest at random moments and looks whether the library is whole each time.

    python -m tests.ingest.kill --times 50

Each round changes the folder, starts an ingest in a process of its own, kills it with SIGKILL at a random moment, and
checks that the library opens, holds exactly the old state or exactly the new one, and answers a search exactly; so does
a reader that is open all the time, as a server is, and mends the vector index that a killed writer left. At the end one
undisturbed ingest must lead to the same state as a fresh one. The embedder is a fake that takes its time, so that
kills fall into every stage: reading, embedding, staging, publishing, writing the vector index.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from ingest.library import Library
from ingest.sync import sync
from ingest.writing import mend_beside
from tests.fakes import BagOfWords
from tests.ingest.folders_of_guides import SUBJECTS, fill, guide, state

ROOT = Path(__file__).resolve().parents[2]

INGEST = """
import sys, time
sys.path.insert(0, sys.argv[3])
from ingest.sync import sync
from tests.fakes import BagOfWords

class Slow(BagOfWords):
    def embed(self, texts):
        time.sleep(0.005 * len(texts))
        return super().embed(texts)

print("ready", flush=True)
sync([sys.argv[1]], sys.argv[2], embedder=Slow(), wait_seconds=60)
print("done", flush=True)
"""


def change(folder: Path, chance: random.Random) -> None:
    for subject in chance.sample(SUBJECTS, 4):
        (folder / f"{subject}.md").write_text(guide(subject, chance.randint(1, 40)))
    (folder / f"{chance.choice(SUBJECTS)}.md").unlink(missing_ok=True)


def start(folder: Path, place: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", INGEST, str(folder), str(place), str(ROOT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()  # imports are done: from here on every moment counts
    return process


def undisturbed_seconds(folder: Path, place: Path) -> float:
    started = time.monotonic()
    start(folder, place).wait()
    return time.monotonic() - started


def check(server: Library, folder: Path, old: object, fresh: Path) -> str:
    """Which state the library is in: 'old' or 'new'. Anything else is an error."""
    now = state(server.place)
    with contextlib.closing(Library(server.place)) as library:
        check_search(library)
        check_search(server)
    if now == old:
        return "old"
    sync([folder], fresh, embedder=BagOfWords())
    assert now == state(fresh), "the library is neither as it was before nor as it should be now"
    return "new"


def check_search(library: Library) -> None:
    question = BagOfWords().embed(["part 2 of dropout"])[0]
    found = [cosine for _, cosine in library.nearest(question, 5)]
    best = sorted(library.vectors()[1] @ question, reverse=True)[:5]
    assert np.allclose(found, best, atol=1e-5), "a search finds other than the nearest"
    assert library.match(["dropout", "part"], 5) or not library.count()


def main(times: int, seed: int) -> Counter[str]:
    chance, outcomes = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        folder, place = fill(Path(base) / "guides", SUBJECTS, 8), Path(base) / "library"
        seconds = undisturbed_seconds(folder, place)
        server = Library(place, troubled=mend_beside)
        for i in range(times):
            change(folder, chance)
            old = state(place)
            process = start(folder, place)
            time.sleep(chance.uniform(0, 1.1 * seconds))
            process.send_signal(signal.SIGKILL)
            killed = process.wait() != 0
            outcome = check(server, folder, old, Path(base) / f"fresh{i}")
            outcomes[f"{'killed' if killed else 'finished'}, {outcome} state"] += 1
        sync([folder], place, embedder=BagOfWords(), wait_seconds=60)
        sync([folder], Path(base) / "fresh", embedder=BagOfWords())
        assert state(place) == state(Path(base) / "fresh"), (
            "an ingest after the kills does not lead to a fresh one's state"
        )
        check_search(server)
        server.close()
        with contextlib.closing(Library(place, notify=_fail, troubled=_fail)) as library:
            check_search(library)
    return outcomes


def _fail(*lines: object) -> None:
    raise AssertionError(*lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for outcome, count in main(arguments.times, arguments.seed).most_common():
        print(f"{count:4}  {outcome}")
    print("The library was whole every time.")
