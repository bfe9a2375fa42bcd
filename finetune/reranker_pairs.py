"""What the reranker learns from: questions, each with passages that hold its answer and passages that only look so.

From guides by rule (`finetune.reranker_questions`), with negatives mined by vectors and by words; from SQuAD 2.0 as
people asked.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from finetune.reranker_mining import Miner
from finetune.reranker_questions import Asked, abbreviations_in, of_code, of_heading, of_row, of_sentence, sloppy
from ingest.chunks import Chunk, chunk
from ingest.documents import read, supported
from ingest.embed import Embedder
from ingest.errors import ReadError

NEGATIVES = 4  # passages beside the right one
TOPICAL = 0.95  # where no single fact is asked for, what is nearer than this share of the right passage may answer too
SHARES = {
    "heading": 4,
    "rule": 4,
    "figure": 3,
    "row": 4,
    "words": 1,
    "code": 1,
}  # of the kinds that a chunk can be asked


@dataclass(frozen=True, slots=True)
class Group:
    """A question and its passages, as the reranker sees them. The first `right` of them hold the answer."""

    question: str
    passages: tuple[str, ...]
    right: int


# --- guides -----------------------------------------------------------------------------------------------------------


def chunks_of(folder: Path, model: Embedder) -> list[Chunk]:
    chunks: list[Chunk] = []
    for path in sorted(folder.rglob("*")):
        if supported(path) and path.is_file():
            try:
                chunks += chunk(read(path, path.relative_to(folder).as_posix()), model.token_counts)
            except ReadError:
                continue
    return chunks


def from_guides(chunks: Sequence[Chunk], model: Embedder, random: Random, share: float = 1.0) -> list[Group]:
    """A question for that share of the chunks, with passages of other sections that look like the right one."""
    short = abbreviations_in([one.text for one in chunks])
    asked: list[tuple[int, Asked]] = []
    for place, one in enumerate(chunks):
        kinds: dict[str, list[Asked]] = {}
        for ask in questions_of(one, random):
            if 8 <= len(ask.question) <= 160:
                kinds.setdefault(ask.kind, []).append(ask)
        if kinds and random.random() < share:
            kind = random.choices(list(kinds), [SHARES[name] for name in kinds])[0]
            ask = random.choice(kinds[kind])
            asked.append((place, replace(ask, question=sloppy(ask.question, short, random))))
    miner, questions = Miner([one.searchable for one in chunks], model), [ask.question for _, ask in asked]
    mined = zip(
        asked, miner.alike(questions), miner.below(questions, [place for place, _ in asked], TOPICAL), strict=True
    )
    return [
        _group(ask, chunks[place], [chunks[other] for other in (others if ask.fact else below)], random)
        for (place, ask), others, below in mined
    ]


def questions_of(one: Chunk, random: Random) -> Iterator[Asked]:
    path = one.section.split(" > ")
    parent = path[-2] if len(path) > 1 else one.title
    heading = list(of_heading(path[-1], parent, random))
    yield from random.sample(heading, min(2, len(heading)))
    for unit in one.units:
        text = one.text[unit.start - one.start : unit.end - one.start]
        if unit.kind in ("sentence", "item"):
            yield from (replace(ask, evidence=text) for ask in of_sentence(text, random))
        elif unit.kind == "row" and one.header and text != one.header:
            yield from of_row(_cells(one.header), _cells(text), text, random)
    if one.kind == "code":
        yield from of_code(one.text, path[-1], random)


def _cells(row: str) -> list[str]:
    return [cell.strip(" *`") for cell in row.splitlines()[0].strip().strip("|").split("|")]


def _group(ask: Asked, one: Chunk, others: Sequence[Chunk], random: Random) -> Group:
    """A fact's passage without the fact is a near miss; a topic's must at times do without its nearest sentence."""
    keep = random.random()  # how much of the context the passages of this group show: some libraries have none
    text, near = one.text, []
    if ask.evidence and ask.evidence in text and len(text) > 1.6 * len(ask.evidence):
        without = text.replace(ask.evidence, "", 1).strip()
        if ask.fact and random.random() < 0.5:
            near = [shown(replace(one, text=without), keep)]
        elif not ask.fact and random.random() < 0.4:
            text = without
    asked = ask.question.lower().rstrip("?")
    wrong = [other for other in others if other.section != one.section and other.text != one.text]
    wrong = list({other.text: other for other in wrong if asked not in other.section.lower()}.values())
    first = random.sample(wrong[:12], min(3, len(wrong[:12])))
    rest = [other for other in wrong if other not in first]
    wrong = [*first, *random.sample(rest, min(NEGATIVES - len(first) - len(near), len(rest)))]
    right = shown(replace(one, text=text), keep)
    return Group(ask.question, (right, *near, *(shown(other, keep) for other in wrong)), 1)


def shown(one: Chunk, keep: float) -> str:
    """As at serving: title and section, header, text. In a part of the groups without section, or without both."""
    if keep < 0.25:
        return f"{one.header}\n{one.text}".strip()
    return one.searchable if keep > 0.4 else replace(one, section="").searchable


# --- made-up tables ---------------------------------------------------------------------------------------------------

MEASURES = (
    "Accuracy|Parameters|Memory|Training time|Price|Salary|Experience|Speed|Context length|Layers|Batch size|Year|Cost|"
    "F1 score|Latency|Best for|Learning rate|Data size|GPU|License|Precision|Recall|Throughput|Epochs|Dimension"
).split("|")


def from_tables(chunks: Sequence[Chunk], random: Random, count: int) -> Iterator[Group]:
    """Guides have few tables and people ask much about them: real names, real measures, any figures."""
    text = " ".join(one.text for one in chunks)
    names = sorted(set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w{2,12}\b|\b[A-Z]{2,5}-?\d{0,3}\b", text)))
    titles = sorted({one.title for one in chunks})
    for _ in range(count if len(names) > 9 else 0):
        kind = random.choice(["Model", "Method", "Name", "Algorithm", "Role", "Library", "Type"])
        columns = [kind, *random.sample(MEASURES, random.randint(2, 4))]
        rows = [[name, *_figures(columns, random)] for name in random.sample(names, random.randint(4, 9))]
        header, lines = _line(columns), [_line(row) for row in rows]
        gone = random.randrange(len(rows))
        asked = list(of_row(columns, rows[gone], lines[gone], random))
        if not asked:
            continue
        title = random.choice(titles)
        whole = "\n".join([title, header, *lines])
        other_row = whole.replace(lines[gone], _line([random.choice(names), *_figures(columns, random)]))
        other_columns = whole.replace(header, _line([kind, *random.sample(MEASURES, len(columns) - 1)]))
        prose = [one.searchable for one in random.sample(chunks, min(2, len(chunks)))]
        yield Group(sloppy(random.choice(asked).question, {}, random), (whole, other_row, other_columns, *prose), 1)


def _figures(columns: Sequence[str], random: Random) -> Iterator[str]:
    for _ in columns[1:]:
        number = random.choice([random.randint(1, 99), random.randint(100, 9999), round(random.random() * 10, 2)])
        yield random.choice(["{}", "{}%", "${}", "{}K", "{} GB", "{} hours", "{}B", "{} ms"]).format(number)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


# --- SQuAD 2.0 --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Squad:
    passages: dict[str, str]  # id -> title and text, as the reranker sees them
    questions: list[dict[str, Any]]  # id, text, answerable, gold_passage


def held_out(title: str) -> bool:
    """The articles that no reranker is trained on: about half of them, by the hash of their title."""
    return hashlib.sha256(title.encode()).digest()[0] % 2 == 0


def read_squad(path: Path, *, test: bool) -> Squad:
    """SQuAD's own JSON, or a folder with its corpus.jsonl and queries.jsonl: one half of the articles."""
    if path.is_file():
        corpus, queries = _squad_json(path)
    else:
        corpus, queries = (
            [json.loads(line) for line in (path / f"{name}.jsonl").open()] for name in ("corpus", "queries")
        )
    passages = {
        one["id"]: f"{one['title'].replace('_', ' ')}\n{one['text']}"
        for one in corpus
        if held_out(one["title"]) is test
    }
    return Squad(passages, [query for query in queries if query["gold_passage"] in passages])


def _squad_json(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    corpus, queries = [], []
    for article in json.loads(path.read_text("utf-8"))["data"]:
        for number, paragraph in enumerate(article["paragraphs"]):
            place = f"{article['title']}#{number}"
            corpus.append({"id": place, "title": article["title"], "text": paragraph["context"]})
            for one in paragraph["qas"]:
                answerable = not one.get("is_impossible", False)
                queries.append(
                    {"id": one["id"], "text": one["question"], "answerable": answerable, "gold_passage": place}
                )
    return corpus, queries


def from_squad(squad: Squad, model: Embedder, random: Random) -> list[Group]:
    """An unanswerable question has only wrong passages, its own paragraph among them."""
    ids = list(squad.passages)
    mined = Miner(list(squad.passages.values()), model).alike([query["text"] for query in squad.questions])
    groups = []
    for query, others in zip(squad.questions, mined, strict=True):
        wrong = [ids[other] for other in others if ids[other] != query["gold_passage"]][:14]
        count = 3 if query["answerable"] else 1
        chosen = [query["gold_passage"], *random.sample(wrong, min(count, len(wrong)))]
        bare = random.random() < 0.3
        passages = (squad.passages[one].split("\n", 1)[1] if bare else squad.passages[one] for one in chosen)
        question = sloppy(query["text"], {}, random) if random.random() < 0.5 else query["text"]
        groups.append(Group(question, tuple(passages), int(query["answerable"])))
    return groups
