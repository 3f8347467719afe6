"""All that is found out, in one record that can be pasted."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from activitynet import __version__
from activitynet.doctor.machine import machine, python
from activitynet.doctor.packages import extras, faults, requirements
from activitynet.doctor.privacy import without_secrets
from activitynet.doctor.surroundings import environment, folders, hub
from activitynet.doctor.trials import NEEDED, Trial, run_trials

Section: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """Something that is needed and does not work.

    Attributes:
        what: What is wrong.
        remedy: What to do.
    """

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}"


@dataclass(frozen=True)
class Diagnosis:
    """The environment of a bug report, with nothing secret in it.

    Attributes:
        sections: By heading, each a mapping from what is told of to plain JSON.
        problems: What is needed and does not work; none where all is well.
    """

    sections: Mapping[str, Section]
    problems: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        problems = [{"what": problem.what, "remedy": problem.remedy} for problem in self.problems]
        return {**{name: dict(section) for name, section in self.sections.items()}, "problems": problems}

    def to_text(self) -> str:
        """Return all of it for people, as plain text."""
        lines: list[str] = []
        for heading, section in self.sections.items():
            lines.append(heading)
            width = max((len(name) for name in section), default=0)
            for name, value in section.items():
                first, *others = _lines(value)
                lines.append(f"  {name:{width}}  {first}")
                lines += [f"  {'':{width}}  {line}" for line in others]
            if not section:
                lines.append("  none")
        return "\n".join(lines)


def diagnose(*, offline: bool = False) -> Diagnosis:
    """Find out what this library runs on, and which parts of it work here.

    Networks are run by processes of their own, so that one that crashes is a line of the answer. Tokens and
    passwords are left out, and the home folder is written as ``~``.

    Args:
        offline: Do not ask whether the Hub can be reached, the one thing that uses the network.
    """
    packages = requirements()
    trials = run_trials()
    problems = [Problem(*fault) for fault in faults(packages)]
    if not problems:  # what is missing explains what does not work
        broken = (trial for trial in trials if trial.name in NEEDED and trial.fault is not None)
        problems = [
            Problem(f"{first.name}: {first.fault}.", NEEDED[first.name])
            for first in itertools.islice(broken, 1)
        ]
    here = folders()
    if here["temporary files"]["writable"] is False:
        problems.append(
            Problem(
                f"The folder for temporary files, {here['temporary files']['folder']}, cannot be written.",
                "Set TMPDIR to one that can.",
            )
        )
    sections = {
        "activitynet": {"version": __version__, **python()},
        "machine": machine(),
        "devices": {**_details(trials, "torch"), **_details(trials, "networks")},
        "packages": {package.name: package.version or "missing" for package in packages},
        "extras": extras(packages),
        "what works": {trial.name: trial.summary for trial in trials},
        "folders": here,
        "hub": hub(offline=offline),
        "variables": environment(),
    }
    return Diagnosis(
        without_secrets(sections),
        tuple(Problem(without_secrets(each.what), without_secrets(each.remedy)) for each in problems),
    )


def _details(trials: list[Trial], name: str) -> Section:
    return next((trial.details for trial in trials if trial.name == name), {})


def _lines(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [", ".join(f"{name} {_word(each)}" for name, each in value.items() if each is not None)]
    if isinstance(value, list):
        return [_word(each) for each in value] or ["none"]
    return [_word(value)]


def _word(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
