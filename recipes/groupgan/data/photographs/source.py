"""What all sets of photographs are: a folder, read whole or in part, past what cannot be used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import nvn
from nvn.folders import LeftOut

from ..pairs import Pairs
from . import files
from .cropping import Crop


@dataclass(frozen=True)
class PhotoSet(ABC):
    """A data set in a folder: a source of pairs.

    Attributes:
        root: The folder.
        side: The side of the pictures, in pixels.
        crop: What is seen of them.
    """

    root: Path
    side: int
    crop: Crop = "face"

    name: ClassVar[str]  # what the set is called
    layout: ClassVar[str]  # the paths expected, as messages show them

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The names of the expressions."""

    @abstractmethod
    def every(self, left_out: LeftOut) -> Pairs | None:
        """Return every pair, or None, and write down what has to be left out.

        Raises:
            DataError: If the set is not in its folder.
        """

    @abstractmethod
    def sample(self, count: int) -> Pairs:
        """Return `count` pairs or a few more, or all that there are; nothing is warned of.

        Raises:
            DataError: If there is none.
            ConfigError: If something is missing that it needs, such as scikit-image.
        """

    def read(self) -> Pairs:
        """Return every pair, with a warning that names what was left out.

        Raises:
            DataError: If there is none.
            ConfigError: If something is missing that it needs, such as scikit-image.
        """
        left_out = self.unsaid()
        pairs = self.every(left_out)
        if not pairs:
            raise left_out.nothing_left(self.layout)
        left_out.warn()
        return pairs

    def unsaid(self) -> LeftOut:
        """Return where it is written down what is left out; nothing is yet."""
        return LeftOut(f"{self.name} in {self.root}", self.root)

    def beneath(self, *names: str) -> list[Path]:
        """Return the folders of some names, each in the root or in a folder of it.

        Raises:
            DataError: If one of them is not there.
        """
        files.require(self.root, self.name, self.layout)
        found = [path for name in names if (path := files.beneath(self.root, name))]
        if len(found) < len(names):
            raise self.misplaced()
        return found

    def misplaced(self) -> nvn.DataError:
        """Return the error that the set is not in its folder."""
        return files.misplaced(self.root, self.name, self.layout)
