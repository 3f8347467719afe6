"""Read the images of MPII's ``.mat`` file. This file is run as a separate program.

SciPy's reader may crash or fill the memory on a damaged or hostile file. Therefore `activitynet.data.mpii`
runs this file in a child process, which limits its own memory, time and output. It imports nothing of
activitynet, to start quickly and to stay within the limits.
"""

from __future__ import annotations

import json
import sys
from typing import Any

MAX_MEMORY = 4 * 2**30  # bytes of address space; a file of the published size takes a third of it
MAX_SECONDS = 300  # of computing
MAX_OUTPUT = 2**26  # bytes


def main() -> None:
    """Read the file that the last argument names, and print ``{"images": …}`` or ``{"error": …}``.

    The first argument is `sys.path` of the parent process, as JSON.
    """
    sys.path[:] = json.loads(sys.argv[1])
    _limit()
    try:
        answer: dict[str, Any] = {"images": read_images(sys.argv[2])}
    except Exception as error:  # damaged files make SciPy raise errors of any kind
        answer = {"error": f"{type(error).__name__}: {error}"[:1000]}
    print(json.dumps(answer))


def _limit() -> None:
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    for limit, value in (
        (resource.RLIMIT_AS, MAX_MEMORY),
        (resource.RLIMIT_CPU, MAX_SECONDS),
        (resource.RLIMIT_FSIZE, MAX_OUTPUT),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lowest, hard))


def read_images(path: str) -> list[dict[str, Any]]:
    """Return the images' names, categories, activities, videos and whether they are for training.

    Raises:
        ValueError: The file is not MPII's.
    """
    import scipy.io  # noqa: PLC0415 - within the limits

    content = scipy.io.loadmat(path, variable_names=["RELEASE"])
    if "RELEASE" not in content:
        raise ValueError("it holds no variable 'RELEASE'")
    release = content["RELEASE"]
    annotations, acts, marks = (_field(release, name) for name in ("annolist", "act", "img_train"))
    if annotations is None or acts is None or marks is None or not annotations.dtype.names:
        raise ValueError("it has no structs RELEASE.annolist, img_train and act")
    annotations, acts, marks = annotations.ravel(), acts.ravel(), marks.ravel()
    if not 0 < len(annotations) == len(acts) == len(marks):
        raise ValueError(
            f"it lists {len(annotations)} images, but {len(acts)} activities and {len(marks)} marks of the "
            f"training images"
        )
    return [
        {
            "name": _text(_field(annotation, "image", "name")),
            "category": _text(_field(act, "cat_name")),
            "activity": _text(_field(act, "act_name")),
            "video": _number(_field(annotation, "vididx")),
            "train": _number(mark) == 1,
        }
        for annotation, act, mark in zip(annotations, acts, marks, strict=True)
    ]


def _field(value: Any, *names: str) -> Any:
    """Follow fields through structs of one entry; `None` where one is missing or empty."""
    for name in names:
        if not getattr(getattr(value, "dtype", None), "names", None) or name not in value.dtype.names:
            return None
        if value.size != 1:
            return None
        value = value[name].item() if value.ndim else value[name]
    return value


def _text(value: Any) -> str:
    is_text = getattr(getattr(value, "dtype", None), "kind", "") == "U" and value.size == 1
    return str(value.item()).strip() if is_text else ""


def _number(value: Any) -> int | None:
    """Return the one whole number above 0 that a value holds; NaN, none and several are `None`."""
    if getattr(getattr(value, "dtype", None), "kind", "") not in "iuf" or value.size != 1:
        return None
    number = float(value.item())
    return int(number) if number.is_integer() and number > 0 else None


if __name__ == "__main__":
    main()
