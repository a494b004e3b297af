"""One picture file, of any size and mode, as a drawing: black ink on a white square."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

import nvn
from nvn.images import read_picture

Grey: TypeAlias = NDArray[np.uint8]
FAINTEST = 32  # of 255: a picture with less ink than that anywhere is blank paper


def read_drawing(path: Path, side: int) -> Grey:
    """Read a drawing as (side, side) greys: ink 0, paper 255.

    What is transparent is paper; a picture that is not square gets white borders. Lines that are
    pale, or grew so by shrinking, are made dark: half of the inked pixels end up black.

    Raises:
        DataError: If it cannot be read, or if there is no ink on it.
    """
    grey = read_picture(path).convert("L")
    if 2 * side * min(grey.size) <= max(grey.size):
        raise nvn.DataError(f"{grey.width} by {grey.height} pixels are too narrow")
    square = ImageOps.pad(grey, (side, side), Image.Resampling.LANCZOS, color=255)
    return _darkened(np.asarray(square))


def _darkened(grey: Grey) -> Grey:
    ink = 255.0 - grey
    if ink.max() < FAINTEST:
        raise nvn.DataError("there is no ink on it")
    strong = np.median(ink[ink > ink.max() / 2])
    dark: Grey = (255 - (ink * (255 / strong)).clip(0, 255)).round().astype(np.uint8)
    return dark
