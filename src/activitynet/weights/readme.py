"""The page that tells people what is in a weights folder: Markdown, with the Hub's front matter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from activitynet.weights.card import Card

# Licences that the Hub has a name for and that models come with; any other is "other" there.
_HUB_LICENCES = frozenset(
    {"apache-2.0", "mit", "bsd-3-clause", "gpl-3.0", "agpl-3.0", "openrail", "cc0-1.0", "unlicense"}
    | {"cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0"}
)

_PAGE = """\
---
{front_matter}
---

# {architecture}

Tells which of {count} classes a photo belongs to.

## Intended use

For single photos of the kind the model was trained on. It answers with one of its classes whatever a
photo shows, so look at the probability, and measure on photos of your own before you rely on it.

## How to load it

```python
from activitynet import Classifier

classifier = Classifier.load("path/to/this/folder")
print(classifier.predict_one("photo.jpg"))
```

## Input

RGB, {height} x {width} pixels, resized by "{resize}", {interpolation}. `config.json` says it exactly.

## Metrics

{metrics}

## Training data

{training_data}

## Licence

{licence}

## Classes

{classes}

## Integrity

Written by activitynet {version}. SHA-256 of `model.safetensors`: `{sha256}`.
"""


def model_page(card: Card) -> str:
    """Return the ``README.md`` of a weights folder. Texts of the card are escaped, so they stay texts."""
    return _PAGE.format(
        front_matter=_front_matter(card),
        architecture=_escaped(card.architecture),
        count=len(card.classes),
        height=card.preprocess.size[0],
        width=card.preprocess.size[1],
        resize=card.preprocess.resize,
        interpolation=card.preprocess.interpolation,
        metrics=_table("measure", "value", list(_flat(card.metrics))) if card.metrics else "Not measured.",
        training_data=_escaped(card.training_data) or "Not stated.",
        licence=_escaped(card.licence) or "Not stated.",
        classes=_table("output", "class", [(str(index), name) for index, name in enumerate(card.classes)]),
        version=_escaped(card.library_version),
        sha256=card.sha256,
    )


def _front_matter(card: Card) -> str:
    if not card.licence:
        licence = ["license: unknown"]
    elif card.licence.lower() in _HUB_LICENCES:
        licence = [f"license: {card.licence.lower()}"]
    else:  # a JSON text is a YAML text, too
        licence = ["license: other", f"license_name: {json.dumps(card.licence, ensure_ascii=False)}"]
    fixed = "library_name: activitynet\npipeline_tag: image-classification\ntags:\n- activitynet"
    return "\n".join([*licence, fixed])


def _flat(metrics: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in metrics.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name} / ")
        else:
            text = f"{value:.4f}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
            yield f"{above}{name}", text


def _table(left: str, right: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {_escaped(first)} | {_escaped(second)} |" for first, second in rows]
    return "\n".join([f"| {left} | {right} |", "| --- | --- |", *lines])


def _escaped(text: str) -> str:
    """Return a text on one line in which Markdown and HTML see no markup."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~$&-])", r"\\\1", " ".join(text.split()))
