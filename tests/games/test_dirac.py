"""Dirac-GAN (Mescheder et al. 2018, arXiv 1801.04406): data at 0, a maker at θ, a critic ψ·x.

The energies are the library's. f(t) = −log(1 + e⁻ᵗ), step h, w = (θ, ψ). Mescheder's critic says
large of fakes, ours of real ones: his ψ is our −ψ, so his σ(−θψ) is our σ(θψ) (games.md, 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import nvn
from nvn import energies as en
from tests.games.points import engine, field, hessian, place, step, transition
from tests.games.strategies import examples

pytestmark = pytest.mark.filterwarnings("error")

REAL = {"real": torch.zeros(3, 1, dtype=torch.float64)}  # three samples, all at 0
NEAR = 1e-6  # where play is linear to 1e-12
Order = Callable[[nvn.Player, nvn.Player], nvn.Schedule]


class Maker(nn.Module):
    """Makes θ, as often as there are samples."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, like: Tensor) -> Tensor:
        return self.theta.expand(len(like), 1)


class Critic(nn.Module):
    """Says ψ·x."""

    def __init__(self) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.psi * x


def simultaneous(maker: nvn.Player, critic: nvn.Player) -> nvn.Schedule:
    return nvn.simultaneous(maker, critic)


def maker_first(maker: nvn.Player, critic: nvn.Player) -> nvn.Schedule:
    return nvn.alternating(maker, critic)


def critic_first(maker: nvn.Player, critic: nvn.Player) -> nvn.Schedule:
    return nvn.alternating(critic, maker)


def dirac(family: Any, order: Order, h: float, gamma: float = 0.0) -> nvn.Engine:
    game = nvn.Game("Dirac-GAN")
    real = game.batch("real")
    maker, critic = game.player("G", Maker()), game.player("D", Critic())
    fake = maker(real)
    critic.minimizes(family.real(critic(real)) + family.fake(critic(fake)))
    if gamma:
        critic.minimizes(gamma * en.r1(critic(real), real))
    maker.minimizes(family.fool(critic(fake)))
    return engine(game, order(maker, critic), h)


def sigma(t: float) -> float:
    return 1.0 / (1.0 + np.exp(-t))


places = st.tuples(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0))


# --- without a penalty ------------------------------------------------------------------------


@examples(15)
@given(places, st.floats(0.01, 1.0))
def test_minimax_grows_everywhere(start: tuple[float, float], h: float) -> None:
    """‖w⁺‖² = ‖w‖²(1 + h²σ(θψ)²) for simultaneous play: everywhere, not only near 0."""
    made = dirac(en.Minimax(), simultaneous, h)
    place(made, start)
    at = np.array(start)
    for _ in range(4):
        expected = at @ at * (1.0 + h**2 * sigma(at[0] * at[1]) ** 2)
        at = step(made, batch=REAL)
        assert at @ at == pytest.approx(expected, rel=1e-12, abs=1e-14)


@examples(15)
@given(places)
def test_the_non_saturating_field_points_inwards(start: tuple[float, float]) -> None:
    """⟨w, −v⟩ = −θψ·tanh(θψ/2), never positive."""
    made = dirac(en.NonSaturating(), simultaneous, 0.1)
    inwards = np.array(start) @ -field(made, start, REAL)
    product = start[0] * start[1]
    assert inwards == pytest.approx(-product * np.tanh(product / 2.0), abs=1e-12)
    assert inwards <= 1e-12


@pytest.mark.parametrize("family", [en.Minimax(), en.NonSaturating()], ids=["minimax", "ns"])
def test_alternating_play_neither_grows_nor_shrinks_near_zero(family: Any) -> None:
    """Near 0 both are the bilinear game with s = ½: determinant 1, trace 2 − h²/4."""
    h = 0.3
    matrix = transition(dirac(family, maker_first, h), NEAR, REAL)
    assert np.linalg.det(matrix) == pytest.approx(1.0, abs=1e-10)
    assert np.trace(matrix) == pytest.approx(2.0 - h**2 / 4.0, abs=1e-10)


# --- with R1 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("family", [en.Minimax(), en.NonSaturating()], ids=["minimax", "ns"])
def test_the_eigenvalues_at_the_equilibrium(family: Any, gamma: float) -> None:
    """λ = −γ/2 ± √(γ²/4 − ¼) for the field −v, penalty (γ/2)ψ²; γ = 1 is critical.

    v is linear along the axes exactly, so its matrix is read off there.
    """
    matrix = -hessian(dirac(family, simultaneous, 0.1, gamma), REAL)
    root = np.sqrt(complex(gamma**2 / 4.0 - 0.25))
    assert np.trace(matrix) == pytest.approx(-gamma, abs=1e-14)
    assert np.linalg.det(matrix) == pytest.approx(0.25, abs=1e-14)
    if gamma != 1.0:  # a double eigenvalue is only known to the root of the precision
        expected = np.array([-gamma / 2.0 + root, -gamma / 2.0 - root])
        found = np.sort_complex(np.linalg.eigvals(matrix))
        np.testing.assert_allclose(found, np.sort_complex(expected), atol=1e-12)


@pytest.mark.parametrize("gamma", [0.3, 2.5])
def test_a_step_of_simultaneous_play(gamma: float) -> None:
    """det(I − hH) = 1 − hγ + h²/4."""
    h = 0.2
    matrix = transition(dirac(en.Minimax(), simultaneous, h, gamma), 1.0, REAL)
    assert np.linalg.det(matrix) == pytest.approx(1.0 - h * gamma + h**2 / 4.0, abs=1e-13)


@pytest.mark.parametrize(("h_over_gamma", "stable"), [(3.95, True), (4.05, False)])
def test_complex_pairs_are_stable_up_to_four_gamma(h_over_gamma: float, stable: bool) -> None:
    """For γ < 1, simultaneous play is stable if and only if h < 4γ."""
    gamma = 0.2
    made = dirac(en.NonSaturating(), simultaneous, h_over_gamma * gamma, gamma)
    moduli = np.abs(np.linalg.eigvals(transition(made, 1.0, REAL)))
    assert (moduli.max() < 1.0) == stable


@pytest.mark.parametrize("gamma", [0.3, 1.7])
@pytest.mark.parametrize("order", [maker_first, critic_first])
def test_a_round_of_alternating_play(order: Order, gamma: float) -> None:
    """det 1 − hγ, trace 2 − hγ − h²/4, whoever is first (the rounds are similar matrices)."""
    h = 0.25
    matrix = transition(dirac(en.Minimax(), order, h, gamma), NEAR, REAL)
    assert np.linalg.det(matrix) == pytest.approx(1.0 - h * gamma, abs=1e-10)
    assert np.trace(matrix) == pytest.approx(2.0 - h * gamma - h**2 / 4.0, abs=1e-10)


def test_r1_converges_where_nothing_else_does() -> None:
    """From (1, 1): with γ = 1 play ends at 0; without a penalty it moves away."""
    with_penalty = dirac(en.Minimax(), simultaneous, 0.2, 1.0)
    without = dirac(en.Minimax(), simultaneous, 0.2)
    place(with_penalty, (1.0, 1.0))
    place(without, (1.0, 1.0))
    assert np.linalg.norm(step(with_penalty, 300, REAL)) < 1e-10
    assert np.linalg.norm(step(without, 300, REAL)) > np.sqrt(2.0)


def test_the_convention_trap() -> None:
    """GAN_stability's `reg_param`·‖∇D‖² has no ½: its 10 is γ = 20, `20 * en.r1(…)` here.

    And γ = 10 is not: half of it.
    """
    reg_param, at = 10.0, (0.0, 0.7)
    psi = torch.tensor(at[1], dtype=torch.float64, requires_grad=True)
    real = torch.zeros(3, 1, dtype=torch.float64, requires_grad=True)
    # GAN_stability, gan_training/train.py: compute_grad2, then reg_param times its mean.
    slope = torch.autograd.grad((psi * real).sum(), real, create_graph=True)[0]
    penalty = reg_param * slope.pow(2).view(3, -1).sum(1).mean()
    (theirs,) = torch.autograd.grad(penalty, psi)

    def ours(gamma: float) -> float:
        pull = field(dirac(en.Minimax(), simultaneous, 0.1, gamma), at, REAL)
        return pull[1] - field(dirac(en.Minimax(), simultaneous, 0.1), at, REAL)[1]

    assert ours(20.0) == pytest.approx(theirs.item(), rel=1e-13)
    assert ours(10.0) == pytest.approx(theirs.item() / 2.0, rel=1e-13)
