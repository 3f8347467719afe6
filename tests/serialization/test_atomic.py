from __future__ import annotations

import errno
import itertools
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from activitynet.errors import StorageError
from activitynet.serialization import atomic


def everything(folder: Path) -> dict[str, str]:
    """All files below a folder, hidden ones too, with what they hold."""
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def write_folder(folder: Path, text: str) -> None:
    with atomic.replaced_folder(folder) as new:
        (new / "a").write_text(text)
        (new / "sub").mkdir()
        (new / "sub" / "b").write_text(text)


def write_file(path: Path, text: str) -> None:
    atomic.write_text(path, text)


def test_files_are_written_with_their_folders_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x" / "y" / "имя\n.txt"
    for text in ("one", "two"):
        atomic.write_text(path, text)
        assert everything(tmp_path) == {str(path.relative_to(tmp_path)): text}
    atomic.write_json(path, {"ключ": [1.5, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"ключ": [1.5, None]}
    atomic.write_bytes(path, b"\0\xff")
    assert path.read_bytes() == b"\0\xff"


def test_json_refuses_nan_and_leaves_what_was_there(tmp_path: Path) -> None:
    atomic.write_json(tmp_path / "a", 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        atomic.write_json(tmp_path / "a", float("nan"))
    assert everything(tmp_path) == {"a": "1\n"}


def test_folders_are_written_with_their_folders_and_replaced(tmp_path: Path) -> None:
    for text in ("one", "two"):
        write_folder(tmp_path / "x" / "model", text)
        assert everything(tmp_path) == {"x/model/a": text, "x/model/sub/b": text}
    assert (tmp_path / "x" / "model").stat().st_mode & 0o777 == 0o755


def fail_in_a_file(path: Path) -> None:
    with atomic.replaced_file(path) as new:
        new.write_text("half")
        raise RuntimeError("on the way")


def fail_in_a_folder(path: Path) -> None:
    with atomic.replaced_folder(path) as new:
        (new / "a").write_text("half")
        raise RuntimeError("on the way")


@pytest.mark.parametrize(("write", "fail"), [(write_file, fail_in_a_file), (write_folder, fail_in_a_folder)])
def test_an_error_on_the_way_leaves_the_old_and_nothing_half_written(
    write: Callable[[Path, str], None], fail: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / "it", "old")
    before = everything(tmp_path)
    with pytest.raises(RuntimeError, match="on the way"):
        fail(tmp_path / "it")
    assert everything(tmp_path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["it"]


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("owner_and_step", [(os, "fsync"), (Path, "replace"), (Path, "rename")])
@pytest.mark.parametrize("write", [write_file, write_folder])
def test_a_disk_that_fills_up_at_any_step_leaves_the_old_or_the_new(
    write: Callable[[Path, str], None],
    owner_and_step: tuple[object, str],
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path / "it", "old")
    real = getattr(*owner_and_step)
    calls = itertools.count(1)

    def fill_up_at_call(*args: object) -> object:
        if next(calls) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args)

    monkeypatch.setattr(*owner_and_step, fill_up_at_call)
    failure = None
    try:
        write(tmp_path / "it", "new")
    except StorageError as error:
        failure = str(error)
    monkeypatch.undo()
    if failure is not None:
        assert failure.startswith(f"cannot write {str(tmp_path / 'it')!r}: No space left on device.")
    else:
        assert next(calls) <= number  # there are fewer such steps
    assert set(everything(tmp_path).values()) in ({"old"}, {"new"})
    assert [entry.name for entry in tmp_path.iterdir()] == ["it"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits file sizes as Linux does")
@pytest.mark.parametrize("write", ["write_file", "write_folder"])
def test_a_disk_that_is_really_full_leaves_the_old(write: str, tmp_path: Path) -> None:
    script = f"""
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_atomic import {write} as write
from activitynet.errors import StorageError
place = Path({str(tmp_path)!r}) / "it"
write(place, "old")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write(place, "new" * 100_000)
except StorageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write {str(tmp_path / 'it')!r}: File too large.")
    assert set(everything(tmp_path).values()) == {"old"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["it"]


@pytest.mark.skipif(os.name != "posix", reason="users are changed as POSIX does it")
@pytest.mark.parametrize("write", ["write_file", "write_folder"])
def test_a_place_without_permission_is_named(write: str, tmp_path: Path) -> None:
    script = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_atomic import {write} as write
from activitynet.errors import StorageError
os.chdir({str(tmp_path)!r})
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere, so its rights are given up
try:
    write(Path("it"), "new")
except StorageError as error:
    print(error)
"""
    tmp_path.chmod(0o555)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    tmp_path.chmod(0o755)
    assert done.stdout.startswith("cannot write 'it': Permission denied.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_a_file_in_the_way_is_named(write: Callable[[Path, str], None], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="file/below"):
        write(tmp_path / "file" / "below" / "it", "new")
    with pytest.raises(StorageError, match="file/it"):
        write(tmp_path / "file" / "it", "new")
    assert everything(tmp_path) == {"file": "mine"}


def test_a_folder_is_not_taken_for_a_file_nor_a_file_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="folder"):
        write_file(tmp_path / "folder", "new")
    with pytest.raises(StorageError, match="file"):
        write_folder(tmp_path / "file", "new")
    assert everything(tmp_path) == {"folder/a": "mine", "file": "mine"}


@pytest.mark.parametrize("place", [".", "..", "../inner"])
def test_the_current_folder_is_not_replaced(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "kept").touch()
    monkeypatch.chdir(tmp_path / "inner")
    with (
        pytest.raises(StorageError, match="the current folder or holds it"),
        atomic.replaced_folder(place),
    ):
        pass
    assert (Path.cwd() / "kept").exists()
    with atomic.replaced_folder("new"):
        pass
    assert (tmp_path / "inner" / "new").is_dir()


def test_a_name_that_is_too_long_is_named(tmp_path: Path) -> None:
    for write in (write_file, write_folder):
        with pytest.raises(StorageError, match="File name too long"):
            write(tmp_path / ("x" * 300), "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("mask", [0o077, 0o022, 0o002])
def test_a_folder_gets_the_rights_that_the_umask_leaves(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with atomic.replaced_folder(tmp_path / "folder") as new:
            atomic.write_text(new / "file", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~mask
    assert stat.S_IMODE((tmp_path / "folder" / "file").stat().st_mode) == 0o666 & ~mask
