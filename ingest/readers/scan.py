"""Words read from pictures of pages, by tesseract's command: each with how sure it is, and where it stands.

What is read so is a reading and not the file's own words, so every line keeps how sure the engine is of it. Pages and
lines that it is hardly sure of are left out, and a note says so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ingest.errors import ReadError

if TYPE_CHECKING:
    from PIL.Image import Image

ENGINE = "tesseract"
MEND = "Words in pictures are read by tesseract: apt-get install tesseract-ocr, then ingest it again."
DPI = 300  # that a page is drawn with: of less, small type is misread
MOST_SIDE = 5000  # pixels: a page is drawn no larger
MOST_PAGES = 500  # of a file
SECONDS = 60.0  # for a page
LEAST_SURE = 75  # per cent, of a page: where it is 88, 96 of 100 characters are right; where it is 56, 62
LEAST_SURE_LINE = 50  # specks, rules and drawings that were taken for words
# A bullet is a picture to the engine: these are what it takes one for.
_BULLET = re.compile(r"[¢«»©®°*+]|e")

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels from the upper left corner
beat: Callable[[int, int], None] = lambda done, total: None  # noqa: E731  # told of each page, of how many


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    sure: int  # per cent
    box: Box


@dataclass(frozen=True, slots=True)
class Row:
    """A line of words as they stand on the picture. `size` is its type's height, `stands` how high above the foot."""

    words: tuple[Word, ...]
    size: float
    stands: float
    height: float  # of the picture

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def sure(self) -> int:
        return _mean(self.words)


def engine() -> str | None:
    return shutil.which(ENGINE)


def rows(image: Image, seconds: float = SECONDS) -> tuple[Row, ...]:
    """The lines of a page, without those that are hardly words. Raises `ReadError` where the engine gives up."""
    found = (_with_bullet(row) for row in _parsed(_run(image, seconds), image.height))
    return tuple(row for row in found if row.sure >= LEAST_SURE_LINE)


def _run(image: Image, seconds: float) -> bytes:
    import io

    out = io.BytesIO()
    image.convert("L").save(out, "PPM")
    command = [engine() or ENGINE, "stdin", "stdout", "--dpi", str(DPI), "hocr"]
    env = {**os.environ, "OMP_THREAD_LIMIT": "1"}  # its threads wait for each other longer than they work
    pipe, void = subprocess.PIPE, subprocess.DEVNULL
    try:
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=void, env=env) as process:
            _limit(process.pid, seconds)
            try:
                answer, _ = process.communicate(out.getvalue(), seconds)
            except BaseException:
                process.kill()
                raise
    except subprocess.TimeoutExpired:
        raise ReadError(f"{ENGINE} took more than {seconds:g} seconds") from None
    except OSError as error:
        raise ReadError(f"{ENGINE} does not start ({error.strerror})") from None
    if process.returncode:
        raise ReadError(f"{ENGINE} ended with {process.returncode}")
    return answer


def _limit(pid: int, seconds: float) -> None:
    """Of its own time, too: should whoever waits for it be stopped, it ends by itself."""
    try:
        import resource

        resource.prlimit(pid, resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
    except (ImportError, AttributeError, OSError):  # not on every system, and it may have ended
        return


def _parsed(hocr: bytes, height: float) -> Iterator[Row]:
    """Of hOCR, the HTML in which OCR engines say what they read; words and lines have their numbers in `title`."""
    from lxml import etree

    try:
        page = etree.fromstring(hocr, etree.HTMLParser(encoding="utf-8", huge_tree=True))
    except etree.XMLSyntaxError:
        page = None
    for line in page.iter("span") if page is not None else ():
        words = tuple(_words(line)) if "x_size" in line.get("title", "") else ()
        if words:
            said = _said(line)
            _, top, _, bottom = said["bbox"]
            rise = said.get("baseline", (0.0, 0.0))[1]
            yield Row(words, said["x_size"][0] or bottom - top, height - bottom - rise, height)


def _words(line: Any) -> Iterator[Word]:
    for span in line.iter("span"):
        text = "".join(span.itertext()).strip()
        if span.get("class") == "ocrx_word" and text:
            said = _said(span)
            left, top, right, bottom = said["bbox"]
            yield Word(text, round(said["x_wconf"][0]), (left, top, right, bottom))


def _said(span: Any) -> dict[str, tuple[float, ...]]:
    parts = (part.split() for part in span.get("title", "").split(";"))
    return {name: tuple(map(float, numbers)) for name, *numbers in parts}


def _with_bullet(row: Row) -> Row:
    first, *rest = row.words
    if len(rest) > 1 and _BULLET.fullmatch(first.text) and (first.text != "e" or rest[0].text[0].isupper()):
        return replace(row, words=(replace(first, text="•"), *rest))
    return row


def _mean(words: Iterable[Word]) -> int:
    """As sure as the engine is of a word of them, long ones counting for more."""
    weighed = [(len(word.text), word.sure) for word in words]
    return round(sum(length * sure for length, sure in weighed) / (sum(length for length, _ in weighed) or 1))


@dataclass(slots=True)
class Scans:
    """The pages of one file that are pictures, and what became of them."""

    pages: int  # how many of them there are
    read: dict[int, int] = field(default_factory=dict)  # page -> how sure
    poor: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)  # there is no engine
    failed: dict[int, str] = field(default_factory=dict)
    over: list[int] = field(default_factory=list)
    _tried: int = 0

    def page(self, number: int, draw: Callable[[], Image]) -> tuple[Row, ...]:
        """What the picture says; nothing where the engine is not sure of it."""
        if not engine():
            self.left.append(number)
            return ()
        if self._tried >= MOST_PAGES:
            self.over.append(number)
            return ()
        beat(self._tried, self.pages)
        self._tried += 1
        try:
            found = rows(draw())
        except ReadError as error:
            self.failed[number] = str(error)
            return ()
        sure = _mean(word for row in found for word in row.words)
        if sure < LEAST_SURE:
            self.poor.append(number)
            return ()
        self.read[number] = sure
        return found

    def notes(self) -> tuple[str, ...]:
        sure = round(sum(self.read.values()) / (len(self.read) or 1))
        said = [
            (self.read, f"read by OCR, {sure} % sure"),
            (self.poor, f"left out: OCR is not {LEAST_SURE} % sure of any words there; scan them upright at {DPI} dpi"),
            (self.failed, f"not read by OCR: {', '.join(dict.fromkeys(self.failed.values()))}"),
            (self.over, f"not read: OCR reads {MOST_PAGES} pages of a file; split it"),
            (self.left, f"only pictures and not read. {MEND}"),
        ]
        return tuple(f"{_listed(pages)}: {what}" for pages, what in said if pages)


def _listed(pages: Iterable[int]) -> str:
    """`pages 1, 4 to 7`."""
    runs = [[page for _, page in run] for _, run in groupby(enumerate(sorted(pages)), lambda of: of[1] - of[0])]
    named = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
    return f"page{'s' if len(runs) > 1 or len(runs[0]) > 1 else ''} {named}"


# Image files, as pages.

SMALL = 2000  # pixels of the longer side: enlarged to twice its size, type of 60 dots an inch is read as well
MOST_PIXELS = 150_000_000  # of a picture: what unpacks to more is refused before it is


def frames(data: bytes, name: str) -> Iterator[Callable[[], Image]]:
    """The pages of an image file, each drawn when it is asked for: upright, in grey, on white."""
    import io

    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise ReadError(f"{name} is no whole picture. Save or scan it again.") from error
    if image.width * image.height > MOST_PIXELS:
        size = f"{image.width} by {image.height}"
        raise ReadError(f"{name} is too large a picture ({size} pixels). Make it smaller or split it.")
    return (partial(_frame, image, number) for number in range(getattr(image, "n_frames", 1)))


def _frame(image: Any, number: int) -> Image:
    from PIL import Image, ImageOps

    image.seek(number)
    frame: Any = ImageOps.exif_transpose(image)
    if frame.mode.startswith("I"):  # 16 bits
        frame = frame.point(lambda value: value / 256)
    elif frame.has_transparency_data:
        white = Image.new("RGBA", frame.size, "white")
        frame = Image.alpha_composite(white, frame.convert("RGBA"))
    frame = frame.convert("L")
    if max(frame.size) < SMALL:
        frame = frame.resize((2 * frame.width, 2 * frame.height), Image.Resampling.LANCZOS)
    frame.thumbnail((MOST_SIDE, MOST_SIDE))
    found: Image.Image = frame
    return found
