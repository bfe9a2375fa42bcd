"""Lines of a paragraph joined into one, words that were broken at a line's end made whole again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ingest.readers.pdf_lines import HYPHEN, Line
from ingest.spaces import known


class Hyphens:
    """Made from all lines of a document: its own words decide whether "long-" and "term" are one word or a compound."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.words = Counter(word.lower() for line in lines for word in re.findall(r"[\w-]+", line.text))
        self.repairs: Counter[str] = Counter()

    def joined(self, group: Sequence[Line]) -> str:
        text = " ".join(line.text for line in group)
        text = re.sub(r"(?<=[a-z])- (?=[a-z])|(?<=\w)- (?=[a-z]{3,})", HYPHEN, text) if len(group) > 1 else text
        return re.sub(rf"([\w-]*){HYPHEN} ?([\w-]*)", self._closed, text.replace("https: //", "https://"))

    def _closed(self, parts: re.Match[str]) -> str:
        """A word that was broken at a line's end; "long-" and "term" stay a compound where the document writes one."""
        first, second = parts[1], parts[2]
        whole, compound = (first + second).lower(), f"{first}-{second}".lower()
        self.repairs["words closed at a line's end"] += 1
        if not second or self.words[compound] or ("-" in first and not self.words[whole]):
            return f"{first}-{second}"
        if self.words[whole] or known(whole) or not (known(first.lower()) and known(second.lower())):
            return first + second
        return f"{first}-{second}"
