"""What D, D′ and G want of a made picture, the same in every game of GroupGAN.

Equations (1)-(12) of Niu et al. 2022; with a condition, the critics of (14)-(17). A game puts the
energies together, each player with weights of its own: that is the recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

import torch
from torch import Tensor

import nvn
from nvn import energies as en

Family: TypeAlias = Literal["minimax", "non_saturating", "hinge", "least_squares"]
Content: TypeAlias = Literal["l1", "mse", "perceptual"]

FAMILIES = MappingProxyType(
    {
        "minimax": en.Minimax(),
        "non_saturating": en.NonSaturating(),
        "hinge": en.Hinge(),
        "least_squares": en.LeastSquares(),
    }
)


@dataclass(frozen=True)
class Play:
    """The energies between a made picture and those who judge it.

    Attributes:
        family: The family of the adversarial energies: Φ is its `real`, φ its `fake`.
        given: What the picture is made from: X_weak, a damaged sketch.
        wanted: What it should look like: X_peak, the whole sketch.
        made: X_fake = G(given, *condition).
        condition: What D and D′ are told besides a picture: F_exp, or nothing. On a real picture it
            is that of its given partner.
    """

    family: Family
    given: nvn.Value
    wanted: nvn.Value
    made: nvn.Value
    condition: tuple[nvn.Value, ...] = ()

    def real_or_made(self, D: nvn.Player) -> nvn.WeightedSum:
        """Return V_D = Φ_D(real) + φ_D(made): (4), (7), (8). Given and wanted are both real."""
        adv = FAMILIES[self.family]
        real = 0.5 * adv.real(self._judged(D, self.wanted))
        real += 0.5 * adv.real(self._judged(D, self.given))
        return real + adv.fake(self._judged(D, self.made))

    def wanted_or_not(self, Dp: nvn.Player, *, also_given: bool = False) -> nvn.WeightedSum:
        """Return V_D′ = Φ_D′(wanted) + φ_D′(made): (5), (9), (10).

        With `also_given`, D′ learns too that what the picture is made from is not what is wanted;
        that counts as much as what is made.
        """
        adv = FAMILIES[self.family]
        told = adv.real(self._judged(Dp, self.wanted)) + adv.fake(self._judged(Dp, self.made))
        return told + adv.fake(self._judged(Dp, self.given)) if also_given else told

    def fooling(self, critic: nvn.Player) -> nvn.Energy | nvn.WeightedSum:
        """Return what G and E minimize to fool a critic; in minimax −φ, as in Algorithm 1."""
        return FAMILIES[self.family].fool(self._judged(critic, self.made))

    def content(self, kind: Content, features: Callable[[nvn.Value], nvn.Value]) -> nvn.Energy:
        """Return Φ_G, the distance of what is made from what is wanted: (12), or (20).

        Args:
            kind: Mean |difference|, mean squared difference, or that of features, Ψ in (20).
            features: Ψ.
        """
        if kind == "perceptual":
            return en.perceptual(features(self.made), features(self.wanted))
        return {"l1": en.l1, "mse": en.mse}[kind](self.made, self.wanted)

    def _judged(self, critic: nvn.Player, picture: nvn.Value) -> nvn.Value:
        return critic(picture, *self.condition)


def doubt(logits: nvn.Value) -> nvn.Energy:
    """Return how unsure a classifier is, −log max_k p_k, from its logits.

    In place of D′ (section 4.5): a picture whose class is likely counts as a peak.
    """
    return nvn.energy(mean_doubt, name="doubt")(logits)


def mean_doubt(logits: Tensor) -> Tensor:
    """Return the mean of −log max_k p_k over logits (N, K)."""
    return -torch.log_softmax(logits, dim=1).amax(dim=1).mean()
