"""What one can do with an answer: ask again, edit, see what the model saw, judge it, keep it as a test question."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import streamlit as st

from assistant.conversations import Turn
from assistant.page import feedback, visit
from assistant.page.parts import mount
from assistant.prompts import messages
from assistant.writers import Request
from assistant.writers import Turn as Earlier
from ingest.errors import FootnoteError

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
        if st.button("What the model saw", icon=":material/visibility:", type="tertiary", key=f"saw-{turn.id}"):
            _seen(turn, turns)
        _versions(turn)
        st.feedback("thumbs", key=f"thumb-{turn.id}", default=turn.thumb, on_change=_judged, args=(turn,))
    if st.session_state.get("editing") == turn.id:
        _edit(turn, turns, ask)
    if st.session_state.get(f"thumb-{turn.id}", turn.thumb) is not None:
        _comment(turn, turns)


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
    name = st.session_state.conversation
    by_place = groupby(visit.conversations().turns(name), key=lambda t: t.place)
    versions = next((list(found) for place, found in by_place if place == turn.place), [turn])
    if len(versions) < 2:
        return
    ids = [version.id for version in versions]
    numbers = range(1, len(ids) + 1)
    chosen = st.selectbox(
        "Version", numbers, ids.index(turn.id), format_func=lambda n: f"Answer {n} of {len(ids)}",
        key=f"version-{turn.id}", label_visibility="collapsed", width=150,
    )  # fmt: skip
    if ids[chosen - 1] != turn.id:
        st.session_state.versions[(name, turn.place)] = ids[chosen - 1]
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
        Earlier(t.question, t.answer.text if t.answer and t.answer.status == "answered" else "")
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
    passages = feedback.units_of(turn.answer) if turn.answer else []
    result = mount("picker", f"picker-{turn.id}", {"key": str(turn.id), "passages": passages}, "picked")
    words = st.text_input("Words that a right answer has to say, with a comma between them (may be left empty)")
    if not st.button("Keep", type="primary", key=f"kept-{turn.id}"):
        return
    picked = [(int(p), int(u)) for p, _, u in (pick.partition(".") for pick in sorted(result.picked or []))]
    history = [t.question for t in turns if t.place < turn.place]
    try:
        file = feedback.keep(visit.place(), feedback.question(turn, history, picked, words.split(",")))
    except FootnoteError as error:
        st.error(visit.label(str(error)))
    else:
        st.success(visit.label(f"Kept in {file}. footnote evaluate {file} asks it again."))
