"""Which of the packages that this library asks for are there, and whether they are new enough."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from packaging.requirements import Requirement

_PACKAGE = "activitynet"
_FOR_CONTRIBUTORS = {"dev", "docs", "release", "test"}


@dataclass(frozen=True)
class Package:
    """A package that is asked for.

    Attributes:
        name: Its name.
        wanted: Which versions, such as ``">=2.6"``.
        extra: Which extra asks for it; `None` where the library itself does.
        version: What is installed; `None` where nothing is.
    """

    name: str
    wanted: str
    extra: str | None
    version: str | None

    @property
    def fits(self) -> bool:
        """Whether it is there, in a version that is wanted."""
        if self.version is None:
            return False
        return Requirement(f"{self.name}{self.wanted}").specifier.contains(self.version, prereleases=True)


def requirements(distribution: str = _PACKAGE) -> list[Package]:
    """Return the packages that an installed distribution asks for, its own ones first.

    A copy that is run from its source and is not installed asks for nothing: then it is an empty list.
    """
    try:
        metadata = importlib.metadata.metadata(distribution)
    except importlib.metadata.PackageNotFoundError:
        return []
    extras = [name for name in metadata.get_all("Provides-Extra") or [] if name not in _FOR_CONTRIBUTORS]
    asked = [Requirement(text) for text in metadata.get_all("Requires-Dist") or []]
    found: dict[tuple[str | None, str], Package] = {}
    for extra in (None, *extras):
        for one in asked:
            if one.name == distribution or (extra is not None and _applies(one, "")):
                continue
            if _applies(one, extra or ""):
                found[extra, one.name] = Package(one.name, str(one.specifier), extra, version_of(one.name))
    return list(found.values())


def _applies(one: Requirement, extra: str) -> bool:
    return one.marker is None or one.marker.evaluate({"extra": extra})


def version_of(name: str) -> str | None:
    """Return the version of an installed distribution, `None` where there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def extras(packages: list[Package]) -> dict[str, str]:
    """Say of each extra whether it is installed, and how to install what is missing of it."""
    told: dict[str, str] = {}
    for extra in dict.fromkeys(package.extra for package in packages if package.extra):
        lacking = [package.name for package in packages if package.extra == extra and not package.fits]
        remedy = f"pip install '{_PACKAGE}[{extra}]'"
        told[extra] = f"no: {', '.join(lacking)} ({remedy})" if lacking else "installed"
    return told


def faults(packages: list[Package]) -> list[tuple[str, str]]:
    """Return what is wrong with packages that the library cannot do without, each with its remedy."""
    wrong = [package for package in packages if package.extra is None and not package.fits]
    if not wrong:
        return []
    told = [
        f"{package.name} is {'missing' if package.version is None else f'version {package.version}'}"
        for package in wrong
    ]
    wanted = " ".join(f"'{package.name}{package.wanted}'" for package in wrong)
    return [(f"{'; '.join(told)}.", f"pip install {wanted}")]
