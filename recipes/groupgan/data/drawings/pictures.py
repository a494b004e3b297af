"""One picture file, of any size and mode, as a drawing: black ink on a white square."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

import nvn
from nvn.images import read_picture

Gray: TypeAlias = NDArray[np.uint8]
LEAST = 1e-3  # of a negative's pixels that are light, at least
FAINTEST = 32  # of 255: a picture with less ink than that anywhere is blank paper


def read_drawing(path: Path, side: int) -> Gray:
    """Read a drawing as (side, side) grays: ink 0, paper 255.

    What is transparent is paper; a picture that is not square gets white borders. Light lines on a
    dark ground are taken for a negative. Lines that are pale, or grew so by shrinking, are made
    dark: half of the inked pixels end up black.

    Raises:
        DataError: If it cannot be read, or if there is no ink on it.
    """
    gray = read_picture(path).convert("L")
    if too_narrow(*gray.size, side):
        raise nvn.DataError(f"{gray.width} by {gray.height} pixels are too narrow")
    gray = ImageOps.invert(gray) if light_on_dark(gray) else gray
    square = ImageOps.pad(gray, (side, side), Image.Resampling.LANCZOS, color=255)
    return darkened(np.asarray(square))


def too_narrow(width: int, height: int, side: int) -> bool:
    """Return whether of a picture, padded to a square of a side, half a pixel is left or less."""
    return 2 * side * min(width, height) <= max(width, height)


def light_on_dark(gray: Image.Image) -> bool:
    """Return whether a picture (L) shows light strokes on a dark ground: its edges are the ground.

    One that is dark all over is ink.
    """
    width, height = gray.size
    lines = ((0, 0, width, 1), (0, height - 1, width, height), (0, 0, 1, height))
    edges = [gray.crop(line).histogram() for line in (*lines, (width - 1, 0, width, height))]
    ground = _level(np.sum(edges, axis=0), 0.5)
    everywhere = np.array(gray.histogram())
    dark = ground < 128 and _level(everywhere, 0.5) < 128
    return dark and _level(everywhere, 1 - LEAST) - ground > 128


def _level(counts: NDArray[np.int64], share: float) -> int:
    """The level that a share of pixels does not exceed, of how many there are of each level."""
    return int(np.searchsorted(counts.cumsum(), share * counts.sum()))


def darkened(gray: Gray) -> Gray:
    """Return a drawing with lines as dark as ink is: half of the inked pixels end up black.

    Raises:
        DataError: If there is no ink on it.
    """
    ink = 255.0 - gray
    if ink.max() < FAINTEST:
        raise nvn.DataError("there is no ink on it")
    strong = np.median(ink[ink > ink.max() / 2])
    dark: Gray = (255 - (ink * (255 / strong)).clip(0, 255)).round().astype(np.uint8)
    return dark
