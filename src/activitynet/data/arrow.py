"""Where photos lie in an Arrow file, as `datasets` writes them: each is a stretch of its bytes."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from activitynet.errors import DataError, clipped

_END = b"\xff\xff\xff\xff\0\0\0\0"


def index_arrow(file: IO[bytes], name: str) -> dict[str, tuple[int, int]]:
    """List the photos in an Arrow stream file by ``"column/row"``; rows count from 0.

    Args:
        file: The file, opened for reading.
        name: What messages call it.

    Returns:
        The offset in the file and the size in bytes of each photo that the file holds.

    Raises:
        DataError: The file cannot be read, is damaged or compressed.
    """
    places: dict[str, tuple[int, int]] = {}
    row = 0
    with arrow_errors(name):
        for batch, base, length in arrow_batches(file):
            for number, field in enumerate(batch.schema):
                images = image_storage(batch.column(number))
                if images is None:
                    continue
                for index, start, size in _stretches(images, base, length, name):
                    places[f"{field.name}/{row + index}"] = start, size
            row += batch.num_rows
    return places


@contextlib.contextmanager
def arrow_errors(name: str) -> Iterator[None]:
    """Turn whatever a damaged Arrow file makes its reader raise into a `DataError`; name it in messages."""
    try:
        yield
    except DataError:
        raise
    except ImportError as error:
        raise DataError(f"to read {name!r}, install pyarrow: pip install 'activitynet[datasets]'.") from error
    except Exception as error:
        reason = clipped(error) or type(error).__name__
        raise DataError(f"cannot read Arrow file {name!r}: {reason}. Write it again.") from error


def arrow_batches(file: IO[bytes]) -> Iterator[tuple[Any, int, int]]:
    """Yield the record batches of a memory-mapped Arrow stream file; to be used within `arrow_errors`.

    Args:
        file: The file, opened for reading.

    Yields:
        A `pyarrow.RecordBatch`, whose buffers have been checked to be as long as it says; and the address and
        length of the file in memory.
    """
    import pyarrow as arrow  # noqa: PLC0415 - only for those who have such files

    whole = arrow.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    with arrow.ipc.open_stream(whole) as stream:
        for batch in stream:
            batch.validate()
            yield batch, whole.address, whole.size
    if whole[-len(_END) :].to_pybytes() != _END:
        raise ValueError("it has no end mark, since it was cut off")


def image_storage(column: Any) -> Any | None:
    """Return a column of photos as the struct array it is stored in, or `None` where it is none."""
    import pyarrow as arrow  # noqa: PLC0415

    storage = column.storage if isinstance(column, arrow.ExtensionArray) else column
    kind = storage.type
    if not arrow.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return None
    content = kind.field("bytes").type
    return storage if arrow.types.is_binary(content) or arrow.types.is_large_binary(content) else None


def _stretches(images: Any, base: int, length: int, name: str) -> Iterator[tuple[int, int, int]]:
    """Yield index, offset in the file and size of each photo whose bytes are in a struct array."""
    import pyarrow as arrow  # noqa: PLC0415

    content = images.flatten()[images.type.get_field_index("bytes")]
    _, positions, data = content.buffers()
    if data is None or not len(content):
        return
    first = data.address - base if data.size else 0  # a buffer of no bytes lies nowhere
    if not 0 <= first <= first + data.size <= length:
        raise DataError(f"cannot use Arrow file {name!r}: it is compressed. Save it without compression.")
    kind = np.int64 if arrow.types.is_large_binary(content.type) else np.int32
    edges = np.frombuffer(positions, kind, count=content.offset + len(content) + 1)[content.offset :]
    starts, ends = edges[:-1].astype(np.int64), edges[1:].astype(np.int64)
    if (starts < 0).any() or (ends < starts).any() or (ends > data.size).any():
        raise DataError(f"cannot use Arrow file {name!r}: it is damaged. Write it again.")
    present = content.is_valid().to_numpy(zero_copy_only=False)
    for index in np.flatnonzero(present).tolist():
        yield index, first + int(starts[index]), int(ends[index] - starts[index])
