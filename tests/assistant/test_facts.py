"""Figures in a form that can be compared."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.facts import figures, kinds, scales


def read(text: str) -> list[tuple[float, str]]:
    return [(figure.value, figure.currency + figure.unit) for figure in figures(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$148K, $148,000 and 148 thousand dollars", [(148000, "$")] * 3),
        ("130K-160K", [(130000, ""), (160000, "")]),
        ("$130–160K", [(130000, "$"), (160000, "$")]),
        ("$130,000 to $160,000", [(130000, "$"), (160000, "$")]),
        ("between 130 and 160K", [(130000, ""), (160000, "")]),
        ("1,500 to 2K", [(1500, ""), (2000, "")]),
        ("80 %, 80% and 80 percent", [(80, "%")] * 3),
        ("20-30 %", [(20, "%"), (30, "%")]),
        ("INR 6-12 LPA", [(6, "₹lakh"), (12, "₹lakh")]),
        ("5+ years, 0-2 years", [(5, "year"), (0, "year"), (2, "year")]),
        ("70B, 1.5 billion, 2.5M, 10k", [(70e9, ""), (1.5e9, ""), (2.5e6, ""), (1e4, "")]),
        ("a 70-billion-parameter model", [(70e9, "parameter")]),
        ("24GB+ VRAM", [(24, "gb")]),
        ("3x to 4x faster", [(3, "x"), (4, "x")]),
        ("three hundred, twenty-five, one-hot", [(300, ""), (25, "")]),
        ("the 2010s and 2010", [(2010, "decade"), (2010, "")]),
        ("lr=1e-3, x=-0.5, 5-3", [(0.001, ""), (-0.5, ""), (5, ""), (3, "")]),
        ("32x32 in 3.1", [(32, ""), (32, ""), (3.1, "")]),
        ("12 m", [(12, "")]),
        ("Llama-3.1-8B", [(3.1, ""), (8e9, "")]),
        ("no figure, someone, tenfold, weight", []),
    ],
)
def test_figures_are_read_with_scale_and_unit(text: str, expected: list[tuple[float, str]]) -> None:
    assert read(text) == expected


def test_a_header_says_unit_and_scale() -> None:
    assert kinds("| Role | Pay ($K) | Accuracy (%) |") == {"$", "%"}
    assert scales("| Role | Pay ($K) |") == (1000.0,)
    assert scales("Revenue in millions") == (1e6,)


@given(st.text(alphabet="0123456789.,-–$€% KMBxe+toand", max_size=30))
def test_any_text_is_read_and_offsets_lie_inside_it(text: str) -> None:
    found = figures(text)
    assert all(0 <= figure.start < figure.end <= len(text) for figure in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


@given(st.integers(1, 999), st.sampled_from([("K", 10**3), ("M", 10**6), ("B", 10**9), (" million", 10**6)]))
def test_a_scaled_figure_equals_the_one_written_out(number: int, scale: tuple[str, int]) -> None:
    assert read(f"${number}{scale[0]}") == read(f"${number * scale[1]:,}")
