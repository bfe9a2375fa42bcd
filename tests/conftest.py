"""What holds for every test: no network beyond this machine, none of the user's files, no paid service."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from ingest.sync import sync

ROOT = Path(__file__).resolve().parents[1]
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")
NOWHERE = "http://127.0.0.1:9"  # nothing listens there: a process that a test starts finds no way out either

os.environ["HF_HUB_OFFLINE"] = "1"  # read when its library is imported, which may be before any test begins
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the other cores have tests of their own

settings.register_profile(
    "footnote", deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("footnote")


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forbids any network beyond loopback, and puts HOME and the working folder into the test's own folder."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "FOOTNOTE_LIBRARY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost,::1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the processes that a test starts
    monkeypatch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))


def _guarded(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(LOOPBACK):
            raise AssertionError(f"a test may not reach {address[0]}: only this machine")
        return connect(self, address)

    return guarded


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of the page take longest and belong together: one worker begins with them, the others do the rest."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/page/"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several workers one has all the tests of a file, and one all of the page: there is one browser at a time."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "tests/page" if file.startswith("tests/page/") else file

    return Together(config, log)


@pytest.fixture(scope="session")
def corpus_library(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A library of the shipped corpus, made once for all workers, by the default model. For reading only."""
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "corpus" / "library"
    place.parent.mkdir(exist_ok=True)
    with FileLock(place.with_name("lock")):
        if not place.with_name("made").exists():
            assert not sync([ROOT / "corpus"], place).failed
            place.with_name("made").touch()
    return place
