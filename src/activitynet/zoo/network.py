"""The base class of the zoo's own networks, which keeps timm's contract."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from activitynet.blocks import check_rate
from activitynet.errors import ModelError


def network_config(size: int) -> dict[str, Any]:
    """Return timm's pretrained configuration of a `Network` for inputs of ``size`` × ``size`` pixels."""
    return {"input_size": (3, size, size), "first_conv": "stem.conv", "classifier": "classifier"}


class Network(nn.Module):
    """Stem → stages → tail → global average → norm → dropout → classifier.

    It keeps the contract of a timm model, so that timm's tools work on it.

    Args:
        stem: The first layers; they take (batch, in_chans, height, width).
        stages: One `torch.nn.Sequential` of blocks a stage.
        tail: What follows the stages, before pooling; `torch.nn.Identity` for nothing.
        num_features: The number of channels of the tail's output.
        feature_info: For each feature map of ``features_only``: ``num_chs``, ``reduction`` and ``module``.
        num_classes: The number of outputs; 0 leaves the classifier out.
        drop_rate: Dropout before the classifier, 0 ≤ rate < 1.
        head_norm: A normalisation of the pooled features; `None` for none.

    Attributes:
        num_classes: The number of outputs.
        num_features: The number of channels of the feature map.
        head_hidden_size: The number of inputs of the classifier.
        feature_info: As above.

    Raises:
        ModelError: The drop rate is out of range.
    """

    def __init__(
        self,
        *,
        stem: nn.Module,
        stages: list[nn.Sequential],
        tail: nn.Module,
        num_features: int,
        feature_info: list[dict[str, Any]],
        num_classes: int,
        drop_rate: float,
        head_norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_features = num_features
        self.head_hidden_size = num_features
        self.feature_info = feature_info
        self.global_pool = "avg"
        self.grad_checkpointing = False
        self.stem = stem
        self.stages = nn.Sequential(*stages)
        self.tail = tail
        self.head_norm = nn.Identity() if head_norm is None else head_norm
        self.head_drop = nn.Dropout(check_rate("drop_rate", drop_rate))
        self.classifier = _classifier(num_features, num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Turn images (batch, in_chans, height, width) into a feature map (batch, num_features, h, w)."""
        x = self.stem(x)
        if self.grad_checkpointing and not torch.jit.is_scripting():
            x = self._checkpointed_stages(x)
        else:
            x = self.stages(x)
        return self.tail(x)

    @torch.jit.unused
    def _checkpointed_stages(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            for block in stage:  # type: ignore[attr-defined]
                x = checkpoint(block, x, use_reentrant=False)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Turn the output of `forward_features` into logits (batch, num_classes).

        Args:
            x: The feature map, (batch, num_features, h, w).
            pre_logits: Stop before the classifier, at (batch, head_hidden_size).
        """
        if self.global_pool == "avg":
            x = self.head_norm(x.mean((2, 3)))
        x = self.head_drop(x)
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images (batch, in_chans, height, width) into logits (batch, num_classes)."""
        return self.forward_head(self.forward_features(x))

    @torch.jit.ignore
    def get_classifier(self) -> nn.Module:
        """Return the last layer: a `torch.nn.Linear`, or an identity if there are no classes."""
        return self.classifier

    @torch.jit.ignore
    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier by a new one.

        Args:
            num_classes: Its number of outputs; 0 leaves it out.
            global_pool: ``"avg"``, or ``""`` for no pooling (needs 0 classes); `None` changes nothing.

        Raises:
            ModelError: A negative number of classes, or an invalid pooling.
        """
        pool = self.global_pool if global_pool is None else global_pool
        if pool not in ("avg", "") or (pool == "" and num_classes > 0):
            raise ModelError(f"global_pool is {pool!r}, but has to be 'avg', or '' together with 0 classes.")
        reference = next(self.parameters())
        self.classifier = _classifier(self.num_features, num_classes).to(reference.device, reference.dtype)
        self.classifier.train(self.training)
        self.num_classes = num_classes
        self.global_pool = pool

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute each block in the backward pass instead of storing its activations."""
        self.grad_checkpointing = enable

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return timm's patterns that group the parameters by layer, from input to output.

        Args:
            coarse: One group for each stage instead of each block.
        """
        blocks = r"^stages\.(\d+)" if coarse else r"^stages\.(\d+)\.(\d+)"
        return {"stem": r"^stem", "blocks": [(blocks, None), (r"^tail", (99999,))]}

    @torch.jit.ignore
    def no_weight_decay(self) -> set[str]:
        """Return the parameters without weight decay besides vectors (norms and biases): none."""
        return set()


def _classifier(num_features: int, num_classes: int) -> nn.Module:
    if num_classes < 0:
        raise ModelError(f"num_classes is {num_classes}, but cannot be less than 0.")
    if num_classes == 0:
        return nn.Identity()
    linear = nn.Linear(num_features, num_classes)
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
    return linear


def classifiers_of(model: nn.Module) -> list[nn.Module]:
    """Return the classifier of a network: one module, or two of timm's distilled transformers, or none."""
    if not hasattr(model, "get_classifier"):
        return []
    classifier = model.get_classifier()  # type: ignore[operator]
    return list(classifier) if isinstance(classifier, tuple | list) else [classifier]
