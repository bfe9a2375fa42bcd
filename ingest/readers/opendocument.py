"""OpenDocument texts (.odt): one XML file in a zip archive, whose styles say what is a title, a list, code."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any

from ingest.errors import ReadError
from ingest.readers import Draft, Reading, mark_questions, one_line, tidy
from ingest.readers.office import check_size

Element = Any  # lxml.etree._Element: lxml has no types of its own
_KIND = "OpenDocument text"
_DROPPED = frozenset(
    "annotation annotation-end tracked-changes table-of-content alphabetical-index illustration-index table-index"
    " object-index user-index bibliography forms sequence-decls variable-decls user-field-decls soft-page-break".split()
)
_CODE = ("preformatted", "source code", "code", "listing", "quellcode")
_MOST_REPEATED = 100  # times that a cell or row with words is written out


def read(data: bytes, name: str) -> Reading:
    check_size(data, name, (".xml",), _KIND)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = set(archive.namelist())
        if "content.xml" not in names:
            raise ReadError(f"{name} is a zip archive but no {_KIND}. Rename it or take it out of the folder.")
        if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read("META-INF/manifest.xml"):
            raise ReadError(f"{name} is encrypted. Save it again without a password.")
        content = _parsed(archive, "content.xml")
        styles = _parsed(archive, "styles.xml") if "styles.xml" in names else None
        meta = _parsed(archive, "meta.xml") if "meta.xml" in names else None
        formulas = {path for path in names if path.endswith("/content.xml")}
        body = content.find(".//{*}body/{*}text")
        if body is None:
            raise ReadError(f"{name} is no {_KIND}: export it as .odt, or take it out of the folder.")
        walk = _Walk(content, styles, {path.rpartition("/")[0]: _parsed(archive, path) for path in formulas})
        walk.children(body)
    reading = walk.draft.reading()
    blocks = mark_questions(reading.text, reading.blocks)
    first = next((b.label for b in blocks if b.kind == "heading" and b.level == 1), "")
    said = one_line(meta.findtext(".//{*}title") or "") if meta is not None else ""
    headings = [block.label for block in blocks if block.kind == "heading"]
    return Reading(reading.text, blocks, first or said or (headings[0] if headings else ""), reading.repairs)


def _parsed(archive: zipfile.ZipFile, path: str) -> Element:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    return etree.fromstring(archive.read(path), parser)


def _tag(node: Element) -> str:
    return str(node.tag).rpartition("}")[2] if isinstance(node.tag, str) else ""


def _get(node: Element, name: str) -> str:
    """An attribute, whatever its namespace."""
    return next((str(value) for key, value in node.attrib.items() if key.rpartition("}")[2] == name), "")


def _times(node: Element, name: str) -> int:
    said = _get(node, name)
    return int(said) if said.isdigit() and len(said) < 9 else 1


class _Walk:
    """Visits the body; knows what styles stand for, and the list that it is in."""

    def __init__(self, content: Element, styles: Element | None, formulas: dict[str, Element]) -> None:
        self.draft = Draft()
        self.formulas = formulas
        self.code: list[str] = []  # lines of a block of code that goes on
        self.depth = 0
        trees = [tree for tree in (styles, content) if tree is not None]
        self.parents = {
            _get(style, "name"): (_get(style, "parent-style-name"), _get(style, "display-name"))
            for tree in trees
            for style in tree.iter("{*}style")
        }
        self.numbered = {
            (_get(style, "name"), _get(level, "level"))
            for tree in trees
            for style in tree.iter("{*}list-style")
            for level in style.iter("{*}list-level-style-number")
            if _get(level, "num-format")
        }

    def styles_of(self, node: Element) -> Iterator[str]:
        """The names of a paragraph's style and of those that it is made from."""
        name = _get(node, "style-name")
        for _ in range(20):
            if not name:
                return
            parent, shown = self.parents.get(name, ("", ""))
            yield (shown or name).replace("_20_", " ").lower()
            name = parent

    def children(self, node: Element) -> None:
        for child in node:
            self.visit(child)
        self.flush()

    def visit(self, node: Element) -> None:
        kind = _tag(node)
        if kind != "p":
            self.flush()
        if kind in ("h", "p"):
            self.paragraph(node, kind)
        elif kind == "list":
            self.listing(node, _get(node, "style-name"))
        elif kind == "table":
            self.table(node)
        elif kind not in _DROPPED:
            self.children(node)

    def flush(self) -> None:
        if self.code:
            self.draft.code("\n".join(self.code))
            self.code = []

    def paragraph(self, node: Element, kind: str) -> None:
        styles = list(self.styles_of(node))
        if kind == "h":
            self.draft.heading(self.words(node), _times(node, "outline-level"))
        elif any(style.startswith(_CODE) for style in styles):
            self.code.append(self.verbatim(node))
            return
        elif "title" in styles:
            self.flush()
            self.draft.heading(self.words(node), 1)
        else:
            self.flush()
            self.draft.add("paragraph", self.words(node))
        self.beside(node)

    def beside(self, node: Element) -> None:
        """What is anchored in a paragraph and stands by itself: boxes, notes."""
        for box in node.iter("{*}text-box", "{*}note-body"):
            self.children(box)

    def listing(self, node: Element, style: str) -> None:
        self.depth += 1
        number = 1
        for item in node:
            if _tag(item) in ("list-item", "list-header"):
                number = _times(item, "start-value") if _get(item, "start-value") else number
                self.item(item, f"{number}." if (style, str(self.depth)) in self.numbered else "-", style)
                number += 1
        self.depth -= 1

    def item(self, node: Element, marker: str, style: str) -> None:
        """An item's own words are its first paragraph; what follows stands behind it."""
        own = True
        for child in node:
            if _tag(child) == "list":
                self.listing(child, _get(child, "style-name") or style)
            elif _tag(child) == "p" and own:
                words = self.words(child)
                self.draft.add("item", f"{marker} {words}" if words else "", level=self.depth)
                self.beside(child)
                own = False
            else:
                self.visit(child)
        self.flush()

    def table(self, node: Element) -> None:
        """A cell that reaches over several rows says in each of them what it says."""
        heads = sum(_rows_in(part) for part in node if _tag(part) == "table-header-rows")
        rows: list[list[str]] = []
        reaching: dict[int, tuple[int, str]] = {}
        for row in node.iter("{*}table-row"):
            if next(row.iterancestors("{*}table")) is node:
                cells = self.row(row, reaching)
                many = min(_times(row, "number-rows-repeated"), _MOST_REPEATED) if any(cells) else 1
                rows += [cells] * many
        width = max((at + 1 for row in rows for at, cell in enumerate(row) if cell), default=0)
        filled = [(row + [""] * width)[:width] for row in rows if any(row)]
        if width == 1 and len(filled) == 1:  # a box around a text
            self.draft.add("paragraph", filled[0][0])
        else:
            self.draft.table(filled, header=len(filled) > 1 and (heads > 0 or _looks_like_header(filled)))

    def row(self, row: Element, reaching: dict[int, tuple[int, str]]) -> list[str]:
        cells: list[str] = []
        for cell in row:
            kind = _tag(cell)
            if kind not in ("table-cell", "covered-table-cell"):
                continue
            at = len(cells)
            left, said = reaching.get(at, (0, ""))
            if kind == "covered-table-cell" and left:
                words, reaching[at] = said, (left - 1, said)
            else:
                words = one_line(" ".join(map(self.words, cell.iter("{*}p", "{*}h"))))
                if (down := _times(cell, "number-rows-spanned")) > 1:
                    reaching[at] = (down - 1, words)
            cells += [words] * min(_times(cell, "number-columns-repeated"), _MOST_REPEATED)
        return cells

    def words(self, node: Element) -> str:
        return one_line(self.verbatim(node))

    def verbatim(self, node: Element) -> str:
        """Inline text: spaces, tabs and line ends as they are meant, formulas in dollars."""
        parts = [node.text or ""]
        for child in node:
            parts += (self._inline(child), child.tail or "")
        return tidy("".join(parts))[0]

    def _inline(self, node: Element) -> str:
        kind = _tag(node)
        if kind == "s":
            return " " * min(_times(node, "c"), 1000)
        if kind == "tab":
            return "\t"
        if kind == "line-break":
            return "\n"
        if kind == "object":
            formula = self.formulas.get(posixpath.normpath(_get(node, "href")))
            found = formula.find(".//{*}annotation") if formula is not None else None
            return f"${one_line(found.text)}$" if found is not None and found.text else ""
        if kind in _DROPPED or kind in ("note", "text-box", "image", "desc", "title", "ruby-text") or not kind:
            return ""
        return self.verbatim(node)


def _rows_in(part: Element) -> int:
    return sum(1 for _ in part.iter("{*}table-row"))


def _looks_like_header(rows: list[list[str]]) -> bool:
    """No figure in the first row, and some below."""
    figures = [any(char.isdigit() for cell in row for char in cell) for row in rows]
    return all(rows[0]) and not figures[0] and any(figures[1:])
