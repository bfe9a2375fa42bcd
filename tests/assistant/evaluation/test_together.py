from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from assistant.answer import Assistant
from assistant.evaluation import predictions, questions
from assistant.evaluation.generate import generate, predictor
from assistant.evaluation.predictions import Log, Prediction
from assistant.evaluation.together import generate_together
from assistant.writers import Cite, Request, Stop, Text

Said = list[Text | Cite | Stop]


class Parrot:
    """A writer that says the first unit of the first passage, one request at a time or many."""

    name = "parrot"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        yield from self.write_batch([request])[0]

    def write_batch(self, requests: Sequence[Request]) -> list[Said]:
        self.sizes.append(len(requests))
        return [[Text(self.first(r)), Cite(((0, 0),)), Stop(usage={"output_tokens": 9})] for r in requests]

    def first(self, request: Request) -> str:
        passage = request.passages[0]
        unit = passage.units[0]
        return passage.text[unit.start - passage.start : unit.end - passage.start]


def outcome(prediction: Prediction) -> tuple[object, ...]:
    said = prediction.answer
    assert said is not None
    return prediction.key, said.status, said.sentences, said.usage, prediction.retrieved, prediction.invalid


def test_written_together_answers_are_those_written_one_by_one(
    small_library: Path, small_questions: Path, tmp_path: Path
) -> None:
    parrot = Parrot()
    assistant = Assistant(small_library, parrot, rerank=False)
    library = assistant.library
    asked, _ = questions.place(questions.read(small_questions), [d.path for d in library.documents()], library.text)
    found = []
    for name in ("alone", "together"):
        log = Log(tmp_path / name)
        if name == "alone":
            generate(predictor(assistant, "parrot"), "parrot", asked, log)
            parrot.sizes.clear()
        else:
            result = generate_together(assistant, parrot, "parrot", asked, log, size=3)
            assert (result.asked, result.failed) == (8, 0)
        log.close()
        found.append([outcome(p) for p in predictions.read(tmp_path / name)])
    assert found[0] == found[1]
    assert sum(parrot.sizes) == sum(bool(p[2]) for p in found[0]) >= 1
    assert max(parrot.sizes) <= 3
    assert all(p.answer and p.answer.seconds == {} for p in predictions.read(tmp_path / "together"))
