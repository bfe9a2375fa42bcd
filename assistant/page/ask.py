"""The conversation: questions, answers as they are written, and what one can do with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import streamlit as st

from assistant.answer import History
from assistant.conversations import Turn
from assistant.page import first, guides, side, starters, toolbar, view, visit
from assistant.page.jobs import Answering
from assistant.page.parts import mount
from assistant.page.writers import LABELS, missing
from assistant.plain import neutralise
from assistant.records import Answer
from ingest.errors import FootnoteError, LibraryError
from ingest.library import Library

LOG = "log.jsonl"  # in the library's folder, where a visitor asks for it
LONGEST = 2000  # characters of a question
AT_ONCE = 0.45  # seconds that an answer is waited for before the page is shown without it
TICK = 0.15  # seconds between looks at an answer that is being written


def page() -> None:
    try:
        library = visit.library()
        count = len(library.documents())
    except LibraryError as error:
        side.panel()
        first.page(str(error))
        return
    if not count:
        side.panel()
        first.page("The library is empty.")
        return
    turns = visit.shown_turns(_conversation())
    # In st.bottom by name: an input that Streamlit puts there by itself drags the page to its end whenever it grows.
    asked = st.bottom.chat_input("Ask your guides", key="question", max_chars=LONGEST)
    asked = asked or st.session_state.pop("starter", None)
    if asked and (wrong := ask(str(asked), turns)):
        st.error(visit.label(wrong))
    turns = visit.shown_turns(_conversation())
    mark = {"cookie": visit.COOKIE, "mark": visit.owner(), "focus": st.session_state.get("conversation") or "new"}
    mount("page", "page", mark)
    if turns:
        _thread(turns)
    else:
        _welcome(library, count)
    side.panel([answer for turn in turns if (answer := _answer(turn))])


def ask(question: str, turns: list[Turn], place: int | None = None) -> str:
    """Begins to answer; says in one line what is wrong where that is not possible. `place` asks a question anew."""
    question = neutralise(question).strip()
    if not question or len(question) > LONGEST:
        return f"A question has between 1 and {LONGEST} characters; this one has {len(question)}." if question else ""
    if why := missing(visit.choice()):
        return f"{LABELS[visit.choice().kind]} cannot write. {why}."
    try:
        assistant, store, sources = visit.chosen(), visit.conversations(), visit.sources()
    except FootnoteError as error:
        return str(error)
    place = place if place is not None else (turns[-1].place + 1 if turns else 0)
    name = st.session_state.get("conversation") or store.begin(visit.owner(), question)
    st.session_state.conversation = name
    st.query_params["c"] = name
    turn = store.ask(name, question, place)
    history = _history(t for t in turns if t.place < place)

    log = visit.place() / LOG if st.session_state.get("log") else None

    def keep(answer: Answer) -> None:
        if log:
            from assistant.evaluation.log import log_answer

            log_answer(log, answer)
        cited = {note.document for note in answer.footnotes} | {p.document for p in answer.passages}
        store.answered(turn, answer, sources.hashes(cited))

    job = Answering(question, visit.choice().name, lambda: assistant.stream(question, history), keep)
    visit.answering()[turn] = job
    visit.forget_finished()
    job.wait(AT_ONCE)
    return ""


def _history(turns: Iterable[Turn]) -> History:
    """Answers where there are any; of what failed, only that it was asked."""
    return [t.answer if t.answer and t.answer.status == "answered" else t.question for t in turns]


def _conversation() -> str | None:
    """The open conversation: the visit's own, else the one in the address, if it is this browser's."""
    named = st.query_params.get("c")
    if "conversation" not in st.session_state:
        found = visit.conversations().find(visit.owner(), named) if named else None
        st.session_state.conversation = found.id if found else None
    current: str | None = st.session_state.conversation
    if current:
        st.query_params["c"] = current
    elif named:
        del st.query_params["c"]
    return current


def _answer(turn: Turn) -> Answer | None:
    job = visit.answering().get(turn.id)
    return turn.answer or (job.answer if job else None)


def _thread(turns: list[Turn]) -> None:
    for turn in turns:
        with st.container(key=f"turn-{turn.id}"):
            job = visit.answering().get(turn.id)
            if job and not job.wait(0):
                _writing(turn.id, job, turn is turns[-1])
                continue
            visit.answering().pop(turn.id, None) if turn.answer else None
            _finished(turn, job, turns)


@st.fragment(run_every=TICK)
def _writing(turn: int, job: Answering, last: bool) -> None:
    if job.wait(0):
        st.rerun()
    _draw(view.under_way(turn, job), last)
    if st.button("Stop", icon=":material/stop_circle:", key=f"stop-{turn}"):
        job.stop()
        st.rerun()


def _finished(turn: Turn, job: Answering | None, turns: list[Turn]) -> None:
    turn = replace(turn, answer=turn.answer or (job.answer if job else None))
    _draw(view.finished(turn), turn.id == turns[-1].id)
    toolbar.show(turn, turns, ask)


def _draw(shown: view.Shown, last: bool) -> None:
    shown = replace(shown, last=last)
    done = mount("answer", f"answer-{shown.id}", view.data(shown, visit.sources()), "read")
    if done.read:
        visit.go_to("read", **done.read)


def _welcome(library: Library, count: int) -> None:
    st.html("<h1 class='footnote-title'>Ask your guides</h1>")
    st.markdown(
        "Every sentence of an answer has a footnote that leads to the exact words."
        " What the guides do not say is not answered."
    )
    names = [neutralise(d.title) for d in library.documents()[:8]]
    more = f", and {count - len(names)} more" if count > len(names) else ""
    st.caption(visit.label(f"{count} guides, {library.count()} passages: {'; '.join(names)}{more}"))
    guides.under_way("welcome")
    guides.outcome()
    with st.container(key="starters"):
        for i, question in enumerate(_starters(library, library.generation)):
            if st.button(visit.label(question), key=f"starter-{i}", width="stretch"):
                st.session_state.starter = question
                st.rerun()


@st.cache_data(show_spinner=False, max_entries=4)
def _starters(_library: Library, generation: int) -> list[str]:
    return starters.starters(_library)
