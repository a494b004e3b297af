"""The energy library: losses and penalties, each with its formula and its paper.

    from nvn import energies as en

    adv = en.NonSaturating()
    D.minimizes(adv.real(D(peak)) + adv.fake(D(fake)) + 10 * en.r1(D(peak), peak))
    G.minimizes(en.mse(fake, peak) + 0.002 * adv.fool(D(fake)))

- adversarial: `Minimax`, `NonSaturating`, `Hinge`, `LeastSquares`, `Wasserstein`; on pairs,
  `RelativisticPaired`. For losses of your own: `ZeroSum` and `GeneralSum`.
- penalties: `r1`, `r2`, `gradient_penalty`, with `interpolate` and `uniform_weights`.
- reconstruction: `l1`, `mse`, `l2`, `perceptual`, `feature_matching`.
- classification: `cross_entropy`.

Each takes values of a game and returns an energy (`interpolate`: a value); none calls a player.
Energies compute in float32 at least (bfloat16 is promoted, float64 stays), and nothing is
broadcast: shapes that differ are a ValueError. Letters: N samples, C classes, K features, … any
further dimensions.
"""

from nvn.energies.adversarial import (
    AdversarialLoss,
    Family,
    GeneralSum,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    RelativisticPaired,
    Wasserstein,
    ZeroSum,
)
from nvn.energies.classification import cross_entropy
from nvn.energies.penalties import gradient_penalty, interpolate, r1, r2, uniform_weights
from nvn.energies.reconstruction import feature_matching, l1, l2, mse, perceptual

__all__ = [
    "AdversarialLoss",
    "Family",
    "GeneralSum",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "RelativisticPaired",
    "Wasserstein",
    "ZeroSum",
    "cross_entropy",
    "feature_matching",
    "gradient_penalty",
    "interpolate",
    "l1",
    "l2",
    "mse",
    "perceptual",
    "r1",
    "r2",
    "uniform_weights",
]
