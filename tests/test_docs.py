"""What the guides show is run as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(
    ("guide", "heading"), [("data.md", "Tar shards"), ("data.md", "Hugging Face data sets")]
)
def test_an_example_runs_on_class_folders(
    guide: str, heading: str, sample_data: Path, tmp_path: Path
) -> None:
    section = (DOCS / guide).read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    shutil.copytree(sample_data, tmp_path / "photos")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    promised = code.strip().rpartition("# ")[2]  # by the last comment
    assert done.stdout.strip().endswith(promised.removeprefix("…"))
