"""What a run is going to cost, before it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assistant.evaluation.questions import Question
from assistant.writers import Cite, Request, Stop, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assistant.answer import Assistant
    from assistant.writers.claude import Claude

SAMPLE = 8  # questions whose prompts are made to see how long they are
CHARACTERS_A_TOKEN = 3.5
OUTPUT_TOKENS = 400  # of an answer with its thinking; a guess, to be on the safe side
BATCH = 0.5  # the share of the price that message batches cost


class Collector:
    """A writer that keeps what it was asked, in order, and writes nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[Request] = []

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        self.requests.append(request)
        yield Stop("cancelled")


def estimate(assistant: Assistant, model: str, questions: Sequence[Question], *, batch: bool = False) -> float:
    """Dollars for these questions, from the prompts of a few of them; 0 for what costs nothing or nobody knows what."""
    if not questions or not is_claude(model):
        return 0.0
    from assistant.writers.claude import Claude, dollars

    writer = assistant.writer
    assert isinstance(writer, Claude)
    sample = questions[:: max(1, len(questions) // SAMPLE)][:SAMPLE]
    requests = collect(assistant, model, sample)
    tokens = sum(len(_prompt(writer, request)) for request in requests) / CHARACTERS_A_TOKEN
    usage: dict[str, int | float] = {"input_tokens": tokens / len(sample), "output_tokens": OUTPUT_TOKENS}
    each = dollars(usage, writer.model) or 0.0
    return each * len(questions) * len(requests) / len(sample) * (BATCH if batch else 1.0)


def collect(assistant: Assistant, model: str, questions: Sequence[Question]) -> list[Request]:
    """What the writer would be asked; nothing for a question that is refused before."""
    from assistant.answer import Assistant

    collector = Collector(model)
    asking = Assistant(assistant.library, collector)
    asking.retriever = assistant.retriever
    for question in questions:
        asking.ask(question.question, question.history)
    return collector.requests


def is_claude(model: str) -> bool:
    return model.split(":")[0] == "claude"


def _prompt(writer: Claude, request: Request) -> str:
    return writer.prompt(request)
