"""Write and read OpenVINO files: a description in XML and the tensors in a ``.bin``."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from activitynet.errors import WeightsError
from activitynet.export.contents import Contents, need
from activitynet.export.onnx import LOGITS, PIXELS, PREPROCESS, pixel_names
from activitynet.serialization import atomic


def openvino_core() -> Any:
    """Return this process's ``openvino.Core``, which is never released.

    Compiling for a CPU sets an alternate signal stack on the thread. A core that is released in another
    thread frees it but leaves it set, so that the next signal is a segmentation fault.

    Raises:
        ModelError: OpenVINO is missing.
    """
    return _core(need("openvino"))


@functools.cache
def _core(openvino: Any) -> Any:
    return openvino.Core()


def write_openvino(graph: bytes, contents: Contents, path: Path) -> None:
    """Write an ONNX graph as ``path`` (``.xml``) and the ``.bin`` beside it.

    Raises:
        ModelError: OpenVINO is missing.
        StorageError: The files cannot be written.
    """
    openvino: Any = need("openvino")
    model = openvino_core().read_model(graph)
    for key, text in contents.to_metadata().items():
        model.set_rt_info(text, [key])
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / path.name
        openvino.save_model(model, temporary, compress_to_fp16=False)
        _keep_precise(temporary)
        # Tensors first: a description without tensors would be invalid.
        for written in (temporary.with_suffix(".bin"), temporary):
            atomic.write_bytes(path.with_name(written.name), written.read_bytes())


def _keep_precise(path: Path) -> None:
    """Mark the preprocessing as precise, so that pixel positions are not computed in bfloat16."""
    description = ElementTree.parse(path)  # noqa: S314  written just now
    for layer in description.iterfind("layers/layer"):
        if layer.get("name", "").startswith(PREPROCESS) and layer.get("type") != "Const":
            marks = layer.find("rt_info")
            marks = ElementTree.SubElement(layer, "rt_info") if marks is None else marks
            ElementTree.SubElement(marks, "attribute", name="precise", version="0")
    description.write(path)


def read_openvino(path: Path) -> tuple[Any, Contents]:
    """Read an exported file: the part from pixels to logits, and its contents.

    Raises:
        ModelError: OpenVINO is missing.
        WeightsError: The file cannot be read, or activitynet did not write it.
    """
    openvino: Any = need("openvino")
    for file in (path, path.with_suffix(".bin")):
        if not file.is_file():
            raise WeightsError(f"there is no file {str(file)!r}. A model for OpenVINO is an .xml and a .bin.")
    try:
        whole = openvino_core().read_model(path)
    except Exception as error:  # a foreign file can fail in any way
        raise WeightsError(f"{str(path)!r} is not an OpenVINO model. Copy or export it again.") from error

    def metadata(key: str) -> str | None:
        return str(whole.get_rt_info([key]).value) if whole.has_rt_info([key]) else None

    contents = Contents.from_metadata(metadata, path)
    names = pixel_names(len(contents.sizes))
    named = {name: output for node in whole.get_ops() for output in node.outputs() for name in output.names}
    if not named.keys() >= {*names, LOGITS}:
        raise WeightsError(f"{str(path)!r} has no part from {PIXELS!r} to {LOGITS!r}.")
    inputs = []
    for name, size in zip(names, contents.sizes, strict=True):
        inputs.append(openvino.opset1.parameter([-1, 3, *size], name=name))
        for target in named[name].get_target_inputs():
            target.replace_source_output(inputs[-1].output(0))
    return openvino.Model([named[LOGITS]], inputs), contents
