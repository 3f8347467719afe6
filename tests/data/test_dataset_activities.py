from __future__ import annotations

import subprocess
import sys

from hypothesis import example, given
from hypothesis import strategies as st

from activitynet.data.dataset import ACTIVITIES, slug


def test_the_20_activities_are_distinct_as_names_and_as_folders() -> None:
    assert len(ACTIVITIES) == len({slug(name) for name in ACTIVITIES}) == 20
    assert list(ACTIVITIES) == sorted(ACTIVITIES)


def test_slugs_of_known_names() -> None:
    assert slug("inactivity quiet/light") == "inactivity_quiet_light"
    assert slug("Фигурное  катание!") == "фигурное_катание_"
    assert slug("cafe\u0301") == slug("caf\u00e9") == "café"


@given(st.text())
@example("İ")
def test_a_slug_is_its_own_slug_and_safe_as_a_folder(name: str) -> None:
    once = slug(name)
    assert slug(once) == once
    assert not set(once) & set("/\\\0\n :.")


def test_the_names_cost_no_torch() -> None:
    code = "import sys, activitynet; activitynet.ACTIVITIES; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
