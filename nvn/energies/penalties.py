"""Gradient penalties.

All are energies of `nvn.gradient(logits, x)`: for each of the N samples the gradient of its logits
(of their sum, if there are several) with respect to that sample. ‖·‖ is the Euclidean norm over all
dimensions but N. This holds for critics that treat samples independently: batch normalization in a
critic mixes the gradients of samples, and Gulrajani et al. leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nvn import pytree
from nvn.energies._tensors import check_same_shape, precise
from nvn.energies.formula import formula
from nvn.game import Energy, Value, energy, gradient, value

# --- centered at zero --------------------------------------------------------------------------


def r1(logits: Value, x: Value) -> Energy:
    """Return ½ E‖∂ logits/∂x‖², x real: Mescheder et al. 2018, eq. 9 (arXiv 1801.04406).

    The ½ is inside, so the weight is the papers' γ: `10 * en.r1(D(real), real)` is γ = 10, as in
    eq. 9 and in StyleGAN2's `r1_gamma`. Note that the code of Mescheder et al. (GAN_stability)
    leaves the ½ out: its `reg_param: 10` is γ = 20, a weight of 20 here.

    Args:
        logits: A critic's logits of `x`: a tensor (N, …).
        x: The samples: a tensor (N, …).

    Of the critic D(x) = ⟨w, x⟩ with w = (3, 4), whose gradient is w at every sample, ½ 5²:

    >>> half_squared_norm(torch.tensor([[3.0, 4.0], [3.0, 4.0]])).item()
    12.5
    >>> from nvn import Game
    >>> game = Game("toy")
    >>> D, x = game.player("D", torch.nn.Linear(2, 1)), game.batch("x")
    >>> print(10 * r1(D(x), x))
    10 r1(gradient(D(x), x))
    """
    return energy(half_squared_norm, name="r1")(gradient(logits, x))


def r2(logits: Value, x: Value) -> Energy:
    """Return ½ E‖∂ logits/∂x‖², x generated: Mescheder et al. 2018, eq. 10 (arXiv 1801.04406).

    The formula is that of `r1`, with the ½, at generated samples: `en.r2(D(fake), fake)`.

    >>> from nvn import Game
    >>> game = Game("toy")
    >>> D, G = (game.player(name, torch.nn.Linear(2, 2)) for name in "DG")
    >>> fake = G(game.batch("z"))
    >>> print(r2(D(fake), fake))
    r2(gradient(D(G(z)), G(z)))
    """
    return energy(half_squared_norm, name="r2")(gradient(logits, x))


@formula("0.5 * g.square().sum() / len(g)")
def half_squared_norm(g: Tensor) -> Tensor:
    """Return ½ (1/N) Σ_n ‖g_n‖², of gradients g (N, …)."""
    return 0.5 * precise(g).square().sum() / g.shape[0]


# --- centered elsewhere ------------------------------------------------------------------------


def gradient_penalty(logits: Value, at: Value, target: float = 1.0) -> Energy:
    """Return E(‖∂ logits/∂at‖ − target)²: Gulrajani et al. 2017, eq. 3 (arXiv 1704.00028).

    Without a ½. The paper's weight is λ = 10, its points are between real and generated samples:

        weights = game.sample("weights", en.uniform_weights)
        between = en.interpolate(real, fake, weights)
        D.minimizes(… + 10 * en.gradient_penalty(D(between), between))

    Args:
        logits: A critic's logits of `at`: a tensor (N, …).
        at: The points: a tensor (N, …).
        target: The target norm. With 0 the energy is twice `r1`.

    Of gradients of norm 5 and 1:

    >>> squared_excess_of_norm(torch.tensor([[3.0, 4.0], [1.0, 0.0]])).item()
    8.0
    >>> from nvn import Game
    >>> game = Game("toy")
    >>> D, x = game.player("D", torch.nn.Linear(2, 1)), game.batch("x")
    >>> print(gradient_penalty(D(x), x))
    gradient_penalty(gradient(D(x), x))
    """
    option = {} if target == 1.0 else {"target": float(target)}  # the name omits the default
    return energy(squared_excess_of_norm, name="gradient_penalty")(gradient(logits, at), **option)


@formula(
    "(torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1) - 1.0).square().mean()",
    target="(torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1) - target).square().mean()",
)
def squared_excess_of_norm(g: Tensor, target: float = 1.0) -> Tensor:
    """Return (1/N) Σ_n (‖g_n‖ − target)², of gradients g (N, …).

    At a gradient of exactly zero, where the norm has no derivative, its subgradient 0 is used.
    """
    norms = torch.linalg.vector_norm(precise(g).reshape(g.shape[0], -1), dim=1)
    excess: Tensor = norms - target
    return excess.square().mean()


def blended(real: Tensor, fake: Tensor, weights: Tensor) -> Tensor:
    """Return w·real + (1 − w)·fake of samples (N, …), one weight w a sample."""
    w = weights.reshape(-1, *[1] * (real.ndim - 1))
    return (w * real + (1.0 - w) * fake).to(torch.promote_types(real.dtype, fake.dtype))


def interpolate(real: Value, fake: Value, weights: Value) -> Value:
    """Return w·real + (1 − w)·fake, sample by sample: Gulrajani et al. 2017, algorithm 1.

    Args:
        real: The samples at w = 1, of shape (N, …).
        fake: The samples at w = 0, of the same shape.
        weights: One number per sample: (N,), or (N, 1, …, 1). See `uniform_weights`.

    >>> between(torch.tensor([[1.0]]), torch.tensor([[5.0]]), torch.tensor([0.25])).item()
    4.0
    >>> from nvn import Game
    >>> print(interpolate(*Game("toy").batch("real", "fake", "weights")))
    interpolate(real, fake, weights)
    """
    return value(between, name="interpolate")(real, fake, weights)


@formula("blended(real, fake, weights)")
def between(real: Tensor, fake: Tensor, weights: Tensor) -> Tensor:
    """Return w·real + (1 − w)·fake of samples (N, …), in their dtype.

    Raises:
        ValueError: the samples' shapes differ, or there is not one weight per sample.
    """
    check_same_shape("interpolate", real, fake)
    if weights.shape[:1] != real.shape[:1] or weights.numel() != len(weights):
        shapes = f"weights of shape {tuple(weights.shape)} for samples {tuple(real.shape)}"
        raise ValueError(f"interpolate: found {shapes}; expected one weight per sample")
    mixed = blended(precise(real), precise(fake), precise(weights))
    # Back to the samples' dtype: the critic may compute in bfloat16.
    return mixed.to(torch.promote_types(real.dtype, fake.dtype))


@formula("torch.rand(len(tensors(batch)[0]), generator=generator, device=generator.device)")
def uniform_weights(generator: torch.Generator, batch: Mapping[str, Any]) -> Tensor:
    """Draw a weight in [0, 1) for each of the N samples of a batch: a tensor (N,) of float32.

    For `game.sample("weights", en.uniform_weights)`.

    Raises:
        ValueError: the batch has no tensor with samples, or tensors with different numbers of them.

    >>> seeded = torch.Generator().manual_seed(0)
    >>> uniform_weights(seeded, {"x": torch.zeros(2, 3)})
    tensor([0.4963, 0.7682])
    """
    leaves = pytree.leaves(dict(batch))
    tensors = [t for t in leaves if isinstance(t, Tensor) and t.ndim > 0]
    lengths = {len(t) for t in tensors}
    if len(lengths) != 1:
        shapes = [tuple(t.shape) for t in tensors]
        raise ValueError(
            f"uniform_weights: the number of samples is ambiguous: the batch has shapes {shapes}; "
            "give game.sample a function that draws the weights you need"
        )
    weights = torch.rand(lengths.pop(), generator=generator, device=generator.device)
    return weights.to(tensors[0].device)
