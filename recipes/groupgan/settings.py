"""What the GroupGAN recipes on faces share: settings, and the parts that these decide."""

from __future__ import annotations

from functools import partial
from typing import Literal, TypeVar

import torch
from pydantic import Field
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

import nvn
from nvn.optimizers import Factory

from . import networks as nets
from .faces import FacesSpec
from .pairs import FacePairs

CLASSES = 6

Network = TypeVar("Network", bound=nn.Module)
Backbone = TypeVar("Backbone", bound=nets.Extractor)


class FaceConfig(nvn.Config):
    """Settings of data, networks and training. The defaults train well in minutes."""

    # data
    subjects: int = Field(200, ge=10, description="people rendered")
    levels: int = Field(3, ge=1, description="weak pictures of each person and expression")
    size: int = Field(48, ge=16, multiple_of=16, description="side of the pictures seen, in pixels")
    margin: int = Field(0, ge=0, description="pixels rendered beyond that, to crop at random")
    folds: int = Field(5, ge=2, description="parts the people are split into, one to test on")
    fold: int = Field(0, ge=0, description="the part to test on")
    batch: int = Field(24, ge=2, description="pairs in a batch")
    # networks
    backbone: Literal["small", "vgg13"] = Field("small", description="of E, C and the judges")
    features: int = Field(128, ge=1, description="features that E extracts")
    width: int = Field(16, ge=1, description="channels of G's first layer; the others' scale too")
    residual: bool = Field(True, description="G makes the difference to its input, with skips")
    published_init: bool = Field(False, description="weights drawn from N(0, 0.01), biases 1")
    # training
    peaks: int = Field(200, ge=1, description="steps in which C and a judge learn peaks")
    pretraining: int = Field(800, ge=1, description="steps in which E learns expressions")
    warmup: int = Field(1500, ge=1, description="steps in which G learns without critics")
    steps: int = Field(150, ge=1, description="steps of the game")
    optimizer: Literal["adam", "sgd"] = Field("adam", description="of every player")
    lr: float = Field(4e-4, gt=0, description="learning rate in the game")
    early_lr: float = Field(3e-3, gt=0, description="highest learning rate before the game")

    @property
    def pairs(self) -> FacePairs:
        """The faces to train and to test on."""
        spec = FacesSpec(self.subjects, self.size + self.margin, self.levels)
        return FacePairs(spec, self.size, self.fold, self.folds)

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
        stages = nets.VGG13 if self.backbone == "vgg13" else nets.small_stages(self.width)
        return self._initialised(kind(stages, self.features, self.size, CLASSES))

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
