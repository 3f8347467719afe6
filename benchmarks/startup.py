"""How long it takes from a cold interpreter to the package, the command's help, and a first prediction.

    python benchmarks/startup.py
    python benchmarks/startup.py --turns 9 --json startup.json

Every way is a process of its own, in turns, beside what torch alone needs, torch and torchvision, and these
and timm, which the networks are registered with. Files are in the system's cache: a first run is not counted.
The plain script loads the same tensors into a bare network, and classifies the same photo.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from pairing import Others, compare, in_turns, timed, write
from PIL import Image

from activitynet import ACTIVITIES, Classifier, create_model, draw_sample_data

_PLAIN = """
import sys
import timm, torch
from PIL import Image
from safetensors.torch import load_file
from torchvision.transforms import v2
model = timm.create_model("efficientnet_b0", num_classes=20).eval()
look = v2.Compose([v2.PILToTensor(), v2.Resize((128, 128)), v2.ToDtype(torch.float32, scale=True)])
load_file(sys.argv[1])
with torch.inference_mode(), Image.open(sys.argv[2]) as photo:
    print(model(look(photo.convert("RGB"))[None]).argmax().item())
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5, help="(default: 5)")
    parser.add_argument("--json", type=Path, help="write the results here too")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        model = create_model("efficientnet_b0_se", num_classes=len(ACTIVITIES))
        weights = Classifier(model, ACTIVITIES, image_size=128).save(Path(scratch) / "weights")
        drawn = draw_sample_data(Path(scratch) / "drawn", train_per_class=1, val_per_class=1, size=256)
        photo = Path(scratch) / "photo.jpg"
        Image.open(next(drawn.rglob("*.png"), None) or next(drawn.rglob("*.jpg"))).convert("RGB").save(photo)
        ways = {
            "import torch": ["-c", "import torch"],
            "import torch, torchvision": ["-c", "import torch, torchvision"],
            "import torch, torchvision, timm": ["-c", "import torch, torchvision, timm"],
            "import activitynet": ["-c", "import activitynet"],
            "activitynet --help": ["-m", "activitynet", "--help"],
            "plain script: one photo": ["-c", _PLAIN, str(weights / "model.safetensors"), str(photo)],
            "activitynet predict: one photo": [
                *("-m", "activitynet", "predict", str(photo), "--weights", str(weights)),
            ],
        }
        runs = {name: partial(timed, partial(run, arguments)) for name, arguments in ways.items()}
        in_turns(runs, 1)
        others = Others()
        seconds = in_turns(runs, arguments.turns)
    rows = compare("From a cold interpreter", seconds, "activitynet predict: one photo")
    write(arguments.json, {"rows": rows, "others": others.tell()}, "timm")


def run(arguments: list[str]) -> None:
    subprocess.run(  # noqa: S603  this interpreter, on programs written above
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


if __name__ == "__main__":
    main()
