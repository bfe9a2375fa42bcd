"""Formats in which guides are written and that are no web: AsciiDoc, LaTeX, OpenDocument."""

from __future__ import annotations

import re
import time
from pathlib import Path
from random import Random

import pytest

from ingest.errors import ReadError
from tests.ingest.readers.test_packed import packed
from tests.ingest.reading import check_blocks, document, kinds, outline, texts

ADOC = """= Gradient descent: a guide
Jane Doe <jane@example.org>
v1.2, 2026-01-01
:rate: 0.1

// nobody sees this
Plain *bold* and _italic_ with `lr_max` at {rate} and https://example.org/x[a link], see <<tables>>.
It costs stem:[O(n^2)] steps.footnote:[Measured once.] Use snake_case_name and 2*3*4.

[[tables]]
== Tables of *rates*

.Rates and steps
[cols="1,2,2",options="header"]
|===
|Rate |Steps |Note

|0.1
|7
|fast

.2+|0.01 |70 |slow
|71 |slower \\| worst
2+|both |x
|===

NOTE: Rates are small.

* one
** inner
* two
+
More on two.

Then:

. first
. second

Epoch:: One pass.
Loss::
  An error.

[source,python]
----
x = 1  # <1>
----
<1> Sets x.

[WARNING]
====
Never do it.
====

ifdef::secret[]
Hidden.
endif::[]

=== Does it help?

It does.
"""


def test_asciidoc_keeps_headings_lists_tables_and_code(tmp_path: Path) -> None:
    read = document(tmp_path, "a.adoc", ADOC)

    assert read.title == "Gradient descent: a guide"
    assert outline(read) == [
        ("heading", 1, "# Gradient descent: a guide"),
        (
            "paragraph",
            0,
            "Plain bold and italic with `lr_max` at 0.1 and a link, see Tables of rates. It costs $O(n^2)$ steps."
            " (Measured once.) Use snake_case_name and 2*3*4.",
        ),
        ("heading", 2, "## Tables of rates"),
        ("paragraph", 0, "Rates and steps"),
        (
            "table",
            0,
            "| Rate | Steps | Note |\n|---|---|---|\n| 0.1 | 7 | fast |\n| 0.01 | 70 | slow |\n"
            "| 0.01 | 71 | slower \\| worst |\n| both |  | x |",
        ),
        ("paragraph", 0, "Note: Rates are small."),
        ("item", 1, "- one"),
        ("item", 2, "- inner"),
        ("item", 1, "- two"),
        ("paragraph", 0, "More on two."),
        ("paragraph", 0, "Then:"),
        ("item", 1, "1. first"),
        ("item", 1, "2. second"),
        ("item", 2, "- Epoch: One pass."),
        ("item", 2, "- Loss: An error."),
        ("code", 0, "```python\nx = 1\n```"),
        ("item", 1, "- (1) Sets x."),
        ("paragraph", 0, "Warning: Never do it."),
        ("question", 3, "### Does it help?"),
        ("paragraph", 0, "It does."),
    ]
    check_blocks(read)


TEX = r"""\documentclass{article}
\title{On \emph{learning} rates}
\newcommand{\ours}{FastNet}
\newcommand{\rate}[1]{a rate of #1}
\author{Jane Doe\thanks{x}}
\begin{document}
\maketitle
\begin{abstract}
We study \ours{} with \rate{0.1}. % nobody sees this
Na\"ive methods --- as in \cite[p.~3]{kingma2014} --- cost 50\,\% more.
\end{abstract}
\section{Introduction}\label{sec:intro}
The loss is $L(w) = \|w\|^2$ and\footnote{Measured \textbf{once}.} it falls in ``seven'' steps.
See Section~\ref{sec:intro}; use \verb|lr=0.1 % 2| or \texttt{Adam}.

\begin{equation}\label{eq:a}
  w \leftarrow w - \eta \nabla L
\end{equation}
\begin{itemize}
  \item One $x$
  \begin{enumerate}
    \item inner
  \end{enumerate}
  \item Two

  Behind two.
\end{itemize}
\begin{description}\item[Epoch] One pass.\end{description}
\subsection*{Tables}
\begin{table}[ht]
\centering
\caption{Rates and steps}
\begin{tabular}{l|r|c}
\toprule
Rate & Steps & Note \\
\midrule
\multirow{2}{*}{0.1} & 7 & fast \\
 & 8 & slower \\
\multicolumn{2}{c}{both} & R\&D \\
\bottomrule
\end{tabular}
\end{table}
\begin{lstlisting}[language=Python, caption=x]
x = {1: "%d"}  # 100 %
\end{lstlisting}
\begin{theorem}[Bound] It converges. \end{theorem}
\begin{thebibliography}{9}\bibitem{kingma2014} Kingma. Adam. 2014.\end{thebibliography}
\end{document}
"""


def test_latex_keeps_headings_lists_tables_formulas_and_code(tmp_path: Path) -> None:
    read = document(tmp_path, "a.tex", TEX)

    assert read.title == "On learning rates"
    assert outline(read) == [
        ("heading", 1, "# On learning rates"),
        ("heading", 2, "## Abstract"),
        (
            "paragraph",
            0,
            "We study FastNet with a rate of 0.1. Naïve methods — as in [kingma2014] — cost 50 % more.",
        ),
        ("heading", 2, "## Introduction"),
        (
            "paragraph",
            0,
            "The loss is $L(w) = \\|w\\|^2$ and it falls in “seven” steps. See Section Introduction; use `lr=0.1 % 2`"
            " or `Adam`.",
        ),
        ("paragraph", 0, "Measured once."),
        ("paragraph", 0, "$$\nw \\leftarrow w - \\eta \\nabla L\n$$"),
        ("item", 1, "- One $x$"),
        ("item", 2, "1. inner"),
        ("item", 1, "- Two"),
        ("paragraph", 0, "Behind two."),
        ("item", 1, "- Epoch: One pass."),
        ("heading", 3, "### Tables"),
        ("paragraph", 0, "Rates and steps"),
        (
            "table",
            0,
            "| Rate | Steps | Note |\n|---|---|---|\n| 0.1 | 7 | fast |\n| 0.1 | 8 | slower |\n| both |  | R&D |",
        ),
        ("code", 0, '```python\nx = {1: "%d"}  # 100 %\n```'),
        ("paragraph", 0, "It converges."),
        ("heading", 2, "## References"),
        ("item", 1, "- [kingma2014] Kingma. Adam. 2014."),
    ]
    check_blocks(read)


XMLNS = " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"'
    for short, long in (
        ("office", "office"),
        ("text", "text"),
        ("table", "table"),
        ("style", "style"),
        ("draw", "drawing"),
    )
)
STYLES = """
<style:style style:name="P1" style:family="paragraph" style:parent-style-name="Preformatted_20_Text"/>
<text:list-style style:name="L1"><text:list-level-style-bullet text:level="1"/>
<text:list-level-style-number text:level="2" style:num-format="1"/></text:list-style>"""
BODY = """
<text:p text:style-name="Title">Learning rates</text:p>
<text:tracked-changes><text:p>taken out</text:p></text:tracked-changes>
<text:h text:outline-level="1">Why</text:h>
<text:p>Small<text:s text:c="2"/>rates<text:line-break/>are <text:span>slow</text:span>.<text:note><text:note-citation
>1</text:note-citation><text:note-body><text:p>Seen twice.</text:p></text:note-body></text:note> Not always.</text:p>
<text:list text:style-name="L1"><text:list-item><text:p>one</text:p>
<text:list><text:list-item><text:p>inner</text:p></text:list-item></text:list></text:list-item>
<text:list-item><text:p>two</text:p><text:p>More on two.</text:p></text:list-item></text:list>
<text:p text:style-name="P1">for x in y:</text:p><text:p text:style-name="P1"><text:s text:c="4"/>pass</text:p>
<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>Rate</text:p></table:table-cell>
<table:table-cell><text:p>Steps</text:p></table:table-cell></table:table-row></table:table-header-rows>
<table:table-row><table:table-cell table:number-rows-spanned="2"><text:p>0.1</text:p></table:table-cell>
<table:table-cell><text:p>7</text:p></table:table-cell></table:table-row>
<table:table-row><table:covered-table-cell/><table:table-cell><text:p>8</text:p></table:table-cell>
<table:table-cell table:number-columns-repeated="16000"/></table:table-row>
<table:table-row table:number-rows-repeated="1000000"><table:table-cell/></table:table-row></table:table>
"""


def odt(body: str = BODY, **more: str) -> bytes:
    content = (
        f"<office:automatic-styles>{STYLES}</office:automatic-styles><office:body><office:text>{body}</office:text>"
    )
    whole = f"<office:document-content {XMLNS}>{content}</office:body></office:document-content>"
    meta = '<m xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Untitled 1</dc:title></m>'
    return packed(
        {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": whole, "meta.xml": meta, **more}
    )


def test_opendocument_keeps_headings_lists_tables_and_code(tmp_path: Path) -> None:
    read = document(tmp_path, "a.odt", odt())

    assert read.title == "Learning rates"
    assert outline(read) == [
        ("heading", 1, "# Learning rates"),
        ("heading", 1, "# Why"),
        ("paragraph", 0, "Small rates are slow. Not always."),
        ("paragraph", 0, "Seen twice."),
        ("item", 1, "- one"),
        ("item", 2, "1. inner"),
        ("item", 1, "- two"),
        ("paragraph", 0, "More on two."),
        ("code", 0, "```\nfor x in y:\n    pass\n```"),
        ("table", 0, "| Rate | Steps |\n|---|---|\n| 0.1 | 7 |\n| 0.1 | 8 |"),
    ]
    check_blocks(read)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04 not whole", "no whole OpenDocument text"),
        (packed({"other.xml": "x"}), "no OpenDocument text"),
        (odt(**{"META-INF/manifest.xml": "<m><encryption-data/></m>"}), "is encrypted"),
        (packed({"content.xml": f"<o:x {XMLNS} xmlns:o='y'/>"}), "no OpenDocument text"),
        (packed({"content.xml": "x" * 40_000_000}), "zip bomb"),
        (packed({"content.xml": "<half"}), "damaged"),
        (odt('<!DOCTYPE x [<!ENTITY s SYSTEM "secret.txt">]>'), "damaged"),
    ],
)
def test_an_opendocument_that_cannot_be_read_says_why_in_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(ReadError, match=says) as failure:
        document(tmp_path, "x.odt", content)
    assert str(failure.value).startswith("x.odt ")
    assert "\n" not in str(failure.value)


SECRET = "hidden words"
READS_OTHERS = {
    "a.adoc": "= A\n\nText.\n\ninclude::secret.txt[]\n\n|===\ninclude::secret.txt[]\n|===\n\n"
    "----\ninclude::./secret.txt[tag=x]\n----\n",
    "a.tex": "\\section{A}\nText. \\input{secret.txt} \\include{secret} \\lstinputlisting{secret.txt}"
    " \\verbatiminput{secret.txt} \\import{.}{secret.txt}",
    "a.rst": "A\n=\n\nText.\n\n.. include:: secret.txt\n\n.. include:: secret.txt\n   :literal:\n\n"
    ".. literalinclude:: secret.txt\n\n.. raw:: html\n   :file: secret.txt\n\n"
    ".. csv-table:: T\n   :file: secret.txt\n\n"
    ".. csv-table:: U\n   :url: file://FOLDER/secret.txt\n\n.. raw:: html\n   :url: file://FOLDER/secret.txt\n\n"
    ".. code:: python\n   :file: secret.txt\n\n.. math::\n   :file: secret.txt\n",
}


@pytest.mark.parametrize("name", READS_OTHERS)
def test_a_document_reads_no_other_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "secret.tex").write_text(SECRET)
    read = document(tmp_path, name, READS_OTHERS[name].replace("FOLDER", str(tmp_path)))

    assert "Text." in read.text
    assert SECRET not in read.text
    if name != "a.rst":
        assert "what it includes is not read: secret.txt" in " ".join(read.notes)


NAMES = list(zip("abcdefgh", "bcdefghi", strict=True))  # each stands for several of the one before
GROWS = {
    "a.tex": "".join("\\newcommand{\\" + b + "}{" + 6 * ("\\" + a) + "}\n" for a, b in NAMES)
    + "\\newcommand{\\a}{lol}\\section{A}Text. \\i \\i",
    "a.adoc": ":a: lolol\n" + "".join(f":{b}: {9 * ('{' + a + '}')}\n" for a, b in NAMES) + "\nText {i}.",
}


@pytest.mark.parametrize("name", GROWS)
def test_what_a_document_defines_cannot_grow_without_end(name: str, tmp_path: Path) -> None:
    read = document(tmp_path, name, GROWS[name])

    assert "Text" in read.text
    assert len(read.text) < 60_000


OPENED = [
    *("\\begin{verbatim} ", "{", "$", "\\begin{itemize}\\item ", "\\verb|", "\\newcommand{\\x}{", "% "),
    *("----\n", "====\n", "* a\n", "a:: ", "`", "*a ", "<<a,", "|===\n|", "footnote:[", "https://x[", "+", "((("),
    *("ifdef::a[]\n", "[[a", "[a"),
]


def survives(folder: Path, name: str, content: str | bytes) -> bool:
    """Read with exact blocks, or refused in one line."""
    try:
        check_blocks(document(folder, name, content))
    except ReadError as error:
        said = str(error)
    else:
        return True
    assert "\n" not in said
    return False


@pytest.mark.parametrize("name", ["a.tex", "a.adoc"])
@pytest.mark.parametrize("piece", OPENED)
def test_what_is_opened_again_and_again_is_read_or_refused_in_time(piece: str, name: str, tmp_path: Path) -> None:
    began = time.process_time()
    survives(tmp_path, name, "Text.\n\n" + piece * 3000 + "\n\nEnd.")
    assert time.process_time() - began < 30  # of this process alone: others cannot break it


def test_latex_without_a_document_around_it_is_read_as_the_chapter_that_it_is(tmp_path: Path) -> None:
    read = document(tmp_path, "deep.tex", "\\chapter{Depth}\nText.\n\\section{More}\nText \\emph{here}.")

    assert read.title == "Depth"
    assert texts(read, "heading") == ["# Depth", "## More"]


def test_tables_of_separated_values_and_nested_blocks_are_asciidocs_too(tmp_path: Path) -> None:
    table = "[%header,format=csv]\n|===\nrate,steps\n0.1,7\n|===\n\n"
    read = document(tmp_path, "a.adoc", f"= A\n\n{table}****\n- aside\n****\n\nTitle\n-----\n\n....\n a\n....\n")

    assert texts(read, "table") == ["| rate | steps |\n|---|---|\n| 0.1 | 7 |"]
    assert kinds(read) == ["heading", "table", "item", "heading", "code"]


@pytest.mark.parametrize(("name", "whole"), [("a.tex", TEX), ("a.adoc", ADOC)])
def test_a_hundred_files_broken_at_random_are_read_with_exact_blocks(name: str, whole: str, tmp_path: Path) -> None:
    read = 0
    for number in range(100):
        random = Random(f"{name} {number}")
        data = bytearray(whole.encode())
        for _ in range(random.randint(1, 6)):
            at, length = random.randrange(len(data)), random.randint(1, 60)
            puts = [b"", data[at : at + length] * 3, random.randbytes(2), b"{", b"|", b"<", b"\\begin{", b"----\n"]
            data[at : at + length] = random.choice(puts)
        read += survives(tmp_path, name, bytes(data))
    assert read > 50


def test_a_hundred_broken_opendocuments_are_read_with_exact_blocks_or_refused_in_one_line(tmp_path: Path) -> None:
    read = 0
    for number in range(100):
        random = Random(number)
        body = BODY
        for _ in range(random.randint(1, 6)):
            values = list(re.finditer(r'"[^"]*"|\btext:[a-z]+\b|\btable:[a-z-]+\b', body))
            found = random.choice(values)
            junk = random.choice(['"-1"', '"99999999999"', '""', '"x y"', '"../../x"'])
            name = random.choice(["text:p", "text:list", "text:h", "table:table", "text:note", "text:odd"])
            body = (
                body[: found.start()] + junk + body[found.end() :]
                if found[0][0] == '"'
                else body.replace(found[0], name)
            )
        packed = bytearray(odt(body))
        if number % 4 == 0:
            packed[random.randrange(len(packed))] ^= 1 << random.randrange(8)
        read += survives(tmp_path, "a.odt", bytes(packed))
    assert read > 30
