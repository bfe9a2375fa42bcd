"""Notebooks, Word files, slides, books and CSV tables: formats whose own structure says what is what."""

from __future__ import annotations

import csv
import io
import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from ingest.errors import ReadError
from ingest.readers import Draft, Reading, decode, mark_questions, markdown, one_line, page, tidy

# Jupyter notebooks: their Markdown as it is, their code in fences, and what it printed where that is short text.

_MOST_LINES, _MOST_CHARACTERS = 30, 2000  # longer output is a log or a dump
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OBJECT = re.compile(r"^\s*(?:<[^<>]*(?: at 0x[0-9a-f]+|object|Figure|Axes)[^<>]*>|\[<.*>\]|Text\(.*\))\s*$", re.DOTALL)


def read_notebook(data: bytes, name: str) -> Reading:
    import nbformat

    raw, notes, _ = decode(data, name)
    try:
        notebook: Any = nbformat.reads(raw, as_version=4)  # type: ignore[no-untyped-call]
    except Exception as error:  # nbformat raises half a dozen kinds, some of other packages
        what = one_line(str(error))[:120]
        raise ReadError(f"{name} is no whole notebook ({what}). Open it in Jupyter and save it again.") from error
    language = notebook.metadata.get("kernelspec", {}).get("language") or "python"
    draft = Draft()
    repairs: Counter[str] = Counter()
    for cell in notebook.cells:
        source, mended = tidy(_joined(cell.get("source", "")))
        repairs += mended
        if cell.cell_type == "code":
            draft.code(source, language)
            for output in _outputs(cell.get("outputs", [])):
                draft.code(tidy(output)[0], "text")
        else:
            source = source.strip("\n")
            level = next((block.level for block in reversed(draft.blocks) if block.kind == "heading"), 0)
            draft.extend(source, markdown.blocks_in(source, level=level))
    reading = draft.reading()
    blocks = mark_questions(reading.text, reading.blocks)
    return Reading(reading.text, blocks, markdown.title_of(reading.text, blocks), repairs, notes)


def _outputs(outputs: Any) -> Iterator[str]:
    for output in outputs:
        if output.get("output_type") == "stream" and output.get("name") != "stderr":
            text = _joined(output.get("text", ""))
        elif output.get("output_type") == "error":
            text = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}"
        else:
            text = _joined(output.get("data", {}).get("text/plain", ""))
        text = _ANSI.sub("", text).strip("\n")
        if (
            text.strip()
            and text.count("\n") < _MOST_LINES
            and len(text) <= _MOST_CHARACTERS
            and not _OBJECT.match(text)
        ):
            yield text


def _joined(text: Any) -> str:
    return text if isinstance(text, str) else "".join(text)


# CSV files: one table. The delimiter is found out; the first row is its header unless it holds figures.

_NUMBER = re.compile(r"^[\s$€£%+-]*\d[\d.,\s]*[%KMBkmb]?\s*$")


def read_table(data: bytes, name: str) -> Reading:
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


def read_word(data: bytes, name: str) -> Reading:
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


# EPUB books: pages of HTML in a zip archive, in the order of their spine. (EbookLib's licence asks more than ours.)

_CONTAINER, _LOCKS = "META-INF/container.xml", "META-INF/encryption.xml"


def read_book(data: bytes, name: str) -> Reading:
    from lxml import etree

    check_size(data, name, (".xhtml", ".html", ".htm", ".xml", ".opf"), "EPUB")
    draft, parser = Draft(), etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if "META-INF/encryption.xml" in archive.namelist() and b"EncryptedData" in archive.read(
            "META-INF/encryption.xml"
        ):
            raise ReadError(f"{name} is locked by its seller. Take it out of the folder, or bring one without a lock.")
        try:
            opf = etree.fromstring(archive.read(_CONTAINER), parser).find(".//{*}rootfile").get("full-path")
            package = etree.fromstring(archive.read(opf), parser)
        except (KeyError, AttributeError, etree.XMLSyntaxError) as error:
            raise ReadError(f"{name} is a zip archive but no EPUB. Rename it or take it out of the folder.") from error
        files = {item.get("id"): item.get("href") for item in package.iter("{*}item")}
        for item in package.iter("{*}itemref"):
            path = posixpath.normpath(
                posixpath.join(posixpath.dirname(opf), unquote(files.get(item.get("idref")) or ""))
            )
            if path in archive.namelist():
                chapter = page.convert(tidy(archive.read(path).decode("utf-8", "replace"))[0])
                draft.extend(chapter.text, chapter.blocks)
    title = one_line(package.findtext(".//{*}title") or "")
    return draft.reading(title)


# Slides: each is a section, with its text, tables and what the speaker notes.


def read_slides(data: bytes, name: str) -> Reading:
    if data.startswith(_OLE):
        raise ReadError(f"{name} is encrypted, or an old .ppt. Save it again as .pptx without a password.")
    check_size(data, name, (".xml", ".rels"), "PowerPoint file")
    from pptx import Presentation

    draft = Draft()
    for number, slide in enumerate(Presentation(io.BytesIO(data)).slides, 1):
        top = slide.shapes.title
        draft.heading(one_line(top.text_frame.text) if top is not None else f"Slide {number}", 2)
        for shape in slide.shapes:
            if top is None or shape.shape_id != top.shape_id:
                _shape(draft, shape)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            for line in slide.notes_slide.notes_text_frame.text.splitlines():
                draft.add("paragraph", one_line(line))
    return draft.reading()


def _shape(draft: Draft, shape: Any) -> None:
    for inner in getattr(shape, "shapes", ()):
        _shape(draft, inner)
    if getattr(shape, "has_table", False):
        draft.table([[cell.text for cell in row.cells] for row in shape.table.rows])
    elif shape.has_text_frame:
        lines = [(p.level + 1, one_line(p.text)) for p in shape.text_frame.paragraphs if p.text.strip()]
        for level, line in lines:
            draft.add("item" if len(lines) > 1 else "paragraph", f"- {line}" if len(lines) > 1 else line, level=level)


def check_size(data: bytes, name: str, suffixes: tuple[str, ...], kind: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist() if entry.filename.endswith(suffixes))
    except zipfile.BadZipFile as error:
        raise ReadError(f"{name} is no whole {kind} ({error}). Save or download it again.") from error
    _refuse_bomb(unpacked, len(data), name)


def _check(data: bytes, name: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith((".xml", ".rels"))]
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ReadError(f"{name} is no whole Word file ({error}). Open it in Word and save it again.") from error
    if "[Content_Types].xml" not in names or not any(entry.startswith("word/") for entry in names):
        raise ReadError(f"{name} is a zip archive but no Word file. Rename it or take it out of the folder.")
    _refuse_bomb(sum(entry.file_size for entry in entries), len(data), name)


def _refuse_bomb(unpacked: int, packed: int, name: str) -> None:
    if unpacked > MAX_UNPACKED or (unpacked > _SMALL and unpacked > MAX_RATIO * packed):
        size = f"{unpacked // 2**20} MB from {max(1, packed // 1024)} KB"
        raise ReadError(f"{name} would unpack to {size}: that is a zip bomb and not read. Take it out of the folder.")
