"""Source code. Of Python, what its authors say to readers: signatures, docstrings, comments. Of others, the lines."""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ingest.readers import Draft, Reading, decode, one_line

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_ITEM = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+")
_RULE = re.compile(r"^\s*[-=~^]{3,}\s*$")
_PRAGMA = re.compile(r"^#\s*(?:!|-\*-|noqa|type:|pylint:|pragma|fmt:|isort:|mypy:|ruff:|flake8|SPDX|%%)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Said:
    """Something said to the reader, at its line: a heading, a signature, a docstring, a comment."""

    line: int
    kind: Literal["heading", "code", "docstring", "comment"]
    text: str
    level: int = 1


def read_python(data: bytes, name: str) -> Reading:
    text, notes, repairs = decode(data, name)
    title = name.rsplit("/", 1)[-1]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of somebody's escape sequences
            said = sorted([*_defined(ast.parse(text), text.split("\n")), *_comments(text)], key=lambda s: s.line)
    except (SyntaxError, tokenize.TokenError, ValueError):
        return _lines(text, title, (*notes, "no Python that this Python reads: taken line by line"), repairs)
    draft = Draft()
    for one in said:
        _write(draft, one)
    return draft.reading(title, notes, repairs)


def read_lines(data: bytes, name: str) -> Reading:
    text, notes, repairs = decode(data, name)
    return _lines(text, name.rsplit("/", 1)[-1], notes, repairs)


def _lines(text: str, title: str, notes: tuple[str, ...], repairs: dict[str, int]) -> Reading:
    draft = Draft()
    draft.code(text, title.rsplit(".", 1)[-1])
    return draft.reading(title, notes, repairs)


def _defined(tree: ast.Module, lines: list[str]) -> Iterator[Said]:
    if docstring := ast.get_docstring(tree):
        yield Said(tree.body[0].lineno, "docstring", docstring)
    waiting: list[tuple[ast.AST, tuple[str, ...]]] = [(tree, ())]
    while waiting:
        node, inside = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, Definition):
                waiting.append((child, inside))
                continue
            path = (*inside, child.name)
            first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
            body = child.body[0].lineno
            yield Said(first, "heading", ".".join(path), len(path) + 1)
            yield Said(first, "code", inspect.cleandoc("\n".join(_signature(lines, first, body, child.lineno))))
            if docstring := ast.get_docstring(child):
                yield Said(body, "docstring", docstring)
            waiting.append((child, path))


def _signature(lines: list[str], first: int, body: int, at: int) -> list[str]:
    """From the decorators to the colon; of a function in one line the line."""
    found = lines[first - 1 : max(body - 1, at)]
    while len(found) > 1 and (not found[-1].strip() or found[-1].lstrip().startswith("#")):
        found.pop()
    return found


def _comments(text: str) -> Iterator[Said]:
    """Comments that stand by themselves, line after line as one; a line of code with the comment behind it."""
    lines = text.split("\n")
    block: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT or _PRAGMA.match(token.string):
            continue
        row, column = token.start
        before = lines[row - 1][:column].strip()
        if block and (before or row != last + 1):
            yield Said(last, "comment", "\n".join(block))
            block = []
        if before:
            yield Said(row, "code", lines[row - 1].strip())
        else:
            block.append(token.string.lstrip("#").removeprefix(" ").rstrip())
            last = row
    if block:
        yield Said(last, "comment", "\n".join(block))


def _write(draft: Draft, said: Said) -> None:
    if said.kind == "heading":
        draft.heading(said.text, said.level)
    elif said.kind == "code":
        draft.code(said.text, "python")
    else:
        for paragraph in re.split(r"\n\s*\n", said.text):
            _paragraph(draft, paragraph)


def _paragraph(draft: Draft, text: str) -> None:
    """Prose, a doctest, or a list: of marked lines, or what is indented below a line that ends in a colon."""
    lines = [line for line in text.split("\n") if line.strip() and not _RULE.match(line)]
    if not lines:
        return
    if lines[0].lstrip().startswith(">>>"):
        draft.code("\n".join(line.strip() for line in lines), "python")
        return
    head, rest = (lines[:1], lines[1:]) if lines[0].rstrip().endswith(":") else ([], lines)
    indents = [len(line) - len(line.lstrip()) for line in rest]
    if rest and ((all(i > _indent(lines[0]) for i in indents) and head) or _ITEM.match(rest[0])):
        draft.add("paragraph", one_line(" ".join(head)))
        for item in _items(rest, min(indents)):
            draft.add("item", f"- {_ITEM.sub('', item)}", level=1)
    else:
        draft.add("paragraph", one_line(" ".join(lines)))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _items(lines: list[str], indent: int) -> Iterator[str]:
    """Each from a line at this indent (or a marked one) to the next."""
    item: list[str] = []
    for line in lines:
        if item and ((_indent(line) <= indent and not _ITEM.match(lines[0])) or _ITEM.match(line)):
            yield one_line(" ".join(item))
            item = []
        item.append(line)
    yield one_line(" ".join(item))
