from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitynet.data.preprocess import Preprocess
from activitynet.errors import WeightsError
from activitynet.serialization.records import MAX_BYTES
from activitynet.weights import Card

CARD = Card(
    architecture="test_resnet_se",
    model_args={"drop_rate": 0.1, "layers": [1, 2]},
    classes=("walking", "inactivity quiet/light", "бег\n"),
    preprocess=Preprocess(size=(64, 48), resize="pad"),
    temperature=1.25,
    metrics={"val": {"macro_f1": 0.81, "photos": 1914, "per_class": {"walking": None}}},
    training_data="drawn photos",
    license="apache-2.0",
    library_version="0.1.0",
    sha256="ab" * 32,
)
VALUES: dict[str, Any] = json.loads(CARD.to_json())
FOR_TIMM = ("zoo", "num_classes", "label_names", "pretrained_cfg")

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.text(min_size=1).filter(str.strip)
cards = st.builds(
    Card,
    architecture=names,
    model_args=st.dictionaries(st.text(), plain, max_size=3),
    classes=st.lists(names, min_size=1, max_size=6, unique=True).map(tuple),
    preprocess=st.just(Preprocess()),
    temperature=st.floats(1e-3, 1e3),
    metrics=st.dictionaries(st.text(), plain, max_size=3),
    training_data=st.text(),
    skipped=st.dictionaries(st.sampled_from(["train", "val", "test"]), st.integers(1)),
    license=st.text(),
    recipe=st.dictionaries(st.text(), plain, max_size=3),
    sha256=st.just("") | st.text("0123456789abcdef", min_size=64, max_size=64),
)


@pytest.mark.parametrize("architecture", ["resnet18_se", "timm/resnet18", "timm/", "timm/timm/x"])
def test_an_architecture_of_timm_is_called_what_timm_calls_it(architecture: str) -> None:
    card = dataclasses.replace(CARD, architecture=architecture)
    assert json.loads(card.to_json())["architecture"] == architecture.removeprefix("timm/")
    assert Card.from_json(card.to_json()) == card


def test_a_card_does_not_need_what_only_timm_reads() -> None:
    assert Card.from_json(json.dumps({k: v for k, v in VALUES.items() if k not in FOR_TIMM})) == CARD


@pytest.mark.parametrize("field", FOR_TIMM)
def test_timm_is_told_nothing_else(field: str) -> None:
    other = {"zoo": "keras", "num_classes": 4, "label_names": VALUES["classes"][::-1], "pretrained_cfg": {}}
    with pytest.raises(WeightsError, match=f"field {field!r}, which timm reads, contradicts"):
        Card.from_json(json.dumps({**VALUES, field: other[field]}))


def test_swapped_class_names_contradict_what_timm_is_told() -> None:
    with pytest.raises(WeightsError, match="'label_names', which timm reads, contradicts"):
        Card.from_json(json.dumps({**VALUES, "classes": VALUES["classes"][::-1]}))


@given(cards)
def test_every_card_survives_json(card: Card) -> None:
    assert Card.from_json(card.to_json()) == card


def test_tuples_and_numpy_numbers_become_plain() -> None:
    card = dataclasses.replace(CARD, model_args={"layers": (1, 2)}, metrics={"f1": np.float64(0.5)})
    assert card.model_args == {"layers": [1, 2]}
    assert type(card.metrics["f1"]) is float
    assert Card.from_json(card.to_json()) == card


def test_a_card_is_not_changed_through_what_it_was_made_of() -> None:
    metrics = {"val": {"f1": 0.5}}
    card = dataclasses.replace(CARD, metrics=metrics)
    metrics["val"]["f1"] = 1.0
    assert card.metrics == {"val": {"f1": 0.5}}


@pytest.mark.parametrize("field", sorted(VALUES.keys() - set(FOR_TIMM)))
def test_a_missing_field_is_named(field: str) -> None:
    values = {name: value for name, value in VALUES.items() if name != field}
    with pytest.raises(WeightsError, match=f"'{field}'"):
        Card.from_json(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"clases": []}, "'clases'. Did you mean 'classes'"),
        ({"skipped": {"train": 0}}, "'skipped.train' must be a whole number of at least 1, got 0"),
        ({"skipped": {"train": True}}, "'skipped.train' must be a whole number"),
        ({"skipped": {"train": 1.0}}, "'skipped.train' must be a whole number"),
        ({"skipped": {"dev": 1}}, "'skipped.dev' must be train, val or test"),
        ({"skipped": 3}, "'skipped' must be a table"),
        ({"architecture": ""}, "'architecture' must be text that is not empty"),
        ({"architecture": 5}, "'architecture' must be text"),
        ({"architecture": ["a"]}, "'architecture' must be text"),
        ({"classes": []}, "'classes' must be"),
        ({"classes": "walking"}, "'classes' must be"),
        ({"classes": {"0": "a"}}, "'classes' must be"),
        ({"classes": ["a", "b", "a"]}, "'classes' must name each class once, got 'a'"),
        ({"classes": ["a", " "]}, "'classes\\[1\\]' must be text that is not empty"),
        ({"classes": ["a", 1]}, "'classes\\[1\\]' must be text that is not empty"),
        ({"classes": ["x"] * 100_001}, "'classes' must be"),
        (
            {"preprocess": {**VALUES["preprocess"], "size": [0, 1]}},
            "size\\[0\\]' must be a whole number from 1 to 4096",
        ),
        (
            {"preprocess": {**VALUES["preprocess"], "size": [5000, 1]}},
            "size\\[0\\]' must be a whole number from 1 to 4096",
        ),
        ({"preprocess": {"size": [1, 1]}}, "lacks its field 'preprocess.resize'"),
        ({"preprocess": "none"}, "'preprocess' must be a table"),
        ({"temperature": 0}, "'temperature'"),
        ({"temperature": -1.0}, "'temperature'"),
        ({"temperature": 1e-320}, "'temperature'"),
        ({"temperature": True}, "'temperature'"),
        ({"temperature": "1"}, "'temperature'"),
        ({"model_args": [1]}, "'model_args' must be a table"),
        ({"metrics": None}, "'metrics' must be a table"),
        ({"training_data": None}, "'training_data' must be text"),
        ({"license": 1}, "'license' must be text"),
        ({"library_version": 1}, "'library_version' must be text"),
        ({"sha256": "AB" * 32}, "'sha256' must be 64 hexadecimal digits"),
        ({"sha256": "ab" * 31}, "'sha256' must be 64 hexadecimal digits"),
        ({"card_version": 2}, "'card_version' must be 1; update activitynet"),
        ({"card_version": 2, "new_field": 1}, "'card_version' must be 1; update activitynet"),
        ({"card_version": True}, "'card_version'"),
        ({"card_version": 1.0}, "'card_version'"),
        ({"card_version": "1"}, "'card_version'"),
        ({"training_data": "\ud800"}, "not valid Unicode"),
        ({"training_data": "x" * MAX_BYTES}, "more than the"),
    ],
)
def test_bad_values_are_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(WeightsError, match=named) as caught:
        Card.from_json(json.dumps({**VALUES, **change}))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "must be a table of fields"),
        ("null", "must be a table of fields"),
        (CARD.to_json()[:-20], "not valid JSON"),
        (CARD.to_json() + "{}", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        (CARD.to_json().replace("1.25", "NaN"), "NaN"),
        (CARD.to_json().replace("1.25", "-Infinity"), "Infinity"),
        (CARD.to_json().replace("1.25", "1e999"), "'temperature'"),
        (CARD.to_json().replace("0.81", "1e999"), "'metrics'"),
        (CARD.to_json().replace("1.25", "9" * 5000), "card"),
        (
            CARD.to_json().replace('"license"', '"architecture": "other", "license"'),
            "'architecture' occurs twice",
        ),
        (CARD.to_json().replace('"photos"', '"macro_f1"'), "'macro_f1' occurs twice"),
        (CARD.to_json() + " " * MAX_BYTES, "more than the"),
        (
            CARD.to_json().replace('"resize": "pad"', '"resize": "' + "pad" * 99_999 + '"'),
            "resize' must be one of",
        ),
        (CARD.to_json().replace("0.229", "[" * 900 + "]" * 900), "nests too deep"),
        (CARD.to_json().replace('"license"', '"' + "license" * 99_999 + '"'), "has no field 'license"),
        (CARD.to_json().replace('"size"', '"size\\n\\u001b\\u2028"'), "has no field 'preprocess.size"),
    ],
)
def test_text_that_is_no_card_is_refused(text: str, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason) as refusal:
        Card.from_json(text)
    assert len(str(refusal.value)) < 400
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("value", [{"x": float("nan")}, {"x": object()}, {"x": {1, 2}}, {(1, 2): 3}, 5])
def test_what_json_cannot_hold_is_refused_when_a_card_is_made(value: Any) -> None:
    for field in ("metrics", "model_args"):
        with pytest.raises(WeightsError, match=f"'{field}'"):
            dataclasses.replace(CARD, **{field: value})


@settings(max_examples=200)
@given(field=st.sampled_from(sorted(VALUES)), value=plain)
def test_any_value_in_any_field_is_taken_or_refused_by_name(field: str, value: Any) -> None:
    text = json.dumps({**VALUES, field: value})
    try:
        card = Card.from_json(text)
    except WeightsError as error:
        message = str(error)
    else:
        assert json.loads(card.to_json())[field] == value
        return
    assert field in message.lower() or field == "preprocess"


@settings(max_examples=200)
@given(place=st.integers(0), replacement=st.text(max_size=3), length=st.integers(0, 3))
def test_changed_text_gives_a_card_or_a_weights_error(place: int, replacement: str, length: int) -> None:
    text = CARD.to_json()
    place %= len(text)
    with contextlib.suppress(WeightsError):
        Card.from_json(text[:place] + replacement + text[place + length :])
