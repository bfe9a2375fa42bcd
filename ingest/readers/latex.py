"""LaTeX: pylatexenc parses it, nothing is run. What it would take in from other files is not read.

The author's own commands are written out where they only stand for words; formulas stay as they are, in dollars.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from ingest.readers import Draft, Reading, decode, mark_questions, one_line

Node = Any  # pylatexenc.latexwalker.LatexNode: pylatexenc has no types of its own

# Before it is parsed: comments go; code, in which every sign means itself, is put aside.

_CODE_NAMES = "verbatim lstlisting minted Verbatim alltt BVerbatim LVerbatim pycode python tcblisting".split()
_DROPPED_NAMES = "comment tikzpicture pgfpicture filecontents CCSXML picture pspicture".split()
_PIECE = re.compile(
    r"\\[\\%]"
    r"|(?P<comment>%[^\n]*(?:\n[ \t]*(?!\s*\n))?)"
    rf"|\\begin\{{(?P<name>{'|'.join([*_CODE_NAMES, *_DROPPED_NAMES])})(?P<star>\*?)\}}"
    r"|\\(?:verb\*?|lstinline(?:\[[^\]\n]*\])?|mintinline(?:\[[^\]\n]*\])?\{[^}\n]*\})(?P<mark>[^\sa-zA-Z*])"
    r"|(?P<rule>\\(?:cmidrule(?:\[[^\]\n]*\])?(?:\([^)\n]*\))?\{[^}\n]*\}|cline\{[^}\n]*\}|addlinespace(?:\[[^\]\n]*\])?))"
)
_OPTIONS = re.compile(r"\A[ \t]*(?:\[(?P<options>[^\]]*)\])?(?:\{(?P<given>[^}\n]*)\})?[ \t]*\n?")
_LANGUAGE = re.compile(r"language\s*=\s*\{?(?:\[[^\]]*\])?(\w[\w+-]*)", re.IGNORECASE)
_ASIDE = re.compile(r"\\footnote(code|verb)\{\d+\}")


class Aside:
    """Code that was put aside, in order."""

    def __init__(self) -> None:
        self.code: list[tuple[str, str]] = []  # text and language
        self.spoken: list[str] = []  # inside a line

    def without(self, text: str) -> str:
        text = _ASIDE.sub("", text)
        parts, at = list[str](), 0
        open_ended = set[str]()  # which no end follows any more: it is looked for once
        while found := _PIECE.search(text, at):
            parts.append(text[at : found.start()])
            stands_for, at = self._piece(text, found, open_ended)
            parts.append(stands_for)
        return "".join([*parts, text[at:]])

    def _piece(self, text: str, found: re.Match[str], open_ended: set[str]) -> tuple[str, int]:
        """What stands for a piece, and where the text goes on."""
        if found["comment"] or found["rule"]:
            return "", found.end()
        if mark := found["mark"]:
            return self._in_line(text, found.end(), "}" if mark == "{" else mark, found)
        if name := found["name"]:
            closing = f"\\end{{{name}{found['star']}}}"
            end = -1 if closing in open_ended else text.find(closing, found.end())
            if end < 0:
                open_ended.add(closing)
                return "", found.end()
            return self._block(name, text[found.end() : end]), end + len(closing)
        return found[0], found.end()

    def _in_line(self, text: str, start: int, closing: str, found: re.Match[str]) -> tuple[str, int]:
        line_end = text.find("\n", start)
        end = text.find(closing, start, line_end if line_end >= 0 else len(text))
        if end < 0:
            return "", found.end()
        self.spoken.append(text[start:end])
        return f"\\footnoteverb{{{len(self.spoken) - 1}}}", end + 1

    def _block(self, name: str, body: str) -> str:
        if name in _DROPPED_NAMES:
            return ""
        options = _OPTIONS.match(body) if name not in ("verbatim", "alltt") else None
        said = _LANGUAGE.search(options["options"] or "") if options else None
        language = said[1] if said else (options["given"] or "") if options and name == "minted" else ""
        self.code.append((body[options.end() :] if options else body, language.lower()))
        return f"\n\n\\footnotecode{{{len(self.code) - 1}}}\n\n"


# What commands take, and what becomes of them.

_SECTIONS = "part chapter section subsection subsubsection paragraph subparagraph".split()
_TAKES = {  # as pylatexenc writes it: * a star, [ what may be given, { what must
    **dict.fromkeys("cite citep citet citealp citealt citeauthor citeyear parencite textcite autocite".split(), "*[[{"),
    **dict.fromkeys("ref eqref autoref cref Cref pageref nameref vref".split(), "*{"),
    **dict.fromkeys("vspace hspace".split(), "*{"),
    **dict.fromkeys("frametitle framesubtitle title subtitle author date institute caption".split(), "*[{"),
    **dict.fromkeys("footnotetext footnote thanks marginpar sidenote".split(), "[{"),
    **dict.fromkeys("textcolor colorbox href".split(), "[{{"),
    **dict.fromkeys("multicolumn multirow".split(), "[{[{{"),
    **dict.fromkeys("setlength addtolength setcounter addtocounter definecolor resizebox".split(), "{{"),
    **dict.fromkeys(
        "label color pagestyle thispagestyle bibliographystyle bibliography vskip selectlanguage".split(), "{"
    ),
    **dict.fromkeys("input include subfile lstinputlisting includegraphics url bibitem hyperref".split(), "[{"),
    **dict.fromkeys("footnotecode footnoteverb texttt code".split(), "{"),
    "multicolumn": "{{{",
    "multirow": "[{[{{",
    "resizebox": "{{{",
    "inputminted": "[{{",
    "import": "{{",
    "def": "",
}
_ENVIRONMENTS = {
    **dict.fromkeys("tabularx tabulary tabular*".split(), "{[{"),
    **dict.fromkeys("tabular array longtable supertabular tblr wrapfigure".split(), "[{"),
    **dict.fromkeys("figure figure* table table* itemize enumerate description frame tcolorbox proof".split(), "["),
    **dict.fromkeys("theorem lemma definition example remark corollary proposition exercise".split(), "["),
    "minipage": "[[[{",
    "multicols": "{",
    "thebibliography": "{",
}
_TABLES = frozenset("tabular tabular* tabularx tabulary longtable supertabular tblr array".split())
_LISTS = frozenset("itemize enumerate description compactitem compactenum".split())
_FORMULAS = frozenset(
    "equation align alignat gather multline eqnarray displaymath math flalign dmath subequations".split()
)
_GONE = frozenset(
    """label vspace hspace vskip setlength addtolength setcounter addtocounter definecolor color pagestyle
    thispagestyle bibliographystyle includegraphics maketitle tableofcontents listoffigures listoftables author date
    institute thanks marginpar selectlanguage newcommand renewcommand providecommand newenvironment renewenvironment
    usepackage documentclass newtheorem centering noindent index hline toprule midrule bottomrule hfill""".split()
)
_OTHERS = frozenset("input include subfile lstinputlisting inputminted import bibliography".split())
_CITED = frozenset("cite citep citet citealp citealt citeauthor citeyear parencite textcite autocite".split())
_REFERRED = frozenset("ref eqref autoref cref Cref pageref nameref vref".split())
_BREAKS = frozenset("par newpage clearpage bigskip medskip smallskip pagebreak linebreak newline".split())
_RULES = frozenset("hline toprule midrule bottomrule endhead endfirsthead Xhline".split())
_ACCENTS = frozenset("'`^\"~=.crHuvkbdt")
_SPECIALS = {"~": " ", "--": "–", "---": "—", "``": "“", "''": "”", "&": " ", "#": "#"}
_NAMED_SECTION = re.compile(r"\\(?:chapter|(?:sub)*section)\*?\{([^{}]*)\}\s*\\label\{([^}]*)\}")
_OWN = re.compile(r"\\(?:re|provide)?newcommand\*?\s*\{?\\([a-zA-Z]+)\}?(?:\[(\d)\])?(\[[^\]]*\])?\s*\{")
_MOST_WRITTEN_OUT = 20_000  # characters that the author's commands may become
_DEEPEST = 8  # commands in each other


def _own_commands(text: str) -> dict[str, tuple[int, str]]:
    """The author's commands: how many things each takes, and what it stands for."""
    found: dict[str, tuple[int, str]] = {}
    for match in _OWN.finditer(text):
        end = _closing(text, match.end())
        if end and not match[3] and len(found) < 1000 and match[1] not in _SECTIONS:
            found[match[1]] = int(match[2] or 0), text[match.end() : end]
    return found


def _closing(text: str, at: int) -> int:
    """Where the brace closes that is open at this place; 0 where it does not within a thousand characters."""
    depth = 1
    for i in range(at, min(len(text), at + 1000)):
        depth += {"{": 1, "}": -1}.get(text[i], 0) if text[i - 1] != "\\" else 0
        if not depth:
            return i
    return 0


class Walk:
    """Goes through what was parsed; knows how deep in lists it is, and what commands of the author's stand for."""

    def __init__(self, text: str) -> None:
        self.aside = Aside()
        self.text = self.aside.without(text)
        self.own = _own_commands(self.text)
        self.titles = {label: title for title, label in _NAMED_SECTION.findall(self.text)}
        self.draft = Draft()
        self.left_out: list[str] = []
        self.notes: list[str] = []  # at the foot of the page: they follow their paragraph
        self.title = ""
        self.lists = 0
        self.inside = 0  # the author's commands
        self.written_out = 0
        self.raised = 0  # by how much sections lie deeper than their names say

    @cached_property
    def _context(self) -> Any:
        from pylatexenc.latexwalker import get_default_latex_context_db
        from pylatexenc.macrospec import EnvironmentSpec, MacroSpec

        context = get_default_latex_context_db()
        macros = {**_TAKES, **{name: "{" * count for name, (count, _) in self.own.items()}}
        context.add_context_category(
            "footnote",
            macros=[MacroSpec(name, takes) for name, takes in macros.items()],
            environments=[EnvironmentSpec(name, takes) for name, takes in _ENVIRONMENTS.items()],
            prepend=True,
        )
        return context

    @cached_property
    def _spoken(self) -> Any:
        from pylatexenc.latex2text import LatexNodes2Text

        return LatexNodes2Text(math_mode="verbatim", strict_latex_spaces=True)

    def parsed(self, text: str) -> list[Node]:
        from pylatexenc.latexwalker import LatexWalker

        walker = LatexWalker(text, latex_context=self._context, tolerant_parsing=True)
        return list(walker.get_latex_nodes()[0])

    def walk(self) -> None:
        preamble, _, body = self.text.rpartition("\\begin{document}")
        body = body.partition("\\end{document}")[0]
        for node in self.parsed(_titles_only(preamble)):
            if _name(node) == "title":
                self.title = self.words(_last(node))
        nodes = self.parsed(body)
        chapters = bool(re.search(r"\\(?:part|chapter)\b", body))
        self.raised = (0 if chapters else -1) + bool(self.title) + (0 if "\\part" in body else -1)
        self.draft.heading(self.title, 1)
        self.blocks(nodes)

    # Blocks

    def blocks(self, nodes: Sequence[Node]) -> None:
        self.flush(self._through(nodes, []))

    def _through(self, nodes: Sequence[Node], run: list[str]) -> list[str]:
        """Blocks are written; gives the words behind the last one, which may go on."""
        for node in nodes:
            kind = type(node).__name__
            if kind == "LatexCharsNode":
                first, *others = re.split(r"\n[ \t]*\n\s*", node.chars)
                run.append(first)
                for other in others:
                    run = self.flush(run)
                    run.append(other)
            elif kind == "LatexGroupNode":
                run = self._through(node.nodelist, run)
            elif kind == "LatexEnvironmentNode":
                run = self.flush(run)
                self.environment(node)
            elif kind == "LatexMathNode" and node.displaytype == "display":
                run = self.flush(run)
                self.formula(_inner(node))
            elif kind == "LatexMacroNode":
                run = self._macro(node, run)
            else:
                run.append(self.words([node]))
        return run

    def flush(self, run: list[str]) -> list[str]:
        self.draft.add("paragraph", one_line("".join(run)))
        while self.notes:
            self.draft.add("paragraph", one_line(self.notes.pop(0)))
        return []

    def _macro(self, node: Node, run: list[str]) -> list[str]:
        name = node.macroname
        if name in _SECTIONS:
            run = self.flush(run)
            self.draft.heading(self.words(_last(node)), _SECTIONS.index(name) + 1 + self.raised)
        elif name in ("title", "frametitle", "framesubtitle", "subtitle"):
            run = self.flush(run)
            self.draft.heading(self.words(_last(node)), 1 if name == "title" else 3)
        elif name == "footnotecode":
            run = self.flush(run)
            self.code(node)
        elif name == "caption":
            run = self.flush(run)
            self.flush([self.words(_last(node))])
        elif name in _BREAKS or "\n\n" in getattr(node, "macro_post_space", ""):
            run = self.flush([*run, self.words([node])])
        elif name in self.own and name not in _GONE:
            run = self._written_out(node, lambda nodes: self._through(nodes, run)) or run
        else:
            run.append(self.words([node]))
        return run

    def code(self, node: Node) -> None:
        number = self.words(_last(node))
        if number.isdigit() and int(number) < len(self.aside.code):
            self.draft.code(*self.aside.code[int(number)])

    def formula(self, text: str) -> None:
        body = re.sub(r"\\label\{[^}]*\}|\\(?:nonumber|notag)\b", "", text).strip()
        body = re.sub(r"\n\s*\n", "\n", body)
        self.draft.add("paragraph", f"$$\n{body}\n$$" if body else "")

    def environment(self, node: Node) -> None:
        name = node.environmentname
        plain = name.rstrip("*")
        if plain in _FORMULAS:
            self.formula(_inner(node))
        elif plain in _LISTS:
            self.listing(node)
        elif name in _TABLES:
            self.table(node)
        elif plain == "thebibliography":
            self.bibliography(node)
        else:
            if plain == "abstract":
                self.draft.heading("Abstract", max(self.raised + 3, 2))
            elif plain == "frame" and node.nodelist and type(node.nodelist[0]).__name__ == "LatexGroupNode":
                self.draft.heading(self.words(node.nodelist[:1]), 3)
                self.blocks(node.nodelist[1:])
                return
            self.blocks(_without_options(node))

    def listing(self, node: Node) -> None:
        self.lists += 1
        numbered = "enum" in node.environmentname
        for number, (item, nodes) in enumerate(_items(node.nodelist), 1):
            term = self.words([_arguments(item)[-1]]) if _arguments(item) and _arguments(item)[-1] else ""
            self.item(nodes, f"{number}." if numbered and not term else "-", f"{term}: " if term.strip() else "")
        self.lists -= 1

    def item(self, nodes: Sequence[Node], marker: str, term: str) -> None:
        """An item's own words go to its first block or blank line; what follows stands behind it."""
        own: list[str] = []
        rest: list[Node] = []
        for at, node in enumerate(nodes):
            blank = re.search(r"\n[ \t]*\n", node.chars) if hasattr(node, "chars") else None
            if blank and ("".join(own).strip() or node.chars[: blank.start()].strip()):
                own.append(node.chars[: blank.start()])
                rest = [_Chars(node.chars[blank.end() :]), *nodes[at + 1 :]]
                break
            if _is_block(node):
                rest = list(nodes[at:])
                break
            own.append(self.words([node]))
        words = one_line(term + "".join(own))
        self.draft.add("item", f"{marker} {words}" if words.strip(": ") else "", level=self.lists)
        self.flush([])
        self.blocks(rest)

    def bibliography(self, node: Node) -> None:
        self.draft.heading("References", max(self.raised + 3, 2))
        for entry in _split(node.nodelist, lambda child: _name(child) == "bibitem"):
            if entry and _name(entry[0]) == "bibitem":
                key = self.words(_last(entry[0]))
                self.draft.add("item", f"- [{key}] {one_line(self.words(entry[1:]))}", level=1)

    def table(self, node: Node) -> None:
        rows: list[list[str]] = []
        ruled: set[int] = set()  # a rule stands behind so many rows
        reaching: dict[int, tuple[int, str]] = {}
        for line in _split(node.nodelist, lambda child: _name(child) in ("\\", "tabularnewline", *_RULES)):
            if line and _name(line[0]) in _RULES:
                ruled.add(len(rows))
            cells = [cell for part in _split(line, _is_ampersand) for cell in self._cells(part)]
            cells = _reached(cells, reaching)
            if any(cells) and cells not in rows[:1]:
                rows.append(cells)
        width = max(map(len, rows), default=0)
        rows = [row + [""] * (width - len(row)) for row in rows]
        heads = _heads(rows, ruled)
        merged = [[" ".join(filter(None, cells)) for cells in zip(*rows[:heads], strict=True)]] if heads > 1 else []
        self.draft.table([*(merged or rows[:heads]), *rows[heads:]], header=heads > 0)

    def _cells(self, part: Sequence[Node]) -> Iterator[str]:
        nodes = part[1:] if part and _is_ampersand(part[0]) else part
        nodes = [node for node in nodes if _name(node) not in ("\\", "tabularnewline")]
        for node in nodes:
            if _name(node) == "multicolumn":
                count = self.words(_arguments(node)[:1])
                yield one_line(self.words(nodes))
                yield from [""] * (min(int(count), 100) - 1 if count.isdigit() else 0)
                return
        down = next((self.words(_arguments(n)[1:2]) for n in nodes if _name(n) == "multirow"), "")
        words = one_line(self.words(nodes))
        yield f"\0{down}\0{words}" if down.isdigit() else words

    # Words

    def words(self, nodes: Sequence[Node]) -> str:
        return "".join(self._word(node) for node in nodes if node is not None)

    def _word(self, node: Node) -> str:
        kind = type(node).__name__
        if kind in ("LatexCharsNode", "_Chars"):
            return str(node.chars)
        if kind == "LatexSpecialsNode":
            return str(_SPECIALS.get(node.specials_chars, node.specials_chars))
        if kind == "LatexGroupNode":
            return self.words(node.nodelist)
        if kind == "LatexMathNode":
            inner = one_line(_inner(node))
            return f"${inner}$" if inner else ""
        if kind == "LatexEnvironmentNode":
            formula = node.environmentname.rstrip("*") in _FORMULAS
            return f" ${one_line(_inner(node))}$ " if formula else f" {self.words(_without_options(node))} "
        return self._command(node) if kind == "LatexMacroNode" else ""

    def _command(self, node: Node) -> str:
        name = node.macroname
        if name in _OTHERS:
            self.left_out.append(self.words(_last(node)))
            return ""
        if name in _GONE:
            return ""
        if name == "footnoteverb":
            number = self.words(_last(node))
            code = self.aside.spoken[int(number)] if number.isdigit() and int(number) < len(self.aside.spoken) else ""
            return f"`{code}`" if code and "`" not in code else code
        if name in ("texttt", "code"):
            said = self.words(_last(node))
            return f"`{said}`" if said.strip() and "`" not in said else said
        if name in ("footnote", "footnotetext"):
            self.notes.append(self.words(_last(node)))
            return ""
        if name in _CITED:
            return f"[{one_line(self.words(_last(node)))}]"
        if name in _REFERRED:
            key = self.words(_last(node))
            return str(self.titles.get(key, key.rpartition(":")[2]))
        if name in self.own:
            return self._written_out(node, self.words) or ""
        return self._known(node)

    def _known(self, node: Node) -> str:
        """A command of LaTeX's own: the last thing that it is given, or the sign that it stands for."""
        name, given = node.macroname, [one for one in _arguments(node) if one is not None]
        if name in ("\\", *_BREAKS):
            return " "
        if given and name not in _ACCENTS:
            return self.words([given[-1]])
        said = str(self._spoken.nodelist_to_text([node]))
        return said + (" " if node.macro_post_space and len(said.strip()) != 1 else "")

    def _written_out(self, node: Node, use: Callable[[list[Node]], Any]) -> Any:
        """What a command of the author's stands for, parsed and used; nothing where that would grow without end."""
        _, body = self.own[node.macroname]
        for number, given in enumerate(_arguments(node), 1):
            body = body.replace(f"#{number}", _source(given))
        self.written_out += len(body)
        if self.inside >= _DEEPEST or self.written_out > _MOST_WRITTEN_OUT + len(self.text):
            return None
        self.inside += 1
        try:
            return use(self.parsed(body + (" " if node.macro_post_space else "")))
        finally:
            self.inside -= 1


class _Chars:
    """The rest of a text that a blank line has cut."""

    def __init__(self, chars: str) -> None:
        self.chars = chars


_Chars.__name__ = "LatexCharsNode"


def _name(node: Node) -> str:
    return str(getattr(node, "macroname", ""))


def _arguments(node: Node) -> list[Node]:
    given = getattr(node, "nodeargd", None)
    return list(given.argnlist or ()) if given is not None else []


def _last(node: Node) -> list[Node]:
    """What a command is given that it must be given."""
    return [one for one in _arguments(node) if one is not None][-1:]


def _source(node: Node) -> str:
    if node is None:
        return ""
    return _inner(node) if type(node).__name__ == "LatexGroupNode" else str(node.latex_verbatim())


def _inner(node: Node) -> str:
    """The source of what a group, a formula or an environment holds."""
    return "".join(child.latex_verbatim() for child in node.nodelist if child is not None)


def _titles_only(preamble: str) -> str:
    at = preamble.rfind("\\title")
    return preamble[at : at + 2000] if at >= 0 else ""


def _is_ampersand(node: Node) -> bool:
    return getattr(node, "specials_chars", "") == "&"


def _is_block(node: Node) -> bool:
    kind = type(node).__name__
    if kind == "LatexMathNode":
        return bool(node.displaytype == "display")
    return kind == "LatexEnvironmentNode" or _name(node) in ("footnotecode", *_SECTIONS)


def _split(nodes: Sequence[Node], begins: Callable[[Node], bool]) -> Iterator[list[Node]]:
    """Runs of nodes; each but the first begins with one that says so."""
    run: list[Node] = []
    for node in nodes:
        if begins(node):
            yield run
            run = []
        run.append(node)
    yield run


def _items(nodes: Sequence[Node]) -> Iterator[tuple[Node, list[Node]]]:
    for run in _split(nodes, lambda node: _name(node) == "item"):
        if run and _name(run[0]) == "item":
            yield run[0], run[1:]


def _without_options(node: Node) -> list[Node]:
    """What an environment holds, without what stands in brackets behind the name of one that is not known."""
    nodes = list(node.nodelist)
    if nodes and type(nodes[0]).__name__ == "LatexCharsNode":
        kept = re.sub(r"\A\s*\[[^\[\]]*\]", "", nodes[0].chars)
        nodes[0] = nodes[0] if kept == nodes[0].chars else _Chars(kept)
    return nodes


def _reached(cells: list[str], reaching: dict[int, tuple[int, str]]) -> list[str]:
    """A cell that reaches over several rows says in each of them what it says."""
    if not any(cells):
        return cells
    said: list[str] = []
    for at, cell in enumerate(cells):
        left, above = reaching.pop(at, (0, ""))
        if cell.startswith("\0"):
            _, down, cell = cell.split("\0", 2)
            left, above = min(int(down), 1000), cell
        elif left and not cell:
            cell = above
        if left > 1:
            reaching[at] = (left - 1, above)
        said.append(cell)
    return said


def _heads(rows: list[list[str]], ruled: set[int]) -> int:
    """How many rows are the table's head: those above the first rule inside, unless each row has its rule."""
    inside = sorted(at for at in ruled if 0 < at < len(rows))
    if inside and inside[0] <= 3 and (len(inside) == 1 or len(inside) < len(rows) - 1):
        return inside[0]
    figures = [any(char.isdigit() for cell in row for char in cell) for row in rows]
    return int(len(rows) > 1 and all(rows[0]) and not figures[0] and any(figures[1:]))


def read(data: bytes, name: str) -> Reading:
    text, notes, repairs = decode(data, name)
    walk = Walk(text)
    walk.walk()
    reading = walk.draft.reading()
    blocks = mark_questions(reading.text, reading.blocks)
    if walk.left_out:
        notes = (*notes, f"what it includes is not read: {', '.join(dict.fromkeys(walk.left_out))[:200]}")
    title = walk.title or next((block.label for block in blocks if block.kind == "heading"), "")
    return Reading(reading.text, blocks, title, repairs, notes)
