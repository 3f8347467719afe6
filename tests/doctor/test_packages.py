from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from activitynet.doctor.packages import extras, faults, requirements

METADATA = """\
Metadata-Version: 2.4
Name: house
Version: 1
Provides-Extra: more
Provides-Extra: test
Requires-Dist: numpy>=999
Requires-Dist: pillow>=1
Requires-Dist: nothing-of-that-name>=2
Requires-Dist: never>=1; python_version < '3'
Requires-Dist: torch>=1; extra == 'more'
Requires-Dist: nor-this-one; extra == 'more'
Requires-Dist: house[more]; extra == 'test'
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "house-1.dist-info").mkdir()
    (tmp_path / "house-1.dist-info" / "METADATA").write_text(METADATA)
    monkeypatch.syspath_prepend(tmp_path)
    return "house"


def test_what_is_missing_or_old_is_named_with_the_remedy(house: str) -> None:
    found = requirements(house)
    assert [package.name for package in found if package.extra is None] == [
        "numpy",
        "pillow",
        "nothing-of-that-name",
    ]
    ((what, remedy),) = faults(found)
    assert what == f"numpy is version {np.__version__}; nothing-of-that-name is missing."
    assert remedy == "pip install 'numpy>=999' 'nothing-of-that-name>=2'"


def test_an_extra_says_what_it_lacks(house: str) -> None:
    told = extras(requirements(house))
    assert list(told) == ["more"]
    assert told["more"].startswith("no: nor-this-one (pip install ")


def test_a_copy_that_is_not_installed_asks_for_nothing() -> None:
    assert requirements("no-such-distribution") == []
    assert faults([]) == []
