"""Brings sources into their folders inside the library. What cannot be had is one line and costs nothing else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ingest.errors import FootnoteError
from ingest.library import Failure, own
from ingest.sources import FOLDER, Source
from ingest.sources.mirror import Mirror
from ingest.sources.pages import normal
from ingest.sources.site import Kept, Left, Limits, Visit
from ingest.sources.web import Web
from ingest.writing import Writing

Tell = Callable[[int, int, str], None]


class Fetching:
    """The sources of one run, and what could not be had of them."""

    def __init__(self, writing: Writing, max_bytes: int, tell: Tell) -> None:
        self._writing, self._max_bytes, self._tell = writing, max_bytes, tell
        self.failed: list[Failure] = []
        self.notes: list[str] = []

    def fetch(self, source: Source) -> Path:
        """The folder in which it lies now; what was there before stays where nothing new could be had."""
        own(self._writing.library.place, FOLDER)
        root = self._writing.library.place.resolve() / source.folder
        mirror = Mirror(self._writing, root)
        self._writing.keep_source(str(root), source.to_json(), 0.0)
        self._tell(0, 1, source.address)
        try:
            if source.kind == "git":
                self._repository(source, mirror)
            else:
                self._web(source, mirror)
        except FootnoteError as error:
            self.failed.append(Failure(str(root), mirror.file_at(source.address), str(error)))
        self._writing.keep_source(str(root), source.to_json(), time.time())
        return root

    def _web(self, source: Source, mirror: Mirror) -> None:
        from ingest.sources.browser import Browser

        counts: Counter[str] = Counter()
        with Web(source.allow_private, source.delay, self._max_bytes) as web, Browser(web) as browser:
            visit = Visit(web, mirror.known, mirror.data, browser.render if source.browser else None, self._tell)
            one = source.kind == "page"
            limits = Limits(source.depth, source.pages)
            for outcome in [visit.page(source.address)] if one else visit.site(source.address, limits):
                if isinstance(outcome, Kept):
                    counts[mirror.keep_response(outcome.address, outcome.response)] += 1
                else:
                    counts["left out"] += 1
                    self._leave(outcome, mirror)
        if not one:
            self._say(source, counts)

    def _leave(self, left: Left, mirror: Mirror) -> None:
        asked = normal(left.address)
        if left.failure:
            self.failed.append(Failure(str(mirror.root), mirror.file_at(asked), left.reason))
        if left.gone:
            mirror.drop([asked])

    def _say(self, source: Source, counts: Counter[str]) -> None:
        said = ", ".join(f"{counts[what]} {what}" for what in ("fetched", "unchanged", "duplicates", "left out"))
        full = f"; it ended at {source.pages} pages, --pages takes more" if counts.total() >= source.pages else ""
        self.notes.append(f"{source.address}: {said}{full}")

    def _repository(self, source: Source, mirror: Mirror) -> None:
        from ingest.sources.git import Repository

        repository = Repository(source, mirror.root.with_name(mirror.root.name + ".git"), self._max_bytes)
        wanted = repository.files(self._tell)
        for done, file in enumerate(wanted):
            if not done % 100:
                self._tell(done, len(wanted), file.path)
            mirror.keep(file.path, f"{repository.name}/{file.path}", repository.address_of(file.path), file.data)
        mirror.drop(set(mirror.known) - {file.path for file in wanted})
        self.failed += [
            Failure(str(mirror.root), f"{repository.name}/{path}", reason) for path, reason in repository.left_out
        ]
