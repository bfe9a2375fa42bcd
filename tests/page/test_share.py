"""An answer that is given away: whole, with its quotes, and nothing in it that runs or loads."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from lxml import html

from assistant.page.share import fragment, page
from assistant.records import Answer, Footnote, Sentence
from tests.page.test_layout import CODE, TABLE, answer_of, guide

NOTE = Footnote("a.md", "A <guide>", "A <guide> > <b>Part</b>", 0, 9, "<script>bad()</script> & 'so'")
ANSWER = Answer("What is <img src=x>?", "answered", (Sentence("It is <b>this</b>.", True, (NOTE,)),))


def test_every_number_leads_to_its_quote_in_the_same_file() -> None:
    doubted = replace(ANSWER, sentences=(*ANSWER.sentences, Sentence("So it is.", False, (NOTE,), "no")))
    root = html.fromstring(page(doubted, "21 November 2026"))
    assert root.xpath("//sup/a/@href") == ["#n1", "#n1"]
    assert root.xpath("//*[@id='n1']/blockquote")[0].text_content() == f"“{NOTE.quote}”"
    assert "not supported" in root.text_content()


def test_nothing_of_a_guide_becomes_markup_and_nothing_is_loaded() -> None:
    text = page(ANSWER)
    assert not re.search(r"<(?:script|img|b)\b|\bsrc=(?!x&gt;)|url\(|@import|https?:", text)
    assert "default-src 'none'" in text
    assert html.fromstring(text).xpath("//h1")[0].text_content() == ANSWER.question


def test_tables_and_code_stay_what_they_are(tmp_path: Path) -> None:
    table = fragment(answer_of("Which months?", {"Acacia": 0.9, "Linden": 0.8}, guide(tmp_path, TABLE)))
    root = html.fromstring(f"<div>{table}</div>")
    assert [cell.text_content() for cell in root.xpath("//th")] == ["Honey", "Month", "Water"]
    assert "Acacia" in root.xpath("//tr[2]/td[1]")[0].text_content()
    code = fragment(answer_of("Which import does the code need?", {"import torch": 0.9}, guide(tmp_path, CODE)))
    assert "import torch\n\nmodel = torch" in html.fromstring(f"<div>{code}</div>").xpath("//pre")[0].text_content()
