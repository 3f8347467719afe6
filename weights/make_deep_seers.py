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
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from photos import LICENCE, LITE0, SOURCES
from torch import nn

from activitynet import Classifier, Ensemble
from activitynet.data.open import open_data
from activitynet.ensemble import fit_cascade, fit_weights
from activitynet.ensemble.build import collect_member_log_probs, find_members
from activitynet.evaluation import score
from activitynet.evaluation.calibration import expected_calibration_error, fit_temperature
from activitynet.evaluation.stats import log_softmax
from activitynet.hub.releases import INDEX, SUFFIXES
from activitynet.runtime.devices import default_workers
from activitynet.training.card_facts import training_text
from activitynet.weights import Card, load_weights, read_card
from activitynet.zoo.build import count_macs

NAME, REPOSITORY, TAG = "deep-seers", "activitynet/deep-seers", "v1"
_Answers = NDArray[np.float64]  # logarithms or probabilities, (members, N, classes)
_Labels = NDArray[np.int64]
TAUGHT = "taught by the model that comes with activitynet."
BEGUN = {
    "resnet18_se": f"Begun from random weights, in three runs, {TAUGHT}",
    "efficientnet_b0_se": f"Begun from {LITE0}, {TAUGHT}",
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
        classes = members[0][1].classes
        photos = open_data(options.data, classes=classes)
        answers, labels = collect_member_log_probs(
            Ensemble(members, classes=classes), photos.val, workers=default_workers()
        )
        ensemble = _fitted(members, classes, answers, labels)
    scores = ensemble.evaluate(photos)
    ensemble.save(
        options.to,
        half=True,
        training_data=f"{training_text(photos)} {SOURCES} {' '.join(dict.fromkeys(_begun(ensemble)))}",
        license=LICENCE,
        scores=scores,
    )
    _list(options.to, options.index)
    print(scores.summary())
    macro_f1, ece = _held_out(classes, answers, labels)
    print(f"each half by what is fitted on the other: macro-F1 {macro_f1:.3f}, calibration error {ece:.3f}")


def _rounded(folder: Path, to: Path, data: Path) -> Path:
    """Write a member as float16, calibrated, with its scores and where it comes from."""
    Classifier.load(folder).save(to, half=True)
    member = Classifier.load(to)
    photos = open_data(data, classes=member.classes)
    member.calibrate(photos)
    about = f"{training_text(photos)} {SOURCES} {BEGUN[read_card(to).architecture]}"
    return member.save(to, half=True, training_data=about, license=LICENCE, scores=member.evaluate(photos))


def _cost(member: tuple[nn.Module, Card]) -> int:
    return count_macs(member[0], (3, *member[1].preprocess.size))


def _fitted(
    members: list[tuple[nn.Module, Card]], classes: Sequence[str], answers: _Answers, labels: _Labels
) -> Ensemble:
    """Fit shares, temperature and cascade."""
    shares = _shares(np.exp(answers), labels)
    ensemble = Ensemble(members, classes=classes, weights=shares.tolist()).cpu()
    whole = ensemble.combine(torch.from_numpy(answers)).double().numpy()
    ensemble.temperature = fit_temperature(whole, labels)
    ensemble.metrics = {"fitted_on": len(labels)}

    def macro_f1(truth: _Labels, guesses: _Labels) -> float:
        return score(truth, guesses, classes).macro_f1

    ensemble.cascade = fit_cascade(ensemble, answers, labels, macro_f1)
    return ensemble


def _shares(probabilities: _Answers, labels: _Labels) -> NDArray[np.float64]:
    """Return each member's share: the mean of a fitted and of an equal one.

    Published is the plain mean; shares that are fitted alone leave out whoever is weaker than the others.
    """
    return (fit_weights(probabilities, labels) + 1 / len(probabilities)) / 2


def _held_out(
    classes: Sequence[str], answers: _Answers, labels: _Labels, divisions: int = 10
) -> tuple[float, float]:
    """Return macro-F1 and calibration error of each half by what the other fits; a mean of divisions."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(divisions):
        half = random.permutation(len(labels)) < len(labels) // 2
        said = np.empty(answers.shape[1:])
        for fit in (half, ~half):
            temperatures = [fit_temperature(member[fit], labels[fit]) for member in answers]
            members = np.exp(log_softmax(answers / np.reshape(temperatures, (-1, 1, 1))))
            whole = np.log(np.tensordot(_shares(members[:, fit], labels[fit]), members, axes=1))
            said[~fit] = log_softmax(whole / fit_temperature(whole[fit], labels[fit]))[~fit]
        scored = score(labels, said.argmax(axis=1), classes).macro_f1
        found.append((scored, expected_calibration_error(np.exp(said), labels)))
    macro_f1, ece = np.mean(found, axis=0)
    return float(macro_f1), float(ece)


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
        "license": LICENCE,
    }
    others = [entry for entry in json.loads(index.read_text("utf-8"))["releases"] if entry["name"] != NAME]
    index.write_text(json.dumps({"releases": [*others, entry]}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
