"""Class names as people write them, and the index of the class that each one means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from activitynet.data.activities import ACTIVITIES, slug
from activitynet.data.folders import natural_key
from activitynet.errors import DataError, did_you_mean


def checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Return class names as a tuple.

    Raises:
        DataError: They are not two or more different names.
    """
    names = tuple(classes)
    if isinstance(classes, str) or len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"classes must be two or more names, each listed once, got {classes!r}.")
    return names


def inferred_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Return the classes that labels stand for, where nobody lists them.

    They are `ACTIVITIES` where every label is one of those and at least half of them occur; otherwise
    the labels themselves, each once and in natural order.

    Raises:
        DataError: Two labels differ in nothing but case, spaces or punctuation.
    """
    every = set(names)
    slugs: dict[str, str] = {}
    for name in sorted(every, key=natural_key):
        other = slugs.setdefault(slug(name), name)
        if other != name:
            raise DataError(f"{other!r} and {name!r} may be one class. Make them one, or list the classes.")
    if slugs.keys() <= {slug(name) for name in ACTIVITIES} and 2 * len(slugs) >= len(ACTIVITIES):
        return ACTIVITIES
    return tuple(sorted(every, key=natural_key))


def read_class_names(path: Path) -> list[str]:
    """Read class names from a text file, one a line; blank lines are passed over.

    Raises:
        DataError: The file cannot be read, is not UTF-8 text, or names nothing.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read class names from {str(path)!r}: {error}.") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"{str(path)!r} names no classes; write one name a line.")
    return names


class ClassIndex:
    """Finds the class that a label means: by its exact name, or else by its `slug`.

    Args:
        classes: Class names in the order of their indices.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._exact = {name: index for index, name in enumerate(self.classes)}
        self._alike: dict[str, list[int]] = {}
        for index, name in enumerate(self.classes):
            self._alike.setdefault(slug(name), []).append(index)

    def find(self, name: str) -> int:
        """Return the index of a label's class.

        Raises:
            DataError: No class is called so, or several are called much the same.
        """
        if name in self._exact:
            return self._exact[name]
        matches = self._alike.get(slug(name), [])
        if len(matches) > 1:
            found = " and ".join(repr(self.classes[index]) for index in matches[:2])
            raise DataError(f"label {name!r} could be class {found}. Write the exact name of one.")
        if not matches:
            raise DataError(
                f"label {name!r} is not one of the {len(self.classes)} classes."
                f"{did_you_mean(name, self.classes)} Correct it, or list its class."
            )
        return matches[0]
