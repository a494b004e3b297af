"""What the recipes on expressions share: settings, and the parts that these decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import ClassVar, Literal, TypeAlias, TypeVar

import torch
from pydantic import Field
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

import nvn

from . import networks as nets
from .sources import DataConfig

MOST = 10**9  # steps; more are a slip of the finger
HEAVIEST = 1e6  # of the weights of energies

Network = TypeVar("Network", bound=nn.Module)
Backbone = TypeVar("Backbone", bound=nets.Extractor)


Presets: TypeAlias = Mapping[str, Mapping[str, object]]


def extended(presets: Presets, **more: Mapping[str, object]) -> Presets:
    """Return presets with more settings in some of them, by the preset's name."""
    return {name: {**values, **more.get(name, {})} for name, values in presets.items()}


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


class ExpressionConfig(DataConfig):
    """Settings of data, networks and training.

    Presets: `quick` (the default) trains well in minutes on two cores; `gpu` is larger in all
    respects; `paper` is section 4.2; `london` is for the few photographs of the London set.
    """

    presets: ClassVar[Presets] = {
        "quick": {},
        "gpu": {
            "subjects": 1000,
            "size": 64,
            "margin": 8,
            "batch": 64,
            "features": 256,
            "width": 48,
            "steps": 10_000,
        },
        "paper": {
            "size": 128,
            "margin": 16,
            "batch": 4,
            "backbone": "vgg13",
            "features": 256,
            "width": 64,
            "published_init": True,
            "optimizer": "sgd",
            "early_lr": 1e-3,
            "steps": 50_000,
        },
        "london": {"data": "london", "smiles": "landmarks", "levels": 6, "variation": 0.4},
    }

    # networks
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
    # training
    steps: int = Field(1600, ge=1, le=MOST, description="steps of phase main, the game itself")
    optimizer: Literal["adam", "sgd"] = Field(
        "adam", description="the optimizer of every player, in every phase"
    )
    early_lr: float = Field(
        3e-3, gt=0, le=10, description="highest learning rate where the rate rises and falls once"
    )

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        if self.backbone != "small" and self.size < nets.SMALLEST:
            yield (
                f"size = {self.size}: the backbone {self.backbone} needs pictures of "
                f"{nets.SMALLEST} pixels or more"
            )

    def network(self, kind: type[Backbone]) -> Backbone:
        """Make an extractor or a classifier."""
        dimensions = nets.Dimensions(
            self.size, self.features, share=self.backbone_width, batch_norm=self.backbone_norm
        )
        trunk = nets.backbone(self.backbone, dimensions, self.width)
        classes = self.source.classes
        if len(classes) < 2:
            raise nvn.DataError(
                f"{self.root} has one expression, {', '.join(classes)}: there is nothing to tell "
                "apart. Expected two folders of expressions or more (docs/data.md)"
            )
        return self.prepared(kind(trunk, len(classes)))

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

    def prepared(self, module: Network) -> Network:
        """Return a module as it starts: its weights drawn, its memory laid out."""
        if self.published_init:
            module.apply(nets.initialize_as_published)
        return nets.laid_out(module)
