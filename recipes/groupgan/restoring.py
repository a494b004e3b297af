"""Settings of sketch repair, and the parts that they decide."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Literal, TypeAlias, TypeVar

import torch
from pydantic import Field
from torch import nn
from torch.optim.lr_scheduler import PolynomialLR

import nvn

from . import networks as nets
from .data.drawings.sets import Data, FreehandData
from .fitting import HEAVIEST, MOST, Presets, extended
from .play import Content, Family
from .settings import one_cycle

Backbone = TypeVar("Backbone", bound=nets.Extractor)


class Networks(nvn.Config):
    """Settings of the networks."""

    presets: ClassVar[Presets] = {
        "gpu": {"width": 48, "features": 256},
        "paper": {"width": 64, "features": 256, "generator": "published", "critics": "whole"},
    }

    features: int = Field(64, ge=1, le=8192, description="features that E extracts")
    width: int = Field(
        16, ge=1, le=1024, description="channels of the first layer of every network"
    )
    generator: Literal["fine", "edits", "published"] = Field(
        "fine",
        description="G: with layers at full resolution; the one that edits faces; as published",
    )
    critics: Literal["patches", "whole"] = Field(
        "patches", description="D and D′ judge parts of a drawing, or all of it, as published"
    )


class Training(nvn.Config):
    """Settings of how players learn."""

    presets: ClassVar[Presets] = {
        "gpu": {"batch": 64, "pretraining": 4000, "warmup": 20_000, "steps": 5000},
        "paper": {
            "batch": 4,
            "pretraining": 10_000,
            "warmup": 10_000,
            "steps": 50_000,
            "lr": 1e-4,
            "critics_lr": 1e-4,
        },
    }

    batch: int = Field(16, ge=2, le=100_000, description="drawings in a batch")
    pretraining: int = Field(
        300, ge=1, le=MOST, description="steps of phase pretraining: C, E and the judge learn"
    )
    warmup: int = Field(
        1300, ge=1, le=MOST, description="steps of phase warmup: G learns without critics"
    )
    steps: int = Field(200, ge=1, le=MOST, description="steps of phase main, the game itself")
    lr: float = Field(4e-4, gt=0, le=10, description="learning rate in the game, at first")
    critics_lr: float = Field(1e-3, gt=0, le=10, description="that of D and D′")
    early_lr: float = Field(
        3e-3, gt=0, le=10, description="highest learning rate in the phases before the game"
    )

    def in_play(self, lr: float) -> nvn.Optimizer:
        """Return how players step in the game: their rate falls, so that it comes to rest."""
        adam = partial(torch.optim.Adam, lr=lr, betas=(0.5, 0.99))
        return nvn.Optimizer(adam, schedule=partial(PolynomialLR, total_iters=self.steps + 1))

    def early(self, steps: int) -> nvn.Optimizer:
        """Return how players step before the game: a rate that rises and falls once."""
        adam = partial(torch.optim.Adam, lr=self.early_lr, betas=(0.9, 0.99))
        return nvn.Optimizer(adam, schedule=one_cycle(self.early_lr, steps))


class Rules(nvn.Config):
    """Settings of the games: what counts, and how much."""

    presets: ClassVar[Presets] = {
        "paper": {"adversarial": "minimax", "a": 2e-3, "b": 2e-3, "c": 1.0}
    }

    content: Content = Field(
        "mse", description="how repaired drawings are compared with whole ones"
    )
    adversarial: Family = Field("non_saturating", description="adversarial loss")
    a: float = Field(2e-2, ge=0, le=HEAVIEST, description="G's weight on fooling D")
    b: float = Field(0.2, ge=0, le=HEAVIEST, description="G's weight on fooling D′")
    c: float = Field(2e-3, ge=0, le=HEAVIEST, description="G's weight on the cross-entropy of C")


class OneVersusTwo(Rules):
    """Settings of {G} v {D, D′}."""

    kind: Literal["1v2"] = "1v2"


class TwoVersusTwo(Rules):
    """Settings of {G, E} v {D, D′}: the extractor E tells G and the critics what is drawn."""

    presets: ClassVar[Presets] = extended(Rules.presets, paper={"head": 0.0})

    kind: Literal["2v2"] = "2v2"
    ae: float = Field(2e-3, ge=0, le=HEAVIEST, description="E's weight on fooling D")
    be: float = Field(2e-3, ge=0, le=HEAVIEST, description="E's weight on fooling D′")
    head: float = Field(
        0.3, ge=0, le=HEAVIEST, description="E's weight on the cross-entropy of its own head"
    )


Game: TypeAlias = Annotated[OneVersusTwo | TwoVersusTwo, Field(discriminator="kind")]


class SketchConfig(nvn.Config):
    """Settings of sketch repair.

    The defaults train well in minutes. Preset `paper` is sections 3.3 and 4.2; which of them hold
    for drawings, 4.6 does not say.
    """

    presets: ClassVar[Presets] = {"quick": {}}
    once_flat: ClassVar[bool] = True

    data: Data = FreehandData()
    networks: Networks = Networks()
    training: Training = Training()
    game: Game = TwoVersusTwo()

    def generator(self, features: int) -> nn.Module:
        """Make a generator, one that is told `features` of a drawing."""
        width, kind = self.networks.width, self.networks.generator
        if kind == "fine":
            return nets.laid_out(nets.FineGenerator(width, features, channels=1))
        edits = kind == "edits"
        return nets.laid_out(nets.Generator(width, features, residual=edits, channels=1))

    def critic(self, features: int) -> nn.Module:
        """Make a critic, one that is told `features` of a drawing."""
        widths = nets.critic_widths(self.networks.width)
        if self.networks.critics == "patches":
            return nets.laid_out(nets.PatchCritic(widths[:-1], features, channels=1))
        return nets.laid_out(nets.Critic(widths, features, self.data.size, channels=1))

    def network(self, kind: type[Backbone]) -> Backbone:
        """Make an extractor or a classifier."""
        dimensions = nets.Dimensions(self.data.size, self.networks.features, channels=1)
        trunk = nets.backbone("small", dimensions, self.networks.width)
        return nets.laid_out(kind(trunk, len(self.data.classes)))
