"""Folders, the Hub, and the variables that change what is done."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from activitynet.doctor.machine import in_gb
from activitynet.doctor.privacy import HIDDEN, is_secret

_SECONDS = 5.0  # that the Hub may take to answer
_PREFIXES = (
    *("ACTIVITYNET_", "HF_", "HUGGINGFACE_", "TORCH", "PYTORCH_", "CUDA_", "NCCL_", "OMP_", "MKL_", "KMP_"),
    *("GOMP_", "ONNX", "ORT_", "OV_", "OPENVINO_", "ACCELERATE_", "MALLOC_", "LD_PRELOAD"),
)
_NAMES = {
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "PYTHONPATH", "XDG_CACHE_HOME", "TMPDIR", "NO_PROXY"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
}


def folders() -> dict[str, dict[str, Any]]:
    """Say where files go, whether they can, and how much room there is."""
    places: dict[str, str | None] = {"here": str(Path.cwd()), "temporary files": _temporary()}
    try:
        from activitynet.hub import cache_folder  # noqa: PLC0415  the package may be missing

        places["cache of the Hub"] = str(cache_folder())
    except Exception:  # whatever is wrong with it, the other sections say so
        places["cache of the Hub"] = None
    if mirror := os.environ.get("ACTIVITYNET_WEIGHTS"):
        places["ACTIVITYNET_WEIGHTS"] = mirror
    return {name: _folder(place) for name, place in places.items()}


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # none of the usual ones can be written
        return os.environ.get("TMPDIR", "/tmp")  # noqa: S108  named, not used


def _folder(place: str | None) -> dict[str, Any]:
    if place is None:
        return {"folder": "unknown", "writable": None}
    path = Path(place)
    nearest = next((each for each in (path, *path.absolute().parents) if each.is_dir()), None)
    if nearest is None:
        return {"folder": place, "writable": False}
    return {
        "folder": place,
        "there": path.is_dir(),
        "writable": _can_be_written(nearest),
        "free": in_gb(shutil.disk_usage(nearest).free),
    }


def _can_be_written(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0" * 4096)
    except OSError:
        return False
    return True


def hub(*, offline: bool) -> dict[str, Any]:
    """Say whether the Hub can be reached.

    Args:
        offline: Do not find out. Else it is one request, without a token.
    """
    try:
        import huggingface_hub  # noqa: PLC0415  it may be missing
        from huggingface_hub import constants  # noqa: PLC0415
    except ImportError as error:
        return {"reached": f"no: {error}"}
    token = "there is one" if huggingface_hub.get_token() else "none"
    told = {"endpoint": constants.ENDPOINT, "token": token}
    if constants.HF_HUB_OFFLINE:
        return {**told, "reached": "not tried: HF_HUB_OFFLINE is set"}
    return {**told, "reached": "not tried" if offline else _reached(constants.ENDPOINT)}


def _reached(endpoint: str) -> str:
    from huggingface_hub.utils import get_session  # noqa: PLC0415

    try:
        address = f"{endpoint}/api/models?limit=1"
        answer = get_session().head(address, timeout=_SECONDS, follow_redirects=False)
    except Exception as error:  # the client's, its HTTP library's and its transport's own errors
        return f"no: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if answer.is_success:
        return f"yes ({answer.elapsed.total_seconds():.1f} s)"
    if answer.is_redirect:
        return "no: it leads elsewhere, perhaps to a login page"
    return f"no: it answers {answer.status_code}"


def environment() -> dict[str, str]:
    """Return the variables that change what this library and those below it do, without what is secret."""
    return {
        name: HIDDEN if is_secret(name) else value
        for name, value in sorted(os.environ.items())
        if name.startswith(_PREFIXES) or name.upper() in _NAMES
    }
