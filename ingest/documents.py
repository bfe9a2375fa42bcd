"""A file becomes a `Document`: one canonical text and the blocks it is made of.

Every offset in Footnote counts characters of `Document.text`; `Block`s lie inside it in order and never overlap, and
together they hold everything that is not blank.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import pickle
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ingest import clean
from ingest.errors import ReadError
from ingest.readers import Block, joined_halves, one_line, scan

if TYPE_CHECKING:
    from ingest.readers.pdf import Picture

# A reader takes a file's bytes and its name: `ingest.readers.MODULE.FUNCTION`, imported when such a file comes.
READERS: Mapping[str, str] = {
    ".md": "markdown.read",
    ".markdown": "markdown.read",
    ".mdx": "markdown.read",
    ".qmd": "markdown.read",
    ".txt": "plain.read",
    ".html": "page.read",
    ".htm": "page.read",
    ".pdf": "pdf.read",
    **dict.fromkeys(".png .jpg .jpeg .tif .tiff .webp".split(), "pdf.read_images"),
    ".ipynb": "office.read_notebook",
    ".docx": "office.read_word",
    ".odt": "opendocument.read",
    ".rst": "rst.read",
    ".adoc": "asciidoc.read",
    ".asciidoc": "asciidoc.read",
    ".tex": "latex.read",
    ".csv": "office.read_table",
    ".epub": "office.read_book",
    ".pptx": "office.read_slides",
    ".vtt": "spoken.read_subtitles",
    ".srt": "spoken.read_subtitles",
    ".jsonl": "spoken.read_chats",
    ".json": "spoken.read_chats",
    ".py": "code.read_python",
    **dict.fromkeys(
        ".c .cc .cpp .cs .cu .go .h .hpp .java .jl .js .jsx .kt .lua .proto .r .rb .rs .scala .sh .sql .swift .ts .tsx"
        " .toml .yaml .yml".split(),
        "code.read_lines",
    ),
}
SUFFIXES = frozenset(READERS)
IMAGES = frozenset(suffix for suffix, reader in READERS.items() if reader == "pdf.read_images")
# Read where it is named or comes from a repository: a folder of guides may be full of it, of pictures above all.
BY_NAME = (
    frozenset(suffix for suffix, reader in READERS.items() if reader.startswith("code.")) | {".json", ".jsonl"} | IMAGES
)
MAX_BYTES = 32 * 1024 * 1024  # of text; a larger file is refused before it is read
_PACKED = {
    ".pdf": 8,
    ".docx": 8,
    ".odt": 8,
    ".pptx": 8,
    ".epub": 8,
    ".ipynb": 4,
    **dict.fromkeys(IMAGES, 4),
}  # formats that carry pictures may be so many times larger
_SERVE = "import sys; from ingest.documents import serve; serve(float(sys.argv[1]), int(sys.argv[2]))"
READY = b"R"  # what the reading process says when it has started
PATIENT_SECONDS = 0.5  # between two questions whether the reading is still wanted
_TRIES = 3  # how often a file is read again that changed meanwhile


@dataclass(frozen=True, slots=True)
class Document:
    """A file as Footnote reads it. `path` is relative to the folder that was ingested, with forward slashes."""

    path: str
    title: str
    text: str
    blocks: tuple[Block, ...]
    sha256: str  # of the file's bytes
    repairs: Mapping[str, int] = field(default_factory=dict)  # kind of repair -> how often
    notes: tuple[str, ...] = ()  # what the user should know, such as "read as cp1252"
    named: bool = False  # the title is the file's name, for nothing in the file says it

    @property
    def counted(self) -> dict[str, int]:
        """What was repaired, and how much was set aside as the page's and not the guide's: it is not searched."""
        aside = sum(1 + self.text.count("\n", b.start, b.end) for b in self.blocks if b.kind == "furniture")
        return {**self.repairs, **({"lines set aside as page furniture": aside} if aside else {})}

    @property
    def text_sha256(self) -> str:
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Found:
    """A file below a root. `file` is relative to the root, with forward slashes; of a root that is a file, its name."""

    root: str
    file: str
    path: Path
    size: int
    mtime_ns: int


def supported(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def read(path: Path, name: str | None = None, max_bytes: int = MAX_BYTES) -> Document:
    """Read one file. `name` is what the document is called from now on (by default the file's name)."""
    name = path.name if name is None else name
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ReadError(
            f"{name} is of a kind that is not read ({path.suffix or 'no suffix'}). Read are: {' '.join(READERS)}."
        )
    data = _bytes(path, name, max_bytes * _PACKED.get(path.suffix.lower(), 1))
    if not data.strip():
        raise ReadError(
            f"{name} is empty: there is nothing to read in it. Put text into it or take it out of the folder."
        )
    try:
        module, function = reader.split(".")
        reading = clean.mend(getattr(importlib.import_module(f"ingest.readers.{module}"), function)(data, name))
    except ReadError:
        raise
    except (MemoryError, RecursionError) as error:
        raise ReadError(f"{name} is too large or too deeply nested to be read. Split it, or take it out.") from error
    except Exception as error:  # a parser that stumbles over somebody's file must not end the ingest of a folder
        what = one_line(f"{type(error).__name__}: {error}")[:200]
        raise ReadError(f"{name} is damaged or not what its name says ({what}). Repair it or take it out.") from error
    if not reading.blocks:
        raise ReadError(f"{name} holds no text. Put text into it or take it out of the folder.")
    said = one_line(joined_halves(reading.title))[:200]
    return Document(
        path=name,
        title=said or _title_from(name),
        text=reading.text,
        blocks=reading.blocks,
        sha256=hashlib.sha256(data).hexdigest(),
        repairs=dict(reading.repairs),
        notes=reading.notes,
        named=not said,
    )


def picture(path: Path, sha256: str, page: int, words: str, nth: int = 0) -> Picture:
    """A page of a PDF or image file as it looks, these words marked; of the very file that was read, by its hash."""
    from ingest.readers import pdf

    data = _bytes(path, path.name, MAX_BYTES * _PACKED[".pdf"])
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ReadError(f"{path.name} has changed since it was read. Ingest it again.")
    try:
        draw = pdf.picture_of_image if path.suffix.lower() in IMAGES else pdf.picture
        return draw(data, page, words, nth)
    except Exception as error:  # what a parser stumbles over is the file's, and the page's text is there all the same
        what = one_line(f"{type(error).__name__}: {error}")[:200]
        raise ReadError(f"Page {page} of {path.name} cannot be drawn ({what}).") from error


@dataclass(frozen=True, slots=True)
class Step:
    """A sign of life from a reading that takes long: pages done, and how many there are."""

    done: int
    total: int


class Reader:
    """Reads files in a process of its own, which is stopped and replaced when a file hangs it or eats its memory.

    The process starts with the first file. Use it as a context manager.
    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        seconds: float = 120.0,
        memory: int = 2 * 1024**3,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """`waiting` is called now and then while a file is read; what it raises ends the reading.

        `step` is how far it is then, where the file tells. Each step has all of the `seconds`.
        """
        self.max_bytes, self.seconds, self.memory, self.waiting = max_bytes, seconds, memory, waiting
        self.step: Step | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def read(self, path: Path, name: str | None = None) -> Document:
        """As `read`, and stopped after `seconds`."""
        name = path.name if name is None else name
        answer = self._asked(name, (read, path, name, self.max_bytes))
        assert isinstance(answer, Document)
        return answer

    def picture(self, path: Path, sha256: str, page: int, words: str, nth: int = 0) -> Picture:
        """As `picture`, and stopped after `seconds`."""
        from ingest.readers.pdf import Picture

        answer = self._asked(path.name, (picture, path, sha256, page, words, nth))
        assert isinstance(answer, Picture)
        return answer

    def _asked(self, name: str, asked: tuple[object, ...]) -> object:
        process = self._started()
        assert process.stdin
        assert process.stdout
        watch = _Watch(self.seconds, process)
        try:
            pickle.dump(asked, process.stdin)
            process.stdin.flush()
            answer = self._awaited(process, watch)
        except (OSError, EOFError, pickle.UnpicklingError):
            out_of_time = watch.is_over
            self.close()
            raise ReadError(self._why(name, out_of_time)) from None
        finally:
            watch.end()
            self.step = None
        if isinstance(answer, str):
            raise ReadError(answer)
        return answer

    def _awaited(self, process: subprocess.Popen[bytes], watch: _Watch) -> object:
        """What the process answers in the end."""
        while isinstance(answer := self._next(process), Step):
            self.step = answer
            watch.begin()
        return answer

    def _next(self, process: subprocess.Popen[bytes]) -> object:
        """What the process says next; whoever waits for it may lose patience."""
        with futures.ThreadPoolExecutor(1) as waiting:
            assert process.stdout
            answer = waiting.submit(pickle.load, process.stdout)
            try:
                while not answer.done():
                    futures.wait([answer], PATIENT_SECONDS)
                    if not answer.done():
                        self.waiting()
            except BaseException:
                process.kill()  # which ends the answer, too
                raise
            return answer.result()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            home = str(Path(__file__).resolve().parents[1])
            paths = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
            command = [sys.executable, "-c", _SERVE, str(self.seconds), str(self.memory)]
            pipe, void = subprocess.PIPE, subprocess.DEVNULL
            env = {**os.environ, "PYTHONPATH": paths}
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=void, env=env)
            assert self._process.stdout
            if self._process.stdout.read(1) != READY:
                raise ReadError(f"The process that reads files does not start. Try: {' '.join(command)}")
        return self._process

    def _why(self, name: str, out_of_time: bool) -> str:
        if out_of_time:
            return f"{name} took more than {self.seconds:g} seconds to read and was stopped. Split it or take it out."
        return f"{name} crashed its reader (out of memory, or a fault in the parser). Split it or take it out."


class _Watch:
    """Kills a process that gives no sign of life for so many seconds."""

    def __init__(self, seconds: float, process: subprocess.Popen[bytes]) -> None:
        self._seconds, self._process = seconds, process
        self._timer: threading.Timer | None = None
        self.begin()

    def begin(self) -> None:
        self.end()
        self._timer = threading.Timer(self._seconds, self._process.kill)
        self._timer.start()

    def end(self) -> None:
        if self._timer:
            self._timer.cancel()

    @property
    def is_over(self) -> bool:
        return not (self._timer and self._timer.is_alive())


def _bytes(path: Path, name: str, max_bytes: int) -> bytes:
    """The file's bytes as they stood at one moment."""
    try:
        for _ in range(_TRIES):
            before = path.stat()
            if not stat.S_ISREG(before.st_mode):
                raise ReadError(f"{name} is not a file. Take it out of the folder or rename it.")
            if before.st_size > max_bytes:
                raise ReadError(_too_large(name, before.st_size, max_bytes))
            with path.open("rb") as file:
                data = file.read(max_bytes + 1)
            after = path.stat()
            if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size) and len(
                data
            ) == after.st_size:
                return data
    except FileNotFoundError as error:
        raise ReadError(f"{name} is gone: it was there a moment ago. Ingest the folder again.") from error
    except OSError as error:
        raise ReadError(f"{name} cannot be opened ({error.strerror}). Try: chmod +r '{name}'") from error
    raise ReadError(f"{name} changed each of {_TRIES} times that it was read. Ingest it again when it is at rest.")


def _too_large(name: str, size: int, max_bytes: int) -> str:
    mb, limit = -(-size // 2**20), max_bytes // 2**20
    return (
        f"{name} has {mb} MB; a file of its kind is read up to {limit} MB. Split it, or raise the limit with --max-mb."
    )


def _title_from(name: str) -> str:
    stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    words = re.sub(r"[_\-\s]+", " ", stem).strip()
    return words[:1].upper() + words[1:] or name


# The process in which files are read: `Reader` starts it.
#
# It takes a function and what to give it from standard input and answers with what comes back, or the line that says
# why nothing does.


def serve(seconds: float, memory: int) -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a parser that prints must not write between the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    _limit(memory)
    answers.write(READY)
    answers.flush()

    def begin() -> None:
        if hasattr(signal, "alarm"):  # should nobody be left to stop it, it ends by itself
            signal.alarm(int(seconds) + 5)

    def beat(done: int, total: int) -> None:
        begin()
        pickle.dump(Step(done, total), answers)
        answers.flush()

    scan.beat = beat
    while True:
        try:
            work, *given = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        begin()
        try:
            answer: object = work(*given)
        except ReadError as error:
            answer = str(error)
        pickle.dump(answer, answers)
        answers.flush()


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
