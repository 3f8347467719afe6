"""What faster engines, exported files and 8 bits answer on real photos, beside the network in float32.

    python benchmarks/agreement.py DATA
    python benchmarks/agreement.py DATA --weights weights/deep-seers/4-resnet18_se --json agreement.json

Each way looks at the validation photos through `Classifier.predict`. 8 bits are calibrated on training
photos. What is not installed is left out.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pairing import write

from activitynet import Classifier
from activitynet.data.dataset import Photo
from activitynet.data.open import open_data
from activitynet.evaluation import score
from activitynet.export import installed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--weights", nargs="+", default=["default"], help="(default: what the package brings)"
    )
    parser.add_argument("--json", type=Path, help="write the results here too")
    arguments = parser.parse_args()
    photos = open_data(arguments.data).val
    results = {weights: compare(weights, arguments.data, photos) for weights in arguments.weights}
    write(arguments.json, results, "onnx", "onnxruntime", "openvino")


def compare(weights: str, data: Path, photos: Sequence[Photo]) -> list[dict[str, Any]]:
    """Answer for the photos in every way, and print how far each is from float32."""
    print(f"\n{weights}, {len(photos)} photos")
    print(f"{'':28} {'macro-F1':>8} {'same label':>10}   probabilities differ: median, 99 %, most")
    rows: list[dict[str, Any]] = []
    exact = None
    truth = np.array([photo.label for photo in photos])
    with tempfile.TemporaryDirectory() as scratch:
        for way, load in ways(weights, data, Path(scratch)).items():
            classifier = load()
            found = probabilities(classifier, photos)
            exact = found if exact is None else exact
            off = np.abs(found - exact).max(axis=1)
            rows.append(
                {
                    "way": way,
                    "engine": getattr(classifier.model, "description", "torch"),
                    "macro_f1": score(truth, found.argmax(axis=1), classifier.classes).macro_f1,
                    "same_label": float((found.argmax(axis=1) == exact.argmax(axis=1)).mean()),
                    "off": [float(np.quantile(off, part)) for part in (0.5, 0.99, 1)],
                }
            )
            print(
                f"{way:28} {rows[-1]['macro_f1']:8.4f} {rows[-1]['same_label']:10.2%}   "
                + ", ".join(f"{part:.1e}" for part in rows[-1]["off"])
                + f"  ({rows[-1]['engine']})",
                flush=True,
            )
    return rows


def ways(weights: str, data: Path, scratch: Path) -> dict[str, Callable[[], Classifier]]:
    """Return what loads the classifier in each way; the first is float32 in torch."""
    load = partial(Classifier.load, weights, device="cpu")
    exact = load()

    def exported(name: str, **options: Any) -> Classifier:
        return Classifier.load(exact.export(scratch / name, **options), precision="fp32")

    found: dict[str, Callable[[], Classifier]] = {
        "float32": lambda: exact,
        "auto": partial(load, engine="auto"),
    }
    if installed("onnx", "onnxscript", "onnxruntime"):
        found["ONNX file"] = partial(exported, "exact.onnx")
        found["ONNX file, 8 bits"] = partial(exported, "small.onnx", calibrate=data)
    if installed("onnx", "onnxscript", "openvino"):
        found["OpenVINO file"] = partial(exported, "exact.xml", format="openvino")
    return found


def probabilities(classifier: Classifier, photos: Sequence[Photo]) -> np.ndarray:
    """Return (photos, classes)."""
    count = len(classifier.classes)
    answers = classifier.predict([photo.path for photo in photos], top=count)
    return np.array([[dict(answer.top)[name] for name in classifier.classes] for answer in answers])


if __name__ == "__main__":
    main()
