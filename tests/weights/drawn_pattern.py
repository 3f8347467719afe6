"""A picture that any machine draws alike."""

from __future__ import annotations

import numpy as np
from PIL import Image


def pattern() -> Image.Image:
    rows, columns = np.mgrid[0:240, 0:320]
    channels = [(rows * 3 + columns) % 256, (rows + columns * 2) % 256, (rows * columns // 40) % 256]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))
