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


@pytest.fixture(scope="module")
def small_run(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/mine/model, runs/old/model and runs/new/model, of networks that learned nothing."""
    import torch

    from activitynet import Classifier, create_model

    folder = tmp_path_factory.mktemp("guide")
    classes = [place.name for place in sorted((sample_data / "val").iterdir())]
    for seed, name in enumerate(("mine", "old", "new")):
        torch.manual_seed(seed)
        model = create_model("test_resnet_se", num_classes=len(classes))
        Classifier(model, classes, image_size=64).save(folder / "runs" / name / "model")
    return folder


@pytest.mark.parametrize(
    ("heading", "promised"),
    [
        ("Measures, and how sure they are", "accuracy "),
        ("Two models on the same photos", "points of accuracy"),
        ("All of it in Python", "looked at 40 photos"),
    ],
)
def test_an_example_runs_on_weights(
    heading: str, promised: str, small_run: Path, sample_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = (DOCS / "evaluate.md").read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    if not (small_run / "data").exists():
        shutil.copytree(sample_data, small_run / "data")
    monkeypatch.chdir(small_run)
    said: list[str] = []
    exec(code, {"print": lambda *values: said.append(" ".join(map(str, values)))})  # noqa: S102 - our guide
    assert promised in said[-1]


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
