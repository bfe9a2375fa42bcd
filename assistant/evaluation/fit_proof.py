"""Chooses `ENOUGH` of `assistant/footnotes.py` and says how good the proving is, on SQuAD 2.0 in retrieval form.

    python -m assistant.evaluation.fit_proof FOLDER        with corpus.jsonl and queries.jsonl

A question and its answer are put together as a statement in other words than the source's: true of the sentence that
holds the answer, not of the next best sentence of the paragraph. The threshold is chosen on half of the titles by the
difference of the two rates of support, and reported on the other half. Then sentences of the source itself are changed
in one place, to see whether the change is noticed; unchanged, with the short way for quotes shut, none should be.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.contradictions import contradiction
from assistant.facts import Source, normal
from assistant.figures import figures
from ingest.sentences import split_sentences

_ASKED = re.compile(
    r"\b(?:how (?:many|much|long|old|often|far)|what (?:kind|type|sort)s? of|(?:what|which) (?:is|are|was|were)"
    r"|who|whom|whose|when|where|why|how|what|which)\b",
    re.IGNORECASE,
)
THRESHOLDS = tuple(step / 20 for step in range(6, 18))


@dataclass(frozen=True, slots=True)
class Pair:
    """A statement beside a source, true of it or not."""

    title: str
    statement: str
    source: str
    true: bool

    @property
    def coverage(self) -> float:
        """Of the words; -1 where something else already speaks against it."""
        said, source = normal(self.statement), Source.of([self.source], [self.title])
        return -1.0 if source.lacks(said) or contradiction(said, source) else source.coverage(said)


def pairs(folder: Path) -> Iterator[Pair]:
    corpus = {row["id"]: row for row in _rows(folder / "corpus.jsonl")}
    for query in _rows(folder / "queries.jsonl"):
        asked = _ASKED.search(query["text"])
        if not query["answerable"] or not asked:
            continue
        passage, answers = corpus[query["gold_passage"]], query["answers"]
        question = query["text"].rstrip("? ")
        statement = f"{question[: asked.start()]}{answers[0]}{question[asked.end() :]}."
        sentences = [passage["text"][start:end] for start, end in split_sentences(passage["text"])]
        close = sorted(sentences, key=lambda s: -Source.of([s]).coverage(normal(question)))
        holding = [sentence for sentence in close if any(answer in sentence for answer in answers)]
        others = [sentence for sentence in close if sentence not in holding]
        yield from (Pair(passage["title"], statement, sentence, True) for sentence in holding[:1])
        yield from (Pair(passage["title"], statement, sentence, False) for sentence in others[:1])


def is_for_fitting(title: str) -> bool:
    return hashlib.sha256(title.encode()).digest()[0] % 2 == 0


def rates(scored: Sequence[tuple[Pair, float]], threshold: float) -> tuple[float, float]:
    """The shares of true and of false statements that come out as supported."""
    both = ([c for pair, c in scored if pair.true], [c for pair, c in scored if not pair.true])
    true, false = (sum(c >= threshold for c in part) / max(1, len(part)) for part in both)
    return true, false


def fit(scored: Sequence[tuple[Pair, float]]) -> float:
    """The threshold at which the two rates differ most."""

    def gain(threshold: float) -> float:
        true, false = rates(scored, threshold)
        return true - false

    return max(THRESHOLDS, key=gain)


def _raise_figure(text: str, chance: random.Random) -> str:
    found = [f for f in figures(text) if text[f.start : f.end].isdigit()]
    if not found:
        return text
    figure = chance.choice(found)
    return f"{text[: figure.start]}{int(text[figure.start : figure.end]) + chance.randint(1, 9)}{text[figure.end :]}"


def _swap_figures(text: str, chance: random.Random) -> str:
    found = [f for f in figures(text) if text[f.start : f.end].strip("%").isdigit()]
    alike = [(a, b) for a in found for b in found if a.end < b.start and a.kind == b.kind and a.value != b.value]
    if not alike:
        return text
    a, b = chance.choice(alike)
    return f"{text[: a.start]}{text[b.start : b.end]}{text[a.end : b.start]}{text[a.start : a.end]}{text[b.end :]}"


def _deny(text: str, chance: random.Random) -> str:
    verbs = list(re.finditer(r"\b(?:is|are|was|were|can|will|should|must)\b(?! not)", text))
    at = chance.choice(verbs).end() if verbs else None
    return f"{text[:at]} not{text[at:]}" if at else text


def _affirm(text: str, _: random.Random) -> str:
    return re.sub(r"\b(is|are|was|were|can|will|should|must|does|do|did) ?not\b", r"\1", text, count=1)


def _rename(text: str, chance: random.Random) -> str:
    names = list(re.finditer(r"(?<=[a-z,] )[A-Z][a-z]{3,}", text))
    match = chance.choice(names) if names else None
    return f"{text[: match.start()]}Quexford{text[match.end() :]}" if match else text


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "nothing": lambda text, _: f"{text} ",
    "a figure raised": _raise_figure,
    "two figures swapped": _swap_figures,
    "a “not” put in": _deny,
    "a “not” left out": _affirm,
    "a name replaced": _rename,
}


def noticed(texts: Sequence[str], change: str) -> tuple[int, int]:
    """How many changed sentences are not supported by their original, of how many that could be changed."""
    chance = random.Random(7)
    changed = [(text, CHANGES[change](text, chance)) for text in texts]
    changed = [(text, other) for text, other in changed if other != text]
    found = sum(Pair("", other, text, False).coverage < 0 for text, other in changed)
    return found, len(changed)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def main(folder: Path) -> None:
    scored = [(pair, pair.coverage) for pair in pairs(folder)]
    fitting = [item for item in scored if is_for_fitting(item[0].title)]
    testing = [item for item in scored if not is_for_fitting(item[0].title)]
    best = fit(fitting)
    out = [f"threshold {best} from {len(fitting)} statements; on the {len(testing)} others:"]
    for threshold in THRESHOLDS:
        true, false = rates(testing, threshold)
        out.append(f"{threshold:5.2f}  supported if true {true:.3f}  if false {false:.3f}")
    sentences = list(dict.fromkeys(pair.source for pair, _ in testing))
    for change in CHANGES:
        found, count = noticed(sentences, change)
        out.append(f"{change}: noticed {found} of {count} ({found / max(1, count):.1%})")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
