"""Export a classifier, and run the file with nothing but ONNX Runtime and numpy.

    python examples/export_and_run.py [FOLDER]

It needs the extra: pip install 'activitynet[export]'.
"""

from __future__ import annotations

# --8<-- [start:example]
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from activitynet import Classifier, create_model


def export(path: Path) -> Path:
    classes = ["dancing", "running", "walking"]
    classifier = Classifier(create_model("efficientnet_b0_se", num_classes=3), classes, image_size=128)
    return classifier.export(path)


def classify(path: Path, photo: Image.Image) -> dict[str, float]:
    session = onnxruntime.InferenceSession(path)
    card = json.loads(session.get_modelmeta().custom_metadata_map["activitynet.card"])
    images = np.asarray(photo.convert("RGB"))[None]
    (probabilities,) = session.run(["probabilities"], {"images": images})
    return dict(zip(card["classes"], probabilities[0].tolist(), strict=True))


# --8<-- [end:example]
def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "exported")
    path = export(folder / "model.onnx")
    photo = Image.radial_gradient("L").resize((300, 200))
    for name, probability in classify(path, photo).items():
        print(f"{name}: {probability:.3f}")


if __name__ == "__main__":
    main()
