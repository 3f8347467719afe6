"""Networks as ONNX graphs, with preprocessing and temperature inside."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from activitynet.blocks import ConvNormAct, ResidualBlock, SEBlock
from activitynet.data.preprocess import Images, Views, as_images
from activitynet.errors import ModelError, WeightsError
from activitynet.export.contents import Contents, need, quiet
from activitynet.export.pixels import Pixels

if TYPE_CHECKING:
    import onnx


class ScaledGroupNorm(nn.Module):
    """A GroupNorm, and the gate after it if there is one, as one scale and one shift a channel.

    Engines fuse scale and shift with the activation that follows, but run a GroupNorm in passes of its own.
    The statistics are two reductions over the feature map: mean and norm. The gate's means follow from them.

    Args:
        norm: The GroupNorm.
        gate: The `SEBlock` that follows it directly.

    Shapes:
        ``(batch, channels, height, width)`` to the same.
    """

    groups: Tensor

    def __init__(self, norm: nn.GroupNorm, gate: SEBlock | None = None) -> None:
        super().__init__()
        self.eps = norm.eps
        self.weight = nn.Parameter(norm.weight.detach().reshape(1, -1, 1, 1))
        self.bias = nn.Parameter(norm.bias.detach().reshape(1, -1, 1, 1))
        self.gate = gate
        # This 1 x 1 kernel turns each channel's mean into its group's mean.
        size = norm.num_channels // norm.num_groups
        groups = torch.block_diag(*[torch.full((size, size), 1 / size)] * norm.num_groups)
        self.register_buffer("groups", groups[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map, gated if there is a gate."""
        means = x.mean((2, 3), keepdim=True)
        root = torch.linalg.vector_norm(x, 2, (2, 3), keepdim=True) / (x.shape[2] * x.shape[3]) ** 0.5
        group_means = F.conv2d(means, self.groups)
        variance = F.conv2d(root * root, self.groups) - group_means * group_means
        scale = self.weight * torch.rsqrt(variance.clamp(min=0) + self.eps)
        shift = self.bias - group_means * scale
        if self.gate is not None:
            gate = self.gate.gate(means * scale + shift)
            scale, shift = scale * gate, shift * gate
        return x * scale + shift


def scale_group_norms(model: nn.Module) -> nn.Module:
    """Return a copy whose group norms are `ScaledGroupNorm`s, which graph compilers fuse."""
    model = copy.deepcopy(model)
    for block in model.modules():
        if not (isinstance(block, ResidualBlock) and isinstance(block.se, SEBlock)):
            continue
        if isinstance(block.second.norm, nn.GroupNorm):
            block.second.norm = ScaledGroupNorm(block.second.norm, block.se)
            block.se = nn.Identity()
    for layer in model.modules():
        if isinstance(layer, ConvNormAct) and isinstance(layer.norm, nn.GroupNorm):
            layer.norm = ScaledGroupNorm(layer.norm)
    return model.eval()


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """Return a copy with batch norms folded into the convolutions before them."""
    model = copy.deepcopy(model).eval()
    for layer in model.modules():
        if isinstance(layer, ConvNormAct) and isinstance(layer.norm, nn.BatchNorm2d):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.norm)
            layer.norm = nn.Identity()
    return model


IMAGES, PIXELS, LOGITS, PROBABILITIES = "images", "pixels", "logits", "probabilities"
PREPROCESS = "preprocess/"  # prefix of its nodes' names

_OPSET = 18  # the first with Mish and with reductions that every engine supports
_EXAMPLE = 2  # photos in the traced example; 1 would become a constant

#: Dynamic axes of ``images``.
PHOTO_AXES = ("batch", "height", "width")


def example_photos() -> torch.Tensor:
    """Return a batch to trace with, uint8 (batch, height, width, 3)."""
    return torch.zeros(_EXAMPLE, 20, 24, 3, dtype=torch.uint8)


def pixel_names(count: int) -> list[str]:
    """Return the names of a network's inputs, one for each view."""
    return [PIXELS] if count == 1 else [f"{PIXELS}_{index}" for index in range(count)]


class PixelViews(nn.Module):
    """Preprocesses a batch of photos into each of a network's inputs.

    Args:
        views: Preprocessing of each input.
    """

    def __init__(self, views: Views) -> None:
        super().__init__()
        self.each = nn.ModuleList(Pixels(preprocess) for preprocess in views.each)

    def forward(self, images: torch.Tensor) -> Images:
        """Return a tensor, or a list of one for each view."""
        return as_images([pixels(images) for pixels in self.each])


def network_graph(model: nn.Module, sizes: Sequence[tuple[int, int]]) -> onnx.ModelProto:
    """Return a network as a graph from its `pixel_names` (batch, 3, height, width) to ``logits``.

    Args:
        model: The network. It is not changed.
        sizes: Height and width of each of its inputs.

    Raises:
        ModelError: The network cannot be converted to ONNX, or a package is missing.
    """
    # Channels-last weights would leave their strides in the graph.
    network = scale_group_norms(model).to("cpu", torch.float32, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    example = as_images([torch.zeros(_EXAMPLE, 3, *size) for size in sizes])
    return _traced(network, example, ("batch",), pixel_names(len(sizes)), [LOGITS])


def whole_graph(network: onnx.ModelProto, contents: Contents) -> onnx.ModelProto:
    """Return a network's graph extended to go from photos to probabilities, with metadata.

    It maps ``images``, uint8 (batch, height, width, 3), to ``probabilities``, float32 (batch, classes). The
    network's inputs and ``logits`` keep their names.
    """
    onnx: Any = need("onnx")
    names, card = pixel_names(len(contents.sizes)), contents.card
    before = _traced(PixelViews(contents.views), example_photos(), PHOTO_AXES, [IMAGES], names)
    before = onnx.compose.add_prefix(before, PREPROCESS, rename_inputs=False, rename_outputs=False)
    before.ir_version = network.ir_version
    whole = onnx.compose.merge_models(before, network, io_map=[(name, name) for name in names])
    temperature = onnx.numpy_helper.from_array(torch.tensor(card.temperature).numpy(), "temperature")
    whole.graph.initializer.append(temperature)
    whole.graph.node.extend(
        [
            onnx.helper.make_node("Div", [LOGITS, "temperature"], ["scaled_logits"]),
            onnx.helper.make_node("Softmax", ["scaled_logits"], [PROBABILITIES], axis=1),
        ]
    )
    whole.graph.value_info.extend(network.graph.output)  # `read_onnx` cuts the graph there
    del whole.graph.output[:]
    whole.graph.output.append(
        onnx.helper.make_tensor_value_info(
            PROBABILITIES, onnx.TensorProto.FLOAT, ["batch", len(card.classes)]
        )
    )
    whole.producer_name = "activitynet"
    onnx.helper.set_model_props(whole, contents.to_metadata())
    onnx.checker.check_model(whole)
    return whole


def read_onnx(path: Path) -> tuple[bytes, Contents]:
    """Read an exported ONNX file: the part from pixels to logits, serialised, and its contents.

    Raises:
        WeightsError: The file cannot be read, is not one of ours, or has tensors in other files.
    """
    onnx: Any = need("onnx")
    try:
        whole = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise WeightsError(f"cannot read {str(path)!r}: {error.strerror}.") from error
    except Exception as error:  # the parser's own class is protobuf's
        raise WeightsError(f"{str(path)!r} is not an ONNX file. Copy or export it again.") from error
    if any(tensor.external_data for tensor in _tensors(whole)):
        raise WeightsError(
            f"{str(path)!r} keeps tensors in other files, which are not read. Export it again."
        )
    props = {prop.key: prop.value for prop in whole.metadata_props}
    contents = Contents.from_metadata(props.get, path)
    try:
        names = pixel_names(len(contents.sizes))
        network = onnx.utils.Extractor(whole).extract_model(names, [LOGITS])
    except Exception as error:  # a foreign graph can fail in any way
        raise WeightsError(f"{str(path)!r} has no part from {PIXELS!r} to {LOGITS!r}.") from error
    return network.SerializeToString(), contents


def first_cause(error: BaseException) -> str:
    """Return the first line of an error's root cause, which exporters wrap in long messages."""
    origin = _origin(error)
    return (str(origin).strip() or type(origin).__name__).splitlines()[0]


def _origin(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _traced(
    module: nn.Module, example: Images, axes: tuple[str, ...], inputs: list[str], outputs: list[str]
) -> onnx.ModelProto:
    """Return a module's graph with dynamic first axes of its inputs."""
    need("onnx")
    need("onnxscript")
    # At least 2, because older torch specialises on 1. The file accepts 1 all the same.
    lengths: Any = {index: torch.export.Dim(name, min=2) for index, name in enumerate(axes)}
    if not isinstance(example, torch.Tensor):
        lengths = [lengths] * len(example)
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                module.eval(),
                (example,),
                dynamo=True,
                dynamic_shapes=(lengths,),
                input_names=inputs,
                output_names=outputs,
                opset_version=_OPSET,
                verbose=False,
            )
    except Exception as error:  # tracing fails in many ways
        origin = _origin(error)
        if isinstance(origin, ModuleNotFoundError) and str(origin.name).startswith("onnxscript."):
            # onnxscript has a module for each torch version it supports.
            raise ModelError(
                f"onnxscript is older than torch {torch.__version__}: pip install --upgrade onnxscript."
            ) from error
        raise ModelError(
            f"{type(module).__name__} cannot be converted to ONNX: {first_cause(error)}"
        ) from error
    assert program is not None  # noqa: S101  it is where a path is given
    graph: onnx.ModelProto = program.model_proto
    for node in graph.graph.node:  # source locations on this machine
        del node.metadata_props[:]
        node.doc_string = ""
    return graph


def _tensors(message: Any) -> Iterator[Any]:
    """Yield every tensor in a protobuf message, however deep."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in value if not hasattr(value, "ListFields") else (value,):
            if part.DESCRIPTOR.name == "TensorProto":
                yield part
            else:
                yield from _tensors(part)
