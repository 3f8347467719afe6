from __future__ import annotations

import json

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from activitynet.data.preprocess import Preprocess
from activitynet.weights import Card
from activitynet.weights.model_card import model_page

HOSTILE = "a|b\n# <script>alert(1)</script> [x](y) ![i](j) **bold** `code` {x} &amp; --- $m$"


def card(**fields: object) -> Card:
    values: dict[str, object] = {
        "architecture": "test_resnet_se",
        "classes": ("walking", "running"),
        "preprocess": Preprocess(),
        "metrics": {"val": {"macro_f1": 0.8125, "photos": 12, "missing": ["a", None]}},
        "sha256": "ab" * 32,
        "library_version": "0.1.0",
    }
    return Card(**{**values, **fields})  # type: ignore[arg-type]


def test_the_page_says_what_the_card_says() -> None:
    page = model_page(card(training_data="drawings", license="MIT"))
    for text in (
        "| 0 | walking |",
        "| 1 | running |",
        "| val / macro\\_f1 | 0.8125 |",
        "| val / photos | 12 |",
    ):
        assert text in page
    for text in ("drawings", "Intended use", 'Classifier.load("', "ab" * 32, "224 x 224"):
        assert text in page


def test_what_is_not_known_is_said_to_be() -> None:
    page = model_page(card(metrics={}))
    assert "Not measured." in page
    assert page.count("Not stated.") == 3
    assert "not calibrated" in page


def test_photos_that_were_left_out_are_counted() -> None:
    text = "drawings\n\nUnreadable photos left out: 3 (2 train, 1 val).\n\n## "
    assert text in model_page(card(training_data="drawings", skipped={"train": 2, "val": 1}))
    assert "left out" not in model_page(card(training_data="drawings"))


@pytest.mark.parametrize(
    ("license", "expected", "name"),
    [
        ("", "unknown", None),
        ("Apache-2.0", "apache-2.0", None),
        ("my own: terms\n---\nlicense: mit", "other", "my own: terms\n---\nlicense: mit"),
    ],
)
def test_the_hub_reads_the_front_matter(license: str, expected: str, name: str | None) -> None:
    data = ModelCard(model_page(card(license=license))).data
    assert data.license == expected
    assert data.get("license_name") == name
    assert data.library_name == "activitynet"
    assert data.pipeline_tag == "image-classification"


def test_texts_of_a_card_stay_texts() -> None:
    page = model_page(
        card(
            classes=(HOSTILE, "plain"),
            training_data=HOSTILE,
            license=HOSTILE,
            metrics={HOSTILE: HOSTILE},
            architecture=HOSTILE,
        )
    )
    body = page.split("\n---\n", 1)[1]
    html = MarkdownIt("commonmark").enable("table").render(body)
    for tag in ("<script", "<a ", "<img", "<strong>"):
        assert tag not in html
    assert html.count("<table>") == 2
    assert html.count("<h1>") == 1
    assert html.count("<h2>") == model_page(card()).count("\n## ")
    front = yaml.safe_load(page.split("\n---\n", 1)[0].removeprefix("---\n"))
    assert front["license_name"] == HOSTILE
    assert json.dumps(front)
