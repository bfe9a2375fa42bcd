from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sentences import split_sentences

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
        ("No end here", ["No end here"]),
        ("  \n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences
