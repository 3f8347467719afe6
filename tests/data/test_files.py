from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activitynet.data import files
from activitynet.data.files import (
    is_photo,
    left_out_note,
    natural_key,
    visible_entries,
    walk_files,
)
from activitynet.errors import DataError


def test_numbers_sort_by_value_and_case_does_not_matter() -> None:
    names = ["10.jpg", "b2", "2.jpg", "B10", "a", "1.jpg", "B1"]
    assert sorted(names, key=natural_key) == ["1.jpg", "2.jpg", "10.jpg", "a", "B1", "b2", "B10"]


@given(st.lists(st.text(st.characters(codec=None)), unique=True), st.randoms())
def test_the_order_does_not_depend_on_the_start(names: list[str], rng: object) -> None:
    shuffled = list(names)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sorted(shuffled, key=natural_key) == sorted(names, key=natural_key)


def test_files_come_depth_first_in_natural_order_without_hidden_ones(tmp_path: Path) -> None:
    wanted = ["2.jpg", "10.jpg", "a/1.jpg", "a/b/c/3.png", "z.txt"]
    hidden = [".DS_Store", "Thumbs.db", "a/desktop.ini", ".cache/4.jpg", "__MACOSX/5.jpg", "._2.jpg"]
    for name in [*wanted, *hidden]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [str(file.relative_to(tmp_path)) for file in walk_files(tmp_path)] == wanted


def test_loops_of_links_end_and_linked_folders_are_entered_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    found = [str(file.relative_to(tmp_path)) for file in walk_files(tmp_path)]
    assert found == ["a/1.jpg", "self.jpg"]


def test_extensions_are_told_in_any_case() -> None:
    assert all(map(is_photo, map(Path, ("a.jpg", "b.JPEG", "c.tar.png", "d.WebP"))))
    assert not any(map(is_photo, map(Path, ("a.txt", "jpg", ".jpg", "b.jpg.part"))))


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_names_of_any_bytes_are_listed(tmp_path: Path) -> None:
    names = [b"\xff\xfe.jpg", "имя с пробелом.jpg".encode(), b"line\nbreak.jpg"]
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    assert sorted(os.fsencode(entry.name) for entry in visible_entries(tmp_path)) == sorted(names)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone"):
        list(visible_entries(tmp_path / "gone"))


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.mark.parametrize("name", ["a.HEIC", "a.heif", "a", "a.jpg_large"])
def test_heic_is_a_photo_where_it_can_be_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_bytes(HEIC)
    for readable in (True, False):
        monkeypatch.setattr(files, "can_read_heif", lambda readable=readable: readable)
        assert is_photo(path) == readable


def test_what_is_left_out_is_counted_and_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [Path("x") / name for name in ("a.txt", "b.HEIC", "c", "d", "e")]
    monkeypatch.setattr(files, "can_read_heif", lambda: False)
    note = left_out_note(paths)
    assert "'a.txt', 'b.HEIC', 'c' and 2 more." in note
    assert note.endswith("pip install 'activitynet[heif]'.")
    monkeypatch.setattr(files, "can_read_heif", lambda: True)
    assert "heif" not in left_out_note(paths)
    assert left_out_note(paths[:1]).endswith(": 'a.txt'.")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not is_photo(tmp_path / "pipe")
