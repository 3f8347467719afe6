"""One configuration trained with every seed, in runs that resume."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from activitynet.classifier import Classifier
from activitynet.data.dataset import PhotoData
from activitynet.errors import NotFiniteError, TrainingError, clipped
from activitynet.study.definition import Study
from activitynet.study.results import Run
from activitynet.study.study_folder import StudyFolder
from activitynet.study.trials import Proposal, Taken
from activitynet.training import Event, FitResult, RunFolder
from activitynet.training.signals import StopSignals

_log = logging.getLogger(__name__)


class _PrunedError(Exception):
    """A configuration is not worth going on with."""


@dataclass(frozen=True)
class Trainer:
    """Trains configurations of a study, each in the same way.

    Attributes:
        study: What is compared.
        photos: What all of them learn from and are measured on; they have been checked.
        folder: Where runs are written.
        workers: As for `Classifier.fit`, and so are the others.
        skip_bad: See there.
        cache: See there.
        cache_gb: See there.
        progress: See there.
    """

    study: Study
    photos: PhotoData
    folder: StudyFolder
    workers: int | None
    skip_bad: bool
    cache: str | os.PathLike[str] | None
    cache_gb: float
    progress: bool

    def train(self, proposal: Proposal, taken: Taken) -> None:
        """Train a configuration with each seed that is not done, and finish its trial.

        Raises:
            ActivityNetError: A run cannot start or go on; the trial stays unfinished.
            activitynet.training.Interrupted: By Ctrl-C or SIGTERM; the same.
        """
        with StopSignals() as stop:
            self._train(proposal, taken, stop)

    def _train(self, proposal: Proposal, taken: Taken, stop: StopSignals) -> None:
        for seed in self.study.seeds:
            if str(seed) in taken.runs:
                continue
            stop.raise_if_received()
            _log.info("trial %d, %s, seed %d", taken.number, proposal.label, seed)
            place = self.folder.run(proposal.label, proposal.configuration.key, seed)
            watch = _Watch(taken, place) if self._is_pruned_by(seed, proposal) else None
            try:
                classifier, result = self._fit(proposal, seed, place, watch)
            except _PrunedError:
                _log.info("trial %d, %s, is ended early", taken.number, proposal.label)
                taken.end("PRUNED")
                return
            except TrainingError as error:
                if not isinstance(error.__cause__, NotFiniteError):
                    raise
                _log.warning("trial %d, %s, has failed: %s", taken.number, proposal.label, error)
                taken.note(error=clipped(error))
                taken.end("FAIL")
                return
            network = classifier.model
            taken.note(parameters=sum(one.numel() for one in network.parameters()), macs=classifier.macs())
            taken.note_run(seed, asdict(_outcome(result)))
            # The whole state is several times the weights, and nothing goes on from it any more.
            shutil.rmtree(place / "checkpoints", ignore_errors=True)
        scores = [taken.runs[str(seed)]["macro_f1"] for seed in self.study.seeds]
        taken.end("COMPLETE", sum(scores) / len(scores))
        stop.raise_if_received()

    def _is_pruned_by(self, seed: int, proposal: Proposal) -> bool:
        """Tell whether a run may end its configuration: the first one, of any but the base."""
        is_base = proposal.configuration.key == self.study.base.key
        return self.study.pruner != "none" and seed == self.study.seeds[0] and not is_base

    def _fit(
        self, proposal: Proposal, seed: int, place: Path, watch: _Watch | None
    ) -> tuple[Classifier, FitResult]:
        configuration = proposal.configuration
        classifier = Classifier(
            configuration.model,
            init_from=configuration.init_from,
            image_size=configuration.image_size,
            model_args=configuration.model_args,
        )
        result = classifier.fit(
            self.photos,
            run=place,
            recipe=configuration.recipe,
            seed=seed,
            workers=self.workers,
            resume=True,
            skip_bad=self.skip_bad,
            cache=self.cache,
            cache_gb=self.cache_gb,
            progress=self.progress,
            callbacks=[watch] if watch is not None else [],
        )
        return classifier, result


class _Watch:
    """Reports the score of each epoch, and ends the run when that is not worth going on with."""

    def __init__(self, taken: Taken, run: Path) -> None:
        self._taken, self._run = taken, run

    def __call__(self, event: Event) -> None:
        if event.kind == "start" and event.epoch:  # a run that goes on: what was saved may not be reported
            for row in RunFolder(self._run).read_metrics()[0]:
                self._report(row["epoch"], row["macro_f1"])
        elif event.kind == "epoch" and event.scores is not None:
            self._report(event.epoch, event.scores["macro_f1"])

    def _report(self, epoch: int, score: float) -> None:
        if not epoch:  # before training there is nothing to tell configurations apart by
            return
        if epoch not in self._taken.reported():
            self._taken.trial.report(score, epoch)
        if self._taken.trial.should_prune():
            raise _PrunedError


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
