"""What guides put into Markdown that is not Markdown: JSX, Svelte, Jekyll, Quarto and d2lbook lines, comments.

They are set aside before the structure is parsed: the same text with those lines blanked, and where they stood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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
    at = 0
    while at < len(lines):
        if fence := _FENCE.match(lines[at]):
            end = _fence_end(lines, at, fence.group(1))
            if _NO_CONTENT_FENCE.match(fence.group(2)):
                yield at, end, False
            at = end
            continue
        end, meta = _foreign_end(lines, at, mdx)
        if end > at:
            yield at, end, meta
        at = max(end, at + 1)


def _foreign_end(lines: list[str], at: int, mdx: bool) -> tuple[int, bool]:
    """Where the foreign piece that begins here ends (`at` itself if none does), and whether it is metadata."""
    line = lines[at]
    if mdx and _MODULE.match(line):
        return _balanced(lines, at), line.startswith("export")
    if line.lstrip().startswith("<!--"):
        return _comment_end(lines, at), False
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


def _comment_end(lines: list[str], at: int) -> int:
    for end in range(at, min(len(lines), at + _MAX_COMMENT_LINES)):
        _, closed, rest = lines[end].partition("-->")
        if closed:
            return end + 1 if not rest.strip() else at
    return at


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
        bare = _without_strings(lines[end])
        for index, char in enumerate(bare):
            depth += (char in "{[(") - (char in "}])")
            if char == ">" and depth <= 0 and bare[index - 1 : index] != "=":
                return end + 1 if not bare[index + 1 :].strip() else at
    return at


def _without_strings(line: str) -> str:
    return re.sub(r'"(?:\\.|[^"\\])*"|`[^`]*`', lambda found: "_" * len(found.group()), line)
