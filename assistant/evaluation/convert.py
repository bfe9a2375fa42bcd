"""Other people's sets as documents and questions that `footnote evaluate` takes.

    footnote evaluate --convert BEIR-FOLDER --out DIR      corpus.jsonl, queries.jsonl, qrels.tsv (or qrels/test.tsv)
    footnote evaluate --convert SQUAD.json --out DIR       SQuAD 1.1 or 2.0
    footnote ingest DIR/documents --library DIR/library
    footnote evaluate DIR/questions.jsonl --library DIR/library

In a BEIR set the evidence is a document as a whole. A query without a judgement belongs to another split and is left
out, unless the set says that it has no answer ("answerable": false).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assistant.evaluation.questions import Evidence, Question, write
from ingest.errors import FootnoteError
from ingest.sentences import split_sentences

DOCUMENTS, QUESTIONS = "documents", "questions.jsonl"
_QRELS = ("qrels.tsv", "qrels/test.tsv", "qrels/dev.tsv")
NAME = 80  # characters of a file's name

Converted = tuple[dict[str, str], list[Question]]  # texts by file name, questions


def convert(source: Path, out: Path) -> int:
    """Write `out/documents` and `out/questions.jsonl`; 0 when it is done."""
    texts, questions = _beir(source) if source.is_dir() else _squad(source)
    if not questions:
        raise FootnoteError(f"{source} has no question with a judgement or an answer: is it the whole set?")
    folder = out / DOCUMENTS
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    write(out / QUESTIONS, questions)
    absent = sum(not question.answerable for question in questions)
    sys.stdout.write(
        f"{len(texts)} documents, {len(questions)} questions ({absent} without an answer) in {out}\n"
        f"footnote ingest {folder} --library {out / 'library'}\n"
        f"footnote evaluate {out / QUESTIONS} --library {out / 'library'} --out {out / 'run'}\n"
    )
    return 0


def _beir(folder: Path) -> Converted:
    qrels = next((folder / name for name in _QRELS if (folder / name).is_file()), None)
    if qrels is None:
        raise FootnoteError(f"{folder} has none of {', '.join(_QRELS)}: give a BEIR folder or a SQuAD file")
    names, texts = _Names(), {}
    for row in _rows(folder / "corpus.jsonl"):
        title = " ".join(str(row.get("title") or "").split())
        texts[names.of(row["_id" if "_id" in row else "id"])] = (
            f"{title}\n\n{row['text']}\n" if title else f"{row['text']}\n"
        )
    relevant = _judgements(qrels)
    questions = []
    for row in _rows(folder / "queries.jsonl"):
        key = str(row["_id" if "_id" in row else "id"])
        evidence = tuple(Evidence(names.known[d]) for d in relevant.get(key, ()) if d in names.known)
        if evidence:
            questions.append(Question(key, "search", row["text"], evidence=evidence))
        elif row.get("answerable") is False:
            questions.append(Question(key, "none", row["text"], near=True))
    return texts, questions


def _judgements(file: Path) -> dict[str, list[str]]:
    """By query, the documents that are judged relevant at all."""
    found: dict[str, list[str]] = {}
    for line in file.read_text(encoding="utf-8").split("\n")[1:]:
        cells = line.rstrip("\r").split("\t")
        if len(cells) == 3 and float(cells[2]) > 0:
            found.setdefault(cells[0], []).append(cells[1])
    return found


def _squad(file: Path) -> Converted:
    """Each article becomes a document. The evidence is the sentence in which the answer stands."""
    try:
        articles = list(json.loads(file.read_text(encoding="utf-8"))["data"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FootnoteError(f"{file} is not a SQuAD file ({error}): give one with `data`, or a BEIR folder") from error
    names, texts, questions = _Names(), {}, []
    for article in articles:
        name = names.of(article["title"])
        paragraphs = [str(p["context"]) for p in article["paragraphs"]]
        texts[name] = "\n\n".join([article["title"].replace("_", " "), *paragraphs]) + "\n"
        for paragraph in article["paragraphs"]:
            questions += [_question(name, paragraph["context"], asked) for asked in paragraph["qas"]]
    return texts, questions


def _question(document: str, context: str, asked: Mapping[str, Any]) -> Question:
    if asked.get("is_impossible") or not asked["answers"]:
        return Question(str(asked["id"]), "none", asked["question"], near=True)
    answers = list(dict.fromkeys(str(answer["text"]) for answer in asked["answers"]))
    fact = "|".join(_loosely(answer) for answer in sorted(answers, key=len))
    quote = _sentence(context, asked["answers"][0]["answer_start"], len(asked["answers"][0]["text"]))
    return Question(str(asked["id"]), "fact", asked["question"], facts=(fact,), evidence=(Evidence(document, quote),))


def _loosely(answer: str) -> str:
    """The answer's words, whatever the white space between them."""
    return r"(?<!\w)" + r"\s+".join(map(re.escape, answer.split())) + r"(?!\w)"


def _sentence(text: str, start: int, length: int) -> str:
    spans = [span for span in split_sentences(text) if span[1] > start and span[0] < start + length]
    return text[spans[0][0] : spans[-1][1]] if spans else text[start : start + length]


class _Names:
    """File names for ids, which may hold anything."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, key: object) -> str:
        stem = re.sub(r"[^\w.-]+", "-", str(key)).strip("-.")[:NAME] or "document"
        names = (stem if not n else f"{stem}-{n}" for n in range(len(self._taken) + 1))
        free = next(name for name in names if name.lower() not in self._taken)
        self._taken.add(free.lower())
        self.known[str(key)] = f"{free}.txt"
        return self.known[str(key)]


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        lines: Sequence[str] = file.read_text(encoding="utf-8").split("\n")
        yield from (json.loads(line) for line in lines if line.strip())
    except (OSError, ValueError) as error:
        raise FootnoteError(
            f"{file} cannot be read ({error}): a BEIR folder has one JSON object a line there"
        ) from error
