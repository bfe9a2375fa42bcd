"""Training conversations from a library, by its structure alone: no model is asked, unless `--phrase-with` names one.

    footnote finetune dataset --library library --out data

Questions come from headings, FAQ, definitions, lists, tables and code; the passages are those that retrieval returns,
in their order; prompts are made by the very functions that serve; every answer is proved before it is kept.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from functools import cached_property
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from assistant.answer import Assistant
from assistant.asked import understand
from assistant.records import Passage
from assistant.retrieve import Retriever
from finetune import ideas
from finetune.ideas import Idea, Line, Place
from finetune.merge import digest, write_dataset
from finetune.phrasing import Example, answered, nearest, refused
from ingest.chunks import Unit
from ingest.errors import FootnoteError
from ingest.library import Library
from ingest.words import content_terms

# Keeps a question set out of the training data: its questions, near copies of them, and the units of its evidence.

NEAR_WORDS = 0.6  # Jaccard of content words: as corpus/README.md says of the questions among themselves
NEAR_LETTERS = 0.8  # difflib's ratio


@dataclass(frozen=True)
class Held:
    """What is held out: questions, and the places of evidence in the documents of a library."""

    questions: Sequence[str] = ()
    evidence: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)

    def is_near(self, question: str) -> bool:
        """Whether a question is a near copy of one that is held out."""
        words, letters = set(content_terms(question)), " ".join(question.lower().split())
        matcher = SequenceMatcher(None, "", letters, autojunk=False)
        return any(_near(words, matcher, other) for other in self._known)

    def holds(self, places: Iterable[Place]) -> bool:
        """Whether any of these units is evidence for a question that is held out."""
        return any(
            place.start < end and start < place.end
            for place in places
            for start, end in self.evidence.get(place.document, ())
        )

    def __post_init__(self) -> None:
        known = [(set(content_terms(q)), " ".join(q.lower().split())) for q in self.questions]
        object.__setattr__(self, "_known", known)

    _known: Sequence[tuple[set[str], str]] = field(init=False, repr=False, default=())


def held(file: Path | None, texts: Mapping[str, str]) -> Held:
    """The question set in `file`, its quotes found in the `texts` of the documents by path."""
    if file is None:
        return Held()
    questions: list[str] = []
    evidence: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in _rows(file):
        questions += [row["question"], *row.get("history", ())]
        for quote in (*row.get("evidence", ()), *row.get("also", ())):
            for path, text in texts.items():
                if _same_file(path, quote["document"]):
                    evidence[path] += _found(quote["quote"], text)
    return Held(tuple(dict.fromkeys(questions)), dict(evidence))


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise FootnoteError(f"{file} is no question set ({error}): --exclude takes one JSON object a line") from error


def _same_file(path: str, other: str) -> bool:
    """A library made of `corpus/guides` calls `guides/x.md` by the name `x.md`."""
    return path == other or path.endswith(f"/{other}") or other.endswith(f"/{path}")


def _found(quote: str, text: str) -> list[tuple[int, int]]:
    spans, at = [], text.find(quote)
    while at >= 0:
        spans.append((at, at + len(quote)))
        at = text.find(quote, at + 1)
    return spans


def _near(words: set[str], matcher: SequenceMatcher[str], other: tuple[set[str], str]) -> bool:
    shared, either = len(words & other[0]), len(words | other[0])
    if either and shared / either >= NEAR_WORDS:
        return True
    matcher.set_seq1(other[1])  # the second sequence's letters are counted once
    return all(ratio() >= NEAR_LETTERS for ratio in (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio))


# Pulls ideas through leakage, retrieval and proof until there are enough training conversations of each kind.

SHARES = {
    "table": 9, "which": 4, "row": 3, "column": 3, "definition": 9, "reason": 8, "heading": 9, "faq": 3, "list": 6,
    "code": 7, "compare": 6, "follow": 8, "keywords": 6, "conflict": 4, "planted": 3, "missing": 8, "near": 4,
    "elsewhere": 1,
}  # fmt: skip  # in percent; a kind that the guides have too little of leaves its room to the others
DERIVED = ("conflict", "planted", "missing", "near")  # made from an idea that was asked plainly already
OF_A_FACT = ("table", "which", "row", "follow", "code")  # what is asked for one thing, which is there or is not
NOT_SHORTENED = ("list", "compare", "column", "row", "which", "code", "keywords")
OPEN = ("definition", "reason")  # what may be answered by something that comes near
BROUGHT = 0.3  # of the examples come from --questions
ROUNDS = 3  # times that an idea may be asked, each time in other words
SPARE = 6  # passages that are fetched beyond those shown, to take the place of what is left out
PLANTED_WHERE_MISSING = 0.2  # an order does not turn a refusal into an answer either
ANSWERED_ELSEWHERE = 0.5  # of an answer's words in one other passage: then the guides still answer


Kept = list[tuple[Idea, list[Passage]]]  # ideas that were asked plainly, with what retrieval found for them


class Maker:
    """The same library, question set and seed make the same conversations."""

    def __init__(self, library: Library, exclude: Path | None, passages: int, rerank: bool, seed: int) -> None:
        self.chunks = list(library.chunks(library.select()).values())
        texts = {document.path: library.text(document.path) for document in library.documents()}
        if not self.chunks:
            raise FootnoteError(f"{library.place} is empty: footnote ingest FOLDER --library {library.place}")
        self.held: Held = held(exclude, texts)
        self.left_out: Counter[str] = Counter()
        self.phrasing: Counter[str] = Counter()  # what became of the other words
        self._retriever = Retriever(library, rerank=rerank)
        self._passages, self._seed = passages, seed
        self._asked: set[str] = set()
        self._kept: Kept = []

    def make(self, examples: int, progress: Callable[[int, int], None]) -> list[Example]:
        derived_share = sum(SHARES[kind] for kind in DERIVED) / sum(SHARES.values())
        plain = round(examples * (1 - derived_share))
        made = _filled({kind: self._plain(kind) for kind in SHARES if kind not in DERIVED}, plain, progress, examples)
        rest = examples - len(made)
        made += _filled({kind: self._derived(kind) for kind in DERIVED}, rest, lambda done, _: None, rest)
        progress(len(made), examples)
        Random(self._seed).shuffle(made)
        return made

    def phrased(self, made: list[Example], phrase: Callable[[Kept], list[Idea | None]]) -> list[Example]:
        """The plain ones in other words, where those can be asked, found and proved as well; else as they are.

        Every second answer stays a quote below its new question: a model should be able to do both.
        """
        at = {(example.kind, example.question): i for i, example in enumerate(made)}
        for n, ((idea, _), fresh) in enumerate(zip(self._kept, phrase(self._kept), strict=True)):
            if fresh is None or (idea.kind, idea.question) not in at:
                continue
            if not self._may_ask(fresh):
                self.phrasing["thrown away: asked already, or held out"] += 1
            elif example := answered(
                replace(fresh, lines=idea.lines) if n % 2 else fresh,
                self._find(fresh)[: self._passages],
                freely=not n % 2,
            ):
                made[at[idea.kind, idea.question]] = example
                self.phrasing["kept"] += 1
            else:
                self.phrasing["thrown away: not found by retrieval, or not proved"] += 1
        return made

    def _plain(self, kind: str) -> Iterator[Example]:
        """Questions of one kind, with all that retrieval found for them."""
        for turn in range(ROUNDS):
            of_kind = [idea for idea in self._ideas(turn) if idea.kind == kind]
            Random(f"{self._seed} {kind} {turn}").shuffle(of_kind)
            for idea in of_kind:
                if self._may_ask(idea):
                    found = self._find(idea)
                    shown = found[: self._passages]
                    example = answered(idea, shown) if idea.lines else refused(idea, shown, kind)
                    if example:
                        self._kept.append((idea, found))
                        yield example
                    else:
                        self.left_out["not found by retrieval, or not proved"] += 1

    @cached_property
    def _all_ideas(self) -> dict[int, list[Idea]]:
        return {}

    def _ideas(self, turn: int) -> list[Idea]:
        """Every idea; `turn` chooses the words."""
        if turn not in self._all_ideas:
            random = Random(f"{self._seed} {turn}")
            differing, taken = ideas.differing([row for chunk in self.chunks for row in ideas.rows(chunk)])
            found = [*differing, *ideas.comparisons(ideas.definitions(self.chunks), random)]
            found += ideas.under_one_heading(self.chunks, random)
            found += ideas.by_keywords(self.chunks, random)
            neighbours = zip([None, *self.chunks], self.chunks, [*self.chunks[1:], None], strict=False)
            for before, chunk, after in neighbours:
                found += ideas.prose_ideas(chunk, after, random, before)
                found += (idea for idea in ideas.table_ideas(chunk, random) if not taken.intersection(idea.places))
            found += (Idea("elsewhere", question, (), (("", question),)) for question in ideas.ELSEWHERE)
            self._all_ideas[turn] = [
                replace(idea, question=ideas.as_typed(idea.question, random, idea.kind in NOT_SHORTENED))
                for idea in found
            ]
        return self._all_ideas[turn]

    def _may_ask(self, idea: Idea) -> bool:
        asked = " ".join([*(turn.question for turn in idea.history), idea.question]).lower().rstrip("?. ")
        if asked in self._asked:
            reason = "asked already"
        elif self.held.holds(idea.places):
            reason = "rests on evidence that is held out"
        elif self.held.is_near(idea.question) or self.held.is_near(asked):
            reason = "near copy of a question that is held out"
        else:
            self._asked.add(asked)
            return True
        self.left_out[reason] += 1
        return False

    def _find(self, idea: Idea) -> list[Passage]:
        understood = understand(idea.question, [turn.question for turn in idea.history])
        return list(self._retriever.find(understood, self._passages + SPARE).passages)

    def _derived(self, kind: str) -> Iterator[Example]:
        """The same questions once more, over other passages."""
        random = Random(f"{self._seed} {kind}")
        make = getattr(self, f"_{kind}")
        for idea, found in random.sample(self._kept, len(self._kept)):
            if example := make(idea, found, random):
                yield example

    def _missing(self, idea: Idea, found: list[Passage], random: Random) -> Example | None:
        """Without the passages that answer; only where no other passage might, or comes near an open question."""
        rest = self._without(idea, found)
        if not rest or not (idea.kind in OF_A_FACT or (idea.kind in OPEN and not _naming(idea, rest))):
            return None
        if random.random() < PLANTED_WHERE_MISSING:
            rest[0] = ideas.with_order(rest[0], random)
        return refused(idea, rest)

    def _near(self, idea: Idea, found: list[Passage], random: Random) -> Example | None:
        """Without the passages that answer, where another says something of what an open question is about."""
        rest = self._without(idea, found)
        naming = _naming(idea, rest) if idea.kind in OPEN else []
        if not naming or self.held.holds([place for line in naming for place in line.places]):
            return None
        return nearest(replace(idea, lines=(naming[0],), figure=""), rest)

    def _without(self, idea: Idea, found: list[Passage]) -> list[Passage]:
        """As many passages as are shown, none of which answers; none where one might."""
        rest = [p for p in found if not _holds(p, idea)][: self._passages]
        sought = set(content_terms(" ".join([idea.question, *(line.text for line in idea.lines)])))
        shares = [len(sought & set(content_terms(f"{p.section} {p.header} {p.text}"))) / len(sought) for p in rest]
        return rest if len(rest) == self._passages and max(shares) <= ANSWERED_ELSEWHERE else []

    def _planted(self, idea: Idea, found: list[Passage], random: Random) -> Example | None:
        shown = found[: self._passages]
        at = random.randrange(len(shown))
        shown[at] = ideas.with_order(shown[at], random)
        return answered(idea, shown, "planted") if idea.lines else None

    def _conflict(self, idea: Idea, found: list[Passage], random: Random) -> Example | None:
        """With a made-up guide that has another figure: both are given."""
        gold = next((p for p in found[: self._passages] if idea.figure and _holds(p, idea)), None)
        made = ideas.rival(idea, gold, random) if gold else None
        if gold is None or made is None:
            return None
        passage, (here, there) = made
        shown = found[: self._passages - 1]
        shown.insert(random.randrange(min(4, len(shown)) + 1), passage)
        if gold not in shown:
            return None
        lines = (here, there) if shown.index(gold) < shown.index(passage) else (there, here)
        return answered(replace(idea, lines=lines), shown, "conflict")


def _filled(
    streams: dict[str, Iterator[Example]], n: int, progress: Callable[[int, int], None], of: int
) -> list[Example]:
    """`n` examples by their shares; what a stream lacks is shared among the others."""
    made: list[Example] = []
    while streams and len(made) < n:
        total, room = sum(SHARES[kind] for kind in streams), n - len(made)
        for kind in list(streams):
            share = min(-(-room * SHARES[kind] // total), n - len(made))
            fresh = list(islice(streams[kind], share))
            made += fresh
            progress(len(made), of)
            if len(fresh) < share:
                del streams[kind]
    return made


def _holds(passage: Passage, idea: Idea) -> bool:
    return any(p.document == passage.document and passage.start <= p.start < passage.end for p in idea.places)


def _naming(idea: Idea, passages: Sequence[Passage]) -> list[Line]:
    """Sentences that name all of what the question is about, first the one that has most of its words."""
    about, asked = set(content_terms(idea.about)), set(content_terms(idea.question))
    if idea.kind == "reason" and len(about) < 2:  # "why are answers …": one word names too much
        return []
    lines = []
    for passage in passages:
        for unit in passage.units:
            words = " ".join(passage.text[unit.start - passage.start : unit.end - passage.start].split())
            alone = unit.kind == "sentence" and ideas.speaks_for_itself(words) and not words.endswith((":", "?"))
            if alone and about and about <= set(content_terms(words)):
                lines.append(Line(words, (Place(passage.document, unit.start, unit.end),)))
    return sorted(lines, key=lambda line: -len(asked & set(content_terms(line.text))))


# Questions that were collected elsewhere, with passages of their own: `--questions FILE`. One JSON object a line:
# question, passage, units [[start, end], …], answer_units [number, …], answerable, and a title where there is one.

LONGEST = 4000  # characters of such a passage
FROM_ELSEWHERE = "brought", "brought, missing"


@dataclass(frozen=True)
class Brought:
    """The questions of one file. Passages beside the right one are those of the file that share its rarest words."""

    name: str
    rows: Sequence[Mapping[str, Any]]
    passages: Sequence[Passage]  # row by row

    @classmethod
    def of(cls, file: Path) -> Brought:
        import gzip

        try:
            data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            rows = [json.loads(line) for line in data.decode().split("\n") if line.strip()]
            kept = [row for row in rows if len(row["passage"]) <= LONGEST and "``" not in row["passage"]]
            return cls(file.name, kept, [_as_passage(file.name, row) for row in kept])
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise FootnoteError(
                f"{file} holds no questions ({error!r}): --questions takes one JSON object a line, with question,"
                " passage, units, answer_units and answerable"
            ) from error

    @cached_property
    def _by_document(self) -> dict[str, Passage]:
        return {passage.document: passage for passage in self.passages}

    @cached_property
    def _standing(self) -> dict[str, list[str]]:
        standing: defaultdict[str, list[str]] = defaultdict(list)
        for passage in self._by_document.values():
            for term in set(content_terms(passage.text)):
                standing[term].append(passage.document)
        return dict(standing)

    def found(self, number: int, k: int) -> list[Passage]:
        """The passages that come nearest to a question by its words, its own among them."""
        row, own = self.rows[number], self.passages[number]
        scores: defaultdict[str, float] = defaultdict(float)
        for term in content_terms(row["question"]):
            there = self._standing.get(term, [])
            for document in there:
                scores[document] += math.log(1 + len(self._by_document) / len(there))
        best = sorted(scores, key=lambda document: -scores[document])[: 4 * k]
        others = [self._by_document[document] for document in best if document != own.document]
        if not row["answerable"]:  # what stands under the same title might answer
            others = [passage for passage in others if passage.title != own.title]
        others = others[: k - 1]
        rank = sum(scores[passage.document] > scores[own.document] for passage in others)
        return [*others[:rank], own, *others[rank:]]

    def examples(self, n: int, k: int, random: Random) -> Iterator[Example]:
        """As many as are asked for, as far as they can be proved."""
        for number in random.sample(range(len(self.rows)), len(self.rows)):
            row, own = self.rows[number], self.passages[number]
            units = [own.units[i] for i in row["answer_units"]] if row["answerable"] else []
            table = any(unit.kind == "row" for unit in units)  # a row quoted as it is answers nobody
            if n < 1 or table or len(units) > ideas.MOST_LINES or bool(units) != bool(row["answerable"]):
                continue
            lines = [Line(" ".join(own.text[u.start : u.end].split()), (_place(own, u),)) for u in units]
            section = (self.name, own.title or own.document)
            idea = Idea(FROM_ELSEWHERE[not units], row["question"], tuple(lines), (section,))
            shown = self.found(number, k)
            example = answered(idea, shown) if lines else refused(idea, shown, idea.kind)
            if example:
                n -= 1
                yield example


def _as_passage(file: str, row: Mapping[str, Any]) -> Passage:
    text, title = str(row["passage"]), str(row.get("title") or "")
    units = tuple(Unit(a, b, "row" if text[a:b].startswith("|") else "sentence") for a, b in row["units"])
    key = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Passage(f"{file}/{key}", title or "A document", "", 0, len(text), text, 0.5, units)


def _place(passage: Passage, unit: Unit) -> Place:
    return Place(passage.document, unit.start, unit.end)


def brought(files: Sequence[Path], n: int, maker: Maker, k: int, seed: int) -> list[Example]:
    """Spread evenly over the files; near copies of held-out questions are left out as everywhere."""
    made: list[Example] = []
    for i, file in enumerate(files):
        share = (n - len(made)) // (len(files) - i)
        fresh = Brought.of(file).examples(10 * share, k, Random(f"{seed} {file.name}"))
        made += islice((example for example in fresh if not maker.held.is_near(example.question)), share)
    return made


# The files, and what is said about them.


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
    phrase_with: str = "",
    questions: Sequence[Path] = (),
    read: int = 60,
    agreed: Callable[[str], bool] = lambda line: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """The data set's files in `out`; gives back the card. The judge reads `read` of the examples."""
    maker = Maker(library, exclude, passages, rerank, seed)
    more = brought(questions, round(examples * BROUGHT), maker, passages, seed) if questions else []
    made = maker.make(examples - len(more), progress)
    phrased: dict[str, Any] = {}
    if phrase_with:
        from finetune.phrasing import Phrasing

        phrasing = Phrasing(phrase_with, out, agreed, say)
        made = maker.phrased(made, phrasing)
        phrased = {"by": phrase_with, **phrasing.outcome, **maker.phrasing}
    say(f"the judge reads {min(read, len(made))} of them")
    judged = read_by_judge(made, Assistant(library, rerank=rerank), read, seed)
    made = [*made, *more]
    Random(seed).shuffle(made)
    parts = split(made, eval_share, maker.left_out)
    made_from = {
        "documents": {document.path: document.sha256 for document in library.documents()},
        "embedder": library.meta("embedder"),
        "kept out": {exclude.name: digest(exclude)} if exclude else {},
        "overlap with what is kept out": overlap(made, maker.held) if exclude else {},
        "questions from": {file.name: digest(file) for file in questions},
        "left out": dict(maker.left_out.most_common()),
        "phrased": phrased,
        "read by the judge": judged,
        "settings": {
            "examples": examples,
            "passages": passages,
            "eval_share": eval_share,
            "rerank": rerank,
            "seed": seed,
        },
    }
    return write_dataset(parts, out, made_from)


def overlap(made: Sequence[Example], held: Held) -> dict[str, int]:
    """Counted on what is written down, not on what was meant."""
    return {
        "near copies of its questions": sum(held.is_near(example.question) for example in made),
        "answers on its evidence": sum(held.holds(example.places) for example in made),
    }


def read_by_judge(made: Sequence[Example], guide: Assistant, n: int, seed: int) -> dict[str, Any]:
    """What the product itself, which saw none of the answers, makes of a sample: asked as a user would ask."""
    plain = [example for example in made if example.kind not in DERIVED]
    sample = Random(seed).sample(plain, min(n, len(plain)))
    asked = cited = refused_too = refusals = 0
    for example in sample:
        request, verdict = guide.prepare(example.request.question)
        if not example.places:
            refusals += 1
            refused_too += not verdict.answerable
            continue
        asked += verdict.answerable
        chances = [(chance, p, u) for p, row in enumerate(request.evidence) for u, chance in enumerate(row)]
        _, p, u = max(chances, default=(0.0, -1, -1))
        best = request.passages[p] if p >= 0 else None
        cited += best is not None and any(_is_unit(best, u, place) for place in example.places)
    return {
        "answers read": len(sample) - refusals,
        "it would answer": asked,
        "it cites its likeliest unit too": cited,
        "refusals read": refusals,
        "it would refuse": refused_too,
    }


def _is_unit(passage: Passage, unit: int, place: Place) -> bool:
    return bool(passage.units) and _place(passage, passage.units[unit]) == place


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
