"""reStructuredText, Sphinx's too: docutils parses it, and what it finds is written down as in Markdown.

Sphinx's roles are rendered to their words (`:class:`SVC`` is "SVC"), its directives to what they hold; labels go.
"""

from __future__ import annotations

import re
from typing import Any

from ingest.readers import Draft, Reading
from ingest.readers.decode import decode
from ingest.readers.doctree import Walk
from ingest.readers.questions import mark_questions

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
            argument = " ".join(self.arguments[0].split()) if self.arguments else ""
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
