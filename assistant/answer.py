"""`Assistant`: a question becomes passages, a writer's words, proved sentences, and an `Answer`.

from assistant import Assistant
with Assistant("library") as guide:
    answer = guide.ask("Why does dropout help?")
    for event in guide.stream("And when not?", history=[answer]): ...
"""

from __future__ import annotations

import shlex
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from assistant.asked import Understood, besides, understand
from assistant.footnotes import Draft
from assistant.helps import mended, near_questions, other_language
from assistant.judge import Evidence, Remembered, Verdict, decide, unit_features, weigh
from assistant.prompts import begins_near
from assistant.records import (
    QUESTION_CHARACTERS,
    Answer,
    Cite,
    Footnote,
    Part,
    Passage,
    Passages,
    Proved,
    Request,
    Sentence,
    Status,
    Stop,
    Text,
    Turn,
    Writer,
    Written,
    as_json,
)
from assistant.retrieve import Found, Retriever, open_embedder
from assistant.summary import Told, asked_for, summary
from assistant.writers.quotes import untold
from ingest.errors import FootnoteError, LibraryError, WriterError
from ingest.library import Library
from ingest.writing import mend_beside

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import Runnable


# Earlier turns, oldest first: answers, questions alone, LangChain's messages; a string is one question.
History = Sequence["Answer | Turn | str | BaseMessage"] | str
Names = Sequence[str] | str  # of documents or kinds; a string alone is one
Event = Passages | Written | Proved | Answer

PASSAGES = 8  # that a writer is given
OF_A_PART = 2  # of them that are found for a part of the question
TURNS = 100  # of a conversation that are looked at


Words = TypeVar("Words", Passage, Footnote)


class Assistant:
    """Answers from one library. One instance serves many threads and users; it remembers nothing between calls."""

    def __init__(
        self, library: str | Path | Library = "library", model: str | Writer = "quotes", *, rerank: bool = True
    ) -> None:
        self.library = library if isinstance(library, Library) else Library(library, troubled=mend_beside)
        self.retriever = Retriever(self.library, rerank=rerank)
        self._plain = Retriever(self.library, rerank=False)
        self._model = model

    @property
    def writer(self) -> Writer:
        """The writer, made when it is first needed, so that a missing key spoils no search."""
        if isinstance(self._model, str):
            from assistant.writers import writer

            self._model = writer(self._model)
        return self._model

    def __enter__(self) -> Assistant:
        return self

    def __exit__(self, *raised: object) -> None:
        self.library.close()

    def search(
        self, question: str, k: int = 10, history: History = (), *, documents: Names = (), kinds: Names = ()
    ) -> list[Passage]:
        """The best passages, best first; `documents` (paths, folders, glob patterns) and `kinds` narrow the search."""
        self._check_that_something_is_in()
        found = self.retriever.search(
            _short(question), k, _questions(history), documents=_several(documents), kinds=_several(kinds)
        )
        return list(self._placed(found))

    def ask(self, question: str, history: History = (), *, documents: Names = ()) -> Answer:
        answer: Answer | None = None
        for event in self.stream(question, history, documents=documents):
            if isinstance(event, Answer):
                answer = event
        assert answer is not None  # stream always ends with one
        return answer

    def stream(self, question: str, history: History = (), *, documents: Names = ()) -> Iterator[Event]:
        """Passages first, then text as it is written and sentences as they are proved, then the finished `Answer`.

        `documents` (paths, folders, glob patterns) are the only ones that are asked.
        """
        started = time.perf_counter()
        request, verdict = self.prepare(question, history, documents=documents)
        retrieved = time.perf_counter()
        answer = Answer(
            question, "answered", passages=request.passages, model=self._name(), understood=request.question
        )
        yield Passages(request.passages, request.question, nearest=verdict.answerable and not verdict.sure)
        if verdict.answerable:
            answer = yield from self._write(answer, request)
            if answer.status == "answered" and not verdict.sure:
                answer = replace(answer, status="nearest")
        else:
            answer = replace(answer, status="not_in_guides", detail=verdict.reason + self._excuses(documents))
        if answer.status in ("nearest", "not_in_guides") and (told := other_language(self.library, question)):
            answer = replace(answer, detail=f"{answer.detail} {told}".strip())
        ended = time.perf_counter()
        seconds = {"retrieve": retrieved - started, "write": ended - retrieved, "total": ended - started}
        yield replace(answer, seconds={name: round(value, 4) for name, value in seconds.items()})

    async def aask(self, question: str, history: History = (), *, documents: Names = ()) -> Answer:
        events = self.astream(question, history, documents=documents)
        return [event async for event in events if isinstance(event, Answer)][-1]

    async def astream(self, question: str, history: History = (), *, documents: Names = ()) -> AsyncIterator[Event]:
        """As `stream`, worked out in a thread of its own, so that nothing else waits."""
        import asyncio

        events = self.stream(question, history, documents=documents)
        loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1)
        try:
            while (event := await loop.run_in_executor(thread, next, events, None)) is not None:
                yield event
        finally:
            thread.submit(getattr(events, "close", lambda: None))  # whoever left early leaves no model at work
            thread.shutdown(wait=False)

    def prepare(self, question: str, history: History = (), *, documents: Names = ()) -> tuple[Request, Verdict]:
        """All that a writer is given, and whether it is asked at all. A word that no guide has is taken for the one
        that was meant, where that is clear and finds more."""
        self._check_that_something_is_in()
        question, among = _short(question), _several(documents)
        if document := asked_for(question, self.library, among):
            return summary(self.library, document, question), Verdict(True, 1.0)
        request, verdict, found = self._prepared(question, history, among)
        unknown = sorted(found.query.unknown)
        if unknown and (meant := mended(self.library, question, unknown)) != question:
            mended_request, better, mended_found = self._prepared(meant, history, among)
            if better.chance > verdict.chance:
                request, verdict, found = mended_request, better, mended_found
        return (self._with_parts(request, found.understood, among) if verdict.answerable else request), verdict

    def _prepared(
        self, question: str, history: History, documents: Sequence[str], retriever: Retriever | None = None
    ) -> tuple[Request, Verdict, Found]:
        found, evidence = self._weighed(understand(question, _questions(history)), PASSAGES, documents, retriever)
        verdict = decide(found, evidence, strict=self._name() == "quotes")
        request = Request(found.understood.text, self._placed(found.passages), _turns(history), evidence.chances)
        return request, verdict, found

    def _weighed(
        self, understood: Understood, k: int, documents: Sequence[str], retriever: Retriever | None = None
    ) -> tuple[Found, Evidence]:
        """The passages for a question, and how likely each of their units is to answer it."""
        among = self.library.select(documents) if documents else None
        found = (retriever or self.retriever).find(understood, k, among)
        return found, weigh(found, unit_features(found, _unit_vectors(self.library.meta("embedder_name"))))

    def _with_parts(self, request: Request, understood: Understood, documents: Sequence[str]) -> Request:
        """What a question asks besides is looked for by itself too; without the reranker, which finds nothing more."""
        looked = [(part.text, *self._weighed(part, OF_A_PART, documents, self._plain)) for part in besides(understood)]
        request = with_parts(request, [(text, found.passages, evidence) for text, found, evidence in looked])
        return replace(request, passages=self._placed(request.passages))

    def near(self, answer: Answer, history: History = (), n: int = 3) -> list[str]:
        """Questions to go on with: near what was asked, and answered by the guides (tried without the reranker,
        which is a fifth of the work)."""
        asked = [answer.question, answer.understood, *(turn.question for turn in _turns(history))]

        def holds(question: str) -> bool:
            _, verdict, _ = self._prepared(question, (), (), self._plain)
            return verdict.answerable and verdict.sure

        return near_questions(self.library, asked, answer.passages, holds, n)

    def as_retriever(
        self, k: int = 10, *, documents: Names = (), kinds: Names = (), history: History = ()
    ) -> BaseRetriever:
        """A LangChain retriever over this library: passages as its documents, all but the text as metadata."""
        from langchain_core.documents import Document
        from langchain_core.retrievers import BaseRetriever

        class GuideRetriever(BaseRetriever):
            search: Callable[[str], list[Passage]]

            def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
                found = [as_json(passage) for passage in self.search(query)]
                return [Document(page_content=p.pop("text"), metadata=p) for p in found]

        def search(question: str) -> list[Passage]:
            return self.search(question, k, history, documents=documents, kinds=kinds)

        return GuideRetriever(search=search)

    def as_runnable(self) -> Runnable[str | dict[str, Any], Event]:
        """A LangChain runnable: a question, or `{"question", "history"}`, in; an `Answer` out.

        `history` may be LangChain's messages. Streamed, it gives what `stream` gives: passages, text, proved sentences
        and at the end the answer, which is what the next part of a chain gets.
        """
        from langchain_core.runnables import RunnableConfig, RunnableGenerator

        def turned(asked: str | dict[str, Any]) -> tuple[str, History]:
            return (asked, ()) if isinstance(asked, str) else (asked["question"], asked.get("history", ()))

        def events(asked: Iterator[str | dict[str, Any]]) -> Iterator[Event]:
            for one in asked:
                yield from self.stream(*turned(one))

        async def aevents(asked: AsyncIterator[str | dict[str, Any]]) -> AsyncIterator[Event]:
            async for one in asked:
                async for event in self.astream(*turned(one)):
                    yield event

        class GuideRunnable(RunnableGenerator[str | dict[str, Any], Event]):
            def invoke(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> Event:  # noqa: A002
                return list(self.stream(input, config, **more))[-1]

            async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> Event:  # noqa: A002
                return [event async for event in self.astream(input, config, **more)][-1]

        return GuideRunnable(events, aevents)

    def _name(self) -> str:
        return self._model if isinstance(self._model, str) else self._model.name

    def _write(self, answer: Answer, request: Request) -> Generator[Event, None, Answer]:
        draft, sentences = Draft(request.passages), list[Sentence]()
        stop = Stop()

        def proved(everything: bool = False) -> Iterator[Proved]:
            for sentence in draft.finished(everything):
                sentences.append(self._with_origins(sentence))
                yield Proved(sentences[-1])

        try:
            writer = Told() if request.told and self._name() == "quotes" else self.writer
            for event in writer.write(request):
                if isinstance(event, Text):
                    draft.add(event.text)
                    yield Written(event.text)
                elif isinstance(event, Cite):
                    draft.cite(event)
                else:
                    stop = event
                yield from proved()
        except WriterError as error:
            stop = Stop("cut", detail=str(error))
        yield from proved(everything=True)
        near = bool(sentences) and begins_near(sentences[0].text)
        if near and len(sentences) > 1 and not sentences[0].footnotes:
            sentences = sentences[1:]  # the status says the phrase
        status, detail = _outcome(stop, sentences)
        if status == "answered":
            detail = " ".join(filter(None, (detail, "" if request.told else untold(request, sentences))))
            status = "nearest" if near else status
        return replace(
            answer, status=status, sentences=tuple(sentences), usage=stop.usage, detail=detail, model=self._name()
        )

    def _placed(self, passages: Sequence[Passage]) -> tuple[Passage, ...]:
        """With their addresses, where their documents were fetched; with how sure it is what was read by OCR."""
        fetched = self.library.origins({p.document for p in passages})
        return tuple(self._with_origin(p, p.document in fetched) for p in passages)

    def _with_origins(self, sentence: Sentence) -> Sentence:
        fetched = self.library.origins({note.document for note in sentence.footnotes})
        notes = [self._with_origin(note, note.document in fetched) for note in sentence.footnotes]
        return replace(sentence, footnotes=tuple(notes))

    def _with_origin(self, words: Words, fetched: bool) -> Words:
        where = words.document, words.start, words.end
        address, sure = self.library.address(*where) if fetched else "", self.library.sure(*where)
        return replace(words, address=address, ocr=sure) if address or sure is not None else words

    def _check_that_something_is_in(self) -> None:
        """A library without a passage holds no answer to anything: that is no "not in the guides"."""
        if self.library.count():
            return
        place, roots = self.library.place, " ".join(map(shlex.quote, self.library.roots()))
        if failed := self.library.failures():
            why = f"none of its {len(failed)} files could be read: `footnote status --library {place}` says why"
        else:
            why = f"nothing was ingested into it yet: `footnote ingest {roots or 'FOLDER'} --library {place}` does it"
        raise LibraryError(f"the library at {place} is empty, {why}")

    def _excuses(self, documents: Names = ()) -> str:
        """What else may be why nothing was found: only some guides were asked, files failed, a folder is newer."""
        from ingest.sync import changes

        failed = self.library.failures()
        news = changes(self.library)
        excuses = []
        if documents and (left := len(self.library.paths()) - len(self.library.paths(_several(documents)))):
            others = "1 other guide was" if left == 1 else f"{left} other guides were"
            excuses.append(f"{others} not asked: the question was limited to some")
        if failed:
            files = failed[0].file if len(failed) == 1 else f"{len(failed)} files ({failed[0].file}…)"
            excuses.append(f"{files} could not be read: `footnote status` says why")
        if stale := len(news.added) + len(news.changed):
            files = "1 file is" if stale == 1 else f"{stale} files are"
            excuses.append(f"{files} newer than the library: `footnote ingest` brings them in")
        return "".join(f" {excuse}." for excuse in excuses)


def _outcome(stop: Stop, sentences: Sequence[Sentence]) -> tuple[Status, str]:
    """How an answer that was written stands."""
    if stop.reason == "refusal":
        return "refused", stop.detail
    if stop.reason in ("cut", "cancelled"):
        return "failed", stop.detail
    if not sentences and stop.reason != "not_in_guides":
        return "failed", stop.detail or "the model's reply was empty: ask again, or choose another with --model"
    if stop.reason == "not_in_guides" or all(s.supported and not s.footnotes for s in sentences):
        return "not_in_guides", stop.detail or "The passages that were found do not answer the question."
    if not any(s.outcome != "not supported" and s.footnotes for s in sentences):
        return "not_in_guides", "What the model wrote is not supported by the guides, so it is not shown as an answer."
    return "answered", stop.detail


@lru_cache(maxsize=2)
def _unit_vectors(name: str) -> Remembered:
    return Remembered(open_embedder(name).embed)


Chances = Sequence[Sequence[float]]


def with_parts(request: Request, looked: Sequence[tuple[str, Sequence[Passage], Evidence]]) -> Request:
    """What was found for the parts of a question takes the places of its last passages."""
    found = [passage for _, passages, _ in looked for passage in passages]
    ranked = [*request.passages[: max(OF_A_PART, PASSAGES - len(found))], *found, *request.passages]
    once = {place: passage for passage in reversed(ranked) for place in [_place(passage)]}
    passages = [once[place] for place in dict.fromkeys(map(_place, ranked))][:PASSAGES]

    def over(of: Sequence[Passage], chances: Chances) -> tuple[tuple[float, ...], ...]:
        known = dict(zip(map(_place, of), chances, strict=True))
        return tuple(tuple(known.get(_place(p), [0.0] * len(p.units))) for p in passages)

    parts = tuple(Part(text, over(of, evidence.chances)) for text, of, evidence in looked)
    own = over(request.passages, request.evidence)
    return replace(request, passages=tuple(passages), evidence=own, parts=parts)


def _place(passage: Passage) -> tuple[str, int]:
    return passage.document, passage.start


# What callers may give in more than one form.


def _several(names: Names) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def _questions(history: History) -> list[str]:
    """What was asked before, from the last question on that was answered on its own."""
    asked = [_short(turn.question) for turn in _turns(history)]
    alone = {one.question for one in history if isinstance(one, Answer) and one.understood == one.question}
    return asked[max((i for i, question in enumerate(asked) if question in alone), default=0) :]


def _short(question: str) -> str:
    if len(question) > QUESTION_CHARACTERS:
        raise FootnoteError(
            f"a question has at most {QUESTION_CHARACTERS:,} characters, this one has {len(question):,}: shorten it"
        )
    return question


def _turns(history: History) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    for one in [history] if isinstance(history, str) else history:
        if isinstance(one, str | Turn | Answer):
            turns.append(_turn(one))
        else:
            _add_message(turns, one)
    return tuple(turns[-TURNS:])


def _turn(one: str | Turn | Answer) -> Turn:
    if isinstance(one, Answer):
        return Turn(one.question, one.text)
    return Turn(one) if isinstance(one, str) else one


def _add_message(turns: list[Turn], message: BaseMessage) -> None:
    """A human's message begins a turn, what an assistant says belongs to it; no other kind is part of the talk."""
    from langchain_core.messages import convert_to_messages

    (message,) = convert_to_messages([message])
    if message.type == "human":
        turns.append(Turn(str(message.text)))
    elif message.type == "ai" and turns:
        turns[-1] = replace(turns[-1], answer=f"{turns[-1].answer}\n{message.text}".strip())
