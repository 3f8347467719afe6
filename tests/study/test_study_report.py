from __future__ import annotations

from activitynet.study.report import HEADINGS, differing_cells
from activitynet.study.results import Row, Run


def row(label: str, score: float, *, parameters: int = 100, seconds: float = 60.0) -> Row:
    runs = {0: Run(score, 0.5, 1, 1, seconds, 10.0)}
    return Row(label, label, {}, label == "base", "complete", "", runs, parameters, 1e6)


def test_columns_that_are_the_same_for_all_are_left_out() -> None:
    rows = [row("base", 0.5, seconds=60), row("a", 0.5, seconds=90)]
    headings, table = differing_cells(rows)
    assert headings == ["macro-F1 ± 95 %", "difference", "minutes"]
    assert table == [["0.500", "base", "1.00"], ["0.500", "–", "1.50"]]
    assert differing_cells(rows, exclude=("minutes",))[0] == ["macro-F1 ± 95 %", "difference"]


def test_one_alone_is_told_whole() -> None:
    headings, (line,) = differing_cells([row("base", 0.5)])
    assert headings == list(HEADINGS)
    assert line[3] == "100"
