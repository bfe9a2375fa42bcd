"""How long does a search take, warm and from a cold start, and does it stay so as the library grows?

    python -m tests.bench latency                    # the corpus, 1,000, 20,000 and 100,000 chunks
    python -m tests.bench latency --chunks 5000

The corpus comes in by the ordinary ingest. The larger libraries hold the texts of ../shared/bench/guides, over and over
under other names; their vectors are a thousand real ones, slightly disturbed: it is speed alone that is measured there.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

import assistant.retrieve
from assistant.evaluation.questions import read as read_questions
from assistant.retrieve import Retriever
from ingest.chunks import Chunk, chunk
from ingest.documents import Document, Found, read
from ingest.embed import MiniLM
from ingest.errors import ReadError
from ingest.library import Library, create
from ingest.sync import sync
from ingest.writing import Change, Writing

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT.parent / "shared" / "bench" / "guides"
REAL = 1000  # vectors that are embedded
ASKED, COLD = 60, 5  # questions of a warm process; cold starts
AT_ONCE = 2000  # chunks

STAGES = (
    ("embedding", Retriever, "_vector"),
    ("nearest", Library, "nearest"),
    ("words", Library, "match"),
    ("vectors", Library, "vectors"),
    ("terms", Library, "words"),
    ("texts", Library, "chunks"),
    ("shares", assistant.retrieve, "lexical"),
    ("folding", assistant.retrieve, "folded"),
)

Documents = list[tuple[Document, list[Chunk]]]


def main(argv: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, nargs="*", default=[1000, 20_000, 100_000])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # in a process of its own, for its memory
    args = parser.parse_args(argv)
    if args.measure:
        print(json.dumps(_measured(args.measure)))
        return
    columns = ["chunks", "p50 ms", "p95 ms", "reranked p50", "p95", "cold p50 s", "worst", "peak MB"]
    print(f"\nA search, warm and cold\n{'':12}" + "".join(f"{c:>13}" for c in columns))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        sync([ROOT / "corpus"], Path(base) / "corpus")
        _row("corpus", Path(base) / "corpus")
        documents = _guides() if args.chunks else []
        for size in args.chunks if documents else []:
            _grown(size, Path(base) / str(size), documents)
            _row("guides", Path(base) / str(size))
    if args.chunks and not documents:
        print(f"larger libraries: skipped, {GUIDES} is not there")


def _row(name: str, place: Path) -> None:
    own = [sys.executable, "-m", "tests.bench", "latency", "--measure", str(place)]
    warm = json.loads(subprocess.run(own, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    cold = [_cold(place) for _ in range(COLD)]
    cells = [f"{warm['chunks']}"]
    cells += [f"{np.percentile(warm[how], at):.0f}" for how in ("plain", "reranked") for at in (50, 95)]
    cells += [f"{statistics.median(cold):.2f}", f"{max(cold):.2f}", f"{warm['peak']:.0f}"]
    print(f"{name:12}" + "".join(f"{cell:>13}" for cell in cells))
    print(
        "  CPU ms a search: " + ", ".join(f"{stage} {took:.1f}" for stage, took in warm["stages"].items()), flush=True
    )


def _cold(place: Path) -> float:
    command = [sys.executable, "-m", "assistant.cli", "search", "Why does dropout help?", "--library", str(place)]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - started


def _measured(place: Path) -> dict[str, object]:
    library = Library(place)
    asked = [q.question for q in read_questions(ROOT / "corpus" / "questions.jsonl")][:ASKED]
    found: dict[str, object] = {"chunks": library.count()}
    for how, retriever in (("plain", Retriever(library, rerank=False)), ("reranked", Retriever(library))):
        retriever.search(asked[0])
        found[how] = [_milliseconds(retriever, question) for question in asked]
    found["stages"] = _stages(Retriever(library, rerank=False), asked)
    return found | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _milliseconds(retriever: Retriever, question: str) -> float:
    started = time.perf_counter()
    retriever.search(question)
    return 1000 * (time.perf_counter() - started)


def _stages(retriever: Retriever, asked: Sequence[str]) -> dict[str, float]:
    """CPU milliseconds a search without the reranker, in all and by what it calls."""
    took = dict.fromkeys(["all", *(stage for stage, _, _ in STAGES)], 0.0)

    def timed(stage: str, owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def timing(*given: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return function(*given, **named)
            finally:
                took[stage] += 1000 * (time.process_time() - started) / len(asked)

        setattr(owner, name, timing)  # in a process of its own, which ends here

    for stage in [*STAGES, ("all", retriever, "search")]:
        timed(*stage)
    for question in asked:
        retriever.search(question)
    return took


def _guides() -> Documents:
    model, documents = MiniLM(), []
    for path in sorted(p for p in GUIDES.rglob("*") if p.is_file()):
        try:
            document = read(path, path.relative_to(GUIDES).as_posix())
        except ReadError:
            continue
        documents.append((document, chunk(document, model.token_counts)))
    return documents


def _grown(size: int, place: Path, documents: Documents) -> None:
    model, random = MiniLM(), np.random.default_rng(0)
    real = model.embed([c.searchable for _, chunks in documents for c in chunks][:: len(documents)][:REAL])
    create(place)
    with Writing(Library(place), "bench") as writing:
        for some in _batches(size, documents):
            keys = [c.key for _, _, chunks in some for c in chunks]
            vectors = real[random.integers(0, len(real), len(keys))] + 0.04 * random.normal(size=(len(keys), 384))
            vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
            writing.keep_vectors(model.fingerprint, keys, vectors)
            writing.stage(some, "bench")
        writing.publish(Change("", model.fingerprint, ["/nowhere"], 0.0))


def _batches(size: int, documents: Documents) -> Iterator[list[tuple[Found, Document, list[Chunk]]]]:
    """The documents again and again under other names, until there are so many chunks."""
    batch: list[tuple[Found, Document, list[Chunk]]] = []
    waiting = made = 0
    for copy in count():
        for document, chunks in documents:
            if made + waiting >= size:
                yield batch
                return
            path, title = f"{copy}/{document.path}", f"{document.title} {copy}" if copy else document.title
            own = [replace(c, document=path, title=title) for c in chunks[: size - made - waiting]]
            found = Found("/nowhere", path, Path("/nowhere") / path, 1, 1)
            batch.append((found, replace(document, path=path, title=title), own))
            waiting += len(own)
            if waiting > AT_ONCE:
                yield batch
                batch, made, waiting = [], made + waiting, 0


if __name__ == "__main__":
    main(sys.argv[1:])
