"""Run a study: claim a configuration, train it with every seed, and go on until none is left."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import time
from collections.abc import Mapping
from typing import Any

from activitynet.classifier import Classifier
from activitynet.data.dataset import PhotoData, slug
from activitynet.data.open import open_data
from activitynet.data.scan import check_photos
from activitynet.errors import DataError, NotFiniteError, TrainingError, clipped
from activitynet.study.definition import Study, load_study, parse_study
from activitynet.study.report import write_study
from activitynet.study.results import Run, StudyResult, summarise
from activitynet.study.trials import Claim, Trials, file_lock
from activitynet.training import Event, FitResult, RunFolder
from activitynet.training.run import ResumableFolder
from activitynet.training.signals import StopSignals

_log = logging.getLogger(__name__)
_WAIT_SECONDS = 1.0  # between two checks of what other processes have finished
_MAX_LABEL = 40  # characters of a label in a folder's name


class StudyFolder(ResumableFolder):
    """The folder of a study.

    ``runs/`` has a folder per configuration, and in it a run per seed; ``journal.log`` is Optuna's record;
    ``study.html``, ``study.json``, ``results.csv`` and ``plots/`` are the results. The budget may change
    when a study is resumed.

    Args:
        path: The folder; made by `open`.
    """

    kind = "study"
    required = "study"
    may_change = ("study.budget", "study.description", "photos")  # photos.txt has the photos themselves

    def run(self, label: str, key: str, seed: int) -> RunFolder:
        """Return the folder for a configuration's run with a seed."""
        name = slug(label)[:_MAX_LABEL].strip("_")
        return RunFolder(self.path / "runs" / f"{name}-{key}" / f"seed-{seed}")


def run_study(
    study: str | os.PathLike[str] | Study,
    data: str | os.PathLike[str] | PhotoData,
    *,
    run: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    skip_bad: bool = False,
    group_duplicates: bool = False,
    cache: str | os.PathLike[str] | None = None,
    cache_gb: float = 20.0,
    progress: bool = True,
) -> StudyResult:
    """Train every configuration of a study with every seed, compare them, and write a report.

    Called again after a kill, it resumes: nothing that is finished is repeated, and a run that was cut off
    resumes from its last checkpoint. Several processes that name the same folder share the work; each
    returns when all of it is done.

    Args:
        study: A name of `list_studies`, a TOML file, or a `Study`.
        data: Labelled photos, in any form that `Classifier.fit` takes.
        run: The study's folder.
        settings: Fields of the study's file to change, by their dotted names: ``{"epochs": 3}``.
        workers: Processes that load photos; `None` chooses by the number of cores.
        skip_bad: Leave out photos that cannot be read, instead of refusing the data.
        group_duplicates: Where a part is held out for validation, keep near-duplicates on one side.
        cache: Folder for decoded photos, as in `Classifier.fit`.
        cache_gb: Most gigabytes in the cache.
        progress: Show the runs in the terminal.

    Raises:
        TrainingError: The study is not valid, the folder holds another one, or Optuna is not installed.
        DataError: The data cannot be used, or photos are broken.
        StorageError: Something cannot be written.
        activitynet.training.Interrupted: By Ctrl-C or SIGTERM; the state is saved.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise TrainingError(
            "a study distributes configurations, not batches: start the command once for each device, not by "
            "a launcher of distributed training."
        )
    definition = study if isinstance(study, Study) else load_study(study, settings)
    opened = data if isinstance(data, PhotoData) else open_data(data, group_duplicates=group_duplicates)
    for split in ("train", "val"):
        if not getattr(opened, split):
            raise DataError(f"there are no {split!r} photos; a study needs both 'train' and 'val'.")
    checked = check_photos(definition.data.select(opened), skip_bad=skip_bad)
    counts = {"train": len(checked.data.train), "val": len(checked.data.val)}
    folder = StudyFolder(run)
    with file_lock(folder.path / "locks" / "study.lock"):
        config = {"study": definition.to_dict(), "photos": counts}
        folder.open(config, checked.fingerprint, resume=True)
    trials = Trials(definition, folder.path)
    options = {
        "workers": workers,
        "skip_bad": skip_bad,
        "cache": cache,
        "cache_gb": cache_gb,
        "progress": progress,
    }
    while True:
        claim = trials.claim()
        if claim is not None:
            try:
                train_claim(definition, claim, checked.data, folder, options)
            finally:
                claim.release()
        elif trials.are_finished():
            break
        else:
            time.sleep(_WAIT_SECONDS)
    return _write_results(definition, trials, counts, folder)


def read_study(run: str | os.PathLike[str]) -> StudyResult:
    """Return the results of a study so far, and write its report again.

    Args:
        run: The study's folder.

    Raises:
        TrainingError: There is no study, none of its configurations has begun, or Optuna is not installed.
        StorageError: Something cannot be written.
    """
    folder = StudyFolder(run)
    config = folder.begun()
    if config is None:
        raise TrainingError(f"{str(folder.path)!r} holds no study; name the folder that --run named.")
    study = parse_study(config["study"], what=f"study in {str(folder.config)!r}")
    return _write_results(study, Trials(study, folder.path), config["photos"], folder)


def _write_results(
    study: Study, trials: Trials, photos: Mapping[str, int], folder: StudyFolder
) -> StudyResult:
    known = trials.all()
    if not known:
        raise TrainingError(f"no configuration of the study in {str(folder.path)!r} has begun; wait for one.")
    result = summarise(study, known, (photos["train"], photos["val"]))
    write_study(folder.path, result)
    return result


def train_claim(
    study: Study, claim: Claim, photos: PhotoData, folder: StudyFolder, options: Mapping[str, Any]
) -> None:
    """Train a configuration with each seed that is not done, and finish its trial.

    Args:
        study: What is compared.
        claim: The configuration's trial.
        photos: The photos, checked.
        folder: The study's folder.
        options: Further arguments of `Classifier.fit`.

    Raises:
        ActivityNetError: A run cannot start or resume; the trial stays unfinished.
        activitynet.training.Interrupted: By Ctrl-C or SIGTERM; the trial stays unfinished.
    """
    configuration = claim.configuration
    is_prunable = study.pruner != "none" and configuration.key != study.base.key
    with StopSignals() as stop:
        for seed in study.seeds:
            if str(seed) in claim.runs:
                continue
            stop.raise_if_received()
            _log.info("trial %d, %s, seed %d", claim.number, claim.label, seed)
            run = folder.run(claim.label, configuration.key, seed)
            classifier = Classifier(
                configuration.model,
                init_from=configuration.init_from,
                image_size=configuration.image_size,
                model_args=configuration.model_args,
            )
            try:
                result = classifier.fit(
                    photos,
                    run=run.path,
                    recipe=configuration.recipe,
                    seed=seed,
                    resume=True,
                    callbacks=[PruneCallback(claim, run)] if is_prunable and seed == study.seeds[0] else [],
                    **options,
                )
            except PrunedError:
                _log.info("trial %d, %s, is pruned", claim.number, claim.label)
                claim.finish("PRUNED")
                return
            except TrainingError as error:
                if not isinstance(error.__cause__, NotFiniteError):
                    raise
                _log.warning("trial %d, %s, has failed: %s", claim.number, claim.label, error)
                claim.record(error=clipped(error))
                claim.finish("FAIL")
                return
            network = classifier.model
            parameters = sum(parameter.numel() for parameter in network.parameters())
            runs = {**claim.runs, str(seed): dataclasses.asdict(_outcome(result))}
            claim.record(parameters=parameters, macs=classifier.macs(), runs=runs)
            # A checkpoint is several times as large as the weights, and nothing resumes from it any more.
            shutil.rmtree(run.last.parent, ignore_errors=True)
        scores = [claim.runs[str(seed)]["macro_f1"] for seed in study.seeds]
        claim.finish("COMPLETE", sum(scores) / len(scores))
        stop.raise_if_received()


class PrunedError(Exception):
    """The pruner ends the configuration."""


class PruneCallback:
    """Reports the score of each epoch, and ends the run when the pruner says so.

    Args:
        claim: The configuration's trial.
        run: The folder of its first run.
    """

    def __init__(self, claim: Claim, run: RunFolder) -> None:
        self._claim, self._run = claim, run

    def __call__(self, event: Event) -> None:
        """Report what an event adds."""
        if event.kind == "start" and event.epoch:  # a kill may have come between saving and reporting
            for row in self._run.read_metrics()[0]:
                self._report(row["epoch"], row["macro_f1"])
        elif event.kind == "epoch" and event.scores is not None:
            self._report(event.epoch, event.scores["macro_f1"])

    def _report(self, epoch: int, score: float) -> None:
        # Before training there is nothing to tell configurations apart.
        if epoch and self._claim.report(epoch, score):
            raise PrunedError


def _outcome(result: FitResult) -> Run:
    timed = [row for row in result.timings if row["epoch"] > 0]
    seconds = sum(row["seconds"] for row in timed)
    photos = sum(row["seconds"] * row["images_per_second"] for row in timed)
    return Run(
        macro_f1=result.best["macro_f1"],
        accuracy=result.best["accuracy"],
        best_epoch=result.best_epoch,
        epochs=result.history[-1]["epoch"],
        seconds=sum(row["seconds"] + row["validation_seconds"] for row in result.timings),
        images_per_second=photos / seconds if seconds else 0.0,
    )
