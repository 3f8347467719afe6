"""A small form of `benchmarks/duplicates.py`, whose full form has 5,000 images."""

from __future__ import annotations

import runpy
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "duplicates.py"


def test_copies_planted_across_splits_are_found(tmp_path: Path) -> None:
    benchmark = runpy.run_path(str(BENCHMARK))
    recalls, precision, _ = benchmark["measure"](tmp_path, benchmark["drawn"](240, 96))
    assert recalls.keys() == benchmark["CHANGES"].keys()
    for change in ("encoded again", "resized", "mirrored"):
        assert recalls[change] == 1, change
    # 12 copies each.
    assert recalls["cropped by 5 %"] >= 10 / 12
    assert recalls["all of these"] >= 10 / 12
    assert precision >= 0.9
