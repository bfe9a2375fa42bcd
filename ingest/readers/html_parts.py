"""Elements of an HTML page: which are blocks, which are the site around the article, what text and tables they hold."""

from __future__ import annotations

import re
from typing import Any

HtmlElement = Any  # lxml.html.HtmlElement: lxml has no types of its own

_DROPPED = frozenset("script style noscript template svg head iframe object canvas input select option".split())
_AROUND = frozenset("nav footer aside button dialog menu".split())
_AROUND_ROLES = frozenset("navigation banner contentinfo complementary search dialog".split())
_AROUND_CLASS = re.compile(
    r"(?:^|[\s_-])(?:sidebar|breadcrumbs?|share|sharing|social|comments?|cookies?|newsletter|related|tags?|toc|menu|pagination"
    r"|navbar|footer|promo|advert(?:isement)?|ads|byline|author-box|skip-link)(?:$|[\s_-])",
    re.IGNORECASE,
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    """address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure footer
    form header hr html li main nav ol p pre section summary table ul""".split()
) | set(HEADINGS)
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight|brush:)[-\s]?(?:source-)?([A-Za-z+#]+)")
_MATH = frozenset(("math/tex", "math/tex; mode=display"))


def is_block(node: HtmlElement) -> bool:
    if not isinstance(node.tag, str) or node.tag in _DROPPED:
        return False
    return node.tag in _BLOCKS or holds_blocks(node)


def holds_blocks(node: HtmlElement) -> bool:
    return any(isinstance(inner.tag, str) and inner.tag in _BLOCKS for inner in node.iterdescendants())


def is_around(node: HtmlElement) -> bool:
    """Is this the site and not the article? A whole page with such a class name is still a page."""
    if node.tag in _AROUND or node.get("role") in _AROUND_ROLES:
        return True
    if node.tag == "header":
        return (
            not any(parent.tag in ("article", "main") for parent in node.iterancestors()) and node.find(".//h1") is None
        )
    if node.tag not in ("div", "section", "ul", "ol", "p", "form"):
        return False
    if node.tag != "form" and not _AROUND_CLASS.search(f"{node.get('class') or ''} {node.get('id') or ''}"):
        return False
    return not any(node.find(f".//{tag}") is not None for tag in ("h1", "article", "main"))


def inline(node: HtmlElement) -> str:
    """An inline element as text: code in backquotes, formulas in dollars, line breaks kept."""
    if not isinstance(node.tag, str):
        return ""
    if node.tag == "script" and (node.get("type") or "") in _MATH:
        return f"${(node.text or '').strip()}$"
    if (
        node.tag in _DROPPED
        or "display:none" in (node.get("style") or "").replace(" ", "")
        or node.get("hidden") is not None
    ):
        return ""
    if node.tag == "br":
        return "\n"
    if node.tag == "math":
        tex = node.find(".//annotation")
        return f"${(tex.text or '').strip()}$" if tex is not None and tex.text else text_of(node)
    if node.tag in ("code", "kbd", "samp", "tt"):
        text = " ".join("".join(node.itertext()).split())
        return f"`{text}`" if text and "`" not in text else text
    return text_of(node)


def text_of(node: HtmlElement) -> str:
    return (node.text or "") + "".join(inline(child) + (child.tail or "") for child in node)


def verbatim(node: HtmlElement) -> str:
    for line_break in node.iter("br"):
        line_break.tail = "\n" + (line_break.tail or "")
    return "".join(node.itertext())


def squeezed(text: str) -> str:
    """Blank space as a browser shows it; a `<br>` stays a line's end."""
    lines = [" ".join(line.split()) for line in re.sub(r"[ \t]*\n[ \t]*", "\n", text).split("\n")]
    return " ".join(filter(None, lines))


def language(node: HtmlElement) -> str:
    for candidate in (node, *node.iterchildren("code"), node.getparent()):
        found = _LANGUAGE.search(candidate.get("class") or "") if candidate is not None else None
        if found and found[1].lower() not in ("text", "none", "default"):
            return found[1].lower()
    return ""


def rows(table: HtmlElement) -> list[list[str]]:
    """A table's cells; none if it only serves to lay the page out."""
    if table.find(".//table") is not None or table.find(".//pre") is not None:
        return []
    found = [[squeezed(text_of(cell)) for cell in row if cell.tag in ("td", "th")] for row in table.iter("tr")]
    found = [row for row in found if any(row)]
    width = max(map(len, found), default=0)
    return [row + [""] * (width - len(row)) for row in found] if width > 1 and len(found) > 1 else []


def has_header(table: HtmlElement, cells_of: list[list[str]]) -> bool:
    """It has one if the page says so, or if the first row is bold, or holds no figure where the rows below do."""
    first = next(table.iter("tr"))
    cells = [cell for cell in first if cell.tag in ("td", "th")]
    if first.getparent().tag == "thead" or (cells and all(cell.tag == "th" for cell in cells)):
        return True
    if cells and all(cell.find(".//strong") is not None or cell.find(".//b") is not None for cell in cells):
        return True
    figures = [any(char.isdigit() for cell in row for char in cell) for row in cells_of]
    return all(cells_of[0]) and not figures[0] and any(figures[1:])
