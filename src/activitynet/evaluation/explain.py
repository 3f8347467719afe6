"""Explain predictions: heat maps of the evidence for a class, and the most similar photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.utils.data import default_collate

from activitynet.data.dataset import Photo
from activitynet.data.loader import PhotoDataset
from activitynet.data.preprocess import Preprocess
from activitynet.errors import ModelError
from activitynet.inference import device_of, forward_batches, photo_loader

How: TypeAlias = Literal["grad-cam", "occlusion"]

_SHOWN = 640  # longest side of an overlay in pixels
_CELLS = 8


@dataclass(frozen=True, eq=False)
class Explanation:
    """The parts of a photo that support a class.

    Attributes:
        label: The class.
        probability: Its predicted probability, in [0, 1].
        heat: Evidence for the class, float32 (height, width) of ``overlay``, scaled to [0, 1].
        overlay: The photo in grey, with the evidence in colour.
    """

    label: str
    probability: float
    heat: NDArray[np.float32]
    overlay: Image.Image


def grad_cam(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the Grad-CAM of a model's last feature map (Selvaraju et al. 2017).

    https://arxiv.org/abs/1610.02391. For transformers, the map is made of the patch tokens that enter the
    last block, because the block's output is often read at one token only. captum supports maps with
    channels first only; the tests compare with it.

    Args:
        model: A zoo model or a timm model.
        images: Preprocessed images, (N, 3, H, W), on the model's device.
        labels: Class to explain for each image, int64 (N,).

    Returns:
        Float32 (N, h, w), each image scaled to [0, 1]; all 0 without evidence.

    Raises:
        ModelError: The model has no spatial feature map.
    """
    was_training = model.training
    model.eval()
    try:
        features, to_map, logits = _last_map(model, images)
        (slopes,) = torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), features)
    finally:
        model.train(was_training)
    features, slopes = to_map(features.detach()).float(), to_map(slopes).float()
    maps = (features * slopes.mean((2, 3), keepdim=True)).sum(1).relu()
    return maps / maps.amax((1, 2), keepdim=True).clamp_min(1e-12)


def _last_map(
    model: nn.Module, images: torch.Tensor
) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor], torch.Tensor]:
    """Return the features to differentiate by, their conversion to (N, channels, h, w), and the logits."""
    network: Any = model
    if not hasattr(model, "forward_features"):
        raise ModelError(
            f"{type(model).__name__} has no feature maps for Grad-CAM; choose the method 'occlusion'."
        )
    with torch.no_grad():
        features = network.forward_features(images)
    if isinstance(features, torch.Tensor) and features.dim() == 4:
        features = features.detach().clone().requires_grad_()
        with torch.enable_grad():
            logits = network.forward_head(features.clone())  # a head may work in place
        last = features.shape[1] != network.num_features == features.shape[3]
        return features, (lambda x: x.permute(0, 3, 1, 2)) if last else (lambda x: x), logits
    grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    blocks = getattr(model, "blocks", None)
    if grid is None or not blocks or not hasattr(blocks[-1], "norm1"):
        raise ModelError(
            "this network has no spatial feature map for Grad-CAM; choose the method 'occlusion'."
        )
    kept: list[torch.Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[-1]

    handle = blocks[-1].norm1.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logits = model(images)
    finally:
        handle.remove()
    height, width = grid

    def to_map(tokens: torch.Tensor) -> torch.Tensor:
        return tokens[:, -height * width :].unflatten(1, (height, width)).permute(0, 3, 1, 2)

    return kept[0], to_map, logits


def occlusion(
    probabilities: Callable[[Sequence[Image.Image]], torch.Tensor],
    photo: Image.Image,
    label: int,
    *,
    cells: int = _CELLS,
) -> torch.Tensor:
    """Return the loss of a class's probability when a part of the photo is covered in grey.

    Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901. It needs only predictions, so it works for
    ensembles and engines too.

    Args:
        probabilities: Maps photos to class probabilities, (N, classes).
        photo: The photo, of mode RGB.
        label: The class to explain.
        cells: Parts along each side; it takes ``cells``² predictions.

    Returns:
        Float32 (cells, cells), scaled to [0, 1]; all 0 without evidence.
    """
    width, height = photo.size
    covered = []
    for row in range(cells):
        for column in range(cells):
            box = (
                column * width // cells,
                row * height // cells,
                (column + 1) * width // cells,
                (row + 1) * height // cells,
            )
            copy = photo.copy()
            copy.paste((127, 127, 127), box)
            covered.append(copy)
    before = probabilities([photo])[0, label]
    drops = (before - probabilities(covered)[:, label]).relu().view(cells, cells).float()
    return drops / drops.max().clamp_min(1e-12)


def explain(
    model: nn.Module,
    preprocess: Callable[[Image.Image], Any],
    classes: Sequence[str],
    photo: Image.Image,
    *,
    temperature: float = 1.0,
    label: int | None = None,
    how: How = "grad-cam",
) -> Explanation:
    """Explain a prediction with a heat map.

    Args:
        model: Maps images to logits.
        preprocess: Turns a photo into the model's input.
        classes: Class names in the order of the logits.
        photo: The photo, of mode RGB.
        temperature: Logits are divided by it before the softmax.
        label: The class to explain; `None` takes the most probable one.
        how: ``"grad-cam"`` takes one pass; ``"occlusion"`` takes 64 and works for every model.

    Raises:
        ModelError: Grad-CAM does not work for this model.
    """

    def probabilities(photos: Sequence[Image.Image]) -> torch.Tensor:
        batches = (default_collate([preprocess(each)]) for each in photos)
        return (torch.cat(list(forward_batches(model, batches))).double() / temperature).softmax(dim=1)

    shown = photo.copy()
    shown.thumbnail((_SHOWN, _SHOWN), Image.Resampling.BICUBIC)
    (predicted,) = probabilities([photo])
    chosen = int(predicted.argmax()) if label is None else label
    if how == "occlusion":
        heat = occlusion(probabilities, shown, chosen)
        heat = _enlarged(heat, shown.height, shown.width)
    else:
        if not isinstance(preprocess, Preprocess):
            raise ModelError(
                "Grad-CAM needs a single network, and this is an ensemble; choose the method 'occlusion'."
            )
        device = device_of(model)
        (heat,) = grad_cam(model, preprocess(photo)[None].to(device), torch.tensor([chosen], device=device))
        heat = _in_photo(heat.cpu(), preprocess, shown.height, shown.width)
    array = heat.clamp(0, 1).numpy()
    return Explanation(classes[chosen], float(predicted[chosen]), array, overlaid(shown, array))


def overlaid(photo: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """Return a photo in grey under a heat map of its size; opacity grows with the heat."""
    from matplotlib import colormaps  # noqa: PLC0415  heavy, and only pictures need it

    grey = np.asarray(photo.convert("L").convert("RGB"), dtype=np.float32) / 255
    colour = colormaps["plasma"](heat)[..., :3]  # its lightness is monotone, so it also reads in grey
    share = 0.75 * heat[..., None]
    return Image.fromarray(((grey * (1 - share) + colour * share) * 255).round().astype(np.uint8))


def _enlarged(heat: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return F.interpolate(heat[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]


def _in_photo(heat: torch.Tensor, preprocess: Preprocess, height: int, width: int) -> torch.Tensor:
    """Map a heat map of the network's input back to the photo; parts outside the input are 0."""
    top, left, box_height, box_width, new_height, new_width = preprocess.frame(height, width)
    heat = _enlarged(heat, *preprocess.size)
    above, before = (preprocess.size[0] - new_height) // 2, (preprocess.size[1] - new_width) // 2
    seen = heat[above : above + new_height, before : before + new_width]
    whole = torch.zeros(height, width)
    whole[top : top + box_height, left : left + box_width] = _enlarged(seen, box_height, box_width)
    return whole


def nearest_photos(
    model: nn.Module,
    preprocess: Callable[[Image.Image], Any],
    photo: Image.Image,
    photos: Sequence[Photo],
    *,
    count: int = 5,
    batch_size: int = 64,
    workers: int = 0,
) -> list[tuple[Photo, float]]:
    """Return the photos whose features are most similar to those of one photo.

    Args:
        model: A zoo model or a timm model.
        preprocess: Turns a photo into the model's input.
        photo: The photo, of mode RGB.
        photos: The photos to search. Memory does not grow with their number.
        count: Number of photos to return.
        batch_size: Photos a forward pass.
        workers: Processes that decode.

    Returns:
        Photos with the cosine similarity of their features, in [-1, 1], most similar first.

    Raises:
        ImageError: A photo cannot be read.
        ModelError: The model has no features to compare.
    """
    if not hasattr(model, "forward_features"):
        raise ModelError(
            f"{type(model).__name__} has no features to compare: use a single network, not an ensemble."
        )
    (mine,) = forward_batches(model, [default_collate([preprocess(photo)])], features=True)
    mine = F.normalize(mine, dim=1)[0]
    at: list[torch.Tensor] = []
    loader = photo_loader(PhotoDataset(photos, preprocess), batch_size=batch_size, workers=workers)
    best, best_at = torch.empty(0), torch.empty(0, dtype=torch.int64)

    def images() -> Any:
        for batch, _, indices in loader:
            at.append(indices)
            yield batch

    for features in forward_batches(model, images(), features=True):
        best = torch.cat([best, F.normalize(features, dim=1) @ mine])
        best_at = torch.cat([best_at, at.pop()])
        best, order = best.topk(min(count, len(best)))
        best_at = best_at[order]
    return [(photos[index], value) for index, value in zip(best_at.tolist(), best.tolist(), strict=True)]
