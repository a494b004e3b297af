"""The master property of linear games, under random schedules: play is a product of matrices.

v = Hw + b, H_ij = Σ_k W_ik ∇²_ij T_k. A move of the players S takes w to
w − E_S diag(η)(Hw + b), so w_T − w* = ∏(I − E_S diag(η) H)(w₀ − w*), w* = −H⁻¹b
(research games.md, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import nvn
from tests.games.points import Array, Point, engine, hessian, place, step, transition, where
from tests.games.strategies import examples

pytestmark = pytest.mark.filterwarnings("error")

ENERGIES = 3


@dataclass(frozen=True)
class Quadratic:
    """T(w) = ½ wᵀQw + qᵀw, w all the players' points together, Q symmetric."""

    seed: int
    size: int

    @property
    def matrix(self) -> Array:
        root = np.random.default_rng([self.seed, 0]).normal(size=(self.size, self.size))
        return (root + root.T) / 2.0

    @property
    def vector(self) -> Array:
        return np.random.default_rng([self.seed, 1]).normal(size=self.size)

    def __call__(self, points: list[Tensor]) -> Tensor:
        w = torch.cat(points)
        matrix, vector = torch.from_numpy(self.matrix), torch.from_numpy(self.vector)
        return 0.5 * w @ matrix @ w + vector @ w


@dataclass(frozen=True)
class Wave:
    """A weight that changes with the iteration, and is zero in every third."""

    height: float

    def __call__(self, step: int) -> float:
        return self.height * (step % 3 - 1.0)


@dataclass(frozen=True)
class Turn:
    """A move: who, how often, in which iterations, toward which energy instead of their own."""

    players: tuple[int, ...]
    times: int = 1
    every: int = 1
    toward: int | None = None
    second: bool = False  # steps with an optimizer of its own, half as fast

    @property
    def lazy(self) -> bool:
        return self.toward is not None and self.every > 1


@dataclass(frozen=True)
class Linear:
    """A linear game: sizes of the players, weights W (players × energies), rates, schedule."""

    seed: int
    sizes: tuple[int, ...]
    weights: tuple[tuple[float, ...], ...]
    turns: tuple[Turn, ...]
    waves: frozenset[tuple[int, int]] = frozenset()  # which weights are functions of the step
    energies: tuple[Quadratic, ...] = field(init=False)

    def __post_init__(self) -> None:
        made = tuple(Quadratic(self.seed + k, sum(self.sizes)) for k in range(ENERGIES))
        object.__setattr__(self, "energies", made)

    @property
    def start(self) -> Array:
        return np.random.default_rng([self.seed, 2]).normal(size=sum(self.sizes))

    def rate(self, player: int) -> float:
        return 0.01 * (player + 1)

    def weight(self, player: int, energy: int, step: int) -> float:
        weight = self.weights[player][energy]
        return Wave(weight)(step) if (player, energy) in self.waves else weight

    # --- in nvn ---

    def play(self, iterations: int) -> Array:
        game = nvn.Game("linear")
        players = [
            game.player(f"p{i}", Point(*([0.0] * size))) for i, size in enumerate(self.sizes)
        ]
        energies = [nvn.energy(q, name=f"T{k}")([p() for p in players]) for k, q in self.numbered]
        for i, player in enumerate(players):
            for k, energy in enumerate(energies):
                weight = self.weights[i][k]
                if (i, k) in self.waves:
                    player.minimizes(energy * Wave(weight))
                elif weight < 0:
                    player.maximizes(-weight * energy)
                else:
                    player.minimizes(weight * energy)
        moves = [
            nvn.move(
                *(players[i] for i in turn.players),
                times=turn.times,
                every=turn.every,
                toward=None if turn.toward is None else energies[turn.toward],
                optimizer="second" if turn.second else None,
            )
            for turn in self.turns
        ]
        optimizers = {
            f"p{i}": partial(torch.optim.SGD, lr=self.rate(i)) for i in range(len(self.sizes))
        }
        optimizers["second"] = partial(torch.optim.SGD, lr=0.005)
        made = engine(game, nvn.alternating(*moves), optimizers)
        place(made, self.start)
        return step(made, iterations)

    @property
    def numbered(self) -> Iterator[tuple[int, Quadratic]]:
        return iter(enumerate(self.energies))

    # --- on paper ---

    def matrix(self, turn: Turn, iteration: int) -> Array:
        """Return the matrix of a move on (w, 1): I − E_S diag(η)(H | b), and a last row (0 | 1)."""
        size = sum(self.sizes)
        found = np.eye(size + 1)
        for i in turn.players:
            rows = slice(sum(self.sizes[:i]), sum(self.sizes[: i + 1]))
            weights = [self.weight(i, k, iteration) for k in range(ENERGIES)]
            if turn.toward is not None:
                gain = turn.every if turn.lazy else 1.0
                weights = [gain * (k == turn.toward) for k in range(ENERGIES)]
            rate = 0.005 if turn.second else self.rate(i) * self.share(i)
            for weight, energy in zip(weights, self.energies, strict=True):
                found[rows, :size] -= rate * weight * energy.matrix[rows]
                found[rows, size] -= rate * weight * energy.vector[rows]
        return found

    def share(self, player: int) -> float:
        """Return the share of a player's steps that are no lazy regularizer's: StyleGAN2's c."""
        own = [t for t in self.turns if player in t.players and not t.second]
        steps = [t.times / t.every for t in own]
        usual = sum(n for t, n in zip(own, steps, strict=True) if not t.lazy)
        return usual / sum(steps) if usual else 1.0

    def closed_form(self, iterations: int) -> Array:
        product = np.eye(sum(self.sizes) + 1)
        for iteration in range(iterations):
            for turn in self.turns:
                if iteration % turn.every == 0:
                    power = np.linalg.matrix_power(self.matrix(turn, iteration), turn.times)
                    product = power @ product
        return (product @ np.append(self.start, 1.0))[:-1]


weights = st.sampled_from([-1.0, -0.5, 0.0, 0.3, 1.0, 2.0])


@st.composite
def linear_games(draw: st.DrawFn) -> Linear:
    sizes = tuple(draw(st.lists(st.integers(1, 2), min_size=2, max_size=5)))
    everyone = range(len(sizes))
    rows = st.tuples(*[weights] * ENERGIES).filter(any)
    turns = draw(st.lists(_turns(everyone), min_size=1, max_size=4))
    idle = [i for i in everyone if not any(i in t.players for t in turns)]
    if idle:
        turns.append(Turn(tuple(idle)))
    slots = st.tuples(st.sampled_from(everyone), st.integers(0, ENERGIES - 1))
    return Linear(
        seed=draw(st.integers(0, 2**16)),
        sizes=sizes,
        weights=tuple(draw(rows) for _ in sizes),
        turns=tuple(turns),
        waves=frozenset(draw(st.lists(slots, max_size=2))),
    )


@st.composite
def _turns(draw: st.DrawFn, everyone: Sequence[int]) -> Turn:
    plain = draw(st.sampled_from([True, True, False]))
    return Turn(
        tuple(draw(st.lists(st.sampled_from(everyone), min_size=1, unique=True))),
        times=draw(st.integers(1, 3)),
        every=draw(st.sampled_from([1, 1, 2, 3])),
        toward=None if plain else draw(st.integers(0, ENERGIES - 1)),
        second=draw(st.sampled_from([False, False, True])),
    )


def assert_on_paper(game: Linear, iterations: int) -> None:
    expected = game.closed_form(iterations)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(game.play(iterations), expected, rtol=0, atol=1e-10 * scale)


@examples(60)
@given(linear_games(), st.integers(1, 6))
def test_any_schedule_is_a_product_of_matrices(game: Linear, iterations: int) -> None:
    """w_T = ∏(I − E_S diag(η)(H | b)) w₀ to 1e-10: teams, times, every, toward, step weights.

    A lazy regularizer (toward, every k) counts k times, and the player's rate is multiplied by the
    share of its usual steps (Karras et al. 2020, appendix B).
    """
    assert_on_paper(game, iterations)


@pytest.mark.slow
@examples(2000, new=True)
@given(linear_games(), st.integers(1, 12))
def test_many_more_schedules(game: Linear, iterations: int) -> None:
    """The same for games never drawn before."""
    assert_on_paper(game, iterations)


# --- special schedules of one strictly monotone game ------------------------------------------

SIZES = (2, 1, 3)
RATE = 0.05


@dataclass(frozen=True)
class OwnQuadratic:
    """L_i(w) = ½ w_iᵀ H_ii w_i + w_iᵀ(Σ_{j≠i} H_ij w_j + b_i): any H with symmetric H_ii."""

    player: int

    def __call__(self, points: list[Tensor]) -> Tensor:
        rows = _rows(self.player)
        matrix, own = torch.from_numpy(H[rows]), points[self.player]
        others = torch.cat([p if i != self.player else 0.5 * p for i, p in enumerate(points)])
        return own @ (matrix @ others + torch.from_numpy(B[rows]))


def _rows(player: int) -> slice:
    return slice(sum(SIZES[:player]), sum(SIZES[: player + 1]))


def _blocks() -> Array:
    matrix = np.random.default_rng(5).normal(size=(sum(SIZES), sum(SIZES))) + 3.0 * np.eye(6)
    for i in range(len(SIZES)):
        own = matrix[_rows(i), _rows(i)]
        matrix[_rows(i), _rows(i)] = (own + own.T) / 2.0
    return matrix


H = _blocks()
B = np.random.default_rng(6).normal(size=sum(SIZES))
START = np.random.default_rng(7).normal(size=sum(SIZES))


def _declared() -> tuple[nvn.Game, list[nvn.Player]]:
    game = nvn.Game("any H")
    players = [game.player(f"p{i}", Point(*[0.0] * size)) for i, size in enumerate(SIZES)]
    for i, player in enumerate(players):
        player.minimizes(nvn.energy(OwnQuadratic(i), name=f"L{i}")([p() for p in players]))
    return game, players


def test_the_jacobian_of_the_field_is_h() -> None:
    game, players = _declared()
    found = hessian(engine(game, nvn.simultaneous(*players), RATE))
    np.testing.assert_allclose(found, H, atol=1e-12)


def test_simultaneous_eigenvalues_are_one_minus_eta_lambda() -> None:
    """The eigenvalue map of simultaneous descent: 1 − ηλ, λ ∈ spec H."""
    game, players = _declared()
    made = engine(game, nvn.simultaneous(*players), RATE)
    place(made, np.zeros(6))
    drift = step(made)
    iteration = transition(made) - drift[:, None]
    found = np.sort_complex(np.linalg.eigvals(iteration))
    np.testing.assert_allclose(
        found, np.sort_complex(1.0 - RATE * np.linalg.eigvals(H).astype(complex)), atol=1e-10
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_round_robin_is_gauss_seidel(order: tuple[int, ...]) -> None:
    """Everybody in turn: w⁺ = (I + ηL)⁻¹((I − η(D + U))w − ηb), H = L + D + U by blocks."""
    game, players = _declared()
    made = engine(game, nvn.alternating(*(players[i] for i in order)), RATE)
    place(made, START)
    lower = np.zeros_like(H)
    for turn, i in enumerate(order):
        for j in order[:turn]:
            lower[_rows(i), _rows(j)] = H[_rows(i), _rows(j)]
    right = (np.eye(6) - RATE * (H - lower)) @ START - RATE * B
    expected = np.linalg.solve(np.eye(6) + RATE * lower, right)
    np.testing.assert_allclose(step(made), expected, atol=1e-12)


def test_the_distance_to_the_equilibrium() -> None:
    """w_T − w* = (I − ηH)^T (w₀ − w*), w* = −H⁻¹b, which is where play ends."""
    game, players = _declared()
    made = engine(game, nvn.simultaneous(*players), RATE)
    place(made, START)
    star = -np.linalg.solve(H, B)
    expected = star + np.linalg.matrix_power(np.eye(6) - RATE * H, 20) @ (START - star)
    np.testing.assert_allclose(step(made, 20), expected, atol=1e-11)
    np.testing.assert_allclose(step(made, 400), star, atol=1e-10)


@pytest.mark.parametrize("together", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_who_is_named_first_in_a_move_is_nothing(together: tuple[int, ...]) -> None:
    """Permuting players of one move changes nothing: all start from one point."""
    game, players = _declared()
    made = engine(game, nvn.alternating(tuple(players[i] for i in together)), RATE)
    place(made, START)
    np.testing.assert_allclose(step(made), START - RATE * (H @ START + B), atol=1e-13)
    assert where(made).shape == (6,)
