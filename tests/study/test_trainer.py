"""What ends a configuration early. Scores are made up; Optuna and its pruners are real."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from activitynet.data.dataset import PhotoData
from activitynet.study.definition import Study, read_definition
from activitynet.study.running import _next, _pruner
from activitynet.study.storage import open_storage
from activitynet.study.study_folder import StudyFolder
from activitynet.study.trainer import Trainer, _PrunedError, _Watch
from activitynet.study.trials import Proposal, Trials
from activitynet.training import Event, FitResult, RunFolder

pytest.importorskip("optuna")

EPOCHS = 9


def a_study(pruner: str) -> Study:
    axes = {"optimizer.lr": [4e-3, 5e-3, 6e-3, 1e-12]}  # the base comes before them
    return read_definition(
        {"model": "test_resnet_se", "pruner": pruner, "seeds": [0, 1], "axes": axes}, "small"
    )


def open_trials(study: Study, folder: Path) -> Trials:
    return Trials(study.name, folder, open_storage(folder), "here", axes=study.axes, pruner=_pruner(study))


def scores(proposal: Proposal) -> list[float]:
    good = proposal.configuration.recipe.optimizer.lr > 1e-6
    return [0.05 + (epoch / 20 if good else 0.0) for epoch in range(EPOCHS + 1)]


def tell(watch: Any, epoch: int, score: float, kind: Any = "epoch") -> None:
    watch(Event(kind, epoch=epoch, epochs=EPOCHS, step=epoch, steps=EPOCHS, scores={"macro_f1": score}))


def pretend_fit(self: Trainer, proposal: Proposal, seed: int, place: Path, watch: Any) -> Any:
    """Go through the epochs of a run without training."""
    found = scores(proposal)
    for epoch, score in enumerate(found):
        if watch is not None:
            tell(watch, epoch, score)
    history = [{"epoch": epoch, "macro_f1": score, "accuracy": score} for epoch, score in enumerate(found)]
    timing = {"seconds": 1.0, "validation_seconds": 1.0, "images_per_second": 9.0}
    timings = [{"epoch": epoch, **timing} for epoch in range(EPOCHS + 1)]
    made = SimpleNamespace(model=torch.nn.Linear(2, 2), macs=lambda: 4.0)
    return made, FitResult(tuple(history), tuple(timings), EPOCHS, None)


@pytest.mark.parametrize(
    ("pruner", "last"), [("none", "COMPLETE"), ("median", "PRUNED"), ("halving", "PRUNED")]
)
def test_a_configuration_that_is_worse_at_first_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pruner: str, last: str
) -> None:
    monkeypatch.setattr(Trainer, "_fit", pretend_fit)
    study = a_study(pruner)
    trials = open_trials(study, tmp_path)
    trainer = Trainer(study, PhotoData((), (), ()), StudyFolder(tmp_path), 0, False, None, 1.0, False)
    while (pair := _next(study, trials))[0] is not None:
        taken, proposal = pair
        assert taken is not None
        assert proposal is not None
        trainer.train(proposal, taken)
        taken.release()
    states = [trial.state.name for trial in trials.all()]
    assert states == ["COMPLETE"] * 4 + [last]
    assert len(trials.all()[-1].user_attrs.get("runs", {})) == (2 if last == "COMPLETE" else 0)
    assert trials.all()[0].value == pytest.approx(0.5)


def test_what_was_saved_and_not_reported_is_reported_when_a_run_goes_on(tmp_path: Path) -> None:
    study = a_study("median")
    trials = open_trials(study, tmp_path)
    for number in range(5):
        taken, proposal = _next(study, trials)
        assert taken is not None
        assert proposal is not None
        run = RunFolder(tmp_path / str(number))
        found = scores(proposal)
        run.write_metrics([{"epoch": epoch, "macro_f1": score} for epoch, score in enumerate(found[:4])])
        watch = _Watch(taken, run.path)
        if number < 4:
            tell(watch, 1, found[1])
            tell(watch, 3, 0.0, "start")  # its process was killed before it could report epochs 2 and 3
            assert taken.reported() == pytest.approx({epoch: found[epoch] for epoch in (1, 2, 3)})
            taken.end("COMPLETE", found[3])
        else:
            with pytest.raises(_PrunedError):
                tell(watch, 3, 0.0, "start")
        taken.release()
