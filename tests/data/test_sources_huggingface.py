from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from hub_server import COMMIT, serve
from test_archives_containers import jpeg

from activitynet.data.decode import read_photo
from activitynet.data.open import open_data
from activitynet.errors import DataError

LABEL = ClassLabel(names=["b", "a"])


@pytest.fixture(autouse=True)
def _no_bars() -> None:
    datasets.disable_progress_bars()


def rows(count: int = 4, first: int = 0, *, label: Any = LABEL, **columns: tuple[Any, list[Any]]) -> Dataset:
    """A data set of photos whose labels alternate, with further columns: their type, and their values."""
    content: dict[str, Any] = {
        "image": [{"bytes": jpeg(first + n), "path": f"{n}.jpg"} for n in range(count)]
    }
    features: dict[str, Any] = {"image": Image()}
    if label is not None:
        features["label"] = label
        content["label"] = [n % 2 for n in range(count)]
    for name, (kind, values) in columns.items():
        features[name], content[name] = kind, values
    return Dataset.from_dict(content, features=Features(features))


def save(parts: Dataset | Mapping[str, Dataset], folder: Path, **options: Any) -> Path:
    (parts if isinstance(parts, Dataset) else DatasetDict(parts)).save_to_disk(folder, **options)
    return folder


def test_splits_classes_groups_and_bytes_are_those_of_the_data_set(tmp_path: Path) -> None:
    more = {"group": (Value("string"), list("xxyz")), "source": (Value("int64"), [1, 2, None, 4])}
    parts = {"train": rows(**more), "validation": rows(2, 10), "test": rows(2, 20)}
    data = open_data(save(parts, tmp_path / "saved", num_shards={"train": 2, "validation": 1, "test": 1}))
    assert data.classes == ("b", "a")
    assert [len(data.train), len(data.val), len(data.test)] == [4, 2, 2]
    assert [(photo.label, photo.group, photo.source) for photo in data.train] == [
        (0, "x", "1"),
        (0, "y", ""),
        (1, "x", "2"),
        (1, "z", "4"),
    ]
    assert [read_photo(photo.path) for photo in data.train] == [jpeg(n) for n in (0, 2, 1, 3)]
    assert [read_photo(photo.path) for photo in (*data.val, *data.test)] == [
        jpeg(n) for n in (10, 11, 20, 21)
    ]
    assert open_data(tmp_path / "saved", classes=["a", "b"]).train[0].label == 0  # matched by name


def test_a_data_set_without_splits_is_to_train_on(tmp_path: Path) -> None:
    data = open_data(save(rows(10), tmp_path / "saved"), val_fraction=0.2)
    assert [len(data.train), len(data.val)] == [8, 2]


def test_a_selection_in_another_order_is_saved_and_read_in_that_order(tmp_path: Path) -> None:
    chosen = rows(10).select([8, 3, 5, 0])
    data = open_data(save(chosen, tmp_path / "saved"), val_fraction=0)
    assert [read_photo(photo.path) for photo in data.train] == [jpeg(n) for n in (8, 0, 3, 5)]


def test_labels_may_be_names_or_plain_numbers(tmp_path: Path) -> None:
    names = rows(label=None, labels=(Value("string"), ["run", "dance", "run", "dance"]))
    assert open_data(save(names, tmp_path / "names")).classes == ("dance", "run")
    numbers = rows(label=None, cls=(Value("int64"), [0, 2, 2, 0]))
    data = open_data(save(numbers, tmp_path / "numbers"), val_fraction=0)
    assert data.classes == ("0", "1", "2")
    assert [photo.label for photo in data.train] == [0, 0, 2, 2]


def test_photos_may_lie_in_files_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(jpeg(0))
    for place, expected in (
        (str(tmp_path / "1.jpg"), None),
        ("1.jpg", "neither"),
        ("http://x/1.jpg", "neither"),
    ):
        folder = save(rows(), tmp_path / "saved")
        (file,) = folder.glob("*.arrow")
        table = pa.ipc.open_stream(file.read_bytes()).read_all()
        images = table["image"].to_pylist()
        images[0] = {"bytes": None, "path": place}
        table = table.set_column(
            0, table.schema.field("image"), pa.array(images, table.schema.field("image").type)
        )
        with pa.OSFile(str(file), "wb") as opened, pa.ipc.new_stream(opened, table.schema) as stream:
            stream.write_table(table)
        if expected is None:
            assert open_data(folder, val_fraction=0).train[0].path == tmp_path / "1.jpg"
        else:
            with pytest.raises(DataError, match="neither a photo nor the absolute path"):
                open_data(folder)
        shutil.rmtree(folder)


def test_a_split_for_tests_without_labels_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without = rows(2, 10).map(lambda _: {"label": -1})
    with caplog.at_level(logging.WARNING):
        data = open_data(save({"train": rows(), "test": without}, tmp_path / "saved"), val_fraction=0)
    assert [len(data.train), len(data.test)] == [4, 0]
    assert "its test photos have no labels" in caplog.text
    some = rows(2).map(lambda row, n: {"label": n - 1}, with_indices=True)
    with pytest.raises(DataError, match=r"arrow/image/0' has no label"):
        open_data(save({"train": rows(), "validation": some}, tmp_path / "some"))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (
            rows(label=None, kind=(Value("int64"), [0] * 4)),
            r"no column 'label' among 'image \(Image\), kind \(Value",
        ),
        (rows().remove_columns("image"), r"no column of type Image among 'label \(ClassLabel\)"),
        (
            rows(mask=(Image(), [{"bytes": b"", "path": None}] * 4)).rename_column("image", "photo"),
            "2 columns of",
        ),
        ({"train": rows(), "dev": rows()}, "split 'dev' is none of train, validation and test"),
        (
            rows(label=None, label_=(Value("float64"), [0.5] * 4)).rename_column("label_", "label"),
            "must be text",
        ),
        (
            rows(label=None, label_=(Value("binary"), [b"x"] * 4)).rename_column("label_", "label"),
            "must be text",
        ),
    ],
)
def test_what_is_missing_is_named_with_what_is_there(parts: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        open_data(save(parts, tmp_path / "saved"))
    assert "\n" not in str(caught.value)


def test_damaged_folders_are_one_line(tmp_path: Path) -> None:
    whole = save({"train": rows(), "validation": rows(2)}, tmp_path / "saved")
    files = [file for file in whole.rglob("*") if file.is_file()]
    assert len(files) == 7
    before = open_data(whole)
    for file in files:
        content = file.read_bytes()
        for damaged in (b"", b"{}", content[: len(content) // 2], b"\x80\x04c__builtin__\nexit\n"):
            file.write_bytes(damaged)
            if damaged == b"{}" and file.name == "dataset_info.json":  # the Arrow files say it, too
                assert open_data(whole) == before
                continue
            with pytest.raises(DataError) as caught:
                open_data(whole)
            assert "\n" not in str(caught.value)
        file.unlink()
        with pytest.raises(DataError):
            open_data(whole)
        file.write_bytes(content)
    assert open_data(whole) == before


def test_without_the_library_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save(rows(), tmp_path / "saved")
    monkeypatch.setitem(sys.modules, "datasets", None)
    for place in (folder, "hf://org/name"):
        with pytest.raises(DataError, match=r"install datasets: pip install 'activitynet\[datasets\]'"):
            open_data(place)


def test_a_path_that_fsspec_would_take_for_an_address_is_refused(tmp_path: Path) -> None:
    folder = save(rows(), tmp_path / "saved").rename(tmp_path / "simplecache::saved")
    with pytest.raises(DataError, match="has '::' in it"):
        open_data(folder)


def test_only_the_explicit_form_means_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *given, **_: opened.append(given))
    monkeypatch.chdir(tmp_path)
    for place in ("org/name", "datasets/org/name", "./hf/org/name"):
        with pytest.raises(DataError, match="cannot be found"):
            open_data(place)
    for place in ("hf://name", "hf://a/b/c/d", "hf://a/../b", "hf://datasets"):
        with pytest.raises(DataError, match="no data set on the Hub"):
            open_data(place)
    assert not opened
    for split in ("train", "val"):
        for name in "ab":
            (tmp_path / "hf:/org/name" / split / name).mkdir(parents=True)
            (tmp_path / "hf:/org/name" / split / name / "1.jpg").touch()
    assert len(open_data("hf://org/name").train) == 2  # what is there wins
    assert not opened


def test_an_older_library_is_not_trusted_with_what_others_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "__version__", "5.1.9")
    with pytest.raises(DataError, match="needs a newer datasets"):
        open_data("hf://org/name")


SCRIPT = """
import json, logging, sys
logging.basicConfig(level="ERROR")
from activitynet.data.decode import read_photo
from activitynet.data.open import open_data
from activitynet.errors import DataError
for place in sys.argv[1:]:
    try:
        data = open_data(place)
        sizes = [len(data.train), len(data.val), len(data.test)]
        print(json.dumps([data.classes, sizes, len(read_photo(data.train[0].path))]))
    except DataError as error:
        print(json.dumps(str(error)))
"""


def hub(endpoint: str, home: Path, *places: str) -> list[Any]:
    """Open data sets of a hub in a process of its own: the client reads where it is only once."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", SCRIPT, *places]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_data_set_on_the_hub_is_downloaded_and_read(tmp_path: Path) -> None:
    root, home = tmp_path / "hub", tmp_path / "home"
    (home / "org" / "table").mkdir(parents=True)  # a local folder of that name, to be passed over
    (root / "org" / "table" / "data").mkdir(parents=True)
    for split, count in (("train", 4), ("validation", 2)):
        rows(count).to_parquet(root / "org" / "table" / "data" / f"{split}-00000-of-00001.parquet")
    for split in ("train", "test"):
        for name in ("dance", "run"):
            folder = root / "org" / "files" / split / name
            folder.mkdir(parents=True)
            (folder / "1.jpg").write_bytes(jpeg(1))
    (root / "org" / "script").mkdir()
    (root / "org" / "script" / "script.py").write_text("raise SystemExit('this was run')")
    for folder in (root / "org").iterdir():
        (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    with serve(root) as endpoint:
        places = ["table", f"table@{COMMIT}", "files", "script", "none", "table@other", "table/other"]
        found = hub(endpoint, home, *(f"hf://org/{place}" for place in places))
    assert found[0] == [["b", "a"], [4, 2, 0], len(jpeg(0))]
    assert found[1] == found[0]
    assert found[2] == [["dance", "run"], [2, 0, 2], len(jpeg(1))]
    assert "scripts are no longer supported" in found[3]
    assert "'hf://org/none': there is none on the Hub that you may read" in found[4]
    assert "there is none on the Hub" in found[5]
    assert "'other' not found" in found[6]
    # What has been downloaded once serves without a network; anything else is one line.
    endpoint = "http://127.0.0.1:9"  # where nothing answers
    again, gone = hub(endpoint, home, "hf://org/table", "hf://org/absent")
    assert again == found[0]
    assert "the Hub cannot be reached" in gone
