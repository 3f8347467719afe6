from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from activitynet.data.dataset import Photo, PhotoData
from activitynet.data.splits import FOLDS, can_be_folded, folds, train_val_split
from activitynet.data.tables import read_split, write_split
from activitynet.errors import DataError


def test_without_groups_each_class_is_split_as_by_scikit_learn() -> None:
    photos = tuple(Photo(Path(f"{label}/{n}"), label) for label in range(3) for n in range(10 + 7 * label))
    train, val = train_val_split(photos, 0.2, 3)
    expected = set()
    for label in range(3):
        same = [photo for photo in photos if photo.label == label]
        expected.update(train_test_split(same, test_size=round(0.2 * len(same)), random_state=3)[1])
    assert set(val) == expected
    assert train == tuple(photo for photo in photos if photo not in expected)
    assert train_val_split(photos, 0, 3) == (photos, ())
    assert train_val_split((), 0.2, 3) == ((), ())


@settings(max_examples=100, deadline=None)
@given(
    members=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=60),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_group_is_torn_and_no_class_loses_its_last(
    members: list[tuple[int, int]], fraction: float, seed: int
) -> None:
    photos = tuple(
        Photo(Path(str(index)), label, f"g{group}" if group else "")
        for index, (group, label) in enumerate(members)
    )
    train, val = train_val_split(photos, fraction, seed)
    assert sorted((*train, *val), key=photos.index) == list(photos)
    assert not {photo.group for photo in train if photo.group} & {photo.group for photo in val}
    assert {photo.label for photo in train} == {photo.label for photo in photos}
    assert (train, val) == train_val_split(photos, fraction, seed)


def test_groups_give_each_class_about_its_share() -> None:
    photos = tuple(
        Photo(Path(f"{label}-{group}-{n}"), label, f"{label}-{group}")
        for label, groups in enumerate((5, 40, 200))
        for group in range(groups)
        for n in range(1 + group % 4)
    )
    held = [train_val_split(photos, 0.2, seed)[1] for seed in range(5)]
    sizes = Counter(photo.label for photo in photos)
    for val in held:
        counts = Counter(photo.label for photo in val)
        assert all(abs(counts[label] - 0.2 * size) <= 2 for label, size in sizes.items())
    assert len(set(held)) == 5


def test_a_class_of_large_groups_is_validated_on_too() -> None:
    photos = tuple(
        Photo(Path(f"{group}-{n}"), group % 2, f"g{group}") for group in range(4) for n in range(9)
    )
    _, val = train_val_split(photos, 0.1, 0)
    assert Counter(photo.label for photo in val) == {0: 9, 1: 9}


def data(folder: Path) -> PhotoData:
    names = ["a,b", 'q"uote', "new\nline", "d", "e", "f"]
    photos = [Photo(folder / "x" / f"{name}.jpg", index % 2) for index, name in enumerate(names)]
    grouped = Photo(photos[5].path, 1, "group, 1")
    return PhotoData(("cat", "dog\nhouse"), tuple(photos[:4]), (photos[4],), (grouped,))


def test_a_split_is_written_and_read(tmp_path: Path) -> None:
    whole = data(tmp_path)
    for place in (tmp_path / "split.csv", tmp_path / "elsewhere" / "split.csv"):
        write_split(place, whole)
        shuffled = PhotoData(whole.classes, whole.val + whole.test, whole.train)
        found = read_split(place, shuffled)
        assert [{p.path for p in part} for part in (found.train, found.val, found.test)] == [
            {p.path for p in part} for part in (whole.train, whole.val, whole.test)
        ]
        assert found.test == whole.test
    assert str(tmp_path) not in (tmp_path / "split.csv").read_text()


def test_a_split_of_other_photos_is_refused(tmp_path: Path) -> None:
    whole, table = data(tmp_path), tmp_path / "split.csv"
    write_split(table, whole)
    with pytest.raises(DataError, match=r"1 only in it \(such as '.*f\.jpg'\)"):
        read_split(table, PhotoData(whole.classes, whole.train, whole.val))
    more = (*whole.val, Photo(tmp_path / "more.jpg", 0))
    with pytest.raises(DataError, match=r"1 not in it \(such as '.*more\.jpg'\)"):
        read_split(table, PhotoData(whole.classes, whole.train, more, whole.test))
    other = (Photo(whole.val[0].path, 1),)
    with pytest.raises(DataError, match="1 of another class"):
        read_split(table, PhotoData(whole.classes, whole.train, other, whole.test))


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    photos = (Photo(tmp_path / "\udcff.jpg", 0), Photo(tmp_path / "b.jpg", 1))
    with pytest.raises(DataError, match="not valid text"):
        write_split(tmp_path / "split.csv", PhotoData(("a", "b"), photos, ()))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), grouped=st.booleans())
def test_folds_keep_groups_whole_and_classes_balanced(seed: int, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 60, 200) if grouped else np.arange(200)
    labels = groups % 3
    labels[groups == 0], labels[groups == 3] = 3, 3  # a class of two groups
    foldable = can_be_folded(labels, groups)
    present = [label for label in range(4) if len(set(groups[labels == label])) >= FOLDS]
    assert set(labels[foldable]) == set(present)
    assert not set(labels[~foldable]) & set(present)
    labels, groups = labels[foldable], groups[foldable]
    parts = folds(labels, groups, seed=seed % 1000)
    assert len(parts) == FOLDS
    np.testing.assert_array_equal(
        np.sort(np.concatenate([held for _, held in parts])), np.arange(len(labels))
    )
    for learned, held in parts:
        assert not set(groups[learned]) & set(groups[held])
        assert len(learned) + len(held) == len(labels)
        assert set(labels[learned]) == set(labels)
        if not grouped:
            counts = np.bincount(labels[held], minlength=4) * FOLDS
            assert (abs(counts - np.bincount(labels, minlength=4)) <= FOLDS).all()
