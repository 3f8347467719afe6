"""A study as it happens: take a configuration, train it with every seed, go on until none is left."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activitynet.data.dataset import PhotoData
from activitynet.data.open import open_data
from activitynet.data.scan import check_photos
from activitynet.errors import TrainingError
from activitynet.study.definition import Study, open_subset
from activitynet.study.report import write_study
from activitynet.study.results import StudyResult, summarise
from activitynet.study.sampling import begun_proposals, new_proposals
from activitynet.study.storage import open_storage
from activitynet.study.study_files import load_study
from activitynet.study.study_folder import StudyFolder
from activitynet.study.trainer import Trainer
from activitynet.study.trials import Proposal, Taken, Trials

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

_WAIT_SECONDS = 1.0  # between two looks at what other processes have finished


def run_study(
    study: str | os.PathLike[str] | Study,
    data: str | os.PathLike[str] | PhotoData,
    *,
    run: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
    storage: str | None = None,
    workers: int | None = None,
    skip_bad: bool = False,
    group_duplicates: bool = False,
    cache: str | os.PathLike[str] | None = None,
    cache_gb: float = 20.0,
    progress: bool = True,
) -> StudyResult:
    """Train every configuration of a study with every seed, compare them, and write a page.

    Called again after a kill, it goes on: what is finished is not repeated, and a run that was cut off goes
    on from its last checkpoint. Several processes that name the same folder, or the same storage, share the
    work; each returns when all of it is done.

    Args:
        study: A name of `list_studies`, a TOML file, or a `Study`.
        data: Photos, as for `Classifier.fit`.
        run: The study's folder.
        settings: Fields of the study's file to change, by their dotted names: ``{"epochs": 3}``.
        storage: An SQLAlchemy URL, or a journal file; `None` keeps a journal in the folder.
        workers: Processes that load photos; `None` chooses by the machine's cores.
        skip_bad: Leave out photos that cannot be read, instead of refusing the data.
        group_duplicates: Where a share is held out, keep near-duplicates on one side.
        cache: As for `Classifier.fit`.
        cache_gb: As for `Classifier.fit`.
        progress: Show the runs in the terminal.

    Raises:
        TrainingError: The study is not valid, is not the one that the folder holds, or Optuna is missing.
        DataError: The data cannot be used, or photos are broken.
        StorageError: Something cannot be written.
        activitynet.training.Interrupted: By Ctrl-C or SIGTERM; the state is saved.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise TrainingError(
            "a study shares configurations, not batches: start the command once for each device, not by a "
            "launcher of distributed training."
        )
    resolved = study if isinstance(study, Study) else load_study(study, settings)
    folder = StudyFolder(Path(run))
    record = open_storage(folder.path, storage)
    opened = data if isinstance(data, PhotoData) else open_data(data, group_duplicates=group_duplicates)
    checked = check_photos(open_subset(resolved, opened), skip_bad=skip_bad)
    photos = checked.data
    counts = (len(photos.train), len(photos.val))
    folder_id, identity = folder.open(resolved, checked.fingerprint, counts)
    trials = Trials(
        resolved.name, folder.path, record, folder_id, axes=resolved.axes, pruner=_pruner(resolved)
    )
    _check_same(trials, identity, resolved.name)
    trainer = Trainer(
        study=resolved,
        photos=photos,
        folder=folder,
        workers=workers,
        skip_bad=skip_bad,
        cache=cache,
        cache_gb=cache_gb,
        progress=progress,
    )
    while True:
        taken, proposal = _next(resolved, trials)
        if taken is not None and proposal is not None:
            try:
                trainer.train(proposal, taken)
            finally:
                taken.release()
        elif proposal is None:
            break
        else:
            time.sleep(_WAIT_SECONDS)
    result = summarise(resolved, trials.all(), counts)
    write_study(folder, result)
    return result


def read_study(run: str | os.PathLike[str], *, storage: str | None = None) -> StudyResult:
    """Return what the study in a folder has come to, and write its page again.

    Args:
        run: The study's folder.
        storage: As for `run_study`.

    Raises:
        TrainingError: There is no study, or Optuna is missing.
        StorageError: Something cannot be written.
    """
    folder = StudyFolder(Path(run))
    study, counts, folder_id = folder.begun()
    trials = Trials(study.name, folder.path, open_storage(folder.path, storage), folder_id, axes=study.axes)
    known = trials.all()
    if not known:
        raise TrainingError(
            f"the record of the study in {str(folder.path)!r} is empty: name the storage that it was begun "
            "with, or wait for its first configuration."
        )
    result = summarise(study, known, counts)
    write_study(folder, result)
    return result


def _pruner(study: Study) -> BasePruner | None:
    import optuna  # noqa: PLC0415  an extra

    if study.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=3)
    if study.pruner == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    return None


def _check_same(trials: Trials, identity: Mapping[str, Any], name: str) -> None:
    """Refuse a storage that has a study of this name and of other contents."""
    begun = trials.study.user_attrs.get("activitynet")
    if begun is None:
        trials.study.set_user_attr("activitynet", dict(identity))
    elif begun != identity:
        raise TrainingError(
            f"the storage holds another study {name!r}, or one of other photos; name another storage, or "
            "rename the study's file."
        )


def _next(study: Study, trials: Trials) -> tuple[Taken | None, Proposal | None]:
    """Take the next configuration that is free; without one, return what others are still at."""
    known = trials.all()
    busy: Proposal | None = None
    for proposals in (begun_proposals(study, known), new_proposals(study, known)):
        for proposal in proposals:
            if (taken := trials.take(proposal)) is not None:
                return taken, proposal
            busy = proposal
    return None, busy
