"""A question set: one JSON object a line, in the form that `corpus/README.md` describes."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.chunks import split_sentences
from ingest.errors import FootnoteError

if TYPE_CHECKING:
    from assistant.records import Answer


NONE = "none"  # the kind of a question that the documents do not answer


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a right answer rests on; without a quote, a document as a whole. `start` is -1 until it is placed."""

    document: str
    quote: str = ""
    start: int = -1
    end: int = -1


@dataclass(frozen=True, slots=True)
class Question:
    """`facts` are regular expressions, each of which a right answer matches; `also` are quotes that serve as well."""

    id: str
    kind: str
    question: str
    history: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    also: tuple[Evidence, ...] = ()
    conflict: bool = False
    near: bool = False
    split: str = ""

    @property
    def answerable(self) -> bool:
        return self.kind != NONE

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value or name in _REQUIRED}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Question:
        """Fields that only other readers need are passed over."""
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        for name in ("history", "facts"):
            known[name] = tuple(known.get(name, ()))
        for name in ("evidence", "also"):
            known[name] = tuple(Evidence(**found) for found in known.get(name, ()))
        return cls(**known)


_REQUIRED = ("id", "kind", "question")
_LISTS = ("history", "facts", "evidence", "also")


def read(file: Path, split: str = "all") -> list[Question]:
    """The questions of a file, or of one of its splits; what is wrong with a line is said with its number."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FootnoteError(
            f"cannot read the question set {file} ({reason}): give a file of one JSON object a line, such as "
            "corpus/questions.jsonl"
        ) from error
    questions = [_parsed(line, f"{file} line {n}") for n, line in enumerate(lines, 1) if line.strip()]
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise FootnoteError(f"{file} has two questions with the id {question.id!r}: give one of them another")
        seen.add(question.id)
    chosen = [q for q in questions if split == "all" or q.split == split]
    if not chosen:
        splits = ", ".join(sorted({q.split for q in questions if q.split})) or "no splits"
        raise FootnoteError(f"{file} has no question for --split {split} (it has {splits}): try --split all")
    return chosen


def spread(questions: Sequence[Question], n: int | None) -> list[Question]:
    """N of the questions, in their order: one of each kind, then of each kind as many as its share of all; the same
    ones again among more."""
    kinds = Counter(question.kind for question in questions)
    seen: Counter[str] = Counter()
    turns = []
    for place, question in enumerate(questions):
        turns.append((seen[question.kind] / kinds[question.kind], place))
        seen[question.kind] += 1
    return [questions[place] for place in sorted(place for _, place in sorted(turns)[:n])]


def write(file: Path, questions: Iterable[Question]) -> None:
    lines = [json.dumps(question.to_json(), ensure_ascii=False) for question in questions]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _parsed(line: str, place: str) -> Question:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise FootnoteError(f"{place} is not JSON ({error}): mend it or take it out") from error
    if problem := _problem(value):
        raise FootnoteError(f"{place}: {problem}; corpus/README.md describes the fields")
    return Question.from_json(value)


def _problem(value: Any) -> str:
    """What is wrong with one question, or nothing."""
    if not isinstance(value, dict):
        return f"{str(value)[:60]!r} is not an object"
    for name in _REQUIRED:
        if not isinstance(value.get(name), str) or not value[name].strip():
            return f"{name!r} must be a text that is not empty, not {value.get(name)!r}"
    for name in _LISTS:
        if not isinstance(value.get(name, []), list):
            return f"{name!r} must be a list, not {value[name]!r}"
    for text in [*value.get("history", []), *value.get("facts", [])]:
        if not isinstance(text, str):
            return f"{text!r} must be a text"
    return _problem_of_evidence(value) or _problem_of_facts(value)


def _problem_of_evidence(value: Mapping[str, Any]) -> str:
    for found in [*value.get("evidence", []), *value.get("also", [])]:
        if not isinstance(found, dict) or not isinstance(found.get("document"), str):
            return f"evidence must name its 'document', not {found!r}"
        if not found.keys() <= {"document", "quote", "start", "end"} or not isinstance(found.get("quote", ""), str):
            return f"evidence has a 'document' and a 'quote', not {found!r}"
    if value["kind"] == NONE:
        return "a question of kind 'none' has no evidence and no facts" if value.get("evidence") else ""
    return "" if value.get("evidence") or value.get("facts") else "it has neither evidence nor facts to be scored by"


def _problem_of_facts(value: Mapping[str, Any]) -> str:
    for fact in value.get("facts", []):
        try:
            re.compile(fact)
        except re.error as error:
            return f"the fact {fact!r} is not a regular expression ({error})"
    return ""


def place(
    questions: Sequence[Question], documents: Sequence[str], text: Callable[[str], str]
) -> tuple[list[Question], list[str]]:
    """The questions with each quote's place in the library's text, and a line for each quote that is not there."""
    names: dict[str, str | None] = {}
    texts: dict[str, str] = {}
    missing: list[str] = []

    def placed(evidence: Evidence, question: Question) -> Evidence:
        if evidence.document not in names:
            names[evidence.document] = same_document(evidence.document, documents)
        name = names[evidence.document]
        if name is None:
            missing.append(f"{question.id}: {evidence.document} is not in the library")
            return evidence
        if name not in texts:
            texts[name] = text(name)
        start, end = _find(evidence.quote, texts[name])
        if start < 0:
            missing.append(f"{question.id}: {name} does not hold “{evidence.quote[:60]}”")
        return Evidence(name, evidence.quote, start, end)

    found = [
        replace(q, evidence=tuple(placed(e, q) for e in q.evidence), also=tuple(placed(e, q) for e in q.also))
        for q in questions
    ]
    return found, missing


def same_document(name: str, documents: Sequence[str]) -> str | None:
    """The document that a name means: the same, or one of them is the end of the other's path."""
    if name in documents:
        return name
    near = [d for d in documents if d.endswith("/" + name) or name.endswith("/" + d)]
    return max(near, key=len, default=None)


def _find(quote: str, text: str) -> tuple[int, int]:
    """Where a quote stands, white space aside; the whole text for no quote, -1 if it is nowhere."""
    if not quote.strip():
        return 0, len(text)
    if (start := text.find(quote)) >= 0:
        return start, start + len(quote)
    found = re.search(r"\s+".join(map(re.escape, quote.split())), text)
    return found.span() if found else (-1, -1)


# Other people's sets as documents and questions that `footnote evaluate` takes.
#
#     footnote evaluate --convert BEIR-FOLDER --out DIR      corpus.jsonl, queries.jsonl, qrels.tsv (or qrels/test.tsv)
#     footnote evaluate --convert SQUAD.json --out DIR       SQuAD 1.1 or 2.0
#     footnote ingest DIR/documents --library DIR/library
#     footnote evaluate DIR/questions.jsonl --library DIR/library
#
# In a BEIR set the evidence is a document as a whole. A query without a judgement belongs to another split and is left
# out, unless the set says that it has no answer ("answerable": false).

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


# Questions of real use, logged where somebody asked for it, into a file that stays here; and what they say.
#
# footnote ask "…" --log questions.jsonl
# footnote evaluate --log questions.jsonl


@dataclass(frozen=True, slots=True)
class Logged:
    """One question as it was answered. `confidence` is the best passage's score: low far from the documents."""

    time: str
    question: str
    status: str
    model: str
    sentences: int
    unsupported: int  # sentences, those in doubt not among them
    confidence: float
    seconds: float
    doubted: int = 0  # sentences


def log_answer(file: Path, answer: Answer) -> None:
    """Add an answer to the log; the file is made readable by its owner only."""
    line = Logged(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        question=answer.question,
        status=answer.status,
        model=answer.model,
        sentences=len(answer.sentences),
        unsupported=sum(sentence.outcome == "not supported" for sentence in answer.sentences),
        doubted=sum(sentence.doubted for sentence in answer.sentences),
        confidence=max((passage.score for passage in answer.passages), default=0.0),
        seconds=float(answer.seconds.get("total", 0.0)),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")


def read_log(file: Path) -> list[Logged]:
    """What was logged, in order of time; a line that a kill cut short is passed over."""
    if not file.is_file():
        raise FootnoteError(f"no log at {file}: `footnote ask … --log {file}` makes one")
    found = []
    for line in file.read_text(encoding="utf-8").split("\n"):
        try:
            found.append(Logged(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    if not found:
        raise FootnoteError(f"{file} holds no logged question: `footnote ask … --log {file}` adds some")
    return sorted(found, key=lambda one: one.time)
