from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.chunks import Chunk, chunk, split_sentences
from ingest.documents import Document, read
from ingest.embed import MiniLM
from ingest.readers import Block, Kind
from tests.fakes import BagOfWords

TEXT = st.text(alphabet=st.sampled_from("aAbzZ09 .,;:!?…\"'()[]^*\n\t–學。！é"), max_size=200)


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@given(TEXT, st.integers(0, 1000))
def test_sentences_are_in_order_trimmed_and_hold_every_letter(text: str, offset: int) -> None:
    spans = [(start - offset, end - offset) for start, end in split_sentences(text, offset)]
    for start, end in spans:
        assert 0 <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
    for (_, end), (start, _) in pairwise(spans):
        assert end <= start
    outside = set(range(len(text))) - {i for start, end in spans for i in range(start, end)}
    assert not [i for i in outside if not text[i].isspace()]


@pytest.mark.parametrize(
    "whole",
    [
        "The rate is 0.5 and the batch 32.",
        "Use a library, e.g. PyTorch or Keras, for it.",
        "Dr. Hinton et al. showed it in Fig. 3 of the paper.",
        "See no. 5 and No. 12 of the list.",
        "Open app.py and set model.eval() there.",
        "In the U.S. salaries are higher.",
        "It costs $1.5 million (approx. 2 % of the budget).",
        "1. Install the package with pip",
        "J. K. Smith wrote it.",
        "Wait... then it goes on without a capital.",
    ],
)
def test_what_is_one_sentence_stays_one(whole: str) -> None:
    assert split(whole) == [whole]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dropout helps. It is cheap.", ["Dropout helps.", "It is cheap."]),
        ("Does it help? Yes! It does.", ["Does it help?", "Yes!", "It does."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("It works.[1] So it is used.", ["It works.[1]", "So it is used."]),
        ("It is new (see below.) Old ones are slow.", ["It is new (see below.)", "Old ones are slow."]),
        ("First. torch.compile() is next.", ["First.", "torch.compile() is next."]),
        ("深度学习。机器学习！", ["深度学习。", "机器学习！"]),
        ("The answer is no. Try again.", ["The answer is no.", "Try again."]),
        ("Is it? No. It is not.", ["Is it?", "No.", "It is not."]),
        ("No end here", ["No end here"]),
        ("  \n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
MODEL_CUTS_AT = 254  # 256 with its two marks

words = st.text(alphabet="abcdeABC .,;:!?()-_/'\"’…é学🙂0123456789%$", min_size=1, max_size=60)
long_words = st.builds(
    lambda word, n: word * n, st.sampled_from(["word ", "x", "a.b ", "Yes. ", "学", "e.g. "]), st.integers(1, 1500)
)
lines = st.one_of(words, long_words).map(lambda text: " ".join(text.split())).filter(bool)
several = st.lists(lines, min_size=1, max_size=6).map("\n".join)
kinds: list[Kind] = ["heading", "question", "paragraph", "item", "table", "code", "front_matter", "furniture"]


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Any blocks in any order, with anything between them."""
    text, blocks = draw(st.sampled_from(["", "\n", "\n\n"])), []
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=10)):
        body = draw(lines if kind in ("heading", "question", "item") else several)
        header_end = len(text) + len(body.split("\n")[0]) if kind == "table" and draw(st.booleans()) else 0
        level = draw(st.integers(1, 6)) if kind in ("heading", "question", "item") else 0
        blocks.append(Block(kind, len(text), len(text) + len(body), level, body[:80], header_end))
        text += body + draw(st.sampled_from(["\n", "\n\n", " \n\t\n"]))
    title = draw(lines)[:200]
    return Document("some/where.md", title, text, tuple(blocks), sha256="0" * 64)


def count(texts: Sequence[str]) -> list[int]:
    return [len(text) // 4 + 1 for text in texts]


def check(document: Document, chunks: list[Chunk]) -> None:
    text = document.text
    for c in chunks:
        assert text[c.start : c.end] == c.text
        assert c.text.strip()
        assert c.units
        assert c.start <= c.units[0].start
        assert c.units[-1].end <= c.end
        for unit in c.units:
            assert text[unit.start : unit.end].strip()
        for one, next_one in pairwise(c.units):
            assert one.start < one.end <= next_one.start < next_one.end
    for one, after in pairwise(chunks):
        assert one.end <= after.start
    covered = bytearray(len(text))
    for c in chunks:
        covered[c.start : c.end] = b"\1" * (c.end - c.start)
    for block in document.blocks:
        inside = covered[block.start : block.end]
        if block.kind in ("front_matter", "furniture"):
            assert not any(inside), block
        elif block.kind != "heading":
            lost = [i for i, c in enumerate(inside, block.start) if not c and not text[i].isspace()]
            nothing = "|-=:+" if block.kind == "table" else ""  # the line under a header row says nothing
            assert not [i for i in lost if text[i] not in nothing], (block, text[lost[0] : lost[0] + 40])


@given(documents())
def test_whatever_the_blocks_every_offset_is_exact_and_no_text_is_lost(document: Document) -> None:
    check(document, chunk(document, count))


@given(documents())
def test_no_chunk_is_longer_than_the_limit_with_what_stands_beside_it(document: Document) -> None:
    for c in chunk(document, count):
        assert count([c.text])[0] + count([c.context])[0] <= 254  # what the model reads, its two marks apart


@given(documents())
def test_no_line_of_code_or_of_a_table_is_cut_unless_no_chunk_could_hold_it(document: Document) -> None:
    starts = {c.start for c in chunk(document, count)}
    for block in document.blocks:
        if block.kind in ("code", "table"):
            at = block.start
            for line in document.text[block.start : block.end].split("\n"):
                if len(line) <= 300:
                    assert not starts & set(range(at + 1, at + len(line)))
                at += len(line) + 1


def real_documents() -> list[Path]:
    theirs = sorted((SHARED / "guides").glob("*.txt")) if SHARED.is_dir() else []
    return sorted((ROOT / "corpus" / "guides").glob("*.md")) + theirs


@lru_cache(maxsize=1)
def minilm() -> MiniLM:
    return MiniLM()


@pytest.mark.parametrize("path", real_documents(), ids=lambda path: path.name)
def test_real_guides_fit_the_real_model(path: Path) -> None:
    document = read(path)
    chunks = chunk(document, minilm().token_counts)
    check(document, chunks)
    assert max(minilm().token_counts([c.searchable for c in chunks])) <= MODEL_CUTS_AT
    assert sum(minilm().token_counts([c.text for c in chunks])) / len(chunks) > 60


def read_text(folder: Path, text: str) -> list[Chunk]:
    path = folder / "guide.md"
    path.write_text(text, "utf-8")
    return chunk(read(path), BagOfWords().token_counts)


def test_a_question_stays_with_its_answer(tmp_path: Path) -> None:
    text = (
        "# FAQ\n\n## Do I need a GPU?\n\n"
        + "No, a laptop is enough. " * 12
        + "\n\n## Is it free?\n\n"
        + "Yes, it is. " * 20
    )
    chunks = read_text(tmp_path, text)
    assert any("a laptop is enough" in c.text and "Do I need a GPU?" in c.searchable for c in chunks)
    assert not any("a laptop is enough" in c.text and "it is" in c.text for c in chunks)


def test_the_rows_of_a_long_table_carry_its_header_beside_them(tmp_path: Path) -> None:
    rows = "\n".join(f"| model number {i} of the long table | {i}.5 percent of all |" for i in range(80))
    chunks = read_text(tmp_path, f"# Models\n\n| name | accuracy |\n|---|---|\n{rows}\n")
    assert len(chunks) > 2
    assert all("| name | accuracy |" in c.searchable for c in chunks)
    assert all(c.text.count("| name |") == (i == 0) for i, c in enumerate(chunks))
    assert all(line.startswith("|") and line.endswith("|") for c in chunks for line in c.text.split("\n"))


def test_no_chunk_crosses_a_top_heading(tmp_path: Path) -> None:
    chunks = read_text(tmp_path, "# One\n\nA tiny text.\n\n# Two\n\nAnother tiny text.\n")
    assert [c.text for c in chunks] == ["A tiny text.", "Another tiny text."]


def test_a_heading_with_nothing_under_it_is_no_chunk_unless_there_is_nothing_else(tmp_path: Path) -> None:
    chunks = read_text(
        tmp_path, "# Guide\n\n## [**Empty**]\n\n<!-- gone -->\n\n## Full\n\n" + "Some words stand here. " * 20
    )
    assert all("words stand" in c.text for c in chunks)
    assert [c.text for c in read_text(tmp_path, "# Only this\n")] == ["# Only this"]


def test_a_line_that_is_drawn_does_not_push_the_text_out_of_the_vector(tmp_path: Path) -> None:
    (only,) = read_text(tmp_path, f"# T\n\n| a | b |\n|{'-' * 400}|{'-' * 400}|\n| one | two |\n")
    assert MiniLM().count_tokens(only.searchable) < 40
    assert "one" in only.searchable


def test_the_name_of_a_file_is_searched_and_not_embedded(tmp_path: Path) -> None:
    (tmp_path / "gradient_notes.txt").write_text("words without any title, and so many of them that none is one.\n" * 3)
    document = read(tmp_path / "gradient_notes.txt")
    (only,) = chunk(document, count)
    assert document.named
    assert "Gradient notes" in only.context
    assert "Gradient notes" not in only.searchable


def check_real(folder: Path, text: str) -> list[Chunk]:
    """Chunks by the real model's count, and every promise about them kept."""
    path = folder / "guide.md"
    path.write_text(text, "utf-8")
    document = read(path)
    chunks = chunk(document, minilm().token_counts)
    check(document, chunks)
    assert max(minilm().token_counts([c.searchable for c in chunks])) <= MODEL_CUTS_AT
    return chunks


def test_a_text_of_which_the_model_knows_no_character_is_a_chunk_like_another(tmp_path: Path) -> None:
    assert [c.text for c in check_real(tmp_path, "\ue227\n")] == ["\ue227"]
    assert len(check_real(tmp_path, "# T\n\n" + "\ue227\n\n" * 2000)) > 5


@pytest.mark.parametrize("letter", ["学", "한", "!", "é", "𝅘𝅥"])
@pytest.mark.parametrize("length", [10, 40, 55, 60, 80, 160])
def test_whatever_stands_beside_a_row_the_row_has_room_and_its_units_stay_whole(
    tmp_path: Path, letter: str, length: int
) -> None:
    header = "| " + "".join(f"{letter}{i % 10}" for i in range(length)) + " | b |\n|---|---|\n"
    text = f"# {letter * 200}\n\n## {letter * 200}\n\n{header}" + "| a row of it | with two cells |\n" * 60
    chunks = check_real(tmp_path, text)
    whole = "| a row of it | with two cells |"
    assert [u for c in chunks for u in c.units if c.text[u.start - c.start : u.end - c.start] == whole]
    assert sum(u.end - u.start < 10 for c in chunks for u in c.units) <= 3  # ends of a header that no chunk could hold
