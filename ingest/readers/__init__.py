"""One reader per format. Each takes a file's bytes and its name and gives a `Reading`: a text and its blocks.

A reader either keeps the file's own text and finds the blocks in it (Markdown, plain text), or writes a text of its own
with a `Draft` (everything else). Either way the blocks are exact: in order, apart, trimmed, and covering all that is
not blank.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ingest.errors import ReadError

Kind = Literal["heading", "question", "paragraph", "item", "table", "code", "front_matter", "furniture"]


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document's text: `text[start:end]`, without the blank lines around it.

    `level` is a heading's (or an FAQ question's) depth, 1 the highest; for an item its nesting, 1 the outermost.
    `label` is what a heading says without its markup. A table's header is `text[start:header_end]`, the line of dashes
    below it included; where `header_end` is 0 the block has none. Code blocks include their fences, if there are any.
    `page` is the page on which the block begins, where the file has pages, and `turns` says after how many of its
    characters it goes on on another, and on which. Where its words were read from a picture, `sure` says from which
    of its characters on the reader is how sure of them, in per cent.
    """

    kind: Kind
    start: int
    end: int
    level: int = 0
    label: str = ""
    header_end: int = 0
    page: int | None = None
    turns: tuple[tuple[int, int], ...] = ()
    sure: tuple[tuple[int, int], ...] = ()


def pages_of(blocks: Iterable[Block]) -> Iterator[tuple[int, int]]:
    """From which offset on the text stands on which page; nothing where the file has no pages."""
    before = None
    for block in blocks:
        for start, page in ((block.start, block.page), *((block.start + at, page) for at, page in block.turns)):
            if page is not None and page != before:
                yield start, page
            before = page


def sure_of(blocks: Iterable[Block]) -> Iterator[tuple[int, int, int]]:
    """From where to where the words were read from a picture, and how sure that is in per cent."""
    for block in blocks:
        begins = [block.start + at for at, _ in block.sure]
        for start, end, (_, sure) in zip(begins, [*begins[1:], block.end], block.sure, strict=False):
            yield start, end, sure


@dataclass(frozen=True, slots=True)
class Reading:
    text: str
    blocks: tuple[Block, ...]
    title: str = ""
    repairs: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def one_line(text: str) -> str:
    """Without line ends, and with one space where there were several."""
    return " ".join(text.split())


def settle(text: str, blocks: Iterable[Block]) -> tuple[Block, ...]:
    """Blocks in order, trimmed and apart; what lies between them and is not blank becomes furniture."""
    settled: list[Block] = []
    reached = 0
    for block in sorted(blocks, key=lambda block: (block.start, block.end)):
        trimmed = _trim(text, replace(block, start=max(block.start, reached)))
        if trimmed is None:
            continue
        settled += _filler(text, reached, trimmed.start)
        settled.append(trimmed)
        reached = trimmed.end
    return (*settled, *_filler(text, reached, len(text)))


def _trim(text: str, block: Block) -> Block | None:
    piece = text[block.start : block.end]
    start = block.start + len(piece) - len(piece.lstrip())
    end = block.start + len(piece.rstrip())
    if start >= end:
        return None
    header_end = min(block.header_end, end) if block.header_end > start else 0
    return replace(block, start=start, end=end, header_end=header_end)


def _filler(text: str, start: int, end: int) -> list[Block]:
    filler = _trim(text, Block("furniture", start, end)) if start < end else None
    return [filler] if filler else []


class Draft:
    """A text and its blocks, written side by side."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.blocks: list[Block] = []

    def add(
        self,
        kind: Kind,
        text: str,
        *,
        level: int = 0,
        label: str = "",
        header: int = 0,
        page: int | None = None,
        turns: tuple[tuple[int, int], ...] = (),
        sure: tuple[tuple[int, int], ...] = (),
    ) -> None:
        """Append one block. `header` is the length of a table's. Items stand close, all else a blank line apart."""
        body = text.strip()
        if not body:
            return
        close = kind == "item" and bool(self.blocks) and self.blocks[-1].kind == "item"
        indent = "  " * (level - 1) if kind == "item" else ""
        start = self._write(body, ("\n" if close else "\n\n") + indent)
        header_end = start + header if header else 0
        self.blocks.append(Block(kind, start, start + len(body), level, label, header_end, page, turns, sure))

    def extend(self, text: str, blocks: Iterable[Block]) -> None:
        """Append a piece that has its blocks already."""
        if text.strip():
            shift = self._write(text, "\n\n")
            self.blocks += [moved(block, shift) for block in blocks]

    def heading(self, text: str, level: int, page: int | None = None, sure: tuple[tuple[int, int], ...] = ()) -> None:
        label = one_line(text)
        level = min(max(level, 1), 6)
        self.add("heading", f"{'#' * level} {label}" if label else "", level=level, label=label, page=page, sure=sure)

    def code(self, text: str, language: str = "", page: int | None = None) -> None:
        body = text.strip("\n").rstrip()
        inside = re.findall(r"^[^\S\n]*(`{3,})", body, re.MULTILINE)
        fence = "`" * max(3, 1 + max(map(len, inside), default=0))
        self.add("code", f"{fence}{language}\n{body}\n{fence}" if body.strip() else "", page=page)

    def table(self, rows: Iterable[Iterable[str]], *, header: bool = True, page: int | None = None) -> None:
        """A pipe table. Without a header row it is rows alone."""
        lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
        if not lines:
            return
        top = ""
        if header:
            top = lines[0] + "\n" + "|" + "---|" * _columns(lines[0])
            lines = [top, *lines[1:]]
        self.add("table", "\n".join(lines), header=len(top), page=page)

    def reading(
        self, title: str = "", notes: tuple[str, ...] = (), repairs: Mapping[str, int] | None = None
    ) -> Reading:
        text = "".join(self._parts)
        return Reading(text, settle(text, self.blocks), title, repairs or {}, notes)

    def _write(self, text: str, gap: str) -> int:
        gap = gap if self._length else ""
        self._parts += [gap, text]
        self._length += len(gap) + len(text)
        return self._length - len(text)


def moved(block: Block, shift: int) -> Block:
    header_end = block.header_end + shift if block.header_end else 0
    return replace(block, start=block.start + shift, end=block.end + shift, header_end=header_end)


def _cell(text: str) -> str:
    return one_line(text).replace("|", r"\|")


def _columns(line: str) -> int:
    return line.replace(r"\|", "").count("|") - 1


# Bytes become text: the encoding found out, line ends made one, what cannot be seen taken out.

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SAMPLE = 200_000  # bytes that are looked at where an encoding must be guessed

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_INVISIBLE = re.compile("[\ufeff\u200b\u2060\u00ad]")
_HARD_SPACE = re.compile("[\u00a0\u2007\u202f]")
# UTF-8 that was read as Latin-1: its second bytes are control characters, which nobody types and which are gone below.
_C1_MOJIBAKE = re.compile("[\u00c2-\u00f4][\u0080-\u00bf]?[\u0080-\u009f]")
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: what no file, index or model takes
_DATA = re.compile(r"(data:[\w.+-]+/[\w.+-]+;base64,)[A-Za-z0-9+/=\s]{100,}")
_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def decode(data: bytes, name: str) -> tuple[str, tuple[str, ...], Counter[str]]:
    """The text, notes about its encoding, and what was mended in it."""
    text, note = _decoded(data, name)
    mended, repairs = tidy(text)
    if not mended.strip():
        raise ReadError(
            f"{name} is empty: there is nothing to read in it. Put text into it or take it out of the folder."
        )
    return mended, (note,) if note else (), repairs


def tidy(text: str) -> tuple[str, Counter[str]]:
    """Line ends as `\\n`; control characters and what is invisible removed; hard spaces as spaces."""
    repairs: Counter[str] = Counter()
    if _C1_MOJIBAKE.search(text):
        text, repairs["mojibake mended"] = _demojibaked(text)
    if halves := len(_SURROGATE.findall(text)):
        text = joined_halves(text)
        repairs["halves of characters mended"] = halves
    text = _BREAK.sub("\n", text)
    for kind, pattern, stands_for in (
        ("control characters removed", _CONTROL, ""),
        ("invisible characters removed", _INVISIBLE, ""),
        ("hard spaces made plain", _HARD_SPACE, " "),
        ("embedded images removed", _DATA, r"\1"),
    ):
        text, count = pattern.subn(stands_for, text)
        repairs[kind] += count
    return text, +repairs


def joined_halves(text: str) -> str:
    """Two halves of a character side by side are that character; what is left of one is \ufffd."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _demojibaked(text: str) -> tuple[str, int]:
    import ftfy

    lines = text.split("\n")
    broken = [at for at, line in enumerate(lines) if _C1_MOJIBAKE.search(line)]
    for at in broken:
        lines[at] = ftfy.fix_encoding(lines[at]).replace("\n", " ")
    return "\n".join(lines), len(broken)


def _decoded(data: bytes, name: str) -> tuple[str, str]:
    for bom, encoding in BOMS:
        if data.startswith(bom):
            note = "" if encoding == "utf-8" else f"read as {encoding.upper()}"
            return data[len(bom) :].decode(encoding, errors="replace"), note
    if wide := _utf16_without_bom(data):
        return data.decode(wide, errors="replace"), f"read as {wide.upper()} without a byte order mark"
    _refuse_binary(data, name)
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError:
        return _not_utf8(data)


def _utf16_without_bom(data: bytes) -> str:
    """Latin text in UTF-16 has a zero in every other byte, and in no other place."""
    sample = data[:SAMPLE]
    if len(sample) < 8:
        return ""
    half = len(sample) / 2
    odd, even = sample[1::2].count(0) / half, sample[0::2].count(0) / half
    if odd > 0.6 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 and odd < 0.05 else ""


def _refuse_binary(data: bytes, name: str) -> None:
    sample = data[:SAMPLE]
    control = sum(sample.count(byte) for byte in (*range(9), *range(14, 27), *range(28, 32)))
    # A stray NUL in a text is mended; a file of which one byte in 50 cannot be typed is no text.
    if control > len(sample) / 50:
        raise ReadError(f"{name} is not text: it holds binary data under a text file's name. Rename it or take it out.")


def _not_utf8(data: bytes) -> tuple[str, str]:
    text = data.decode("utf-8", errors="replace")
    broken, whole = text.count("\ufffd"), sum(1 for char in text if ord(char) > 127 and char != "\ufffd")
    if whole > 2 * broken:
        return text, f"{broken} bytes are not UTF-8 and were replaced by \ufffd"
    if encoding := _foreign(data):
        return data.decode(encoding, errors="replace"), f"read as {encoding} (a guess: it is not UTF-8)"
    try:
        return data.decode("cp1252"), "read as cp1252 (Windows): it is not UTF-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "read as Latin-1: it is not UTF-8"


def _foreign(data: bytes) -> str:
    """A text of which a third is not ASCII is hardly Western: then the guess is charset-normalizer's."""
    sample = data[:SAMPLE]
    if sum(byte > 127 for byte in sample) < len(sample) / 3:
        return ""
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best and best.encoding not in ("cp1252", "latin_1", "ascii", "utf_8") else ""


# Lines that belong to a web page and not to what it says: share buttons, copyright, tags, affiliate notes.
#
# What is set aside is not searched. So a first word is not enough: the whole line has to be of such a kind, and what
# stands behind a label has to be names, dates or keywords. A line that goes on as a sentence stays.

_NETWORK = r"(?:facebook|twitter|x|linkedin|pinterest|reddit|whatsapp|telegram|e-?mail|print|instagram|youtube|github)"
_WHOLE = re.compile(
    rf"""^\W*(?:
        (?:\d+\s+)?comments?(?:\s*\(\d+\))? | leave\ a\ (?:comment|reply)(?:\ (?:below|on|to)\b.{{0,60}})?
      | (?:no|add|post)\ comments?(?:\ yet)?
      | share(?:\ (?:this|on|via|with)(?:\ (?:article|page|post|story|guide|friends|{_NETWORK}))?)? | tweet
      | {_NETWORK}(?:[\s|,·]+{_NETWORK})+
      | (?:related|recommended|popular|recent|more)\ (?:posts?|articles?|reading|stories)
            (?:\ (?:by|for|from|in|on)\b.{{0,20}})?
      | back\ to\ top | skip\ to\ (?:main\ )?content | advertisements? | sponsored | copy(?:\ code)?
      | (?:previous|next)(?:\ (?:post|article|page))?
      | (?:sign\ up|subscribe)\b.{{0,60}}\bnewsletter\b.{{0,60}}
      | (?:tags?|table\ of\ contents|on\ this\ page|contents):?
      | all\ rights\ reserved.{{0,60}} | accept\ (?:all\ )?cookies | (?:sign|log)\ (?:in|up|out)
      | ~?\d+[-\ ]min(?:ute)?s?\.?\ read(?:\s*[·|,(–—-].{{0,40}})?
      | (?:last\ )?(?:updated|published|posted)(?:\ on)?:?\s+(?:\w+\s+\d{{1,2}},?\s+)?(?:\w+\s+)?(?:19|20)\d\d
      )\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
# A label with a colon and keywords behind it, or without one and nothing but names, dates and hash tags.
_NAME = r"(?:[A-Z0-9#@&][\w.:+#@’'-]*|by|in|on|at|and|of|the|am|pm|admin|[,·|&–-])"
_LABELLED = re.compile(
    rf"""^\W*(?:
        (?i:tags?|filed\ under|categor(?:y|ies)|posted\ (?:in|by|on))
            (?: \s*:\s*(?P<keywords>.{{1,120}}) | \s+{_NAME}(?:,?\s+{_NAME}){{0,20}} )
      | (?:(?i:copyright)\s*)?(?:©|\((?i:c)\)\s*(?:19|20)\d\d|(?i:copyright)\s+(?:19|20)\d\d)[\d\s,–-]*
            (?: {_NAME}(?:,?\s+{_NAME}){{0,20}} )?
            (?:[.,|\s]+(?i:(?:all\ )?rights\ reserved|licen[sc]ed|made\ with).{{0,200}})?
      )\W*$""",
    re.VERBOSE,
)
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)")
_LATER_WORDS = re.compile(r"\b(?:affiliate|commission|reader-supported|sponsor)", re.IGNORECASE)
_DISCLAIMED = re.compile(r"^\W*(?:disclaimer|disclosure)\b", re.IGNORECASE)
# The page speaks of itself: "we may earn a commission", "this post contains affiliate links".
_PAID = re.compile(
    r"\b(?:we|i|us|our|my|this (?:site|website|page|post|article|guide|blog)|links? (?:on|in) this)\b.{0,80}?"
    r"\b(?:affiliate (?:links?|commissions?|programs?|partners?)|earn(?:s|ing)? (?:us |me )?(?:a|an)(?: small)? "
    r"(?:affiliate |referral )?commission)\b",
    re.IGNORECASE,
)
_LONGEST = 500  # characters: what is longer says something


def is_furniture(line: str) -> bool:
    bare = line.strip()
    if len(bare) > _LONGEST:
        return False
    if labelled := _LABELLED.match(bare):
        return not _SENTENCE_END.search(labelled["keywords"] or "")
    return bool(_WHOLE.match(bare) or _PAID.search(bare) or (_DISCLAIMED.match(bare) and _LATER_WORDS.search(bare)))


# Which headings are questions that their section answers: those of an FAQ, and those right above a short answer.

FAQ = re.compile(
    r"\b(?:FAQs?|frequently asked|common questions|questions (?:and|&) answers|Q\s?&\s?A)\b", re.IGNORECASE
)
_ASKED = re.compile(r"^Q(?:uestion)?\s*\d*\s*[.:)]", re.IGNORECASE)
_LONGEST_ANSWER = 1500  # characters: a longer section has a title that happens to be a question


def mark_questions(text: str, blocks: Sequence[Block], only_in_faq: bool = False) -> tuple[Block, ...]:
    """`only_in_faq` is for texts whose levels are guessed: there a section may look shorter than it is."""
    marked = list(blocks)
    faq_level = 0
    for index, block in enumerate(blocks):
        if block.kind != "heading":
            continue
        if faq_level and block.level <= faq_level:
            faq_level = 0
        if FAQ.search(block.label) and not block.label.endswith("?"):
            faq_level = block.level
        elif faq_level:
            if "?" in block.label or _ASKED.match(block.label):
                marked[index] = replace(block, kind="question")
        elif not only_in_faq and block.level > 1 and _asks(block.label) and _answered_at_once(text, blocks, index):
            marked[index] = replace(block, kind="question")
    return tuple(marked)


def _asks(label: str) -> bool:
    return label.rstrip("*_ ").endswith("?") or bool(_ASKED.match(label))


def _answered_at_once(text: str, blocks: Sequence[Block], index: int) -> bool:
    """The heading's section is one short answer: prose, no deeper heading."""
    if index + 1 == len(blocks) or blocks[index + 1].kind not in ("paragraph", "item"):
        return False
    end = len(text)
    for block in blocks[index + 1 :]:
        if block.kind in ("heading", "question"):
            if block.level > blocks[index].level:
                return False
            end = block.start
            break
    return end - blocks[index].end <= _LONGEST_ANSWER
