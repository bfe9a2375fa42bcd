"""Who does the work of an ingest that can be shared: this process, or a Ray cluster.

    footnote ingest FOLDER --ray                      a reader for each core of this machine
    footnote ingest FOLDER --ray ray://HOST:10001     a cluster that has this Footnote and sees the same paths

Files are read and cut as Ray Data's tasks, texts are embedded by a pool of actors; one process writes, as ever
(`ingest/sync.py`). The library is the same to the byte: what is read comes in the order of the files, and the vector of
a text does not depend on where or beside what it was worked out. A worker that dies is replaced, and what it was at is
done again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from ingest.chunks import Chunk, chunk
from ingest.documents import Document, Reader
from ingest.errors import FootnoteError, ReadError
from ingest.readers import one_line

if TYPE_CHECKING:
    from ingest.embed import Embedder, Vectors


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read, by what it is called in the library; `known` is the sha256 of what the library has by it."""

    path: Path
    name: str
    known: str = ""


Cut = tuple[Document, Sequence[Chunk]]
Model = Callable[[], "Embedder"]  # loaded when it is first asked for


class Hands(Protocol):
    def cut(self, jobs: Sequence[Job], model: Model) -> Iterator[Cut | ReadError]: ...  # in the order of the jobs

    def embed(self, groups: Sequence[Sequence[str]], model: Model) -> Iterator[Vectors]: ...  # one for each group


def cut(job: Job, reader: Reader, model: Model) -> Cut | ReadError:
    """A file as a document and its chunks; none where the library has it as it is."""
    try:
        with blaming(job.name):
            document = reader.read(job.path, job.name)
        if document.sha256 == job.known:
            return document, ()
        embedder = model()
        with blaming(job.name):
            return document, chunk(document, embedder.token_counts)
    except ReadError as error:
        return error


@contextlib.contextmanager
def blaming(name: str) -> Iterator[None]:
    """Whatever goes wrong with one document is said of its file and costs no other; what we raise has its words."""
    try:
        yield
    except FootnoteError:
        raise
    except Exception as error:
        what = one_line(f"{type(error).__name__}: {error}")[:200]
        raise ReadError(f"{name} cannot be taken in ({what}). Take it out of the folder, or report it.") from error


class Here:
    """In this process, one after the other."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def cut(self, jobs: Sequence[Job], model: Model) -> Iterator[Cut | ReadError]:
        return (cut(job, self._reader, model) for job in jobs)

    def embed(self, groups: Sequence[Sequence[str]], model: Model) -> Iterator[Vectors]:
        return (model().embed(texts) for texts in groups)


# A cluster

LOCAL = "local"
BLOCKS_A_WORKER = 4  # of files: what a worker that dies has to do again, and what the slowest keeps the others waiting


class Cluster:
    """By many processes. Use it as a context manager: what it started ends with it."""

    def __init__(self, address: str, model: Embedder | str | None, max_bytes: int) -> None:
        self._address, self._model, self._max_bytes = address, model, max_bytes
        self._embedders: list[Any] = []

    def __enter__(self) -> Self:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of it
        try:
            import ray
        except ImportError:
            raise FootnoteError("--ray needs Ray, which is not installed: pip install 'footnote[cluster]'") from None
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            if self._address != LOCAL:
                _reach(self._address)
            ray.init(**self._where(), log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError) as error:
            raise FootnoteError(
                f"there is no Ray cluster at {self._address} ({one_line(str(error))[:200]}): `ray start --head` starts "
                "one, and --ray without an address takes this machine"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()

    def _where(self) -> dict[str, Any]:
        if self._address != LOCAL:
            return {"address": self._address}
        ours = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}
        return {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "runtime_env": ours}

    def cut(self, jobs: Sequence[Job], model: Model) -> Iterator[Cut | ReadError]:
        if not jobs:
            return
        import ray.data

        workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        blocks = min(len(jobs), BLOCKS_A_WORKER * workers)
        files = ray.data.from_items([{"job": pickle.dumps(job)} for job in jobs], override_num_blocks=blocks)
        pool = ray.data.ActorPoolStrategy(min_size=1, max_size=workers)
        told = files.map(Cutting, fn_constructor_args=(self._model, self._max_bytes), compute=pool, num_cpus=1)
        for row in told.iter_rows():
            yield pickle.loads(row["cut"])

    def embed(self, groups: Sequence[Sequence[str]], model: Model) -> Iterator[Vectors]:
        from ray.util import ActorPool

        found: Iterator[Vectors] = ActorPool(self._pool()).map(lambda one, texts: one.embed.remote(texts), groups)
        return found

    def _pool(self) -> list[Any]:
        """One for each GPU; where there is none, one for each machine, as the embedder uses all of its cores."""
        import ray

        if not self._embedders:
            gpus = int(ray.cluster_resources().get("GPU", 0))
            count = gpus or sum(1 for node in ray.nodes() if node["Alive"])
            actor = ray.remote(num_cpus=0, num_gpus=1 if gpus else 0, max_restarts=-1, max_task_retries=-1)(Embedding)
            spread = actor.options(scheduling_strategy="SPREAD")
            self._embedders = [spread.remote(self._model) for _ in range(count)]
        return self._embedders


def _reach(address: str) -> None:
    """Ray itself tries for minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if not (host and port.isdigit()):
        raise ValueError("an address is HOST:PORT or ray://HOST:PORT")
    socket.create_connection((host, int(port)), timeout=5).close()


class Cutting:
    """A worker that reads and cuts one file after the other; a file that ends its reader costs only itself."""

    def __init__(self, model: Embedder | str | None, max_bytes: int) -> None:
        self._reader, self._model = Reader(max_bytes=max_bytes), Embedding(model).embedder

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        return {"cut": pickle.dumps(cut(pickle.loads(row["job"]), self._reader, self._model))}


class Embedding:
    """A worker that embeds."""

    def __init__(self, model: Embedder | str | None) -> None:
        self._model = model

    def embedder(self) -> Embedder:
        if isinstance(self._model, str | None):
            from ingest.embed import embedder

            self._model = embedder(self._model or None)
        return self._model

    def embed(self, texts: Sequence[str]) -> Vectors:
        return self.embedder().embed(texts)
