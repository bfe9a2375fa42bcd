"""Files of every format, broken at random: what a disk, a download or a stranger may do to them."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.ingest.readers.test_converted import PAGE, RST, _code, _docx, _notebook
from tests.ingest.readers.test_markdown import GUIDE
from tests.ingest.readers.test_pdf import PAPER
from tests.ingest.readers.test_plain import SAVED

_CELL = {"cell_type": "markdown", "id": "b", "metadata": {}, "source": ["# Trees\n", "\n", "- one \\ud83d of 4k\n"]}
WHOLE = {
    ".md": GUIDE.encode(),
    ".mdx": GUIDE.encode(),
    ".qmd": GUIDE.encode(),
    ".txt": SAVED.encode(),
    ".html": PAGE.encode(),
    ".pdf": PAPER,
    ".ipynb": _notebook(_CELL, _code("score()")).encode(),
    ".docx": _docx(),
    ".rst": RST.encode(),
    ".csv": b"Role,Pay\nML engineer,$148K\nData scientist,120\n",
}
_PUT_IN = [
    b"1234567890123456million ", b"999999999999999999999999k", b"\xed\xa0\xbd\xed\xb8\x80", b"\xed\xa0\xbd", b"\\ud83d",
    "\ue227".encode(), "\u5b66".encode() * 200, b"| " * 60, b"[x](" * 40, b"<!--", b"<div>" * 300, b"\\(" * 40, b"\x00",
    b"\xff\xfe", b"\n\n\n", b"a. A. " * 30, b"```", b"$$", b'"' * 30, b"9" * 400 + b"k", b"\r", b"(" * 50, b".. ",
    b"# ",
]  # fmt: skip


def mutants(folder: Path, suffix: str, times: int, seed: int) -> None:
    """So many files of one kind, each broken in one to six places; the same ones for the same seed."""
    folder.mkdir()
    for number in range(times):
        random = Random(f"{seed} {suffix} {number}")
        data = bytearray(WHOLE[suffix])
        for _ in range(random.randint(1, 6)):
            at, length = random.randrange(len(data) + 1), random.randint(1, 40)
            match random.randrange(5):
                case 0:
                    data[at : at + length] = b""
                case 1:
                    data[at:at] = data[at : at + length] * random.randint(1, 50)
                case 2:
                    data[at : at + 1] = bytes([random.randrange(256)])
                case 3:
                    data[at:at] = random.choice(_PUT_IN)
                case _:
                    data[at : at + length] = random.randbytes(length)
        (folder / f"{number}{suffix}").write_bytes(data)
