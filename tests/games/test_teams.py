"""Two against two (games.md, section 3): the Nash equilibrium, its spectrum, and teams' invariants.

T = μ/2(‖a‖² − ‖b‖²) + κ(a₁a₂ − b₁b₂) + s(a₁ + a₂)(b₁ + b₂) − α(a₁ + a₂) + β(b₁ + b₂); the players
a₁, a₂ minimize it, b₁, b₂ maximize it. Every player is a player of its own.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nvn
from nvn import energies as en
from tests.games.points import (
    Point,
    engine,
    field,
    half_square,
    hessian,
    place,
    product,
    step,
    team_product,
    total,
    transition,
)

pytestmark = pytest.mark.filterwarnings("error")

MU, KAPPA, S, ALPHA, BETA = 1.0, 0.2, 0.5, 0.7, -0.4
START = (0.3, -0.8, 1.1, 0.2)


def two_against_two(
    mu: float, kappa: float, s: float, alpha: float = 0.0, beta: float = 0.0
) -> tuple[nvn.Game, nvn.Team, nvn.Team]:
    game = nvn.Game("2 v 2")
    a = game.team("a", a1=Point(0.0), a2=Point(0.0))
    b = game.team("b", b1=Point(0.0), b2=Point(0.0))
    a1, a2, b1, b2 = a.a1(), a.a2(), b.b1(), b.b2()
    square, pair, add = nvn.energy(half_square), nvn.energy(product), nvn.energy(total)
    t = (
        mu * (square(a1) + square(a2) - square(b1) - square(b2))
        + kappa * (pair(a1, a2) - pair(b1, b2))
        + s * nvn.energy(team_product)(a1, a2, b1, b2)
        - alpha * add(a1, a2)
        + beta * add(b1, b2)
    )
    a.minimizes(t)
    b.maximizes(t)
    return game, a, b


@pytest.mark.parametrize("alternating", [False, True])
def test_play_ends_in_the_nash_equilibrium(alternating: bool) -> None:
    """a_i* = (mα − 2sβ)/(m² + 4s²), b_j* = (mβ + 2sα)/(m² + 4s²), m = μ + κ."""
    game, a, b = two_against_two(MU, KAPPA, S, ALPHA, BETA)
    m = MU + KAPPA
    bottom = m**2 + 4.0 * S**2
    a_star, b_star = (m * ALPHA - 2 * S * BETA) / bottom, (m * BETA + 2 * S * ALPHA) / bottom
    star = np.array([a_star, a_star, b_star, b_star])
    schedule = nvn.alternating(a, b) if alternating else nvn.simultaneous(a, b)
    made = engine(game, schedule, 0.3)
    np.testing.assert_allclose(field(made, star), 0.0, atol=1e-15)
    place(made, START)
    np.testing.assert_allclose(step(made, 150), star, atol=1e-12)


def test_its_spectrum() -> None:
    """spec H = {m ± 2is, μ − κ twice}."""
    game, a, b = two_against_two(MU, KAPPA, S, ALPHA, BETA)
    found = np.linalg.eigvals(hessian(engine(game, nvn.simultaneous(a, b), 0.1)))
    m = MU + KAPPA
    expected = np.array([m + 2j * S, m - 2j * S, MU - KAPPA, MU - KAPPA])
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(expected), atol=1e-10)


@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_teams_that_alternate_stay_on_an_ellipse(rate: float) -> None:
    """μ = κ = 0, team by team: S² + R² − 2ηs·SR is kept, S and R the sums of the teams."""
    game, a, b = two_against_two(0.0, 0.0, S)
    made = engine(game, nvn.alternating(a, b), rate)

    def invariant(at: Any) -> float:
        mine, theirs = at[:2].sum(), at[2:].sum()
        return mine**2 + theirs**2 - 2.0 * rate * S * mine * theirs

    place(made, START)
    start = invariant(np.array(START))
    kept = [invariant(step(made)) for _ in range(25)]
    np.testing.assert_allclose(kept, start, rtol=1e-12)


# --- where teams fail: arXiv 2111.04178 -------------------------------------------------------


def failing(omega: float) -> tuple[nvn.Game, nvn.Team, nvn.Team]:
    """U = (a₁ + a₂)(b₁ + b₂) + 2ω(a₁a₂ − b₁b₂); a ascends, b descends."""
    game = nvn.Game("teams that fail")
    a = game.team("a", a1=Point(0.0), a2=Point(0.0))
    b = game.team("b", b1=Point(0.0), b2=Point(0.0))
    a1, a2, b1, b2 = a.a1(), a.a2(), b.b1(), b.b2()
    pair = nvn.energy(product)
    u = nvn.energy(team_product)(a1, a2, b1, b2) + 2.0 * omega * (pair(a1, a2) - pair(b1, b2))
    a.maximizes(u)
    b.minimizes(u)
    return game, a, b


@pytest.mark.parametrize("omega", [0.05, 0.3])
def test_the_field_of_failing_teams(omega: float) -> None:
    """The field that play follows, −v, has the spectrum {2ω ± 2i, −2ω, −2ω}."""
    game, a, b = failing(omega)
    found = np.linalg.eigvals(-hessian(engine(game, nvn.simultaneous(a, b), 0.1)))
    expected = np.array([2 * omega + 2j, 2 * omega - 2j, -2 * omega, -2 * omega])
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(expected), atol=1e-10)


def test_failing_teams_leave_their_only_equilibrium() -> None:
    """Simultaneous play has the modulus √((1 + 2ηω)² + 4η²): 1.079 at η = 0.1, ω = 0.3."""
    rate, omega = 0.1, 0.3
    game, a, b = failing(omega)
    made = engine(game, nvn.simultaneous(a, b), rate)
    modulus = np.sqrt((1.0 + 2.0 * rate * omega) ** 2 + 4.0 * rate**2)
    assert modulus == pytest.approx(1.079, abs=5e-4)
    place(made, (0.5, 0.5, -0.2, -0.2))  # teammates alike: the plane in which it diverges
    norms = [np.linalg.norm(step(made)) for _ in range(10)]
    start = np.linalg.norm([0.5, 0.5, -0.2, -0.2])
    np.testing.assert_allclose(norms, start * modulus ** np.arange(1, 11), rtol=1e-12)
    assert np.abs(np.linalg.eigvals(transition(made))).max() == pytest.approx(modulus, rel=1e-10)


# --- a shared loss is one optimizer's ---------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.SGD, lr=0.05, momentum=0.9),
        partial(torch.optim.Adam, lr=0.01),
        partial(torch.optim.Adam, lr=0.01, fused=True),
    ],
    ids=["SGD", "Adam", "fused Adam"],
)
def test_a_shared_loss_is_one_optimizer_over_all_parameters(optimizer: Any) -> None:
    """A team with one objective, moving together = plain training of all its parameters: equal."""
    encoder, decoder = _networks()
    game = nvn.Game("auto-encoder")
    x = game.batch("x")
    team = game.team("team", E=encoder, D=decoder)
    team.minimizes(en.mse(team.D(team.E(x)), x))
    made = nvn.Engine(nvn.plan(game, nvn.alternating(team)), optimizer)

    other_encoder, other_decoder = _networks()
    together = optimizer([*other_encoder.parameters(), *other_decoder.parameters()])
    generator = torch.Generator().manual_seed(3)
    for _ in range(20):
        batch = torch.randn(8, 5, generator=generator)
        made.step({"x": batch})
        together.zero_grad()
        (other_decoder(other_encoder(batch)) - batch).square().mean().backward()
        together.step()
    for ours, theirs in ((encoder, other_encoder), (decoder, other_decoder)):
        for mine, his in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(mine, his)


def _networks() -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        encoder = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
        decoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 5))
        return encoder, decoder
