"""Folders of photos with hostile names, and contests with damaged tables."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

from activitynet.data.class_folders import open_folder
from activitynet.data.contest import open_contest, read_categories
from activitynet.data.open import open_data
from fuzzing.mutations import TEXTS
from fuzzing.tables import csv_table

_NAMES = [
    *(b"train", b"val", b"Valid", b"test", b"dancing", b"Dancing", b"home_repair", b"home repair"),
    *(b"\xff\xfe", b"a\xffb", b"a\nb", b"\x1b[2J", b".hidden", b"Thumbs.db", b"-", b"~", b"*", b" "),
    *(name.encode() for name in ("é", "e\u0301", "İ", "ß", "\u2028", "\u202egpj", "²", "٣", "\ufeff")),
    *(b"running", b"9" * 200, b"x" * 250),
]
_PHOTOS = [
    *(b"1.jpg", b"2.JPG", b"10.png", b"01.jpg", b"a\xff.jpg", b"a\n.jpg", b".jpg", b"notes.txt"),
    b"9" * 250 + b".jpg",
]


def _grow(folder: Path, chance: random.Random, depth: int) -> None:
    """Fill a folder with photos, folders, links and pipes."""
    for _ in range(chance.choice([1, 2, 2, 3])):
        kind = chance.random()
        name = os.fsdecode(chance.choice(_PHOTOS if kind < 0.4 else _NAMES))
        if chance.random() < 0.1:
            name = chance.choice(TEXTS).replace("\0", "0").replace("/", "_")[:120] or "x"
        place = folder / name
        with contextlib.suppress(OSError):  # some names are taken, and some are "."
            if kind < 0.4 or depth == 4:
                place.touch(exist_ok=False)
            elif kind < 0.92:
                place.mkdir()
                _grow(place, chance, depth + 1)
            elif kind < 0.94:
                place.symlink_to(chance.choice([".", "..", "nowhere", place]))
            elif kind < 0.95:
                os.mkfifo(place)


def write_folder(chance: random.Random, folder: Path) -> Path:
    """Make a folder with a folder a class, more or less."""
    root = folder / "data"
    root.mkdir()
    for name in ("dancing", "running"):
        if chance.random() < 0.8:
            (root / name).mkdir()
            (root / name / "1.jpg").touch()
    _grow(root, chance, 0)
    return root


def read_folder(path: Path, chance: random.Random) -> None:
    """List its photos."""
    chance.choice([open_data, open_folder])(path)


def write_contest(chance: random.Random, folder: Path) -> Path:
    """Make a contest's folder whose tables are damaged, or whose photos are other ones."""
    root = folder / "contest"
    (root / "img_train").mkdir(parents=True)
    for number in range(4):
        (root / "img_train" / f"{number}.jpg").touch()
    if chance.random() < 0.1:
        _grow(root / "img_train", chance, 3)
    answers = [[str(number), str(number % 2)] for number in range(4)]
    categories = [["0", "dancing"], ["1", "home repair"], ["7", "running"]]
    worse = chance.choice([0, 1])
    for number, (name, header, rows) in enumerate(
        [
            ("train_answers.csv", ["img_id", "target_feature"], answers),
            ("activity_categories.csv", ["id", "category"], categories),
        ]
    ):
        whole = "".join(",".join(row) + "\n" for row in [header, *rows]).encode()
        (root / name).write_bytes(csv_table(header, rows, chance) if number == worse else whole)
    return root


def read_contest(path: Path, chance: random.Random) -> None:
    """List its photos, or its categories."""
    (open_contest if chance.random() < 0.8 else read_categories)(path)
