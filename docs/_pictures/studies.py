"""Write the plot, the table and the runs of finished studies for the page on them.

    python docs/_pictures/studies.py FOLDER

FOLDER holds the folders of studies, each under its study's name.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from activitynet.study import StudyResult, read_study
from activitynet.study.report import differing_cells, plot_scores

DOCS = Path(__file__).resolve().parent.parent


def main() -> None:
    """Write the files that the page includes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for made in ("studies", "_studies"):
        (DOCS / made).mkdir(exist_ok=True)
    for place in sorted(path.parent for path in folder.glob("*/study.json")):
        result = read_study(place)
        name = result.study.name
        picture = f"studies/{name}.svg"
        plot_scores(result.complete, DOCS / picture)
        shutil.copyfile(place / "results.csv", DOCS / "studies" / f"{name}.csv")
        (DOCS / "_studies" / f"{name}.md").write_text(section(result, picture), "utf-8")


def section(result: StudyResult, picture: str) -> str:
    """Return a study as Markdown: the columns that differ between its configurations, and a summary."""
    name = result.study.name
    headings, table = differing_cells(result.complete)
    lines = [
        f"![Macro-F1 of each configuration of the study {name}; the table below has the numbers]({picture})",
        "",
        "| configuration | " + " | ".join(headings) + " |",
        "|---|" + "---:|" * len(headings),
        *(
            f"| {row.label} | " + " | ".join(line) + " |"
            for row, line in zip(result.complete, table, strict=True)
        ),
        "",
        *result.sentences,
        f"[Every run, as CSV](studies/{name}.csv).",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
