"""Settings of sketch repair, and the parts that they decide."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Literal, TypeAlias, TypeVar

import torch
from pydantic import Field

import nvn

from . import networks as nets
from .data.drawings.sets import Data, FreehandData
from .fitting import HEAVIEST, MOST, Presets
from .play import Content, Family
from .settings import one_cycle

Backbone = TypeVar("Backbone", bound=nets.Extractor)


class Networks(nvn.Config):
    """Settings of the networks."""

    presets: ClassVar[Presets] = {"gpu": {"width": 48, "features": 256}}

    features: int = Field(64, ge=1, le=8192, description="features that E extracts")
    width: int = Field(
        16, ge=1, le=1024, description="channels of the first layer of every network"
    )


class Training(nvn.Config):
    """Settings of how players learn."""

    presets: ClassVar[Presets] = {
        "gpu": {"batch": 64, "pretraining": 4000, "warmup": 20_000, "steps": 5000}
    }

    batch: int = Field(16, ge=2, le=100_000, description="drawings in a batch")
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

    def in_play(self) -> nvn.Optimizer:
        """Return how players step in the game."""
        return nvn.Optimizer(partial(torch.optim.Adam, lr=self.lr, betas=(0.5, 0.99)))

    def early(self, steps: int) -> nvn.Optimizer:
        """Return how players step before the game: a rate that rises and falls once."""
        adam = partial(torch.optim.Adam, lr=self.early_lr, betas=(0.9, 0.99))
        return nvn.Optimizer(adam, schedule=one_cycle(self.early_lr, steps))


class Rules(nvn.Config):
    """Settings of the games: what counts, and how much."""

    content: Content = Field(
        "mse", description="how repaired drawings are compared with whole ones"
    )
    adversarial: Family = Field("non_saturating", description="adversarial loss")
    a: float = Field(2e-3, ge=0, le=HEAVIEST, description="G's weight on fooling D")
    b: float = Field(2e-3, ge=0, le=HEAVIEST, description="G's weight on fooling D′")
    c: float = Field(2e-3, ge=0, le=HEAVIEST, description="G's weight on the cross-entropy of C")


class OneVersusTwo(Rules):
    """Settings of {G} v {D, D′}."""

    kind: Literal["1v2"] = "1v2"


class TwoVersusTwo(Rules):
    """Settings of {G, E} v {D, D′}: the extractor E tells G and the critics what is drawn."""

    kind: Literal["2v2"] = "2v2"
    ae: float = Field(2e-3, ge=0, le=HEAVIEST, description="E's weight on fooling D")
    be: float = Field(2e-3, ge=0, le=HEAVIEST, description="E's weight on fooling D′")
    head: float = Field(
        0.3, ge=0, le=HEAVIEST, description="E's weight on the cross-entropy of its own head"
    )


Game: TypeAlias = Annotated[OneVersusTwo | TwoVersusTwo, Field(discriminator="kind")]


class SketchConfig(nvn.Config):
    """Settings of sketch repair. The defaults train well in minutes."""

    presets: ClassVar[Presets] = {"quick": {}}
    once_flat: ClassVar[bool] = True

    data: Data = FreehandData()
    networks: Networks = Networks()
    training: Training = Training()
    game: Game = TwoVersusTwo()

    def generator(self, features: int) -> nets.Generator:
        """Make a generator, one that is told `features` of a drawing."""
        made = nets.Generator(self.networks.width, features, residual=True, channels=1)
        return nets.laid_out(made)

    def critic(self, features: int) -> nets.Critic:
        """Make a critic, one that is told `features` of a drawing."""
        widths = nets.critic_widths(self.networks.width)
        return nets.laid_out(nets.Critic(widths, features, self.data.size, channels=1))

    def network(self, kind: type[Backbone]) -> Backbone:
        """Make an extractor or a classifier."""
        dimensions = nets.Dimensions(self.data.size, self.networks.features, channels=1)
        trunk = nets.backbone("small", dimensions, self.networks.width)
        return nets.laid_out(kind(trunk, len(self.data.classes)))
