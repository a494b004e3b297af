"""Games that go round: three in a cycle; rock, paper, scissors (games.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

import nvn
from tests.games.points import (
    Point,
    engine,
    field,
    half_square,
    hessian,
    place,
    product,
    step,
    total,
    transition,
)

pytestmark = pytest.mark.filterwarnings("error")

# --- L₁ = x(y − z), L₂ = y(z − x), L₃ = z(x − y), each with μ/2·x_i² + b_i·x_i ----------------

C = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
START = (1.0, -0.4, 0.7)


def cycle(mu: float = 0.0, b: tuple[float, ...] = (0.0, 0.0, 0.0)) -> tuple[nvn.Game, nvn.Schedule]:
    game = nvn.Game("cycle")
    players = [game.player(name, Point(0.0)) for name in "xyz"]
    mine, bilinear = [p() for p in players], nvn.energy(product)
    for i, player in enumerate(players):
        after, before = mine[(i + 1) % 3], mine[(i + 2) % 3]
        player.minimizes(bilinear(mine[i], after))
        player.maximizes(bilinear(mine[i], before))
        player.minimizes(mu * nvn.energy(half_square)(mine[i]))
        player.minimizes(b[i] * nvn.energy(total)(mine[i]))
    return game, nvn.simultaneous(*players)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_cycle_keeps_its_sum_and_spreads(rate: float) -> None:
    """ΣL_i = 0; x + y + z is conserved; what is perpendicular grows by √(1 + 3η²) a step."""
    made = engine(*cycle(), rate)
    place(made, START)
    across = np.array(START) - np.mean(START)
    for count in range(1, 9):
        at = step(made)
        assert at.sum() == pytest.approx(sum(START), abs=1e-12)
        growth = np.sqrt(1.0 + 3.0 * rate**2) ** count
        found = np.linalg.norm(at - at.mean())
        assert found == pytest.approx(growth * np.linalg.norm(across), rel=1e-12)


def test_the_cycle_is_zero_sum() -> None:
    """L₁ + L₂ + L₃ = 0 wherever the players are: a record's objectives say so."""
    made = engine(*cycle(), 0.1)
    place(made, START)
    objectives = made.step({}).objectives
    x, y, z = START
    assert objectives["x"] == pytest.approx(x * (y - z), abs=1e-14)
    assert sum(objectives.values()) == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("mu", [0.3, 1.5])
def test_the_regularized_cycle(mu: float) -> None:
    """H = μI + C: one modulus 1 − ημ, two of √((1 − ημ)² + 3η²)."""
    rate = 0.2
    made = engine(*cycle(mu), rate)
    np.testing.assert_allclose(hessian(made), mu * np.eye(3) + C, atol=1e-14)
    moduli = np.sort(np.abs(np.linalg.eigvals(transition(made))))
    pair = np.sqrt((1.0 - rate * mu) ** 2 + 3.0 * rate**2)
    np.testing.assert_allclose(moduli, np.sort([1.0 - rate * mu, pair, pair]), atol=1e-12)


@pytest.mark.parametrize(("factor", "stable"), [(0.99, True), (1.01, False)])
def test_the_cycle_is_stable_below_a_rate(factor: float, stable: bool) -> None:
    """Stable if and only if η < 2μ/(μ² + 3)."""
    mu = 0.8
    made = engine(*cycle(mu), factor * 2.0 * mu / (mu**2 + 3.0))
    assert (np.abs(np.linalg.eigvals(transition(made))).max() < 1.0) == stable


def test_the_cycle_ends_in_its_nash_equilibrium() -> None:
    """w* = −b̄/μ − (μd − Cd)/(μ² + 3), d = b − b̄: found by play, where the field is zero."""
    mu, b = 1.2, np.array([0.5, -1.0, 2.0])
    d = b - b.mean()
    star = -b.mean() / mu - (mu * d - C @ d) / (mu**2 + 3.0)
    made = engine(*cycle(mu, tuple(b)), 0.3)
    np.testing.assert_allclose(field(made, star), 0.0, atol=1e-14)
    place(made, START)
    np.testing.assert_allclose(step(made, 250), star, atol=1e-12)


# --- rock, paper, scissors --------------------------------------------------------------------

PAYOFF = ((0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 1.0, 0.0))


@dataclass(frozen=True)
class Payoff:
    """What the row player wins, of both players' logits."""

    def __call__(self, row: Tensor, column: Tensor) -> Tensor:
        matrix = torch.tensor(PAYOFF, dtype=torch.float64)
        return torch.softmax(row, dim=0) @ matrix @ torch.softmax(column, dim=0)


def test_rock_paper_scissors_turns_about_the_uniform_strategies() -> None:
    """At uniform play the field is zero and H antisymmetric, with spectrum {0, 0, ±i√3/9 twice}.

    H by central differences of `engine.gradients`, so to 1e-9.
    """
    game = nvn.Game("rock, paper, scissors")
    row, column = game.player("row", Point(0, 0, 0)), game.player("column", Point(0, 0, 0))
    wins = nvn.energy(Payoff(), name="wins")(row(), column())
    row.maximizes(wins)
    column.minimizes(wins)
    made = engine(game, nvn.simultaneous(row, column), 0.1)
    np.testing.assert_allclose(field(made, np.zeros(6)), 0.0, atol=1e-16)
    h = 1e-4
    jacobian = np.column_stack(
        [(field(made, h * e) - field(made, -h * e)) / (2.0 * h) for e in np.eye(6)]
    )
    np.testing.assert_allclose(jacobian, -jacobian.T, atol=1e-9)
    spectrum = np.linalg.eigvals(jacobian)
    np.testing.assert_allclose(spectrum.real, 0.0, atol=1e-7)
    turning = np.sqrt(3.0) / 9.0
    expected = [-turning, -turning, 0.0, 0.0, turning, turning]
    np.testing.assert_allclose(np.sort(spectrum.imag), expected, atol=1e-7)
