from __future__ import annotations

from tests.ingest.kill import main


def test_a_killed_ingest_leaves_the_old_library_or_the_new_one_whole() -> None:
    """Five kills; `python -m tests.ingest.kill --times 50` does more."""
    outcomes = main(times=5, seed=7)
    assert sum(outcomes.values()) == 5
