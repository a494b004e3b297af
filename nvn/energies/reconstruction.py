"""Reconstruction losses: distances in pixels, and in features.

    energy             of (N, …) tensors a, b                  its unit
    l1                 mean of |a − b|                         a's
    mse                mean of (a − b)²                        a's, squared
    l2                 mean over samples of Σ (a − b)²         a's, squared
    perceptual         Σ over layers of mse                    the features', squared
    feature_matching   Σ over layers of ‖E a − E b‖²           the features', squared

Both arguments are differentiated, as far as they depend on the player that minimizes. Shapes that
differ are a ValueError: broadcasting would compare every sample with every other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nvn.energies._tensors import check_same_features, check_same_shape, pairs, precise
from nvn.energies.formula import formula
from nvn.game import Energy, Value, energy

# --- in pixels ----------------------------------------------------------------------------------


def l1(a: Value, b: Value) -> Energy:
    """Return the mean of |a − b| over all elements of a, b (N, …): Isola et al. 2017, eq. 3.

    (arXiv 1611.07004; there the expectation of a norm, in its code this mean.)

    >>> mean_absolute_error(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]])).item()
    1.0
    >>> from nvn import Game
    >>> made, wanted = Game("toy").batch("made", "wanted")
    >>> print(l1(made, wanted))
    l1(made, wanted)
    """
    return energy(mean_absolute_error, name="l1")(a, b)


def mse(a: Value, b: Value) -> Energy:
    """Return the mean of (a − b)² over all elements of a, b (N, …).

    A mean, not a sum: for images of P pixels and channels it is `l2` divided by P.

    >>> mean_squared_error(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]])).item()
    2.0
    >>> from nvn import Game
    >>> made, wanted = Game("toy").batch("made", "wanted")
    >>> print(mse(made, wanted))
    mse(made, wanted)
    """
    return energy(mean_squared_error, name="mse")(a, b)


def l2(a: Value, b: Value) -> Energy:
    """Return E‖a − b‖²: the squares summed in each sample of a, b (N, …), the mean over samples.

    Warning:
        A sum over pixels, not a mean: P times `mse` for images of P pixels and channels. With
        128×128 RGB images a weight tuned for one is off by 49152 for the other; papers that write
        ‖x − y‖² often mean `mse`.

    >>> mean_squared_distance(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]])).item()
    4.0
    >>> from nvn import Game
    >>> made, wanted = Game("toy").batch("made", "wanted")
    >>> print(l2(made, wanted))
    l2(made, wanted)
    """
    return energy(mean_squared_distance, name="l2")(a, b)


@formula("(a - b).abs().mean()")
def mean_absolute_error(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean of |a − b|, of tensors of the same shape."""
    check_same_shape("l1", a, b)
    return (precise(a) - precise(b)).abs().mean()


@formula("(a - b).square().mean()")
def mean_squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean of (a − b)², of tensors of the same shape."""
    check_same_shape("mse", a, b)
    return (precise(a) - precise(b)).square().mean()


@formula("(a - b).square().sum() / len(a)")
def mean_squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return (1/N) Σ_n ‖a_n − b_n‖², of tensors of the same shape (N, …)."""
    check_same_shape("l2", a, b)
    return (precise(a) - precise(b)).square().sum() / a.shape[0]


# --- in features --------------------------------------------------------------------------------


def perceptual(features_a: Any, features_b: Any) -> Energy:
    """Return Σ_j (1/P_j) E‖φ_j(a) − φ_j(b)‖²: Johnson et al. 2016, eq. 2 (arXiv 1603.08155).

    P_j is the number of features of layer j (the paper's C_j·H_j·W_j), so a layer is its `mse`.
    The features are given by the caller, of any player: `en.perceptual(E(fake), E(peak))`.

    Args:
        features_a: A tensor (N, …), or a tree with one such tensor per layer j; as a value, or a
            tree of values.
        features_b: The same, with the same structure and shapes.

    Two layers, of one feature and of two:

    >>> a = {"shallow": torch.tensor([[1.0]]), "deep": torch.tensor([[0.0, 4.0]])}
    >>> b = {"shallow": torch.tensor([[3.0]]), "deep": torch.tensor([[0.0, 2.0]])}
    >>> sum_of_squared_errors(a, b).item()
    6.0
    >>> from nvn import Game
    >>> game = Game("toy")
    >>> E, (fake, peak) = game.player("E", torch.nn.Linear(2, 2)), game.batch("fake", "peak")
    >>> print(perceptual(E(fake), E(peak)))
    perceptual(E(fake), E(peak))
    """
    return energy(sum_of_squared_errors, name="perceptual")(features_a, features_b)


def feature_matching(features_a: Any, features_b: Any) -> Energy:
    """Return Σ_j ‖E φ_j(a) − E φ_j(b)‖²: Salimans et al. 2016, section 3.1 (arXiv 1606.03498).

    The means are over the samples of the batch, so this energy couples samples: with several
    processes, each compares the means of its own part of the batch. For a distance per sample, see
    `perceptual`.

    Args:
        features_a: A tensor (N, …), or a tree with one such tensor per layer j; as a value, or a
            tree of values. Usually a critic's: `D.method("features")(real)`.
        features_b: The same, with the same structure; the number of samples may differ.

    Of means 2 and 5, over two samples and over one:

    >>> squared_distance_of_means(torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0]])).item()
    9.0
    >>> from nvn import Game
    >>> game = Game("toy")
    >>> D, (real, fake) = game.player("D", torch.nn.Linear(2, 2)), game.batch("real", "fake")
    >>> print(feature_matching(D(real), D(fake)))
    feature_matching(D(real), D(fake))
    """
    return energy(squared_distance_of_means, name="feature_matching")(features_a, features_b)


@formula("(a - b).square().mean()", together="sum")
def sum_of_squared_errors(a: Any, b: Any) -> Tensor:
    """Return Σ_j mean (a_j − b_j)², of trees with the same structure and shapes."""
    return torch.stack([_layer_error(x, y) for x, y in pairs("perceptual", a, b)]).sum()


@formula("(a.mean(dim=0) - b.mean(dim=0)).square().sum()", together="sum")
def squared_distance_of_means(a: Any, b: Any) -> Tensor:
    """Return Σ_j ‖mean a_j − mean b_j‖², of trees of tensors (N, …) and (M, …)."""
    layers = pairs("feature_matching", a, b)
    return torch.stack([_layer_distance(x, y) for x, y in layers]).sum()


def _layer_error(a: Tensor, b: Tensor) -> Tensor:
    check_same_shape("perceptual", a, b)
    return (precise(a) - precise(b)).square().mean()


def _layer_distance(a: Tensor, b: Tensor) -> Tensor:
    check_same_features("feature_matching", a, b)
    return (precise(a).mean(dim=0) - precise(b).mean(dim=0)).square().sum()
