"""What goes wrong on people's machines, through the command, whole: one clear line, nothing half-written."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from activitynet.cli.main import run


def photo(path: Path, colour: int, seed: int = 0, size: tuple[int, int] = (40, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 100, (size[1], size[0], 3), dtype=np.uint8)
    pixels[..., colour] += 150
    Image.fromarray(pixels).save(path)
    return path


def data(folder: Path, photos: int = 3) -> Path:
    for split in ("train", "val"):
        for colour, name in enumerate(["red", "green"]):
            for index in range(photos):
                photo(folder / split / name / f"{index}.png", colour, seed=index)
    return folder


def giant_png(path: Path) -> None:
    """Write a valid PNG of 30,000 × 30,000 pixels in a few kilobytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    side = 30_000
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj()
    row = bytes(1 + side // 8)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    signature = b"\x89PNG\r\n\x1a\n"
    path.write_bytes(signature + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def train(folder: Path, out: Path, *options: str) -> int:
    arguments = ["train", str(folder), "--model", "test_resnet_se", "--image-size", "32", "--epochs", "1"]
    return run([*arguments, "--workers", "0", "--no-progress", "--run", str(out), *options])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    assert train(data(folder / "data"), folder / "run") == 0
    return folder / "run" / "model"


def zero(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    Image.effect_noise((200, 200), 50).convert("RGB").save(path, "JPEG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text(path: Path) -> None:
    path.write_text("Dear diary")


@pytest.mark.parametrize("spoil", [zero, half, text, giant_png])
def test_a_photo_that_cannot_be_read_stops_training_and_not_prediction(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
) -> None:
    folder = data(tmp_path / "data")
    bad = folder / "train" / "red" / "bad one.jpg"
    spoil(bad)
    assert train(folder, tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert "1 of 13 photos" in said
    assert "bad one.jpg" in said
    assert "Traceback" not in said
    assert not (tmp_path / "run").exists()

    capsys.readouterr()
    assert run(["predict", str(bad.parent), "--weights", str(weights), "--csv", "--top", "1"]) == 1
    header, *rows = capsys.readouterr().out.splitlines()
    assert header == "source,error,label,probability"
    assert len(rows) == 4
    assert [row for row in rows if "cannot read photo" in row] == [row for row in rows if "bad one" in row]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder.mkdir(), "holds no photos"),
        (lambda folder: None, "not"),
        (lambda folder: photo(folder / "red" / "1.png", 0), "one class only"),
        (lambda folder: photo(folder / "1.png", 0), "in no class's folder"),
        (lambda folder: (folder / "red").mkdir(parents=True), "holds no photos"),
    ],
)
def test_data_that_cannot_be_learned_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], object], said: str
) -> None:
    make(tmp_path / "data")
    assert train(tmp_path / "data", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert said in error
    assert "data/dancing/1.jpg" in error or "add a second" in error
    assert not (tmp_path / "run").exists()


def test_a_class_missing_in_val_shifts_no_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: Path
) -> None:
    folder = data(tmp_path / "data")
    for file in (folder / "val" / "green").iterdir():
        file.unlink()
    (folder / "val" / "green").rmdir()
    assert train(folder, tmp_path / "run") == 0
    capsys.readouterr()
    assert run(["evaluate", str(tmp_path / "run" / "model"), str(folder), "--json"]) == 0
    assert '"support": 3' in capsys.readouterr().out


def test_photos_of_every_kind_and_name_are_predicted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: Path
) -> None:
    folder = tmp_path / "photos"
    photo(folder / "one pixel wide.png", 0, size=(1, 500))
    photo(folder / "one pixel high.png", 0, size=(5000, 1))
    photo(folder / "with\nnewline.png", 1)
    photo(folder / "Прогулка.png", 1)
    photo(folder / "[a-b]*.png", 1)
    Image.new("CMYK", (60, 40), (0, 200, 200, 0)).save(folder / "cmyk.jpg")
    rotated = Image.new("RGB", (60, 40), (200, 0, 0))
    exif = rotated.getexif()
    exif[0x0112] = 6
    rotated.save(folder / "rotated.jpg", exif=exif)
    assert run(["predict", str(folder), "--weights", str(weights), "--csv"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 8
    assert any("with\\nnewline" in row for row in rows)
    assert run(["predict", str(folder / "[a-b]*.png"), "--weights", str(weights)]) == 0


def test_weights_that_cannot_be_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: Path
) -> None:
    assert run(["predict", "a.jpg", "--weights", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in weights.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.safetensors").write_bytes(b"\xff" * 100)
    assert run(["predict", "a.jpg", "--weights", str(broken)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "model.safetensors" in error


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs permissions as of POSIX")
def test_no_permission_to_write(tmp_path: Path) -> None:
    folder = data(tmp_path / "data")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    # Root writes everywhere, but for the right that is dropped here. Another user could not: the environment
    # may lie where only root reads.
    program = (
        "import ctypes, os, sys\n"
        "if os.geteuid() == 0:\n"
        "    drop_bounding_set, dac_override = 24, 1\n"
        "    if ctypes.CDLL(None).prctl(drop_bounding_set, dac_override, 0, 0, 0) != 0:\n"
        "        sys.exit(77)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'activitynet', *sys.argv[1:]])"
    )
    if os.geteuid() == 0 and sys.platform != "linux":
        pytest.skip("root writes everywhere")
    options = ["--epochs", "0", "--workers", "0", "--no-progress", "--run", str(locked / "run")]
    done = subprocess.run(
        [sys.executable, "-c", program, "train", str(folder), "--model", "test_resnet_se", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("root may not give up a right here")
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "Permission denied" in done.stderr
    assert list(locked.iterdir()) == []


@pytest.mark.slow
def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    """A limit on file sizes stands in for the disk: the system refuses the write in the same place."""
    folder = data(tmp_path / "data")
    program = (
        "import resource, signal, sys\n"
        "from activitynet.cli.main import run\n"
        "import activitynet.classifier, activitynet.training.checkpoint as state\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "save, calls = state.TrainingState.save, []\n"
        "def limited(self, folder):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 3:\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "    save(self, folder)\n"
        "state.TrainingState.save = limited\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    out = tmp_path / "run"
    arguments = ["train", str(folder), "--model", "test_resnet_se", "--run", str(out), "--epochs", "3"]
    options = ["--image-size", "32", "--workers", "0", "--no-progress"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in out.rglob("*") if "tmp" in path.name]
    assert not (out / "model").exists()
    assert train(folder, out, "--epochs", "3", "--resume") == 0
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 4
