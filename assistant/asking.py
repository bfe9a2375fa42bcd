"""`footnote ask`: the answer as it is written, its footnotes below, guide → section → quote."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import TYPE_CHECKING

from assistant.plain import neutralise

if TYPE_CHECKING:
    from assistant.answer import Assistant, Event
    from assistant.records import Answer, Footnote, Sentence

_WORDS = {"not_in_guides": "Not in the guides.", "refused": "The model refused to answer.", "failed": "Not answered."}
QUOTE_CHARACTERS = 300  # of one quote that are shown


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("question", help="the question, or - to read it from standard input")
    add(
        "--model",
        default="quotes",
        help="quotes, claude, claude:NAME, llama:PATH or a chat server's URL (default: quotes)",
    )
    add(
        "--history",
        action="append",
        default=[],
        metavar="QUESTION",
        help="an earlier question (repeatable, oldest first)",
    )
    add("--no-rerank", action="store_true", help="do without the reranker")
    add("--explain", action="store_true", help="show what the writer would see, and ask it nothing")
    add("--log", metavar="FILE", help="add the question and how it went to this local file")
    add("--json", action="store_true", help="the answer as one JSON document")
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    from assistant.answer import Assistant
    from assistant.commands import put_json, question, say
    from assistant.records import Answer
    from ingest.errors import FootnoteError
    from ingest.library import Library

    asked = question(args)
    if not asked:
        raise FootnoteError('the question is empty: ask one, as in `footnote ask "What is overfitting?"`')
    guide = Assistant(Library(args.library, say), args.model, rerank=not args.no_rerank)
    if args.explain:
        explain(guide, asked, args.history)
        return 0
    if args.json:
        answer = guide.ask(asked, args.history)
        put_json(answer.to_json())
    else:
        answer = Printer().show(guide.stream(asked, args.history))
    if args.log:
        from pathlib import Path

        from assistant.evaluation.log import log_answer

        log_answer(Path(args.log), answer)
    assert isinstance(answer, Answer)
    if answer.status in ("failed", "refused") and answer.detail:
        say(f"footnote: {neutralise(answer.detail)}")
    return 1 if answer.status in ("failed", "refused") else 0


class Printer:
    """An answer on a terminal or in a file: wrapped to the width, coloured only on a terminal."""

    def __init__(self) -> None:
        self.width = min(shutil.get_terminal_size((100, 24)).columns, 100)
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.notes: dict[Footnote, int] = {}
        self._column = 0
        self._block = False  # whether the sentence before is a line of its own

    def show(self, events: Iterable[Event]) -> Answer:
        from assistant.records import Answer, Passages, Proved

        answer: Answer | None = None
        for event in events:
            if isinstance(event, Passages):
                understood = event.understood
            elif isinstance(event, Proved):
                self._sentence(event.sentence)
            elif isinstance(event, Answer):
                answer = event
        assert answer is not None
        if understood != answer.question and answer.status == "answered":
            self._line(self._dim(f"\n\nUnderstood as: {neutralise(understood)}"))
        self._end(answer)
        return answer

    def _sentence(self, sentence: Sentence) -> None:
        from assistant.records import is_block

        marks = "".join(f"[{self.notes.setdefault(note, len(self.notes) + 1)}]" for note in sentence.footnotes)
        if not sentence.supported:
            marks += f" (not supported: {sentence.why})"
        text = neutralise(sentence.text)
        block, after_block, self._block = is_block(text), self._block, is_block(text)
        if text.startswith("```"):
            self._write("\n" * (self._column > 0) + text + "\n" + (self._dim(marks) + "\n" if marks else ""))
            self._column = 0
            return
        if block or after_block:
            self._write("\n" * ((self._column > 0) + (after_block and not block)))
            self._column = 0
        for word in [*text.split(" "), *([marks] if marks else [])]:
            if self._column and self._column + 1 + len(word) > self.width:
                self._write("\n")
                self._column = 0
            glue = " " if self._column and word != marks else ""
            self._write(glue + (self._dim(word) if word == marks else word))
            self._column += len(glue) + len(word)

    def _end(self, answer: Answer) -> None:
        if answer.status != "answered":
            self._line(("\n" if self._column else "") + self._bold(_WORDS[answer.status]))
            if answer.status == "not_in_guides":
                self._line(textwrap.fill(neutralise(answer.detail), self.width))
            self._headings(answer)
        elif answer.detail:
            self._line("\n\n" + textwrap.fill(neutralise(answer.detail), self.width))
        if self.notes:
            self._line("\n")
        for note, number in self.notes.items():
            where = neutralise(note.place)
            self._line(f"{self._bold(f'[{number}]')} {where}  {self._dim(f'{note.document} {note.start}–{note.end}')}")
            quote = textwrap.shorten(neutralise(note.quote), QUOTE_CHARACTERS, placeholder=" …")
            self._line(textwrap.indent(textwrap.fill(f"“{quote}”", self.width - 4), "    "))

    def _headings(self, answer: Answer) -> None:
        from assistant.records import place

        nearest = dict.fromkeys(place(p.title, p.section) for p in answer.passages[:4])
        if nearest:
            self._line("The nearest to read instead:")
        for where in nearest:
            self._line("  " + neutralise(where))

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _line(self, text: str) -> None:
        self._write(text + "\n")
        self._column = 0

    def _bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self.colour else text

    def _dim(self, text: str) -> str:
        return f"\033[2m{text}\033[0m" if self.colour else text


def explain(guide: Assistant, question: str, history: list[str]) -> None:
    """The passages in order with their scores, the decision, and the prompt byte for byte."""
    request, verdict = guide.prepare(question, history)
    out = [f"Understood as: {request.question}", f"Chance that the guides hold the answer: {verdict.chance:.2f}"]
    out.append("It would be answered." if verdict.answerable else f"It would not be answered: {verdict.reason}")
    for number, p in enumerate(request.passages, 1):
        out.append(f"\nPassage {number}, score {p.score:.2f}: {p.document} {p.start}–{p.end} ({p.section})")
        chances = request.evidence[number - 1] if request.evidence else [0.0] * len(p.units)
        for i, (unit, chance) in enumerate(zip(p.units, chances, strict=True), 1):
            out.append(f"  [{number}.{i}] {chance:.2f} {p.text[unit.start - p.start : unit.end - p.start]}")
    prompt = getattr(guide.writer, "prompt", None)
    out.append(
        "\nPrompt:\n" + prompt(request)
        if prompt
        else "\nThe quoting writer has no prompt: it chooses among these units."
    )
    print(neutralise("\n".join(out)))
