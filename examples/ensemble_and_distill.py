"""From two trained networks to an ensemble, a cascade, and one small network that learned from them.

    python examples/ensemble_and_distill.py [FOLDER]

The data are drawings and the networks tiny, so it takes a minute, and the scores say little about photos.
"""

from __future__ import annotations

# --8<-- [start:example]
import sys
from pathlib import Path

from activitynet import Classifier, Ensemble, draw_sample_data
from activitynet.data.open import open_data
from activitynet.ensemble.build import build_ensemble
from activitynet.predictor import Predictor


def train_members(drawings: Path, folder: Path) -> list[Path]:
    runs = []
    for seed in (0, 1):
        classifier = Classifier("test_resnet_se", image_size=64, model_args={"norm": "batch"})
        classifier.fit(drawings, run=folder / f"{seed}", recipe="quick", epochs=4, seed=seed, progress=False)
        runs.append(folder / f"{seed}")
    return runs


def build(runs: list[Path], drawings: Path, folder: Path) -> Path:
    data = open_data(drawings)
    # A cascade may cost a macro-F1 of 0.01 here; the whole ensemble is kept as well.
    ensemble, report = build_ensemble(runs, data.val, data.classes, cascade_loss=0.01)
    for row in report.candidates:
        print(f"  {row.name}: macro-F1 {row.macro_f1:.3f}, share {row.share:.2f}")
    return ensemble.save(folder)


def distil(teacher: Path, drawings: Path) -> Classifier:
    classes = Ensemble.load(teacher).classes
    student = Classifier("test_resnet_se", classes, image_size=32, model_args={"norm": "batch"})
    settings = {"distill.teachers": [str(teacher)], "distill.weight": 0.7}
    student.fit(drawings, recipe="quick", epochs=4, settings=settings, progress=False)
    return student


def compare(predictors: dict[str, Predictor], drawings: Path) -> None:
    for name, predictor in predictors.items():
        scores = predictor.evaluate(drawings)
        print(f"{name}: macro-F1 {scores.macro_f1:.3f}, {predictor.macs() / 1e6:.1f} million multiply-adds")


# --8<-- [end:example]
def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "ensemble-and-distill")
    print("Drawing 20 activities and training two networks on them …")
    drawings = draw_sample_data(folder / "drawings", train_per_class=20, val_per_class=6, size=64)
    runs = train_members(drawings, folder / "runs")
    print("Building an ensemble …")
    built = build(runs, drawings, folder / "ensemble")
    print("Teaching a network that looks at a quarter of the pixels …")
    student = distil(built, drawings)
    student.save(folder / "student", training_data="Drawings.", license="Apache-2.0")
    ensemble = Ensemble.load(built)
    compare({"ensemble": ensemble, "cascade": ensemble.cascaded(), "student": student}, drawings)


if __name__ == "__main__":  # processes that load photos import this file anew on some systems
    main()
