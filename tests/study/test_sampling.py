"""Which configurations are tried, and by whom; training is not needed for that."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from activitynet.errors import StorageError
from activitynet.study.definition import Study, read_definition
from activitynet.study.results import summarise
from activitynet.study.running import _next
from activitynet.study.sampling import new_proposals
from activitynet.study.storage import open_storage
from activitynet.study.trials import STALE_SECONDS, Proposal, Trials

pytest.importorskip("optuna")

AXES: dict[str, Any] = {"optimizer.lr": [1e-3, 2e-3, 4e-3], "drop_rate": [0.0, 0.2]}
DRAWN: dict[str, Any] = {"optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True}, "drop_rate": [0.0, 0.2]}


def a_study(axes: dict[str, Any], **fields: Any) -> Study:
    return read_definition({"model": "test_resnet_se", "seeds": [0, 1], "axes": axes, **fields}, "small")


def open_trials(study: Study, folder: Path, url: str | None = None, *, folder_id: str = "here") -> Trials:
    return Trials(study.name, folder, open_storage(folder, url), folder_id, axes=study.axes)


def score(proposal: Proposal, seed: int) -> float:
    recipe = proposal.configuration.recipe
    luck = random.Random(f"{proposal.configuration.key}/{seed}").random() / 100
    return 1 / (1 + abs(recipe.optimizer.lr - 5e-3) * 100) - recipe.drop_rate / 10 + luck


def a_run(macro_f1: float) -> dict[str, Any]:
    counts = {"best_epoch": 1, "epochs": 10}
    return {"macro_f1": macro_f1, "accuracy": macro_f1, "seconds": 60.0, "images_per_second": 9.0, **counts}


def drive(study: Study, open_it: Callable[[], Trials], *, die_after: int = 10**9) -> list[Any]:
    """Try what is proposed until nothing is; everything is opened anew after some notes, as after a kill."""
    trials, notes = open_it(), 0
    while True:
        taken, proposal = _next(study, trials)
        if taken is None or proposal is None:
            assert proposal is None
            return trials.all()
        for seed in study.seeds:
            if str(seed) in taken.runs:
                continue
            taken.note_run(seed, a_run(score(proposal, seed)))
            notes += 1
            if notes == die_after:
                break
        else:
            taken.end("COMPLETE", sum(run["macro_f1"] for run in taken.runs.values()) / len(taken.runs))
        taken.release()
        if notes == die_after:
            trials, notes = open_it(), 0


@pytest.mark.parametrize("url", [None, "sqlite:///{}/studies.db", "{}/elsewhere/journal"])
def test_a_grid_is_tried_whole_and_once(tmp_path: Path, url: str | None) -> None:
    study = a_study(AXES)
    place = url.format(tmp_path) if url is not None else None
    trials = drive(study, lambda: open_trials(study, tmp_path, place), die_after=5)
    # The base is a point of the grid here: the default rate, and the default dropout.
    assert [trial.params for trial in trials] == list(study.grid())
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert [row.is_base for row in summarise(study, trials, (9, 3)).rows].count(True) == 1


def test_a_base_beside_the_grid_comes_first(tmp_path: Path) -> None:
    study = a_study({"optimizer.lr": [1e-3, 4e-3]})
    trials = drive(study, lambda: open_trials(study, tmp_path))
    assert [trial.user_attrs["label"] for trial in trials] == ["base", "lr 0.001", "lr 0.004"]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_draws_are_the_same_whether_killed_or_not(tmp_path: Path, sampler: str) -> None:
    study = a_study(DRAWN, sampler=sampler, budget={"trials": 14})
    whole = drive(study, lambda: open_trials(study, tmp_path / "whole"))
    killed = drive(study, lambda: open_trials(study, tmp_path / "killed"), die_after=3)
    assert [trial.params for trial in whole] == [trial.params for trial in killed]
    assert len(whole) == 15  # with the base
    keys = {trial.user_attrs["key"] for trial in whole}
    assert len(keys) == 15


def test_tpe_looks_where_it_was_good(tmp_path: Path) -> None:
    study = a_study(DRAWN, sampler="tpe", budget={"trials": 30})
    trials = drive(study, lambda: open_trials(study, tmp_path))

    def far(trial: Any) -> float:
        return abs(trial.params["optimizer.lr"] - 5e-3)

    early, late = trials[1:11], trials[21:]
    assert sorted(map(far, late))[len(late) // 2] < sorted(map(far, early))[len(early) // 2]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_small_space_is_exhausted(tmp_path: Path, sampler: str) -> None:
    study = a_study(AXES, sampler=sampler, budget={"trials": 50})
    trials = drive(study, lambda: open_trials(study, tmp_path))
    assert len(trials) == 6
    assert len({trial.user_attrs["key"] for trial in trials}) == 6


@pytest.mark.parametrize("budget", [{"epochs": 60}, {"minutes": 6.0}, {"trials": 3}])
@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_a_budget_ends_a_study_and_more_of_it_goes_on(
    tmp_path: Path, sampler: str, budget: dict[str, Any]
) -> None:
    study = a_study({"optimizer.lr": [1e-3, 4e-3, 5e-3, 6e-3]}, sampler=sampler, budget=budget)
    trials = drive(study, lambda: open_trials(study, tmp_path))
    assert len(trials) == (4 if "trials" in budget else 3)  # the base does not count as a trial
    more = a_study({"optimizer.lr": [1e-3, 4e-3, 5e-3, 6e-3]}, sampler=sampler, budget={"trials": 99})
    longer = drive(more, lambda: open_trials(more, tmp_path))
    assert len(longer) == 5
    assert [trial.params for trial in longer[: len(trials)]] == [trial.params for trial in trials]


def test_what_one_has_no_other_takes(tmp_path: Path) -> None:
    study = a_study({"optimizer.lr": [1e-3, 4e-3]})
    one, other = open_trials(study, tmp_path), open_trials(study, tmp_path)
    taken = [_next(study, trials)[0] for trials in (one, other, one)]
    assert [each.number for each in taken if each is not None] == [0, 1, 2]
    held, left = _next(study, other)
    assert held is None
    assert left is not None  # there is something, but others are at it
    for each in taken:
        assert each is not None
        each.release()
    again, _ = _next(study, other)
    assert again is not None
    assert again.number == 0
    again.release()


def test_a_host_without_pulse_is_taken_for_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = a_study({"optimizer.lr": [1e-3]})
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    far = open_trials(study, tmp_path / "far", url, folder_id="far")
    near = open_trials(study, tmp_path / "near", url, folder_id="near")
    dead, proposal = _next(study, far)
    assert dead is not None
    assert proposal is not None
    assert near.take(proposal) is None
    dead.release()
    assert near.take(proposal) is None  # its pulse is fresh
    later = time.time() + 2 * STALE_SECONDS
    monkeypatch.setattr("activitynet.study.trials.time.time", lambda: later)
    taken = near.take(proposal)
    assert taken is not None
    assert taken.number == 1
    dead.note_run(0, a_run(0.1))  # it was alive after all, and nobody minds
    dead.end("COMPLETE", 0.1)
    taken.note_run(0, a_run(0.2))
    taken.end("COMPLETE", 0.2)
    taken.release()
    assert [trial.value for trial in near.all()] == [0.2]


def test_of_two_hosts_that_take_one_at_the_same_instant_the_first_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = a_study({"optimizer.lr": [1e-3]})
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    far = open_trials(study, tmp_path / "far", url, folder_id="far")
    near = open_trials(study, tmp_path / "near", url, folder_id="near")
    (proposal,) = itertools.islice(new_proposals(study, []), 1)
    add, first = near.study.add_trial, []

    def add_late(trial: Any) -> None:  # near has seen that nobody has it, and far is quicker
        first.append(far.take(proposal))
        add(trial)

    monkeypatch.setattr(near.study, "add_trial", add_late)
    assert near.take(proposal) is None
    assert first[0].number == 0
    first[0].end("COMPLETE", 0.5)
    first[0].release()
    assert [trial.number for trial in near.all()] == [0]
    assert near.take(proposal) is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense://user:secret@host/x", "nonsense://…"),
        ("postgresql+nothing://user:secret@host/x", "postgresql"),
        ("sqlite:////nowhere/at/all.db", "cannot be opened"),
    ],
)
def test_a_storage_that_is_none_is_one_line_without_its_password(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(StorageError) as caught:
        open_storage(tmp_path, url)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\nworld\n")
    with pytest.raises(StorageError, match=r"notes\.txt"):
        open_storage(tmp_path, str(tmp_path / "notes.txt"))
