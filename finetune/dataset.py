"""Training conversations from a library, by its structure alone: no model is asked, unless `--writer claude` is.

    footnote finetune dataset --library library --out data

Questions come from headings, FAQ, definitions, lists, tables and code; the passages are those that retrieval returns,
in their order; prompts are made by the very functions that serve; every answer is proved before it is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from functools import cached_property
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from assistant.records import Passage
from assistant.retrieve import Retriever, understand
from finetune import ideas
from finetune import ideas as prose
from finetune.ideas import Idea, Place
from finetune.merge import digest, write_dataset
from finetune.phrasing import Example, answered, refused
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
    "table": 14, "which": 6, "row": 5, "column": 4, "definition": 10, "heading": 10, "faq": 3, "list": 6, "code": 9,
    "compare": 6, "follow": 9, "conflict": 5, "planted": 4, "missing": 8, "elsewhere": 1,
}  # fmt: skip  # in percent; a kind that the guides have too little of leaves its room to the others
DERIVED = ("conflict", "planted", "missing")  # made from an idea that was asked plainly already
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
        """The plain ones in other words, where those can be asked, found and proved as well; else as they are."""
        at = {(example.kind, example.question): i for i, example in enumerate(made)}
        for (idea, _), fresh in zip(self._kept, phrase(self._kept), strict=True):
            if fresh is not None and (idea.kind, idea.question) in at and self._may_ask(fresh):
                example = answered(fresh, self._find(fresh)[: self._passages])
                if example:
                    made[at[idea.kind, idea.question]] = example
                else:
                    self.left_out["phrased, but not found or not proved"] += 1
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
            for chunk, after in zip(self.chunks, [*self.chunks[1:], None], strict=True):
                found += prose.prose_ideas(chunk, after, random)
                found += (idea for idea in ideas.table_ideas(chunk, random) if not taken.intersection(idea.places))
            found += (Idea("elsewhere", question, (), (("", question),)) for question in ideas.ELSEWHERE)
            self._all_ideas[turn] = [self._as_typed(idea, random) for idea in found]
        return self._all_ideas[turn]

    def _as_typed(self, idea: Idea, random: Random) -> Idea:
        """Now and then without capitals and question mark, as people type."""
        if random.random() < 0.7:
            return idea
        return replace(idea, question=idea.question.lower().rstrip("?."))

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
        make = {"missing": self._missing, "planted": self._planted, "conflict": self._conflict}[kind]
        for idea, found in random.sample(self._kept, len(self._kept)):
            if example := make(idea, found, random):
                yield example

    def _missing(self, idea: Idea, found: list[Passage], random: Random) -> Example | None:
        """Without the passages that answer; only where no other passage might."""
        if idea.kind not in ("table", "which", "row", "follow", "code"):
            return None
        rest = [p for p in found if not _holds(p, idea)][: self._passages]
        sought = set(content_terms(" ".join([idea.question, *(line.text for line in idea.lines)])))
        shares = [len(sought & set(content_terms(f"{p.section} {p.header} {p.text}"))) / len(sought) for p in rest]
        if len(rest) < self._passages or max(shares) > ANSWERED_ELSEWHERE:
            return None
        if random.random() < PLANTED_WHERE_MISSING:
            rest[0] = ideas.with_order(rest[0], random)
        return refused(idea, rest)

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
