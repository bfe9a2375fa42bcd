from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.documents import read, supported
from tests.ingest.reading import check_blocks, document, labels, texts

SHARED = Path(__file__).parents[2].parent / "shared"


def test_lost_dashes_and_arrows_are_mended_and_counted(tmp_path: Path) -> None:
    found = document(
        tmp_path,
        "a.txt",
        "Rules are explicit (\"if email contains 'buy now' \u0e42 spam\") and many \u0e42 too many to write down.\n"
        "Deep Learning \u0e42 the Short Story\nIt learns features \u0e42 you need not engineer them by hand again.\n",
    )

    assert "'buy now' → spam" in found.text
    assert "many — too many" in found.text
    assert found.repairs == {"dashes mended": 3, "arrows mended": 1}
    assert labels(found)[-1][1] == "Deep Learning — the Short Story"
    check_blocks(found)


def test_thai_stays_thai(tmp_path: Path) -> None:
    found = document(tmp_path, "a.md", "# โมเดล\n\nโมเดล โ ภาษา\n")

    assert found.text == "# โมเดล\n\nโมเดล โ ภาษา\n"
    assert not found.repairs


def test_mojibake_is_mended_outside_code(tmp_path: Path) -> None:
    broken = "It doesnâ€™t matter â€” cafÃ© is cafÃ©."
    found = document(tmp_path, "a.md", f"# A\n\n{broken}\n\n```\n{broken}\n```\n")

    assert texts(found, "paragraph") == ["It doesn’t matter — café is café."]
    assert broken in texts(found, "code")[0]
    assert found.repairs == {"mojibake mended": 1}


LOSSY = """# Gradients

A gradient tells us where to go. Deep learning works automatically, is continuous, and has a bias;
of all layers the convolutional one is convolutional.

The network has the ability toautomatically learn, and thegradienttells us how. We predict acontinuous output with a
theconvolutional layer- a filter that slides. It finds different features.Pooling layersreduce what is kept.

These have meanings.Artificial Intelligence (AI)is broad.Machine Learningis narrow.

- High bias:The model is too simple.

Terms such as `thebias`, $thebias$ and pre- and post-training stay.

```python
thebias = 1  # of layer.Bias
```
"""


def test_words_that_lost_the_space_between_them_are_parted_and_code_is_not(tmp_path: Path) -> None:
    found = document(tmp_path, "a.md", LOSSY)
    prose = " ".join(texts(found, "paragraph") + texts(found, "item"))

    for mended in (
        "ability to automatically learn",
        "and the gradient tells us",
        "predict a continuous output",
        "the convolutional layer - a filter",
        "features. Pooling layers reduce what",
        "meanings. Artificial Intelligence (AI) is broad.",
        "Machine Learning is narrow",
        "High bias: The model",
        "`thebias`, $thebias$ and pre- and post-training stay",
    ):
        assert mended in prose
    assert texts(found, "code") == ["```python\nthebias = 1  # of layer.Bias\n```"]
    check_blocks(found)


@pytest.mark.parametrize(
    "sentence",
    [
        "The array is asymmetric and acyclic, and a symmetric or cyclic one is isomorphic to another.",
        "Use numpy.array or pandas.Series, layers.Dense and tolist or toarray on a list or array.",
        "An autoencoder has a hyperplane, a minibatch, a subword and a dataloader; an array has an arange.",
        "Inseparable data is separable in another space. Underfitting is not a fitting word. Multilabel has a label.",
        "OpenAI and DeepMind use TensorFlow. Machine Learning. PyTorch Lightning. A Full Course. The Machine Learning.",
    ],
)
def test_what_only_looks_glued_stays(tmp_path: Path, sentence: str) -> None:
    found = document(tmp_path, "a.md", f"# A\n\n{sentence}\n")

    assert sentence in found.text
    assert not found.repairs


def test_a_table_keeps_its_header_when_it_is_mended(tmp_path: Path) -> None:
    found = document(tmp_path, "a.md", "| What \u0e42 how | Why |\n|---|---|\n| Manual \u0e42 by hand | x |\n")

    table = found.blocks[0]
    assert found.text[table.start : table.header_end] == "| What — how | Why |\n|---|---|"
    assert found.text[table.start : table.end].endswith("| Manual — by hand | x |")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*LOSSY.split("\n"), "cafÃ©", " \u0e42 ", "ﬁne", "# H \u0e42 x", ""]), max_size=15))
def test_mending_keeps_blocks_exact_and_a_second_time_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    once = document(folder, "m.md", "# A\n\n" + "\n".join(lines))
    check_blocks(once)
    twice = document(folder, "m.md", once.text)
    check_blocks(twice)
    assert once.repairs.keys() >= twice.repairs.keys()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the guides to try things on are not beside this checkout")
def test_real_guides_that_lost_nothing_are_left_alone() -> None:
    harmless = {"hard spaces made plain", "ligatures opened"}
    for path in sorted((SHARED / "bench" / "guides").rglob("*.md"))[::3]:
        if supported(path):
            assert set(read(path).repairs) <= harmless, path.name


@pytest.mark.skipif(not SHARED.is_dir(), reason="the guides to try things on are not beside this checkout")
def test_the_glued_words_of_the_real_guides_are_all_parted() -> None:
    guide = read(next((SHARED / "guides").glob("003*.txt")))

    assert guide.repairs == {"headings parted from a code label": 25, "words parted": 11, "lost spaces put back": 15}
    for glued in (
        "toautomatically",
        "hegradient",
        "descentmoves",
        "layersreduce",
        "Learningis",
        "LearningFull",
        "adiscrete",
    ):
        assert glued not in guide.text
