"""The folder in which what was fetched lies as it came, and the record of where each file is from."""

from __future__ import annotations

import hashlib
import re
import time
import unicodedata
from collections.abc import Collection
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ingest.library import Fetched
from ingest.sources.pages import normal
from ingest.sources.web import Known, Response
from ingest.writing import Writing

LONGEST_NAME = 80  # characters of one step of a path


def file_name(address: str, suffix: str) -> str:
    """A path for what is at an address: readable, inside the folder, not hidden, no way out."""
    parts = urlsplit(address)
    steps = [_safe(unquote(step)) for step in parts.path.split("/") if step.strip(". ")]
    if not steps or parts.path.endswith("/"):
        steps.append("index")
    leaf = steps.pop()
    stem = re.sub(r"\.html?$", "", leaf) if suffix == ".html" else leaf.removesuffix(suffix)
    query = f"~{_safe(parts.query)}" if parts.query else ""
    return "/".join([_safe(parts.netloc), *steps, f"{stem}{query}"[:LONGEST_NAME] + suffix])


def _safe(step: str) -> str:
    """Neither hidden, nor a way out, nor too long; what was cut off still tells it apart."""
    plain = re.sub(r"[^\w.()+-]+", "_", unicodedata.normalize("NFC", step)).strip(".") or "_"
    if plain == "__pycache__" or len(plain) > LONGEST_NAME:
        return f"{plain.strip('_')[: LONGEST_NAME - 9]}-{_key(step)}"
    return plain


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


class Mirror:
    """One source's folder. What is kept is written at once, file by file, so that a kill loses nothing that came."""

    def __init__(self, writing: Writing, root: Path) -> None:
        self.root, self._writing = root, writing
        root.mkdir(parents=True, exist_ok=True)
        self._files = {f.asked: f for f in writing.library.fetched(str(root)) if (root / f.file).is_file()}
        self._by_hash = {f.sha256: f.asked for f in self._files.values()}

    @property
    def known(self) -> dict[str, Known]:
        return {f.asked: Known(f.etag, f.modified, Path(f.file).suffix) for f in self._files.values()}

    def data(self, asked: str) -> bytes:
        return (self.root / self._files[asked].file).read_bytes()

    def file_at(self, asked: str) -> str:
        """Its file, or the one that it would have."""
        return self._files[asked].file if asked in self._files else file_name(asked, ".html")

    def keep_response(self, address: str, response: Response) -> str:
        """Keeps what came from the web: "fetched", "unchanged", or "duplicates" where another address has the same."""
        asked = normal(response.asked)
        if response.unchanged:
            return "unchanged"
        sha256 = hashlib.sha256(response.data).hexdigest()
        if self._by_hash.get(sha256, asked) != asked:
            self.drop([asked])
            return "duplicates"
        file = self._free(file_name(address, response.suffix), asked)
        before = self._files.get(asked)
        self.keep(asked, file, address, response.data, response.etag, response.modified)
        return "unchanged" if before and before.sha256 == sha256 else "fetched"

    def keep(self, asked: str, file: str, address: str, data: bytes, etag: str = "", modified: str = "") -> None:
        """A file that is as it was keeps its date, so that it is not read again."""
        sha256, before = hashlib.sha256(data).hexdigest(), self._files.get(asked)
        if before and before.file != file:
            self.drop([asked])
        if not before or (before.file, before.sha256) != (file, sha256):
            path = self.root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            waiting = path.with_name(f".{_key(file)}.part")
            waiting.write_bytes(data)
            waiting.replace(path)
        record = Fetched(str(self.root), file, asked, address, time.time(), sha256, etag, modified)
        self._writing.keep_fetched([record])
        self._files[asked] = record
        self._by_hash[sha256] = asked

    def drop(self, asked: Collection[str]) -> None:
        gone = [self._files.pop(one) for one in asked if one in self._files]
        for f in gone:
            (self.root / f.file).unlink(missing_ok=True)
            if self._by_hash.get(f.sha256) == f.asked:
                del self._by_hash[f.sha256]
        self._writing.drop_fetched(str(self.root), [f.file for f in gone])

    def _free(self, file: str, asked: str) -> str:
        """Another name where another address has this one already, also where upper and lower case are the same."""
        taken = {f.file.casefold() for f in self._files.values() if f.asked != asked}
        folders = {str(above) for name in taken for above in Path(name).parents}
        if file.casefold() in taken | folders or any(str(above).casefold() in taken for above in Path(file).parents):
            path = Path(file)
            return f"{self._top(file)}/{_key(asked)}-{path.name}"
        return file

    def _top(self, file: str) -> str:
        return file.partition("/")[0]
