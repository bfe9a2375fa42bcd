"""What a run is going to cost, before it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assistant.evaluation.questions import Question

if TYPE_CHECKING:
    from assistant.answer import Assistant
    from assistant.writers import Request

SAMPLE = 8  # questions whose prompts are made to see how long they are
CHARACTERS_A_TOKEN = 3.5
OUTPUT_TOKENS = 400  # of an answer with its thinking; a guess, to be on the safe side
BATCH = 0.5  # the share of the price that message batches cost


def estimate(assistant: Assistant, model: str, questions: Sequence[Question], *, batch: bool = False) -> float:
    """Dollars for these questions, from the prompts of a few of them; 0 for what costs nothing or nobody knows what."""
    if not questions or not is_claude(model):
        return 0.0
    from assistant.writers.claude import Claude, dollars

    writer = assistant.writer
    assert isinstance(writer, Claude)
    sample = questions[:: max(1, len(questions) // SAMPLE)][:SAMPLE]
    prompts = [len(writer.prompt(request)) / CHARACTERS_A_TOKEN for _, request in collect(assistant, sample)]
    each = (dollars({"input_tokens": n, "output_tokens": OUTPUT_TOKENS}, writer.model) or 0.0 for n in prompts)
    return sum(each) / len(sample) * len(questions) * (BATCH if batch else 1.0)


def collect(assistant: Assistant, questions: Sequence[Question]) -> list[tuple[Question, Request]]:
    """What the writer would be asked; nothing for a question that is refused before."""
    prepared = ((question, *assistant.prepare(question.question, question.history)) for question in questions)
    return [(question, request) for question, request, verdict in prepared if verdict.answerable]


def is_claude(model: str) -> bool:
    return model.split(":")[0] == "claude"
