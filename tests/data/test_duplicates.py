from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from activitynet.data import scan
from activitynet.data.audit import audit
from activitynet.data.class_folders import open_folder
from activitynet.data.dataset import Photo
from activitynet.data.drawn import draw_sample_data
from activitynet.data.duplicates import connected_groups, exact_duplicate_pairs, group_duplicates
from activitynet.data.open import open_data
from activitynet.data.scan import ScannedPhoto
from activitynet.errors import DataError


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Drawn photos with copies of some: the folder, and each copy's name with its origin's."""
    folder = tmp_path_factory.mktemp("drawn") / "data"
    draw_sample_data(
        folder, train_per_class=10, val_per_class=1, size=160, seed=3, classes=["running", "dancing"]
    )
    train = folder / "train"
    origin: dict[str, str] = {}
    for number, path in enumerate(sorted(train.rglob("*.jpg"))[::3]):
        image = Image.open(path).convert("RGB")
        width, height = image.size
        changed = (
            image.resize((width // 2, height // 2)),
            ImageOps.mirror(image),
            image.crop((width // 25, 0, width, height - height // 25)),
        )[number % 3]
        copy = path.with_name(f"copy-{number}.jpg")
        changed.save(copy, quality=70)
        origin[copy.name] = path.name
        if number == 0:
            path.with_name("bytes.jpg").write_bytes(path.read_bytes())
            origin["bytes.jpg"] = path.name
            path.with_name("broken.jpg").write_bytes(path.read_bytes()[:500])
            path.with_name("same broken.jpg").write_bytes(path.read_bytes()[:500])
            for shade in (90, 150):  # of one colour but for a level, as JPEG may leave it
                flat = Image.new("RGB", (64, 64), (shade,) * 3)
                flat.paste((shade + 1,) * 3, (0, 0, 30, 20))
                flat.save(path.with_name(f"flat {shade}.png"))
    return train, origin


def groups_of(photos: tuple[Photo, ...]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for photo in photos:
        if photo.group:
            groups.setdefault(photo.group, set()).add(f"{photo.path.parent.name}/{photo.path.name}")
    return groups


def test_planted_duplicates_are_grouped_and_nothing_else(planted: tuple[Path, dict[str, str]]) -> None:
    folder, origin = planted
    photos = open_folder(folder, val_fraction=0).train
    grouped = group_duplicates(photos)
    assert [photo.path for photo in grouped] == [photo.path for photo in photos]
    expected: dict[str, set[str]] = {}
    for photo in photos:
        if photo.path.name in origin:
            place = photo.path.parent.name
            key = f"{place}/{origin[photo.path.name]}"
            expected.setdefault(key, {key}).add(f"{place}/{photo.path.name}")
    found = groups_of(grouped)
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, expected.values()))
    assert sorted(found) == sorted(f"duplicates-{number}" for number in range(1, len(expected) + 1))


def test_groups_do_not_depend_on_workers(planted: tuple[Path, dict[str, str]]) -> None:
    photos = open_folder(planted[0], val_fraction=0).train
    assert group_duplicates(photos, workers=1) == group_duplicates(photos, workers=7)


@pytest.mark.parametrize("seed", range(4))
def test_a_split_by_groups_has_no_leak_and_one_without_has(
    seed: int, planted: tuple[Path, dict[str, str]]
) -> None:
    def leaks(**options: bool) -> bool:
        data = open_data(planted[0], val_fraction=0.4, seed=seed, **options)
        assert data.val
        return any(finding.across_splits for finding in audit(data).findings)

    assert not leaks(group_duplicates=True)
    assert leaks()
    assert open_data(planted[0], seed=seed, group_duplicates=True).val != (
        open_data(planted[0], seed=seed + 1, group_duplicates=True).val
    )


def test_data_that_names_groups_or_is_split_is_refused(
    planted: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    with pytest.raises(
        DataError, match=r"--group-duplicates.* has photos for 'val' already.*activitynet audit"
    ):
        open_data(planted[0].parent, group_duplicates=True)
    with pytest.raises(DataError, match="has nothing to hold out"):
        open_data(planted[0], val_fraction=0, group_duplicates=True)
    table = tmp_path / "photos.csv"
    table.write_text("path,label,group\na.jpg,a,\nb.jpg,b,video-1\n")
    with pytest.raises(DataError, match="names groups of its own: leave --group-duplicates"):
        open_data(table, group_duplicates=True)


def test_long_searches_say_how_far_they_are(
    planted: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scan, "_LOG_SECONDS", 0.0)
    photos = open_folder(planted[0], val_fraction=0).train
    with caplog.at_level(logging.INFO, logger="activitynet"):
        group_duplicates(photos)
    assert caplog.messages[0] == f"looking for near-duplicates among {len(photos)} photos"
    assert caplog.messages[1].endswith(f"of {len(photos)} photos scanned")
    assert "are near-duplicates of others, in" in caplog.messages[-1]


def test_few_or_no_photos_are_no_groups(planted: tuple[Path, dict[str, str]]) -> None:
    assert group_duplicates(()) == ()
    one = Photo(next(planted[0].rglob("*.jpg")), 0, group="of old")
    assert [photo.group for photo in group_duplicates([one])] == [""]


@given(pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_connected_groups_are_what_following_pairs_gives(pairs: list[tuple[int, int]]) -> None:
    groups = [{number} for number in range(10)]
    for one, other in pairs:
        left = next(group for group in groups if one in group)
        right = next(group for group in groups if other in group)
        if left is not right:
            groups.remove(right)
            left |= right
    expected = sorted(sorted(group) for group in groups if len(group) > 1)
    assert connected_groups(10, pairs) == expected


def test_copies_are_paired_with_the_first() -> None:
    scanned = [
        ScannedPhoto("" if letter else "broken", content_hash=letter)
        for letter in ("a", "", "b", "a", "", "a")
    ]
    assert exact_duplicate_pairs(scanned) == [(0, 3), (0, 5)]


@pytest.mark.real_photos
@pytest.mark.slow
def test_real_photos_fall_into_small_groups(real_data: Path) -> None:
    """A chain of likenesses that swallowed a class would be a fault of the threshold."""
    data = open_folder(real_data / "activities")
    groups = groups_of(group_duplicates(data.train))
    assert 0 < len(groups) < len(data.train) / 50
    assert max(map(len, groups.values())) <= 10
