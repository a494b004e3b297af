"""Which drawings sketch repair learns from: a kind of data for each set."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from ...fitting import MOST, Folds, Presets
from ..sets import OwnPath
from .folders import from_folder, from_sketchy
from .labeled import Drawings
from .omniglot import omniglot, read_about
from .repairing import Repair
from .vectors import FREEHAND, OPENMOJI, read_vectors, shipped


class Lines(Folds):
    """What all sets have: how large drawings are, and how they are split."""

    presets: ClassVar[Presets] = {"gpu": {"size": 128}, "paper": {"size": 128}}

    mirrored: ClassVar[bool] = True  # half of those to learn from
    size: int = Field(
        64, ge=32, le=512, multiple_of=16, description="side of the drawings, in pixels"
    )

    @cached_property
    def drawings(self) -> Drawings:
        """Every drawing."""
        return self.read()

    @abstractmethod
    def read(self) -> Drawings:
        """Read every drawing."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.drawings.classes

    @cached_property
    def repair(self) -> Repair:
        """The drawings to learn from and to test on, read when they are first asked for."""
        return Repair(lambda: self.drawings, self.fold, self.folds, mirrored=self.mirrored)


class Shipped(Lines):
    """A set that comes along, as vectors."""

    packed: ClassVar[Path]

    def read(self) -> Drawings:
        """Draw every drawing."""
        return shipped(self.packed, self.size)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, known without drawing."""
        return read_vectors(self.packed).classes


class FreehandData(Shipped):
    """A thousand drawings by Streamline."""

    packed: ClassVar = FREEHAND
    kind: Literal["freehand"] = "freehand"


class OpenmojiData(Shipped):
    """Drawings by OpenMoji."""

    packed: ClassVar = OPENMOJI
    kind: Literal["openmoji"] = "openmoji"


class OmniglotData(Lines):
    """Characters, each drawn by twenty people (Lake et al. 2015)."""

    mirrored: ClassVar = False  # a mirrored character is another one, or none
    kind: Literal["omniglot"] = "omniglot"

    def read(self) -> Drawings:
        """Read every drawing."""
        return omniglot(self.size)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, known without reading the drawings."""
        return read_about().classes


class Files(Lines):
    """Drawings in a folder."""

    root: OwnPath = Field(description="the folder of the drawings (docs/data.md)")
    limit: int = Field(1000, ge=10, le=MOST, description="drawings read at most")


class SketchyData(Files):
    """Sketchy."""

    kind: Literal["sketchy"] = "sketchy"

    def read(self) -> Drawings:
        """Read the drawings, some of each class."""
        return from_sketchy(self.root, self.size, self.limit)


class FolderData(Files):
    """A folder of one's own."""

    kind: Literal["folder"] = "folder"

    def read(self) -> Drawings:
        """Read the drawings, some of each class."""
        return from_folder(self.root, self.size, self.limit)


Data: TypeAlias = Annotated[
    FreehandData | OpenmojiData | OmniglotData | SketchyData | FolderData,
    Field(discriminator="kind"),
]
