"""Who may: tokens that can be taken back, and the rules of a server by what it listens on."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import secrets
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from assistant.records import one_line
from ingest.errors import FootnoteError, LibraryError

# Tokens, in a file of the library's folder: their hashes, since nobody has to know them but who bears them.

FILE = "tokens.json"
CAN = ("ask", "ingest", "admin")  # each may what the one before may
MARK = "fn_"


@dataclass(frozen=True, slots=True)
class Visitor:
    name: str = ""
    can: str = "ask"

    def may(self, what: str) -> bool:
        return CAN.index(self.can) >= CAN.index(what)


@dataclass(frozen=True, slots=True)
class Token:
    name: str
    can: str
    sha256: str
    added: str


class Tokens:
    """Read again whenever the file was written, so that one which was taken back opens nothing any more."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._known: tuple[tuple[int, ...], dict[str, Token]] = ((), {})

    def add(self, name: str, can: str) -> str:
        """The token, which is shown this once."""
        if not name.strip() or name != one_line(name) or not name.isascii():
            raise FootnoteError(f"{name!r} is no name for a token: give letters and digits, such as `alice`")
        kept = self.listed()
        if any(token.name == name for token in kept):
            raise FootnoteError(f"there is a token for {name!r}: take it back with `footnote token remove {name}`")
        text = MARK + secrets.token_urlsafe(32)
        self._write([*kept, Token(name, can, _sha256(text), time.strftime("%Y-%m-%d"))])
        return text

    def remove(self, name: str) -> None:
        kept = self.listed()
        if all(token.name != name for token in kept):
            there = ", ".join(token.name for token in kept) or "none"
            raise FootnoteError(f"no token for {name!r}: there are {there}")
        self._write([token for token in kept if token.name != name])

    def listed(self) -> list[Token]:
        return list(self._by_hash().values())

    def find(self, text: str) -> Visitor | None:
        token = self._by_hash().get(_sha256(text))
        return Visitor(token.name, token.can) if token else None

    def _file(self) -> Path:
        from ingest.library import own

        return own(self.place, FILE)

    def _by_hash(self) -> dict[str, Token]:
        file = self._file()
        try:
            stat = file.stat()
            stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if stamp != self._known[0]:
                tokens = [Token(**one) for one in json.loads(file.read_text(encoding="utf-8"))]
                self._known = (stamp, {token.sha256: token for token in tokens})
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            raise LibraryError(
                f"{file} cannot be read ({one_line(str(error))}): move it away, and add tokens"
            ) from error
        return self._known[1]

    def _write(self, tokens: Iterable[Token]) -> None:
        if not self.place.is_dir():
            raise LibraryError(f"no library at {self.place}: make one with `footnote ingest FOLDER`, then add tokens")
        file = self._file()
        waiting = file.with_suffix(".part")
        waiting.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                json.dump([asdict(token) for token in tokens], out, indent=2)
            waiting.replace(file)
        except OSError as error:
            raise LibraryError(f"{file} cannot be written ({error.strerror}): make the folder writable") from error


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# Rules of a server: what it listens on decides what a visitor has to show.


def is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Rules:
    """`header` is the one in which a proxy names its visitors. A limit of 0 is none."""

    tokens: Tokens
    local: bool = True  # only this machine can reach it: nothing is asked
    open: bool = False
    header: str = ""
    oidc: bool = False  # the page asks its visitors to log in; the other doors ask for tokens
    visitors_can: str = "ask"  # those without a token
    hosts: frozenset[str] = frozenset()  # by which this server is known, beside its own address
    per_minute: int = 60
    most_bytes: int = 2**20
    most_upload: int = 64 * 2**20


def rules(
    place: Path,
    address: str,
    base_url: str = "",
    *,
    open_: bool = False,
    header: str = "",
    oidc: bool = False,
    visitors_can: str = "ask",
    per_minute: int | None = None,
) -> Rules:
    """Refuses what would let everybody in without anybody having said so. A public address means a proxy in front."""
    tokens, host = Tokens(place), (urlsplit(base_url).hostname or "").lower()
    reached = address if not is_loopback(address) else host if host and not is_loopback(host) else ""
    if reached and not (open_ or header or oidc or tokens.listed()):
        raise FootnoteError(
            f"{reached} can be reached by others, and nobody would be asked who they are: add a token with "
            "`footnote token add NAME --can ask`, name your proxy's header with --trust-header, or say --open"
        )
    local = not (reached or header or oidc)
    limit = (0 if local else 60) if per_minute is None else per_minute
    hosts = frozenset({host} if host else ())
    return Rules(tokens, local, open_, header.lower(), oidc, "admin" if local else visitors_can, hosts, limit)
