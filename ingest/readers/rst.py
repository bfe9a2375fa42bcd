"""reStructuredText, Sphinx's too: docutils parses it, and what it finds is written down as in Markdown.

Sphinx's roles are rendered to their words (`:class:`SVC`` is "SVC"), its directives to what they hold; labels go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ingest.readers import Draft, Kind, Reading, decode, mark_questions, one_line, page

# A docutils document tree, written into a `Draft`.

Node = Any  # docutils.Node: docutils has no types of its own
_LABEL = re.compile(
    r"^\.\.\s+_([^:`\n]+|`[^`\n]+`):[ \t]*\n(?:[ \t]*\n|\.\.[^\n]*\n)*([^\n]+)\n([=\-~^\"'`#*+.:_])\3{2,}[ \t]*$",
    re.MULTILINE,
)
_GALLERY = "sphx_glr_"  # labels that Sphinx-Gallery makes: links to scripts, no words
_LONGEST_ITEM = 600  # characters: what an item says beyond its first paragraph is then paragraphs of their own
_ADMONITIONS = frozenset("note warning tip hint caution danger important attention error seealso".split())
_SKIPPED = frozenset(
    """comment substitution_definition target system_message transition image raw pending decoration meta title subtitle
    docinfo""".split()
)


class Walk:
    """Visits the tree; knows how deep in sections and lists it is, and what the labels above sections stand for."""

    def __init__(self, draft: Draft, source: str) -> None:
        self.draft = draft
        self.depth = 0
        self.lists = 0
        self.sections: dict[str, str] = {
            label.strip("`").lower(): title.strip() for label, title, _ in _LABEL.findall(source)
        }
        self.visits: Mapping[str, Callable[[Node], None]] = {
            "section": self.section,
            "paragraph": self.paragraph,
            "literal_block": self.code,
            "doctest_block": self.code,
            "math_block": lambda node: self.draft.add("paragraph", f"$$\n{node.astext().strip()}\n$$"),
            "bullet_list": lambda node: self.listing(node, lambda at: "-"),
            "enumerated_list": lambda node: self.listing(node, lambda at: f"{int(node.get('start', 1)) + at}."),
            "definition_list": self.definitions,
            "field_list": self.fields,
            "table": self.table,
            "rubric": lambda node: self.draft.heading(self.words(node), self.depth + 1),
            "topic": self.topic,
            "admonition": self.topic,
            "line_block": lambda node: self.draft.add("paragraph", self.words(node)),
            "footnote": self.footnote,
            "citation": self.footnote,
        }

    def children(self, node: Node) -> None:
        for child in node.children:
            self.visit(child)

    def visit(self, node: Node) -> None:
        kind = node.tagname if hasattr(node, "tagname") else "#text"
        if kind == "comment" and node.get("html"):
            self.html(node.astext())
        if kind in _SKIPPED or kind == "#text":
            return
        if kind in _ADMONITIONS:
            self.admonition(node, kind.capitalize())
        else:
            self.visits.get(kind, self.children)(node)

    def html(self, source: str) -> None:
        if source.strip():
            reading = page.convert(source)
            self.draft.extend(reading.text, reading.blocks)

    def section(self, node: Node) -> None:
        self.depth += 1
        self.draft.heading(self.words(node[0]) if node.children else "", self.depth)
        self.children(node)
        self.depth -= 1

    def paragraph(self, node: Node) -> None:
        self.draft.add("paragraph", one_line(self.words(node)))

    def code(self, node: Node) -> None:
        classes = [name for name in node.get("classes", []) if name != "code"]
        text = node.astext()
        language = node.get("language") or (classes[0] if classes else "python" if text.startswith(">>>") else "")
        self.draft.code(text, re.sub(r"[^\w+-].*", "", language))

    def listing(self, node: Node, marker: Callable[[int], str]) -> None:
        self.lists += 1
        for at, item in enumerate(node.children):
            self.item(item, marker(at), "")
        self.lists -= 1

    def definitions(self, node: Node) -> None:
        self.lists += 1
        for entry in node.children:
            terms = [self.words(part) for part in entry.children if part.tagname == "term"]
            for part in entry.children:
                if part.tagname == "definition":
                    self.item(part, "-", ", ".join(terms) + ": ")
        self.lists -= 1

    def fields(self, node: Node) -> None:
        self.lists += 1
        for field in node.children:
            self.item(field[1], "-", self.words(field[0]) + ": ")
        self.lists -= 1

    def item(self, node: Node, marker: str, term: str) -> None:
        """An item's paragraphs up to its first inner list, table or code; then those."""
        own = [child for child in node.children if child.tagname not in _SKIPPED]
        count = next((at for at, child in enumerate(own) if child.tagname != "paragraph"), len(own))
        if sum(len(child.astext()) for child in own[:count]) > _LONGEST_ITEM:
            count = min(count, 1)
        words = one_line(term + "\n".join(self.words(child) for child in own[:count]))
        kind: Kind = "furniture" if words.startswith(_GALLERY) else "item"
        self.draft.add(
            kind, f"{marker} {words}" if words.strip(": ") else "", level=0 if kind == "furniture" else self.lists
        )
        for child in own[count:]:
            self.visit(child)

    def table(self, node: Node) -> None:
        for title in node.children:
            if title.tagname == "title":
                self.draft.add("paragraph", self.words(title))
        heads = [self._row(row) for head in node.findall(_is("thead")) for row in head.children]
        rows = [self._row(row) for body in node.findall(_is("tbody")) for row in body.children]
        if len(heads) > 1:  # a header of several lines becomes one
            heads = [[" ".join(filter(None, cells)) for cells in zip(*heads, strict=False)]]
        width = max(map(len, heads + rows), default=0)
        self.draft.table((row + [""] * (width - len(row)) for row in heads + rows), header=bool(heads))

    def _row(self, row: Node) -> list[str]:
        cells = []
        for entry in row.children:
            cells += [" ".join(self.words(child) for child in entry.children), *[""] * int(entry.get("morecols", 0))]
        return cells

    def topic(self, node: Node) -> None:
        if "contents" in node.get("classes", []):
            return
        titles = [child for child in node.children if child.tagname == "title"]
        if titles:
            self.draft.heading(self.words(titles[0]), self.depth + 1)
        self.children(node)

    def admonition(self, node: Node, word: str) -> None:
        first = node.children[0] if node.children else None
        if first is not None and first.tagname == "paragraph":
            self.draft.add("paragraph", one_line(f"{word}: {self.words(first)}"))
            for child in node.children[1:]:
                self.visit(child)
        else:
            self.children(node)

    def footnote(self, node: Node) -> None:
        label, *rest = node.children
        self.draft.add("paragraph", one_line(f"[{label.astext()}] " + "\n".join(self.words(child) for child in rest)))

    def words(self, node: Node) -> str:
        """Inline text: formulas in dollars, literals in backquotes, references by their words."""
        kind = node.tagname if hasattr(node, "tagname") else "#text"
        if kind == "math":
            return f"${node.astext()}$"
        if kind == "literal":
            text = str(node.astext())
            return f"`{text}`" if "`" not in text else text
        if kind == "reference" and isinstance(label := getattr(node, "attributes", {}).get("refname_of"), str):
            return self.sections.get(label.lower(), label)
        if kind in ("image", "system_message", "target", "raw"):
            return ""
        if kind in ("footnote_reference", "citation_reference"):
            return f"[{node.astext()}]"
        children = getattr(node, "children", ())
        if kind == "line":
            return "".join(map(self.words, children)) + "\n"
        return "".join(map(self.words, children)) if children else node.astext()


def _is(tag: str) -> Callable[[Node], bool]:
    return lambda node: getattr(node, "tagname", "") == tag


_ROLE = re.compile(r"(?<!:):((?:[a-zA-Z][\w+.-]*:)?[a-zA-Z][\w+.-]*):`")
_DIRECTIVE = re.compile(r"^\s*\.\.\s+(?:\|[^|]+\|\s+)?((?:[a-zA-Z][\w+.-]*:)?[a-zA-Z][\w+.-]*) ?::", re.MULTILINE)
_TARGET = re.compile(r"^(.*?)\s*<[^<>]*>$", re.DOTALL)
_BUILT_IN_ROLES = frozenset("emphasis strong literal math sub sup subscript superscript title-reference".split())
_CODE = frozenset(
    "code-block sourcecode prompt ipython ipython3 doctest testcode testoutput console terminal program-output".split()
)
_DROPPED = frozenset(
    """toctree contents currentmodule module automodule autoclass autofunction automethod autosummary minigallery
    include literalinclude raw plot index meta only highlight sectionauthor codeauthor tabularcolumns jupyter-execute
    bibliography ifconfig title rst-class default-role""".split()
)
_NOTES = frozenset("versionadded versionchanged deprecated seealso todo".split())
_KEPT = frozenset(
    "math note warning table list-table csv-table figure image rubric topic admonition code parsed-literal".split()
)
_SETTINGS = {
    "report_level": 5,
    "halt_level": 5,
    "file_insertion_enabled": False,  # a document may not read other files
    "raw_enabled": False,
    "_disable_config": True,
    "doctitle_xform": False,
    "sectsubtitle_xform": False,
    "input_encoding": "unicode",
    "smart_quotes": False,
    "line_length_limit": 1_000_000,
}


def read(data: bytes, name: str) -> Reading:
    from docutils.core import publish_doctree

    text, notes, repairs = decode(data, name)
    _register_roles(text)
    _register_directives(text)
    walk = Walk(Draft(), text)
    walk.children(publish_doctree(text, settings_overrides=_SETTINGS))
    reading = walk.draft.reading()
    blocks = mark_questions(reading.text, reading.blocks)
    headings = [block.label for block in blocks if block.kind == "heading"]
    return Reading(reading.text, blocks, headings[0] if headings else "", repairs, notes)


def _register_roles(text: str) -> None:
    from docutils.parsers.rst import roles

    for role in set(_ROLE.findall(text)) - _BUILT_IN_ROLES:
        roles.register_local_role(role, _role)


def _role(
    name: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = None
) -> tuple[list[Any], list[Any]]:
    from docutils import nodes, utils

    words = utils.unescape(text)
    if titled := _TARGET.match(words):
        words = titled[1]
    elif name.rsplit(":", 1)[-1] in ("ref", "doc", "numref", "any"):
        return [nodes.reference("", words, refname_of=words)], []
    elif words.startswith("~"):
        words = words.rsplit(".", 1)[-1]
    words = words.lstrip("!~")
    return [nodes.inline("", f"{name}:{words}" if name in ("doi", "arxiv", "pmid") else words)], []


def _register_directives(text: str) -> None:
    from docutils.parsers.rst import directives
    from docutils.parsers.rst.directives import _directive_registry as known

    for name in set(_DIRECTIVE.findall(text)):
        if name in _DROPPED or (name not in known and name not in _KEPT):
            directives.register_directive(name, _directive_for(name))


def _directive_for(name: str) -> type[Any]:
    from docutils import nodes
    from docutils.parsers.rst import Directive

    class Sphinx(Directive):  # type: ignore[misc]
        """Whatever it is given, it takes; what it holds is parsed like the text around it."""

        optional_arguments = 1
        final_argument_whitespace = True
        has_content = True
        option_spec = _AnyOption()

        def run(self) -> list[Any]:
            argument = one_line(self.arguments[0]) if self.arguments else ""
            if name == "raw" and argument == "html":
                return [nodes.comment("", "\n".join(self.content), html=True)]
            if name in _DROPPED:
                return []
            if name in _CODE:
                body = "\n".join(self.content) or argument
                return [nodes.literal_block(body, body, language=argument if "\n" not in argument else "")]
            held = nodes.container()
            if argument and name in ("dropdown", "tab", "tab-item", "card", "grid-item-card", "collapse", "details"):
                held += nodes.rubric("", argument)
            elif argument and name in _NOTES | {"centered"}:
                held += nodes.paragraph("", f"{name.capitalize()} {argument}" if name in _NOTES else argument)
            content = _one_line_terms(self.content) if name == "glossary" else self.content
            self.state.nested_parse(content, self.content_offset, held)
            return list(held.children)

    return Sphinx


def _one_line_terms(content: Any) -> Any:
    """Sphinx lets several terms, a line each, share a definition; docutils takes one line."""
    from docutils.statemachine import StringList

    lines: list[str] = []
    for line in content:
        if line.strip() and not line.startswith((" ", "..")) and lines and lines[-1] and not lines[-1].startswith(" "):
            lines[-1] += f", {line}"
        else:
            lines.append(line)
    return StringList(lines, source="glossary")


class _AnyOption(dict[str, Any]):
    """An option list that knows every option."""

    def __missing__(self, key: str) -> Any:
        return lambda value: value

    def __getitem__(self, key: str) -> Any:
        return lambda value: value

    def __bool__(self) -> bool:
        return True
