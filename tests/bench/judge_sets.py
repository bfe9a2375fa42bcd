"""Libraries and questions that the judge is measured on, and what every question's candidates score.

A set's library is made once by the ordinary ingest and kept in a folder; so are the scores, by the weights that gave
them, since reading takes minutes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from assistant.asked import Understood, understand
from assistant.evaluation.fit import ASKED
from assistant.evaluation.questions import DOCUMENTS, QUESTIONS, Question, convert, place, read
from assistant.records import Passage
from assistant.retrieve import Reranker, Retriever, as_passage, chance
from finetune.reranker import held_out
from ingest.chunks import Chunk, beside
from ingest.library import Library
from ingest.sync import sync
from tests.bench.reader.rows import HELD_OUT_PROJECTS
from tests.bench.reader.serve import Reader, Reading, Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Asked:
    """`right` are documents, where whole documents answer; `question` is the corpus' own, with its facts."""

    text: str
    history: tuple[str, ...] = ()
    answerable: bool = True
    right: frozenset[str] = frozenset()
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """A question's best candidates by words and meaning, and what each of the judges says of them, row by row."""

    asked: Asked
    passages: tuple[Passage, ...]
    fused: NDArray[np.float64]
    cosine: NDArray[np.float64]
    anywhere: NDArray[np.float64]
    reranker: NDArray[np.float64]
    readings: tuple[Reading, ...]

    @property
    def answers(self) -> NDArray[np.float64]:
        return np.array([one.answers for one in self.readings])

    @property
    def today(self) -> NDArray[np.float64]:
        return chance({"fused": self.fused, "reranker": self.reranker}, "reranked", "chunk")

    @property
    def plain(self) -> NDArray[np.float64]:
        return chance({"fused": self.fused}, "plain", "chunk")


def as_text(passage: Passage | Chunk) -> Text:
    """A passage as the reader takes it."""
    named = isinstance(passage, Chunk) and passage.named
    header = "" if passage.header in passage.text else passage.header
    units = tuple((unit.start - passage.start, unit.end - passage.start) for unit in passage.units)
    return Text(beside("" if named else passage.title, passage.section, header), passage.text, units)


# --- the sets -----------------------------------------------------------------------------------------------------


def corpus(folder: Path, half: str) -> tuple[Library, list[Asked]]:
    library = _library([ROOT / "corpus"], folder / "corpus")
    asked, _ = place(read(ROOT / "corpus" / QUESTIONS, half), [d.path for d in library.documents()], library.text)
    return library, [Asked(q.question, q.history, q.answerable, question=q) for q in asked]


def retrieval(source: Path, folder: Path, most: int) -> tuple[Library, list[Asked]]:
    """Queries whose answers are documents."""
    here = folder / source.name
    if not (here / QUESTIONS).is_file():
        convert(source, here)
    library = _library([here / DOCUMENTS], here / "library")
    questions = [q for q in read(here / QUESTIONS) if q.answerable]
    return library, spread([Asked(q.question, right=_documents(q)) for q in questions], most)


def _documents(question: Question) -> frozenset[str]:
    return frozenset(evidence.document for evidence in question.evidence)


def squad(source: Path, folder: Path, most: int) -> tuple[Library, list[Asked]]:
    """SQuAD's paragraphs as a library; of its questions those to articles that no reranker was trained on."""
    library, _ = retrieval(source, folder, 1)
    titles = {one["id"]: one["title"] for one in _lines(source / "corpus.jsonl")}
    queries = [q for q in _lines(source / "queries.jsonl") if held_out(titles[q["gold_passage"]])]
    names = {q.question: _documents(q) for q in read(folder / source.name / QUESTIONS)}
    asked = [Asked(q["text"], answerable=q["answerable"], right=names[q["text"]]) for q in queries]
    return library, both(asked, most)


def docs_faq(rows: Path, folder: Path, most: int) -> tuple[Library, list[Asked]]:
    """Documentation of projects that were never trained on. Half of the questions have their sections left out."""
    kept = [r for name in ("docs_faq", "docs_howto") for r in _rows(rows, name) if r["repo"] in HELD_OUT_PROJECTS]
    return _left_out("docs_faq", kept, {r["question"] for r in kept if r["source"] == "docs_faq"}, folder, most)


def sosum(rows: Path, folder: Path, most: int) -> tuple[Library, list[Asked]]:
    """Stack Overflow posts, of which nothing was trained on. Half of the questions have their answers left out."""
    kept = list(_rows(rows, "sosum"))
    return _left_out("sosum", kept, {r["question"] for r in kept}, folder, most)


def dialogues(source: Path, folder: Path, most: int) -> tuple[Library, list[Asked]]:
    """CANARD: dialogues as documents of their answers; of the questions, rewritten by people, some got none."""
    by_dialogue: dict[str, list[dict[str, Any]]] = {}
    for row in _lines(source):
        by_dialogue.setdefault(row["id"].rsplit("#", 1)[0], []).append(row)
    texts, asked = {}, []
    for number, rows in enumerate(by_dialogue.values()):
        answers = max((row["history"] for row in rows), key=len)[1::2]
        said = [answer for answer in answers if answer != NO_ANSWER]
        texts[f"{number:04}.md"] = f"# {rows[0]['title']}: {rows[0]['section']}\n\n" + "\n\n".join(said) + "\n"
        for row in rows:
            turn = len(row["history"]) // 2
            if turn < len(answers):
                asked.append(Asked(row["rewrite"], answerable=answers[turn] != NO_ANSWER))
    library = _written("dialogues", texts, folder)
    return library, both(asked, most)


NO_ANSWER = "I don't know."


def _left_out(
    name: str, rows: Sequence[dict[str, Any]], questions: set[str], folder: Path, most: int
) -> tuple[Library, list[Asked]]:
    gone = {q for q in questions if hashlib.sha256(q.encode()).digest()[0] % 2}
    texts = {}
    for number, row in enumerate(rows):
        if row["question"] not in gone:
            texts[f"{number:05}.md"] = f"# {row['title']}\n\n{row['passage']}\n"
    asked = [Asked(q, answerable=q not in gone) for q in sorted(questions)]
    library = _written(name, texts, folder)
    return library, both(asked, most)


def _written(name: str, texts: dict[str, str], folder: Path) -> Library:
    here = folder / name / DOCUMENTS
    if not here.is_dir():
        here.mkdir(parents=True)
        for path, text in texts.items():
            (here / path).write_text(text, encoding="utf-8")
    return _library([here], folder / name / "library")


def _library(sources: Sequence[Path], place: Path) -> Library:
    if not place.is_dir():
        sync(list(sources), place)
    return Library(place)


def _rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    return map(json.loads, file.open(encoding="utf-8"))


def both(asked: Sequence[Asked], most: int) -> list[Asked]:
    """At most so many questions that are answered, and as many that are not."""
    return [one for kind in (True, False) for one in spread([a for a in asked if a.answerable is kind], most)]


def spread(asked: Sequence[Asked], most: int) -> list[Asked]:
    return Random(0).sample(list(asked), min(most, len(asked)))


# --- scores -------------------------------------------------------------------------------------------------------


def scored(
    name: str, made: Callable[[], tuple[Library, list[Asked]]], reader: Reader, weights: Path, folder: Path, best: int
) -> list[Scored]:
    """Each question's best candidates with all scores; retrieval and reading are each kept for the next time."""
    first = _kept(folder / "scores" / f"{name}-{best}-candidates.pickle", lambda: list(_candidates(*made(), best)))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    readings = _kept(
        folder / "scores" / f"{name}-{best}-{digest}.pickle",
        lambda: [tuple(reader.read(text, [as_text(p) for p in one.passages])) for text, one in first],
    )
    return [
        Scored(s.asked, s.passages, s.fused, s.cosine, s.anywhere, s.reranker, of)
        for (_, s), of in zip(first, readings, strict=True)
    ]


def _kept(file: Path, make: Callable[[], Any]) -> Any:
    if not file.is_file():
        found = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(found))
    return pickle.loads(file.read_bytes())


def _reading(retriever: Retriever, understood: Understood) -> Understood:
    """The reading of the question that finds the best passage, where there are several."""
    return retriever.find(understood, 1).understood if understood.others else understood


def _note(library: Library, asked: Sequence[Asked]) -> None:
    """What was asked, beside the library, as `assistant.evaluation.fit --others` takes it."""
    rows = [
        {"id": str(n), "kind": "fact" if one.answerable else "none", "question": one.text, "facts": [], "evidence": []}
        for n, one in enumerate(asked)
    ]
    if library.place.name == "library" and not all(one.answerable for one in asked):
        file = library.place.with_name(ASKED)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _candidates(library: Library, asked: Sequence[Asked], best: int) -> Iterator[tuple[str, Scored]]:
    _note(library, asked)
    retriever, reranker = Retriever(library, rerank=False), Reranker()
    for one in asked:
        found = retriever.candidates(_reading(retriever, understand(one.text, one.history)))
        order = np.argsort(-found.features["fused"], kind="stable")[:best]
        chunks = [found.chunks[i] for i in order]
        logits = reranker.score(found.understood.text, [c.searchable for c in chunks])
        columns = [found.features[n][order] for n in ("fused", "cosine", "anywhere")]
        yield found.understood.text, Scored(one, tuple(as_passage(c, 0.0) for c in chunks), *columns, logits, ())
