"""Markdown in its dialects. The text stays as it is, markup and all; markdown-it's line positions give the blocks."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from ingest.readers import Block, Reading, decode, is_furniture, mark_questions, one_line, settle

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token


# What guides put into Markdown that is not Markdown: JSX, Svelte, Jekyll, Quarto and d2lbook lines, comments.
#
# They are set aside before the structure is parsed: the same text with those lines blanked, and where they stood.

Span = tuple[int, int]  # lines: first, behind the last

_FENCE = re.compile(r"^[ >]{0,12}(?:[-*+]\s+|\d+[.)]\s+)?(`{3,}|~{3,})(.*)$")
_NO_CONTENT_FENCE = re.compile(r"^\s*\{?\.?(toc|eval_rst|bibliography|contents|tableofcontents)\b")
_DIRECTIVE = re.compile(
    r"""(?:
        :(?:label|eqlabel|width|height|begin_tab|end_tab|bibliography|maxdepth|numbered):(?:`[^`]*`)?    # d2lbook
      | :{3,}.*                                       # Quarto and MyST divisions
      | \{\{[<%].*[%>]\}\} | \{%.*%\} | \{:.*\}       # Quarto, Hugo, Jekyll
      | \{(?:[\#:/]if|:else|[\#/]each).*\}         # Svelte
      | \[\[[\w-]+\]\].*                              # Hugging Face's documentation builder
      | \[(?:Discussions?|Comments|Back\ to\ top)\]\([^)]*\)
      | (?:(?:&nbsp;|<br\s*/?>)\s*)+
      | (?:\#+\s*)?(?:Table\ of\ [Cc]ontents|TOC):?
      | (?:</?[A-Za-z][\w.-]*(?:\s[^<>]*)?>\s*)+      # nothing but tags
    )""",
    re.VERBOSE,
)
_BOX = re.compile(r"^\s*:{3,}(?P<name>.*)$")
_KEPT_TAGS = re.compile(r"^\s*</?(?:table|thead|tbody|tr|td|th|pre|script|style|svg|math)\b", re.IGNORECASE)
_MODULE = re.compile(r"""^(?:import\s+(?:[\w*{].*\bfrom\b|["'])|export\s+(?:const|let|default|function)\b)""")
_COMPONENT = re.compile(r"^\s*<[A-Z][\w.]*(?=[\s/>]|$)")
_MAX_TAG_LINES, _MAX_COMMENT_LINES = 400, 2000


def set_aside(lines: list[str], mdx: bool) -> tuple[list[str], list[Span], list[Span]]:
    """Lines with the foreign ones blanked; their spans; and the spans that are metadata (module lines with data)."""
    kept = list(lines)
    furniture: list[Span] = []
    metadata: list[Span] = []
    for first, last, meta in _foreign(lines, mdx):
        kept[first:last] = [""] * (last - first)
        (metadata if meta else furniture).append((first, last))
    return kept, furniture, metadata


def callouts(lines: list[str]) -> set[int]:
    """Lines inside Quarto's and MyST's boxes: a heading there is the box's name and opens no chapter."""
    inside: set[int] = set()
    open_boxes = 0
    for at, line in enumerate(lines):
        if found := _BOX.match(line):
            open_boxes = open_boxes + 1 if found["name"].strip() else max(0, open_boxes - 1)
        elif open_boxes:
            inside.add(at)
    return inside


def _foreign(lines: list[str], mdx: bool) -> Iterator[tuple[int, int, bool]]:
    closings = [at for at, line in enumerate(lines) if "-->" in line]
    at = 0
    while at < len(lines):
        if fence := _FENCE.match(lines[at]):
            end = _fence_end(lines, at, fence.group(1))
            if _NO_CONTENT_FENCE.match(fence.group(2)):
                yield at, end, False
            at = end
            continue
        end, meta = _foreign_end(lines, at, mdx, closings)
        if end > at:
            yield at, end, meta
        at = max(end, at + 1)


def _foreign_end(lines: list[str], at: int, mdx: bool, closings: list[int]) -> tuple[int, bool]:
    """Where the foreign piece that begins here ends (`at` itself if none does), and whether it is metadata.

    `closings` are the lines on which a comment may close.
    """
    line = lines[at]
    if mdx and _MODULE.match(line):
        return _balanced(lines, at), line.startswith("export")
    if line.lstrip().startswith("<!--"):
        return _comment_end(lines, at, closings), False
    if _COMPONENT.match(line):
        return _tag_end(lines, at), False
    if _DIRECTIVE.fullmatch(line.strip()) and not _KEPT_TAGS.match(line):
        return at + 1, False
    return at, False


def _fence_end(lines: list[str], at: int, mark: str) -> int:
    closing = re.compile(rf"^[\s>]*{re.escape(mark[0])}{{{len(mark)},}}\s*$")
    for end in range(at + 1, len(lines)):
        if closing.match(lines[end]):
            return end + 1
    return len(lines)


def _comment_end(lines: list[str], at: int, closings: list[int]) -> int:
    nearest = bisect_left(closings, at)
    if nearest == len(closings) or closings[nearest] - at >= _MAX_COMMENT_LINES:
        return at
    end = closings[nearest]
    return at if lines[end].partition("-->")[2].strip() else end + 1


def _balanced(lines: list[str], at: int) -> int:
    depth = 0
    for end in range(at, min(len(lines), at + _MAX_TAG_LINES)):
        bare = _without_strings(lines[end])
        depth += sum(bare.count(c) for c in "{[(") - sum(bare.count(c) for c in "}])")
        if depth <= 0:
            return end + 1
    return at + 1


def _tag_end(lines: list[str], at: int) -> int:
    """Behind the line on which a component's tag closes, if nothing follows the tag there."""
    depth = 0
    for end in range(at, min(len(lines), at + _MAX_TAG_LINES)):
        if end > at and depth <= 0 and _COMPONENT.match(lines[end]):
            return at  # another one begins: this one was left open
        bare = _without_strings(lines[end])
        for index, char in enumerate(bare):
            depth += (char in "{[(") - (char in "}])")
            if char == ">" and depth <= 0 and bare[index - 1 : index] != "=":
                return end + 1 if not bare[index + 1 :].strip() else at
    return at


def _without_strings(line: str) -> str:
    return re.sub(r'"(?:\\.|[^"\\])*"|`[^`]*`', lambda found: "_" * len(found.group()), line)


_ANCHOR = re.compile(r"\s*(?:\[\[[^\]]*\]\]|\{#[^}]*\}|\{[.:][^}]*\})\s*$")
_WORD = re.compile(r"[^\W\d_]{2,}")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_FRONT_TITLE = re.compile(r"""^["']?title["']?\s*[:=]\s*(["']?)(.+?)\1\s*$""", re.MULTILINE | re.IGNORECASE)
_EXPORT_TITLE = re.compile(r"""\btitle["']?\s*:\s*(["'`])((?:\\.|(?!\1).)+)\1""")
_BOLD_LINE = re.compile(r"^(?:\*\*|__)(?P<label>[^*_\n]{2,100}?)(?:\*\*|__)$")
_ANCHOR_ITEM = re.compile(r"(?:[-*+]|\d+[.)])\s+\[[^\]]*\]\(#[^)]*\)")
_SHORTEST_CONTENTS = 2  # items
_COPYRIGHT = re.compile(r"©|copyright(?:\W*$|\s+notice|\W+(?:©|\(c\)|(?:19|20)\d\d))", re.IGNORECASE)
_LONGEST_LABEL = 1000  # characters of a heading that are looked at for what it says
_LONGEST_UNDERLINED = 100  # characters: a longer "heading" is a paragraph above a ruler


def read(data: bytes, name: str) -> Reading:
    text, notes, repairs = decode(data, name)
    blocks = blocks_in(text, mdx=name.lower().endswith(".mdx"))
    return Reading(text, blocks, title_of(text, blocks), repairs, notes)


def blocks_in(text: str, mdx: bool = False, level: int = 0) -> tuple[Block, ...]:
    """`level` is that of the heading above the text, where it is a piece of something longer."""
    lines = text.split("\n")
    shadow, furniture, metadata = set_aside(lines, mdx)
    starts = _line_starts(lines)
    blocks = _Walk(starts, callouts(lines), level).blocks(_parser().parse("\n".join(shadow)))
    blocks += [Block("furniture", *_offsets(starts, span)) for span in furniture]
    blocks += [Block("front_matter", *_offsets(starts, span)) for span in metadata]
    return mark_questions(text, _without_contents(text, settle(text, blocks)))


def _without_contents(text: str, blocks: Sequence[Block]) -> list[Block]:
    """A list of nothing but links into the page is its table of contents: furniture."""
    kept: list[Block] = []
    for anchors, run in groupby(blocks, lambda block: block.kind == "item" and _is_anchor(text, block)):
        group = list(run)
        contents = anchors and len(group) >= _SHORTEST_CONTENTS
        kept += [replace(block, kind="furniture", level=0) for block in group] if contents else group
    return kept


def _is_anchor(text: str, block: Block) -> bool:
    return bool(_ANCHOR_ITEM.fullmatch(text, block.start, block.end))


def title_of(text: str, blocks: Sequence[Block]) -> str:
    """What the front matter says, or the first heading of the first level, or the first heading."""
    for block in blocks:
        if block.kind == "front_matter":
            piece = text[block.start : block.end]
            found = (_EXPORT_TITLE if piece.startswith("export") else _FRONT_TITLE).search(piece)
            if found and found.group(2).strip("\"' "):
                return found.group(2).strip()
    headings = [block for block in blocks if block.kind in ("heading", "question")]
    return next((block.label for block in headings if block.level == 1), headings[0].label if headings else "")


def _without_tags(html: str) -> str:
    """Comments go as far as one is closed: the search for an end that is not there would begin at each anew."""
    closed = html.rfind("-->") + 3
    return _TAG.sub(" ", _COMMENT.sub(" ", html[:closed]) + html[closed:] if closed > 2 else html)


def plain(markup: str) -> str:
    """A heading's words without its markup."""
    tokens = _inline_parser().parseInline(_ANCHOR.sub("", markup[:_LONGEST_LABEL]))[0].children or []
    words = "".join(token.content if token.type != "image" else "" for token in tokens if token.type != "html_inline")
    words += " ".join(token.content for token in tokens if token.type == "image") if not words.strip() else ""
    return one_line(re.sub(r"^\[(.+)\]$", r"\1", words.strip()))


@cache
def _parser() -> MarkdownIt:
    """Blocks only: what is inside a paragraph is nobody's concern here, and costs two thirds of the time."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin
    from mdit_py_plugins.front_matter import front_matter_plugin

    parser = MarkdownIt("commonmark").enable("table").use(front_matter_plugin).use(dollarmath_plugin)
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


@cache
def _inline_parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark")


def _line_starts(lines: Sequence[str]) -> list[int]:
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    return starts


def _offsets(starts: Sequence[int], span: Span) -> tuple[int, int]:
    return starts[span[0]], starts[span[1]] - 1


class _Walk:
    """Tokens in order become blocks; it remembers the list that it is in."""

    def __init__(self, starts: Sequence[int], boxed: set[int], level: int) -> None:
        self.starts, self.boxed = starts, boxed
        self.found: list[Block] = []
        self.depth = 0
        self.items: list[int] = []  # for each open item the index of its block in `found`, or -1
        self.heading_level = level

    def blocks(self, tokens: Sequence[Token]) -> list[Block]:
        for index, token in enumerate(tokens):
            if token.type.endswith("_list_open"):
                self.depth += 1
            elif token.type.endswith("_list_close"):
                self.depth -= 1
            elif token.type == "list_item_open":
                self.items.append(-1)
            elif token.type == "list_item_close":
                self.items.pop()
            elif token.map:
                self._leaf(token, tokens[index + 1].content if index + 1 < len(tokens) else "")
        return self.found

    def _leaf(self, token: Token, content: str) -> None:
        assert token.map
        start, end = _offsets(self.starts, (token.map[0], token.map[1]))
        if token.type == "heading_open":
            self._heading(token, start, end, content)
        elif token.type == "paragraph_open":
            self._paragraph(start, end, content)
        elif token.type in ("fence", "code_block"):
            self.found.append(Block("code", start, end))
        elif token.type == "table_open":
            self.found.append(Block("table", start, end, header_end=self.starts[token.map[0] + 2] - 1))
        elif token.type.startswith("math_block"):
            self.found.append(Block("paragraph", start, end))
        elif token.type == "html_block":
            words = _WORD.search(_without_tags(token.content))
            self.found.append(Block("paragraph" if words else "furniture", start, end))
        elif token.type == "front_matter":
            self.found.append(Block("front_matter", start, end))

    def _heading(self, token: Token, start: int, end: int, content: str) -> None:
        underlined = token.markup in ("=", "-")
        if underlined and ("\n" in content or len(content) > _LONGEST_UNDERLINED):
            self.found.append(Block("paragraph", start, start + len(content)))
            return
        label, level = plain(content), int(token.tag[1])
        if token.map and token.map[0] in self.boxed:
            level = min(self.heading_level + 1, 6)
        else:
            self.heading_level = level
        if not label or _COPYRIGHT.match(label):
            self.found.append(Block("furniture", start, end))
        else:
            self.found.append(Block("heading", start, end, level, label))

    def _paragraph(self, start: int, end: int, content: str) -> None:
        if is_furniture(content):
            self.found.append(Block("furniture", start, end))
        elif not self.items:
            self.found.append(self._bold_heading(content, start, end) or Block("paragraph", start, end))
        elif self.items[-1] < 0:
            self.items[-1] = len(self.found)
            self.found.append(Block("item", start, end, level=self.depth))
        elif self.items[-1] == len(self.found) - 1:
            self.found[-1] = replace(self.found[-1], end=end)
        else:
            self.found.append(Block("paragraph", start, end))

    def _bold_heading(self, content: str, start: int, end: int) -> Block | None:
        """A line of its own that is bold from end to end and no sentence is a heading in all but its mark."""
        bold = _BOLD_LINE.match(content.strip())
        if not bold or bold["label"][-1] in ".,;:!" or len(bold["label"].split()) > 14:
            return None
        return Block("heading", start, end, min(self.heading_level + 1, 6), plain(bold["label"]))
