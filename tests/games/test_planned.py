"""Random games: the planned engine plays as the plain interpreter does, number for number.

The interpreter computes everything from the batch up and lets every player go back by itself. What
the planner shares, reuses, cuts and mixes must make no difference: weights that are multiples of
one another, or nearly; tiny ones, zeros, functions of the step and values; penalties, gradients of
gradients, buffers that take part in outputs, masks, noise, and moves of every kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import nvn
from nvn.planner.liveness import verify
from nvn.planner.lowering import LARGE
from tests.games import reference
from tests.games.specs import (
    Applied,
    Called,
    GameSpec,
    Given,
    PlayerSpec,
    Ref,
    Sloped,
    Stopped,
    TermSpec,
    batches,
    game_of,
)
from tests.games.strategies import Taste, examples, games
from tests.games.styles import declare

pytestmark = [
    pytest.mark.filterwarnings("error"),
    # Random weights are sometimes all zero, and sometimes meant to be.
    pytest.mark.filterwarnings("ignore:.*all weights of the objective of"),
]

TOLERANCE = 1e-10
ROUNDING = 1e-14
everything = Taste(kinds=("spectral", "dropout"), modes=True, slopes=True, related=True, moves=True)
related_games = st.one_of(
    games(everything),
    games(Taste(penalties=False, related=True, moves=True, kinds=("dropout",))),
    games(Taste(norms=False, slopes=True, related=True, moves=True)),
)
sizes = st.sampled_from([0, LARGE])  # passes that share no graph: apart, or in one call
Found = Mapping[str, Tensor]


class Recorder(torch.optim.SGD):
    """Gradient descent, no step longer than its rate, that notes the gradients it steps along."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, log: list[Found]) -> None:
        super().__init__(parameters, lr)
        self.log = log

    def step(self, closure: Any = None) -> Any:
        own = [p for group in self.param_groups for p in group["params"]]
        self.log.append({str(i): _copied(p.grad, p) for i, p in enumerate(own)})
        for parameter in own:
            if parameter.grad is not None:
                parameter.grad /= max(1.0, largest(self.log[-1]))
        return super().step(closure)


def _copied(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if gradient is None else gradient.detach().clone()


class Both:
    """A game, played twice: as planned and plainly."""

    def __init__(self, spec: GameSpec, large: int = LARGE) -> None:
        self.spec = spec
        self.modules: list[dict[str, Any]] = []
        self.logs: list[dict[str, list[Any]]] = []
        self.engines: list[nvn.Engine] = []
        for plain in (False, True):
            modules = spec.modules()
            log: dict[str, list[Any]] = {p.name: [] for p in spec.active}
            declared = declare(spec, modules)
            plan = replace(nvn.plan(declared.game, declared.schedule), large=large)
            verify(plan.program(plan.whole))
            optimizers = {
                name: partial(Recorder, lr=0.005 * (i + 1), log=log[name])
                for i, name in enumerate(log)
            }
            self.modules.append(modules)
            self.logs.append(log)
            self.engines.append(nvn.Engine(plan, optimizers, plain=plain))

    def size(self, player: str, batch: Mapping[str, Tensor]) -> float:
        """Return how large the summands of a player's gradient are, before they cancel."""
        goals = [term for move in self.spec.schedule for term in move.toward]
        terms = [t for t in (*self.spec.objectives[player], *goals) if t.number]
        return sum(self._size(t, player, batch) for t in terms if self.spec.moves(t.energy, player))

    def _size(self, term: TermSpec, player: str, batch: Mapping[str, Tensor]) -> float:
        steepest = 1.0 if term.ramp is None else max(map(abs, term.ramp.values))
        alone = replace(term, ramp=None, number=term.number * steepest)
        spec = replace(self.spec, objectives={player: (alone,)})
        return largest(reference.gradients(spec, self.modules[1], batch, player, 0))


def largest(found: Found) -> float:
    return max((t.abs().max().item() for t in found.values()), default=0.0)


def assert_equal_gradients(found: Found, plain: Found, label: str, size: Any = None) -> None:
    """To 1e-10 of the player's largest number; of its summands' rounding, where they cancel."""
    assert found.keys() == plain.keys()
    error = largest({key: found[key] - plain[key] for key in plain})
    if not error <= TOLERANCE * largest(plain):
        allowed = 0.0 if size is None else ROUNDING * size()
        assert error <= allowed, f"{label}: off by {error} of {largest(plain)}"


def check_gradients(spec: GameSpec, large: int = LARGE) -> None:
    """∂V_p/∂θ_p of everybody together, of some, and of each alone."""
    both = Both(spec, large)
    planned, plain = both.engines
    batch = next(batches())
    names = [p.name for p in spec.active]
    for group in [names, names[::2], *([name] for name in names)]:
        found, expected = (engine.gradients(batch, group) for engine in (planned, plain))
        for name in group:
            size = partial(both.size, name, batch)
            assert_equal_gradients(found[name], expected[name], f"{name} of {group}", size)


def check_play(spec: GameSpec, large: int = LARGE, steps: int = 3) -> None:
    """Every gradient of every move, every weight and buffer after each iteration, and records."""
    both = Both(spec, large)
    supplies = batches(noise=False), batches(noise=False)
    for step in range(steps):
        records = [e.step(s) for e, s in zip(both.engines, supplies, strict=True)]
        for name in both.logs[0]:
            ours, theirs = (log[name] for log in both.logs)
            assert len(ours) == len(theirs)
            for found, plain in zip(ours, theirs, strict=True):
                size = partial(both.size, name, next(batches()))
                assert_equal_gradients(found, plain, f"step {step}: {name}", size)
            ours.clear()
            theirs.clear()
        assert_equal_records(*records)
        ours, theirs = map(reference.state, both.modules)
        for name, expected in theirs.items():
            reference.assert_close(ours[name], expected, f"step {step}: {name}")
            both.modules[1][name].load_state_dict(ours[name])  # rounding must not add up


def assert_equal_records(ours: nvn.Record, theirs: nvn.Record) -> None:
    assert ours.energies == pytest.approx(theirs.energies, rel=1e-9, abs=1e-11)
    assert ours.objectives.keys() == theirs.objectives.keys()
    assert ours.gradient_norms.keys() == theirs.gradient_norms.keys()


@examples(70)
@given(related_games, sizes)
def test_planned_gradients_are_the_plain_ones(spec: GameSpec, large: int) -> None:
    """To 1e-10 of each player's own gradient, whoever else asks at the same time."""
    check_gradients(spec, large)


@examples(50)
@given(related_games, sizes)
def test_planned_schedules_play_as_plain_ones(spec: GameSpec, large: int) -> None:
    """Random schedules: each move's gradients, weights and buffers after each iteration."""
    check_play(spec, large)


@pytest.mark.slow
@examples(1500, new=True)
@given(related_games, sizes)
def test_many_more_games_play_as_plain_ones(spec: GameSpec, large: int) -> None:
    """The same on games never drawn before."""
    check_gradients(spec, large)
    check_play(spec, large)


# --- what random games found ------------------------------------------------------------------

BATCH = (Given("a"), Given("b"))
ONCE = {
    # P makes what Q's slope is compared with; P's row is a multiple of Q's, who is further down.
    # P's gradient comes by both ways: a pass with Q's row may not serve P where only P goes.
    "a slope beside what it is compared with": game_of(
        (PlayerSpec("P", output="dict", seed=1), PlayerSpec("Q", seed=2)),
        (
            *BATCH,
            Called("P", (Ref(0),)),
            Called("Q", (Ref(2, "out"),)),
            Sloped((Ref(3), Ref(0))),
        ),
        {"mse": (Ref(2, "hidden"), Ref(4))},
        {"P": [(0, 1.0)], "Q": [(0, 2.5)]},
    ),
    # Rows that differ in nothing but the value that weighs them.
    "weights of two values": game_of(
        (PlayerSpec("P", seed=1), PlayerSpec("Q", seed=2), PlayerSpec("R", seed=3)),
        (
            *BATCH,
            Called("P", (Ref(0),)),
            Called("Q", (Ref(1),)),
            Applied("multiplied", (Ref(2), Ref(3))),
            Called("R", (Ref(4),)),
        ),
        {"square": (Ref(5),), "minimax.real": (Ref(2),), "hinge.fake": (Ref(3),)},
        {"P": [(0, -1.6, 1)], "Q": [(0, 0.2, 2)], "R": [(0, 1.0)]},
    ),
    # Between Q's call and the slope of it, Q is called where it does not learn.
    "a target made before a slope": game_of(
        (PlayerSpec("P", seed=1), PlayerSpec("Q", seed=2)),
        (
            *BATCH,
            Called("P", (Ref(0),)),
            Called("Q", (Ref(2),)),
            Called("Q", (Ref(1),)),
            Stopped((Ref(4),)),
        ),
        {"penalty": (Ref(3), Ref(2)), "mse": (Ref(3), Ref(5))},
        {"P": [(0, 0.5)], "Q": [(0, 1.0), (1, -0.3)]},
    ),
    # A slope of something made of a slope, by the same value.
    "a slope of a slope": game_of(
        (PlayerSpec("P", seed=1), PlayerSpec("Q", seed=2)),
        (
            *BATCH,
            Called("P", (Ref(0),)),
            Sloped((Ref(2), Ref(0))),
            Called("Q", (Ref(3),)),
            Sloped((Ref(4), Ref(0))),
        ),
        {"square": (Ref(5),), "minimax.real": (Ref(2),)},
        {"P": [(1, 1.0, 0)], "Q": [(0, -0.5)]},
    ),
}


@pytest.mark.parametrize("spec", ONCE.values(), ids=ONCE)
def test_what_once_went_wrong(spec: GameSpec) -> None:
    """Games that some version of the planner got wrong."""
    for large in (0, LARGE):
        check_gradients(spec, large)
        check_play(spec, large)
