"""One picture file, of any format and mode, in eight-bit colours."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nvn.errors import DataError

# What Pillow raises for files that are torn, empty, of another kind or enormous.
TORN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)


class UnreadableError(DataError):
    """A picture file that cannot be read, or only in part.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(f"{path} cannot be read as a picture: {error}")
        self.path = path


def decode(path: Path) -> Image.Image:
    """Return a picture file as an RGB image, turned as the camera was held.

    Greys become three equal channels, what is transparent becomes white, and more than eight bits
    become eight.

    Raises:
        UnreadableError: If it cannot be read, or only in part.
    """
    try:
        with Image.open(path) as file:
            return _eight_bit_colours(ImageOps.exif_transpose(file))
    except TORN as error:
        raise UnreadableError(path, error) from error


def _eight_bit_colours(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        return _scaled(picture).convert("RGB")
    if picture.has_transparency_data:
        front = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", front.size, "white"), front)
    return picture.convert("RGB")


def _scaled(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture, dtype=np.float64)
    levels = (values / _white(picture.mode, values) * 255).clip(0, 255)
    return Image.fromarray(levels.round().astype(np.uint8))


def _white(mode: str, values: NDArray[np.float64]) -> float:
    """What white is: 16 bits have a scale; of a mode without one, the smallest usual that fits."""
    if mode.startswith("I;16"):
        return 65535
    highest = float(values.max())
    return next((white for white in (1.0, 255.0, 65535.0) if highest <= white), highest)
