"""HTML pages as saved from a browser. Tags say what is a heading, a list, a table, code; and what is the site."""

from __future__ import annotations

import re

from ingest.readers import Draft, Reading
from ingest.readers.decode import decode, tidy
from ingest.readers.furniture import is_furniture
from ingest.readers.html_parts import (
    HEADINGS,
    HtmlElement,
    has_header,
    holds_blocks,
    inline,
    is_around,
    is_block,
    language,
    rows,
    squeezed,
    text_of,
    verbatim,
)
from ingest.readers.questions import mark_questions

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

    if not re.sub(r"<!--.*?-->|<[^>]*>", "", html, flags=re.DOTALL).strip():
        return Reading("", ())
    try:
        root = lxml_html.document_fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", html))
    except etree.ParserError:  # "Document is empty"
        return Reading("", ())
    body = root.body if root.body is not None else root
    walk = _Walk(_article(body))
    walk.children(body)
    page = root.findtext(".//title") or ""
    reading = walk.draft.reading()
    blocks = mark_questions(reading.text, reading.blocks)
    first = next((block.label for block in blocks if block.kind == "heading" and block.level == 1), "")
    return Reading(reading.text, blocks, first or _without_site(page))


def _decoded(data: bytes, name: str) -> tuple[str, tuple[str, ...], dict[str, int]]:
    """What the page says about its encoding is believed where it can be read that way."""
    said = _CHARSET.search(data[:4096])
    if said and said[1].lower() not in (b"utf-8", b"utf8"):
        try:
            html, repairs = tidy(data.decode(said[1].decode("ascii")))
        except (LookupError, UnicodeDecodeError):
            pass
        else:
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

    def __init__(self, article: HtmlElement | None) -> None:
        self.draft = Draft()
        self.article = article
        self.titled = article is None or article.find(".//h1") is not None
        self.around = 0 if article is None else 1
        self.depth = 0  # of lists
        self.level = 1  # of the last heading

    def children(self, node: HtmlElement) -> None:
        """Blocks among the children go their own way; what stands between them is paragraphs."""
        run = [node.text or ""]
        for child in node:
            if is_block(child):
                self.paragraph(run)
                self.element(child)
                run = []
            else:
                run.append(inline(child))
            run.append(child.tail or "")
        self.paragraph(run)

    def paragraph(self, run: list[str]) -> None:
        text = squeezed("".join(run))
        self.draft.add("furniture" if self.around or is_furniture(text) else "paragraph", text)

    def element(self, node: HtmlElement) -> None:
        if node is self.article:
            self.around -= 1
            self.children(node)
            self.around += 1
        elif is_around(node):
            self.around += 1
            self.children(node)
            self.around -= 1
        elif node.tag in HEADINGS and (not self.around or (node.tag == "h1" and not self.titled)):
            self.titled = True
            self.level = HEADINGS[node.tag]
            self.draft.heading(_PILCROW.sub("", squeezed(text_of(node))), self.level)
        elif node.tag == "summary":
            self.summary(node)
        elif node.tag == "pre":
            self.draft.code(verbatim(node), language(node))
        elif node.tag in ("ul", "ol", "dl"):
            self.listing(node)
        elif node.tag == "table" and not self.around and (cells := rows(node)):
            self.draft.table(cells, header=has_header(node, cells))
        elif node.tag != "hr":
            self.children(node)

    def summary(self, node: HtmlElement) -> None:
        """What a fold is called is a heading of what it folds."""
        text = squeezed(text_of(node))
        if self.around or len(text) > 150:
            self.paragraph([text])
        else:
            self.draft.heading(text, self.level + 1)

    def listing(self, node: HtmlElement) -> None:
        self.depth += 1
        number = int(node.get("start") or 1) if (node.get("start") or "1").lstrip("-").isdigit() else 1
        term = ""
        for child in node:
            if child.tag == "dt":
                term = squeezed(text_of(child))
            elif child.tag == "dd":
                self.item(child, "-", f"{term}: " if term else "")
                term = ""
            elif child.tag == "li":
                self.item(child, f"{number}." if node.tag == "ol" else "-", "")
                number += 1
            elif isinstance(child.tag, str):
                self.element(child)
        self.depth -= 1

    def item(self, node: HtmlElement, marker: str, term: str) -> None:
        """An item's own words up to its first inner list, table or code; then those; what follows is a paragraph."""
        run = [term, node.text or ""]
        own = True
        for child in node:
            if is_block(child) and not (own and child.tag in ("p", "div") and not holds_blocks(child)):
                own = self._flush(run, marker, own)
                self.element(child)
                run = []
            else:
                run.append(("\n" if child.tag in ("p", "div") and "".join(run).strip() else "") + inline(child))
            run.append(child.tail or "")
        self._flush(run, marker, own)

    def _flush(self, run: list[str], marker: str, own: bool) -> bool:
        """Write the run; tell whether the item still has no words of its own."""
        text = squeezed("".join(run))
        if not text:
            return own
        if own and not self.around:
            self.draft.add("item", f"{marker} {text}", level=self.depth)
        else:
            self.paragraph([text])
        return False
