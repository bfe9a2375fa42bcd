"""A repository at a commit: its guides, the docstrings and comments of its Python, and what else is asked for by name.

The `git` command fetches, and nothing is checked out: no hook and no filter of a stranger runs. The command and not a
library, because it has its user's keys and passwords, can fetch one commit alone, and is there where repositories are.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import httpx

from ingest.documents import BY_NAME, IMAGES, SUFFIXES
from ingest.sources import Source
from ingest.sources.addresses import Forbidden, reachable
from ingest.sources.web import FetchError, Web

PINS = (2, 37)  # the first git that can be told which address to connect to
LONGEST_CODE = 1024 * 1024  # bytes: longer code was made by a machine
_LFS = b"version https://git-lfs.github.com/spec/"
_SAID = re.compile(r"(?:fatal|error|remote|ERROR):\s*(.+)")
_SCP = re.compile(r"^([\w.-]+@)?([\w.-]+):(?!//)(.+)$")


@dataclass(frozen=True, slots=True)
class File:
    path: str
    data: bytes


class Repository:
    """One repository, kept bare beside the files that were taken from it, so that only what is new is fetched."""

    def __init__(self, source: Source, bare: Path, max_bytes: int) -> None:
        if source.ref.startswith("-"):
            raise FetchError(f"{source.ref!r} is no branch, tag or commit of {source.address}")
        self._source, self._bare, self._max_bytes = source, bare, max_bytes
        self.address = source.address.rstrip("/")
        leaf = PurePosixPath(_path(self.address).removesuffix("/.git")).name
        self.name = re.sub(r"[^\w.-]+", "-", leaf.removesuffix(".git")).strip(".") or "repository"
        self.commit = ""
        self.left_out: list[tuple[str, str]] = []

    def files(self, tell: Callable[[int, int, str], None]) -> list[File]:
        """The files at the commit that the ref means now."""
        if not shutil.which("git"):
            raise FetchError(f"{self.address} needs the git command: install git, then ingest it again")
        tell(0, 1, f"fetching {self.address}")
        self._fetch()
        self.commit = self._git("rev-parse", "--verify", "FETCH_HEAD^{commit}").strip()
        wanted = dict(self._wanted())
        if not wanted and not self.left_out:
            where = f"{self.address} at {self.commit[:12]}"
            raise FetchError(f"{where} has no files that are read and match: try --include '**'")
        found = dict(zip(wanted, self._blobs(list(wanted.values())), strict=True))
        for path in [path for path, data in found.items() if data.startswith(_LFS)]:
            del found[path]
            self.left_out.append((path, f"{path} lies in Git LFS, which is not fetched: ingest the file by itself"))
        return [File(path, data) for path, data in found.items()]

    def address_of(self, path: str) -> str:
        """Where a reader finds the file at this commit; in words of git where no page shows it."""
        from ingest.sources.places import at_commit

        return at_commit(self.address, self.commit, path)

    # Which files

    def _wanted(self) -> Iterator[tuple[str, str]]:
        """Paths, each with the id of what is in it."""
        import pathspec

        include = pathspec.GitIgnoreSpec.from_lines(self._source.include or ["*"])
        listed = self._git("ls-tree", "-r", "-l", "-z", "--full-tree", self.commit)
        for entry in filter(None, listed.split("\0")):
            about, _, path = entry.partition("\t")
            mode, kind, blob, size = about.split()
            if kind != "blob" or mode == "120000" or not include.match_file(path) or not self._is_read(path):
                continue
            limit = LONGEST_CODE if PurePosixPath(path).suffix.lower() in BY_NAME else self._max_bytes
            if int(size) > limit:
                self.left_out.append((path, f"{path} has {int(size) // 2**20} MB: ingest the file by itself"))
            elif int(size):
                yield path, blob

    def _is_read(self, path: str) -> bool:
        """Guides and Python; other code only where a pattern asks for it; neither figures nor what is hidden."""
        suffix, steps = PurePosixPath(path).suffix.lower(), path.split("/")
        if any(step.startswith(".") or step == "__pycache__" for step in steps) or "\ufffd" in path or "\\" in path:
            return False
        return suffix in SUFFIXES - IMAGES and (suffix not in BY_NAME - {".py"} or bool(self._source.include))

    def _blobs(self, ids: list[str]) -> Iterator[bytes]:
        out = self._run("cat-file", "--batch", given="".join(f"{blob}\n" for blob in ids).encode())
        at = 0
        for _ in ids:
            end = out.index(b"\n", at)
            size = int(out[at:end].split()[2])
            yield out[end + 1 : end + 1 + size]
            at = end + size + 2

    # The command

    def _fetch(self) -> None:
        if not self._bare.is_dir():
            self._bare.parent.mkdir(parents=True, exist_ok=True)
            self._command(["git", "init", "--quiet", "--bare", "--", str(self._bare)])
        address, options = self._pinned()
        ref = self._source.ref or "HEAD"
        self._run(*options, "fetch", "--quiet", "--depth", "1", "--no-tags", "--force", "--", address, ref)

    def _pinned(self) -> tuple[str, list[str]]:
        """Where it is, and options that hold git to the address that was looked at."""
        address = self.address
        scheme = "ssh" if _SCP.match(address) else urlsplit(address).scheme
        if scheme == "file" or self._source.allow_private:
            return address, []
        if scheme == "ssh":
            return address, ["-c", f"core.sshCommand={_ssh(address)}"]
        if scheme not in ("http", "https"):
            raise FetchError(f"{address} is fetched by https, http or ssh only: give such an address")
        if git_version() < PINS:
            found = ".".join(map(str, git_version()))
            raise FetchError(f"{address} needs git 2.37 or newer, this is {found}: renew it, or add --allow-private")
        final = self._after_redirects(address)
        parts = urlsplit(final)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        ip = _checked(address, parts.hostname or "", port)
        held = f"{parts.hostname}:{port}:{f'[{ip}]' if ':' in ip else ip}"
        return final, ["-c", f"http.curloptResolve={held}", "-c", "http.followRedirects=false"]

    def _after_redirects(self, address: str) -> str:
        """Followed by our own client, which looks at each step; git then goes straight to where they end."""
        service = "/info/refs?service=git-upload-pack"
        with Web() as web:
            final = web.final(address + service)
        return final.removesuffix(service) if final.endswith(service) else address

    def _git(self, *command: str) -> str:
        return self._run(*command).decode("utf-8", "replace")

    def _run(self, *command: str, given: bytes = b"") -> bytes:
        return self._command(["git", "--git-dir", str(self._bare), *_HARMLESS, *command], given)

    def _command(self, command: list[str], given: bytes = b"") -> bytes:
        allowed = "file:ssh:http:https" if self._source.allow_private else _protocols(self.address)
        env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": allowed, "LC_ALL": "C"}
        env.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        if any(option.startswith("core.sshCommand") for option in command):
            del env["GIT_SSH_COMMAND"]
        done = subprocess.run(command, input=given, capture_output=True, env=env, check=False)
        if done.returncode:
            raise FetchError(f"{self.address} cannot be fetched ({_reason(done.stderr)}): check address and --ref")
        return done.stdout


_SETTINGS = ("core.hooksPath=/dev/null", "gc.auto=0", "http.lowSpeedLimit=1000", "http.lowSpeedTime=60")
_HARMLESS = [part for setting in _SETTINGS for part in ("-c", setting)]


def _protocols(address: str) -> str:
    scheme = "ssh" if _SCP.match(address) else urlsplit(address).scheme
    return scheme if scheme in ("file", "ssh", "https") else "http:https"


def _path(address: str) -> str:
    scp = _SCP.match(address)
    return scp[3] if scp else urlsplit(address).path


def _ssh(address: str) -> str:
    """ssh, held to the address that was looked at, under the name that its key is known by."""
    scp = _SCP.match(address)
    host = scp[2] if scp else (urlsplit(address).hostname or "")
    ip = _checked(address, host, (None if scp else urlsplit(address).port) or 22)
    return f"ssh -o BatchMode=yes -o HostName={ip} -o HostKeyAlias={host}"


def _checked(address: str, host: str, port: int) -> str:
    try:
        return reachable(host, port)
    except (Forbidden, httpx.ConnectError) as error:
        raise FetchError(f"{address} is not fetched: {error}") from error


def _reason(errors: bytes) -> str:
    """What git says, as one line without its habits."""
    said = _SAID.findall(errors.decode("utf-8", "replace")) or errors.decode("utf-8", "replace").splitlines()
    return " ".join(" ".join(said[:2]).split())[:200] or "git says nothing"


@lru_cache(maxsize=1)
def git_version() -> tuple[int, ...]:
    said = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0, 0)
