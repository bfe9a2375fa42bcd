"""What one prediction is worth, from the prediction alone. NaN where a measure does not apply to the question."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from assistant.evaluation.metrics import HITS, WITHIN
from assistant.evaluation.predictions import Prediction
from assistant.evaluation.questions import Evidence, Question
from assistant.records import Answer, Footnote
from assistant.retrieve import Passage

NAN = math.nan
DEEP = 10  # how far down MRR and nDCG look

Measures = Mapping[str, float]
Span = tuple[str, int, int]


def measure(prediction: Prediction) -> dict[str, float]:
    """All measures of one prediction."""
    measures = _retrieval(prediction.question, prediction.retrieved)
    if prediction.answer is not None and not prediction.failed:
        measures |= _answer(prediction, prediction.answer)
        measures |= _decision(prediction)
        measures |= _cost(prediction, prediction.answer)
    return measures


def cause(prediction: Prediction, measures: Measures) -> str:
    """Why an answer is not what it should be, in a few words; empty where it is."""
    question, answer = prediction.question, prediction.answer
    if answer is None or prediction.failed:
        return "failed" if prediction.failed else ""
    if not question.answerable:
        return "false answer" if prediction.answered else ""
    if right(measures):
        return ""
    there = _are_in(question, answer.passages)
    if not prediction.answered:
        return "found, not answered" if there else "not found, not answered"
    return "found, not in the answer" if there else "not found"


def _are_in(question: Question, passages: Sequence[Passage]) -> bool:
    """Whether the passages hold all the facts or all the evidence."""
    if question.facts and facts_in("\n".join(p.text for p in passages), question.facts) == 1.0:
        return True
    return bool(question.evidence) and all(first_rank(piece, passages) for piece in pieces(question))


def right(measures: Measures) -> bool:
    """All facts in the answer; where a question has none, all its evidence cited."""
    recalled = measures.get("all_facts", NAN)
    return (measures.get("footnote_recall", NAN) if recalled != recalled else recalled) == 1.0


def _retrieval(question: Question, passages: Sequence[Passage]) -> dict[str, float]:
    if not question.answerable:
        return {}
    found: dict[str, float] = {}
    if question.facts:
        text = "\n".join(passage.text for passage in passages)
        for n in WITHIN:
            found[f"facts_{n}"] = facts_in(text[:n], question.facts)
            found[f"all_facts_{n}"] = float(found[f"facts_{n}"] == 1.0)
    if question.evidence:
        if any(not evidence.quote for evidence in question.evidence):
            passages = _one_a_document(passages)
        ranks = [first_rank(piece, passages) for piece in pieces(question)]
        first = min(filter(None, ranks), default=0)
        found |= {f"hit_{n}": float(0 < first <= n) for n in HITS}
        found["mrr"] = 1 / first if 0 < first <= DEEP else 0.0
        found["ndcg_10"] = ndcg(ranks)
    return found


def _one_a_document(passages: Sequence[Passage]) -> list[Passage]:
    """The best passage of each document, where documents as a whole are looked for."""
    return list({passage.document: passage for passage in reversed(passages)}.values())[::-1]


def pieces(question: Question) -> list[list[Evidence]]:
    """What has to be found, each with the quotes that serve as well: those that hold the facts that it holds."""

    def held(evidence: Evidence) -> set[str]:
        return {fact for fact in question.facts if _pattern(fact).search(evidence.quote)}

    return [
        [evidence, *(other for other in question.also if held(evidence) and held(evidence) <= held(other))]
        for evidence in question.evidence
    ]


def first_rank(piece: Sequence[Evidence], passages: Sequence[Passage]) -> int:
    """The rank of the first passage that covers a piece of evidence, from 1; 0 if none does."""
    for rank, passage in enumerate(passages, 1):
        if any(covers(passage, evidence) for evidence in piece):
            return rank
    return 0


def covers(passage: Passage, evidence: Evidence) -> bool:
    """Whether a passage, or a copy that was folded into it, holds the evidence."""
    places = [(passage.document, passage.start, passage.end), *passage.also]
    return any(overlap(place, (evidence.document, evidence.start, evidence.end)) for place in places)


def overlap(one: Span, other: Span) -> bool:
    """Whether two spans share at least half of the shorter one."""
    if one[0] != other[0] or min(one[1], other[1]) < 0:
        return False
    shared = min(one[2], other[2]) - max(one[1], other[1])
    return shared > 0 and 2 * shared >= min(one[2] - one[1], other[2] - other[1])


def ndcg(ranks: Sequence[int]) -> float:
    """nDCG@10 of pieces of evidence by their ranks. A passage with two of them counts as two passages in a row."""
    found = sorted(filter(None, ranks))
    placed = [max(rank, i) for i, rank in enumerate(found, 1)]
    ideal = sum(1 / math.log2(i + 1) for i in range(1, min(len(ranks), DEEP) + 1))
    return sum(1 / math.log2(rank + 1) for rank in placed if rank <= DEEP) / ideal


def _answer(prediction: Prediction, answer: Answer) -> dict[str, float]:
    question = prediction.question
    text = answer.text if prediction.answered else ""
    notes = answer.footnotes if prediction.answered else []
    found: dict[str, float] = {}
    if question.answerable and question.facts:
        found["facts_in_text"] = facts_in(text, question.facts)
        found["facts_recalled"] = facts_in("\n".join([text, *(note.quote for note in notes)]), question.facts)
        found["all_facts"] = float(found["facts_recalled"] == 1.0)
        if question.conflict:
            found["conflicts_shown"] = found["all_facts"]
    if question.answerable and question.evidence:
        found["footnote_recall"] = _share([_cited(piece, notes) for piece in pieces(question)])
        if notes:
            wanted = [*question.evidence, *question.also]
            found["footnote_precision"] = _share([any(_on(note, one) for one in wanted) for note in notes])
    found["invalid_footnotes"] = float(prediction.invalid)
    if prediction.answered:
        found["sentences_supported"] = _share([sentence.supported for sentence in answer.sentences])
        found["sentences"] = float(len(answer.sentences))
        found["words"] = float(len(text.split()))
    return found


def _cited(piece: Sequence[Evidence], notes: Sequence[Footnote]) -> bool:
    return any(_on(note, evidence) for note in notes for evidence in piece)


def _on(note: Footnote, evidence: Evidence) -> bool:
    return overlap((note.document, note.start, note.end), (evidence.document, evidence.start, evidence.end))


def _decision(prediction: Prediction) -> dict[str, float]:
    answered = float(prediction.answered)
    if prediction.question.answerable:
        return {"false_refusals": 1 - answered}
    return {"false_answers": answered} | ({"false_answers_near": answered} if prediction.question.near else {})


def _cost(prediction: Prediction, answer: Answer) -> dict[str, float]:
    counted = ("input_tokens", "output_tokens", "tokens_per_second", "dollars")
    found = {name: float(answer.usage[name]) for name in counted if name in answer.usage}
    if "total" in answer.seconds:
        found["total"] = float(answer.seconds["total"])
    if prediction.first_word is not None:
        found["first_word"] = prediction.first_word
    return found


def facts_in(text: str, facts: Sequence[str]) -> float:
    """The share of the facts that a text holds."""
    return _share([_pattern(fact).search(text) is not None for fact in facts])


def _share(holds: Sequence[bool]) -> float:
    return sum(holds) / len(holds) if holds else NAN


@lru_cache(maxsize=4096)
def _pattern(fact: str) -> re.Pattern[str]:
    return re.compile(fact, re.IGNORECASE)
