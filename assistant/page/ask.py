"""The conversation: questions, answers as they are written, and what one can do with them."""

from __future__ import annotations

import glob
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from assistant import beside
from assistant.answer import History
from assistant.conversations import Turn
from assistant.helps import starting_questions
from assistant.page import guides, mount, share, side, view, visit
from assistant.page.jobs import Answering
from assistant.page.visit import LABELS, missing
from assistant.prompts import messages
from assistant.records import QUESTION_CHARACTERS, SHOWN, Answer, Passage, Request, neutralise
from assistant.records import Turn as Earlier
from ingest.errors import FootnoteError, LibraryError
from ingest.library import Library, own

MOST_KEPT = 100_000  # characters of a question that is too long, and is given back to be shortened
LOG = "log.jsonl"  # in the library's folder, where a visitor asks for it
AT_ONCE = 0.45  # seconds that an answer is waited for before the page is shown without it
NAMED = 3  # guides on the first page; all stand in the panel
TICK = 0.15  # seconds between looks at an answer that is being written


def page() -> None:
    try:
        library = visit.library()
        count = len(library.paths())
    except LibraryError as error:
        side.panel()
        first_page(view.plain(str(error)))
        return
    if not count:
        side.panel()
        first_page("The library is empty.")
        return
    turns = visit.shown_turns(_conversation())
    if asked := _asked_now():
        if wrong := ask(asked, turns):
            st.session_state.refused = asked, wrong
            st.session_state.refusals = time.time()
            st.rerun()
        turns = visit.shown_turns(_conversation())
    mark = {"cookie": visit.COOKIE, "mark": visit.owner(), "focus": st.session_state.get("conversation") or "new"}
    mark |= {"asked": turns[-1].question if turns else "", "begun": st.session_state.get("begun", "")}
    mount("page", "page", mark)
    with st.container(key="thread"):  # always there, so that what follows it keeps its place on the page
        _thread(turns)
    _announced(turns)
    if not turns:
        with st.container(key="welcome"):
            _welcome(library, count)
    side.panel([answer for turn in turns if (answer := _answer(turn))])


def _announced(turns: list[Turn]) -> None:
    """The tab's title; what is said to whoever cannot see that an answer is there; and where the next one is drawn."""
    if title := st.session_state.get("title"):
        st.set_page_config(page_title=neutralise(title))
    answer = _answer(turns[-1]) if turns else None
    said = view.in_short(answer) if answer else ""
    refused = st.session_state.pop("refusals", 0)
    mount("asked", "asked", {"said": said, "limit": QUESTION_CHARACTERS, "refused": refused})


def _asked_now() -> str:
    """What was typed or chosen just now. What could not be asked is in the box again, with the reason beside it."""
    if refused := st.session_state.pop("refused", None):
        st.session_state.question = refused[0]
        st.bottom.error(visit.label(refused[1]))
    # In st.bottom by name: an input that Streamlit puts there by itself drags the page to its end whenever it grows.
    typed = st.bottom.chat_input("Ask your guides", key="question", max_chars=MOST_KEPT)
    return str(typed or st.session_state.pop("starter", ""))


def ask(question: str, turns: list[Turn], place: int | None = None, alone: bool = False) -> str:
    """Begins to answer; says in one line what is wrong where that is not possible. `place` asks a question anew,
    `alone` without what was asked before."""
    question = neutralise(question).strip()
    if not question or len(question) > QUESTION_CHARACTERS:
        few_to_many = f"between 1 and {QUESTION_CHARACTERS:,} characters"
        return f"A question has {few_to_many}; this one has {len(question):,}." if question else ""
    if why := missing(visit.choice()):
        return f"{LABELS[visit.choice().kind]} cannot write. {why}."
    try:
        only = guides.chosen(visit.library())
        if only == []:
            return "No guide is ticked in the panel: tick at least one that is to be asked."
        assistant, store, sources = visit.chosen(), visit.conversations(), visit.sources()
        log = own(visit.place(), LOG) if st.session_state.get("log") else None
    except FootnoteError as error:
        return view.plain(str(error))
    place = place if place is not None else (turns[-1].place + 1 if turns else 0)
    name = st.session_state.get("conversation") or store.begin(visit.owner(), question)
    if st.session_state.get("conversation") != name:
        st.session_state.conversation = st.session_state.begun = name
        st.session_state.title = question
        st.query_params["c"] = name
    turn = store.ask(name, question, place)
    history = [] if alone else _history(t for t in turns if t.place < place)

    def keep(answer: Answer) -> None:
        if log:
            from assistant.evaluation.questions import log_answer

            log_answer(log, answer)
        cited = {note.document for note in answer.footnotes} | {p.document for p in answer.passages}
        store.answered(turn, answer, sources.hashes(cited))

    named = [glob.escape(path) for path in only or ()]
    plain = visit.assistant()
    job = Answering(
        question,
        visit.choice().name,
        lambda: assistant.stream(question, history, documents=named),
        keep,
        lambda answer: plain.near(answer, history),
    )
    visit.answering()[turn] = job
    visit.forget_finished()
    job.wait(AT_ONCE)
    return ""


def _history(turns: Iterable[Turn]) -> History:
    """Answers where there are any; of what failed, only that it was asked."""
    return [t.answer if t.answer and t.answer.status in SHOWN else t.question for t in turns]


def _conversation() -> str | None:
    """The conversation that the address names, if it is this browser's: so Back, Forward and links lead to theirs."""
    named = st.query_params.get("c")
    if "conversation" not in st.session_state or st.session_state.conversation != named:
        found = visit.conversations().find(visit.owner(), named) if named else None
        st.session_state.conversation = found.id if found else None
        st.session_state.title = found.title if found else ""
    current: str | None = st.session_state.conversation
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
            if job and job.offered is not None and turn.answer:
                visit.answering().pop(turn.id, None)
                st.session_state.offered = (turn.id, job.offered)
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
    with st.container():  # as a fragment draws into one: so the browser keeps what it has drawn while it was written
        if _draw(view.finished(turn), turn.id == turns[-1].id).alone:
            _anew(turn.question, turn, turns, partial(ask, alone=True))
    show(turn, turns, ask)
    if turn.id == turns[-1].id:
        _offer(turn.id)


def _offer(turn: int) -> None:
    """Questions to go on with, which are looked for while the answer is read."""
    known, questions = st.session_state.get("offered", (0, []))
    if known == turn:
        _offered(turn, questions)
    elif turn in visit.answering():
        _looking(turn)


@st.fragment(run_every=0.5)
def _looking(turn: int) -> None:
    job = visit.answering().get(turn)
    if job and job.offered:
        _offered(turn, job.offered)


def _offered(turn: int, questions: Sequence[str]) -> None:
    if not questions:
        return
    with st.container(key=f"offered-{turn}"):
        st.caption("The guides also answer")
        for i, question in enumerate(questions):
            if st.button(visit.label(question), key=f"offered-{turn}-{i}", icon=":material/subdirectory_arrow_right:"):
                st.session_state.starter = question
                st.rerun(scope="app")


def _draw(shown: view.Shown, last: bool) -> Any:
    """Draws an answer, and gives what the reader did in it."""
    shown = replace(shown, last=last)
    data = view.data(shown, visit.sources())
    wanted = st.session_state.get("picture", ("", 0))
    done = mount("answer", f"answer-{shown.id}", data | _picture(data, *wanted), "read", "picture", "alone")
    if done.read:
        visit.go_to("read", **done.read, c=st.session_state.conversation)
    if done.picture is not None and (shown.id, done.picture) != wanted:
        st.session_state.picture = (shown.id, done.picture)
        st.rerun()
    return done


def _picture(data: view.Data, answer: str, index: int) -> view.Data:
    """The page of the PDF that the reader has opened a footnote of, in the data of that footnote's answer."""
    if data["id"] != answer or not 0 <= index < len(data["places"]) or not (place := data["places"][index])["page"]:
        return {}
    return {
        "picture": {"place": index, **visit.picture(place["document"], place["page"], place["start"], place["end"])}
    }


def _welcome(library: Library, count: int) -> None:
    if st.query_params.get("c"):
        st.info(
            "This conversation is not one of yours: it was begun in another browser, or is deleted."
            " Choose one of your own on the left, or ask something new."
        )
    st.html("<h1 class='footnote-title'>Ask your guides</h1>")
    st.markdown(
        "Every sentence of an answer has a footnote that leads to the exact words."
        " What the guides do not say is not answered."
    )
    names = [neutralise(d.title) for d in library.documents()[:NAMED]]
    more = f", and {count - len(names)} more" if count > len(names) else ""
    st.caption(visit.label(f"{count} guides, {library.count():,} passages: {'; '.join(names)}{more}"))
    guides.under_way("welcome")
    guides.outcome()
    with st.container(key="starters"):
        for i, question in enumerate(_starters(library, library.generation)):
            if st.button(visit.label(question), key=f"starter-{i}", width="stretch"):
                st.session_state.starter = question
                st.rerun()


@st.cache_data(show_spinner=False, max_entries=4)
def _starters(_library: Library, generation: int) -> list[str]:
    return starting_questions(_library)


# What one can do with an answer: ask again, edit, see what the model saw, judge it, keep it as a test question.

Ask = Callable[[str, list[Turn], int | None], str]


def show(turn: Turn, turns: list[Turn], ask: Ask) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"tools-{turn.id}"):
        if turn is turns[-1] or turn.id == turns[-1].id:
            if st.button("Ask again", icon=":material/refresh:", type="tertiary", key=f"again-{turn.id}"):
                _anew(turn.question, turn, turns, ask)
            if st.button(
                "Edit", icon=":material/edit:", type="tertiary", key=f"edit-{turn.id}", help="Edit the question"
            ):
                st.session_state.editing = turn.id
        if turn.answer and turn.answer.status in SHOWN:
            _share(turn, turn.answer)
        if st.button("What the model saw", icon=":material/visibility:", type="tertiary", key=f"saw-{turn.id}"):
            _seen(turn, turns)
        _versions(turn)
        st.feedback("thumbs", key=f"thumb-{turn.id}", default=turn.thumb, on_change=_judged, args=(turn,))
    if st.session_state.get("editing") == turn.id:
        _edit(turn, turns, ask)
    if st.session_state.get(f"thumb-{turn.id}", turn.thumb) is not None:
        _comment(turn, turns)


def _share(turn: Turn, answer: Answer) -> None:
    file = "-".join(re.findall(r"\w+", answer.question.lower()))[:60] or "answer"
    st.download_button(
        "Share", lambda: share.page(answer, time.strftime("%d %B %Y")), f"{file}.html", "text/html",
        icon=":material/ios_share:", type="tertiary", key=f"share-{turn.id}", on_click="ignore",
        help="One HTML file to give away: the answer with all its quotes. Nothing in it can be changed here.",
    )  # fmt: skip


def _anew(question: str, turn: Turn, turns: list[Turn], ask: Ask) -> None:
    st.session_state.editing = None
    st.session_state.get("versions", {}).pop((st.session_state.conversation, turn.place), None)
    if error := ask(question, turns, turn.place):
        st.error(visit.label(error))
    else:
        st.rerun()


def _edit(turn: Turn, turns: list[Turn], ask: Ask) -> None:
    with st.form(f"editing-{turn.id}"):
        text = st.text_area("Your question", turn.question, key=f"edited-{turn.id}")
        buttons = st.container(horizontal=True)
        if buttons.form_submit_button("Ask", type="primary"):
            _anew(text, turn, turns, ask)
        if buttons.form_submit_button("Leave it"):
            st.session_state.editing = None
            st.rerun()


def _versions(turn: Turn) -> None:
    """A question that was asked again has several answers; none is lost."""
    ids = turn.versions
    if len(ids) < 2:
        return
    numbers = range(1, len(ids) + 1)
    chosen = st.selectbox(
        "Version", numbers, ids.index(turn.id), format_func=lambda n: f"Answer {n} of {len(ids)}",
        key=f"version-{turn.id}", label_visibility="collapsed", width=150,
    )  # fmt: skip
    if ids[chosen - 1] != turn.id:
        st.session_state.versions[(st.session_state.conversation, turn.place)] = ids[chosen - 1]
        st.rerun()


def _judged(turn: Turn) -> None:
    visit.conversations().judge(turn.id, st.session_state[f"thumb-{turn.id}"], turn.comment)


def _comment(turn: Turn, turns: list[Turn]) -> None:
    thumb = st.session_state.get(f"thumb-{turn.id}", turn.thumb)
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"judged-{turn.id}"):
        comment = st.text_input(
            "What was good or bad about it?", turn.comment, key=f"comment-{turn.id}", max_chars=1000
        )
        if comment != turn.comment:
            visit.conversations().judge(turn.id, thumb, comment)
        if thumb == 0 and st.button("Keep as a test question", key=f"keep-{turn.id}"):
            _keep(turn, turns)


@st.dialog("What the model saw", width="large")
def _seen(turn: Turn, turns: list[Turn]) -> None:
    answer = turn.answer
    if answer is None:
        st.text("Nothing: the question was interrupted before anything was found.")
        return
    if answer.model == "quotes":
        st.caption("No model was asked: the answer was chosen from these units.")
    earlier = tuple(
        Earlier(t.question, t.answer.text if t.answer and t.answer.status in SHOWN else "")
        for t in turns
        if t.place < turn.place
    )
    request = Request(answer.understood or answer.question, answer.passages, earlier)
    st.code(_said(answer.model, request), language=None, wrap_lines=True)


def _said(model: str, request: Request) -> str:
    """The prompt, in the words that the writer of this name sends."""
    kind, _, name = model.partition(":")
    if kind == "claude":
        from assistant.writers.claude import MODEL, Claude

        return Claude(name or MODEL).prompt(request)
    parts = messages(request)
    shown = parts[1:] if kind == "quotes" else parts
    return "\n\n".join(str(message["content"]) for message in shown)


@st.dialog("Keep as a test question", width="large")
def _keep(turn: Turn, turns: list[Turn]) -> None:
    st.markdown("Which words should the answer have rested on? Pick them; pick none if the guides do not answer it.")
    passages = units_of(turn.answer) if turn.answer else []
    result = mount("picker", f"picker-{turn.id}", {"key": str(turn.id), "passages": passages}, "picked")
    words = st.text_input("Words that a right answer has to say, with a comma between them (may be left empty)")
    if not st.button("Keep", type="primary", key=f"kept-{turn.id}"):
        return
    picked = [(int(p), int(u)) for p, _, u in (pick.partition(".") for pick in sorted(result.picked or []))]
    history = [t.question for t in turns if t.place < turn.place]
    try:
        file = keep(visit.place(), question(turn, history, picked, words.split(",")))
    except FootnoteError as error:
        st.error(visit.label(view.plain(str(error))))
    else:
        st.success(visit.label(f"Kept in {file}, for the next evaluation."))


# An answer that fell short becomes a question of the evaluation set.

FILE = "questions.jsonl"
_KINDS = {"row": "table", "code": "code", "item": "list"}

Pick = tuple[int, int]  # passage and unit, counted from 0


def question(turn: Turn, history: Sequence[str], picked: Sequence[Pick], words: Sequence[str] = ()) -> dict[str, Any]:
    """In the form that `footnote evaluate` reads. With nothing picked, it is a question that the guides do not answer.

    `words` are what a right answer has to say, as plain text; a line of regular expressions is made of each.
    """
    passages = turn.answer.passages if turn.answer else ()
    evidence = [{"document": passages[p].document, "quote": unit_text(passages[p], u)} for p, u in picked]
    digest = hashlib.sha256(json.dumps([turn.question, list(history)]).encode()).hexdigest()[:10]
    return {
        "id": f"kept-{digest}",
        "kind": _kind(passages, history, picked),
        "question": turn.question,
        "history": list(history),
        "facts": [re.escape(w.strip()) for w in words if w.strip()],
        "evidence": evidence,
        "split": "test",
        "passages": [{"document": p.document, "start": p.start, "end": p.end} for p in passages],
        "comment": turn.comment,
    }


def _kind(passages: Sequence[Passage], history: Sequence[str], picked: Sequence[Pick]) -> str:
    if not picked:
        return "none"
    if history:
        return "follow"
    passage, unit = picked[0]
    units = passages[passage].units
    return _KINDS.get(units[unit].kind, "fact") if units else "fact"


def keep(place: Path, kept: dict[str, Any]) -> Path:
    """Adds the question to the library's own set; kept again, it replaces what was kept."""
    file = own(place, FILE)
    try:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        others = [line for line in lines if line.strip() and json.loads(line).get("id") != kept["id"]]
        waiting = file.with_suffix(".part")
        waiting.unlink(missing_ok=True)
        waiting.write_text(
            "".join(f"{line}\n" for line in [*others, json.dumps(kept, ensure_ascii=False)]), encoding="utf-8"
        )
        waiting.replace(file)
    except (OSError, ValueError) as error:
        raise FootnoteError(
            f"{file} cannot be added to ({error}): make it writable, or move a damaged one away"
        ) from error
    return file


def units_of(answer: Answer) -> list[dict[str, Any]]:
    """The passages unit by unit, to pick from."""
    return [
        {
            "title": " › ".join(filter(None, (p.title, p.section.rsplit(" > ", 1)[-1]))),
            "units": [unit_text(p, u) for u in range(max(1, len(p.units)))],
        }
        for p in answer.passages
    ]


def unit_text(passage: Passage, unit: int) -> str:
    """Word for word, as the guide has it."""
    if not passage.units:
        return passage.text
    chosen = passage.units[unit]
    return passage.text[chosen.start - passage.start : chosen.end - passage.start]


# What is shown where there is no library yet, or an empty one: how to fill it. Folders of the server are for whoever
# may type commands there: a page cannot tell a visitor on this machine from one who comes by a proxy or a tunnel.

CORPUS = beside("corpus")


def first_page(why: str) -> None:
    st.html("<h1 class='footnote-title'>Ask your guides</h1>")
    st.markdown(
        "Footnote answers from your own documents, every sentence with a footnote that leads to the exact words."
    )
    if guides.under_way("first"):
        return
    if "no library at" not in why:
        st.warning(visit.label(why))
    st.markdown("**There is nothing to ask yet.** Choose what it should read:")
    if (
        CORPUS.is_dir()
        and visit.may("ingest")
        and st.button("Read the starter guides", type="primary", icon=":material/auto_stories:")
    ):
        place = visit.place()
        guides.begin(lambda tell: guides.renew(place, [CORPUS], tell))
    guides.upload("first")
    guides.outcome()
