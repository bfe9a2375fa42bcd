"""The process in which files are read: `python -m ingest.readers.worker SECONDS BYTES`, started by `documents.Reader`.

It takes (path, name, max_bytes) from standard input and answers with a `Document`, or the line that says why not.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys

from ingest.documents import READY, read
from ingest.errors import ReadError


def main(seconds: float, memory: int) -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a parser that prints must not write between the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    _limit(memory)
    answers.write(READY)
    answers.flush()
    while True:
        try:
            path, name, max_bytes = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        if hasattr(signal, "alarm"):  # should nobody be left to stop it, it ends by itself
            signal.alarm(int(seconds) + 5)
        try:
            answer: object = read(path, name, max_bytes=max_bytes)
        except ReadError as error:
            answer = str(error)
        pickle.dump(answer, answers)
        answers.flush()


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
