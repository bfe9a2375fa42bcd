"""Whether to answer at all, decided before anything is written, from what was retrieved."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.ranking import calibration
from assistant.retrieve import Found


@dataclass(frozen=True, slots=True)
class Verdict:
    answerable: bool
    chance: float  # that the guides hold the answer
    reason: str = ""  # one line for the user where it is not answered


def decide(found: Found, *, strict: bool) -> Verdict:
    """`strict` is for the quoting writer; a model reads the passages itself and may still say that they do not answer."""
    if not found.passages:
        return Verdict(False, 0.0, f"Looked for {_sought(found)}; no passage shares anything with it.")
    chance = found.passages[0].score
    threshold = calibration()["threshold"]["strict" if strict else "loose"]
    if chance >= threshold:
        return Verdict(True, chance)
    return Verdict(False, chance, f"Looked for {_sought(found)}; no passage is likely to hold it ({chance:.0%}).")


def _sought(found: Found) -> str:
    return f"“{found.understood.text}”"
