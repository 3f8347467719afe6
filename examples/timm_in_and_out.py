"""A network of timm's in this library, and one of this library's in timm.

python examples/timm_in_and_out.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file

import activitynet.zoo  # registers this library's networks with timm, too
from activitynet import Classifier


def timm_in(folder: Path) -> Classifier:
    """Take any network of timm: `init_from="timm/NAME"` would bring its pretrained weights along."""
    model = activitynet.create_model("timm/test_resnet", num_classes=3)
    classifier = Classifier(model, ["dancing", "running", "walking"], image_size=64)
    classifier.save(folder, training_data="None yet.", license="Apache-2.0")
    return classifier


def timm_out(folder: Path) -> torch.nn.Module:
    """Load what was saved with timm alone."""
    model = timm.create_model("test_resnet", num_classes=3)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "timm-in-and-out")
    classifier = timm_in(folder)
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        same = torch.allclose(classifier.model.eval()(images), timm_out(folder)(images), atol=1e-5)
    print(f"the same answers in timm: {same}")

    ours = timm.create_model("resnet18_se", num_classes=3)
    print(f"resnet18_se made by timm: {sum(each.numel() for each in ours.parameters()):,} parameters")


if __name__ == "__main__":
    main()
