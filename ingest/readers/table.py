"""CSV files: one table. The delimiter is found out; the first row is its header unless it holds figures."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from ingest.errors import ReadError
from ingest.readers import Draft, Reading
from ingest.readers.decode import decode

_NUMBER = re.compile(r"^[\s$€£%+-]*\d[\d.,\s]*[%KMBkmb]?\s*$")


def read(data: bytes, name: str) -> Reading:
    text, notes, repairs = decode(data, name)
    csv.field_size_limit(1 << 24)
    try:
        rows = [
            row
            for row in csv.reader(io.StringIO(text, newline=""), _dialect(text))
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise ReadError(f"{name} is no CSV that can be read ({error}). Save it again as CSV in UTF-8.") from error
    width = max(map(len, rows), default=0)
    draft = Draft()
    draft.table([row + [""] * (width - len(row)) for row in rows], header=_has_header(rows))
    reading = draft.reading()
    return Reading(reading.text, reading.blocks, "", repairs, notes)


def _dialect(text: str) -> type[csv.Dialect]:
    try:
        return csv.Sniffer().sniff(text[:20_000], delimiters=",;\t|")
    except csv.Error:  # one column, or too irregular to tell
        return csv.excel


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    return len(rows) > 1 and bool(any(rows[0])) and not any(_NUMBER.match(cell) for cell in rows[0] if cell)
