"""Bytes become text: the encoding found out, line ends made one, what cannot be seen taken out."""

from __future__ import annotations

import codecs
import re
from collections import Counter

from ingest.errors import ReadError

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SAMPLE = 200_000  # bytes that are looked at where an encoding must be guessed

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_INVISIBLE = re.compile("[\ufeff\u200b\u2060\u00ad]")
_HARD_SPACE = re.compile("[\u00a0\u2007\u202f]")
# UTF-8 that was read as Latin-1: its second bytes are control characters, which nobody types and which are gone below.
_C1_MOJIBAKE = re.compile("[\u00c2-\u00f4][\u0080-\u00bf]?[\u0080-\u009f]")
_DATA = re.compile(r"(data:[\w.+-]+/[\w.+-]+;base64,)[A-Za-z0-9+/=\s]{100,}")
_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def decode(data: bytes, name: str) -> tuple[str, tuple[str, ...], Counter[str]]:
    """The text, notes about its encoding, and what was mended in it."""
    text, note = _decoded(data, name)
    mended, repairs = tidy(text)
    if not mended.strip():
        raise ReadError(
            f"{name} is empty: there is nothing to read in it. Put text into it or take it out of the folder."
        )
    return mended, (note,) if note else (), repairs


def tidy(text: str) -> tuple[str, Counter[str]]:
    """Line ends as `\\n`; control characters and what is invisible removed; hard spaces as spaces."""
    repairs: Counter[str] = Counter()
    if _C1_MOJIBAKE.search(text):
        text, repairs["mojibake mended"] = _demojibaked(text)
    text = _BREAK.sub("\n", text)
    for kind, pattern, stands_for in (
        ("control characters removed", _CONTROL, ""),
        ("invisible characters removed", _INVISIBLE, ""),
        ("hard spaces made plain", _HARD_SPACE, " "),
        ("embedded images removed", _DATA, r"\1"),
    ):
        text, count = pattern.subn(stands_for, text)
        repairs[kind] += count
    return text, +repairs


def _demojibaked(text: str) -> tuple[str, int]:
    import ftfy

    lines = text.split("\n")
    broken = [at for at, line in enumerate(lines) if _C1_MOJIBAKE.search(line)]
    for at in broken:
        lines[at] = ftfy.fix_encoding(lines[at]).replace("\n", " ")
    return "\n".join(lines), len(broken)


def _decoded(data: bytes, name: str) -> tuple[str, str]:
    for bom, encoding in BOMS:
        if data.startswith(bom):
            note = "" if encoding == "utf-8" else f"read as {encoding.upper()}"
            return data[len(bom) :].decode(encoding, errors="replace"), note
    if wide := _utf16_without_bom(data):
        return data.decode(wide, errors="replace"), f"read as {wide.upper()} without a byte order mark"
    _refuse_binary(data, name)
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError:
        return _not_utf8(data)


def _utf16_without_bom(data: bytes) -> str:
    """Latin text in UTF-16 has a zero in every other byte, and in no other place."""
    sample = data[:SAMPLE]
    if len(sample) < 8:
        return ""
    half = len(sample) / 2
    odd, even = sample[1::2].count(0) / half, sample[0::2].count(0) / half
    if odd > 0.6 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 and odd < 0.05 else ""


def _refuse_binary(data: bytes, name: str) -> None:
    sample = data[:SAMPLE]
    control = sum(sample.count(byte) for byte in (*range(9), *range(14, 27), *range(28, 32)))
    # A stray NUL in a text is mended; a file of which one byte in 50 cannot be typed is no text.
    if control > len(sample) / 50:
        raise ReadError(f"{name} is not text: it holds binary data under a text file's name. Rename it or take it out.")


def _not_utf8(data: bytes) -> tuple[str, str]:
    text = data.decode("utf-8", errors="replace")
    broken, whole = text.count("\ufffd"), sum(1 for char in text if ord(char) > 127 and char != "\ufffd")
    if whole > 2 * broken:
        return text, f"{broken} bytes are not UTF-8 and were replaced by \ufffd"
    if encoding := _foreign(data):
        return data.decode(encoding, errors="replace"), f"read as {encoding} (a guess: it is not UTF-8)"
    try:
        return data.decode("cp1252"), "read as cp1252 (Windows): it is not UTF-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "read as Latin-1: it is not UTF-8"


def _foreign(data: bytes) -> str:
    """A text of which a third is not ASCII is hardly Western: then the guess is charset-normalizer's."""
    sample = data[:SAMPLE]
    if sum(byte > 127 for byte in sample) < len(sample) / 3:
        return ""
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best and best.encoding not in ("cp1252", "latin_1", "ascii", "utf_8") else ""
