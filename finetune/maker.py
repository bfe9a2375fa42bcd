"""Pulls ideas through leakage, retrieval and proof until there are enough training conversations of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from random import Random

from assistant.followups import understand
from assistant.retrieve import Passage, Retriever
from finetune import ideas as prose
from finetune import pairs, planted, tables
from finetune.examples import Example, answered, refused
from finetune.ideas import Idea
from finetune.leakage import Held, held
from ingest.errors import FootnoteError
from ingest.library import Library
from ingest.words import content_terms

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
            differing, taken = pairs.differing([row for chunk in self.chunks for row in tables.rows(chunk)])
            found = [*differing, *pairs.comparisons(pairs.definitions(self.chunks), random)]
            found += pairs.under_one_heading(self.chunks, random)
            for chunk, after in zip(self.chunks, [*self.chunks[1:], None], strict=True):
                found += prose.ideas(chunk, after, random)
                found += (idea for idea in tables.ideas(chunk, random) if not taken.intersection(idea.places))
            found += (Idea("elsewhere", question, (), (("", question),)) for question in planted.ELSEWHERE)
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
            rest[0] = planted.with_order(rest[0], random)
        return refused(idea, rest)

    def _planted(self, idea: Idea, found: list[Passage], random: Random) -> Example | None:
        shown = found[: self._passages]
        at = random.randrange(len(shown))
        shown[at] = planted.with_order(shown[at], random)
        return answered(idea, shown, "planted") if idea.lines else None

    def _conflict(self, idea: Idea, found: list[Passage], random: Random) -> Example | None:
        """With a made-up guide that has another figure: both are given."""
        gold = next((p for p in found[: self._passages] if idea.figure and _holds(p, idea)), None)
        made = pairs.rival(idea, gold, random) if gold else None
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
