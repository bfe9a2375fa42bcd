"""What the tests of the doors share: a small library, and `footnote serve` on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest.sync import sync

ROOT = Path(__file__).absolute().parents[3]
GUIDES = ROOT / "tests" / "page" / "guides"
EGGS = "How many eggs does a queen bee lay a day?"
LAID = "The queen lays **up to 2,000 eggs** a day in early summer."


@pytest.fixture(scope="session")
def bees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library made once. For reading only: `library` is a copy."""
    place = tmp_path_factory.mktemp("doors") / "library"
    assert not sync([GUIDES], place).failed
    return place


@pytest.fixture
def library(bees: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bees, tmp_path / "library"))


@dataclass
class Served:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(library: Path, folder: Path, *options: str) -> Iterator[Served]:
    """The command as its user gives it, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "serve.log"
    command = [sys.executable, "-c", "import sys; from assistant import main; sys.exit(main())", "serve"]
    command += ["--library", str(library), "--port", str(port), *options]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "OMP_NUM_THREADS": "2"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT, cwd=folder)
    served = Served(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait(served)
        yield served
    finally:
        process.kill()
        process.wait(30)


def _wait(served: Served) -> None:
    for _ in range(1200):
        try:
            with urllib.request.urlopen(f"{served.url}/health", timeout=1):
                return
        except OSError:
            if served.process.poll() is not None:
                break
            time.sleep(0.1)
    raise AssertionError(f"it did not start: {served.log.read_text('utf-8', 'replace')}")


@pytest.fixture(scope="session")
def served(bees: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with serving(Path(shutil.copytree(bees, folder / "library")), folder) as server:
        yield server


def fetch(url: str, value: Any = None, **headers: str) -> tuple[int, str]:
    """What a plain client sees: status and body."""
    data = None if value is None else json.dumps(value).encode()
    kind = {"Content-Type": "application/json"} if data else {}
    asked = urllib.request.Request(url, data, {**kind, **headers})
    try:
        with urllib.request.urlopen(asked, timeout=120) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
