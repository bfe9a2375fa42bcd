"""Trains the reranker: MiniLM reads a question and a passage together and says how well the one answers the other.

    python -m finetune.reranker --guides DIR --squad PATH --out assistant/reranker

`--guides` is a folder of documents, `--squad` SQuAD 2.0: `dev-v2.0.json`, or a folder with corpus.jsonl and
queries.jsonl. The questions to the guides are made by rule (`finetune.reranker_questions`); no model writes any. Every
five minutes the weights so far go to OUT/weights.safetensors and, quantised, to OUT/model.onnx, so it may be stopped at
any time. How well it does: `python -m tests.bench reranker`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.chunks import Chunk, chunk
from ingest.documents import read, supported
from ingest.embed import Embedder, Linear, MiniLM, Vectors, packaged_folder, pair_model, read_safetensors, rows, to_onnx
from ingest.errors import ReadError

if TYPE_CHECKING:
    import torch


# The words and patterns that `finetune.reranker_questions` makes questions with.

STOP = frozenset(
    (
        "a an the of in on at to for from by with and or but if as is are was were be been being it its this that "
        "these those we you i they he she our your their there here which who what when where why how can could may "
        "might will would shall should must do does did has have had not no than then so such also more most some any "
        "each both only very just about into over under between through during after before above below up down out "
        "off again once let us one two"
    ).split()
)
GENERIC = frozenset(
    (
        "exercises exercise summary introduction overview references discussion discussions conclusion conclusions "
        "example examples notes note see also further reading installation contents appendix background motivation "
        "implementation training prediction results setup resources tips quiz usage parameters prerequisites "
        "acknowledgments license concise dataset model data more quick start getting started next steps what's next "
        "faq miscellaneous"
    ).split()
)
VERBS = frozenset(
    (
        "add apply avoid build check choose clean combine compare compute configure convert create debug define "
        "deploy design detect download estimate evaluate export extract fine-tune find fit generate get handle "
        "implement import improve increase initialize initialise install keep learn load make measure merge normalize "
        "normalise optimize optimise plot predict prepare prevent preprocess process push read reduce remove replace "
        "run sample save scale select set share split start stop store test tokenize train transform tune understand "
        "update upload use validate visualize write"
    ).split()
)
AUXILIARY = r"is|are|was|were|can|could|should|will|must|does|do|has|have"
DANGLING = frozenset(
    (
        "this it these that those there here in to we since while as if when where once what how why they he she you "
        "for with after before by at on from because although though given let our first second unlike like both all"
    ).split()
)
OPENING = (  # of a sentence, which its question does without
    r"^(?:[-*•>]|\d+[.)])?\s*(?:(?:however|thus|therefore|hence|moreover|furthermore|also|so|but|and|note that|"
    r"for example|for instance|in addition|in particular|recall that|of course|as a result|in general|typically|"
    r"usually|currently|intuitively|unfortunately|now|then|next|finally|again|in fact|indeed|similarly|"
    r"in other words|additionally),?\s+)+"
)


_USED = r"(?:is|are|can be) used (?:to|for)"
_SIDE = r"advantage|disadvantage|benefit|drawback|problem|goal|purpose|idea"

# What a sentence looks like, the questions that it answers, and whether only this sentence answers them.
RULES: Sequence[tuple[str, str, bool]] = (
    (
        r"(?:An? |The )?((?:[\w\-()]+ ){1,5}?)(?:is|are) (?:an?|the|one of|defined as|simply|a type|used when) ",
        "what is {}? | what does {} mean? | define {} | {} definition | whats {} | what do we mean by {} | {} meaning",
        False,
    ),
    (
        r"(?!This|It|That|These)(.{12,80}?),? because (.{10,})",
        "why {0}? | why is it that {0} | what is the reason that {0}?",
        True,
    ),
    (
        r"(?:In order to|To) ([a-z]+ .{5,70}?),",
        "how do I {}? | how to {} | how can we {}? | what do I need to {}",
        False,
    ),
    (rf".{{3,50}} {_USED} (.{{6,70}})", "what is used for {}? | what can I use to {}?", False),
    (rf"(.{{3,40}}?) {_USED} .{{6,70}}", "what is {} used for? | when do I use {}?", True),
    (
        r"(?:.{0,20} )?((?:\w+ ){1,3})such as .{4,}",
        "examples of {} | what are some {}? | which {} are there?",
        False,
    ),
    (r"If (.{8,70}?), .{10,}", "what if {}? | what happens if {}? | what should I do when {}?", True),
    (r"When (.{8,70}?), .{10,}", "what happens when {}? | what to do when {}?", True),
    (r"Unlike ((?:\S+ ){1,5}?), ((?:\S+ ){1,4}?).{10,}", "how is {1} different from {0}? | {0} vs {1}", False),
    (
        rf"(?:The )?(?:main |key |biggest )?({_SIDE})s? of (.{{4,60}}?) (?:is|are) ",
        "what is the {0} of {1}? | {1} {0} | what are the {0}s of {1}?",
        True,
    ),
    (
        r"(?:It is|You should|We recommend|Make sure|It's) (?:\w+ )?to ([a-z]+ .{8,70})",
        "should I {}? | when should I {}?",
        False,
    ),
    (
        r"(?:The )?(.{5,60}?) (?:depends on|is determined by|is controlled by) .{5,}",
        "what does {} depend on? | what controls {}?",
        True,
    ),
    (
        r"(.{5,60}?) (?:leads to|causes|results in|helps?|improves|reduces) (.{5,70})",
        "what does {0} do? | what {1}? | effect of {0}",
        True,
    ),
)


# Questions as people type them, made by rule from what a guide says: no model is asked.
#
# Every rule gives back the question and, where one sentence or row alone answers it, that evidence; a passage without
# it no longer answers. Pure: the same text and the same `random.Random` give the same questions.


@dataclass(frozen=True, slots=True)
class Asked:
    """`fact`: only the evidence answers it, so that the same passage without it is a near miss."""

    question: str
    evidence: str = ""
    fact: bool = False
    kind: str = "heading"


ASKING = frozenset("what why how when which where who should can do".split())  # a heading that is a question


def of_heading(label: str, parent: str, random: Random) -> Iterator[Asked]:
    """Several phrasings of what a section is about."""
    label = plain(re.sub(r"^[\d.]+[.)]?\s+|^(step|part|chapter)\s+\d+:?\s*", "", label, flags=re.I)).strip(" .:")
    words = label.lower().split()
    if not words or len(words) > 14 or all(word.strip("?:,.") in GENERIC | STOP for word in words):
        return
    if label.endswith("?") or words[0] in ASKING:
        yield Asked(label)
        yield Asked(" ".join(word for word in words if word.strip("?") not in STOP))
        return
    pair = re.match(r"(.{3,40}?)\s+(?:vs\.?|versus|or|compared (?:to|with))\s+(.{3,40})$", label, re.I)
    if pair:
        forms = [
            "what is the difference between {} and {}?",
            "{} vs {}",
            "{} or {}, which is better?",
            "compare {}, {}",
        ]
        yield from (Asked(form.format(*pair.groups())) for form in random.sample(forms, 2))
        return
    topic = _lower_first(label)
    if words[0] in VERBS:
        forms = ["how do I {}?", "how to {}", "how can I {}?", "best way to {}", "steps to {}"]
    elif words[0].endswith("ing") and len(words) > 1:
        forms = ["{}", "how does {} work?", "tips for {}", "what should I know about {}?", "how to do {}", "explain {}"]
    else:
        verb = "are" if re.search(r"[^s]s$", words[-1]) else "is"
        forms = [
            "{}",
            f"what {verb} {{}}?",
            "explain {}",
            "how does {} work?",
            "when should I use {}?",
            "tell me about {}",
        ]
        forms += ["why {}?", "{} explained simply", "what is meant by {}?", "what do you know about {}", "whats {}"]
    for form in random.sample(forms, min(3, len(forms))):
        yield Asked(form.format(topic))
    if parent and plain(parent).lower() != label.lower() and random.random() < 0.5:
        yield Asked(
            random.choice(["{1} {0}", "{0} in {1}", "what about {0} for {1}?"]).format(
                topic, _lower_first(plain(parent))
            )
        )


def of_sentence(sentence: str, random: Random) -> Iterator[Asked]:
    """Questions that this sentence answers."""
    text = re.sub(OPENING, "", plain(sentence)).rstrip(" .:;?!")
    text, words = text[:1].upper() + text[1:], text.split()
    letters = sum(character.isalpha() or character == " " for character in text)
    if not 6 <= len(words) <= 45 or letters < 0.8 * len(text) or re.search(r"[$\\{}]|:\w+:|https?:", text):
        return
    for pattern, forms, fact in RULES:
        found = re.match(pattern, text)
        if found and all(2 < len(group) < 90 for group in found.groups()):
            groups = [_lower_first(group.strip(" ,")) for group in found.groups()]
            for form in random.sample(forms.split(" | "), 2):
                yield Asked(form.format(*groups), sentence, fact, "rule")
    yield from _of_figure(text, sentence, random)
    inverted = re.match(rf"((?:\S+ ){{1,5}}?)({AUXILIARY}) (?!not)(.{{10,80}}?)(?:,|;| because| which| and |$)", text)
    if inverted and inverted[1].split()[0].lower() not in DANGLING:
        subject = _lower_first(inverted[1].strip())
        form = random.choice(["{1} {0} {2}?", "{1} {0} {2}?", "why {1} {0} {2}?", "how {1} {0} {2}?"])
        yield Asked(form.format(subject, inverted[2], inverted[3]), sentence, False, "rule")
    yield from _keywords(words, sentence, random)


def _of_figure(text: str, sentence: str, random: Random) -> Iterator[Asked]:
    for found in re.finditer(r"(?<!\S)(\$?)(\d[\d,.]*)\s?(%|percent|)[\s\-]([a-z]{3,}(?: [a-z]{4,})?)", text):
        if found[4].split()[0] in STOP:
            continue
        rest = " ".join(_content((text[: found.start()] + text[found.end() :]).split())[:7])
        if len(rest.split()) < 2 or re.match(r"\b(figure|fig|section|table|chapter|equation|eq)\b", rest):
            continue
        if found[1]:
            form = random.choice(["how much does {1} cost?", "price {1}", "how much {1} {0}"])
        elif found[3]:
            form = random.choice(["what percentage {1} {0}?", "what percent of {0} {1}", "how many percent {1}"])
        else:
            form = random.choice(
                ["how many {0} {1}?", "how many {0} does {1} have?", "number of {0} {1}", "{1} how many {0}"]
            )
        yield Asked(form.format(found[4], rest), sentence, True, "figure")
    year = re.search(r"\b(?:in|since|by) ((?:19|20)\d\d)\b", text)
    if year:
        rest = " ".join(_content(text.replace(year[0], "").split())[:7])
        form = random.choice(["when {}?", "what year {}", "in which year {}?"])
        yield Asked(form.format(rest), sentence, True, "figure")


def _keywords(words: Sequence[str], sentence: str, random: Random) -> Iterator[Asked]:
    """The words that carry the meaning, some dropped, now and then out of order."""
    content = _content(words)
    if len(content) < 4:
        return
    kept = [word for word in content if random.random() < 0.7][: random.randint(3, 7)]
    if random.random() < 0.3:
        random.shuffle(kept)
    lead = random.choice(["", "", "", "how does ", "why ", "what is ", "can you explain ", "when ", "is ", "which "])
    if len(kept) > 2:
        yield Asked(lead + " ".join(kept), sentence, False, "words")


def of_row(header: Sequence[str], row: Sequence[str], evidence: str, random: Random) -> Iterator[Asked]:
    """What a table's row says under its columns."""
    for column, cell in list(zip(header, row, strict=False))[1:]:
        if not (2 < len(row[0]) < 60 and 2 < len(column) < 40 and cell.strip(" -—")):
            continue
        forms = ["what is the {0} of {1}?", "{1} {0}", "{0} for {1}", "what {0} does {1} have?", "which {0} for {1}?"]
        yield Asked(random.choice(forms).format(_lower_first(column), row[0]), evidence, True, "row")
        if len(cell) < 50:
            form = random.choice(["which {2} has {0} {1}?", "what has a {0} of {1}?", "{2} with {1} {0}"])
            yield Asked(form.format(_lower_first(column), cell, _lower_first(header[0])), evidence, True, "row")


def of_code(code: str, section: str, random: Random) -> Iterator[Asked]:
    """What a comment says that the code does, and how the names in it are used."""
    for comment in re.findall(r"#\s*([A-Z][\w ,'\-/]{12,70})$", code, re.M):
        words = comment.lower().split()
        form = "how to {}" if words[0] in VERBS else "code to {}" if random.random() < 0.3 else "{} code"
        tail = random.choice(["", "", " in python", " in code"])
        yield Asked(form.format(_lower_first(comment)) + tail, comment, False, "code")
    names = re.findall(r"\b([A-Z][a-z]+[A-Z]\w+|[a-z]+_[a-z_]+)\(", code)
    for name in random.sample(sorted(set(names)), min(2, len(set(names)))):
        forms = [
            "how do I use {}?",
            "{} example",
            "{} code",
            "what does {} do?",
            "example of {} for {topic}",
            "{} arguments",
        ]
        yield Asked(random.choice(forms).format(name, topic=_lower_first(plain(section))), "", False, "code")


def sloppy(question: str, abbreviations: dict[str, str], random: Random) -> str:
    """As it is typed: often without capitals and question mark, with short forms, now and then with a slip."""
    for long, short in abbreviations.items():
        if long in question.lower() and random.random() < 0.5:
            question = re.sub(re.escape(long), short, question, flags=re.I)
    if random.random() < 0.5:
        question = question.rstrip("?")
    question = question.lower() if random.random() < 0.5 else question[:1].upper() + question[1:]
    if random.random() < 0.08 and len(question) > 12:
        place = random.randrange(3, len(question) - 2)
        slips = [question[:place] + question[place + 1 :], question[:place] + question[place] + question[place:]]
        slips.append(question[:place] + question[place + 1] + question[place] + question[place + 2 :])
        question = random.choice(slips)
    return " ".join(question.split())


def abbreviations_in(texts: Sequence[str]) -> dict[str, str]:
    """`support vector machine (SVM)` wherever it is written: the long form to the short one."""
    pairs: dict[str, str] = {}
    for text in texts:
        for words, short in re.findall(r"((?:[A-Za-z\-]+ ){1,5}[A-Za-z\-]+) \(([A-Z]{2,5})s?\)", text):
            long = re.split(r"[ \-]", words.lower())[-len(short) :]
            if len(long) == len(short) and all(
                word[:1] == letter for word, letter in zip(long, short.lower(), strict=True)
            ):
                pairs[" ".join(long)] = short
    return pairs


def plain(text: str) -> str:
    """Without markup, so that a question does not carry it."""
    text = re.sub(r"\[\[.*?\]\]|\{#.*?\}|<[^>]*>|!\[.*?\]\(.*?\)", " ", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r":\w+:`([^`<]*)(?:<[^`]*)?`_*|`+([^`]*)`+_*", lambda found: found[1] or found[2] or "", text)
    return " ".join(re.sub(r"[*_#>|]{1,3}(?=\W|$)|(?<!\w)[*_#>|]{1,3}", " ", text).split())


def _content(words: Sequence[str]) -> list[str]:
    bare = [word.strip(".,;:()\"'“”") for word in words]
    return [word for word in bare if len(word) > 1 and word.lower() not in STOP]


def _lower_first(text: str) -> str:
    head = text.split(" ", 1)[0]
    return text if sum(map(str.isupper, head)) > 1 else text[:1].lower() + text[1:]


# Passages that look as if they answered a question: the nearest by vector and by words.


class Miner:
    """Finds, for a question, the passages nearest by vector and by words (BM25)."""

    def __init__(self, passages: Sequence[str], model: Embedder) -> None:
        self.model = model
        self.vectors = model.embed(passages)
        self.words = Words(passages)

    def alike(self, questions: Sequence[str], dense: int = 20, lexical: int = 10) -> Iterator[list[int]]:
        """Nearest first, from the two lists in turn, each place once."""
        for question, vector in zip(questions, self.model.embed(questions), strict=True):
            by_vector = best(self.vectors @ vector, dense)
            by_words = best(self.words.scores(question), lexical)
            yield list(dict.fromkeys(place for pair in _in_turn(by_vector, by_words) for place in pair))

    def below(self, questions: Sequence[str], right: Sequence[int], share: float) -> Iterator[list[int]]:
        """As `alike`, without what is nearer to the question than that share of its right passage: it may be right."""
        vectors = self.model.embed(questions)
        for vector, place, others in zip(vectors, right, self.alike(questions, dense=40), strict=True):
            most = share * float(self.vectors[place] @ vector)
            yield [other for other in others if float(self.vectors[other] @ vector) < most]


class Words:
    """BM25 over single words, in memory."""

    def __init__(self, passages: Sequence[str], k1: float = 1.2, b: float = 0.75) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self._counter = CountVectorizer(token_pattern=r"(?u)\b\w+\b", stop_words="english")
        counts = self._counter.fit_transform(passages).astype(np.float32).tocsc()
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        found = np.diff(counts.indptr)
        rarity = np.log(1 + (len(passages) - found + 0.5) / (found + 0.5))
        norm = k1 * (1 - b + b * lengths / max(float(lengths.mean()), 1e-9))
        counts.data *= (k1 + 1) / (counts.data + norm[counts.indices]) * np.repeat(rarity, found)
        self._weights = counts.tocsr()

    def scores(self, question: str) -> Vectors:
        query = self._counter.transform([question]).astype(np.float32)
        return np.asarray((self._weights @ query.T).todense(), np.float32).ravel()


def best(scores: Vectors, count: int) -> list[int]:
    count = min(count, len(scores))
    places = np.argpartition(-scores, count - 1)[:count] if count else np.empty(0, np.int64)
    return [int(place) for place in places[np.argsort(-scores[places], kind="stable")] if scores[place] > 0]


def _in_turn(first: Sequence[int], second: Sequence[int]) -> Iterable[Sequence[int]]:
    for rank in range(max(len(first), len(second))):
        yield [*first[rank : rank + 1], *second[rank : rank + 1]]


# What the reranker learns from: questions, each with passages that hold its answer and passages that only look so.
#
# From guides by rule (`finetune.reranker_questions`), with negatives mined by vectors and by words; from SQuAD 2.0 as
# people asked.

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


# The reranker while it is trained: torch's BERT with a head, and the pairs of texts that go into it.


class CrossEncoder:
    """BERT over `[CLS] question [SEP] passage [SEP]`.

    The score is linear in the first token's state and in the mean of all before the last layer: so the last layer has
    to be computed for one token only, which saves a seventh of the time when it serves.
    """

    def __init__(self, start: Path | None = None) -> None:
        import torch
        from transformers import BertModel

        # Without dropout: one pass over the data does not overfit, and learns faster.
        off: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        self.bert = BertModel.from_pretrained(packaged_folder(), add_pooling_layer=False, **off)
        self.head = torch.nn.Linear(2 * self.bert.config.hidden_size, 1)
        torch.nn.init.normal_(self.head.weight, std=0.02)
        torch.nn.init.zeros_(self.head.bias)
        words = self.bert.embeddings.word_embeddings.weight
        words.requires_grad_(False)  # half of all weights, and most words are not in the data: they stay put together
        if start:
            self.load(start)

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        for module in (self.bert, self.head):
            yield from (one for one in module.parameters() if one.requires_grad)

    def scores(self, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        import torch

        bert = self.bert(input_ids=ids, token_type_ids=types, attention_mask=mask, output_hidden_states=True)
        *_, before, last = (hidden.float() for hidden in bert.hidden_states)
        weights = mask.unsqueeze(-1).float()
        mean = (before * weights).sum(1) / weights.sum(1)
        both: torch.Tensor = self.head(torch.cat([last[:, 0], mean], dim=1))
        return both.squeeze(1)

    def save(self, path: Path) -> None:
        from safetensors.torch import save_file

        tensors = {name: tensor.contiguous() for name, tensor in self.bert.state_dict().items()}
        tensors |= {f"head.{name}": tensor.contiguous() for name, tensor in self.head.state_dict().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)

    def load(self, path: Path) -> None:
        from safetensors.torch import load_file

        tensors = load_file(path)
        self.head.load_state_dict({name: tensors.pop(f"head.{name}") for name in ("weight", "bias")})
        self.bert.load_state_dict(tensors)


class Pairs:
    """Question and passage as token ids, cut to a length, padded to the longest of a batch."""

    def __init__(self, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(packaged_folder() / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens, strategy="only_second")

    def batches(self, pairs: Sequence[tuple[str, str]], tokens: int) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
        """The places of the pairs, and ids, types and mask for them: pairs of like length together."""
        import torch

        encoded = self._tokenizer.encode_batch(list(pairs))
        order = sorted(range(len(pairs)), key=lambda place: -len(encoded[place]))
        while order:
            length = len(encoded[order[0]])
            places, order = order[: max(1, tokens // length)], order[max(1, tokens // length) :]
            rows = np.zeros((3, len(places), length), np.int64)
            for row, place in enumerate(places):
                one = encoded[place]
                rows[:, row, : len(one)] = one.ids, one.type_ids, one.attention_mask
            yield places, list(torch.from_numpy(rows))


MAX_TOKENS = 192  # of question and passage together in training; serving reads 256
SAVE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Settings:
    minutes: float = 60.0
    groups_a_step: int = 12
    learning_rate: float = 6e-5
    warm_up: float = 0.08  # of the whole
    pairs_tokens: int = 2048  # at once through the model; a step holds several
    seed: int = 0


def prepare(guides: Path | None, squad: Path | None, settings: Settings, share: float) -> list[Group]:
    model, random = MiniLM(), Random(settings.seed)
    groups: list[Group] = []
    if guides:
        chunks = chunks_of(guides, model)
        groups += from_guides(chunks, model, random, share)
        groups += from_tables(chunks, random, len(groups) // 12)
    if squad:
        groups += from_squad(read_squad(squad, test=False), model, random)
    random.shuffle(groups)
    return groups


def loss_of(model: CrossEncoder, groups: Sequence[Group], pairs: Pairs, tokens: int) -> torch.Tensor:
    """Each passage for itself (does it hold the answer?) plus each group's right passage against its wrong ones."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    flat = [(group.question, passage) for group in groups for passage in group.passages]
    sizes = [len(group.passages) for group in groups]
    places, parts = [], []
    for here, (ids, types, mask) in pairs.batches(flat, tokens):
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(model.scores(ids, types, mask))
        places += here
    scores = torch.cat(parts)[torch.tensor(places).argsort()]
    labels = torch.tensor([float(place < group.right) for group in groups for place in range(len(group.passages))])
    loss = binary_cross_entropy_with_logits(scores, labels)
    ranked = [
        cross_entropy(part.unsqueeze(0), torch.zeros(1, dtype=torch.long))
        for group, part in zip(groups, torch.split(scores, sizes), strict=True)
        if group.right
    ]
    return loss + torch.stack(ranked).mean() if ranked else loss


def train(groups: Sequence[Group], out: Path, settings: Settings, start: Path | None = None) -> CrossEncoder:
    """One pass over the groups, or as much of it as `minutes` allow; the rate falls to zero either way."""
    import torch

    torch.manual_seed(settings.seed)
    model, pairs = CrossEncoder(start), Pairs(MAX_TOKENS)
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01, fused=True)
    started = saved = time.monotonic()
    mean = 0.0
    for place in range(0, len(groups), settings.groups_a_step):
        elapsed = time.monotonic() - started
        done = max(place / len(groups), elapsed / (60 * settings.minutes))
        if done >= 1:
            break
        rate = settings.learning_rate * min(done / settings.warm_up + 0.02, (1 - done) / (1 - settings.warm_up))
        for entry in optimiser.param_groups:
            entry["lr"] = rate
        loss = loss_of(model, groups[place : place + settings.groups_a_step], pairs, settings.pairs_tokens)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(model.parameters()), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        mean = float(loss.detach()) if not place else 0.95 * mean + 0.05 * float(loss.detach())
        _say(f"{place + settings.groups_a_step} of {len(groups)} groups, {elapsed / 60:.1f} min, loss {mean:.3f}")
        if time.monotonic() - saved > SAVE_SECONDS:
            saved = time.monotonic()
            _keep(model, out)
    _keep(model, out)
    return model


def _keep(model: CrossEncoder, out: Path) -> None:
    model.save(out / "weights.safetensors")
    export(out / "weights.safetensors", out / "model.onnx")


def export(weights: Path, onnx_file: Path, linear: Linear = rows) -> None:
    """The trained weights as the file that serves; it is whole or not there."""
    config = json.loads((packaged_folder() / "config.json").read_text("utf-8"))
    partial = onnx_file.with_suffix(".partial")
    partial.write_bytes(to_onnx(pair_model(read_safetensors(weights), config, linear)).SerializeToString())
    partial.replace(onnx_file)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m finetune.reranker", description=__doc__.splitlines()[0])
    parser.add_argument("--guides", type=Path, help="folder of documents to make questions from")
    parser.add_argument("--squad", type=Path, help="SQuAD 2.0: its JSON file, or a folder with corpus and queries")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights.safetensors and model.onnx")
    parser.add_argument("--share", type=float, default=0.33, help="of the guides' chunks that are asked a question")
    parser.add_argument("--minutes", type=float, default=60.0, help="at most; one pass over all otherwise")
    parser.add_argument("--start", type=Path, help="weights.safetensors to go on from")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    settings = Settings(minutes=options.minutes, seed=options.seed)
    groups = prepare(options.guides, options.squad, settings, options.share)
    if not groups:
        parser.error("nothing to learn from: give --guides, --squad or both")
    train(groups, options.out, settings, options.start)


if __name__ == "__main__":
    main()
