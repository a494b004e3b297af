"""One picture file, decoded."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import nvn
from nvn.images import rgb


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

    (`read_picture` there silences warnings, which threads cannot do without silencing all of them.)

    Raises:
        UnreadableError: If it cannot be read, or only in part.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError("not a regular file")
        with Image.open(path) as file:
            return rgb(file)
    except Exception as error:  # a decoder may raise anything about a broken file
        raise UnreadableError(path, error) from error
