"""One picture file, decoded."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import nvn
from nvn.images import decoded


class UnreadableError(nvn.DataError):
    """A picture file that cannot be read, or only in part.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(f"{path} cannot be read as a picture: {error}")
        self.path = path


def decode(path: Path) -> Image.Image:
    """Return a picture of any mode in 8-bit RGB, upright, as `nvn.images.rgb` makes it.

    Raises:
        UnreadableError: If it cannot be read, or only in part.
    """
    try:
        return decoded(path)
    except nvn.DataError as error:
        raise UnreadableError(path, error) from error
