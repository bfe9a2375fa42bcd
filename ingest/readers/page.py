"""HTML pages as saved from a browser. Tags say what is a heading, a list, a table, code; and what is the site."""

from __future__ import annotations

import contextlib
import itertools
import re
import sys
from collections.abc import Collection, Iterator
from typing import Any

from ingest.readers import Draft, Reading, decode, is_furniture, mark_questions, one_line, tidy

# Elements of an HTML page: which are blocks, which are the site around the article, what text and tables they hold.

HtmlElement = Any  # lxml.html.HtmlElement: lxml has no types of its own

_DROPPED = frozenset("script style noscript template svg head iframe object canvas input select option".split())
_AROUND = frozenset("nav footer aside button dialog menu".split())
_AROUND_ROLES = frozenset("navigation banner contentinfo complementary search dialog".split())
_AROUND_NAME = (
    r"(?:sidebar|breadcrumbs?|share|sharing|social|comments?|cookies?|newsletter|related|tags?|toc|menu|pagination"
    r"|navbar|footer|promo|advert(?:isement)?|ads|byline|author-box|skip-link)"
)
_AROUND_CLASS = re.compile(rf"(?:^|[\s_-]){_AROUND_NAME}(?:$|[\s_-])", re.IGNORECASE)
# An id is often made from a heading: "related-work" is a section of a paper, "comments" is not.
_AROUND_ID = re.compile(
    rf"(?:\w+[_-])?{_AROUND_NAME}(?:[_-](?:area|bar|box|buttons?|container|form|links?|list|posts?|section|widget|wrapper))?",
    re.IGNORECASE,
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    """address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure footer
    form header hr html li main nav ol p pre section summary table ul""".split()
) | set(HEADINGS)
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight|brush:)[-\s]?(?:source-)?([A-Za-z+#]+)")
_MATH = frozenset(("math/tex", "math/tex; mode=display"))


def holders(root: HtmlElement, tags: Collection[str]) -> set[HtmlElement]:
    """The elements that hold one of these, at any depth: found once, not by looking into each."""
    found: set[HtmlElement] = set()
    for node in root.iter(*tags):
        above = node.getparent()
        while above is not None and above not in found:
            found.add(above)
            above = above.getparent()
    return found


def is_around(node: HtmlElement, articles: set[HtmlElement]) -> bool:
    """Is this the site and not the article? A whole page with such a class name is still a page.

    `articles` hold a first heading or say that they hold the article.
    """
    if node.tag in _AROUND or node.get("role") in _AROUND_ROLES:
        return True
    if node.tag == "header":
        return node not in articles and not any(above.tag in ("article", "main") for above in node.iterancestors())
    if node.tag not in ("div", "section", "ul", "ol", "p", "form"):
        return False
    named = _AROUND_CLASS.search(node.get("class") or "") or _AROUND_ID.fullmatch(node.get("id") or "")
    return bool(node.tag == "form" or named) and node not in articles


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
        text = one_line("".join(node.itertext()))
        return f"`{text}`" if text and "`" not in text else text
    return text_of(node)


def text_of(node: HtmlElement) -> str:
    parts = [node.text or ""]
    for child in node:  # no generator: how deep elements lie in each other is then no matter of the C stack
        parts += (inline(child), child.tail or "")
    return "".join(parts)


def verbatim(node: HtmlElement) -> str:
    for line_break in node.iter("br"):
        line_break.tail = "\n" + (line_break.tail or "")
    return "".join(node.itertext())


def language(node: HtmlElement) -> str:
    for candidate in (node, *node.iterchildren("code"), node.getparent()):
        found = _LANGUAGE.search(candidate.get("class") or "") if candidate is not None else None
        if found and found[1].lower() not in ("text", "none", "default"):
            return found[1].lower()
    return ""


def rows(table: HtmlElement) -> list[list[str]]:
    """A table's cells; none if it only serves to lay the page out, or has words that stand in no cell."""
    if table.find(".//table") is not None or table.find(".//pre") is not None:
        return []
    found = [[one_line(text_of(cell)) for cell in row if cell.tag in ("td", "th")] for row in table.iter("tr")]
    caption = [text_of(child) for child in table if child.tag == "caption"]
    if _letters(text_of(table)) != _letters("".join([*caption, *itertools.chain.from_iterable(found)])):
        return []
    found = [row for row in found if any(row)]
    width = max(map(len, found), default=0)
    return [row + [""] * (width - len(row)) for row in found] if width > 1 and len(found) > 1 else []


def _letters(text: str) -> int:
    return sum(map(len, text.split()))


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


_CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?\s*([\w-]+)", re.IGNORECASE)
_PILCROW = re.compile(r"\s*[¶#§🔗]\s*$")


def read(data: bytes, name: str) -> Reading:
    html, notes, repairs = _decoded(data, name)
    reading = convert(html)
    return Reading(reading.text, reading.blocks, reading.title, repairs, notes)


def convert(html: str) -> Reading:
    """Any HTML becomes a text in the manner of Markdown, with its blocks."""
    from lxml import etree
    from lxml import html as lxml_html

    parser = lxml_html.HTMLParser(huge_tree=True)  # 2,048 elements in each other, not 256
    try:
        root = lxml_html.document_fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", html, count=1), parser=parser)
    except etree.ParserError:  # "Document is empty"
        return Reading("", ())
    if any(error.level_name == "FATAL" for error in parser.error_log):  # what comes behind is not in the tree
        raise RecursionError("elements lie too deep in each other")
    body = root.body if root.body is not None else root
    walk = _Walk(body)
    with _deep_calls():
        walk.children(body)
    page = root.findtext(".//title") or ""
    reading = walk.draft.reading()
    blocks = mark_questions(reading.text, reading.blocks)
    first = next((block.label for block in blocks if block.kind == "heading" and block.level == 1), "")
    return Reading(reading.text, blocks, first or _without_site(page))


@contextlib.contextmanager
def _deep_calls() -> Iterator[None]:
    """A call or three for each element that lies in another."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 12_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _decoded(data: bytes, name: str) -> tuple[str, tuple[str, ...], dict[str, int]]:
    """What the page says about its encoding is believed where it can be read that way."""
    said = _CHARSET.search(data[:4096])
    if said and said[1].lower() not in (b"utf-8", b"utf8"):
        with contextlib.suppress(LookupError, UnicodeDecodeError):
            html, repairs = tidy(data.decode(said[1].decode("ascii")))
            return html, (f"read as {said[1].decode('ascii')}",), dict(repairs)
    html, notes, repairs = decode(data, name)
    return html, notes, dict(repairs)


def _without_site(title: str) -> str:
    """`Dropout explained | Some Site` is called "Dropout explained"."""
    title = " ".join(title.split())
    return re.sub(r"\s+[|–—·»]\s+[^|–—·»]{1,40}$", "", title) or title


def _article(body: HtmlElement) -> HtmlElement | None:
    """The element that holds what the page is about, if the page says which it is."""
    mains = body.findall(".//main") or body.findall(".//*[@role='main']") or body.findall(".//article")
    return mains[0] if len(mains) == 1 else None


class _Walk:
    """`around` counts the elements entered that are the site and not the article."""

    def __init__(self, body: HtmlElement) -> None:
        self.draft = Draft()
        self.article = article = _article(body)
        self.holding = holders(body, _BLOCKS)
        self.articles = holders(body, ("h1", "article", "main"))
        self.titled = article is None or article.find(".//h1") is not None
        self.around = 0 if article is None else 1
        self.depth = 0  # of lists
        self.level = 1  # of the last heading

    def is_block(self, node: HtmlElement) -> bool:
        return node.tag not in _DROPPED and (node.tag in _BLOCKS or node in self.holding)

    def children(self, node: HtmlElement) -> None:
        """Blocks among the children go their own way; what stands between them is paragraphs."""
        run = [node.text or ""]
        for child in node:
            if self.is_block(child):
                self.paragraph(run)
                self.element(child)
                run = []
            else:
                run.append(inline(child))
            run.append(child.tail or "")
        self.paragraph(run)

    def paragraph(self, run: list[str]) -> None:
        text = one_line("".join(run))
        self.draft.add("furniture" if self.around or is_furniture(text) else "paragraph", text)

    def element(self, node: HtmlElement) -> None:
        if node is self.article:
            self.around -= 1
            self.children(node)
            self.around += 1
        elif is_around(node, self.articles):
            self.around += 1
            self.children(node)
            self.around -= 1
        elif node.tag in HEADINGS and (not self.around or (node.tag == "h1" and not self.titled)):
            self.titled = True
            self.level = HEADINGS[node.tag]
            self.draft.heading(_PILCROW.sub("", one_line(text_of(node))), self.level)
        elif node.tag == "summary":
            self.summary(node)
        elif node.tag == "pre":
            self.draft.code(verbatim(node), language(node))
        elif node.tag in ("ul", "ol", "dl"):
            self.listing(node)
        elif node.tag == "table" and not self.around and (cells := rows(node)):
            self.paragraph([text_of(child) for child in node if child.tag == "caption"])
            self.draft.table(cells, header=has_header(node, cells))
        elif node.tag != "hr":
            self.children(node)

    def summary(self, node: HtmlElement) -> None:
        """What a fold is called is a heading of what it folds."""
        text = one_line(text_of(node))
        if self.around or len(text) > 150:
            self.paragraph([text])
        else:
            self.draft.heading(text, self.level + 1)

    def listing(self, node: HtmlElement) -> None:
        """Items, and as paragraphs whatever else stands between them."""
        self.depth += 1
        number = int(node.get("start") or 1) if re.fullmatch(r"-?[0-9]{1,9}", node.get("start") or "1") else 1
        terms, run = list[str](), [node.text or ""]
        for child in node:
            if child.tag not in ("li", "dt", "dd") and not self.is_block(child):
                run += (inline(child), child.tail or "")
                continue
            self.paragraph(run)
            if child.tag == "dt":
                terms.append(one_line(text_of(child)))
            elif child.tag == "dd":
                self.item(child, "-", f"{', '.join(terms)}: " if terms else "")
                terms = []
            elif child.tag == "li":
                self.item(child, f"{number}." if node.tag == "ol" else "-", "")
                number += 1
            else:
                self.element(child)
            run = [child.tail or ""]
        self.paragraph([*run, *(f" {term}" for term in terms)])
        self.depth -= 1

    def item(self, node: HtmlElement, marker: str, term: str) -> None:
        """An item's own words up to its first inner list, table or code; then those; what follows is a paragraph."""
        run = [term, node.text or ""]
        own = True
        for child in node:
            if self.is_block(child) and not (own and child.tag in ("p", "div") and child not in self.holding):
                own = self._flush(run, marker, own)
                self.element(child)
                run = []
            else:
                run.append(("\n" if child.tag in ("p", "div") and "".join(run).strip() else "") + inline(child))
            run.append(child.tail or "")
        self._flush(run, marker, own)

    def _flush(self, run: list[str], marker: str, own: bool) -> bool:
        """Write the run; tell whether the item still has no words of its own."""
        text = one_line("".join(run))
        if not text:
            return own
        if own and not self.around:
            self.draft.add("item", f"{marker} {text}", level=self.depth)
        else:
            self.paragraph([text])
        return False
