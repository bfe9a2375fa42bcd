"""The reranker: reads a question and a passage together and says how well the one answers the other.

A small cross-encoder of our own, in eight bits on onnxruntime; what it is and how well it does stands in
`reranker/README.md`, how it was made in `finetune/reranker.py`. A passage is given as `Chunk.searchable` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ingest.embed import packaged_folder
from ingest.errors import FootnoteError
from ingest.graph import cores, open_session, run_each

WEIGHTS = Path(__file__).with_name("reranker") / "model.onnx"
PAIR_TOKENS = 256  # question, passage and the three marks around them
QUESTION_TOKENS = 64  # of a longer question the beginning is read


class Reranker:
    """Opens in about 0.1 s. Safe to use from several threads."""

    def __init__(self, weights: Path = WEIGHTS, threads: int = 0) -> None:
        from tokenizers import Tokenizer

        if not weights.is_file():
            raise FootnoteError(f"The reranker's weights are not at {weights}. Do without: --no-rerank")
        self._session = open_session(weights)
        self._threads = threads or cores()
        self._tokenizer = Tokenizer.from_file(str(packaged_folder() / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._start, self._end = self._tokenizer.encode("").ids

    def score(self, question: str, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """A logit for each text; above 0 where the text more likely than not holds the answer."""
        asked, *read = self._tokenizer.encode_batch_fast([question, *texts], add_special_tokens=False)
        pairs = [pair(asked.ids, one.ids, self._start, self._end) for one in read]
        return run_each(self._session, pairs, self._threads)[:, 0].astype(np.float64)


def pair(question: Sequence[int], text: Sequence[int], start: int, end: int) -> dict[str, list[int]]:
    """`start question end text end`, the question cut to its share and the text to what is left."""
    first = [start, *question[:QUESTION_TOKENS], end]
    second = [*text[: PAIR_TOKENS - len(first) - 1], end]
    return {"ids": first + second, "types": [0] * len(first) + [1] * len(second)}
