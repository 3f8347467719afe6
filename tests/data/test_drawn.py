from __future__ import annotations

import hashlib
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageStat

from activitynet.data.class_folders import open_folder
from activitynet.data.dataset import ACTIVITIES, slug
from activitynet.data.drawn import draw_picture, draw_sample_data, scene_table
from activitynet.errors import DataError, StorageError

FEW = ("dancing", "inactivity quiet/light")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "sample"
    return draw_sample_data(folder, train_per_class=3, val_per_class=2, size=48)


def test_layout_counts_and_sizes(sample: Path) -> None:
    expected = {"README.txt"}
    for split, count in (("train", 3), ("val", 2)):
        expected |= {f"{split}/{slug(name)}/{i:04d}.jpg" for name in ACTIVITIES for i in range(count)}
    assert set(contents(sample)) == expected
    for path in sample.rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (48, 48))


def test_the_note_says_that_it_is_drawn(sample: Path) -> None:
    note = (sample / "README.txt").read_text(encoding="utf-8")
    assert "never photos" in note
    assert all(name in note for name in ACTIVITIES)


def test_open_folder_finds_the_default_classes(sample: Path) -> None:
    data = open_folder(sample)
    assert data.classes == ACTIVITIES
    assert (len(data.train), len(data.val), len(data.test)) == (60, 40, 0)


def test_no_two_pictures_are_the_same(sample: Path) -> None:
    pictures = [data for name, data in contents(sample).items() if name.endswith(".jpg")]
    assert len({hashlib.sha256(picture).digest() for picture in pictures}) == 20 * 5


def test_same_bytes_in_another_process(sample: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from activitynet import draw_sample_data; "
        "draw_sample_data(sys.argv[1], train_per_class=3, val_per_class=2, size=48)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "again")], check=True, env=environment)
    assert contents(tmp_path / "again") == contents(sample)


def test_pictures_do_not_depend_on_the_others(sample: Path, tmp_path: Path) -> None:
    few = draw_sample_data(tmp_path / "few", train_per_class=2, val_per_class=1, size=48, classes=FEW)
    whole = contents(sample)
    pictures = {name: data for name, data in contents(few).items() if name != "README.txt"}
    assert len(pictures) == 2 * 3
    assert all(whole[name] == data for name, data in pictures.items())


@pytest.mark.parametrize("change", [{"seed": 1}, {"split": "val"}, {"index": 2}, {"activity": "dancing"}])
def test_each_argument_changes_the_picture(change: dict) -> None:
    # Index 2 is the same scene as index 0, drawn anew.
    arguments = {"activity": "running", "index": 0, "split": "train", "size": 64, "seed": 0}
    assert draw_picture(**arguments).tobytes() == draw_picture(**arguments).tobytes()
    assert draw_picture(**arguments).tobytes() != draw_picture(**{**arguments, **change}).tobytes()


def test_each_activity_has_scenes_of_its_own() -> None:
    scenes = scene_table()["scenes"]
    assert tuple(scenes) == ACTIVITIES
    assert all(len(own) >= 2 for own in scenes.values())
    every = [scene.split(":")[1] for own in scenes.values() for scene in own]
    assert len(set(every)) == len(every)


def test_everything_in_the_table_is_drawn_somewhere() -> None:
    table = scene_table()
    drawn = " ".join([*itertools.chain.from_iterable(table["scenes"].values()), *table["things"].values()])
    words = set(re.findall(r"[\w]+", drawn + " ".join(table["places"].values())))
    for kind in ("poses", "front_poses", "places", "things"):
        assert set(table[kind]) <= words, kind
    assert set(table["colours"]) <= {*words, "skin", "hair"}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ACTIVITIES), st.integers(0, 9999), st.integers(), st.integers(32, 96))
def test_every_seed_draws_something(activity: str, index: int, seed: int, size: int) -> None:
    picture = draw_picture(activity, index, split="train", size=size, seed=seed)
    assert (picture.mode, picture.size) == ("RGB", (size, size))
    assert max(ImageStat.Stat(picture).stddev) > 10  # grain alone makes less


def test_mean_colour_does_not_tell_the_activity() -> None:
    def colours(split: str) -> np.ndarray:
        return np.array(
            [
                [ImageStat.Stat(draw_picture(name, i, split=split, size=32)).mean for i in range(12)]
                for name in ACTIVITIES
            ]
        )

    centroids = colours("train").mean(axis=1)
    distances = np.linalg.norm(colours("val")[:, :, None] - centroids, axis=-1)
    accuracy = np.mean(distances.argmin(axis=-1) == np.arange(20)[:, None])
    assert accuracy < 0.25


@pytest.mark.parametrize("before", ["missing", "empty", "own"])
def test_replaces_an_earlier_sample_folder(before: str, tmp_path: Path) -> None:
    folder = tmp_path / "parent" / "sample"
    if before == "empty":
        folder.mkdir(parents=True)
    elif before == "own":
        draw_sample_data(folder, train_per_class=3, val_per_class=1, size=32, seed=5)
    assert draw_sample_data(folder, train_per_class=1, val_per_class=0, size=32, classes=FEW) == folder
    assert set(contents(folder)) == {"README.txt", *(f"train/{slug(name)}/0000.jpg" for name in FEW)}
    assert [path.name for path in folder.parent.iterdir()] == ["sample"]


@pytest.mark.parametrize(
    "stray", ["notes.txt", "train/dancing/me.jpg", "train/dancing/0000.jpg/x", ".git/HEAD"]
)
def test_leaves_other_folders_alone(stray: str, tmp_path: Path) -> None:
    (tmp_path / stray).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / stray).write_text("mine")
    with pytest.raises(StorageError, match="which is not sample data"):
        draw_sample_data(tmp_path, train_per_class=1, size=32, classes=FEW)
    assert contents(tmp_path) == {stray: b"mine"}


def test_leaves_a_sample_folder_alone_to_which_a_file_was_added(tmp_path: Path) -> None:
    folder = draw_sample_data(tmp_path / "sample", train_per_class=1, val_per_class=1, size=32, classes=FEW)
    (folder / "train" / "dancing" / "holiday.jpg").write_bytes(b"mine")
    before = contents(folder)
    with pytest.raises(StorageError, match=r"holiday\.jpg"):
        draw_sample_data(folder, train_per_class=1, size=32, classes=FEW)
    assert contents(folder) == before


def test_pictures_without_the_note_are_kept(tmp_path: Path) -> None:
    folder = draw_sample_data(tmp_path / "sample", train_per_class=1, val_per_class=1, size=32, classes=FEW)
    (folder / "README.txt").unlink()
    with pytest.raises(StorageError, match="not sample data"):
        draw_sample_data(folder, train_per_class=1, size=32, classes=FEW)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "sample").write_text("mine")
    with pytest.raises(StorageError, match="it is a file"):
        draw_sample_data(tmp_path / "sample", train_per_class=1, size=32, classes=FEW)
    assert (tmp_path / "sample").read_text() == "mine"


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count()

    def full_disk(self: Image.Image, *args: object, **kwargs: object) -> None:
        if next(calls) == 3:
            raise OSError(28, "No space left on device")
        Path(str(args[0])).touch()

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(StorageError, match="No space left"):
        draw_sample_data(tmp_path / "sample", train_per_class=4, size=32, classes=FEW)
    assert next(calls) == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("dancin",), "Did you mean 'dancing'"),
        (("knitting socks",), "Choose from bicycling"),
        ("dancin", "no drawings of 'dancin'"),
        (("dancing", "dancing"), "named twice"),
        ((), "no classes"),
    ],
)
def test_unknown_classes(classes: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        draw_sample_data(tmp_path / "sample", classes=classes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "numbers",
    [
        {"train_per_class": 0},
        {"train_per_class": 10_000},
        {"val_per_class": -1},
        {"size": 31},
        {"size": 1025},
        {"size": 64.0},
    ],
)
def test_numbers_out_of_range(numbers: dict, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{next(iter(numbers))} must be a whole number from"):
        draw_sample_data(tmp_path / "sample", **numbers)
    assert list(tmp_path.iterdir()) == []
