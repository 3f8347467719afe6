"""The ``README.md`` of a weights folder: Markdown, with the front matter that the Hub reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from activitynet.data.scan import skipped_message
from activitynet.weights.card import Card, EnsembleCard

# Licenses of models that the Hub has a name for. Any other is "other" there.
_HUB_LICENSES = frozenset(
    {"apache-2.0", "mit", "bsd-3-clause", "gpl-3.0", "agpl-3.0", "openrail", "cc0-1.0", "unlicense"}
    | {"cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0"}
)

_LIMITS = """\
## Intended use and limits

Use it for single photos like those it was trained on. It predicts one of its classes for every photo,
whatever the photo shows. Check the probability, and evaluate it on your own photos before you rely on it.

It sees one photo only: not what happened before or after, and not who a person is. Do not use it to make
decisions about people. Expect most errors in classes with few training photos, and on photos unlike the
training photos."""

_PAGE = """\
---
{front_matter}
---

# {architecture}

Classifies a photo into one of {count} classes.

{limits}

## Usage

```python
from activitynet import Classifier

classifier = Classifier.load("{place}")
print(classifier.predict_one("photo.jpg"))
```

timm loads the network only{ours}: `timm.create_model("{timm}:{place}", pretrained=True)`.

## Input

RGB, {height} x {width} pixels; resize mode "{resize}", {interpolation} interpolation. `config.json` has all
settings.

## Metrics

{metrics}

## Calibration

{calibration}

## Training data

{training_data}

## Training

{recipe}

## License

{license}

## Classes

{classes}

## Integrity

Written by activitynet {version}. SHA-256 of `model.safetensors`: `{sha256}`.
"""

_PLACE = "path/to/this/folder"
_PER_CLASS = ("precision", "recall", "f1", "photos")


def model_page(card: Card, *, picture: str | None = None) -> str:
    """Return the ``README.md`` of a weights folder. Text of the card is escaped.

    Args:
        card: The card. The table of classes shows ``per_class`` of its metrics (class name to ``precision``,
            ``recall``, ``f1`` and ``photos``).
        picture: File name of the confusion matrix in the same folder; `None` for none.
    """
    return _PAGE.format(
        front_matter=_front_matter(card),
        architecture=_escaped(card.architecture),
        limits=_LIMITS,
        count=len(card.classes),
        place=_PLACE,
        timm="local-dir",
        ours="" if card.architecture.startswith("timm/") else ", after `import activitynet.zoo`",
        height=card.preprocess.size[0],
        width=card.preprocess.size[1],
        resize=card.preprocess.resize,
        interpolation=card.preprocess.interpolation,
        metrics=_metrics(card, picture),
        calibration=_calibration(card),
        training_data=_training_data(card),
        recipe=_table(("setting", "value"), _flat(card.recipe)) if card.recipe else "Not stated.",
        license=_escaped(card.license) or "Not stated.",
        classes=_classes(card),
        version=_escaped(card.library_version),
        sha256=card.sha256,
    )


_ENSEMBLE_PAGE = """\
---
{front_matter}
---

# An ensemble of {count} models

Classifies a photo into one of {classes} classes. It averages the {average} of its members.

{limits}

## Usage

```python
from activitynet import load_ensemble

ensemble = load_ensemble("path/to/this/folder")
print(ensemble.predict_one("photo.jpg"))
```

## Members

{members}

## Metrics

{metrics}

## Calibration

The logits of each member are divided by that member's temperature before averaging. The temperature of the
average is {temperature:.4g}.

## Training data

{training_data}

## License

{license}

## Classes

{classes_table}

Written by activitynet {version}.
"""


def ensemble_page(card: EnsembleCard, members: Sequence[Card], *, picture: str | None = None) -> str:
    """Return the ``README.md`` of an ensemble's folder; see `model_page`."""
    rows = [
        (f"{entry.folder} ({member.architecture})", f"{entry.weight:.3f}")
        for entry, member in zip(card.members, members, strict=True)
    ]
    return _ENSEMBLE_PAGE.format(
        front_matter=_front_matter(card),
        count=len(members),
        classes=len(card.classes),
        average=card.average,
        members=_table(("member", "share"), rows),
        limits=_LIMITS,
        metrics=_metrics(card, picture),
        temperature=card.temperature,
        classes_table=_classes(card),
        training_data=_escaped(card.training_data) or "Not stated.",
        license=_escaped(card.license) or "Not stated.",
        version=_escaped(card.library_version),
    )


def _training_data(card: Card) -> str:
    text = _escaped(card.training_data) or "Not stated."
    return f"{text}\n\n{skipped_message(card.skipped).capitalize()}." if card.skipped else text


def with_place(page: str, repository: str) -> str:
    """Return a page whose examples load the weights from a repository on the Hub."""
    here = page.replace(f'"local-dir:{_PLACE}"', f'"hf-hub:{repository}"')
    return here.replace(f'"{_PLACE}"', f'"{repository}"')


def _metrics(card: Card | EnsembleCard, picture: str | None) -> str:
    metrics = {name: value for name, value in card.metrics.items() if name != "per_class"}
    measured = _table(("measure", "value"), _flat(metrics)) if metrics else "Not measured."
    return f"{measured}\n\n![Confusion matrix]({picture})" if picture is not None else measured


def _calibration(card: Card) -> str:
    fitted = card.metrics.get("calibration")
    if card.temperature != 1:
        text = f"Logits are divided by the temperature {card.temperature:.4g} before the softmax."
    elif isinstance(fitted, dict) and fitted.get("method") == "vector":
        text = "Calibrated by vector scaling: the last layer scales and shifts the logit of each class."
    else:
        text = "The model is not calibrated: probabilities are the softmax of the logits (temperature 1)."
    if card.unknown_below > 0:
        text += f" A photo is unknown if its highest probability is below {card.unknown_below:.4g}."
    return text


def _classes(card: Card | EnsembleCard) -> str:
    per_class = card.metrics.get("per_class")
    if not isinstance(per_class, dict):
        return _table(("output", "class"), [(str(at), name) for at, name in enumerate(card.classes)])
    rows = []
    for at, name in enumerate(card.classes):
        scores = per_class.get(name)
        cells = (
            _value(scores[key]) if isinstance(scores, dict) and key in scores else "–" for key in _PER_CLASS
        )
        rows.append((str(at), name, *cells))
    return _table(("output", "class", *_PER_CLASS), rows)


def _front_matter(card: Card | EnsembleCard) -> str:
    if not card.license:
        license = ["license: unknown"]
    elif card.license.lower() in _HUB_LICENSES:
        license = [f"license: {card.license.lower()}"]
    else:  # JSON is valid YAML
        license = ["license: other", f"license_name: {json.dumps(card.license, ensure_ascii=False)}"]
    fixed = "library_name: activitynet\npipeline_tag: image-classification\ntags:\n- activitynet"
    return "\n".join([*license, fixed])


def _flat(metrics: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in metrics.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name} / ")
        else:
            yield f"{above}{name}", _value(value)


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(map(_escaped, row))} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *lines])


def _escaped(text: str) -> str:
    """Put a text on one line, and escape all Markdown and HTML in it."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~$&-])", r"\\\1", " ".join(text.split()))
