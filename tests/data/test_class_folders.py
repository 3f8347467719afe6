from __future__ import annotations

import dataclasses
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from activitynet.data.class_folders import open_folder
from activitynet.data.dataset import ACTIVITIES, Photo, PhotoData, slug
from activitynet.data.loader import PhotoDataset
from activitynet.data.preprocess import Preprocess
from activitynet.data.scan import check_photos
from activitynet.errors import DataError, ImageError


def plant(root: Path, *files: str) -> Path:
    """Make files below a folder; those that end in .jpg need not be photos to be listed."""
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def listed(root: Path, photos: tuple[Photo, ...], data: PhotoData) -> list[tuple[str, str]]:
    return [(data.classes[photo.label], photo.path.relative_to(root).as_posix()) for photo in photos]


def test_splits_are_found_and_share_their_labels(tmp_path: Path) -> None:
    plant(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "train/eel/1.jpg")
    plant(tmp_path, "val/dog/2.jpg", "val/eel/2.jpg", "test/eel/3.jpg")
    data = open_folder(tmp_path)
    assert data.classes == ("cat", "dog", "eel")
    assert listed(tmp_path, data.val, data) == [("dog", "val/dog/2.jpg"), ("eel", "val/eel/2.jpg")]
    assert listed(tmp_path, data.test, data) == [("eel", "test/eel/3.jpg")]
    assert [photo.label for photo in data.test] == [2]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_val_has_several_names(name: str, tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.jpg", "train/b/1.jpg", f"{name}/b/1.jpg")
    data = open_folder(tmp_path)
    assert [photo.label for photo in data.val] == [1]
    assert len(data.train) == 2


def test_classes_are_in_natural_order(tmp_path: Path) -> None:
    plant(tmp_path, *[f"{number}/x.jpg" for number in (1, 2, 10, 20, 3)])
    assert open_folder(tmp_path).classes == ("1", "2", "3", "10", "20")


def test_given_classes_fix_the_order_and_keep_their_places(tmp_path: Path) -> None:
    plant(tmp_path, "home_repair/1.jpg", "dancing/1.jpg")
    classes = ("walking", "home repair", "sports", "dancing")
    data = open_folder(tmp_path, classes=classes)
    assert data.classes == classes
    assert listed(tmp_path, data.train, data) == [
        ("home repair", "home_repair/1.jpg"),
        ("dancing", "dancing/1.jpg"),
    ]


def test_an_exact_name_goes_before_a_like_one(tmp_path: Path) -> None:
    plant(tmp_path, "C+/1.jpg", "C-/1.jpg")
    data = open_folder(tmp_path, classes=("C-", "C+"))
    assert [photo.path.parent.name for photo in data.train] == ["C-", "C+"]
    shutil.move(tmp_path / "C+", tmp_path / "C~")
    with pytest.raises(DataError, match="could be class 'C-' and 'C\\+'"):
        open_folder(tmp_path, classes=("C-", "C+"))


def test_an_unknown_folder_is_named_with_its_likely_class(tmp_path: Path) -> None:
    plant(tmp_path, "train/cats/1.jpg", "train/dogs/1.jpg", "val/cat/2.jpg")
    with pytest.raises(
        DataError, match=r"val/cat': label 'cat' is not one of the 2 classes\. Did you mean 'cats'"
    ):
        open_folder(tmp_path)
    with pytest.raises(DataError, match="dogs': label 'dogs' is not one of the 2 classes"):
        open_folder(tmp_path, classes=("cats", "birds"))


def test_folders_of_activities_make_the_20_classes(tmp_path: Path) -> None:
    plant(tmp_path, *[f"{slug(name)}/1.jpg" for name in ACTIVITIES[5:15]])
    data = open_folder(tmp_path)
    assert data.classes == ACTIVITIES
    assert [photo.label for photo in data.train] == list(range(5, 15))
    shutil.rmtree(tmp_path / slug(ACTIVITIES[5]))
    assert open_folder(tmp_path).classes == tuple(slug(name) for name in ACTIVITIES[6:15])
    plant(tmp_path, *[f"{slug(name)}/1.jpg" for name in ACTIVITIES], "juggling/1.jpg")
    assert len(open_folder(tmp_path).classes) == 21


def test_a_split_without_train_can_be_evaluated_even_with_one_class(tmp_path: Path) -> None:
    plant(tmp_path, "val/dog/1.jpg")
    data = open_folder(tmp_path, classes=("cat", "dog"))
    assert data.train == ()
    assert [photo.label for photo in data.val] == [1]


def test_photos_may_lie_deep_and_other_files_are_reported(tmp_path: Path) -> None:
    plant(
        tmp_path, "a/1.jpg", "a/x/y/2.png", "a/notes.txt", "a/.DS_Store", "b/3.webp", "b/4.psd", "README.md"
    )
    data = open_folder(tmp_path, val_fraction=0)
    assert [photo.path.name for photo in data.train] == ["1.jpg", "2.png", "3.webp"]
    assert sorted(path.name for path in data.ignored) == ["4.psd", "README.md", "notes.txt"]


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=5),
    fraction=st.floats(0, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_held_out_is_a_fair_share_of_each_class(
    sizes: list[int], fraction: float, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("data")
    for label, size in enumerate(sizes):
        plant(root, *[f"c{label}/{number}.jpg" for number in range(size)])
    data = open_folder(root, val_fraction=fraction, seed=seed)
    assert not set(data.train) & set(data.val)
    held, kept = (Counter(photo.label for photo in photos) for photos in (data.val, data.train))
    for label, size in enumerate(sizes):
        assert held[label] + kept[label] == size
        assert kept[label] >= 1
        if fraction and size > 1:
            assert abs(held[label] - fraction * size) <= 1
            assert held[label] >= 1
        else:
            assert held[label] == 0
    assert data == open_folder(root, val_fraction=fraction, seed=seed)


def test_what_is_held_out_depends_on_the_seed_but_not_on_other_classes(tmp_path: Path) -> None:
    plant(tmp_path, *[f"{name}/{number}.jpg" for name in "ab" for number in range(30)])
    first, second = (open_folder(tmp_path, seed=seed).val for seed in (0, 1))
    assert first != second
    plant(tmp_path, *[f"c/{number}.jpg" for number in range(7)])
    assert open_folder(tmp_path, seed=0).val[: len(first)] == first


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "holds no photos"),
        (["a/", "b/"], "holds no photos"),
        (["a/1.psd", "b/2.psd"], r"holds no photos \(left out 4 .*: '1.psd', 'a', '2.psd' and 1 more\)"),
        (["1.jpg", "a/1.jpg", "b/1.jpg"], "1.jpg' is in no class's folder"),
        (["train/1.jpg", "train/a/1.jpg"], "1.jpg' is in no class's folder"),
        (["a/1.jpg", "a/2.jpg"], "one class only, 'a'"),
        (["a/1.jpg", "b/"], "one class only, 'a'"),
        (["train/a/1.jpg", "val/a/1.jpg"], "one class only, 'a'"),
        (["train/a/1.jpg", "train/b/1.jpg", "val/"], "the 'val' folder of .* holds no photos"),
        (["train/", "val/a/1.jpg"], "the 'train' folder of .* holds no photos"),
        (["train/a/1.jpg", "train/b/1.jpg", "cats/1.jpg"], "mixes the split 'train' with other folders"),
        (["train/a/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"], "'val' and 'valid', which both mean 'val'"),
        (
            ["home repair/1.jpg", "home_repair/1.jpg", *[f"{slug(a)}/1.jpg" for a in ACTIVITIES]],
            "Make them one",
        ),
    ],
)
def test_other_layouts_are_refused_with_the_remedy(files: list[str], message: str, tmp_path: Path) -> None:
    for name in files:
        if name.endswith("/"):
            (tmp_path / name).mkdir(parents=True)
        else:
            plant(tmp_path, name)
    with pytest.raises(DataError, match=message) as caught:
        open_folder(tmp_path)
    assert "\n" not in str(caught.value)
    if "one" not in message.split() and "both mean" not in message:
        assert "Put the photos of each class in a folder" in str(caught.value)


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, "file")
    with pytest.raises(DataError, match="gone' cannot be found"):
        open_folder(tmp_path / "gone")
    with pytest.raises(DataError, match="file' is not a folder"):
        open_folder(tmp_path / "file")


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.jpg", "b/1.jpg")
    for fraction in (-0.1, 1.0, float("nan")):
        with pytest.raises(DataError, match="val_fraction"):
            open_folder(tmp_path, val_fraction=fraction)
    for seed in (-1, 2**32):
        with pytest.raises(DataError, match="seed"):
            open_folder(tmp_path, seed=seed)
    for classes in ((), ("a",), ("a", "b", "a"), "ab"):
        with pytest.raises(DataError, match="classes must be two or more names"):
            open_folder(tmp_path, classes=classes)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_names_of_any_kind_work_and_can_be_written_down(tmp_path: Path) -> None:
    folders = ["бег трусцой", "two\nlines", "cafe\u0301", os.fsdecode(b"\xff\xfe"), " space "]
    for folder in folders:
        path = tmp_path / folder / "фото 1\n.png"
        path.parent.mkdir()
        Image.new("RGB", (4, 4)).save(path)
    data = open_folder(tmp_path)
    assert set(data.classes) == {"бег трусцой", "two\nlines", "café", "\ufffd\ufffd", " space "}
    assert "".join(data.classes).encode("utf-8")
    check_photos(data)
    assert len(PhotoDataset(data.train, Preprocess(size=(8, 8)))) == 5


def test_loops_of_links_end(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    data = open_folder(tmp_path, val_fraction=0)
    assert len(data.train) >= 2


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Photo, ...]:
    root = tmp_path_factory.mktemp("photos")
    found = []
    for number in range(6):
        path = root / f"{number}.png"
        Image.radial_gradient("L").resize((40, 30)).rotate(number * 20).save(path)
        found.append(Photo(path, number % 2))
    return tuple(found)


def test_items_are_image_label_and_index(photos: tuple[Photo, ...]) -> None:
    dataset = PhotoDataset(photos, Preprocess(size=(16, 16)))
    image, label, index = dataset[3]
    assert image.shape == (3, 16, 16)
    assert (label, index, len(dataset)) == (1, 3, 6)


def test_a_bad_photo_is_named_when_it_is_read(tmp_path: Path) -> None:
    plant(tmp_path, "bad.jpg")
    dataset = PhotoDataset([Photo(tmp_path / "bad.jpg", 0)], Preprocess())
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        dataset[0]


@pytest.mark.real_photos
def test_the_real_photos_are_laid_out_and_readable(real_data: Path) -> None:
    data = open_folder(real_data / "activities")
    assert data.classes == ACTIVITIES
    assert (len(data.train), len(data.val)) == (8628, 1914)
    assert [path.name for path in data.ignored] == ["manifest.csv"]
    check_photos(dataclasses.replace(data, train=()), workers=2)


def test_folders_that_may_be_one_class_are_named_with_where_they_are(tmp_path: Path) -> None:
    for name in ("Tai chi", "tai_chi"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()
    with pytest.raises(DataError, match=r"'Tai chi' and 'tai_chi' may be one class") as refusal:
        open_folder(tmp_path)
    assert repr(str(tmp_path)) in str(refusal.value)


@pytest.mark.parametrize(
    ("train", "other", "split"),
    [
        ("Training", "Testing", "test"),
        ("training_set", "test_set", "test"),
        ("train data", "validation-set", "val"),
        ("TrainSet", "ValSet", "val"),
    ],
)
def test_splits_have_other_usual_names(train: str, other: str, split: str, tmp_path: Path) -> None:
    plant(tmp_path, f"{train}/a/1.jpg", f"{train}/b/1.jpg", f"{other}/a/2.jpg")
    data = open_folder(tmp_path, val_fraction=0)
    assert data.classes == ("a", "b")
    assert (len(data.train), len(getattr(data, split))) == (2, 1)


def test_splits_of_unknown_names_are_refused_unless_the_classes_are_given(tmp_path: Path) -> None:
    plant(tmp_path, *[f"{part}/{name}/1.jpg" for part in ("part1", "part2") for name in "abc"])
    with pytest.raises(DataError, match=r"hold the same folders, such as 'a' and 'b'\. If they are splits"):
        open_folder(tmp_path)
    assert len(open_folder(tmp_path, classes=["part1", "part2"], val_fraction=0).train) == 6
    plant(tmp_path, "part1/1.jpg", "part2/1.jpg")  # photos beside the folders: these are classes
    assert open_folder(tmp_path, val_fraction=0).classes == ("part1", "part2")


def test_one_folder_of_the_same_name_in_each_class_makes_no_splits(tmp_path: Path) -> None:
    plant(tmp_path, "a/images/1.jpg", "b/images/1.jpg", "b/more/1.jpg")
    assert open_folder(tmp_path, val_fraction=0).classes == ("a", "b")


@pytest.mark.parametrize("below", ["", "train/"])
def test_folders_that_are_no_classes_are_left_out_and_named(below: str, tmp_path: Path) -> None:
    plant(tmp_path, f"{below}a/1.jpg", f"{below}b/1.jpg", f"{below}b/@eaDir/1.jpg/thumb.jpg")
    junk = ("__pycache__", "$RECYCLE.BIN", "lost+found", "@eaDir")
    plant(tmp_path, *[f"{below}{name}/2.jpg" for name in junk])
    (tmp_path / below / "empty" / "deep").mkdir(parents=True)
    run = tmp_path / below / "runs" / "first"
    plant(run, "config.json", "photos.txt", "plots/per_class_f1.png")
    data = open_folder(tmp_path, val_fraction=0)
    assert listed(tmp_path, data.train, data) == [("a", f"{below}a/1.jpg"), ("b", f"{below}b/1.jpg")]
    assert {str(path.relative_to(tmp_path / below)) for path in data.ignored} == {
        *junk,
        "b/@eaDir",
        "empty",
        "runs",
        "runs/first",
    }


def test_a_run_beside_splits_is_left_out(tmp_path: Path) -> None:
    plant(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg")
    plant(tmp_path / "runs" / "first", "config.json", "photos.txt", "plots/per_class_f1.png")
    data = open_folder(tmp_path)
    assert data.classes == ("a", "b")
    assert data.ignored == (tmp_path / "runs",)


def test_photos_are_known_by_their_content_where_their_names_do_not_tell(tmp_path: Path) -> None:
    plant(tmp_path, "a/notes.txt", "b/empty")
    picture = Image.radial_gradient("L").resize((40, 30))
    for name, kind in (
        ("1", "PNG"),
        ("2.jpg_large", "JPEG"),
        ("3.img", "WEBP"),
        ("4.x", "BMP"),
        ("5", "TIFF"),
    ):
        picture.save(tmp_path / "a" / name, kind)
    picture.save(tmp_path / "b" / "1.jp2")
    for name in ("2.jpg.part", "3.jpg_original", "4.jpg~"):  # unfinished, and copies
        picture.save(tmp_path / "b" / name, "JPEG")
    picture.save(tmp_path / "b" / "raw.dng", "TIFF")
    data = open_folder(tmp_path, val_fraction=0)
    assert [photo.path.name for photo in data.train] == ["1", "2.jpg_large", "3.img", "4.x", "5", "1.jp2"]
    assert len(data.ignored) == 6
    check_photos(data)
