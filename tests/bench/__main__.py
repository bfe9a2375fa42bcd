"""All benches, or one with its options: python -m tests.bench [PART] [OPTIONS]"""

from __future__ import annotations

import sys
from importlib import import_module

PARTS = ("ingest", "retrieval", "ablation", "latency", "dialog")
MORE = ("reranker", "judge", "support", "ways", "gpu", "page")  # asked for by name
MODULES = {"support": "support.bench"}  # where a part is a folder


def main(argv: list[str]) -> None:
    chosen = [part for part in (*PARTS, *MORE) if argv[:1] == [part]]
    for part in chosen or PARTS:
        import_module(f"tests.bench.{MODULES.get(part, part)}").main(argv[1:] if chosen else [])


if __name__ == "__main__":
    main(sys.argv[1:])
