"""Repairs on the way in."""

from __future__ import annotations

from ingest.readers import Reading


def mend(reading: Reading) -> Reading:
    return reading
