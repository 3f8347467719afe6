"""Which configurations are tried, and by whom; training is not needed for that."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from activitynet.errors import StorageError
from activitynet.study.definition import Study, parse_study
from activitynet.study.results import summarise
from activitynet.study.trials import Claim, Trials

pytest.importorskip("optuna")

AXES: dict[str, Any] = {"optimizer.lr": [1e-3, 2e-3, 4e-3], "drop_rate": [0.0, 0.2]}
DRAWN: dict[str, Any] = {"optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True}, "drop_rate": [0.0, 0.2]}


def a_study(axes: dict[str, Any], **fields: Any) -> Study:
    base = {"name": "small", "model": "test_resnet_se", "seeds": [0, 1]}
    return parse_study({**base, "axes": axes, **fields}, what="study")


def score(claim: Claim, seed: int) -> float:
    recipe = claim.configuration.recipe
    luck = random.Random(f"{claim.configuration.key}/{seed}").random() / 100
    return 1 / (1 + abs(recipe.optimizer.lr - 5e-3) * 100) - recipe.drop_rate / 10 + luck


def record_run(claim: Claim, seed: int, macro_f1: float) -> None:
    counts = {"best_epoch": 1, "epochs": 10}
    run = {"macro_f1": macro_f1, "accuracy": macro_f1, "seconds": 60.0, "images_per_second": 9.0, **counts}
    claim.record(runs={**claim.runs, str(seed): run})


def finish(claim: Claim) -> None:
    claim.finish("COMPLETE", sum(run["macro_f1"] for run in claim.runs.values()) / len(claim.runs))


def drive(study: Study, folder: Path, *, die_after: int = 10**9) -> list[Any]:
    """Try what is claimed until nothing is left; begin anew after some runs, as after a kill."""
    trials, runs = Trials(study, folder), 0
    while (claim := trials.claim()) is not None:
        for seed in study.seeds:
            if str(seed) in claim.runs:
                continue
            record_run(claim, seed, score(claim, seed))
            runs += 1
            if runs == die_after:
                break
        else:
            finish(claim)
        claim.release()
        if runs == die_after:
            trials, runs = Trials(study, folder), 0
    assert trials.are_finished()
    return trials.all()


def test_a_grid_is_tried_whole_and_once(tmp_path: Path) -> None:
    study = a_study(AXES)
    trials = drive(study, tmp_path, die_after=5)
    # The base is a point of the grid here: the default rate, and the default dropout.
    assert [trial.params for trial in trials] == list(study.grid())
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert [row.is_base for row in summarise(study, trials, (9, 3)).rows].count(True) == 1


def test_a_base_beside_the_grid_comes_first(tmp_path: Path) -> None:
    trials = drive(a_study({"optimizer.lr": [1e-3, 4e-3]}), tmp_path, die_after=1)
    assert [trial.user_attrs["label"] for trial in trials] == ["base", "lr 0.001", "lr 0.004"]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_draws_are_the_same_whether_killed_or_not(tmp_path: Path, sampler: str) -> None:
    study = a_study(DRAWN, sampler=sampler, budget={"trials": 14})
    whole = drive(study, tmp_path / "whole")
    killed = drive(study, tmp_path / "killed", die_after=3)
    assert [trial.params for trial in whole] == [trial.params for trial in killed]
    assert [trial.value for trial in whole] == [trial.value for trial in killed]
    assert len({trial.user_attrs["key"] for trial in whole}) == len(whole) == 15  # with the base
    other = drive(a_study(DRAWN, sampler=sampler, budget={"trials": 14}, seed=1), tmp_path / "other")
    assert [trial.params for trial in other] != [trial.params for trial in whole]


def test_tpe_draws_where_the_score_was_high(tmp_path: Path) -> None:
    trials = drive(a_study(DRAWN, sampler="tpe", budget={"trials": 30}), tmp_path)

    def distance(trial: Any) -> float:
        return abs(trial.params["optimizer.lr"] - 5e-3)

    early, late = trials[1:11], trials[21:]
    assert sorted(map(distance, late))[len(late) // 2] < sorted(map(distance, early))[len(early) // 2]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_small_space_is_exhausted(tmp_path: Path, sampler: str) -> None:
    trials = drive(a_study(AXES, sampler=sampler, budget={"trials": 50}), tmp_path)
    assert len({trial.user_attrs["key"] for trial in trials}) == len(trials) == 6


@pytest.mark.parametrize("budget", [{"epochs": 60}, {"minutes": 6.0}, {"trials": 3}])
@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_a_budget_ends_a_study_and_a_larger_one_resumes_it(
    tmp_path: Path, sampler: str, budget: dict[str, Any]
) -> None:
    axes = {"optimizer.lr": [1e-3, 4e-3, 5e-3, 6e-3]}
    trials = drive(a_study(axes, sampler=sampler, budget=budget), tmp_path)
    assert len(trials) == (4 if "trials" in budget else 3)  # the base does not count as a trial
    longer = drive(a_study(axes, sampler=sampler, budget={"trials": 99}), tmp_path)
    assert len(longer) == 5
    assert [trial.params for trial in longer[: len(trials)]] == [trial.params for trial in trials]


def test_what_one_process_has_no_other_takes(tmp_path: Path) -> None:
    study = a_study({"optimizer.lr": [1e-3, 4e-3]})
    one, other = Trials(study, tmp_path), Trials(study, tmp_path)
    claims = [claim for claim in (one.claim(), other.claim(), one.claim()) if claim is not None]
    assert [claim.number for claim in claims] == [0, 1, 2]
    assert other.claim() is None
    assert not other.are_finished()  # there is something, but others work on it
    record_run(claims[1], 0, 0.5)
    claims[1].report(1, 0.25)
    claims[1].release()  # as when its process dies
    again = other.claim()
    assert again is not None
    assert again.configuration == claims[1].configuration
    assert again.runs == claims[1].runs
    assert other.all()[1].intermediate_values == {1: 0.25}
    assert [trial.state.name for trial in one.all()] == ["RUNNING"] * 3
    assert one.claim() is None
    for claim in (claims[0], claims[2], again):
        record_run(claim, 0, 0.5)
        finish(claim)
        claim.release()
    assert one.claim() is None
    assert one.are_finished()


def test_a_trial_that_failed_is_not_tried_again(tmp_path: Path) -> None:
    study = a_study({"optimizer.lr": [1e-3]}, budget={"trials": 1})
    trials = Trials(study, tmp_path)
    for _ in range(2):
        claim = trials.claim()
        assert claim is not None
        claim.record(error="it diverged")
        claim.finish("FAIL")
        claim.release()
    assert trials.claim() is None
    rows = summarise(study, trials.all(), (9, 3)).rows
    assert [(row.state, row.error) for row in rows] == [("failed", "it diverged")] * 2


def test_a_folder_that_cannot_be_written_and_a_file_that_is_not_a_journal_are_named(tmp_path: Path) -> None:
    study = a_study(AXES)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        Trials(study, tmp_path / "file")
    (tmp_path / "journal.log").write_text("hello\nworld\n")
    with pytest.raises(StorageError, match=r"journal\.log"):
        Trials(study, tmp_path)
