"""What the recipes on expressions share: settings in groups, and the parts that these decide.

A preset is put together of those of the groups: `quick` (the defaults) trains well in minutes on
two cores; `gpu` is larger in all respects; `paper` is section 4.2; `london` is for the few
photographs of the London set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import ClassVar, Literal, TypeVar

import torch
from pydantic import Field
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

import nvn

from . import networks as nets
from .data.pairs import Source, Split
from .data.sets import Data, RenderedData
from .fitting import Fitting, Presets, Rate, Steps, extended

Network = TypeVar("Network", bound=nn.Module)
Backbone = TypeVar("Backbone", bound=nets.Extractor)


class Networks(Fitting):
    """Settings of the networks."""

    presets: ClassVar[Presets] = {
        "gpu": {"features": 256, "width": 48},
        "paper": {"backbone": "vgg13", "features": 256, "width": 64, "published_init": True},
    }

    backbone: nets.BackboneName = Field(
        "small", description="the layers of C, of E and of the judge, but for the last one"
    )
    backbone_width: float = Field(
        1.0,
        ge=1 / 16,
        le=1,
        description="channels of a published backbone, as a share of the published ones",
    )
    backbone_norm: bool = Field(
        True, description="AlexNet and VGG with BatchNorm; as published, they have none"
    )
    features: int = Field(128, ge=1, le=8192, description="features that a backbone extracts")
    width: int = Field(
        16, ge=1, le=1024, description="channels of the first layer of G, D, D′ and small backbones"
    )
    published_init: bool = Field(False, description="weights drawn from N(0, 0.01²), biases 1")

    def recognizing(self, kind: type[Backbone], size: int, classes: int) -> Backbone:
        """Make an extractor or a classifier of pictures of a size."""
        dimensions = nets.Dimensions(
            size, self.features, share=self.backbone_width, batch_norm=self.backbone_norm
        )
        return self.prepared(kind(nets.backbone(self.backbone, dimensions, self.width), classes))

    def prepared(self, module: Network) -> Network:
        """Return a module as it starts: its weights drawn, its memory laid out."""
        if self.published_init:
            module.apply(nets.initialize_as_published)
        return nets.laid_out(module)


class Batches(nvn.Config):
    """Settings of what is learned from at once."""

    batch: int = Field(24, ge=2, le=100_000, description="pairs of pictures in a batch")


class Training(Batches):
    """Settings of how players learn."""

    presets: ClassVar[Presets] = {
        "gpu": {"batch": 64, "steps": 10_000},
        "paper": {"batch": 4, "optimizer": "sgd", "early_lr": 1e-3, "steps": 50_000},
    }

    steps: Steps = Field(1600, description="steps of phase main, the game itself")
    optimizer: Literal["adam", "sgd"] = Field(
        "adam", description="the optimizer of every player, in every phase"
    )
    early_lr: Rate = Field(
        3e-3, description="highest learning rate where the rate rises and falls once"
    )

    def early(self, steps: int) -> nvn.Optimizer:
        """Return how players step that learn alone: a rate that rises and falls once.

        The momentum of SGD stays .9, as published.
        """
        cycle = one_cycle(self.early_lr, steps, momentum=self.optimizer == "adam")
        return nvn.Optimizer(self.stepping(self.early_lr), schedule=cycle)

    def stepping(self, lr: float, beta1: float = 0.9) -> nvn.OptimizerFactory:
        """Return the optimizer of every player; β1 is Adam's."""
        if self.optimizer == "adam":
            return partial(torch.optim.Adam, lr=lr, betas=(beta1, 0.99))
        return partial(torch.optim.SGD, lr=lr, momentum=0.9, weight_decay=0.005)


class PairsConfig(Fitting):
    """Settings of a recipe that learns from pairs of a weak picture and a peak."""

    presets: ClassVar[Presets] = {"quick": {}}
    once_flat: ClassVar[bool] = True

    data: Data = RenderedData()
    training: Batches = Batches()

    def _problems(self) -> Iterator[str]:
        pairs, batch = self.data.trained, self.training.batch
        if pairs is not None and batch > pairs:
            yield f"training.batch = {batch}: there are only {pairs} pairs to train on"

    @property
    def pairs_needed(self) -> bool:
        """Whether the recipe looks at peaks; LSEMSW has them only for who can tell them."""
        return True

    @cached_property
    def pairs(self) -> Split:
        """The pairs to train and to test on, read when they are first asked for."""
        return self.data.split(paired=self.pairs_needed)

    @property
    def source(self) -> Source:
        """Where the pairs come from."""
        return self.pairs.source


class ExpressionConfig(PairsConfig):
    """Settings of a recipe with networks that recognize expressions."""

    presets: ClassVar[Presets] = extended(
        PairsConfig.presets,
        london={"data": {"kind": "london", "smiles": "landmarks", "levels": 6, "variation": 0.4}},
    )

    networks: Networks = Networks()
    training: Training = Training()

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        if self.networks.backbone != "small" and self.data.size < nets.SMALLEST:
            yield (
                f"data.size = {self.data.size}: the backbone {self.networks.backbone} needs "
                f"pictures of {nets.SMALLEST} pixels or more"
            )

    def network(self, kind: type[Backbone]) -> Backbone:
        """Make an extractor or a classifier."""
        classes = self.source.classes
        if len(classes) < 2:
            raise nvn.DataError(
                f"{getattr(self.data, 'root', self.data.kind)} has one expression, "
                f"{', '.join(classes)}: there is nothing to tell apart. Expected two folders of "
                "expressions or more (docs/data.md)"
            )
        return self.networks.recognizing(kind, self.data.size, len(classes))


def one_cycle(
    lr: float, steps: int, *, momentum: bool = True
) -> Callable[[torch.optim.Optimizer], OneCycleLR]:
    """Return a learning rate that rises to `lr` in a fifth of the steps, and falls from then on.

    Unless `momentum` is false, momentum (Adam's β1) goes the other way, from .95 to .85 and back:
    Smith and Topin 2018 (arXiv 1708.07120).
    """
    total = steps + 1
    rising = max(0.2, 1.5 / total)  # OneCycleLR divides by zero where it would rise for no step
    return partial(
        OneCycleLR, max_lr=lr, total_steps=total, pct_start=rising, cycle_momentum=momentum
    )
