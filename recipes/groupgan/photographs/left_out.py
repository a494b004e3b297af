"""What a data set holds that could not be used: counted and named, never fatal, never silent."""

from __future__ import annotations

import warnings
from collections import defaultdict
from pathlib import Path

import nvn
from nvn.images import printable

NAMED = 5  # of a kind; of more, only how many there are


class LeftOut:
    """What was left out so far, by the reason why.

    Args:
        name: The data set.
        root: Its folder.
    """

    def __init__(self, name: str, root: Path) -> None:
        self._where = f"{name} in {root}"
        self._root = root
        self._names: dict[str, list[str]] = defaultdict(list)

    def add(self, reason: str, path: Path) -> None:
        """Count one, under a reason that reads well after a number: "too short"."""
        self._names[reason].append(printable(beneath_root(path, self._root)))

    def __str__(self) -> str:
        return "\n".join(
            f"    {len(names)} {reason}: {_listed(names)}" for reason, names in self._names.items()
        )

    def warn(self) -> None:
        """Say all of it in one warning, if there is anything to say."""
        if self._names:
            tell(f"{self._where}: not all of it is used.\n{self}")

    def nothing_left(self, expected: str) -> nvn.DataError:
        """Return the error that nothing at all can be used."""
        found = f"{self}\n" if self._names else ""
        return nvn.DataError(
            f"{self._where}: nothing of it can be used.\n{found}expected:\n{expected}"
        )


def beneath_root(path: Path, root: Path) -> str:
    """Return a path with slashes, from the root on if it lies there."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def tell(message: str) -> None:
    """Warn of something that a person should know, and go on."""
    warnings.warn(message, nvn.NvnWarning, stacklevel=3)


def _listed(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f", … and {more} more" if more > 0 else "")
