from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from activitynet import Classifier, create_model
from activitynet.errors import DataError, StorageError
from activitynet.inference import Prediction, PredictionFile, Tally

CLASSES = ("dancing", "running", "walking")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0)
    for index in range(11):
        Image.fromarray(noise.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(folder / f"{index}.jpg")
    (folder / "4.jpg").write_bytes(b"no photo")
    (folder / 'a,"b\n\udcff.jpg').write_bytes((folder / "5.jpg").read_bytes())
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.manual_seed(0)
    model = create_model("test_efficientnet_se", num_classes=3)
    return Classifier(model, CLASSES, image_size=32).save(tmp_path_factory.mktemp("weights") / "w")


@pytest.fixture(scope="module")
def classifier(weights: Path) -> Classifier:
    return Classifier.load(weights)


def rows_of(path: Path) -> list[dict[str, object]]:
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [dict(row) for row in csv.DictReader(file)]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    from pyarrow import parquet

    return parquet.read_table(path).to_pylist()


FORMATS = pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])


@FORMATS
def test_rows_are_the_predictions_in_their_order(
    classifier: Classifier, photos: Path, tmp_path: Path, suffix: str
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / "new" / f"out{suffix}"
    assert classifier.predict_to(path, photos, top=2, batch_size=4) == Tally(0, 12, 1)
    rows, expected = rows_of(path), list(classifier.predict(photos, top=2, batch_size=4))
    assert [row["label"] or None for row in rows] == [each.label for each in expected]
    assert [bool(row["error"]) for row in rows] == [each.error is not None for each in expected]
    for row, each in zip(rows, expected, strict=True):
        if each.probability is not None:
            assert float(str(row["probability"])) == each.probability
    if suffix == ".jsonl":
        assert rows == [each.to_dict() for each in expected]
    else:
        assert rows[-1]["source"] == str(photos / 'a,"b\\n\\udcff.jpg')
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@FORMATS
def test_a_file_cut_anywhere_goes_on_to_the_same_rows(
    classifier: Classifier, photos: Path, tmp_path: Path, suffix: str
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    whole = tmp_path / f"whole{suffix}"
    # Of one photo a batch, so that where a run begins does not change a sum's rounding.
    classifier.predict_to(whole, photos, batch_size=1)
    text = whole.read_bytes()
    if suffix == ".parquet":
        classifier.predict_to(tmp_path / "whole.jsonl", photos, batch_size=1)
        text = (tmp_path / "whole.jsonl").read_bytes()
    for cut in (
        0,
        3,
        len(text) // 3,
        len(text) // 2,
        text.rindex(b"\n", 0, -1) + 1,
        len(text) - 1,
        len(text),
    ):
        path = tmp_path / f"cut-{cut}{suffix}"
        partial = path if suffix != ".parquet" else path.with_name(f"{path.name}.jsonl")
        partial.write_bytes(text[:cut])
        lines = text[:cut].count(b"\n") - (suffix == ".csv" and b"\n" in text[:cut])
        tally = classifier.predict_to(path, photos, batch_size=1, resume=True)
        assert tally == Tally(lines, 12 - lines, 1)
        assert rows_of(path) == rows_of(whole)
        # Once more has nothing to do.
        assert classifier.predict_to(path, photos, batch_size=1, resume=True) == Tally(12, 0, 1)
        assert rows_of(path) == rows_of(whole)


def test_photos_that_are_done_are_not_opened_again(
    classifier: Classifier, photos: Path, tmp_path: Path
) -> None:
    path, names = tmp_path / "out.jsonl", [str(photos / f"{index}.jpg") for index in range(4)]
    classifier.predict_to(path, names[:3])
    moved = [tmp_path / "gone" / "x.jpg", *names]
    assert [each.source for each in classifier.predict(names, after=names[:3])] == names[3:]
    with pytest.raises(DataError, match=r"position 0 was .*0\.jpg.*x\.jpg.*new file"):
        classifier.predict_to(path, moved, resume=True)
    with pytest.raises(DataError, match=r"position 2 was .*2\.jpg.*missing"):
        classifier.predict_to(path, names[:2], resume=True)
    assert len(rows_of(path)) == 3


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("out.txt", None, r"\.csv, \.jsonl or \.parquet"),
        ("out.csv", "name,label\n", "line 1 of"),
        ("out.jsonl", "{}\n", "line 1 of"),
        ("out.jsonl", '[1]\n"x"\n', "line 1 of"),
        ("out.jsonl", "\0\0\0\n", "line 1 of"),
        ("out.parquet", "PAR1", "is not a Parquet file"),
    ],
)
def test_what_is_no_such_file_is_refused_and_left(
    classifier: Classifier, tmp_path: Path, name: str, content: str | None, complaint: str
) -> None:
    photos = tmp_path / "a.jpg"
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=complaint):
        classifier.predict_to(path, photos, resume=True)
    assert content is None or path.read_text() == content
    if content is not None:
        with pytest.raises(DataError, match="exists"):
            classifier.predict_to(path, photos)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_another_number_of_guesses_is_refused(
    classifier: Classifier, photos: Path, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"out{suffix}"
    classifier.predict_to(path, photos / "0.jpg", top=2)
    with pytest.raises(DataError, match="same --top"):
        classifier.predict_to(path, photos, top=3, resume=True)


def test_a_place_that_cannot_be_written_is_one_clear_error(
    classifier: Classifier, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        classifier.predict_to(tmp_path / "file" / "out.csv", photos)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").symlink_to("/dev/full")
    with (
        pytest.raises(StorageError, match="cannot write"),
        PredictionFile(tmp_path / "out.jsonl", top=1, resume=True) as file,
    ):
        file.write(Prediction("a.jpg", "x", 1.0, (("x", 1.0),)))


@pytest.mark.slow
def test_a_killed_command_goes_on(photos: Path, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    many = [str(photos / f"{index % 11}.jpg") for index in range(1100)]
    command = [sys.executable, "-m", "activitynet", "predict", *many, "--weights", str(weights), "--output"]
    process = subprocess.Popen([*command, str(path)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if path.exists() and path.read_bytes().count(b"\n") > 50:
                break
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = path.read_bytes().count(b"\n") - 1
    assert 50 <= done < 1100
    ended = subprocess.run(
        [*command, str(path), "--resume"], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert ended.returncode == 1, ended.stderr
    assert f"1100 photos ({done} were there): " in ended.stdout
    assert "100 of 1100 photos could not be read." in ended.stderr
    assert [row["source"] for row in rows_of(path)] == many
