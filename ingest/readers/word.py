"""Word files (.docx): mammoth turns their styles into HTML, and the HTML reader does the rest."""

from __future__ import annotations

import io
import zipfile

from ingest.errors import ReadError
from ingest.readers import Reading, page

MAX_UNPACKED = 512 * 1024 * 1024  # what a file may unpack to, images left out
MAX_RATIO = 200  # and how many times its own size; prose in XML packs 10 to 30 times
_SMALL = 16 * 1024 * 1024  # below this no ratio is suspicious
_OLE = b"\xd0\xcf\x11\xe0"
_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='Code'] => pre:separator('\\n')
p[style-name='HTML Preformatted'] => pre:separator('\\n')
p[style-name='Source Code'] => pre:separator('\\n')
"""


def read(data: bytes, name: str) -> Reading:
    if data.startswith(_OLE):
        raise ReadError(
            f"{name} is encrypted, or an old .doc under a new name. Save it again as .docx without a password."
        )
    _check(data, name)
    import mammoth

    html = mammoth.convert_to_html(
        io.BytesIO(data), style_map=_STYLES, convert_image=mammoth.images.img_element(lambda image: {}), id_prefix="x"
    ).value
    if not html.strip():
        raise ReadError(f"{name} holds no text. Put text into it or take it out of the folder.")
    return page.convert(f"<html><body>{html}</body></html>")


def _check(data: bytes, name: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith((".xml", ".rels"))]
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ReadError(f"{name} is no whole Word file ({error}). Open it in Word and save it again.") from error
    if "[Content_Types].xml" not in names or not any(entry.startswith("word/") for entry in names):
        raise ReadError(f"{name} is a zip archive but no Word file. Rename it or take it out of the folder.")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_UNPACKED or (unpacked > _SMALL and unpacked > MAX_RATIO * len(data)):
        size = f"{unpacked // 2**20} MB from {max(1, len(data) // 1024)} KB"
        raise ReadError(f"{name} would unpack to {size}: that is a zip bomb and not read. Take it out of the folder.")
