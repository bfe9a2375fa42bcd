"""Who is visiting, where they are, and what the server keeps for all visits."""

from __future__ import annotations

import base64
import os
import re
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from assistant.conversations import Conversations, Turn
from assistant.page.view import Sources
from assistant.records import Writer
from assistant.writers.found import Found, found, refused
from assistant.writers.found import is_own as page_is_own
from ingest.documents import Reader
from ingest.errors import FootnoteError
from ingest.library import FILE, Library

if TYPE_CHECKING:
    from assistant.answer import Assistant
    from assistant.page.jobs import Answering, Ingesting


COOKIE = "footnote_owner"
_MARK = re.compile(r"[A-Za-z0-9_-]{20,64}")
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$<>&^=\"'])")


def place() -> Path:
    return Path(os.environ.get("FOOTNOTE_LIBRARY", "library"))


def owner() -> str:
    """Whose conversations are whose: the visitor's name, where the server knows it, else the mark of this browser."""
    if served() and (name := st.user.get("footnote_user")):
        return f"user:{name}"
    if served() and (login := st.user.get("sub")):
        return f"login:{login}"
    if "owner" not in st.session_state:
        mark = str(st.context.cookies.get(COOKIE, ""))
        st.session_state.owner = mark if _MARK.fullmatch(mark) else secrets.token_urlsafe(24)
    return str(st.session_state.owner)


def served() -> bool:
    """Whether `footnote serve` lets visitors in, and says who they are and what they may."""
    return bool(st.user.get("footnote_can"))


def entered() -> bool:
    """Whether the visitor may see the page; where the server asks for a login, only who has logged in."""
    if not st.user.get("footnote_login") or st.user.get("is_logged_in"):
        return True
    st.html("<h1 class='footnote-title'>Footnote</h1>")
    if st.button("Log in", type="primary"):
        st.login()
    return False


def may(what: str) -> bool:
    """Whether the visitor may ask, ingest or administer: where nobody is asked who they are, all of it."""
    return not served() or what in str(st.user["footnote_can"]).split()


def library() -> Library:
    return assistant().library


def assistant() -> Assistant:
    """The one that quotes; raises LibraryError where there is no library."""
    file = place() / FILE
    return _assistant(str(place()), file.stat().st_ino if file.exists() else 0)


def sources() -> Sources:
    library = assistant().library
    return _sources(library, str(place()), (place() / FILE).stat().st_ino)


def picture(document: str, page: int, start: int, end: int) -> dict[str, Any]:
    """A page of a PDF as the browser draws it, what it holds of these words marked; `said` is why there is none."""
    found = sources().file(document)
    if found is None:
        return {"said": "This guide is no longer in the library."}
    return _picture(*found, page, *sources().words_on(document, page, start, end))


def conversations() -> Conversations:
    return _conversations(str(place()), (place() / FILE).stat().st_ino)


def shown_turns(name: str | None) -> list[Turn]:
    """One turn of each place of a conversation: the version that was chosen, else the last."""
    if name is None:
        return []
    chosen = st.session_state.setdefault("versions", {})
    shown = []
    for place, versions in groupby(conversations().turns(name), key=lambda turn: turn.place):
        found = list(versions)
        shown.append(next((t for t in found if t.id == chosen.get((name, place))), found[-1]))
    return shown


def answering() -> dict[int, Answering]:
    """The answers being written, of all visits, by turn."""
    return _answering(str(place()))


def forget_finished(after: float = 600.0) -> None:
    """Lets go of answers that were finished while nobody was looking; they are in the store."""
    for turn, job in list(answering().items()):
        if job.wait(0) and job.seconds > after:
            answering().pop(turn, None)


def ingesting() -> dict[str, Ingesting]:
    """The one ingest under way, if any: a library has one writer."""
    return _ingesting(str(place()))


def choice() -> Choice:
    """Who writes for this visitor: as chosen in this visit, else as before."""
    if "choice" not in st.session_state:
        kept = conversations().preferred(owner())
        known = {name: kept[name] for name in ("kind", "model", "path", "url") if isinstance(kept.get(name), str)}
        st.session_state.choice = Choice(**known, key=_keys(str(place())).get(owner(), ""))
    chosen: Choice = st.session_state.choice
    return chosen


def choose(choice: Choice) -> None:
    """From now on, and after a reload; the key is kept in memory only, until the server ends."""
    st.session_state.choice = choice
    _keys(str(place()))[owner()] = choice.key
    kept = {"kind": choice.kind, "model": choice.model, "path": choice.path, "url": choice.url}
    conversations().prefer(owner(), kept)


@st.cache_data(show_spinner=False, ttl=30, max_entries=2)
def found_writers(place: str) -> list[Found]:
    """What can write on this machine, as it was half a minute ago."""
    return found()


def is_own() -> bool:
    """Whether the page is this machine's own, so that its visitor may name addresses and folders."""
    return not served() and page_is_own(st.get_option("server.address"), dict(st.context.headers))


@st.cache_resource(show_spinner=False)
def _keys(place: str) -> dict[str, str]:
    return {}


def chosen() -> Assistant:
    """The assistant with the writer of this visit."""
    from assistant.answer import Assistant

    plain, wanted = assistant(), choice()
    if wanted.kind == "quotes":
        return plain
    kept = st.session_state.get("assistant")
    if kept is None or kept[0] != (wanted, id(plain)):
        own = Assistant(plain.library, writer(wanted))
        own.retriever = plain.retriever
        st.session_state.assistant = kept = ((wanted, id(plain)), own)
    own_assistant: Assistant = kept[1]
    return own_assistant


def label(text: str) -> str:
    """Text for a button or a line of Streamlit's, which take Markdown: every character stands for itself."""
    line = " ".join(text.split())
    line = re.sub(r"([:@])(?=\S)", "\\1\u200b", line)  # no address, no :emoji:, no :red[…]
    line = re.sub(r"(?i)\b(www)(\.)", "\\1\u200b\\2", line)
    return _SPECIAL.sub(r"\\\1", line)


def go_to(page: str, **query: Any) -> None:
    st.switch_page(st.session_state.pages[page], query_params={name: str(value) for name, value in query.items()})


@st.cache_resource(show_spinner=False)
def _assistant(place: str, inode: int) -> Assistant:
    from assistant.answer import Assistant

    assistant = Assistant(place)
    # Models load while the visitor reads the page and types; what goes wrong with them is said with the first question.
    threading.Thread(target=_warmed, args=(assistant,), daemon=True).start()
    return assistant


def _warmed(assistant: Assistant) -> None:
    with suppress(Exception):
        assistant.search("warm", k=1)


@st.cache_resource(show_spinner=False)
def _sources(_library: Library, place: str, inode: int) -> Sources:
    return Sources(_library)


@st.cache_resource(show_spinner=False)
def _pages() -> tuple[Reader, threading.Lock]:
    """Pages are drawn in a process of its own, one at a time: a damaged file must not end the server."""
    return Reader(seconds=20.0), threading.Lock()


@st.cache_data(show_spinner=False, max_entries=64)
def _picture(file: Path, sha256: str, page: int, words: str, nth: int) -> dict[str, Any]:
    reader, lock = _pages()
    try:
        with lock:
            made = reader.picture(file, sha256, page, words, nth)
    except FootnoteError as error:
        return {"said": str(error)}
    url = "data:image/webp;base64," + base64.b64encode(made.data).decode()
    return {"url": url, "top": made.top, "page": made.page, "pages": made.pages}


@st.cache_resource(show_spinner=False)
def _conversations(place: str, inode: int) -> Conversations:
    return Conversations(place)


@st.cache_resource(show_spinner=False)
def _answering(place: str) -> dict[int, Answering]:
    return {}


@st.cache_resource(show_spinner=False)
def _ingesting(place: str) -> dict[str, Ingesting]:
    return {}


# What can write an answer here, and where something cannot: why, and what would make it so.

CLAUDE_MODELS = ("claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5", "claude-fable-5-1")
LABELS = {
    "quotes": "Quotes, no model",
    "claude": "Claude",
    "llama": "A folder of weights",
    "url": "A chat server",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the visitor chose. The key lives in the visit's memory and nowhere else, so it is not shown by `repr`."""

    kind: str = "quotes"
    model: str = CLAUDE_MODELS[0]
    path: str = ""
    url: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Choice({self.name})"

    @property
    def name(self) -> str:
        """As `--model` says it."""
        names = {"claude": f"claude:{self.model}", "llama": f"llama:{self.path}", "url": self.url}
        return names.get(self.kind, "quotes")


def missing(choice: Choice) -> str:
    """Why this cannot write and what to do about it, in one line; "" if it can."""
    checks = {"claude": _claude, "llama": _llama, "url": _url}
    why = checks[choice.kind](choice) if choice.kind in checks else ""
    return why or refused(choice.name, is_own())


def writer(choice: Choice) -> Writer:
    if choice.kind == "claude" and choice.key:
        from assistant.writers.claude import Claude

        return Claude(choice.model, key=choice.key)
    from assistant.writers import writer as named

    return named(choice.name)


def _claude(choice: Choice) -> str:
    if not _installed(["anthropic"]):
        return "Its library is not installed where this page is served"
    if not (choice.key or (os.environ.get("ANTHROPIC_API_KEY") and may("admin"))):  # it is the server's money
        return "It needs a key, which platform.claude.com gives: put it into the panel"
    return ""


def _llama(choice: Choice) -> str:
    if not _installed(["torch", "transformers"]):
        return "Its libraries are not installed where this page is served"
    if not choice.path:
        return "It needs a model: give its folder in the panel, one that the fine-tuning has made, for example"
    if is_own() and not Path(choice.path).expanduser().is_dir():
        return f"There is no folder {choice.path}: give the model's own"
    return ""


def _url(choice: Choice) -> str:
    if not choice.url:
        return "It needs an address: give one in the panel, such as http://localhost:8000/v1"
    if not choice.url.startswith(("http://", "https://")):
        return f"{choice.url} is not an address: it begins with http:// or https://"
    return ""


def _installed(libraries: Sequence[str]) -> bool:
    return all(find_spec(library) is not None for library in libraries)
