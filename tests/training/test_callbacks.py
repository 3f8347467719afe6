from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accelerate import tracking

from activitynet.errors import TrainingError
from activitynet.runtime import distributed
from activitynet.training.callbacks import Event, Tracker

CONFIG = {"seed": 3, "init_from": None, "recipe": {"lr": 0.1, "loss": {"name": "bce"}}, "classes": ["a", "b"]}
FLAT = {
    "seed": 3,
    "init_from": "null",
    "recipe.lr": 0.1,
    "recipe.loss.name": "bce",
    "classes": '["a", "b"]',
}


def tell(tracker: Tracker, steps: int = 25) -> None:
    """Two epochs' worth of events, the second cut short after ``steps``."""
    facts: dict[str, Any] = {"epochs": 2, "steps": 30}
    tracker(Event("start", epoch=0, step=0, **facts))
    tracker(Event("epoch", epoch=0, step=0, scores={"macro_f1": 0.1}, **facts))
    for step in range(1, steps + 1):
        tracker(Event("step", epoch=1 + (step > 15), step=step, loss=1 / step, lr=step / 100, **facts))
        if step == 15:
            scores = {"macro_f1": 0.5, "per_class_f1": [0.5, None]}
            tracker(
                Event("epoch", epoch=1, step=15, loss=0.25, images_per_second=7.0, scores=scores, **facts)
            )


class FakeTracker(tracking.GeneralTracker):  # type: ignore[misc]
    name = "fake"
    requires_logging_directory = False
    made: list[FakeTracker]

    def __init__(self, project: str, *folder: str, **options: str) -> None:
        super().__init__()
        self.project, self.folder, self.options = project, folder, options
        self.config: dict[str, Any] = {}
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished = 0
        self.made.append(self)

    @property
    def tracker(self) -> None: ...

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.config = values

    def log(self, values: dict[str, float], step: int) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeTracker]:
    """Stands in for wandb, which would reach the network."""
    monkeypatch.setattr(FakeTracker, "made", [], raising=False)
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", FakeTracker)
    monkeypatch.setattr(tracking, "_available_trackers", [tracking.LoggerType.WANDB])
    return FakeTracker


def test_every_tenth_step_and_each_epoch_are_logged(fake: type[FakeTracker], tmp_path: Path) -> None:
    tell(Tracker(["wandb"], tmp_path, CONFIG))
    (made,) = fake.made
    assert made.config == FLAT
    assert made.logged == [
        (0, {"epoch": 0, "train/images_per_second": 0, "val/macro_f1": 0.1}),
        (10, {"train/loss": 0.1, "train/lr": 0.1}),
        (15, {"epoch": 1, "train/epoch_loss": 0.25, "train/images_per_second": 7, "val/macro_f1": 0.5}),
        (20, {"train/loss": 0.05, "train/lr": 0.2}),
    ]


def test_a_tracker_is_finished_once_however_the_run_ends(fake: type[FakeTracker], tmp_path: Path) -> None:
    tracker = Tracker(["wandb"], tmp_path, {})
    tell(tracker)
    assert fake.made[0].finished == 0
    tracker(Event("end", epoch=2, epochs=2, step=30, steps=30))
    tracker.close()
    assert fake.made[0].finished == 1
    never_started = Tracker(["wandb"], tmp_path, {})
    never_started.close()
    assert len(fake.made) == 1


@pytest.mark.parametrize("asks_by_position", [True, False])
def test_files_lie_in_the_run(
    fake: type[FakeTracker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks_by_position: bool
) -> None:
    monkeypatch.setattr(fake, "requires_logging_directory", asks_by_position)
    tell(Tracker(["wandb"], tmp_path, {}))
    folder = str(tmp_path / "tracking")
    assert Path(folder).is_dir()
    expected = ((folder,), {}) if asks_by_position else ((), {"dir": folder})
    assert (fake.made[0].folder, fake.made[0].options) == expected


def test_only_the_main_process_tracks(
    fake: type[FakeTracker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "is_main_process", lambda: False)
    tell(Tracker(["wandb"], tmp_path, {}))
    assert not fake.made
    assert not list(tmp_path.iterdir())


def test_what_cannot_track_is_refused_before_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"unknown tracker 'tensorbord'.*Did you mean 'tensorboard'"):
        Tracker(["tensorbord"], tmp_path, {})
    monkeypatch.setattr(tracking, "_available_trackers", [])
    with pytest.raises(TrainingError, match=r"'comet_ml' is not installed.*pip install comet-ml$"):
        Tracker(["comet_ml"], tmp_path, {})


def test_tensorboard_reads_back_what_was_logged(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = Tracker(["tensorboard"], tmp_path, CONFIG)
    tell(tracker)
    tracker.close()
    read = EventAccumulator(str(tmp_path / "tracking" / "activitynet"))
    read.Reload()
    loss = [(entry.step, entry.value) for entry in read.Scalars("train/loss")]
    assert loss == [(10, pytest.approx(0.1)), (20, pytest.approx(0.05))]
    scores = [(entry.step, entry.value) for entry in read.Scalars("val/macro_f1")]
    assert scores == [(0, pytest.approx(0.1)), (15, pytest.approx(0.5))]
    assert list(tmp_path.iterdir()) == [tmp_path / "tracking"]
