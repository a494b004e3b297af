"""Self-cure: how important each picture of a batch is, and which labels are not believed.

Wang, Peng, Yang, Lu and Qiao (2020), "Suppressing uncertainties for large-scale facial expression
recognition", CVPR, arXiv 2002.10392; section 3. Letters: N pictures of C channels and H×W pixels; F
features; K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..networks import Extractor, Trunk


class SelfCuring(Extractor):
    """A backbone, its last layer, and attention: how important a picture is, from its features."""

    def __init__(self, trunk: Trunk, classes: int) -> None:
        super().__init__(trunk, classes)
        self.attention = nn.Linear(trunk.features, 1)

    def importance(self, features: Tensor) -> Tensor:
        """Return α = σ(W_a x), (N,), of features x (N, F)."""
        return torch.sigmoid(self.attention(features)).squeeze(1)


def weighted(logits: Tensor, importance: Tensor) -> Tensor:
    """Return α_i W x_i, (N, K): the logits that the cross-entropy is taken of.

    The less important a picture, the closer to uniform its answer, whatever its label: its
    gradient is small.
    """
    return importance[:, None] * logits


@dataclass(frozen=True)
class Ranks:
    """Rank regularization: the important part of a batch is to be so by a margin.

    Attributes:
        share: β, the part of a batch that is important.
        margin: δ₁.
    """

    share: float
    margin: float

    def __call__(self, importance: Tensor) -> Tensor:
        """Return max(0, δ₁ − (ᾱ_H − ᾱ_L)), a scalar, of importances α (N,).

        ᾱ_H is the mean of the M = βN largest, ᾱ_L that of the others. Each group has one member at
        least; a batch of one has no groups, and costs nothing.
        """
        if len(importance) < 2:
            return 0.0 * importance.sum()
        ranked = importance.sort(descending=True).values
        high = important(len(ranked), self.share)
        return (self.margin - (ranked[:high].mean() - ranked[high:].mean())).clamp(min=0)


@dataclass(frozen=True)
class Relabeling:
    """Relabeling: unimportant pictures get the class that the network is surer of by a margin.

    Attributes:
        share: β, the part of a batch that is important, whose labels are believed.
        margin: δ₂.
    """

    share: float
    margin: float

    def __call__(self, label: Tensor, logits: Tensor, importance: Tensor) -> Tensor:
        """Return y′ (N,) integers: argmax_k P_k where max_k P_k − P_y > δ₂, else y.

        Args:
            label: y, (N,) integers.
            logits: (N, K), of which P is the softmax.
            importance: α, (N,).
        """
        likelihood = logits.softmax(dim=1)
        surest, found = likelihood.max(dim=1)
        given = likelihood.gather(1, label[:, None]).squeeze(1)
        rank = importance.argsort(descending=True).argsort()
        doubted = rank >= important(len(label), self.share)
        return torch.where(doubted & (surest - given > self.margin), found, label)


def important(count: int, share: float) -> int:
    """Return how many of `count` pictures are the important ones: βN, one to all but one."""
    return max(1, min(count - 1, round(share * count)))


@dataclass(frozen=True)
class Until:
    """A weight that is 1 before a step, and then 0."""

    step: int

    def __call__(self, step: int) -> float:
        """Return the weight in a step."""
        return float(step < self.step)


@dataclass(frozen=True)
class From:
    """A weight that is 0 before a step, and then 1."""

    step: int

    def __call__(self, step: int) -> float:
        """Return the weight in a step."""
        return float(step >= self.step)
