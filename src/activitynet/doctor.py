"""The environment for a bug report: versions, devices, folders, and what works here, found by trying it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement

from activitynet import __version__
from activitynet.errors import printable

HIDDEN = "(set, not shown)"

_SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASS|KEY|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
# Tokens, users in URLs, queries of URLs; each with what replaces it.
_SECRETS = (
    (re.compile(r"\b(hf_|sk-|gh[a-z]_|github_pat_|xox[a-z]-)[A-Za-z0-9_-]{8,}"), r"\1…"),
    (re.compile(r"(?<=://)[^/@\s]+@"), "…@"),
    (re.compile(r"(://[^\s?#]*)[?#]\S*"), r"\1?…"),
)
_VARIABLES = re.compile(
    r"ACTIVITYNET_.*|HF_.*|HUGGINGFACE_.*|TORCH.*|PYTORCH_.*|CUDA_.*|NCCL_.*|OMP_.*|MKL_.*|KMP_.*|ONNX.*|ORT_.*|"
    r"OV_.*|OPENVINO_.*|MALLOC_.*|LD_PRELOAD|RANK|LOCAL_RANK|WORLD_SIZE|PYTHONPATH|TMPDIR|XDG_CACHE_HOME|"
    r"(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy|SSL_CERT_FILE|REQUESTS_CA_BUNDLE"
)
_FOR_CONTRIBUTORS = {"dev", "docs", "release", "test"}
_REMEDIES = {  # of what the library cannot do without
    "torch": "Install it again, as https://pytorch.org says: pip install --force-reinstall torch",
    "torchvision": "Install one that fits torch: pip install --upgrade torch torchvision",
    "timm": "Install it again: pip install --force-reinstall timm",
    "photos": "Install the decoders again: pip install --force-reinstall pillow",
    "networks": "Please report this with the output above.",
}
_MARK = "activitynet doctor: "  # begins the lines in which a child process reports


class Problem(NamedTuple):
    """Something that is needed and does not work, and what to do about it."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Diagnosis:
    """The environment of a bug report, without secrets.

    Attributes:
        sections: Plain JSON values by heading and name.
        problems: What is needed and does not work.
    """

    sections: Mapping[str, Mapping[str, Any]]
    problems: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {**self.sections, "problems": [problem._asdict() for problem in self.problems]}

    def to_text(self) -> str:
        """Return the sections as plain text."""
        lines: list[str] = []
        for heading, section in self.sections.items():
            width = max(map(len, section), default=0)
            lines += [heading, *(f"  {name:{width}}  {_words(value)}" for name, value in section.items())]
        return "\n".join(lines)


def diagnose(*, offline: bool = False) -> Diagnosis:
    """Describe the environment and try what works.

    Args:
        offline: Do not ask whether the Hub can be reached, the only thing that uses the network.
    """
    packages, problems = check_packages()
    works = try_all(list(_TRIALS))
    problems += [
        Problem(f"{name}: {works[name].removeprefix('no: ')}.", remedy)
        for name, remedy in _REMEDIES.items()
        if works[name].startswith("no: ")
    ]
    folders = describe_folders()
    if not folders["temporary files"]["writable"]:
        problems.append(
            Problem("The folder for temporary files cannot be written.", "Set TMPDIR to one that can.")
        )
    sections = {
        "activitynet": {
            "version": __version__,
            "folder": str(Path(__file__).parent),
            "python": f"{platform.python_version()} ({platform.python_implementation()})",
            "interpreter": sys.executable,
        },
        "machine": describe_machine(),
        "packages": packages,
        "what works": works,
        "folders": folders,
        "hub": describe_hub(offline=offline),
        "variables": {
            name: HIDDEN if _SECRET_NAMES.search(name) else value
            for name, value in sorted(os.environ.items())
            if _VARIABLES.fullmatch(name)
        },
    }
    # The first broken thing explains the others.
    return Diagnosis(redacted(sections), tuple(Problem(*map(redacted, each)) for each in problems[:1]))


def redacted(value: Any) -> Any:
    """Return a JSON value with printable texts, without tokens, and with ``~`` for the home folder."""
    if isinstance(value, Mapping):
        return {redacted(name): redacted(each) for name, each in value.items()}
    if isinstance(value, list):
        return [redacted(each) for each in value]
    if not isinstance(value, str):
        return value
    for pattern, replacement in _SECRETS:
        value = pattern.sub(replacement, value)
    home = str(Path("~").expanduser())
    for name in {home, os.path.realpath(home)} - {os.sep, "~"}:
        value = re.sub(re.escape(name) + r"(?![\w.-])", "~", value)
    return printable(value)


def check_packages(distribution: str = "activitynet") -> tuple[dict[str, str], list[Problem]]:
    """Return the versions of the packages that are asked for, and what is wrong with the needed ones."""
    try:
        metadata = importlib.metadata.metadata(distribution)
    except importlib.metadata.PackageNotFoundError:  # run from its source
        return {}, []
    versions: dict[str, str] = {}
    wrong: list[Requirement] = []
    for extra in ["", *(metadata.get_all("Provides-Extra") or [])]:
        for text in metadata.get_all("Requires-Dist") or []:
            wanted = Requirement(text)
            applies = wanted.marker is None or wanted.marker.evaluate({"extra": extra})
            if extra in _FOR_CONTRIBUTORS or wanted.name in {distribution, *versions} or not applies:
                continue
            version = _version(wanted.name)
            versions[wanted.name] = version or "missing"
            if version is None or not wanted.specifier.contains(version, prereleases=True):
                versions[wanted.name] += f" (pip install '{distribution}[{extra}]')" if extra else ""
                wrong += [] if extra else [wanted]
    named = "; ".join(f"{each.name} is {versions[each.name]}" for each in wrong)
    remedy = "pip install " + " ".join(f"'{each.name}{each.specifier}'" for each in wrong)
    return versions, [Problem(f"{named}.", remedy)] if wrong else []


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe_machine(root: Path = Path("/")) -> dict[str, Any]:
    """Describe the machine, and how much of it a container leaves to this process."""

    def find(file: str, pattern: str) -> str | None:
        try:
            found = re.search(pattern, (root / file).read_text("utf-8", errors="replace"), re.MULTILINE)
        except OSError:
            return None
        return found and found[1]

    available = find("proc/meminfo", r"^MemAvailable:\s*(\d+)")  # in kB
    limit = find("sys/fs/cgroup/memory.max", r"^(\d+)$")
    return {
        "system": platform.platform(),
        "processor": find("proc/cpuinfo", r"^model name\s*: (.*)") or platform.processor(),
        "cores": os.cpu_count(),
        "CPU quota": find("sys/fs/cgroup/cpu.max", r"^(\d+ \d+)$"),
        "free memory": available and f"{int(available) / 1e6:,.1f} GB",
        "memory limit": limit and f"{int(limit) / 1e9:,.1f} GB",
    }


def describe_folders() -> dict[str, dict[str, Any]]:
    """Tell of each folder that is used whether it can be written, and how much room it has."""
    places: dict[str, str | Path | None] = {
        "current": os.curdir,
        "temporary files": os.environ.get("TMPDIR") or tempfile.gettempdir(),
        "ACTIVITYNET_WEIGHTS": os.environ.get("ACTIVITYNET_WEIGHTS"),
    }
    with contextlib.suppress(Exception):  # where the client is missing or broken, "hub" tells it
        from activitynet.hub import cache_folder  # noqa: PLC0415

        places["cache of the Hub"] = cache_folder()
    return {name: _folder(Path(place).absolute()) for name, place in places.items() if place}


def _folder(path: Path) -> dict[str, Any]:
    nearest = next(each for each in (path, *path.parents) if each.is_dir())
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:
            writable = file.write(b"0") == 1
    except OSError:
        writable = False
    room = f"{shutil.disk_usage(nearest).free / 1e9:,.1f} GB"
    return {"folder": str(path), "exists": path.is_dir(), "writable": writable, "free": room}


def describe_hub(*, offline: bool) -> dict[str, str]:
    """Tell whether the Hub can be reached: one request, without a token; none if ``offline``."""
    try:
        import huggingface_hub as client  # noqa: PLC0415  it may be missing or broken
        from huggingface_hub.utils import get_session  # noqa: PLC0415

        endpoint = client.constants.ENDPOINT
        about = {"endpoint": endpoint, "token": "set" if client.get_token() else "none"}
        if offline or client.constants.HF_HUB_OFFLINE:
            return {**about, "reached": "not tried"}
        reply = get_session().head(f"{endpoint}/api/models?limit=1", timeout=5.0, follow_redirects=False)
    except Exception as error:
        return {"reached": f"no: {type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    if reply.is_redirect:
        return {**about, "reached": "no: it redirects, perhaps to a login page"}
    return {**about, "reached": "yes" if reply.is_success else f"no: it answers {reply.status_code}"}


def try_all(names: Sequence[str], *, seconds: float = 300) -> dict[str, str]:
    """Run trials in a child process; after one that crashes or takes too long, a new process runs the rest.

    Args:
        names: Names of trials.
        seconds: How long a process may take.

    Returns:
        What came of each, beginning with ``yes``, ``no:`` or ``not tried:``.
    """
    # The child imports from where this process does, and from nowhere else.
    paths = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
    settings = {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1", "PYTHONWARNINGS": "ignore", "HF_HUB_OFFLINE": "1"}
    results: dict[str, str] = {}
    while rest := [name for name in names if name not in results]:
        command = [sys.executable, "-m", "activitynet.doctor", *rest]
        try:
            done = subprocess.run(  # noqa: S603  this interpreter and names of ours
                command, capture_output=True, timeout=seconds, env={**os.environ, **settings}, check=False
            )
            output, reason = done.stdout, f"the process ended with code {done.returncode}"
        except subprocess.TimeoutExpired as late:
            output, reason = late.stdout or b"", f"it took longer than {seconds:g} s"
        for line in output.decode("utf-8", "replace").splitlines():
            if line.startswith(_MARK):  # other libraries print as well
                results.update(json.loads(line.removeprefix(_MARK)))
        if missing := [name for name in rest if name not in results]:
            results[missing[0]] = f"no: {reason}"
    return results


def _try_torch() -> str:
    import torch  # noqa: PLC0415  it is tried

    from activitynet.runtime.devices import best_device, has_bf16  # noqa: PLC0415

    device, cuda = best_device(), torch.cuda
    (torch.ones(8, 8, device=device) @ torch.ones(8, 8, device=device)).cpu()
    gpus = ", ".join(cuda.get_device_name(i) for i in range(cuda.device_count()))
    return (
        f"{torch.__version__}, best device {device}, bfloat16 {_words(has_bf16(device))}, "
        f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, "
        f"CUDA {torch.version.cuda or 'none'}, GPUs {gpus or 'none'}"
    )


def _try_torchvision() -> str:
    import torch  # noqa: PLC0415
    import torchvision  # noqa: PLC0415

    # An operator of its compiled library, which has to fit torch.
    torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    return str(torchvision.__version__)


def _try_timm() -> str:
    import timm  # noqa: PLC0415

    return f"{len(timm.list_models())} networks"


def _try_photos() -> str:
    from PIL import Image, features  # noqa: PLC0415

    from activitynet.data.decode import decode_image  # noqa: PLC0415

    kinds = ["jpeg", "png", *(name for name in ("webp", "avif") if features.check(name))]
    for kind in kinds:
        Image.new("RGB", (32, 24), (200, 40, 40)).save(file := io.BytesIO(), kind)
        if decode_image(file.getvalue()).size != (32, 24):
            raise RuntimeError(f"a {kind} is decoded to another size")
    return ", ".join(kinds)


def _try_engine(name: str) -> str:
    """Compare the outputs of a small network by an engine with those of torch."""
    import torch  # noqa: PLC0415

    from activitynet import create_model  # noqa: PLC0415
    from activitynet.export import network_graph  # noqa: PLC0415
    from activitynet.inference import engines  # noqa: PLC0415

    model, images = create_model("test_resnet_se", num_classes=3).eval(), torch.rand(2, 3, 32, 32)
    engine: Any = engines.TorchEngine(model)
    if name != "TorchEngine":
        engine = getattr(engines, name)(network_graph(model, [(32, 32)]).SerializeToString(), 3)
    with torch.inference_mode():
        difference = (engine(images).cpu() - model.cpu()(images)).abs().max().item()
    if not difference < 0.05:  # bfloat16 is near enough
        raise RuntimeError(f"the outputs differ by {difference:.3g} from those of torch")
    return str(engine.description)


_TRIALS: dict[str, tuple[Callable[[], str], str]] = {  # with the packages without which it is not tried
    "torch": (_try_torch, ""),
    "torchvision": (_try_torchvision, ""),
    "timm": (_try_timm, ""),
    "photos": (_try_photos, ""),
    "networks": (partial(_try_engine, "TorchEngine"), ""),
    "engine onnxruntime": (partial(_try_engine, "OnnxRuntimeEngine"), "onnx onnxscript onnxruntime"),
    "engine openvino": (partial(_try_engine, "OpenVinoEngine"), "onnx onnxscript openvino"),
}


def _try_one(name: str) -> str:
    trial, packages = _TRIALS[name]
    if missing := [each for each in packages.split() if importlib.util.find_spec(each) is None]:
        return f"not tried: {', '.join(missing)} not installed"
    try:
        return f"yes: {trial()}"
    except Exception as error:  # whatever it is, it is the answer
        return f"no: {type(error).__name__}: {' '.join(str(error).split())}".rstrip(". ")[:300]


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value)


if __name__ == "__main__":
    for trial_name in sys.argv[1:]:
        print(f"\n{_MARK}{json.dumps({trial_name: _try_one(trial_name)})}", flush=True)
