"""What the GroupGAN recipes on faces share: settings, and the parts that these decide."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal, Self, TypeVar

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

import nvn
from nvn.optimizers import Factory

from . import networks as nets
from .pairs import Split
from .rendered.faces import LARGEST, FacesSpec
from .rendered.source import RenderedFaces

CLASSES = 6
MOST = 10**9  # steps; more are a slip of the finger

Network = TypeVar("Network", bound=nn.Module)
Backbone = TypeVar("Backbone", bound=nets.Extractor)


class FaceConfig(nvn.Config):
    """Settings of data, networks and training. The defaults train well in minutes."""

    # data
    subjects: int = Field(200, ge=10, le=100_000, description="people rendered")
    levels: int = Field(3, ge=1, le=100, description="weak pictures of each person and expression")
    size: int = Field(
        48, ge=16, le=256, multiple_of=16, description="side of the pictures seen, in pixels"
    )
    margin: int = Field(
        0, ge=0, le=240, description="pixels rendered beyond that side, to crop at random"
    )
    folds: int = Field(
        5, ge=2, le=100_000, description="parts that the people are split into, one to test on"
    )
    fold: int = Field(0, ge=0, le=100_000, description="which part to test on; the first is 0")
    batch: int = Field(24, ge=2, le=100_000, description="pairs of pictures in a batch")
    # networks
    backbone: nets.BackboneName = Field(
        "small", description="the convolutions of E, C and the two judges"
    )
    backbone_width: float = Field(
        1.0,
        ge=1 / 16,
        le=1,
        description="channels of a backbone that isn't small, as a share of the published ones",
    )
    backbone_norm: bool = Field(
        True, description="AlexNet and VGG with BatchNorm; as published, they have none"
    )
    features: int = Field(128, ge=1, le=8192, description="features that E extracts")
    width: int = Field(
        16, ge=1, le=1024, description="channels of G's first layer; other networks scale with it"
    )
    residual: bool = Field(True, description="G makes the difference to its input, with skips")
    published_init: bool = Field(False, description="weights drawn from N(0, 0.01²), biases 1")
    # training
    peaks: int = Field(
        200, ge=1, le=MOST, description="steps of phase peaks: C and a judge learn real peaks"
    )
    pretraining: int = Field(
        800,
        ge=1,
        le=MOST,
        description="steps of phase pretraining: E and a judge learn expressions",
    )
    warmup: int = Field(
        1500, ge=1, le=MOST, description="steps of phase warmup: G learns without critics"
    )
    steps: int = Field(150, ge=1, le=MOST, description="steps of phase main, the game itself")
    optimizer: Literal["adam", "sgd"] = Field(
        "adam", description="the optimizer of every player, in every phase"
    )
    lr: float = Field(4e-4, gt=0, le=10, description="learning rate in the game")
    early_lr: float = Field(
        3e-3, gt=0, le=10, description="highest learning rate in the phases before the game"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("\n".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        if self.folds > self.subjects:
            yield (
                f"folds = {self.folds}: {self.subjects} people (subjects) can be split into "
                f"{self.subjects} parts at most"
            )
        if self.fold >= self.folds:
            yield f"fold = {self.fold}: the folds are 0 to {self.folds - 1} (folds = {self.folds})"
        tested = len(range(self.fold, self.subjects, self.folds))
        pairs = (self.subjects - tested) * CLASSES * self.levels
        if self.batch > pairs:
            yield f"batch = {self.batch}: there are only {pairs} pairs to train on"
        if self.size + self.margin > LARGEST:
            side = self.size + self.margin
            yield f"size + margin = {side}: faces are rendered at {LARGEST} pixels at most"
        if self.backbone != "small" and self.size < nets.SMALLEST:
            yield (
                f"size = {self.size}: the backbone {self.backbone} needs pictures of "
                f"{nets.SMALLEST} pixels or more"
            )

    @property
    def pairs(self) -> Split:
        """The faces to train and to test on."""
        spec = FacesSpec(self.subjects, self.size + self.margin, self.levels)
        return Split(RenderedFaces(spec), self.size, self.fold, self.folds)

    def generator(self) -> nets.Generator:
        """Make a generator."""
        made = nets.Generator(self.width, self.features, residual=self.residual)
        return self._initialised(made)

    def critic(self) -> nets.Critic:
        """Make a critic."""
        widths = [self.width * k for k in (1, 2, 3, 3)]
        return self._initialised(nets.Critic(widths, self.features, self.size))

    def network(self, kind: type[Backbone]) -> Backbone:
        """Make an extractor or a classifier."""
        dimensions = nets.Dimensions(
            self.size, self.features, share=self.backbone_width, batch_norm=self.backbone_norm
        )
        trunk = nets.backbone(self.backbone, dimensions, self.width)
        return self._initialised(kind(trunk, CLASSES))

    def in_play(self) -> nvn.Optimizer:
        """Return how players step in the game: at `lr`, a tenth once G's losses stop falling."""
        plateau = nvn.Plateau("G", every=100, patience=10, factor=0.1, min_lr=self.lr / 10)
        return nvn.Optimizer(self._optimizer(self.lr, momentum=0.5), schedule=plateau)

    def early(self, steps: int) -> nvn.Optimizer:
        """Return how players step before the game: a rate that rises and falls once."""
        cycle = partial(OneCycleLR, max_lr=self.early_lr, total_steps=steps + 1, pct_start=0.2)
        return nvn.Optimizer(self._optimizer(self.early_lr, momentum=0.9), schedule=cycle)

    def _optimizer(self, lr: float, momentum: float) -> Factory:
        if self.optimizer == "adam":
            return partial(torch.optim.Adam, lr=lr, betas=(momentum, 0.99))
        return partial(torch.optim.SGD, lr=lr, momentum=0.9, weight_decay=0.005)

    def _initialised(self, module: Network) -> Network:
        if self.published_init:
            module.apply(nets.initialise_as_published)
        # Convolutions on CPUs run faster so. (torch's annotations don't know the argument alone.)
        return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
