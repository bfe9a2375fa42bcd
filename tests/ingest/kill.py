"""Kills an ingest at random moments and looks whether the library is whole each time.

    python -m tests.ingest.kill --times 50

Each round changes the folder, starts an ingest in a process of its own, kills it with SIGKILL at a random moment, and
checks that the library opens, holds exactly the old state or exactly the new one, and answers a search. At the end one
undisturbed ingest must lead to the same state as a fresh one. The embedder is a fake that takes its time, so that
kills fall into every stage: reading, embedding, staging, publishing, writing the vector index.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from ingest.library import Library
from ingest.sync import sync
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
sync([sys.argv[1]], sys.argv[2], embedder=Slow())
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


def check(place: Path, folder: Path, old: object, fresh: Path) -> str:
    """Which state the library is in: 'old' or 'new'. Anything else is an error."""
    now = state(place)
    library = Library(place)
    found = library.nearest(BagOfWords().embed(["part 2 of dropout"])[0], 5)
    assert len(found) == min(5, library.count()), "a search finds too little"
    assert library.match(["dropout", "part"], 5) or not library.count()
    if now == old:
        return "old"
    sync([folder], fresh, embedder=BagOfWords())
    assert now == state(fresh), "the library is neither as it was before nor as it should be now"
    return "new"


def main(times: int, seed: int) -> Counter[str]:
    chance, outcomes = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        folder, place = fill(Path(base) / "guides", SUBJECTS, 8), Path(base) / "library"
        seconds = undisturbed_seconds(folder, place)
        for i in range(times):
            change(folder, chance)
            old = state(place)
            process = start(folder, place)
            time.sleep(chance.uniform(0, 1.1 * seconds))
            process.send_signal(signal.SIGKILL)
            killed = process.wait() != 0
            outcome = check(place, folder, old, Path(base) / f"fresh{i}")
            outcomes[f"{'killed' if killed else 'finished'}, {outcome} state"] += 1
        sync([folder], place, embedder=BagOfWords())
        sync([folder], Path(base) / "fresh", embedder=BagOfWords())
        assert state(place) == state(Path(base) / "fresh"), (
            "an ingest after the kills does not lead to a fresh one's state"
        )
        Library(place, notify=_fail).nearest(BagOfWords().embed(["dropout"])[0], 5)
    return outcomes


def _fail(line: str) -> None:
    raise AssertionError(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for outcome, count in main(arguments.times, arguments.seed).most_common():
        print(f"{count:4}  {outcome}")
    print("The library was whole every time.")
