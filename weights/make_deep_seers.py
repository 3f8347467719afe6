"""Make the five-member ensemble out of trained weights, and list it in the index of released weights.

    python weights/make_deep_seers.py runs/resnet18_se runs/efficientnet_b0_se --data photos/

Members are weights folders, or the kept epochs of runs. Their weights are rounded to float16 first;
temperatures, shares and the cascade are then fitted, and scores measured, with what is left, on the
validation photos of ``photos/``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from photos import LICENCE, LITE0, SOURCES
from torch import nn

from activitynet import Classifier, Ensemble
from activitynet.data.opening import open_data
from activitynet.data.photos import PhotoData
from activitynet.ensemble import fit_cascade, fit_weights
from activitynet.ensemble.build import find_members, member_answers
from activitynet.evaluation import score
from activitynet.evaluation.calibration import fit_temperature
from activitynet.fitting import default_workers, training_text
from activitynet.hub.releases import INDEX, SUFFIXES
from activitynet.weights import Card, load_weights, read_card
from activitynet.zoo.info import count_macs

NAME, REPOSITORY, TAG = "deep-seers", "activitynet/deep-seers", "v1"
BEGUN = {
    "resnet18_se": "Begun from random weights, taught by the model that comes with activitynet.",
    "efficientnet_b0_se": f"Begun from {LITE0}, taught by the model that comes with activitynet.",
}


def main(arguments: list[str] | None = None) -> None:
    """Write the ensemble's folder and its entry in the index, and print what it scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("members", nargs="+", type=Path, help="weights folders, or folders of runs")
    parser.add_argument("--data", required=True, type=Path, help="the photos, split into train and val")
    parser.add_argument("--to", type=Path, default=Path(__file__).with_name(NAME), help="where to write it")
    parser.add_argument("--index", type=Path, default=INDEX, help="the index of released weights")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        rounded = [
            _rounded(member, Path(temporary) / f"{number}", options.data)
            for number, member in enumerate(find_members(options.members))
        ]
        members = sorted((load_weights(folder) for folder in rounded), key=_cost)
        photos = open_data(options.data, classes=members[0][1].classes)
        ensemble = _fitted(members, photos)
    scores = ensemble.evaluate(photos)
    ensemble.save(
        options.to,
        half=True,
        training_data=f"{training_text(photos)} {SOURCES} {' '.join(dict.fromkeys(_begun(ensemble)))}",
        licence=LICENCE,
        scores=scores,
    )
    _list(options.to, options.index)
    print(scores.summary())


def _rounded(folder: Path, to: Path, data: Path) -> Path:
    """Write a member as float16, calibrated, with its scores and where it comes from."""
    Classifier.load(folder).save(to, half=True)
    member = Classifier.load(to)
    photos = open_data(data, classes=member.classes)
    member.calibrate(photos)
    about = f"{training_text(photos)} {SOURCES} {BEGUN[read_card(to).architecture]}"
    return member.save(to, half=True, training_data=about, licence=LICENCE, scores=member.evaluate(photos))


def _cost(member: tuple[nn.Module, Card]) -> int:
    return count_macs(member[0], (3, *member[1].preprocess.size))


def _fitted(members: list[tuple[nn.Module, Card]], photos: PhotoData) -> Ensemble:
    """Fit shares, temperature and cascade.

    Published is the plain mean. Shares that are fitted alone leave out whoever is weaker than the others, so
    each is the mean of the fitted and of an equal one.
    """
    classes = photos.classes
    answers, labels = member_answers(
        Ensemble(members, classes=classes), photos.val, workers=default_workers()
    )
    shares = (fit_weights(np.exp(answers), labels) + 1 / len(members)) / 2
    ensemble = Ensemble(members, classes=classes, weights=shares.tolist()).cpu()
    whole = ensemble.combine(torch.from_numpy(answers)).double().numpy()
    ensemble.temperature = fit_temperature(whole, labels)
    ensemble.metrics = {"fitted_on": len(labels)}

    def macro_f1(truth: NDArray[np.int64], guesses: NDArray[np.int64]) -> float:
        return score(truth, guesses, classes).macro_f1

    ensemble.cascade = fit_cascade(ensemble, answers, labels, macro_f1)
    return ensemble


def _begun(ensemble: Ensemble) -> list[str]:
    return [f"{card.architecture}: {BEGUN[card.architecture]}" for card in ensemble.cards]


def _list(folder: Path, index: Path) -> None:
    """Put a folder into the index, in place of what had its name."""
    ensemble = Ensemble.load(folder)
    files = {
        path.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "size": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*"))
        if path.suffix in SUFFIXES
    }
    entry = {
        "name": NAME,
        "repository": REPOSITORY,
        "revision": TAG,
        "files": files,
        "classes": list(ensemble.classes),
        "metrics": {name: ensemble.metrics[name] for name in ("split", "macro_f1", "accuracy")},
        "licence": LICENCE,
    }
    others = [entry for entry in json.loads(index.read_text("utf-8"))["releases"] if entry["name"] != NAME]
    index.write_text(json.dumps({"releases": [*others, entry]}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
