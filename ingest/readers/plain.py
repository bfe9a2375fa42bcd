"""Plain text as it is saved from web pages: nothing marks a heading, a list is a bullet at most, code lost its indents.

The text stays the file's own apart from certain repairs. Lines are told apart first (code, table, item, furniture),
then short lines that stand above others are seen to be headings, then lines become blocks.
"""

from __future__ import annotations

import ast
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ingest.readers import Block, Reading, decode, is_furniture, mark_questions, markdown, one_line, settle

# The lines of a plain text, told apart: code, table rows, items, and what belongs to the page it was saved from.

Tag = Literal["blank", "code", "table", "item", "furniture", "front_matter", "heading", "text"]

BULLET = re.compile(r"^(?P<indent>\s*)(?:[•◦▪▸‣●○∙·*–—-]|o(?=\s{2}|\t)|\d{1,3}[.)]|\(?[a-z\d]\))\s+(?=\S)")
CODE_LABEL = re.compile(
    r"^(PYTHON|BASH|SHELL|CONSOLE|TERMINAL|POWERSHELL|JAVASCRIPT|TYPESCRIPT|JSON|YAML|SQL|HTML|CSS|JAVA|RUST|TOML|XML)"
    r"(?=[A-Z]|$)"
)
_TABLE_ROW = re.compile(r"^\s*\|.*\|\s*$|^\s*\+(?:[-=]+\+)+\s*$")


@dataclass(slots=True)
class Page:
    lines: list[str]
    tags: list[Tag]
    wrapped: bool = False

    def below(self, at: int) -> int:
        """The next line that is not blank."""
        at += 1
        while at < len(self.lines) and self.tags[at] == "blank":
            at += 1
        return at

    def tag(self, at: int) -> Tag | None:
        return self.tags[at] if 0 <= at < len(self.lines) else None


def tagged(text: str) -> Page:
    """Every line with its tag; what is not yet known to be something else is "text"."""
    lines = text.split("\n")
    page = Page(lines, _tags(lines))
    page.wrapped = _is_wrapped(page)
    _mark_badges(page)
    _mark_tag_list(page)
    return page


def _tags(lines: Sequence[str]) -> list[Tag]:
    tags: list[Tag] = ["blank" if not line.strip() else "text" for line in lines]
    for start, end in code_runs(lines):
        tags[start:end] = ["code"] * (end - start)
    for at, line in enumerate(lines):
        if tags[at] != "text":
            continue
        if _TABLE_ROW.match(line):
            tags[at] = "table"
        elif line.startswith("export const ") and at < 5:
            tags[at] = "front_matter"
        elif is_furniture(line) or (
            CODE_LABEL.fullmatch(line.strip().upper()) and "code" in tags[max(0, at - 1) : at + 2]
        ):
            tags[at] = "furniture"
        elif BULLET.match(line):
            tags[at] = "item"
    _mark_columns(lines, tags)
    return tags


def _mark_columns(lines: Sequence[str], tags: list[Tag]) -> None:
    """Three or more lines with the same number of tabs between words are a table that was copied from a page."""
    at = 0
    while at < len(lines):
        tabs = lines[at].strip().count("\t")
        end = at
        while end < len(lines) and tabs and tags[end] == "text" and lines[end].strip().count("\t") == tabs:
            end += 1
        if end - at >= 3:
            tags[at:end] = ["table"] * (end - at)
        at = max(end, at + 1)


def _is_wrapped(page: Page) -> bool:
    """Are paragraphs broken into lines? Then most lines without a full stop go on below with a small letter."""
    pairs = [
        (line, page.lines[at + 1])
        for at, line in enumerate(page.lines[:-1])
        if page.tags[at] in ("text", "item") and page.tags[at + 1] == "text"
    ]
    on = sum(
        30 <= len(line) <= 130 and line.rstrip()[-1] not in ".!?:" and below.lstrip()[0].islower()
        for line, below in pairs
    )
    return on >= 3 and on >= 0.25 * len(pairs)


def _mark_badges(page: Page) -> None:
    """Two or more short lines that each begin with a pictogram: reading time, level, "updated"."""
    for start, end in _runs(page, lambda line: len(line) <= 45 and unicodedata.category(line.strip()[0]) == "So"):
        if end - start >= 2:
            page.tags[start:end] = ["furniture"] * (end - start)


def _mark_tag_list(page: Page) -> None:
    """The keywords below an article: at its very end a run of short lines that no paragraph follows."""
    runs = _runs(page, lambda line: len(line) <= 40 and len(line.split()) <= 5 and line.rstrip()[-1] not in ".:;?!")
    if runs:
        start, end = runs[-1]
        if end - start >= 4 and page.below(end - 1) == len(page.lines):
            page.tags[start:end] = ["furniture"] * (end - start)


def _runs(page: Page, short: Callable[[str], bool]) -> list[tuple[int, int]]:
    runs, at = [], 0
    while at < len(page.lines):
        end = at
        while page.tag(end) in ("text", "furniture") and short(page.lines[end]):
            end += 1
        if end > at:
            runs.append((at, end))
        at = max(end, at + 1)
    return runs


# Finds code in plain text whose indentation and fences are gone.
#
# A line is *strong* if it can hardly be prose: Python that parses to an assignment, a call, an import, a definition, a
# shell command, a line of another language's syntax. A run of code begins at a strong line (or a comment above one)
# and goes on over whatever stands inside its brackets and over weak lines (a name, a comment, `pass`) between strong
# ones.

_COMMENT = re.compile(r"^\s*(?:#(?!#)\s?\S|//\s|--\s\S)")
_STRONG = re.compile(
    r"""^\s*(?:
        (?:from\s+[\w.]+\s+import|import\s+[\w.]+(?:\s+as\s+\w+)?\s*(?:\#.*)?$)
      | @[\w.]+(?:\(.*)?$
      | (?:async\s+)?def\s+\w+\s*\(
      | class\s+\w+(?:\(.*\))?:\s*(?:\#.*)?$
      | (?:el)?if\s.+:\s*(?:\#.*)?$ | else:\s*(?:\#.*)?$ | try:$ | except\b.*:$ | finally:$
      | (?:async\s+)?(?:with|for)\s+\w.*[\[({)\]].*:\s*(?:\#.*)?$ | (?:async\s+)?with\s+\w[\w.]*\($
      | (?:\$|>>>|\.\.\.|In\s\[\d+\]:)\s+\S
      | (?:sudo\s+)?
        (?:pip3?|conda|uv|npm|npx|yarn|git|docker|kubectl|apt|apt-get|brew|ollama|huggingface-cli|vllm|cargo)\s+
        (?:-{1,2}\w|install|add|init|run|create|activate|clone|pull|push|build|login|download|serve|sync|update|commit|compose)\b
      | (?:curl|wget)\s+(?:-|https?://) | python3?\s+(?:-m\s|\S+\.py\b) | cd\s+[\w./~-]+$ | (?:export|set)\s+\w+=\S
      | (?:const|let|var)\s+\w+\s*= | function\s+\w*\( | \#include\s*< | (?:public|private|static)\s+\w+.*[({;]$
      | SELECT\s+.+\s+FROM\s | (?:INSERT\s+INTO|CREATE\s+TABLE|UPDATE\s+\w+\s+SET)\s
      | (?:RUN|COPY|ENTRYPOINT|CMD|WORKDIR)\s+\S.*$ (?<![.!?])
      | <\?php | <!DOCTYPE | </?[a-z][a-z0-9]*(?:\s[^<>]*)?>.*</?[a-z][a-z0-9]*>$
      | Traceback\s\(most\srecent\scall\slast\):
    )""",
    re.VERBOSE,
)
_OPENS = re.compile(r"(?:\w[\w.\]]*|[=:,])\s?[\[({]\s*(?:#.*)?$")
_STATEMENT_END = re.compile(r"[)\]};]\s*;\s*$|^\s*[}\])]+[;,]?\s*$|\{\s*$")
_CALL = re.compile(r"^[\w.\[\]'\"]*[\w\])]\(")
_BRACKETS_ONLY = re.compile(r"^\s*[\])}]+[,;:]?\s*(?:#.*)?$")
_WEAK_WORD = re.compile(r"^\s*(?:pass|break|continue|return|yield|[\w.]+,?|\.\.\.)\s*(?:#.*)?$")
_STRING = re.compile(r"[rbfu]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')", re.IGNORECASE)
_MOST_COMMENTS = 60  # lines of comment above a line of code
_LONGEST_IN_BRACKETS = 80  # lines: a bracket left open longer than this was no code


def code_runs(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Runs of code as (first line, line behind the last), in order."""
    runs: list[tuple[int, int]] = []
    at = 0
    while at < len(lines):
        end = _run_end(lines, at) if _begins(lines, at) else at
        if end > at:
            runs.append((at, end))
        at = max(end, at + 1)
    return runs


def _begins(lines: Sequence[str], at: int) -> bool:
    if _COMMENT.match(lines[at]):
        below = _skip_comments(lines, at)
        return below < len(lines) and strong(lines[below])
    if not strong(lines[at]):
        return False
    # One line alone must be beyond doubt; `accuracy = right / all` may be a formula in prose.
    return (
        bool(_STRONG.match(lines[at])) or _open_brackets(lines[at]) > 0 or _goes_on(lines, at + 1) or _calls(lines[at])
    )


def _run_end(lines: Sequence[str], at: int) -> int:
    depth, since_closed, end = 0, at, at
    prompt = lines[at].lstrip().startswith((">>>", "$ ", "Traceback"))
    while end < len(lines):
        line = lines[end]
        if depth > 0 and end - since_closed > _LONGEST_IN_BRACKETS:
            return since_closed + 1
        if depth <= 0 and not (_belongs(lines, end) or (prompt and line.strip())):
            break
        depth = max(0, depth + _open_brackets(line))
        since_closed = end if depth == 0 else since_closed
        end += 1
    while end > at and not lines[end - 1].strip():
        end -= 1
    return end


def _belongs(lines: Sequence[str], at: int) -> bool:
    line = lines[at]
    if strong(line) or _BRACKETS_ONLY.match(line):
        return True
    if _COMMENT.match(line):  # above prose with a blank line before it, it is a heading
        below = _skip_comments(lines, at)
        return _goes_on(lines, below) or not (at and not lines[at - 1].strip())
    if not line.strip():
        return _goes_on(lines, at + 1)
    return bool(_WEAK_WORD.match(line) or _statements(line.strip())) and _goes_on(lines, at + 1)


def _goes_on(lines: Sequence[str], at: int) -> bool:
    """Is the next line that says something code? At most two blank lines are looked across."""
    for line in lines[at : at + 3]:
        if line.strip():
            return strong(line) or bool(_COMMENT.match(line) and strong((*lines, "")[_skip_comments(lines, at)]))
    return False


def _skip_comments(lines: Sequence[str], at: int) -> int:
    end = min(len(lines), at + _MOST_COMMENTS)
    while at < end and (_COMMENT.match(lines[at]) or not lines[at].strip()):
        at += 1
    return at


def strong(line: str) -> bool:
    bare = line.strip()
    if not bare or len(bare) > 400:
        return False
    if _STRONG.match(bare) or _STATEMENT_END.search(_STRING.sub("''", bare)) or _OPENS.search(bare):
        return not _prose(bare)
    return any(_telling(node, bare) for node in _statements(bare))


def _prose(line: str) -> bool:
    """A sentence that happens to begin like a command: it ends like one and has no sign of syntax."""
    return line[-1] in ".!?" and not re.search(r"[=(\[{$/_]|--", line)


def _telling(node: ast.stmt, line: str) -> bool:
    """Can prose not be taken for this statement? To Python `Compute (GPU)` is a call, `return policy` a return."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Assert | ast.Import | ast.ImportFrom | ast.With):
        return True
    if isinstance(node, ast.AnnAssign):
        return node.value is not None
    if isinstance(node, ast.Return):
        return node.value is not None and not isinstance(node.value, ast.Name)
    if isinstance(node, ast.Raise):
        return isinstance(node.exc, ast.Call)
    return isinstance(node, ast.Expr) and bool(_CALL.match(line))


def _calls(line: str) -> bool:
    return bool(_CALL.match(line.strip())) and bool(_statements(line.strip()))


def _statements(line: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "invalid escape sequence" in somebody's prose
            return ast.parse(line + " pass" if line.endswith(":") else line).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []


def _open_brackets(line: str) -> int:
    bare = _STRING.sub("", line).split("#", 1)[0]
    return sum(bare.count(char) for char in "([{") - sum(bare.count(char) for char in ")]}")


# How deep is each heading of a plain text? Nothing marks it; this goes by what a careful reader goes by.
#
# Two blank lines above, numbering, a colon at the end, a heading straight under a heading, "four things:" before four
# of them. Level 1 is the title's. What cannot be told stays at level 2.

NUMBERED = re.compile(
    r"^(?:(?P<dotted>\d{1,2}(?:\.\d{1,2})+)\.?|\d{1,2}[.)]|(?:step|part|phase|stage)\s+\d{1,2}\b)", re.IGNORECASE
)
_NUMBERS = {word: n for n, word in enumerate("two three four five six seven eight nine ten".split(), start=2)}
_SMALL = frozenset(
    "a an and are as at between by for from how in is it of on or the to vs what when which with you your".split()
)
DEEPEST = 6
_TOP = re.compile(
    r"^(?:introduction|conclusions?|bottom line|summary|(?:key )?takeaways?|final thoughts|further reading|references"
    r"|FAQs?|frequently asked questions?|common questions)\b.{0,30}$",
    re.IGNORECASE,
)
_FAQ = re.compile(r"^(?:FAQs?|frequently asked|common questions|Q\s?&\s?A)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """A heading as it was found. `lead` is the last paragraph between the heading before and this one, if any."""

    label: str
    blanks: int = 0  # blank lines above it
    colon: bool = False  # it labels what follows: "Examples:"
    direct: bool = False  # nothing stands between the heading before and this one
    lead: str = ""
    paragraphs: int = 0  # blocks in its own section
    bare: str = ""  # "code" or "table" where its section is that and nothing else
    fixed: int = 0  # its level where something does mark it

    @property
    def numbered(self) -> bool:
        return bool(NUMBERED.match(self.label))


@dataclass(slots=True)
class _Family:
    """Headings that stand under one other: how deep, what the first is like, how many there should be (0: unknown)."""

    parent: Found
    level: int
    first: Found
    count: int
    members: list[str]


def levels(headings: Sequence[Found]) -> list[int]:
    return _Levels(headings).found()


class _Levels:
    def __init__(self, headings: Sequence[Found]) -> None:
        self.headings = headings
        self.spaced = 2 < sum(heading.blanks >= 2 for heading in headings) < len(headings)
        self.families: list[_Family] = []
        self.closed: list[str] = []  # members of the last family that ended
        self.chapter = ""
        self.top = 1  # level of the last heading that is no colon label

    def found(self) -> list[int]:
        return [min(self._level(index, heading), DEEPEST) for index, heading in enumerate(self.headings)]

    def _level(self, index: int, heading: Found) -> int:
        if heading.colon:
            return self.top + 1
        if heading.fixed:
            self.families, self.top = [], heading.fixed
        elif (self.spaced and heading.blanks >= 2) or _TOP.match(heading.label):
            self.top, self.chapter = 2, heading.label
            self.families = [_Family(heading, 3, heading, 0, [])] if _FAQ.match(heading.label) else []
        else:
            self.top = self._in_families(index, heading)
        return _dotted(heading) or self.top

    def _in_families(self, index: int, heading: Found) -> int:
        before = len(self.families)
        while self.families and self._ended(self.families[-1], index, heading):
            self.closed = self.families.pop().members
        if index and len(self.families) == before and (family := self._begun(self.headings[index - 1], index, heading)):
            self.families.append(family)
        if self.families:
            self.families[-1].members.append(heading.label)
            return self.families[-1].level
        base = 3 if self.spaced else 2
        # A section of nothing but code belongs to the prose above it, and so does a table right behind such a section.
        below = heading.bare in ("code", "table") and index > 0 and (heading.bare == "code" or self.top > base)
        return base + 1 if below and not self.spaced else base

    def _begun(self, before: Found, index: int, heading: Found) -> _Family | None:
        """The family of deeper headings that begins here, if one does."""
        family = self.families[-1] if self.families else None
        if before.fixed == 1 or before.colon or (family and _FAQ.match(family.parent.label)):
            return None
        count = _counted(heading.lead)
        opened = heading.lead.endswith(":") and (self.spaced or count > 0) and not (family and family.members)
        chained = family is not None and family.first.direct and family.members[-1:] == [before.label]
        direct = heading.direct and not chained and (self.spaced or heading.numbered or self._defines(index))
        if not (direct or opened or (heading.numbered and not before.numbered)):
            return None
        return _Family(before, self.top + 1, heading, count if opened else 0, [])

    def _defines(self, index: int) -> bool:
        """Two headings with a paragraph each: terms and what they mean."""
        return len(self.headings) > index + 1 and all(one.paragraphs == 1 for one in self.headings[index : index + 2])

    def _ended(self, family: _Family, index: int, heading: Found) -> bool:
        if _FAQ.match(family.parent.label):
            return not heading.label.endswith("?")
        if family.count:
            return len(family.members) >= family.count
        if heading.numbered or family.first.numbered:
            return heading.numbered != family.first.numbered
        after = self.headings[index + 1 : index + 2]
        repeats = bool(after) and after[0].label in family.members and heading.label not in family.members
        full = family.members == self.closed and heading.label not in self.closed
        if _alike(heading.label, family.parent.label) or repeats or full:
            return True
        topic = _words(self.chapter)
        if topic and topic <= _words(heading.label) and not topic <= _words(family.first.label):
            return True
        return not self.spaced and family.first.paragraphs <= 1 < heading.paragraphs


def _counted(lead: str) -> int:
    """The number that a lead such as "It comes down to four things:" promises."""
    words = re.findall(r"[a-z]+", lead.lower())[-8:]
    return next((_NUMBERS[word] for word in reversed(words) if word in _NUMBERS), 0) if lead.endswith(":") else 0


def _alike(one: str, other: str) -> bool:
    first, second = one.lower().split(), other.lower().split()
    same = sum(a == b for a, b in zip(first, second, strict=False))
    return len(first) > 2 and same >= 2 and first[0] == second[0]


def _words(label: str) -> set[str]:
    return set(re.findall(r"[a-z]{2,}", label.lower())) - _SMALL


def _dotted(heading: Found) -> int:
    """`2.3.1 Loss` says itself how deep it is."""
    number = NUMBERED.match(heading.label)
    return 2 + number["dotted"].count(".") if number and number["dotted"] else 0


# Which lines of a plain text are headings? They are short, begin like titles, and stand above something.

_RULER = re.compile(r"^\s*([=\-~^*_])\1{2,}\s*$")
_SMALL_ENDS = frozenset(
    "to by of for like include includes including with from and or the a an as in on when if that is are".split()
)
_OPENERS = frozenset(
    "the this these that here there it you we i they in for if when while below understand some".split()
)
_LONGEST_HEADING, _MOST_WORDS = 100, 15
_MENU = 5  # headings line upon line


def headings(page: Page) -> dict[int, Found]:
    """Marks the lines that are headings, and says what is known of each."""
    colon: set[int] = set()
    ruled: dict[int, int] = {}
    first = next((at for at, tag in enumerate(page.tags) if tag not in ("blank", "furniture", "front_matter")), -1)
    for at in range(len(page.lines)):
        if page.tags[at] not in ("text", "item"):
            continue
        below = page.tag(at + 1)
        if below == "text" and _RULER.match(page.lines[at + 1]) and _titled(page.lines[at]):
            ruled[at] = 1 if page.lines[at + 1].strip()[0] == "=" else 2
            page.tags[at + 1] = "blank"
        elif page.tags[at] == "item":
            if not _numbered_heading(page, at):
                continue
        elif _labels_list(page, at):
            colon.add(at)
        elif not _stands_above(page, at):
            continue
        page.tags[at] = "heading"
    _unmark_menus(page)
    heads = [at for at, tag in enumerate(page.tags) if tag == "heading"]
    fixed = {**ruled, first: 1}
    edges = [-1, *heads, len(page.lines)]
    return {
        at: _described(page, at, edges[index], edges[index + 2], at in colon, fixed.get(at, 0))
        for index, at in enumerate(heads)
    }


def _stands_above(page: Page, at: int) -> bool:
    line, below = page.lines[at], page.below(at)
    if not _titled(line) or below >= len(page.lines):
        return _titled(line) and page.tag(at - 1) == "blank" and page.tag(at - 2) == "blank"
    alone = page.tag(at - 1) in ("blank", None) and page.tag(at + 1) == "blank"
    return alone or not page.wrapped


def _titled(line: str) -> bool:
    """Could this line be a title? Short, begins like one, does not end like a sentence."""
    words = line.split()
    if not words or len(line.strip()) > _LONGEST_HEADING or len(words) > _MOST_WORDS or "://" in line:
        return False
    if words[-1][-1] in ".,;:!…|" or not any(char.isalpha() for char in line) or words[-1] in _SMALL_ENDS:
        return False
    if not any(char.isupper() or char.isdigit() for char in words[0]) and words[0][0] not in "\"“'‘":
        return False
    capital = sum(word[0].isupper() or word[0].isdigit() for word in words)
    return len(words) <= 8 or words[-1].endswith("?") or capital >= len(words) / 2


def _labels_list(page: Page, at: int) -> bool:
    """`Examples:` above a list is a heading of a low level; `The process involves:` is the beginning of a sentence."""
    line = page.lines[at].strip()
    words = line.rstrip(":").split()
    if not line.endswith(":") or not words or len(words) > 8 or words[0].lower() in _OPENERS:
        return False
    if page.tag(page.below(at)) != "item" or not words[0][0].isupper():
        return False
    long = [word for word in words if len(word) >= 4]
    return (all(word[0].isupper() for word in long) or len(words) <= 3) and words[-1] not in _SMALL_ENDS


def _numbered_heading(page: Page, at: int) -> bool:
    """`1. A Title` above a paragraph is a heading; above `2. Another` it is an item."""
    line = page.lines[at]
    if not NUMBERED.match(line) or not _titled(line) or page.tag(at - 1) == "item":
        return False
    below = page.below(at)
    return page.tag(below) == "text" and len(page.lines[below]) > len(line) and not _titled(page.lines[below])


def _unmark_menus(page: Page) -> None:
    """Headings line upon line: below a colon a list that lost its bullets; five or more a menu or a table in pieces."""
    at = 0
    while at < len(page.lines):
        end = at
        while page.tag(end) == "heading":
            end += 1
        if end - at >= 2 and page.tag(at - 1) == "text" and page.lines[at - 1].rstrip().endswith(":"):
            page.tags[at:end] = ["item"] * (end - at)
        elif end - at >= _MENU:
            page.tags[at:end] = ["text"] * (end - at)
        at = max(end, at + 1)


def _described(page: Page, at: int, before: int, after: int, colon: bool, fixed: int) -> Found:
    between = [i for i in range(before + 1, at) if page.tags[i] not in ("blank", "furniture")]
    texts = [i for i in between if page.tags[i] == "text"]
    section = [page.tags[i] for i in range(at + 1, after) if page.tags[i] not in ("blank", "furniture")]
    blanks = 0
    while page.tag(at - 1 - blanks) == "blank":
        blanks += 1
    return Found(
        label=one_line(page.lines[at]).strip("# "),
        blanks=blanks,
        colon=colon,
        direct=before >= 0 and not between,
        lead=page.lines[texts[-1]].strip() if texts and texts[-1] == between[-1] else "",
        paragraphs=len(section),
        bare=section[0] if len(set(section)) == 1 else "",
        fixed=fixed,
    )


_LONE_BULLET = re.compile(r"^([^\S\n]*[•◦▪‣●○∙])[ \t]*\n(?:[ \t]*\n)?[ \t]*(?=[^\s•◦▪‣●○∙])", re.MULTILINE)
_DASHES = re.compile(r"^\s*\|?(?:\s*:?-{2,}:?\s*\|)*\s*:?-{2,}:?\s*\|?\s*$")


def read(data: bytes, name: str) -> Reading:
    text, notes, repairs = decode(data, name)
    if _is_markdown(text):
        blocks = markdown.blocks_in(text)
    else:
        text, more = _repaired(text)
        repairs += more
        blocks = blocks_in(text)
    return Reading(text, blocks, markdown.title_of(text, blocks), repairs, notes)


def _is_markdown(text: str) -> bool:
    """Fences in pairs, or headings of more than one level that no code comment explains."""
    fences = len(re.findall(r"^[^\S\n]*```", text, re.MULTILINE))
    return (fences >= 2 and fences % 2 == 0) or len(re.findall(r"^#{2,5} \S", text, re.MULTILINE)) >= 2


def _repaired(text: str) -> tuple[str, Counter[str]]:
    repairs: Counter[str] = Counter()
    text, repairs["bullets joined to their text"] = _LONE_BULLET.subn(r"\1 ", text)
    lines = text.split("\n")
    below = [end for _, end in code_runs(lines) if end < len(lines) and CODE_LABEL.match(lines[end])]
    if len(below) > 1:  # twice a label straight below code: no word that happens to be in capitals
        for end in below:
            lines[end] = CODE_LABEL.sub(r"\1\n", lines[end]).rstrip()
            repairs["headings parted from a code label"] += "\n" in lines[end]
    return "\n".join(lines), +repairs


def blocks_in(text: str) -> tuple[Block, ...]:
    page = tagged(text)
    blocks = _to_blocks(page, _spans(page), headings(page))
    return mark_questions(text, settle(text, blocks), only_in_faq=True)


def _spans(page: Page) -> list[tuple[int, int]]:
    """Lines that make one block."""
    spans: list[tuple[int, int]] = []
    for at, tag in enumerate(page.tags):
        if tag == "blank":
            continue
        if spans and spans[-1][1] == at and _joins(page, at):
            spans[-1] = (spans[-1][0], at + 1)
        else:
            spans.append((at, at + 1))
    return spans


def _joins(page: Page, at: int) -> bool:
    above, tag = page.tags[at - 1], page.tags[at]
    if above == tag and tag in ("code", "table", "furniture", "front_matter"):
        return True
    if tag != "text" or above not in ("text", "item"):
        return False
    if above == "item" or page.tags[at - 1] == "text":
        return page.wrapped
    return False


def _to_blocks(page: Page, spans: Sequence[tuple[int, int]], found: Mapping[int, Found]) -> list[Block]:
    starts = [0]
    for line in page.lines:
        starts.append(starts[-1] + len(line) + 1)
    depth = dict(zip(found, levels(list(found.values())), strict=True))
    blocks: list[Block] = []
    indents: list[int] = []
    for first, last in spans:
        tag, start, end = page.tags[first], starts[first], starts[last] - 1
        indents = indents if tag == "item" else []
        if tag == "heading":
            blocks.append(Block("heading", start, end, depth[first], found[first].label.rstrip(":")))
        elif tag == "item":
            blocks.append(Block("item", start, end, _nesting(page.lines[first], indents)))
        elif tag == "table":
            blocks.append(Block("table", start, end, header_end=_header_end(page, first, last, starts)))
        elif tag in ("code", "furniture", "front_matter"):
            blocks.append(Block(tag, start, end))
        else:
            blocks.append(Block("paragraph", start, end))
    return blocks


def _nesting(line: str, indents: list[int]) -> int:
    """How deep an item is, by its indentation under the items above it; `indents` is kept up to date."""
    bullet = BULLET.match(line)
    indent = len(bullet["indent"].expandtabs(4)) if bullet else 0
    while indents and indents[-1] > indent:
        indents.pop()
    if not indents or indents[-1] < indent:
        indents.append(indent)
    return len(indents)


def _header_end(page: Page, first: int, last: int, starts: Sequence[int]) -> int:
    """Behind the line of dashes; without one, behind a first row that has no figures where the rows below do."""
    for at in range(first, min(last, first + 3)):
        if _DASHES.match(page.lines[at]) and at > first:
            return starts[at + 1] - 1
    rows = page.lines[first:last]
    figures = [len(re.findall(r"\d", row)) for row in rows]
    return starts[first + 1] - 1 if "\t" in rows[0] and not figures[0] and any(figures[1:]) else 0
