"""Work that is done on a cluster: the real Ray on this machine, and a library that is the same to the byte."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.cli import main
from ingest.errors import FootnoteError
from ingest.library import FILE
from ingest.sync import Progress, Report, Tell, sync

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'footnote[cluster]'")

GUIDE = (
    "# {name}\n\n{name} is a way to train a model. It takes {n} steps.\n\n| Step | Cost |\n|---|---|\n| one | {n} |\n"
)


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ray keeps a token there, and a process that has read it once wants to find it again."""
    home = tmp_path_factory.getbasetemp() / "ray-home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))


@pytest.fixture
def guides(tmp_path: Path) -> Path:
    folder = tmp_path / "guides"
    folder.mkdir()
    for n in range(12):
        (folder / f"way-{n}.md").write_text(GUIDE.format(name=f"Way {n}", n=n) * (n + 1), "utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))  # dates of young files are not kept
    return folder


KEPT = ("document", "chunk", "vector", "failure", "root")


def told(library: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What readers see, and the vectors."""
    with sqlite3.connect(library / FILE) as db:
        return {name: sorted(db.execute(f"SELECT * FROM {name}"), key=repr) for name in KEPT}


def on_ray(folder: Path, library: Path, progress: Tell = lambda progress: None) -> Report:
    try:
        return sync([folder], library, ray="local", progress=progress)
    except FootnoteError as error:
        if "no Ray cluster at local" not in str(error):
            raise
        pytest.skip(f"Ray does not start on this machine: {error}")


def test_what_ray_makes_is_what_one_process_makes_to_the_byte(guides: Path, tmp_path: Path) -> None:
    one = sync([guides], tmp_path / "one")
    other = on_ray(guides, tmp_path / "other")
    assert told(tmp_path / "one") == told(tmp_path / "other")
    assert (other.added, [f.file for f in other.failed]) == (one.added, ["broken.pdf"])
    assert on_ray(guides, tmp_path / "other").unchanged == len(one.added)


def test_workers_that_are_killed_cost_no_file(guides: Path, tmp_path: Path) -> None:
    killed: list[str] = []

    def kill(progress: Progress) -> None:
        for kind in ("ray::MapWorker", "ray::Embedding"):
            for pid in processes(kind) if kind not in killed else ():
                os.kill(pid, signal.SIGKILL)
                killed.append(kind)

    report = on_ray(guides, tmp_path / "other", kill)
    assert "ray::MapWorker" in killed
    assert [f.file for f in report.failed] == ["broken.pdf"]
    sync([guides], tmp_path / "one")
    assert told(tmp_path / "one") == told(tmp_path / "other")


def processes(kind: str) -> Iterator[int]:
    """Ray's, by what they call themselves."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if (folder / "cmdline").read_text("utf-8").startswith(kind):
                yield int(folder.name)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "nowhere", "ray://"])
def test_a_cluster_that_is_not_there_is_said_in_one_line(
    guides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    assert main(["ingest", str(guides), "--library", str(tmp_path / "library"), "--ray", address]) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith(f"footnote: there is no Ray cluster at {address} (")
    assert "ray start --head" in line
