from __future__ import annotations

import pytest

from activitynet.data.dataset import ACTIVITIES, ClassIndex, checked_classes, inferred_classes, slug
from activitynet.errors import DataError


def test_labels_of_activities_make_the_20_classes() -> None:
    assert inferred_classes(slug(name) for name in ACTIVITIES[:10]) == ACTIVITIES
    assert inferred_classes(slug(name) for name in ACTIVITIES[:9]) != ACTIVITIES
    assert len(inferred_classes([*ACTIVITIES, "juggling"])) == 21


def test_other_labels_come_once_each_and_in_natural_order() -> None:
    assert inferred_classes(["c10", "c2", "c2", "c1"]) == ("c1", "c2", "c10")


def test_labels_that_are_nearly_alike_are_refused() -> None:
    with pytest.raises(DataError, match="'tai chi' and 'Tai-Chi' may be one class"):
        inferred_classes(["tai chi", "Tai-Chi", "yoga"])


def test_a_class_is_found_by_name_or_else_by_slug() -> None:
    index = ClassIndex(("C-", "C+", "home repair"))
    assert [index.find(name) for name in ("C-", "C+", "Home_Repair")] == [0, 1, 2]
    with pytest.raises(DataError, match=r"'C~' could be class 'C-' and 'C\+'"):
        index.find("C~")
    with pytest.raises(
        DataError, match=r"'home repairs' is not one of the 3 classes\. Did you mean 'home repair'"
    ):
        index.find("home repairs")


@pytest.mark.parametrize("classes", ["ab", ["a"], ["a", "a"], []])
def test_classes_are_two_or_more_names(classes: list[str]) -> None:
    with pytest.raises(DataError, match="two or more names"):
        checked_classes(classes)
