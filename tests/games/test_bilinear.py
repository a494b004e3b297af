"""min over x, max over y of s·x·y: the game in which only the schedule decides (games.md, 3).

c = η·s, and for rates of their own c = s·√(η_x η_y).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import nvn
from tests.games.points import Point, engine, place, product, rates, step, transition
from tests.games.strategies import examples

pytestmark = pytest.mark.filterwarnings("error")

strengths = st.floats(0.1, 2.0)
learning_rates = st.floats(0.05, 0.9)


def bilinear(strength: float) -> tuple[nvn.Game, nvn.Player, nvn.Player]:
    game = nvn.Game("bilinear")
    x, y = game.player("x", Point(0.0)), game.player("y", Point(0.0))
    energy = nvn.energy(product)(x(), y())
    x.minimizes(strength * energy)
    y.maximizes(strength * energy)
    return game, x, y


@examples(15)
@given(strengths, learning_rates)
def test_simultaneous_play_grows(s: float, rate: float) -> None:
    """‖w‖ is multiplied by √(1 + c²) in every step, from everywhere."""
    game, x, y = bilinear(s)
    made = engine(game, nvn.simultaneous(x, y), rate)
    place(made, (1.0, -0.5))
    norms = [np.linalg.norm(step(made)) for _ in range(10)]
    growth = np.sqrt(1.0 + (rate * s) ** 2)
    np.testing.assert_allclose(norms, np.hypot(1.0, 0.5) * growth ** np.arange(1, 11), rtol=1e-12)


@examples(15)
@given(strengths, learning_rates, learning_rates, st.booleans())
def test_alternating_play_stays_on_an_ellipse(
    s: float, rate_x: float, rate_y: float, x_first: bool
) -> None:
    """x²/η_x + y²/η_y ∓ s·xy is kept: minus if x moves first, plus if y does."""
    game, x, y = bilinear(s)
    order = (x, y) if x_first else (y, x)
    made = engine(game, nvn.alternating(*order), rates(x=rate_x, y=rate_y))
    place(made, (1.0, 0.3))

    def invariant(at: np.ndarray) -> float:
        sign = -1.0 if x_first else 1.0
        return at[0] ** 2 / rate_x + at[1] ** 2 / rate_y + sign * s * at[0] * at[1]

    start = invariant(np.array([1.0, 0.3]))
    kept = [invariant(step(made)) for _ in range(25)]
    np.testing.assert_allclose(kept, start, rtol=1e-10)


def test_the_invariant_with_equal_rates() -> None:
    """x² + y² − c·xy is kept with x first; x² + y² + c·xy, which is for y first, is not."""
    c = 0.4
    game, x, y = bilinear(1.0)
    place(made := engine(game, nvn.alternating(x, y), c), (1.0, 0.0))
    for _ in range(5):
        at = step(made)
        assert at @ at - c * at.prod() == pytest.approx(1.0, abs=1e-13)
        assert abs(at @ at + c * at.prod() - 1.0) > 1e-2


@pytest.mark.parametrize("c", [0.3, 1.0, 1.9])
def test_alternating_play_turns(c: float) -> None:
    """Determinant 1, trace 2 − c², an angle of arccos(1 − c²/2) a round."""
    game, x, y = bilinear(1.0)
    matrix = transition(engine(game, nvn.alternating(x, y), c))
    assert np.linalg.det(matrix) == pytest.approx(1.0, abs=1e-12)
    assert np.trace(matrix) == pytest.approx(2.0 - c**2, abs=1e-12)
    angles = np.abs(np.angle(np.linalg.eigvals(matrix)))
    np.testing.assert_allclose(angles, np.arccos(1.0 - c**2 / 2.0), atol=1e-10)


@pytest.mark.parametrize(("c", "bounded"), [(1.99, True), (2.01, False)])
def test_alternating_play_is_bounded_up_to_two(c: float, bounded: bool) -> None:
    """Bounded if and only if c < 2."""
    game, x, y = bilinear(1.0)
    moduli = np.abs(np.linalg.eigvals(transition(engine(game, nvn.alternating(x, y), c))))
    assert (moduli.max() < 1.0 + 1e-9) == bounded


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (3, 2), (4, 1)])
@pytest.mark.parametrize("s", [0.5, 2.0])
def test_several_steps_in_a_row(n: int, m: int, s: float) -> None:
    """n steps of x, then m of y: determinant 1, trace 2 − n·m·c²."""
    rate = 0.2
    game, x, y = bilinear(s)
    schedule = nvn.alternating(nvn.move(x, times=n), nvn.move(y, times=m))
    matrix = transition(engine(game, schedule, rate))
    assert np.linalg.det(matrix) == pytest.approx(1.0, abs=1e-12)
    assert np.trace(matrix) == pytest.approx(2.0 - n * m * (rate * s) ** 2, abs=1e-12)


# --- the same with data -----------------------------------------------------------------------


class Along(nn.Module):
    """x·w, sample by sample: the point, as seen by data of shape (N,)."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.tensor(at, dtype=torch.float64))

    def forward(self, data: Tensor) -> Tensor:
        return self.at * data


def mean_product(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).mean()


def test_the_batch_sets_the_strength() -> None:
    """E over the batch of (x·t)(y·t) is xy·E t²: s is the mean square of the batch at hand."""
    game = nvn.Game("bilinear with data")
    t = game.batch("t")
    x, y = game.player("x", Along(1.0)), game.player("y", Along(0.5))
    energy = nvn.energy(mean_product)(x(t), y(t))
    x.minimizes(energy)
    y.maximizes(energy)
    made = engine(game, nvn.simultaneous(x, y), 0.1)
    generator = torch.Generator().manual_seed(0)
    norm = np.hypot(1.0, 0.5)
    for _ in range(10):
        batch = torch.randn(7, generator=generator, dtype=torch.float64)
        c = 0.1 * batch.square().mean().item()
        norm *= np.sqrt(1.0 + c**2)
        found = np.linalg.norm(step(made, batch={"t": batch}))
        assert found == pytest.approx(norm, rel=1e-12)
