"""An answer as HTML that stands alone: to be copied with its footnotes, or given to somebody as one file to read."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from assistant.page import HERE
from assistant.page.layout import blocks, side
from assistant.records import NEAREST, Answer, Footnote, neutralise


def page(answer: Answer, when: str = "") -> str:
    """A whole file: the question, the answer, every quote. It loads nothing, and nothing runs in it."""
    title = _text(answer.question)
    style = (HERE / "share.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    said = f"Made by Footnote{f' on {_text(when)}' if when else ''}. Every quote is word for word from its guide."
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{title}</title><style>{style}</style></head><body>"
        f"<h1>{title}</h1>\n{fragment(answer)}<footer>{said}</footer></body></html>\n"
    )


def fragment(answer: Answer) -> str:
    """The answer with its numbers, and the footnotes below it."""
    notes = answer.footnotes
    head = f"<p><em>{_text(NEAREST)}</em></p>\n" if answer.status == "nearest" else ""
    drawn = "\n".join(_block(block, answer, notes) for block in blocks(answer))
    listed = "\n".join(_note(number, note) for number, note in enumerate(notes, 1))
    return f"{head}{drawn}\n" + (f"<ol class='notes'>\n{listed}\n</ol>\n" if notes else "")


def _block(block: dict[str, Any], answer: Answer, notes: list[Footnote]) -> str:
    kind = block["kind"]
    if kind == "list":
        items = [f"<li>{_said(answer, notes, item['of'], item['skip'])}</li>" for item in block["items"]]
        name = "ol" if block["items"][0]["number"] else "ul"
        return f"<{name}>{''.join(items)}</{name}>"
    if kind == "table":
        rows = [_row(block["header"], "th", "")] if block["header"] else []
        rows += [_row(row["text"], "td", _marks(answer, notes, row["of"])) for row in block["rows"]]
        return f"<table>{''.join(rows)}</table>"
    if kind == "code":
        return f"<pre><code>{_text(block['text'])}</code></pre><p>{_marks(answer, notes, block['of'])}</p>"
    if kind == "sides":
        return "".join(f"<h3>{_text(s['guide'])}</h3><p>{_card(answer, notes, s['of'])}</p>" for s in block["sides"])
    name = "h3" if kind == "heading" else "p"
    return f"<{name}>{_said(answer, notes, block['of'], block['skip'])}</{name}>"


def _row(line: str, name: str, marks: str) -> str:
    cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
    drawn = [f"<{name}>{_text(cell.strip())}" for cell in cells]
    return "<tr>" + f"</{name}>".join(drawn) + f"{marks}</{name}></tr>"


def _card(answer: Answer, notes: list[Footnote], numbers: list[int]) -> str:
    said = [(side(answer.sentences[n])[1] or answer.sentences[n].text, n) for n in numbers]
    return " ".join(_text(text) + _marks(answer, notes, [n]) for text, n in said)


def _said(answer: Answer, notes: list[Footnote], numbers: list[int], skip: int) -> str:
    texts = [answer.sentences[n].text[skip if i == 0 else 0 :] for i, n in enumerate(numbers)]
    return " ".join(_text(text) + _marks(answer, notes, [n]) for text, n in zip(texts, numbers, strict=True))


def _marks(answer: Answer, notes: list[Footnote], numbers: list[int]) -> str:
    cited = dict.fromkeys(notes.index(note) + 1 for n in numbers for note in answer.sentences[n].footnotes)
    marks = "".join(f"<sup><a href='#n{number}'>{number}</a></sup>" for number in cited)
    lacking = [answer.sentences[n] for n in numbers if not answer.sentences[n].supported]
    said = "in doubt" if all(sentence.doubted for sentence in lacking) else "not supported by the guides"
    return marks + (f" <span class='doubt'>({said})</span>" if lacking else "")


def _note(number: int, note: Footnote) -> str:
    where = _text(note.place)
    if address := web_address(note.address):
        where = f'<a href="{escape(address)}" rel="noreferrer">{where}</a>'
    return f"<li id='n{number}'>{where}<blockquote>“{_text(note.quote)}”</blockquote></li>"


def web_address(address: str) -> str:
    """What a browser may be led to; nothing else."""
    return neutralise(address) if address.startswith(("https://", "http://")) else ""


def _text(text: str) -> str:
    return escape(neutralise(text))
