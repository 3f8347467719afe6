from __future__ import annotations

import inspect

from activitynet import errors
from activitynet.errors import ActivityNetError, did_you_mean


def test_every_error_is_an_activitynet_error_and_says_when_it_comes() -> None:
    kinds = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
    ]
    assert len(kinds) > 5
    for kind in kinds:
        assert issubclass(kind, ActivityNetError)
        assert kind.__doc__


def test_the_closest_name_is_suggested() -> None:
    names = ("resnet18_se", "resnet34_se", "efficientnet_b0_se")
    assert did_you_mean("resnet18se", names) == " Did you mean 'resnet18_se'?"
    assert did_you_mean("efficientnet_b0_se", names) == " Did you mean 'efficientnet_b0_se'?"


def test_nothing_is_suggested_when_nothing_is_close() -> None:
    assert did_you_mean("vit", ("resnet18_se",)) == ""
    assert did_you_mean("anything", ()) == ""
    assert did_you_mean("", iter(["a"])) == ""
