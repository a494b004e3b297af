"""Random games, cut anywhere: a state that is saved and loaded goes on as one that is kept.

To the bit: the same weights, buffers, optimizers' states and records, whatever the game, the
schedule, the optimizers, the phase and the moment.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import nvn
from nvn.checkpoint.encoding import decode
from nvn.checkpoint.folder import encode_parts
from nvn.engine.saving import parts_of, state_of
from nvn.game.schedule import Schedule
from tests.games.specs import GameSpec, batches
from tests.games.strategies import Taste, examples, games
from tests.games.styles import declare

pytestmark = [
    pytest.mark.filterwarnings("error"),
    # Random weights are sometimes all zero, and sometimes meant to be.
    pytest.mark.filterwarnings("ignore:.*all weights of the objective of"),
]

everything = Taste(kinds=("spectral", "dropout"), modes=True, slopes=True, related=True, moves=True)
sgd = partial(torch.optim.SGD, lr=1e-3)
momentum = partial(torch.optim.SGD, lr=1e-3, momentum=0.9)
adam = partial(torch.optim.Adam, lr=1e-3, amsgrad=True)
halved = partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.5)
OPTIMIZERS = [
    sgd,
    momentum,
    adam,
    partial(torch.optim.RMSprop, lr=1e-3),
    nvn.Optimizer(adam, schedule=halved, clip_norm=1.0),
    nvn.Optimizer(momentum, schedule=nvn.Plateau("told", patience=0, every=2), warmup=3),
    nvn.Optimizer(adam, schedule=partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.9)),
]
STEPS = 6


class Play:
    """A game in two phases: as it is scheduled, and with conditions and rests."""

    def __init__(self, spec: GameSpec, chosen: list[int], conditional: bool, seed: int) -> None:
        modules = spec.modules()
        declared = declare(spec, modules)
        moves = declared.schedule.moves
        if conditional:
            rested = (nvn.move(*m.players, toward=m.toward, when=positive) for m in moves)
            other = Schedule((*moves, *rested))
        else:
            other = nvn.alternating(
                *(nvn.move(*m.players, every=i + 1) for i, m in enumerate(moves))
            )
        names = [p.name for p in spec.active]
        options = {n: OPTIMIZERS[chosen[i % len(chosen)]] for i, n in enumerate(names)}
        plans = [nvn.plan(declared.game, schedule) for schedule in (declared.schedule, other)]
        first = nvn.Engine(plans[0], options, seed=seed, phase="first")
        second = nvn.Engine(plans[1], options, seed=seed, phase="second", state=first.state)
        self.engines = [first, second]
        self.batches = batches(noise=False)
        self.records: list[Any] = []

    def step(self, number: int) -> None:
        engine = self.engines[number >= STEPS // 2]
        record = engine.step(self.batches)
        engine.metric("told", 1.0)
        self.records.append(record.state_dict())


def positive(record: nvn.Record) -> bool:
    return sum(record.objectives.values()) > 0.0


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return bool(torch.equal(one.nan_to_num(7.0), other.nan_to_num(7.0)))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other) or (one != one and other != other)


def check(spec: GameSpec, chosen: list[int], conditional: bool, seed: int, cut: int) -> None:
    whole, part = (Play(spec, chosen, conditional, seed) for _ in range(2))
    taken = []
    supply = list(zip(range(200), batches(noise=False), strict=False))
    for play in (whole, part):
        play.batches = iter(batch for _, batch in supply)
    for number in range(STEPS):
        whole.step(number)
        taken.append(whole.engines[0].state.counters.batches)
    for number in range(cut):
        part.step(number)
    encoded = encode_parts(parts_of(part.engines[0].state_dict()))
    again = Play(spec, chosen, conditional, seed + 1)  # the seed is part of the state
    again.batches = iter(batch for _, batch in supply[taken[cut - 1] if cut else 0 :])
    state = state_of({name: decode(*each) for name, each in encoded.items()})
    again.engines[0].load_state_dict(state)
    for number in range(cut, STEPS):
        again.step(number)
    assert equal(again.records, whole.records[cut:])
    assert equal(again.engines[0].state_dict(), whole.engines[0].state_dict())


CHOSEN = st.lists(st.integers(0, len(OPTIMIZERS) - 1), min_size=1, max_size=3)


@examples(60)
@given(games(everything), CHOSEN, st.booleans(), st.integers(0, 9), st.integers(0, STEPS))
def test_a_random_game_goes_on_wherever_it_was_cut(
    spec: GameSpec, chosen: list[int], conditional: bool, seed: int, cut: int
) -> None:
    check(spec, chosen, conditional, seed, cut)


@pytest.mark.slow
@examples(600, new=True)
@given(games(everything), CHOSEN, st.booleans(), st.integers(0, 9), st.integers(0, STEPS))
def test_many_more_random_games_do(
    spec: GameSpec, chosen: list[int], conditional: bool, seed: int, cut: int
) -> None:
    """The same on games never drawn before."""
    check(spec, chosen, conditional, seed, cut)
