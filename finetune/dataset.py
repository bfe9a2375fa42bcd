"""Training conversations from a library, by its structure alone: no model is asked, unless `--writer claude` is.

    footnote finetune dataset --library library --out data

Questions come from headings, FAQ, definitions, lists, tables and code; the passages are those that retrieval returns,
in their order; prompts are made by the very functions that serve; every answer is proved before it is kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from finetune.card import digest, write_dataset
from finetune.examples import Example
from finetune.maker import Maker
from ingest.library import Library


def write(
    library: Library,
    out: Path,
    exclude: Path | None,
    *,
    examples: int = 1500,
    passages: int = 8,
    eval_share: float = 0.1,
    rerank: bool = True,
    seed: int = 0,
    writer: str = "rules",
    agreed: Callable[[str], bool] = lambda line: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """The data set's files in `out`; gives back the card."""
    maker = Maker(library, exclude, passages, rerank, seed)
    made = maker.make(examples, progress)
    if writer != "rules":
        from finetune.phrasing import Phrasing

        made = maker.phrased(made, Phrasing(writer, out, agreed, say))
    parts = split(made, eval_share, maker.left_out)
    made_from = {
        "documents": {document.path: document.sha256 for document in library.documents()},
        "embedder": library.meta("embedder"),
        "kept out": {exclude.name: digest(exclude)} if exclude else {},
        "left out": dict(maker.left_out.most_common()),
        "writer": writer,
        "settings": {
            "examples": examples,
            "passages": passages,
            "eval_share": eval_share,
            "rerank": rerank,
            "seed": seed,
        },
    }
    return write_dataset(parts, out, made_from)


def split(made: Sequence[Example], share: float, left_out: Counter[str]) -> dict[str, list[Example]]:
    """By section: what one part asks about, the other never does."""
    parts: dict[str, list[Example]] = {"train": [], "eval": []}
    for example in made:
        sides = {_is_eval(section, share) for section in example.sections}
        if len(sides) == 1:
            parts["eval" if sides.pop() else "train"].append(example)
        else:
            left_out["spans sections of train and of eval"] += 1
    return parts


def _is_eval(section: tuple[str, str], share: float) -> bool:
    return int(hashlib.sha256("\n".join(section).encode()).hexdigest()[:8], 16) < share * 2**32
