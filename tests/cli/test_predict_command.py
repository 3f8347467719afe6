from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import activitynet
from activitynet import weights
from activitynet.cli.main import run
from activitynet.errors import DataError, ModelError
from activitynet.inference import Prediction, Tally

GOOD = Prediction("a b.jpg", "running", 0.75, (("running", 0.75), ("walking", 0.25)))
HOSTILE = Prediction(
    '[red]"x",\n\x1b[2J\udcff.jpg', "walking", 0.625, (("walking", 0.625), ("running", 0.375))
)
BAD = Prediction("cut.jpg", None, None, error="'cut.jpg' is cut short.")


class FakeClassifier:
    classes = ("running", "walking")
    predictions: tuple[Prediction, ...] = ()
    asked: tuple[object, ...] = ()
    device: object = None
    unknown_below: float | None = -1.0

    @classmethod
    def load(cls, folder: object, *, device: object, engine: object) -> FakeClassifier:
        cls.device = device
        return cls()

    def predict(
        self,
        photos: list[str],
        *,
        top: int,
        workers: int | None,
        unknown_below: float | None,
        allow_urls: bool,
        tta: object,
    ) -> Iterator[Prediction]:
        type(self).asked = (photos, top, allow_urls)
        type(self).unknown_below = unknown_below
        yield from self.predictions


@pytest.fixture
def classifier(monkeypatch: pytest.MonkeyPatch) -> type[FakeClassifier]:
    fake = type("Fake", (FakeClassifier,), {})
    monkeypatch.setitem(vars(activitynet), "Classifier", fake)
    monkeypatch.setattr(weights, "find_weights", Path)
    return fake


def test_json_is_one_exact_line_a_photo(
    classifier: type[FakeClassifier], capsys: pytest.CaptureFixture[str]
) -> None:
    classifier.predictions = (GOOD, HOSTILE)
    assert run(["predict", "a", "b", "--weights", "w", "--json", "--allow-urls"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [GOOD.to_dict(), HOSTILE.to_dict()]
    assert classifier.asked == (["a", "b"], 2, True)


def test_csv_is_one_line_a_photo_below_its_header(
    classifier: type[FakeClassifier], capsys: pytest.CaptureFixture[str]
) -> None:
    classifier.predictions = (GOOD, BAD, HOSTILE)
    assert run(["predict", "a", "--weights", "w", "--csv"]) == 1
    out = capsys.readouterr().out
    assert len(out.split("\n")) == 5
    assert "\r" not in out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert rows[0] == {
        "source": "a b.jpg",
        "error": "",
        "label": "running",
        "probability": "0.75",
        "label_2": "walking",
        "probability_2": "0.25",
    }
    assert rows[1]["error"] == BAD.error
    assert rows[1]["label"] == ""
    assert rows[2]["source"] == '[red]"x",\\n\\x1b[2J\\udcff.jpg'


def test_rows_for_people(classifier: type[FakeClassifier], capsys: pytest.CaptureFixture[str]) -> None:
    classifier.predictions = (GOOD, BAD, HOSTILE)
    assert run(["predict", "a", "--weights", "w"]) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split() == ["photo", "label", "probability", "then"]
    assert lines[1].split() == ["a", "b.jpg", "running", "75.0%", "walking", "25.0%"]
    assert "is cut short." in captured.out
    assert "walking" in captured.out
    assert captured.err == "1 of 3 photos could not be read.\n"
    assert "\x1b" not in captured.out


def test_top_1_lists_no_others(classifier: type[FakeClassifier], capsys: pytest.CaptureFixture[str]) -> None:
    classifier.predictions = (Prediction("a", "running", 0.75, (("running", 0.75),)),)
    assert run(["predict", "a", "--weights", "w", "--top", "1"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["photo", "label", "probability"],
        ["a", "running", "75.0%"],
    ]


def test_a_file_is_written_instead_of_rows(
    classifier: type[FakeClassifier], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict_to(
        self: object, path: Path, photos: list[str], *, progress: Callable[[Tally], None], **options: object
    ) -> Tally:
        assert (path, photos) == (Path("out.csv"), ["a", "b"])
        asked = {"top": 5, "workers": 3, "unknown_below": None, "allow_urls": False, "tta": None}
        assert options == {**asked, "resume": True}
        progress(Tally(4, 1, 0))
        return Tally(4, 2, 1)

    monkeypatch.setattr(classifier, "predict_to", predict_to, raising=False)
    arguments = ["predict", "a", "b", "--weights", "w", "--output", "out.csv", "--resume", "--workers", "3"]
    assert run(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == "6 photos (4 were there): out.csv\n"
    assert captured.err.strip() == "1 of 6 photos could not be read."


@pytest.mark.parametrize("options", [["--json", "--output", "a.csv"], ["--resume"], ["--csv", "--json"]])
def test_options_that_do_not_go_together(
    classifier: type[FakeClassifier], capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert run(["predict", "a", "--weights", "w", *options]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_what_cannot_be_is_said_before_a_table_begins(
    classifier: type[FakeClassifier], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def predict(self: object, photos: object, **_: object) -> Iterator[Prediction]:
        raise ModelError("unknown test-time augmentation 'flop'.")

    monkeypatch.setattr(classifier, "predict", predict)
    assert run(["predict", "a", "--weights", "w"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: unknown test-time")


def test_photos_before_an_error_are_printed(
    classifier: type[FakeClassifier], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def predict(self: object, photos: object, **_: object) -> Iterator[Prediction]:
        yield GOOD
        raise DataError("cannot read folder 'b'.")

    monkeypatch.setattr(classifier, "predict", predict)
    assert run(["predict", "a", "b", "--weights", "w", "--csv"]) == 2
    captured = capsys.readouterr()
    assert "a b.jpg" in captured.out
    assert captured.err == "error: cannot read folder 'b'.\n"


def test_an_unknown_photo_is_not_named(
    classifier: type[FakeClassifier], capsys: pytest.CaptureFixture[str]
) -> None:
    classifier.predictions = (dataclasses.replace(GOOD, label=None),)
    assert run(["predict", "a", "--weights", "w", "--unknown-below", "0.8"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[2:5] == ["unknown", "–", "perhaps"]
    assert classifier.unknown_below == 0.8
    assert run(["predict", "a", "--weights", "w", "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("a b.jpg,,,0.75,walking,")
    assert classifier.unknown_below is None  # as the weights were calibrated
    assert run(["predict", "a", "--weights", "w", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["label"], told["unknown"], told["top"][0]["label"]) == (None, True, "running")
