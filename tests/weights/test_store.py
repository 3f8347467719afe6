from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import activitynet
from activitynet import Classifier
from activitynet.data.preprocess import Preprocess
from activitynet.errors import StorageError, WeightsError
from activitynet.serialization.tensors import save_tensors
from activitynet.weights import (
    Card,
    EnsembleCard,
    Member,
    is_ensemble,
    load_members,
    load_weights,
    read_card,
    save_ensemble,
    save_weights,
)
from activitynet.zoo import create_model, list_models

CLASSES = ("walking", "inactivity quiet/light", "бег")


def made(name: str = "test_resnet_se", **model_args: Any) -> tuple[nn.Module, Card]:
    torch.manual_seed(0)
    model = create_model(name, num_classes=len(CLASSES), model_args=model_args)
    for buffer in model.buffers():
        buffer.add_(1)  # running statistics that are not those of a fresh model
    return model, Card(
        architecture=name,
        model_args=model_args,
        classes=CLASSES,
        preprocess=Preprocess(size=(32, 32)),
        temperature=1.5,
        metrics={"val": {"macro_f1": 0.5}},
    )


def edit_card(folder: Path, **fields: Any) -> None:
    """Change a card, and leave out what it says for timm, which would give the change away."""
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name in ("zoo", "num_classes", "label_names", "pretrained_cfg"):
        values.pop(name, None)
    (folder / "config.json").write_text(json.dumps({**values, **fields}), encoding="utf-8")


def edit_tensors(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change tensors and the hash that the card has of them: only their fit can give it away."""
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    edit(tensors)
    edit_card(folder, sha256=save_tensors(folder / "model.safetensors", tensors))


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "model"
    save_weights(folder, *made())
    return folder


@pytest.fixture
def saved(saved_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_once, tmp_path / "model"))


@pytest.mark.parametrize("name", [*list_models("test_*"), "timm/test_vit", "timm/test_efficientnet"])
def test_a_model_comes_back_bit_by_bit(name: str, tmp_path: Path) -> None:
    model, card = made(name)
    written = save_weights(tmp_path / "model", model, card)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    found, found_card = load_weights(tmp_path / "model")
    assert found_card == written == read_card(tmp_path / "model")
    assert dataclasses.replace(written, sha256="", library_version="") == card
    assert written.library_version == activitynet.__version__
    assert not found.training
    expected = model.state_dict()
    assert list(found.state_dict()) == list(expected)
    for key, tensor in found.state_dict().items():
        assert tensor.dtype == expected[key].dtype
        assert torch.equal(tensor, expected[key])
    photos = torch.randn(2, 3, *model.pretrained_cfg["input_size"][1:])  # type: ignore[index]
    with torch.inference_mode():
        assert torch.equal(found(photos), model.eval()(photos))


@pytest.mark.parametrize("name", [*list_models("test_*"), "timm/test_vit"])
def test_half_the_bytes_come_back_rounded_and_are_written_the_same_again(name: str, tmp_path: Path) -> None:
    model, card = made(name)
    save_weights(tmp_path / "full", model, card)
    save_weights(tmp_path / "half", model, card, half=True)
    stored = safetensors.torch.load_file(tmp_path / "half" / "model.safetensors")
    found, found_card = load_weights(tmp_path / "half")
    for key, tensor in model.state_dict().items():
        kept = found.state_dict()[key]
        assert kept.dtype == tensor.dtype
        if tensor.is_floating_point():
            assert stored[key].dtype == torch.float16
            assert torch.equal(kept, tensor.half().float())
        else:
            assert torch.equal(kept, tensor)
    sizes = [(tmp_path / kind / "model.safetensors").stat().st_size for kind in ("half", "full")]
    assert sizes[0] < 0.75 * sizes[1]
    assert save_weights(tmp_path / "again", found, found_card, half=True).sha256 == found_card.sha256


def test_a_number_too_large_for_half_is_named(tmp_path: Path) -> None:
    model, card = made()
    next(model.parameters()).data.flatten()[0] = 70_000.0
    save_weights(tmp_path / "full", model, card)
    with pytest.raises(WeightsError, match=r"holds numbers that are not finite in float16"):
        save_weights(tmp_path / "half", model, card, half=True)
    assert not (tmp_path / "half").exists()


def test_swapped_class_names_are_refused_even_where_the_card_agrees_with_itself(saved: Path) -> None:
    edit_card(saved, classes=[CLASSES[1], CLASSES[0], CLASSES[2]])
    with pytest.raises(WeightsError, match=r"the classes in .* differ from those of its card"):
        load_weights(saved)


def test_what_the_models_arguments_are_comes_back(tmp_path: Path) -> None:
    model, card = made("timm/test_efficientnet", in_chans=1, drop_rate=0.25)
    save_weights(tmp_path / "model", model, card)
    found, _ = load_weights(tmp_path / "model")
    assert found.drop_rate == 0.25
    with torch.inference_mode():
        assert found(torch.zeros(1, 1, 96, 96)).shape == (1, 3)


def test_a_weights_folder_is_replaced_but_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    model, card = made()
    save_weights(folder, model, card)
    second = save_weights(folder, model, dataclasses.replace(card, temperature=2.0))
    assert read_card(folder) == second
    (folder / "my notes.txt").write_text("keep")
    with pytest.raises(StorageError, match=r"holds other files, such as 'my notes\.txt'"):
        save_weights(folder, model, card)
    assert (folder / "my notes.txt").read_text() == "keep"
    with pytest.raises(StorageError, match="Not a directory"):
        save_weights(folder / "my notes.txt", model, card)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    save_weights(tmp_path / "link", *made())
    assert (tmp_path / "link").is_symlink()
    assert read_card(tmp_path / "real").classes == CLASSES


def test_a_model_that_is_not_what_its_card_says_is_not_written(tmp_path: Path) -> None:
    model, card = made()
    cases: list[tuple[nn.Module, Card, str]] = [
        (
            model,
            dataclasses.replace(card, classes=("a", "b")),
            "with 2 classes; tensors: .* of another shape",
        ),
        (model, dataclasses.replace(card, architecture="test_resnet"), "unknown model 'test_resnet'"),
        (model, dataclasses.replace(card, architecture="test_efficientnet_se"), "missing .*unknown"),
        (made()[0].double(), card, "float64 .* instead of float32"),
        (nn.Sequential(model), card, "missing .* unknown \\('0\\."),
    ]
    for wrong, its_card, message in cases:
        with pytest.raises(WeightsError, match=message):
            save_weights(tmp_path / "model", wrong, its_card)
    broken, _ = made()
    with torch.no_grad():
        next(broken.parameters()).view(-1)[0] = float("nan")
    with pytest.raises(WeightsError, match="not finite"):
        save_weights(tmp_path / "model", broken, card)
    assert list(tmp_path.iterdir()) == []


def test_missing_files_are_named(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere/config\.json': No such file"):
        load_weights(tmp_path / "nowhere")
    (saved / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model\.safetensors': No such file"):
        load_weights(saved)
    read_card(saved)


def test_tensors_that_do_not_fit_are_named(saved_once: Path, tmp_path: Path) -> None:
    def change(tensors: dict[str, torch.Tensor], to: Callable[[torch.Tensor], torch.Tensor]) -> None:
        name = next(iter(tensors))
        tensors[name] = to(tensors[name])

    first = next(iter(safetensors.torch.load_file(saved_once / "model.safetensors")))
    cases: list[tuple[Callable[[dict[str, torch.Tensor]], object], str]] = [
        (lambda tensors: tensors.pop(first), f"1 missing \\('{first}'\\)"),
        (lambda tensors: tensors.update(alien=torch.ones(1)), "1 unknown \\('alien'\\)"),
        (lambda tensors: change(tensors, lambda tensor: tensor[None]), f"'{first}' is float32 \\(1,"),
        (lambda tensors: change(tensors, torch.Tensor.double), f"'{first}' is float64 .* instead of float32"),
        (lambda tensors: change(tensors, lambda tensor: tensor * float("inf")), f"'{first}'.*not finite"),
        (dict.clear, r"missing \('.*', '.*', '.*', …\)"),
    ]
    for number, (edit, message) in enumerate(cases):
        folder = Path(shutil.copytree(saved_once, tmp_path / str(number)))
        edit_tensors(folder, edit)
        with pytest.raises(WeightsError, match=message):
            load_weights(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"sha256": ""}, "SHA-256"),
        ({"classes": ["a", "b", "c", "d"]}, "with 4 classes"),
        ({"architecture": "os.system"}, "unknown model 'os.system'"),
        ({"architecture": "timm/hf-hub:someone/model"}, "unknown model"),
        ({"architecture": "timm/local-dir:/etc"}, "unknown model"),
        ({"architecture": "timm/vit_giant_patch14_224"}, "does not fit"),
        (
            {"architecture": "timm/test_resnet", "model_args": {"checkpoint_path": "/etc/passwd"}},
            "cannot be made",
        ),
        ({"architecture": "timm/test_resnet", "model_args": {"pretrained": True}}, "cannot be made"),
        (
            {"architecture": "timm/test_resnet", "model_args": {"scriptable": True}},
            "does not fit|cannot be made",
        ),
        ({"architecture": "timm/test_resnet", "model_args": {"layers": "many"}}, "cannot be made"),
        ({"model_args": {"no_such_argument": 1}}, "'no_such_argument'"),
        ({"model_args": {"num_classes": 7}}, "cannot be made"),
        ({"model_args": {"in_chans": 0}}, "in_chans"),
        ({"model_args": {"in_chans": 50_000}}, "does not fit"),
        ({"model_args": {"in_chans": 10**9}}, "hold 1000000000; the largest number allowed is 65536"),
        ({"model_args": {"layers": [1, {"x": [1e99]}]}}, r"hold 1e\+99; the largest number allowed is 65536"),
        ({"architecture": "timm/resnet18", "model_args": {"layers": [60_000, 1, 1, 1]}}, "far more layers"),
        ({"architecture": "timm/test_vit", "model_args": {"depth": 60_000}}, "far more layers"),
        (
            {"architecture": "timm/swin_tiny_patch4_window7_224", "model_args": {"img_size": 11_200}},
            r"its buffers take \d{4} MiB besides its tensors",
        ),
        (
            {"architecture": "timm/swin_tiny_patch4_window7_224", "model_args": {"embed_dim": 0}},
            r"cannot be made with embed_dim=0: (?!Initializing)",
        ),
        ({"architecture": "x" * 9_999}, "unknown model 'xxx"),
        ({"model_args": {"drop_rate": "all"}}, "drop_rate"),
        ({"unknown": 1}, "no field 'unknown'"),
        ({"card_version": 99}, "card_version"),
    ],
)
def test_a_card_that_is_not_of_these_tensors_is_refused(
    fields: dict[str, Any], message: str, saved: Path
) -> None:
    edit_card(saved, **fields)
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(saved)
    assert str(saved) in str(caught.value)
    assert len(str(caught.value)) < 1_000


def test_a_card_that_is_no_text_is_refused(saved: Path) -> None:
    (saved / "config.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(WeightsError, match=r"config\.json' is not UTF-8"):
        read_card(saved)
    (saved / "config.json").write_bytes(b" " * 2_000_000)
    with pytest.raises(WeightsError, match=r"config\.json.*more than the"):
        read_card(saved)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    file=st.sampled_from(["model.safetensors", "config.json"]),
    cut=st.none() | st.floats(0, 0.999),
    flip=st.tuples(st.floats(0, 0.999), st.integers(1, 255)),
)
def test_a_damaged_folder_gives_an_error_and_never_another_model(
    saved_once: Path, tmp_path: Path, file: str, cut: float | None, flip: tuple[float, int]
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(saved_once, folder, dirs_exist_ok=True)
    data = bytearray((folder / file).read_bytes())
    if cut is None:
        place, change = flip
        data[int(place * len(data))] ^= change
    else:
        data = data[: int(cut * len(data))]
    (folder / file).write_bytes(data)
    try:
        model, card = load_weights(folder)
    except WeightsError:
        return
    # Only what a card merely tells can differ, such as the name of a class; the tensors are the same.
    assert file == "config.json"
    assert card != read_card(saved_once) or json.loads(data) == json.loads(card.to_json())
    whole, _ = load_weights(saved_once)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name])


CHILD = """
import os, resource, signal, sys
sys.path.insert(0, {tests!r})
from test_store import made
from activitynet.errors import StorageError
from activitynet.weights import save_weights

def attempt():
    try:
        save_weights("model", model, card)
    except StorageError as error:
        print(error)

model, card = made()
os.chdir({parent!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # stops in the tensors, as a full disk does
attempt()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
os.chdir("locked")
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere, so its rights are given up
attempt()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits file sizes and changes users as Linux does")
def test_where_nothing_can_be_written_the_old_stays_whole(saved: Path) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    locked = saved.parent / "locked"
    locked.mkdir(mode=0o555)
    script = CHILD.format(tests=str(Path(__file__).parent), parent=str(saved.parent))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    full, forbidden = done.stdout.splitlines()
    assert "File too large. Free the disk" in full
    assert "Permission denied" in forbidden
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert sorted(path.name for path in saved.parent.iterdir()) == ["locked", "model"]
    assert list(locked.iterdir()) == []
    load_weights(saved)


def test_a_class_of_any_name_makes_no_ensemble(tmp_path: Path) -> None:
    model, card = made()
    card = dataclasses.replace(card, classes=('"ensemble_version"', "ensemble_version", "c"))
    save_weights(tmp_path / "model", model, card)
    assert not is_ensemble(tmp_path / "model")
    assert load_weights(tmp_path / "model")[1].classes == card.classes


def test_each_kind_of_folder_names_what_loads_it(saved: Path, tmp_path: Path) -> None:
    model, card = made()
    members = EnsembleCard(members=(Member(folder="a", weight=1, sha256=""),), classes=CLASSES)
    save_ensemble(tmp_path / "both", [(model, card)], members)
    for load in (load_weights, Classifier.load):
        with pytest.raises(
            WeightsError, match=r"is an ensemble, not one model: use load_ensemble or Ensemble"
        ):
            load(tmp_path / "both")
    with pytest.raises(WeightsError, match=r"is one model, not an ensemble: use Classifier\.load"):
        load_members(saved)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in its folders")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_what_is_no_regular_file_is_refused_at_once(saved: Path, name: str) -> None:
    (saved / name).unlink()
    os.mkfifo(saved / name)
    with pytest.raises(WeightsError, match=f"{name}': it is not a regular file"):
        load_weights(saved)
    (saved / name).unlink()
    (saved / name).symlink_to("/dev/zero")
    with pytest.raises(WeightsError, match=f"{name}': it is not a regular file"):
        load_weights(saved)
    (saved / name).unlink()
    (saved / name).mkdir()
    with pytest.raises(WeightsError, match=f"{name}': it is a folder"):
        load_weights(saved)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": None, "num_classes": 10**9}, "does not hold a test_resnet_se with 1000000000 classes"),
        ({"model_args": {"in_chans": 10**9}}, "largest number allowed is 65536"),
    ],
)
def test_a_warm_start_allocates_no_more_than_its_tensors(
    saved: Path, fields: dict[str, Any], message: str
) -> None:
    edit_card(saved, **fields)
    with pytest.raises(WeightsError, match=message):
        create_model("test_resnet_se", num_classes=3, init_from=saved)
