"""Finds code in plain text whose indentation and fences are gone.

A line is *strong* if it can hardly be prose: Python that parses to an assignment, a call, an import, a definition, a
shell command, a line of another language's syntax. A run of code begins at a strong line (or a comment above one) and
goes on over whatever stands inside its brackets and over weak lines (a name, a comment, `pass`) between strong ones.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence

_COMMENT = re.compile(r"^\s*(?:#(?!#)\s?\S|//\s|--\s\S)")
_STRONG = re.compile(
    r"""^\s*(?:
        (?:from\s+[\w.]+\s+import|import\s+[\w.]+(?:\s+as\s+\w+)?\s*(?:\#.*)?$)
      | @[\w.]+(?:\(.*)?$
      | (?:async\s+)?def\s+\w+\s*\(
      | class\s+\w+(?:\(.*\))?:\s*(?:\#.*)?$
      | (?:el)?if\s.+:\s*(?:\#.*)?$ | else:\s*(?:\#.*)?$ | try:$ | except\b.*:$ | finally:$
      | (?:async\s+)?(?:with|for)\s+\w.*[\[({)\]].*:\s*(?:\#.*)?$ | (?:async\s+)?with\s+\w[\w.]*\($
      | (?:\$|>>>|\.\.\.|In\s\[\d+\]:)\s+\S
      | (?:sudo\s+)?
        (?:pip3?|conda|uv|npm|npx|yarn|git|docker|kubectl|apt|apt-get|brew|ollama|huggingface-cli|vllm|cargo)\s+
        (?:-{1,2}\w|install|add|init|run|create|activate|clone|pull|push|build|login|download|serve|sync|update|commit|compose)\b
      | (?:curl|wget)\s+(?:-|https?://) | python3?\s+(?:-m\s|\S+\.py\b) | cd\s+[\w./~-]+$ | (?:export|set)\s+\w+=\S
      | (?:const|let|var)\s+\w+\s*= | function\s+\w*\( | \#include\s*< | (?:public|private|static)\s+\w+.*[({;]$
      | SELECT\s+.+\s+FROM\s | (?:INSERT\s+INTO|CREATE\s+TABLE|UPDATE\s+\w+\s+SET)\s
      | (?:RUN|COPY|ENTRYPOINT|CMD|WORKDIR)\s+\S.*$ (?<![.!?])
      | <\?php | <!DOCTYPE | </?[a-z][a-z0-9]*(?:\s[^<>]*)?>.*</?[a-z][a-z0-9]*>$
      | Traceback\s\(most\srecent\scall\slast\):
    )""",
    re.VERBOSE,
)
_OPENS = re.compile(r"(?:\w[\w.\]]*|[=:,])\s?[\[({]\s*(?:#.*)?$")
_STATEMENT_END = re.compile(r"[)\]};]\s*;\s*$|^\s*[}\])]+[;,]?\s*$|\{\s*$")
_CALL = re.compile(r"^[\w.\[\]'\"]*[\w\])]\(")
_BRACKETS_ONLY = re.compile(r"^\s*[\])}]+[,;:]?\s*(?:#.*)?$")
_WEAK_WORD = re.compile(r"^\s*(?:pass|break|continue|return|yield|[\w.]+,?|\.\.\.)\s*(?:#.*)?$")
_STRING = re.compile(r"[rbfu]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')", re.IGNORECASE)
_MOST_COMMENTS = 60  # lines of comment above a line of code
_LONGEST_IN_BRACKETS = 80  # lines: a bracket left open longer than this was no code


def code_runs(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Runs of code as (first line, line behind the last), in order."""
    runs: list[tuple[int, int]] = []
    at = 0
    while at < len(lines):
        end = _run_end(lines, at) if _begins(lines, at) else at
        if end > at:
            runs.append((at, end))
        at = max(end, at + 1)
    return runs


def _begins(lines: Sequence[str], at: int) -> bool:
    if _COMMENT.match(lines[at]):
        below = _skip_comments(lines, at)
        return below < len(lines) and strong(lines[below])
    if not strong(lines[at]):
        return False
    # One line alone must be beyond doubt; `accuracy = right / all` may be a formula in prose.
    return (
        bool(_STRONG.match(lines[at])) or _open_brackets(lines[at]) > 0 or _goes_on(lines, at + 1) or _calls(lines[at])
    )


def _run_end(lines: Sequence[str], at: int) -> int:
    depth, since_closed, end = 0, at, at
    prompt = lines[at].lstrip().startswith((">>>", "$ ", "Traceback"))
    while end < len(lines):
        line = lines[end]
        if depth > 0 and end - since_closed > _LONGEST_IN_BRACKETS:
            return since_closed + 1
        if depth <= 0 and not (_belongs(lines, end) or (prompt and line.strip())):
            break
        depth = max(0, depth + _open_brackets(line))
        since_closed = end if depth == 0 else since_closed
        end += 1
    while end > at and not lines[end - 1].strip():
        end -= 1
    return end


def _belongs(lines: Sequence[str], at: int) -> bool:
    line = lines[at]
    if strong(line) or _BRACKETS_ONLY.match(line):
        return True
    if _COMMENT.match(line):  # above prose with a blank line before it, it is a heading
        below = _skip_comments(lines, at)
        return _goes_on(lines, below) or not (at and not lines[at - 1].strip())
    if not line.strip():
        return _goes_on(lines, at + 1)
    return bool(_WEAK_WORD.match(line) or _statements(line.strip())) and _goes_on(lines, at + 1)


def _goes_on(lines: Sequence[str], at: int) -> bool:
    """Is the next line that says something code? At most two blank lines are looked across."""
    for line in lines[at : at + 3]:
        if line.strip():
            return strong(line) or bool(_COMMENT.match(line) and strong((*lines, "")[_skip_comments(lines, at)]))
    return False


def _skip_comments(lines: Sequence[str], at: int) -> int:
    end = min(len(lines), at + _MOST_COMMENTS)
    while at < end and (_COMMENT.match(lines[at]) or not lines[at].strip()):
        at += 1
    return at


def strong(line: str) -> bool:
    bare = line.strip()
    if not bare or len(bare) > 400:
        return False
    if _STRONG.match(bare) or _STATEMENT_END.search(_STRING.sub("''", bare)) or _OPENS.search(bare):
        return not _prose(bare)
    return any(_telling(node, bare) for node in _statements(bare))


def _prose(line: str) -> bool:
    """A sentence that happens to begin like a command: it ends like one and has no sign of syntax."""
    return line[-1] in ".!?" and not re.search(r"[=(\[{$/_]|--", line)


def _telling(node: ast.stmt, line: str) -> bool:
    """Can prose not be taken for this statement? To Python `Compute (GPU)` is a call, `return policy` a return."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Assert | ast.Import | ast.ImportFrom | ast.With):
        return True
    if isinstance(node, ast.AnnAssign):
        return node.value is not None
    if isinstance(node, ast.Return):
        return node.value is not None and not isinstance(node.value, ast.Name)
    if isinstance(node, ast.Raise):
        return isinstance(node.exc, ast.Call)
    return isinstance(node, ast.Expr) and bool(_CALL.match(line))


def _calls(line: str) -> bool:
    return bool(_CALL.match(line.strip())) and bool(_statements(line.strip()))


def _statements(line: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "invalid escape sequence" in somebody's prose
            return ast.parse(line + " pass" if line.endswith(":") else line).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []


def _open_brackets(line: str) -> int:
    bare = _STRING.sub("", line).split("#", 1)[0]
    return sum(bare.count(char) for char in "([{") - sum(bare.count(char) for char in ")]}")
