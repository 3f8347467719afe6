from __future__ import annotations

import inspect

from hypothesis import given
from hypothesis import strategies as st

from activitynet import errors
from activitynet.errors import ActivityNetError, clipped, did_you_mean, shown


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


@given(st.text(st.characters() | st.sampled_from("\n\t\0\u2028\ud800"), max_size=900), st.integers(10, 300))
def test_a_clipped_text_is_one_short_printable_line(text: str, longest: int) -> None:
    line = clipped(text, longest)
    assert line.isprintable()
    assert len(line.encode()) <= 10 * (longest + 1)  # an escape has ten characters at most
    assert clipped(line, 10**6) == line
    if text.isprintable() and " ".join(text.split()) == text and len(text) <= longest:
        assert line == text


def test_what_is_wrong_and_what_to_do_survive_the_clipping() -> None:
    line = clipped(f"label {'x' * 5_000!r} is not known. Correct it.")
    assert line.startswith("label 'xxx")
    assert line.endswith("is not known. Correct it.")


def test_values_of_any_depth_can_be_shown() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert shown(value) == "a list of too many levels"
    assert len(shown("x" * 10**6)) < 90
