"""Which configuration comes next: a function of the study's seed and of what is finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from activitynet.errors import ActivityNetError
from activitynet.runtime.seeds import derived_seed
from activitynet.study.axes import Value
from activitynet.study.definition import Study
from activitynet.study.trials import Proposal

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

_DRAWS = 200  # in vain, one after the other, before a study counts as exhausted


def proposal(study: Study, point: dict[str, Value]) -> Proposal:
    """Return the configuration at a point."""
    return Proposal(study.configuration(point), point, study.label(point))


def begun_proposals(study: Study, trials: Sequence[FrozenTrial]) -> Iterator[Proposal]:
    """Yield what has begun and is not finished, in its order: whoever can have it finishes it first."""
    for trial in trials:
        if not trial.state.is_finished():
            yield proposal(study, trial.params)


def new_proposals(study: Study, trials: Sequence[FrozenTrial]) -> Iterator[Proposal]:
    """Yield what is to be begun next, as far as the budget goes.

    The base comes first, unless it is a point of the grid. Nothing is proposed twice, and nothing that is
    among the trials.
    """
    known = {trial.user_attrs["key"] for trial in trials}
    base = proposal(study, {})
    points = [trial for trial in trials if trial.params]
    if study.sampler == "grid":
        every = [proposal(study, point) for point in study.grid()]
        if study.budget.trials is not None:
            every = every[: study.budget.trials]
        if all(item.configuration.key != base.configuration.key for item in every):
            every.insert(0, base)
        wanted: Iterator[Proposal] = iter(every)
    else:
        if base.configuration.key not in known:
            yield base
            known.add(base.configuration.key)
        left = None if study.budget.trials is None else study.budget.trials - len(points)
        wanted = _drawn(study, trials, known, left)
    if _is_spent(study, trials):
        return
    for item in wanted:
        if item.configuration.key not in known:
            known.add(item.configuration.key)
            yield item


def _is_spent(study: Study, trials: Sequence[FrozenTrial]) -> bool:
    runs = [run for trial in trials for run in trial.user_attrs.get("runs", {}).values()]
    epochs, minutes = sum(run["epochs"] for run in runs), sum(run["seconds"] for run in runs) / 60
    return any(
        most is not None and used >= most
        for used, most in ((epochs, study.budget.epochs), (minutes, study.budget.minutes))
    )


def _drawn(
    study: Study, trials: Sequence[FrozenTrial], known: set[str], left: int | None
) -> Iterator[Proposal]:
    """Draw configurations that are not known. Of random draws the n-th is always the same one."""
    import optuna  # noqa: PLC0415  an extra

    distributions = {axis.name: axis.distribution() for axis in study.axes}
    scratch = optuna.create_study(direction="maximize", sampler=_sampler(study, trials))
    if study.sampler == "tpe":
        scratch.add_trials([trial for trial in trials if set(trial.params) == set(distributions)])
        left = None if left is None else min(1, left)  # the next one depends on how this one does
    seen = {study.base.key} if study.sampler == "random" else set(known)
    in_vain = 0
    # The n-th random draw is wanted whether or not it is known, so that the count of draws ends them.
    wanted = study.budget.trials if study.sampler == "random" else left
    count = 0
    while in_vain < _DRAWS and (wanted is None or count < wanted):
        point = dict(scratch.ask(distributions).params)
        try:
            item = proposal(study, point)
        except ActivityNetError:  # values that do not go together
            in_vain += 1
            continue
        if item.configuration.key in seen:
            in_vain += 1
            continue
        seen.add(item.configuration.key)
        in_vain, count = 0, count + 1
        yield item


def _sampler(study: Study, trials: Sequence[FrozenTrial]) -> BaseSampler:
    import optuna  # noqa: PLC0415  an extra

    if study.sampler == "random":
        return optuna.samplers.RandomSampler(seed=derived_seed(study.seed, "random") % 2**32)
    seed = derived_seed(study.seed, "tpe", len(trials)) % 2**32
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)
