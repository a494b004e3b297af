"""Settings of sketch repair, and the parts that they decide."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

import torch
from pydantic import Field

import nvn

from . import networks as nets
from .data.drawings.folders import from_folder, from_sketchy
from .data.drawings.labeled import Drawings
from .data.drawings.repairing import Repair
from .data.drawings.vectors import FREEHAND, OPENMOJI, read_vectors, shipped
from .data.sets import OwnPath, SplitConfig
from .play import Content, Family
from .settings import HEAVIEST, MOST, Presets, one_cycle

Backbone = TypeVar("Backbone", bound=nets.Extractor)


class SketchConfig(SplitConfig):
    """Settings of data, networks and training. The defaults train well in minutes."""

    presets: ClassVar[Presets] = {
        "quick": {},
        "gpu": {
            "size": 128,
            "batch": 64,
            "width": 48,
            "features": 256,
            "pretraining": 4000,
            "warmup": 20_000,
            "steps": 5000,
        },
    }

    # data
    data: Literal["freehand", "openmoji", "sketchy", "folder"] = Field(
        "freehand", description="the data: a set that ships, Sketchy's layout, or any folder"
    )
    root: OwnPath | None = Field(
        None, description="the folder of sketchy, or of one's own drawings"
    )
    limit: int = Field(1000, ge=10, le=MOST, description="sketchy, folder: drawings read at most")
    size: int = Field(
        64, ge=32, le=512, multiple_of=16, description="side of the drawings, in pixels"
    )
    batch: int = Field(16, ge=2, le=100_000, description="drawings in a batch")
    # networks
    features: int = Field(64, ge=1, le=8192, description="features that E extracts")
    width: int = Field(
        16, ge=1, le=1024, description="channels of the first layer of every network"
    )
    # the game
    content: Content = Field(
        "mse", description="how repaired drawings are compared with whole ones"
    )
    adversarial: Family = Field("non_saturating", description="adversarial loss")
    a: float = Field(2e-3, ge=0, le=HEAVIEST, description="G's weight on fooling D")
    b: float = Field(2e-3, ge=0, le=HEAVIEST, description="G's weight on fooling D′")
    c: float = Field(2e-3, ge=0, le=HEAVIEST, description="G's weight on the cross-entropy of C")
    # training
    pretraining: int = Field(
        500, ge=1, le=MOST, description="steps of phase pretraining: C, E and the judge learn"
    )
    warmup: int = Field(
        900, ge=1, le=MOST, description="steps of phase warmup: G learns without critics"
    )
    steps: int = Field(300, ge=1, le=MOST, description="steps of phase main, the game itself")
    lr: float = Field(4e-4, gt=0, le=10, description="learning rate in the game")
    early_lr: float = Field(
        3e-3, gt=0, le=10, description="highest learning rate in the phases before the game"
    )

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        shipped_set = self.data in ("freehand", "openmoji")
        if not shipped_set and self.root is None:
            yield f"data = {self.data}: where are the drawings? Set root, e.g. --set root=FOLDER"
        if shipped_set and self.root is not None:
            yield f"root = {self.root}: {self.data} needs no folder; choose data, e.g. data=folder"

    @cached_property
    def drawings(self) -> Drawings:
        """Every drawing."""
        if self.root is None:
            return shipped(self._packed, self.size)
        read = from_sketchy if self.data == "sketchy" else from_folder
        return read(self.root, self.size, self.limit)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; of the sets that come along they are known without drawing."""
        return self.drawings.classes if self.root else read_vectors(self._packed).classes

    @property
    def _packed(self) -> Path:
        return FREEHAND if self.data == "freehand" else OPENMOJI

    @cached_property
    def repair(self) -> Repair:
        """The drawings to learn from and to test on."""
        return Repair(lambda: self.drawings, self.fold, self.folds)

    def generator(self, features: int) -> nets.Generator:
        """Make a generator, one that is told `features` of a drawing."""
        return nets.laid_out(nets.Generator(self.width, features, residual=True, channels=1))

    def critic(self, features: int) -> nets.Critic:
        """Make a critic, one that is told `features` of a drawing."""
        widths = nets.critic_widths(self.width)
        return nets.laid_out(nets.Critic(widths, features, self.size, channels=1))

    def network(self, kind: type[Backbone]) -> Backbone:
        """Make an extractor or a classifier."""
        dimensions = nets.Dimensions(self.size, self.features, channels=1)
        trunk = nets.backbone("small", dimensions, self.width)
        return nets.laid_out(kind(trunk, len(self.classes)))

    def in_play(self) -> nvn.Optimizer:
        """Return how players step in the game."""
        return nvn.Optimizer(partial(torch.optim.Adam, lr=self.lr, betas=(0.5, 0.99)))

    def early(self, steps: int) -> nvn.Optimizer:
        """Return how players step before the game: a rate that rises and falls once."""
        adam = partial(torch.optim.Adam, lr=self.early_lr, betas=(0.9, 0.99))
        return nvn.Optimizer(adam, schedule=one_cycle(self.early_lr, steps))
