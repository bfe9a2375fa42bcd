from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

import assistant
from assistant import Answer, Assistant, FootnoteError
from assistant.answer import PASSAGES
from assistant.prompts import NOT_OUTRIGHT
from assistant.records import Cite, Passages, Proved, Request, Stop, Text, Written
from ingest.errors import WriterError
from ingest.library import create
from ingest.sync import sync
from tests.fakes import run
from tests.ingest.readers.test_pdf import PAPER, fake_engine, saying, scanned, with_scans

ASKED = "Who coined the term machine learning?"


class Saying:
    """A writer that says what it is told to, and remembers what it was asked."""

    name = "saying"

    def __init__(self, *events: Text | Cite | Stop | WriterError) -> None:
        self.events = events
        self.requests: list[Request] = []

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        self.requests.append(request)
        for event in self.events:
            if isinstance(event, WriterError):
                raise event
            yield event


def asked(library: Path, *events: Text | Cite | Stop | WriterError, question: str = ASKED) -> Answer:
    return Assistant(library, Saying(*events)).ask(question)


def quoting(library: Path, question: str = ASKED) -> Sequence[Text | Cite | Stop]:
    """What a faithful model would write: the first sentence of the first passage."""
    passage = Assistant(library).search(question)[0]
    unit = passage.units[0]
    return Text(passage.text[unit.start - passage.start : unit.end - passage.start]), Cite(((0, 0),)), Stop()


def test_passages_come_first_then_text_then_proved_sentences_then_the_answer(corpus_library: Path) -> None:
    events = list(Assistant(corpus_library).stream(ASKED))
    kinds = [type(event) for event in events]
    assert kinds[0] is Passages
    assert kinds[-1] is Answer
    assert kinds.index(Written) < kinds.index(Proved)
    assert "Arthur Samuel" in events[-1].text  # type: ignore[union-attr]


def test_a_footnote_on_words_read_from_a_picture_says_so_and_how_sure_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_engine(tmp_path, monkeypatch, saying(("Sourdough rises because wild yeast lives in it.", 93)))
    (tmp_path / "bread.pdf").write_bytes(with_scans(scanned(), text=PAPER))
    assert not sync([tmp_path / "bread.pdf"], tmp_path / "library").failed
    for question, ocr in (("Why does sourdough rise?", 93), ("What are decision trees?", None)):
        writes = quoting(tmp_path / "library", question)
        answer = asked(tmp_path / "library", *writes, question=question)
        [note] = answer.footnotes
        assert (note.ocr, answer.passages[0].ocr) == (ocr, ocr)
        assert note.place.endswith(", page 4, read by OCR, 93 % sure" if ocr else ", page 1")
        written = json.loads(json.dumps(answer.to_json()))
        assert ("ocr" in written["sentences"][0]["footnotes"][0]) == ("ocr" in written["passages"][0]) == bool(ocr)
        assert Answer.from_json(written) == answer


def test_the_answer_quotes_its_documents_to_the_character(corpus_library: Path) -> None:
    guide = Assistant(corpus_library)
    answer = guide.ask(ASKED)
    assert answer.status == "answered"
    assert answer.footnotes
    for note in answer.footnotes:
        assert guide.library.text(note.document)[note.start : note.end] == note.quote


def test_what_is_not_in_the_guides_is_not_answered_and_no_model_is_asked(corpus_library: Path) -> None:
    writer = Saying(Text("Mix flour and water."), Stop())
    answer = Assistant(corpus_library, writer).ask("What is the best recipe for a sourdough bread?")
    assert answer.status == "not_in_guides"
    assert answer.text == ""
    assert answer.passages  # the nearest, to read instead
    assert writer.requests == []


def test_a_model_that_says_it_is_not_in_the_guides_is_believed(corpus_library: Path) -> None:
    assert asked(corpus_library, Stop("not_in_guides")).status == "not_in_guides"


def test_an_answer_of_which_nothing_is_supported_is_not_shown_as_one_but_kept(corpus_library: Path) -> None:
    answer = asked(corpus_library, Text("It was Napoleon in 1812."), Cite(((0, 0),)), Stop())
    assert answer.status == "not_in_guides"
    assert answer.text == ""
    assert [s.supported for s in answer.sentences] == [False]


@pytest.mark.parametrize("events", [(Stop(),), (Text("  \n"), Stop()), (Text(""), Stop("max_tokens")), ()])
def test_an_empty_reply_is_a_failure_and_no_word_on_the_guides(
    corpus_library: Path, events: Sequence[Text | Stop]
) -> None:
    answer = asked(corpus_library, *events)
    assert answer.status == "failed"
    assert "reply was empty" in answer.detail


def test_a_sentence_that_says_what_the_guides_do_not_say_is_no_unsupported_answer(corpus_library: Path) -> None:
    answer = asked(corpus_library, Text("The guides do not say what it costs in Peru."), Stop())
    assert answer.status == "not_in_guides"
    assert "not supported" not in answer.detail


LONG = "w " * 2000 + "?"


@pytest.mark.parametrize("way", ["search", "ask", "stream", "retriever", "runnable", "history", "answers"])
def test_a_question_of_more_than_four_thousand_characters_is_refused_in_one_line(
    corpus_library: Path, way: str
) -> None:
    guide = Assistant(corpus_library)
    ways: dict[str, Callable[[], object]] = {
        "search": lambda: guide.search(LONG),
        "ask": lambda: guide.ask(LONG),
        "stream": lambda: list(guide.stream(LONG)),
        "retriever": lambda: guide.as_retriever().invoke(LONG),
        "runnable": lambda: guide.as_runnable().invoke(LONG),
        "history": lambda: guide.search("And why?", history=[LONG, "What is PCA?"]),
        "answers": lambda: guide.ask("And why?", history=[Answer(LONG, "failed"), "What is PCA?"]),
    }
    with pytest.raises(FootnoteError, match=r"^a question has at most 4,000 characters, this one has 4,001: .*$"):
        ways[way]()
    assert guide.search(LONG[:4000])


def test_phrases_that_only_lead_over_make_no_answer(corpus_library: Path) -> None:
    assert asked(corpus_library, Text("Here is what the guides say:"), Stop()).status == "not_in_guides"


def test_a_model_may_say_that_the_guides_only_come_near(corpus_library: Path) -> None:
    text, *rest = quoting(corpus_library)
    assert isinstance(text, Text)
    answer = asked(corpus_library, Text(f"{NOT_OUTRIGHT} {text.text}"), *rest)
    assert answer.status == "nearest"
    assert [s.text for s in answer.sentences] == [text.text.strip()]
    assert asked(corpus_library, Text(NOT_OUTRIGHT), Stop()).status == "not_in_guides"


def test_an_unsupported_sentence_stays_beside_supported_ones_and_is_marked(corpus_library: Path) -> None:
    said = quoting(corpus_library)
    answer = asked(corpus_library, *said[:2], Text(" It cost him $900 in Paris."), Stop())
    assert answer.status == "answered"
    assert [s.supported for s in answer.sentences] == [True, False]


@pytest.mark.parametrize(
    ("reason", "status"),
    [("refusal", "refused"), ("cut", "failed"), ("cancelled", "failed"), ("max_tokens", "answered")],
)
def test_each_way_to_stop_has_its_status_and_keeps_what_was_written(
    corpus_library: Path, reason: str, status: str
) -> None:
    said = quoting(corpus_library)
    answer = asked(corpus_library, *said[:2], Stop(reason, detail="one line"))  # type: ignore[arg-type]
    assert answer.status == status
    assert "one line" in answer.detail
    assert answer.sentences
    assert answer.passages


def test_a_writer_that_cannot_begin_fails_with_its_line_and_the_passages_are_there(corpus_library: Path) -> None:
    answer = asked(corpus_library, WriterError("no key: export ANTHROPIC_API_KEY=…"))
    assert answer.status == "failed"
    assert answer.detail == "no key: export ANTHROPIC_API_KEY=…"
    assert answer.passages


def test_a_follow_up_is_answered_as_it_was_understood_and_the_writer_sees_the_turns(corpus_library: Path) -> None:
    guide = Assistant(corpus_library)
    first = guide.ask("How do I load Llama in 4 bit for QLoRA?")
    writer = Saying(Stop("not_in_guides"))
    answer = Assistant(corpus_library, writer).ask("Which compute dtype does it use?", history=[first, "thanks"])
    assert "QLoRA" in answer.understood
    assert answer.question == "Which compute dtype does it use?"
    (request,) = writer.requests
    assert request.history[0].question == first.question
    assert request.history[0].answer == first.text


def test_an_answer_that_takes_one_side_of_a_disagreement_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Careers\n\nThe median salary of an ML engineer is $148,000 a year.")
    (tmp_path / "b.md").write_text("# Course\n\nThe median salary of an ML engineer is $131,000 a year.")
    sync([tmp_path / "a.md", tmp_path / "b.md"], tmp_path / "library")
    question = "What is the median salary of an ML engineer?"
    one_sided = asked(tmp_path / "library", *quoting(tmp_path / "library", question), question=question)
    assert "guides differ" in one_sided.detail
    both = Assistant(tmp_path / "library").ask(question)
    assert {note.document for note in both.footnotes} == {"a.md", "b.md"}
    assert "guides differ" not in both.detail


def test_a_refusal_names_a_file_that_failed_and_a_folder_that_is_newer(tmp_path: Path) -> None:
    folder = tmp_path / "guides"
    folder.mkdir()
    (folder / "a.md").write_text("# Cats\n\nCats purr.")
    (folder / "empty.md").write_text("")
    sync([folder], tmp_path / "library")
    (folder / "new.md").write_text("# Owls\n\nOwls hoot.")
    detail = Assistant(tmp_path / "library").ask("Which sound do owls make in winter storms?").detail
    assert "empty.md" in detail
    assert "newer than the library" in detail


def test_one_assistant_serves_many_threads_at_once(corpus_library: Path) -> None:
    guide = Assistant(corpus_library)
    questions = [ASKED, "When was AlphaGo?", "What is overfitting?", "What does a data scientist earn?"] * 2
    alone = [guide.ask(question).text for question in questions[:4]] * 2
    with ThreadPoolExecutor(4) as pool:
        together = [answer.text for answer in pool.map(guide.ask, questions)]
    assert together == alone


def test_the_seconds_of_an_answer_add_up(corpus_library: Path) -> None:
    seconds = Assistant(corpus_library).ask(ASKED).seconds
    assert seconds["total"] == pytest.approx(seconds["retrieve"] + seconds["write"], abs=0.001)


def test_the_retriever_works_inside_a_chain_of_other_peoples(corpus_library: Path) -> None:
    retriever = Assistant(corpus_library).as_retriever(k=3)
    chain = RunnablePassthrough.assign(docs=(lambda x: x["question"]) | retriever) | RunnableLambda(
        lambda x: [document.page_content for document in x["docs"]]
    )
    found = chain.invoke({"question": "who coined the term machine learning"})
    assert len(found) == 3
    assert "Arthur Samuel" in found[0]


def test_its_documents_carry_where_they_stand(corpus_library: Path) -> None:
    guide = Assistant(corpus_library)
    (document,) = guide.as_retriever(k=1).invoke("who coined the term machine learning")
    where = document.metadata
    assert guide.library.text(where["document"])[where["start"] : where["end"]] == document.page_content


def test_the_assistant_is_a_runnable_with_and_without_history(corpus_library: Path) -> None:
    ask = Assistant(corpus_library).as_runnable()
    answer = (ask | RunnableLambda(lambda answer: answer)).invoke("Who coined the term machine learning?")
    assert isinstance(answer, Answer)
    history = ["How do I load Llama in 4 bit for QLoRA?"]
    follow_up = ask.invoke({"question": "Which compute dtype does it use?", "history": history})
    assert "QLoRA" in follow_up.understood


def test_a_string_is_one_earlier_question_and_one_document(corpus_library: Path) -> None:
    guide = Assistant(corpus_library)
    before = "How do I load Llama in 4 bit for QLoRA?"
    assert guide.ask("Which compute dtype does it use?", before).understood.startswith(before)
    found = guide.search("What is overfitting?", documents="guides/nested-circles.md")
    assert {p.document for p in found} == {"guides/nested-circles.md"}
    assert found == guide.search("What is overfitting?", documents=["guides/nested-circles.md"])
    assert guide.search("compute dtype", history=before, kinds="code") == guide.search(
        "compute dtype", history=[before], kinds=["code"]
    )


def test_an_answer_goes_to_json_and_back_with_all_that_its_passages_know(corpus_library: Path) -> None:
    answer = Assistant(corpus_library).ask(ASKED)
    assert answer.passages[0].units
    again = Answer.from_json(json.loads(json.dumps(answer.to_json())))
    assert again == answer


def test_a_reply_without_a_word_is_a_failure_and_no_refusal(corpus_library: Path) -> None:
    for said in ([], [Text(" \n")]):
        answer = asked(corpus_library, *said, Stop())
        assert answer.status == "failed"
        assert "empty" in answer.detail


def test_a_library_in_which_nothing_is_says_so_and_how_to_go_on(tmp_path: Path) -> None:
    create(tmp_path / "stopped")  # as an ingest that was stopped leaves it
    (tmp_path / "empty.md").write_text("")
    sync([tmp_path / "empty.md"], tmp_path / "failed")
    for place, way in (("stopped", "nothing was ingested into it yet: `footnote ingest"), ("failed", "none of its 1")):
        guide = Assistant(tmp_path / place)
        for ask in (guide.ask, guide.search, lambda question, guide=guide: list(guide.stream(question))):
            with pytest.raises(FootnoteError, match=re.escape(way)):
                ask("What is overfitting?")  # type: ignore[operator]


def test_the_assistant_closes_its_library_behind_itself(corpus_library: Path) -> None:
    with Assistant(corpus_library) as guide:
        db = guide.library.db
        assert guide.search(ASKED, k=1)
    with pytest.raises(sqlite3.ProgrammingError):
        db.execute("SELECT 1")


def test_asked_from_a_loop_nothing_else_waits_and_the_events_are_the_same(corpus_library: Path) -> None:
    guide = Assistant(corpus_library)

    async def both() -> tuple[list[type], Answer, int]:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                await asyncio.sleep(0.001)
                beats += 1

        beating = asyncio.create_task(beat())
        kinds = [type(event) async for event in guide.astream(ASKED)]
        answer = await guide.aask(ASKED)
        beating.cancel()
        return kinds, answer, beats

    kinds, answer, beats = run(both())
    assert kinds == [type(event) for event in guide.stream(ASKED)]
    assert answer.sentences == guide.ask(ASKED).sentences
    assert beats > 3


def test_whoever_leaves_a_stream_early_leaves_no_writer_at_work(corpus_library: Path) -> None:
    closed = threading.Event()

    class Endless(Saying):
        def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
            try:
                while True:
                    yield Text("word ")
            finally:
                closed.set()

    async def leave() -> None:
        events = Assistant(corpus_library, Endless()).astream(ASKED)
        async for event in events:
            if isinstance(event, Written):
                break
        await events.aclose()  # type: ignore[attr-defined]

    run(leave())
    assert closed.wait(5)


def test_the_runnable_streams_what_the_assistant_streams_also_in_a_chain(corpus_library: Path) -> None:
    guide = Assistant(corpus_library)
    events = list(guide.as_runnable().stream(ASKED))
    assert [type(event) for event in events] == [type(event) for event in guide.stream(ASKED)]
    chain = guide.as_runnable() | RunnableLambda(lambda answer: answer.status)
    assert chain.invoke(ASKED) == "answered"
    assert list(chain.stream(ASKED)) == ["answered"]
    assert run(chain.ainvoke(ASKED)) == "answered"


def test_the_runnable_takes_langchains_messages_as_history(corpus_library: Path) -> None:
    writer = Saying(Stop("not_in_guides"))
    history = [
        SystemMessage("Be brief."),
        HumanMessage("How do I load Llama in 4 bit for QLoRA?"),
        AIMessage("With a BitsAndBytesConfig."),
        ("human", "Thanks, which GPU?"),
    ]
    ask = Assistant(corpus_library, writer).as_runnable()
    ask.invoke({"question": "Which compute dtype does it use?", "history": history})
    first, second = writer.requests[0].history
    assert (first.question, first.answer) == ("How do I load Llama in 4 bit for QLoRA?", "With a BitsAndBytesConfig.")
    assert (second.question, second.answer) == ("Thanks, which GPU?", "")


def test_the_retriever_takes_every_filter_of_search(corpus_library: Path) -> None:
    guide = Assistant(corpus_library)
    history = "How do I load Llama in 4 bit for QLoRA?"
    ours = guide.search("Which compute dtype?", 3, history, documents="guides/*", kinds="code")
    theirs = guide.as_retriever(3, history=history, documents="guides/*", kinds="code").invoke("Which compute dtype?")
    assert [d.page_content for d in theirs] == [p.text for p in ours]
    assert ours != guide.search("Which compute dtype?", 3)


def test_all_that_a_caller_meets_can_be_imported_from_the_package() -> None:
    for name in assistant.__all__:
        assert getattr(assistant, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        assistant.nothing  # noqa: B018


def test_each_side_of_a_comparison_is_looked_for_by_itself(corpus_library: Path) -> None:
    with Assistant(corpus_library) as guide:
        request, _ = guide.prepare("Should I use bagging or dropout?")
    assert [part.question for part in request.parts] == ["use bagging", "dropout"]
    assert len(request.passages) == PASSAGES
    for part in request.parts:
        assert [len(row) for row in part.evidence] == [len(p.units) for p in request.passages]
        assert max(map(max, part.evidence)) > 0


def test_a_question_of_one_part_is_left_as_it_is(corpus_library: Path) -> None:
    with Assistant(corpus_library) as guide:
        assert guide.prepare("Why does dropout help?")[0].parts == ()
