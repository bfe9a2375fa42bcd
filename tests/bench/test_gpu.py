from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import gpu


@pytest.mark.slow
def test_the_bench_runs_through_on_a_tiny_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = [
        "--shape",
        "tiny",
        "--cpu",
        "--length",
        "32",
        "--steps",
        "1",
        "--new",
        "3",
        "--json",
        str(tmp_path / "b.json"),
    ]
    assert gpu.main(small) == 0
    rows = json.loads((tmp_path / "b.json").read_text())
    assert [row["what"] for row in rows[1:]].count("training") == 2
    assert all(row["tokens_per_second"] > 0 for row in rows[1:])
    assert "| training | nf4 | 1 | 32 |" in capsys.readouterr().out


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 1
    assert "there is no GPU here" in capsys.readouterr().err
