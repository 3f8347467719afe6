from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitynet.data.class_folders import open_folder
from activitynet.data.dataset import Photo, PhotoData, by_split
from activitynet.data.scan import ScannedPhoto, difference
from activitynet.data.scan import fingerprint as fingerprint_of

FILES = [f"{split}/{name}/{number}.jpg" for split in ("train", "val") for name in "ab" for number in range(5)]


def write(root: Path, *files: str) -> Path:
    """Write files below a folder, each with a content of its own; they need not be photos."""
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def fingerprint(data: PhotoData, *, broken: Collection[str] = ()) -> list[str]:
    """Describe photos whose files hold what `write` wrote; those whose content is named cannot be read."""
    contents = [photo.path.read_bytes() for _, photos in by_split(data) for photo in photos]
    scanned = [
        ScannedPhoto("why")
        if text.decode() in broken
        else ScannedPhoto("", len(text), hashlib.blake2b(text, digest_size=16).hexdigest())
        for text in contents
    ]
    return fingerprint_of(data, scanned)


def test_lines_say_what_each_photo_is(tmp_path: Path) -> None:
    write(tmp_path, "train/a/1.jpg", "train/b/two words.jpg", "val/b/1.jpg")
    assert [line.split(" ", 4) for line in fingerprint(open_folder(tmp_path))] == [  # hashes: b2sum -l 128
        ["train", "0", "13", "3d16e807b717e6788f2f5237d84cfbcf", "train/a/1.jpg"],
        ["train", "1", "21", "cf3cade341ce94746742e4b6c49f1019", "train/b/two words.jpg"],
        ["val", "1", "11", "1d51ffda2ec267572e3982000197ac2e", "val/b/1.jpg"],
    ]


def test_moving_the_folder_changes_nothing(tmp_path: Path) -> None:
    before = fingerprint(open_folder(write(tmp_path / "here", *FILES)))
    shutil.move(tmp_path / "here", tmp_path / "deep" / "there")
    os.utime(tmp_path / "deep" / "there" / FILES[0], (0, 0))
    now = fingerprint(open_folder(tmp_path / "deep" / "there"))
    assert now == before
    assert difference(before, now) is None


def test_a_relative_path_is_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(open_folder(write(tmp_path, *FILES)))
    monkeypatch.chdir(tmp_path / "train")
    assert fingerprint(open_folder("..")) == before


def test_no_photos_are_no_lines() -> None:
    assert fingerprint(PhotoData(("a", "b"), (), ())) == []


def test_each_change_is_counted_and_named(tmp_path: Path) -> None:
    before = fingerprint(open_folder(write(tmp_path, *FILES)))

    def now() -> str | None:
        return difference(before, fingerprint(open_folder(tmp_path)))

    write(tmp_path, "train/a/new.jpg")
    assert now() == "1 photo added (train/a/new.jpg)"
    write(tmp_path, *[f"train/b/x{number}.jpg" for number in range(3)])
    added = "4 photos added (train/a/new.jpg, train/b/x0.jpg, train/b/x1.jpg, …)"
    assert now() == added
    (tmp_path / "val/a/0.jpg").unlink()
    assert now() == f"{added}, 1 removed (val/a/0.jpg)"
    (tmp_path / "val/a/1.jpg").write_text("VAL/a/1.jpg")  # of the same size
    (tmp_path / "val/a/2.jpg").write_text("longer than it was")
    changed = "2 changed (val/a/1.jpg, val/a/2.jpg)"
    assert now() == f"{added}, 1 removed (val/a/0.jpg), {changed}"
    (tmp_path / "train/a/0.jpg").rename(tmp_path / "train/b/a0.jpg")
    (tmp_path / "val/b/4.jpg").rename(tmp_path / "train/b/late.jpg")
    moved = "2 moved (train/a/0.jpg to train/b/a0.jpg, val/b/4.jpg to train/b/late.jpg)"
    assert now() == f"{added}, 1 removed (val/a/0.jpg), {changed}, {moved}"


def test_removed_alone_reads_as_a_phrase(tmp_path: Path) -> None:
    before = fingerprint(open_folder(write(tmp_path, *FILES)))
    for name in FILES[:2]:
        (tmp_path / name).unlink()
    assert (
        difference(before, fingerprint(open_folder(tmp_path)))
        == "2 photos removed (train/a/0.jpg, train/a/1.jpg)"
    )


def test_another_split_class_or_order_of_the_same_files_is_a_difference(tmp_path: Path) -> None:
    write(tmp_path, *FILES)
    data = open_folder(tmp_path)
    before = fingerprint(data)
    first, *rest = data.train

    def after(**changes: object) -> str | None:
        return difference(before, fingerprint(dataclasses.replace(data, **changes)))  # type: ignore[arg-type]

    assert (
        after(train=tuple(rest), val=(*data.val, first)) == "1 photo moved (train/a/0.jpg from train to val)"
    )
    assert (
        after(train=(Photo(first.path, 1), *rest)) == "1 photo moved (train/a/0.jpg from class 0 to class 1)"
    )
    assert after(train=(*rest, first)) == "the photos are in another order"
    assert after(train=(first, *data.train)) == "1 photo added (train/a/0.jpg)"


@settings(max_examples=40, deadline=None)
@given(names=st.lists(st.text(max_size=8), min_size=2, max_size=2, unique=True))
def test_any_path_is_one_line_and_no_two_are_alike(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("data")
    photos = []
    for name in names:
        path = root / f"{name.replace('/', '').replace(chr(0), '')}.jpg"
        try:
            path.write_bytes(b"")
        except (OSError, UnicodeEncodeError):  # not a name on this system
            return
        photos.append(Photo(path, 0))
    lines = fingerprint(PhotoData(("a", "b"), tuple(photos), ()))
    assert all(len(line.splitlines()) == 1 and line.isprintable() for line in lines)
    assert len(set(lines)) == len({photo.path for photo in photos})
    "\n".join(lines).encode()


def test_names_that_are_not_text_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9\n.jpg")
    try:
        path.write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (line,) = fingerprint(PhotoData(("a", "b"), (Photo(path, 0),), ()))
    assert line.endswith(r"caf\udce9\n.jpg")


def test_photos_that_break_and_are_repaired_are_a_difference(tmp_path: Path) -> None:
    data = open_folder(write(tmp_path, *FILES))
    one, other = FILES[:2]
    before, now = fingerprint(data, broken={one}), fingerprint(data, broken={other})
    assert before[0] == f"train 0 0 unreadable {one}"
    assert difference(before, now) == f"1 photo no longer readable ({other}), 1 readable again ({one})"
    assert difference(fingerprint(data), before) == f"1 photo no longer readable ({one})"
    assert difference(before, fingerprint(data)) == f"1 photo readable again ({one})"
    assert difference(before, fingerprint(data, broken={one})) is None


def test_what_an_unreadable_photo_holds_does_not_matter_but_its_path_does(tmp_path: Path) -> None:
    write(tmp_path, *FILES, "train/a/old.jpg")
    before = fingerprint(open_folder(tmp_path), broken={"train/a/old.jpg"})
    (tmp_path / "train/a/old.jpg").write_text("worse")
    assert fingerprint(open_folder(tmp_path), broken={"worse"}) == before
    (tmp_path / "train/a/old.jpg").rename(tmp_path / "train/a/new.jpg")
    now = fingerprint(open_folder(tmp_path), broken={"worse"})
    assert difference(before, now) == "1 photo added (train/a/new.jpg), 1 removed (train/a/old.jpg)"
