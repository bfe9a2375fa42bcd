"""From words in the library back to where they were fetched: the very words in a page, the lines of a file."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, urlsplit

# Addresses of a file at a commit, as the pages of well-known hosts show it, and of lines in it.

_BLOB = {  # what stands between a repository's address and the commit, and how lines are told
    "github.com": ("blob", "#L{first}-L{last}"),
    "huggingface.co": ("blob", "#L{first}-L{last}"),
    "gitlab.com": ("-/blob", "#L{first}-{last}"),
    "codeberg.org": ("src/commit", "#L{first}-L{last}"),
    "bitbucket.org": ("src", "#lines-{first}:{last}"),
}
_SCP = re.compile(r"^(?:ssh://)?[\w.-]+@([\w.-]+)[:/](?!/)(.+)$")


def at_commit(repository: str, commit: str, path: str) -> str:
    """A file of a repository at a commit; where no page is known that shows it, as pip writes such addresses."""
    ssh = _SCP.match(repository)
    page = f"https://{ssh[1]}/{ssh[2]}" if ssh else repository
    host, file = urlsplit(page).hostname or "", quote(path)
    if urlsplit(page).scheme in ("http", "https") and host in _BLOB:
        home = re.sub(r"(?:\.git)?/?$", "", page)
        return f"{re.sub(r'//[^/@]*@', '//', home)}/{_BLOB[host][0]}/{commit}/{file}"
    return f"git+{re.sub(r'//[^/@]*@', '//', repository)}@{commit}#{file}"


def _of_repository(address: str) -> bool:
    host, path = urlsplit(address).hostname or "", urlsplit(address).path
    return host in _BLOB and bool(re.search(rf"/{_BLOB[host][0]}/[0-9a-f]{{40,64}}/", path))


def link(address: str, quoted: str, start: int, file: Path, sha256: str, page: int | None = None) -> str:
    """The address of these very words, which stand at `start` of the document's text.

    `file` is what was fetched, and only believed if it has this hash.
    """
    if not quoted.strip():
        return address
    if address.startswith("git+") or _of_repository(address):
        found = lines_of(file, sha256, quoted, start)
        if not found:
            return address
        host = urlsplit(address).hostname or ""
        how = _BLOB[host][1] if not address.startswith("git+") else ":{first}-{last}"
        return address + how.format(first=found[0], last=found[1])
    if file.suffix.lower() == ".pdf":
        return f"{address}#page={page}" if page else address
    return address + text_fragment(quoted, html=file.suffix.lower() == ".html")


# The lines of a file in which words stand.


def lines_of(file: Path, sha256: str, quoted: str, start: int) -> tuple[int, int] | None:
    """The first and last line, counted from one; nothing where it is not certain which they are."""
    text, starts = _text(file, sha256)
    if text[start : start + len(quoted)] == quoted:  # a text that is the file's own
        return _line(starts, start), _line(starts, start + len(quoted.rstrip()) - 1)
    blocks = [block for block in quoted.split("\n\n") if block.strip()]
    spans = [_only(text, quoted, file)] if len(blocks) < 2 else [_only(text, b, file) for b in (blocks[0], blocks[-1])]
    if None in spans or not spans:
        return None
    first, last = spans[0], spans[-1]
    assert first
    assert last
    return _line(starts, first[0]), _line(starts, last[1] - 1)


def _only(text: str, words: str, file: Path) -> tuple[int, int] | None:
    """Where a file has these words, if it has them once; what a reader wrote around them is left out."""
    python = file.suffix.lower() == ".py"
    plain = re.sub(r"^(?:#+|-) |^```\w*\n|\n```$", "", words) if python else words
    between = r"[\s#]+" if python else r"\s+"  # a comment's marks are not its words
    found = list(re.finditer(between.join(map(re.escape, plain.split())), text)) if plain.strip() else []
    return found[0].span() if len(found) == 1 else None


@lru_cache(maxsize=16)
def _text(file: Path, sha256: str) -> tuple[str, list[int]]:
    try:
        data = file.read_bytes()
    except OSError:
        return "", []
    if hashlib.sha256(data).hexdigest() != sha256:
        return "", []
    text = re.sub(r"\r\n?", "\n", data.decode("utf-8-sig", "replace"))
    return text, [0, *(match.end() for match in re.finditer("\n", text))]


def _line(starts: list[int], at: int) -> int:
    from bisect import bisect_right

    return bisect_right(starts, at)


# Words in a page: browsers go to them, and mark them, by what stands behind `#:~:text=`.

LONGEST = 120  # characters that are written out; of longer words the beginning and the end
EDGE = 5  # words of them
_MARKUP = re.compile(r"^(?:#{1,6}|[-*+•]|\d{1,3}[.)])\s+")
_NOT_SHOWN = re.compile(r"\$[^$]*\$|\n|`{3,}\w*")  # where a page has a formula, or another block begins


def text_fragment(quoted: str, html: bool = True) -> str:
    """What to add to a page's address so that a browser goes to these words; nothing where none can be named."""
    pieces = [piece for piece in map(_plain, _pieces(quoted)) if piece] if html else [" ".join(quoted.split())]
    if not pieces:
        return ""
    whole = pieces[0]
    if len(pieces) == 1 and len(whole) <= LONGEST:
        return "#:~:text=" + _encoded(whole)
    if len(pieces) == 1 and len(whole.split()) < 2 * EDGE:
        return "#:~:text=" + _encoded(" ".join(whole.split()[:EDGE]))
    start, end = " ".join(whole.split()[:EDGE]), " ".join(pieces[-1].split()[-EDGE:])
    return f"#:~:text={_encoded(start)},{_encoded(end)}"


def _pieces(quoted: str) -> list[str]:
    if quoted.lstrip().startswith("|"):
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", quoted.split("\n")[0])]
        return [max(cells, key=len)]
    return _NOT_SHOWN.split(quoted)


def _plain(piece: str) -> str:
    return _MARKUP.sub("", " ".join(piece.replace("`", "").split()))


def _encoded(text: str) -> str:
    return quote(text, safe="").replace("-", "%2D")
