"""Check what is in the wheel and the sdist, and use the wheel: `python .ci/check_dist.py dist`.

The wheel is installed without what it needs, which is taken from the environment that runs this: torch alone
takes gigabytes and minutes. The release workflow installs it with everything into an empty environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "activitynet"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE
FOREIGN = (".jpg", ".jpeg", ".png", ".safetensors", ".onnx", ".mat", ".tar", ".parquet", ".pyc")
LARGEST = 10_000_000
"""Bytes that a wheel may have: the model in it has seven million, and other weights are downloaded."""

OWN = (f"{PACKAGE}/weights/default/", "docs/pictures/")
"""The model that comes with the package, and the guides' pictures."""

SMOKE = """
import activitynet, pathlib, sys
from activitynet.cli.main import run
from activitynet.training import list_recipes, load_recipe
assert pathlib.Path(activitynet.__file__).is_relative_to(sys.argv[1]), activitynet.__file__
assert len([load_recipe(name) for name in list_recipes()]) >= 5
for command in (
    ["--version"],
    ["sample-data", "drawn", "--train-per-class", "1", "--val-per-class", "1", "--size", "48"],
    ["train", "drawn", "--model", "test_resnet_se", "--recipe", "quick", "--image-size", "32",
     "--epochs", "1", "--workers", "0", "--no-progress", "--run", "run"],
    ["evaluate", "run/model", "drawn", "--report", "report"],
    ["audit", "drawn", "--report", "audit.html"],
    ["predict", "drawn/val"],
    ["doctor", "--offline"],
):
    assert run(command) in (0, 1 if command[0] == "audit" else 0), command
"""


def main() -> None:
    (wheel,) = Path(sys.argv[1]).resolve().glob("*.whl")
    (sdist,) = Path(sys.argv[1]).resolve().glob("*.tar.gz")
    version = check_wheel(wheel)
    check_sdist(sdist, version)
    smoke_test(wheel)
    print(
        f"{wheel.name}: {wheel.stat().st_size:,} bytes, works. {sdist.name}: {sdist.stat().st_size:,} bytes."
    )


def check_wheel(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        version = wheel.name.split("-")[1]
        info = f"{PACKAGE}-{version}.dist-info/"
        metadata = archive.read(info + "METADATA").decode()
    expected = {
        f"{PACKAGE}/{path.relative_to(SOURCE).as_posix()}"
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    inside = {name for name in names if not name.startswith(info)}
    refuse(expected - inside, "the wheel lacks")
    refuse(inside - expected, "the wheel has, and the source has not,")
    refuse({name for name in names if is_foreign(name) or "test" in Path(name).parts}, "the wheel holds")
    kinds = (
        "weights/default/model.safetensors",
        "weights/default/config.json",
        "py.typed",
        "training/recipes/default.toml",
        "pages/report.html",
        "pages/style.css",
        "hub/releases.json",
    )
    refuse({f"{info}licenses/LICENSE", *(f"{PACKAGE}/{name}" for name in kinds)} - names, "the wheel lacks")
    if wheel.stat().st_size > LARGEST:
        sys.exit(f"error: {wheel.name} has {wheel.stat().st_size:,} bytes, more than {LARGEST:,}.")
    for line in (f"Version: {version}", "License-Expression: Apache-2.0"):
        if line not in metadata.splitlines():
            sys.exit(f"error: the wheel's metadata lack {line!r}.")
    return version


def check_sdist(sdist: Path, version: str) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(f"{PACKAGE}-{version}/") for name in archive.getnames()}
    wanted = {
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "pyproject.toml",
        f"src/{PACKAGE}/py.typed",
        "tests/conftest.py",
    }
    refuse(wanted - names, "the sdist lacks")
    refuse({name for name in names if is_foreign(name.removeprefix("src/"))}, "the sdist holds")


def is_foreign(name: str) -> bool:
    return name.endswith(FOREIGN) and not name.startswith(OWN)


def refuse(names: set[str], what: str) -> None:
    if names:
        sys.exit(f"error: {what} {', '.join(sorted(names)[:10])}.")


def smoke_test(wheel: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site, here = Path(folder, "site"), Path(folder, "here")
        here.mkdir()
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)  # noqa: S603
        variables = {**os.environ, "PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}
        smoke = [sys.executable, "-W", "error", "-c", SMOKE, str(site)]
        done = subprocess.run(smoke, cwd=here, env=variables, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            sys.exit(f"error: the wheel does not work.\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


if __name__ == "__main__":
    main()
