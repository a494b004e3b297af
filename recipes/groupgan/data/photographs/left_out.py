"""What a data set holds that could not be used: counted and named, never fatal, never silent."""

from __future__ import annotations

import warnings
from pathlib import Path

import nvn
from nvn import folders


class LeftOut(folders.LeftOut):
    """What was left out so far, by the reason why.

    Args:
        name: The data set.
        root: Its folder.
    """

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(f"{name} in {root}", root)


def beneath_root(path: Path, root: Path) -> str:
    """Return a path with slashes, from the root on if it lies there."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def tell(message: str) -> None:
    """Warn of something that a person should know, and go on."""
    warnings.warn(message, nvn.NvnWarning, stacklevel=3)
