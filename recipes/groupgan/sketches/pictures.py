"""One picture file, of any size and mode, as a drawing: black ink on a white square."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Grey: TypeAlias = NDArray[np.uint8]
ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
FAINTEST = 32  # of 255: a picture with less ink than that anywhere is blank paper
# What Pillow raises for files that are torn, empty, of another kind or enormous.
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


def read_drawing(path: Path, side: int) -> Grey:
    """Read a drawing as (side, side) greys: ink 0, paper 255.

    What is transparent is paper; a picture that is not square gets white borders. Lines that grew
    faint by shrinking are made dark again: half of the inked pixels end up black.

    Raises:
        ValueError: If there is no ink in it.
        OSError, SyntaxError, EOFError, Image.DecompressionBombError: If it cannot be read.
    """
    with Image.open(path) as picture:
        grey = _grey(ImageOps.exif_transpose(picture))
    square = ImageOps.pad(grey, (side, side), Image.Resampling.LANCZOS, color=255)
    return _darkened(np.asarray(square))


def _grey(picture: Image.Image) -> Image.Image:
    """A picture of any mode in 8-bit greys, on white."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, dtype=np.float64)
        return Image.fromarray(
            (values / _white(picture.mode, values) * 255).clip(0, 255).astype("u1")
        )
    if picture.mode in WITH_ALPHA or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("L")


def _white(mode: str, values: NDArray[np.float64]) -> float:
    """What white is among values of more than 8 bits: of a mode without a scale, by its largest."""
    if mode.startswith("I;16"):
        return 65535
    return next((white for white in (1, 255, 65535) if values.max() <= white), values.max())


def _darkened(grey: Grey) -> Grey:
    ink = 255.0 - grey
    if ink.max() < FAINTEST:
        raise ValueError("there is no ink on it")
    strong = np.median(ink[ink > ink.max() / 2])
    dark: Grey = (255 - (ink * (255 / strong)).clip(0, 255)).round().astype(np.uint8)
    return dark
