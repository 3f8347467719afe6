"""Plant wrong labels among the training photos of a data set, and see how many an audit finds.

    python benchmarks/labels.py DATA --labels WEIGHTS --image-size 192

Labels are turned to any other class alike, or each class's to the one it is most often taken for. The photos'
own errors are unknown, so what is found besides the planted ones counts as false: precision is a lower bound.
Precision among photos that were not suspected before any error was planted is an upper one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from activitynet.data.dataset import group_numbers
from activitynet.data.open import open_data
from activitynet.data.splits import can_be_folded
from activitynet.evaluation.label_errors import cross_val_predict, find_label_issues, trunk_features


def planted(labels: np.ndarray, share: float, taken_for: np.ndarray | None, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wrong = labels.copy()
    chosen = rng.choice(len(labels), round(share * len(labels)), replace=False)
    classes = labels.max() + 1
    others = (labels + rng.integers(1, classes, len(labels))) % classes
    wrong[chosen] = (others if taken_for is None else taken_for[labels])[chosen]
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--labels", required=True, help="a weights folder, or timm/NAME")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    photos = open_data(options.data).train
    groups = group_numbers(photos)
    foldable = can_be_folded(np.array([photo.label for photo in photos]), groups)
    photos = tuple(photo for photo, fit in zip(photos, foldable, strict=True) if fit)
    groups = groups[foldable]
    labels = np.unique([photo.label for photo in photos], return_inverse=True)[1]
    features = trunk_features(photos, options.labels, options.image_size, options.workers)

    probabilities = cross_val_predict(features, labels, groups)
    before = np.isin(np.arange(len(labels)), find_label_issues(probabilities, labels))
    confusion = np.zeros((labels.max() + 1,) * 2)
    np.add.at(confusion, (labels, probabilities.argmax(axis=1)), 1)
    np.fill_diagonal(confusion, 0)
    print(f"{len(labels)} photos, {before.sum()} suspected before anything is planted")
    titles = ("planted", "label_issues", "recall", "precision", "of first 100", "unsuspected")
    print("{:>22} {:>9} {:>7} {:>10} {:>13} {:>12}".format(*titles))
    for share in (0.05, 0.1):
        for kind, taken_for in (("to any class", None), ("to its like", confusion.argmax(axis=1))):
            given = planted(labels, share, taken_for, seed=1)
            wrong = given != labels
            label_issues = find_label_issues(cross_val_predict(features, given, groups), given)
            fresh = label_issues[~before[label_issues]]
            print(
                f"{wrong.sum():>9} {kind:>12} {len(label_issues):>9} "
                f"{wrong[label_issues].sum() / wrong.sum():>7.3f} "
                f"{wrong[label_issues].mean():>10.3f} {wrong[label_issues[:100]].mean():>13.2f} "
                f"{wrong[fresh].mean():>12.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
