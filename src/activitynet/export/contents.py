"""What an exported file says about itself, and the optional packages that export needs."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from activitynet.data.preprocess import Preprocess, Views
from activitynet.errors import ModelError, WeightsError
from activitynet.serialization import records
from activitynet.weights import Card, EnsembleCard
from activitynet.weights.card import MAX_MEMBERS, read_any_card

#: Extra of this package that brings each of them.
_EXTRAS = {"onnx": "export", "onnxscript": "export", "onnxruntime": "export", "openvino": "openvino"}


def installed(*names: str) -> bool:
    """Return whether all packages are installed, without importing them."""
    return all(importlib.util.find_spec(name) is not None for name in names)


def need(name: str) -> ModuleType:
    """Import a package.

    Raises:
        ModelError: It is not installed; the message has the command.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ModelError(f"this needs {package}: pip install 'activitynet[{_EXTRAS[package]}]'.") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings, log messages and prints. Errors are still raised."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)


CARD_KEY, VIEWS_KEY = "activitynet.card", "activitynet.views"


@dataclasses.dataclass(frozen=True)
class Contents:
    """A card with the preprocessing of each input.

    Attributes:
        card: Card of the model or the ensemble.
        views: The model's preprocessing, or the distinct ones of an ensemble's members.
    """

    card: Card | EnsembleCard
    views: Views

    @property
    def preprocess(self) -> Preprocess | Views:
        """Turns a photo into the network's input."""
        return self.views if len(self.views.each) > 1 else self.views.each[0]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each input."""
        return [preprocess.size for preprocess in self.views.each]

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata of a file, by key."""
        metadata = {CARD_KEY: self.card.to_json()}
        if isinstance(self.card, EnsembleCard):  # a model's card has its preprocessing
            metadata[VIEWS_KEY] = json.dumps([preprocess.to_dict() for preprocess in self.views.each])
        return metadata

    @classmethod
    def from_metadata(cls, read: Callable[[str], str | None], path: Path) -> Contents:
        """Read the metadata that `to_metadata` wrote.

        Args:
            read: Returns the text of a key, or `None`.
            path: The file, for errors.

        Raises:
            WeightsError: There is no card, or it is not valid.
        """
        text = read(CARD_KEY)
        if text is None:
            raise WeightsError(f"{str(path)!r} has no card: it was not exported by activitynet.")
        card = read_any_card(text, what=f"the card in {str(path)!r}")
        if isinstance(card, Card):
            return cls(card, Views((card.preprocess,)))
        return cls(card, _views(read(VIEWS_KEY), path))


def _views(text: str | None, path: Path) -> Views:
    what = f"{VIEWS_KEY!r} in {str(path)!r}"
    values = records.parse_json(text or "", what=what)
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_MEMBERS:
        raise WeightsError(f"{what} must be a list of 1 to {MAX_MEMBERS}.")
    return Views(tuple(records.read_record(value, Preprocess, what=what, complete=True) for value in values))
