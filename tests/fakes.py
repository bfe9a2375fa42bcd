"""Tiny real implementations that several tests use."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
Result = TypeVar("Result")


def run(coroutine: Coroutine[object, object, Result]) -> Result:
    """`asyncio.run` in a thread of its own: where a browser was driven before, this thread has a loop that goes on."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


class BagOfWords:
    """An embedder whose vectors can be worked out by hand: each word counts one at its checksum's place, length 1."""

    max_tokens = 256

    def __init__(self, dimension: int = 64, salt: str = "") -> None:
        self.dimension = dimension
        self.salt = salt
        self.embedded: list[str] = []

    @property
    def fingerprint(self) -> str:
        return f"bag-of-words:{self.dimension}{self.salt}"

    def count_tokens(self, text: str) -> int:
        return len(_WORD.findall(text))

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [self.count_tokens(text) for text in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += texts
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        vectors[:, 0] = 0.01  # so that a text without words has a direction too
        for row, text in zip(vectors, texts, strict=True):
            for word in _WORD.findall(text.lower()):
                row[zlib.crc32((self.salt + word).encode()) % self.dimension] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
